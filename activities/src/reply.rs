//! The one way by which a message leaves: checked at the moment of sending, sent once.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use recado_clients::twilio::{
    self, CreateMessage, ErrorClass, ListMessages, Sender, TwilioError, code_label,
};
use recado_domain::{
    Address, Channel, ContactId, ConversationId, ConversationState, Direction, OwnerId, Template,
};
use recado_engine::{Activity, Attempt, Effect, Fault, Joint, Prepared, Reconciled, Retry, Undecided};
use recado_store::{StoreError, billing, messages, opt_outs, sending::Reachable};
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    check_billing::{AGENT_ANSWERS, MESSAGES},
    faults::{of_store, of_twilio, twilio_code},
    group,
    way_out::Instead,
};

mod elsewhere;
mod together;

use together::{intend, write_down};

/// WhatsApp takes free text only so long after the contact's last message.
/// Source: <https://www.twilio.com/docs/whatsapp/key-concepts>.
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// Sends a message to a contact: one part of an answer, or what the owner wants to say of its own accord.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// Who answers.
    pub owner: OwnerId,
    /// The Twilio account that the contact's message came in on.
    pub account: String,
    /// The conversation.
    pub conversation: ConversationId,
    /// The contact.
    pub contact: ContactId,
    /// Our address.
    pub from: Address,
    /// The messaging service that chooses the number from which it really goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The contact's address.
    pub to: Address,
    /// The text, at most 1600 characters; empty where media or a template say it. Beside a template it is what that goes
    /// instead of: it stays in the books.
    pub body: String,
    /// Where Twilio fetches what is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// The template that is sent instead of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Which part of a long answer, from 0.
    #[serde(default)]
    pub part: u32,
    /// What it is sent for.
    pub purpose: Purpose,
}

/// What a message is sent for, which decides when it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// An agent's answer; not in a conversation that is in the hands of people.
    Answer,
    /// Something that the contact is to know in any case: that a person takes over, or that the plan is used up.
    Notice,
    /// What the owner says of its own accord. It is no agent's answer, and people who have the conversation do not mind.
    Outreach,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// Twilio took it.
    Accepted {
        /// Twilio's id of it.
        sid: String,
        /// In Twilio's words.
        status: String,
    },
    /// It was not sent, and will not be.
    Withheld(Withheld),
    /// WhatsApp does not take it; its owner wants something else sent instead. It was not sent, and will not be.
    Elsewhere {
        /// What.
        instead: Instead,
        /// With which of its codes Twilio refused it; none where it was not asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
    },
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The contact does not want to be written to.
    OptedOut,
    /// WhatsApp takes no free text so long after the contact's last message.
    OutsideWindow,
    /// People have the conversation.
    InHumanHands,
    /// The plan has nothing left of it; of a call, since a message asks earlier.
    OverQuota,
}

impl Activity<Environment> for Reply {
    const NAME: &'static str = "reply";
    const EFFECT: Effect = Effect::Once;
    const TOGETHER: bool = true;
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1)).up_to(8);
    type Output = Sent;

    async fn prepare(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Prepared<Sent>, Fault> {
        group::only(intend(&group::of_one(self, attempt)).await?)
    }

    async fn prepare_together(
        _: &Environment,
        calls: &[Joint<'_, Self>],
    ) -> Result<Vec<Prepared<Sent>>, Fault> {
        intend(&group::of(calls)).await
    }

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Sent, Fault> {
        let message = CreateMessage {
            to: self.to.to_twilio(),
            sender: match &self.service {
                Some(service) => Sender::Service(service.clone()),
                None => Sender::Number(self.from.to_twilio()),
            },
            body: match self.template {
                Some(_) => String::new(),
                None => self.body.clone(),
            },
            media_urls: self.media_urls.clone(),
            template: self.template.as_ref().map(as_twilio),
            status_callback: Some(format!("{}?token={}", env.status_callback, attempt.key())),
        };
        match env
            .twilio
            .create_message(&env.at_twilio(&self.owner, &self.account).await?, &message)
            .await
        {
            Ok(message) => {
                count("accepted", 0);
                env.spent
                    .message(&self.owner, &self.to, Direction::Outbound, &self.body);
                Ok(Sent::Accepted {
                    sid: message.sid,
                    status: message.status,
                })
            }
            Err(TwilioError::Refused {
                class: ErrorClass::OptedOut,
                code,
                ..
            }) => {
                count("opted_out", code.unwrap_or_default());
                Ok(Sent::Withheld(Withheld::OptedOut))
            }
            Err(error) => {
                let (outcome, code) = match &error {
                    TwilioError::Refused { code, .. } => ("refused", code.unwrap_or_default()),
                    TwilioError::Unreachable { .. } => ("unreachable", 0),
                    TwilioError::Unknown(_) => ("unknown", 0),
                };
                count(outcome, code);
                match self.elsewhere(env, &error).await? {
                    Some(elsewhere) => Ok(elsewhere),
                    None => Err(of_twilio(&error)),
                }
            }
        }
    }

    async fn record(&self, _: &Environment, attempt: &Attempt<'_>, sent: &Sent) -> Result<(), Fault> {
        write_down(&group::of_one(self, attempt), std::slice::from_ref(sent)).await
    }

    async fn record_together(_: &Environment, calls: &[Joint<'_, Self>], sent: &[Sent]) -> Result<(), Fault> {
        write_down(&group::of(calls), sent).await
    }

    /// The message was refused for good, or nobody can tell and nobody will ask again: the row says so, and the answer
    /// costs nothing.
    async fn failed(&self, _: &Environment, attempt: &Attempt<'_>, fault: &Fault) -> Result<(), Fault> {
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        let failure = fault.failure();
        let (token, code) = (attempt.key(), twilio_code(failure));
        match messages::mark_refused(tx, &self.owner, &token, code, &failure.message, now).await {
            // It failed before it was meant to be sent.
            Ok(_) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(of_store(error)),
        }
        billing::release(tx, &self.owner, run, self.feature(), now)
            .await
            .map(drop)
            .map_err(of_store)
    }

    async fn undecided(&self, env: &Environment, _: &Attempt<'_>) -> Result<Undecided, Fault> {
        env.undecided(&self.owner).await
    }

    /// A status callback that carried our token proves it; else Twilio's list does, messages already ours left out.
    async fn reconcile(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Reconciled<Sent>, Fault> {
        let ours = messages::by_token(&env.database, &self.owner, &attempt.key())
            .await
            .map_err(of_store)?;
        if let Some((sid, message)) = ours.and_then(|message| Some((message.twilio_sid.clone()?, message))) {
            let status = message
                .status
                .map_or("queued", |status| status.as_str())
                .to_owned();
            return Ok(Reconciled::Happened(Sent::Accepted { sid, status }));
        }
        let wanted = ListMessages {
            to: Some(self.to.to_twilio()),
            from: self.service.is_none().then(|| self.from.to_twilio()),
            sent_after: attempt.intended_at().unwrap_or_else(|| attempt.now()),
        };
        let listed = env
            .twilio
            .list_messages(&env.at_twilio(&self.owner, &self.account).await?, &wanted)
            .await;
        let listed = listed.map_err(|error| Fault::retry("twilio_list", error.to_string()))?;
        let candidates: Vec<_> = listed
            .into_iter()
            .filter(|message| self.may_be(message))
            .collect();
        let sids: Vec<&str> = candidates.iter().map(|message| message.sid.as_str()).collect();
        let claimed = messages::claimed_sids(&env.database, &self.owner, &sids)
            .await
            .map_err(of_store)?;
        // The list is newest first; the oldest that nobody claims is ours.
        let found = candidates
            .into_iter()
            .rev()
            .find(|message| !claimed.contains(&message.sid));
        Ok(match found {
            Some(message) => Reconciled::Happened(Sent::Accepted {
                sid: message.sid,
                status: message.status,
            }),
            None => Reconciled::NoTrace,
        })
    }
}

impl Reply {
    /// Whether what Twilio lists may be this message. Of a template it lists what became of it, which we do not know:
    /// that it was sent through the API to this contact meanwhile must do, since nothing else of ours is.
    /// Through a messaging service it went through that one, and else through none.
    fn may_be(&self, listed: &twilio::Message) -> bool {
        listed.messaging_service_sid == self.service
            && match self.template {
                Some(_) => listed.direction == "outbound-api",
                None => !listed.is_inbound() && is_ours(&listed.body, &self.body),
            }
    }

    /// What it uses up of the plan.
    fn feature(&self) -> &'static str {
        match self.purpose {
            Purpose::Answer | Purpose::Notice => AGENT_ANSWERS,
            Purpose::Outreach => MESSAGES,
        }
    }

    /// What it is, in a word.
    fn kind(&self) -> &'static str {
        match (&self.template, self.media_urls.is_empty()) {
            (Some(_), _) => "template",
            (None, false) => "media",
            (None, true) => "text",
        }
    }

    /// What it has beside its text, for the books.
    fn form(&self) -> Option<String> {
        let form = match &self.template {
            Some(template) => serde_json::json!({ "template": template }),
            None if self.media_urls.is_empty() => return None,
            None => serde_json::json!({ "media_urls": self.media_urls }),
        };
        Some(form.to_string())
    }

    /// Twilio knows of a wish that we did not.
    async fn silence(&self, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        opt_outs::set(tx, &self.owner, &self.to, "twilio", now)
            .await
            .map_err(of_store)?;
        let told = "the contact has opted out at Twilio";
        messages::mark_refused(tx, &self.owner, &attempt.key(), None, told, now)
            .await
            .map(drop)
            .map_err(of_store)
    }

    /// The message of an earlier attempt: if that was refused for good, a person lets it be tried once more.
    async fn take_up_again(&self, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        let reopened = messages::reopen(tx, &self.owner, &attempt.key(), now).await;
        if !reopened.map_err(of_store)? || self.purpose == Purpose::Notice {
            return Ok(());
        }
        // What it gave back it must ask for.
        let request = billing::Request {
            run,
            feature: self.feature(),
            quantity: 1,
            contact: match self.purpose {
                Purpose::Outreach => &self.from,
                _ => &self.to,
            },
        };
        let grant = billing::reserve(tx, &self.owner, request, now).await;
        match grant.map_err(of_store)? {
            billing::Grant::Granted => Ok(()),
            billing::Grant::Refused { .. } => Err(Fault::fatal(
                "over_quota",
                "the plan is used up since the message was refused; nothing was sent",
            )),
        }
    }

    /// What forbids sending at `now`.
    fn forbidden(&self, reachable: Reachable, now: DateTime<Utc>) -> Option<Withheld> {
        let heard = reachable.heard_at;
        if reachable.opted_out {
            Some(Withheld::OptedOut)
        } else if self.purpose == Purpose::Answer && reachable.state == ConversationState::HumanHandoff {
            Some(Withheld::InHumanHands)
        } else if self.to.channel() == Channel::Whatsapp
            && self.template.is_none()
            && heard.is_none_or(|heard| now - heard > WINDOW)
        {
            Some(Withheld::OutsideWindow)
        } else {
            None
        }
    }
}

fn as_twilio(template: &Template) -> twilio::Template {
    let variables = serde_json::to_string(&template.variables).ok();
    twilio::Template {
        sid: template.sid.clone(),
        variables: variables.filter(|_| !template.variables.is_empty()),
    }
}

/// Whether Twilio lists our text. A trial account's texts get a sentence in front.
/// Source: <https://www.twilio.com/docs/usage/tutorials/how-to-use-your-free-trial-account>.
fn is_ours(listed: &str, ours: &str) -> bool {
    let (listed, ours) = (listed.trim(), ours.trim());
    listed == ours || (listed.starts_with("Sent from your Twilio trial account") && listed.ends_with(ours))
}

fn count(outcome: &'static str, code: u32) {
    let code = code_label(code);
    metrics::counter!("recado_sends_total", "outcome" => outcome, "code" => code).increment(1);
}
