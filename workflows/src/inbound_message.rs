//! One message from a contact, from the webhook to the answer; the first of a burst is answered with all of it.
use std::time::Duration;

use chrono::{DateTime, Utc};
use recado_activities::{
    Answer, Arrival, AskSpecialist, CheckBilling, Environment, Grant, HandOff, HandedOff, Owner, Persist,
    Purpose, ReleaseMerged, Reply, ResolveOwner, RouteAgent, Sent, ShowTyping, Transcribe, Way, Withheld,
};
use recado_domain::{Address, Channel, ConversationId, ConversationState, text};
use recado_engine::{Activity, Context, Fault, Outcome, Patience, Workflow};
use serde::{Deserialize, Serialize};

use crate::{
    Ending,
    attachments::{Attachments, Heard, Trouble},
    letter::{Letter, Step},
};

/// The longest part of an answer, in characters; Twilio refuses more than 1600.
const PART: usize = 1500;
/// What is longer, in bytes, is answered by itself.
const LONGEST_LINE: usize = 16 * 1024;
/// How often a call of a model is dropped because the contact has written more: who never stops typing gets an answer.
const SUPERSEDED: u32 = 3;
/// A contact who goes on writing is waited for as long as so many quiet periods,
const QUIET_PERIODS: u32 = 5;
/// and no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A message that a contact sent us. The addresses are as Twilio wrote them: one that we cannot read parks the run.
#[derive(Debug, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The Twilio account that it came in on.
    pub account: String,
    /// Twilio's id of it.
    pub sid: String,
    /// The messaging service that our address belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The contact's address.
    pub from: String,
    /// Our address.
    pub to: String,
    /// What it says.
    #[serde(default)]
    pub body: String,
    /// How many attachments it has.
    #[serde(default)]
    pub media: u32,
    /// The name that the contact shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// Where Twilio itself saw an opt-out word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out_type: Option<String>,
    /// When Twilio took it, where that was long before we were told; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<DateTime<Utc>>,
    /// The whole form as it came.
    pub form: Vec<(String, String)>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reception {
    /// An agent answered.
    Answered,
    /// A person will answer; the contact was told.
    HandedOver,
    /// The conversation is in the hands of people, who see the message.
    LeftToPeople,
    /// The plan does not allow an answer.
    Refused,
    /// The contact asked not to be written to, or to be again; Twilio answers that itself.
    Silent,
    /// All that it holds could not be read: a voice note, a file. The contact was told.
    Unread,
    /// There was an answer, and nobody can tell whether it was sent; its owner, or a person, gave it up.
    GivenUp,
    /// There was an answer, and at the moment of sending something forbade it.
    Withheld(Withheld),
    /// It was answered together with an earlier message of the contact.
    Merged {
        /// The run that answers for it.
        into: String,
    },
}

impl Outcome for Reception {
    fn word(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::HandedOver => "handed_over",
            Self::LeftToPeople => "left_to_people",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Unread => "unread",
            Self::GivenUp => "given_up",
            Self::Withheld(_) => "withheld",
            Self::Merged { .. } => "merged",
        }
    }
}

impl Workflow for InboundMessage {
    const NAME: &'static str = "inbound_message";
    type Output = Reception;

    async fn run(self, ctx: &mut Context) -> Result<Reception, Fault> {
        let (ours, theirs) = (address("To", &self.to)?, address("From", &self.from)?);
        let resolve = ResolveOwner {
            account: self.account.clone(),
            to: ours.clone(),
            service: self.service.clone(),
        };
        let owner = ctx.run(resolve).await?;
        ctx.tag_owner(owner.id.as_str());
        let grant = ctx
            .run(CheckBilling {
                owner: owner.id.clone(),
                contact: theirs.clone(),
            })
            .await?;
        let arrival = ctx.run(self.persist(&owner, &ours, &theirs)).await?;
        let heard = self.read(ctx, &owner, &theirs, &arrival, grant).await?;
        let text = ctx.run(Transcribe { body: heard.text }).await?;
        let reception = Receive {
            account: self.account,
            sid: self.sid,
            owner,
            ours,
            theirs,
            arrival,
            text,
            trouble: heard.trouble,
            more: Vec::new(),
        };
        match reception.line(grant) {
            Some(line) => ctx.enter_lane_with(&line).await?,
            None => ctx.enter_lane().await?,
        }
        reception.answer(ctx, grant).await
    }
}

impl InboundMessage {
    /// The key that names the run of a message for ever.
    pub fn key(account: &str, sid: &str) -> String {
        format!("{account}:{sid}")
    }

    /// The lane in whose order messages are answered: who writes to whom, as the webhook says.
    pub fn lane(&self) -> String {
        format!("{}/{}/{}", self.account, self.to, self.from)
    }

    /// What the message says, with what is attached to it.
    async fn read(
        &self,
        ctx: &mut Context,
        owner: &Owner,
        theirs: &Address,
        arrival: &Arrival,
        grant: Grant,
    ) -> Result<Heard, Fault> {
        let said = arrival.said.as_ref().unwrap_or(&self.body);
        if self.media == 0 || !ctx.version("media").await {
            return Ok(Heard {
                text: said.clone(),
                trouble: None,
            });
        }
        let attachments = Attachments {
            owner: &owner.id,
            account: &self.account,
            message: &arrival.message,
            contact: theirs,
            form: &self.form,
            said,
            listen: grant == Grant::Granted && arrival.opt_out.is_none(),
        };
        attachments.read(ctx).await
    }

    fn persist(&self, owner: &Owner, ours: &Address, theirs: &Address) -> Persist {
        Persist {
            owner: owner.id.clone(),
            sid: self.sid.clone(),
            from: theirs.clone(),
            to: ours.clone(),
            body: self.body.clone(),
            media: self.media,
            profile_name: self.profile_name.clone(),
            opt_out_type: self.opt_out_type.clone(),
            received_at: self.received_at,
            form: self.form.clone(),
        }
    }
}

fn address(field: &str, text: &str) -> Result<Address, Fault> {
    Address::parse(text).map_err(|error| Fault::fatal("unsupported_address", format!("{field}: {error}")))
}

/// What a message adds to the answer to an earlier one of its contact.
#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
    /// Where it stands in the books.
    conversation: ConversationId,
}

/// Whether a call may be dropped because the contact has written more.
#[derive(Clone, Copy)]
enum Call {
    Droppable,
    Firm,
}

/// A message that is in the books and has its turn.
struct Receive {
    account: String,
    sid: String,
    owner: Owner,
    ours: Address,
    theirs: Address,
    arrival: Arrival,
    text: String,
    /// What of it could not be read.
    trouble: Option<Trouble>,
    /// Later messages that are answered with it.
    more: Vec<String>,
}

impl Receive {
    /// What the message offers to whoever answers before its turn; nothing where no agent would be asked, so that it
    /// gets what is its own: silence, a notice, or people.
    fn line(&self, grant: Grant) -> Option<Line> {
        let asks = self.arrival.opt_out.is_none()
            && grant == Grant::Granted
            && self.arrival.state != ConversationState::HumanHandoff
            && self.trouble.is_none()
            && !self.text.is_empty()
            && self.text.len() <= LONGEST_LINE;
        asks.then(|| Line {
            text: self.text.clone(),
            conversation: self.arrival.conversation.clone(),
        })
    }

    async fn answer(mut self, ctx: &mut Context, grant: Grant) -> Result<Reception, Fault> {
        if self.arrival.opt_out.is_some() {
            return Ok(Reception::Silent);
        }
        if let Grant::Refused { notice } = grant {
            if notice {
                self.send(ctx, &self.owner.notice_over_quota, Purpose::Notice)
                    .await?;
            }
            return Ok(Reception::Refused);
        }
        if self.arrival.state == ConversationState::HumanHandoff {
            return Ok(Reception::LeftToPeople);
        }
        let Some(trouble) = self.trouble else {
            return self.answer_text(ctx).await;
        };
        let notice = trouble.notice(&self.owner.language);
        if self.text.is_empty() {
            let told = self.send(ctx, notice, Purpose::Notice).await?;
            return Ok(told.unless_sent().unwrap_or(Reception::Unread));
        }
        // What could be read is answered first; that answer is what the plan counts.
        let reception = self.answer_text(ctx).await?;
        if matches!(reception, Reception::Answered | Reception::HandedOver) {
            self.send(ctx, notice, Purpose::Notice).await?;
        }
        Ok(reception)
    }

    async fn answer_text(&mut self, ctx: &mut Context) -> Result<Reception, Fault> {
        if self.owner.typing && self.theirs.channel() == Channel::Whatsapp {
            let (owner, account) = (self.owner.id.clone(), self.account.clone());
            let sid = self.sid.clone();
            ctx.run(ShowTyping { owner, account, sid }).await?;
        }
        match self.find_answer(ctx).await? {
            Answer::Text(text) => {
                let told = self.send(ctx, &text, Purpose::Answer).await?;
                Ok(told.unless_sent().unwrap_or(Reception::Answered))
            }
            Answer::Person { notice, reason } => {
                let (owner, conversation) = (self.owner.id.clone(), self.arrival.conversation.clone());
                let hand_off = HandOff {
                    owner,
                    conversation,
                    reason,
                };
                // An earlier message of a burst has announced it.
                if ctx.run(hand_off).await? == HandedOff::Before {
                    return Ok(Reception::LeftToPeople);
                }
                self.send(ctx, &notice, Purpose::Notice).await?;
                Ok(Reception::HandedOver)
            }
        }
    }

    /// What the contact is told: asked for again with all that the contact has written meanwhile, a few times at most.
    async fn find_answer(&mut self, ctx: &mut Context) -> Result<Answer, Fault> {
        // No model reads a message without words.
        if self.text.is_empty() {
            return self.ask_offline(ctx).await;
        }
        let mut superseded = 0;
        loop {
            self.gather(ctx).await?;
            let call = if superseded < SUPERSEDED {
                Call::Droppable
            } else {
                Call::Firm
            };
            if let Some(answer) = self.ask_models(ctx, call).await? {
                return Ok(answer);
            }
            superseded += 1;
        }
    }

    /// Takes along what the contact has written since, once it is quiet.
    async fn gather(&mut self, ctx: &mut Context) -> Result<(), Fault> {
        let quiet = Duration::from_millis(self.owner.quiet_ms);
        let patience = Patience {
            quiet,
            at_most: (quiet * QUIET_PERIODS).min(LONGEST_WAIT),
        };
        let into = ctx.run_id().to_string();
        let gathered = ctx.gather::<Line>(patience, &Reception::Merged { into }).await?;
        let Some(last) = gathered.last() else {
            return Ok(());
        };
        self.arrival.conversation = last.offer.conversation.clone();
        let (runs, lines): (Vec<_>, Vec<_>) =
            gathered.into_iter().map(|one| (one.run, one.offer.text)).unzip();
        self.more.extend(lines);
        let owner = self.owner.id.clone();
        ctx.run(ReleaseMerged { owner, runs }).await
    }

    /// The routing agent's choice; then the specialist, and where the models fail, the offline agent. `None` if the
    /// contact wrote more before they had answered.
    async fn ask_models(&self, ctx: &mut Context, call: Call) -> Result<Option<Answer>, Fault> {
        let Some(routed) = ask(ctx, self.route(Way::Usual), call).await? else {
            return Ok(None);
        };
        if routed.answer.is_some() {
            return Ok(routed.answer);
        }
        let asked = AskSpecialist {
            owner: self.owner.id.clone(),
            conversation: self.arrival.conversation.clone(),
            specialist: routed.specialist,
            text: self.text.clone(),
            more: self.more.clone(),
        };
        match ask(ctx, asked, call).await {
            Err(fault) if !matches!(fault, Fault::Cancelled { .. }) => self.ask_offline(ctx).await.map(Some),
            answer => answer,
        }
    }

    async fn ask_offline(&self, ctx: &mut Context) -> Result<Answer, Fault> {
        let offline = ctx.run(self.route(Way::Offline)).await?;
        offline
            .answer
            .ok_or_else(|| Fault::fatal("no_answer", "the offline agent did not answer"))
    }

    fn route(&self, way: Way) -> RouteAgent {
        RouteAgent {
            owner: self.owner.id.clone(),
            conversation: self.arrival.conversation.clone(),
            text: self.text.clone(),
            more: self.more.clone(),
            way,
        }
    }

    /// Sends a text in as many parts as it needs, in order.
    async fn send(&self, ctx: &mut Context, body: &str, purpose: Purpose) -> Result<Delivery, Fault> {
        let mut parts = text::split(body, PART).into_iter();
        let Some(body) = parts.next() else {
            return Ok(Delivery::Sent);
        };
        let first = Reply {
            owner: self.owner.id.clone(),
            account: self.account.clone(),
            conversation: self.arrival.conversation.clone(),
            contact: self.arrival.contact.clone(),
            from: self.ours.clone(),
            service: None,
            to: self.theirs.clone(),
            body,
            media_urls: Vec::new(),
            template: None,
            part: 0,
            purpose,
        };
        // Who goes by no other id goes by the number.
        let phone = self.theirs.phone().map(ToString::to_string);
        let mut letter = Letter::new(first, parts, phone.unwrap_or_default());
        while let Some(step) = letter.next(ctx).await? {
            match step {
                Step::Part(Ok(Sent::Accepted { .. })) => {}
                Step::Part(Ok(Sent::Withheld(why))) => return Ok(Delivery::Withheld(why)),
                Step::Part(Err(fault)) if fault.is_given_up() => return Ok(Delivery::GivenUp),
                Step::Part(Err(fault)) => return Err(fault),
                Step::Sms(sms) if sms.ending == Ending::Sent => return Ok(Delivery::Sent),
                Step::Sms(sms) if sms.ending == Ending::GivenUp => return Ok(Delivery::GivenUp),
                // The SMS did not go either; its own run says why.
                Step::Sms(_) | Step::Part(Ok(Sent::Elsewhere { .. })) => {
                    return Ok(Delivery::Withheld(Withheld::OutsideWindow));
                }
            }
        }
        Ok(Delivery::Sent)
    }
}

/// What became of a text.
enum Delivery {
    Sent,
    Withheld(Withheld),
    GivenUp,
}

impl Delivery {
    /// What became of the message, where the text was not sent.
    fn unless_sent(self) -> Option<Reception> {
        match self {
            Self::Sent => None,
            Self::Withheld(Withheld::InHumanHands) => Some(Reception::LeftToPeople),
            Self::Withheld(why) => Some(Reception::Withheld(why)),
            Self::GivenUp => Some(Reception::GivenUp),
        }
    }
}

async fn ask<A: Activity<Environment>>(
    ctx: &mut Context,
    activity: A,
    call: Call,
) -> Result<Option<A::Output>, Fault> {
    match call {
        Call::Droppable => ctx.run_unless_followed(activity).await,
        Call::Firm => ctx.run(activity).await.map(Some),
    }
}
