//! The one way by which a call is made: checked at the moment of calling, made once.
use std::{fmt, time::Duration};

use recado_clients::twilio::{self, CreateCall, TwilioError, code_label};
use recado_domain::{Address, CallStatus, ContactId, MachineDetection, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Prepared, Reconciled, Retry, Undecided};
use recado_store::{
    StoreError, billing,
    calls::{self, Name, NewCall},
    contacts, opt_outs,
    prospects::{self, Link},
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::{
    Environment, Sent, Withheld,
    check_billing::MESSAGES,
    faults::{of_store, of_twilio, twilio_code},
};

/// Calls somebody. `Debug` leaves out who, and what is said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceCall {
    /// Who calls.
    pub owner: OwnerId,
    /// The Twilio account that our number belongs to.
    pub account: String,
    /// Our number.
    pub from: Address,
    /// The number that is called.
    pub to: Address,
    /// The owner's own id of whom it calls.
    pub prospect: String,
    /// What becomes of the call once it is answered.
    pub script: CallScript,
    /// How long it rings, in seconds; as Twilio has it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// Whether it is recorded.
    #[serde(default)]
    pub record: bool,
    /// Whether Twilio finds out who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_detection: Option<MachineDetection>,
}

/// What becomes of a call once it is answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallScript {
    /// TwiML, at most 4000 characters.
    Twiml(String),
    /// Where Twilio fetches TwiML.
    Url(String),
}

impl fmt::Debug for PlaceCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaceCall")
            .field("owner", &self.owner)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

impl Activity<Environment> for PlaceCall {
    const NAME: &'static str = "place_call";
    const EFFECT: Effect = Effect::Once;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1)).up_to(8);
    type Output = Sent;

    async fn prepare(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Prepared<Sent>, Fault> {
        let tx = attempt.transaction()?;
        match self.intend(tx, attempt).await.map_err(of_store)? {
            Some(why) => Ok(Prepared::Settled(Sent::Withheld(why))),
            None => Ok(Prepared::Go),
        }
    }

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Sent, Fault> {
        let with_token = |url: &str| format!("{url}?token={}", attempt.key());
        let call = CreateCall {
            to: self.to.to_twilio(),
            from: self.from.to_twilio(),
            script: match &self.script {
                CallScript::Twiml(twiml) => twilio::CallScript::Twiml(twiml.clone()),
                CallScript::Url(url) => twilio::CallScript::Url(url.clone()),
            },
            timeout: self.timeout,
            recording_callback: self.record.then(|| with_token(&env.recording_callback)),
            machine_detection: self.machine_detection.map(|word| word.to_twilio().to_owned()),
            status_callback: Some(with_token(&env.call_callback)),
        };
        let credentials = env.at_twilio(&self.owner, &self.account).await?;
        let answer = env.twilio.create_call(&credentials, &call).await;
        let (outcome, code) = match &answer {
            Ok(_) => ("accepted", 0),
            Err(TwilioError::Refused { code, .. }) => ("refused", code.unwrap_or_default()),
            Err(TwilioError::Unreachable { .. }) => ("unreachable", 0),
            Err(TwilioError::Unknown(_)) => ("unknown", 0),
        };
        metrics::counter!("recado_calls_total", "outcome" => outcome, "code" => code_label(code))
            .increment(1);
        answer.map(accepted).map_err(|error| of_twilio(&error))
    }

    async fn record(&self, _: &Environment, attempt: &Attempt<'_>, sent: &Sent) -> Result<(), Fault> {
        let Sent::Accepted { sid, status } = sent else {
            return Ok(());
        };
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        billing::commit(tx, &self.owner, run, MESSAGES, now)
            .await
            .map_err(of_store)?;
        // A status that we do not know yet says at least that Twilio took it.
        let status = CallStatus::parse(status).unwrap_or(CallStatus::Queued);
        let token = attempt.key();
        calls::mark_placed(tx, &self.owner, &token, sid, status, now)
            .await
            .map_err(of_store)
    }

    /// It was refused for good, or nobody can tell and nobody will ask again: the row says so.
    async fn failed(&self, _: &Environment, attempt: &Attempt<'_>, fault: &Fault) -> Result<(), Fault> {
        let (tx, failure) = (attempt.transaction()?, fault.failure());
        let (token, code) = (attempt.key(), twilio_code(failure));
        calls::mark_refused(tx, &self.owner, &token, code, &failure.message, attempt.now())
            .await
            .map_err(of_store)?;
        // What was not made costs nothing.
        let run = attempt.run().as_str();
        billing::release(tx, &self.owner, run, MESSAGES, attempt.now())
            .await
            .map(drop)
            .map_err(of_store)
    }

    async fn undecided(&self, env: &Environment, _: &Attempt<'_>) -> Result<Undecided, Fault> {
        env.undecided(&self.owner).await
    }

    /// A report that carried our token proves it; else Twilio's list does, calls already ours left out.
    async fn reconcile(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Reconciled<Sent>, Fault> {
        let ours = calls::by_token(&env.database, &self.owner, &attempt.key())
            .await
            .map_err(of_store)?;
        if let Some((sid, call)) = ours.and_then(|call| Some((call.twilio_sid.clone()?, call))) {
            let status = call.status.map_or("queued", CallStatus::as_str).to_owned();
            return Ok(Reconciled::Happened(Sent::Accepted { sid, status }));
        }
        let (from, to) = (self.from.to_twilio(), self.to.to_twilio());
        let since = attempt.intended_at().unwrap_or_else(|| attempt.now());
        let credentials = env.at_twilio(&self.owner, &self.account).await?;
        let listed = env.twilio.list_calls(&credentials, (&from, &to), since).await;
        let mut listed = listed.map_err(|error| Fault::retry("twilio_list", error.to_string()))?;
        listed.retain(|call| call.direction == "outbound-api");
        let sids: Vec<&str> = listed.iter().map(|call| call.sid.as_str()).collect();
        let claimed = calls::claimed_sids(&env.database, &self.owner, &sids)
            .await
            .map_err(of_store)?;
        // The list is newest first; the oldest that nobody claims is ours.
        let found = listed.into_iter().rev().find(|call| !claimed.contains(&call.sid));
        Ok(found.map_or(Reconciled::NoTrace, |call| Reconciled::Happened(accepted(call))))
    }
}

impl PlaceCall {
    /// Writes down who is about to be called, unless something forbids it now.
    async fn intend(
        &self,
        tx: &DatabaseTransaction,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Withheld>, StoreError> {
        if opt_outs::is_opted_out(tx, &self.owner, &self.to).await? {
            return Ok(Some(Withheld::OptedOut));
        }
        let (token, now) = (attempt.key(), attempt.now());
        let contact = self.contact(tx, attempt).await?;
        // A call counts as a message does; nobody is told of a refusal.
        let request = billing::Request {
            run: attempt.run().as_str(),
            feature: MESSAGES,
            quantity: 1,
            contact: &self.from,
        };
        if billing::reserve(tx, &self.owner, request, now).await? != billing::Grant::Granted {
            return Ok(Some(Withheld::OverQuota));
        }
        let call = NewCall {
            contact: Some(&contact),
            ours: &self.from.to_twilio(),
            theirs: &self.to.to_twilio(),
            name: Name::Token(&token),
            run: attempt.run().as_str(),
            form: &serde_json::to_string(&self.script)?,
        };
        if !calls::insert(tx, &self.owner, &call, now).await? {
            calls::reopen(tx, &self.owner, &token, now).await?;
        }
        Ok(None)
    }

    /// Who is called, and is the owner's prospect from now on.
    async fn contact(
        &self,
        tx: &DatabaseTransaction,
        attempt: &Attempt<'_>,
    ) -> Result<ContactId, StoreError> {
        let at = attempt.now();
        let contact = contacts::find_or_create(tx, &self.owner, &self.to, None, at).await?;
        let link = Link {
            owner: &self.owner,
            prospect: &self.prospect,
            address: &self.to,
            contact: &contact,
            at,
        };
        prospects::link_each(tx, &[link]).await?;
        Ok(contact)
    }
}

fn accepted(call: twilio::Call) -> Sent {
    Sent::Accepted {
        sid: call.sid,
        status: call.status,
    }
}
