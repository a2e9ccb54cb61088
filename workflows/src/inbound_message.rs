//! One message from a contact, from the webhook to the answer.
use recado_activities::{
    Answer, Arrival, AskSpecialist, CheckBilling, Grant, HandOff, HandedOff, Owner, Persist, Purpose, Reply,
    ResolveOwner, RouteAgent, Sent, Transcribe, Way, Withheld,
};
use recado_domain::{Address, ConversationState, text};
use recado_engine::{Context, Fault, Outcome, Workflow};
use serde::{Deserialize, Serialize};

/// The longest part of an answer, in characters; Twilio refuses more than 1600.
const PART: usize = 1500;

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
    /// There was an answer, and nobody can tell whether it was sent; its owner, or a person, gave it up.
    GivenUp,
    /// There was an answer, and at the moment of sending something forbade it.
    Withheld(Withheld),
}

impl Outcome for Reception {
    fn word(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::HandedOver => "handed_over",
            Self::LeftToPeople => "left_to_people",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::GivenUp => "given_up",
            Self::Withheld(_) => "withheld",
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
        let text = ctx
            .run(Transcribe {
                body: self.body.clone(),
            })
            .await?;
        ctx.enter_lane().await?;
        let reception = Receive {
            account: self.account,
            owner,
            ours,
            theirs,
            arrival,
            text,
        };
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
            form: self.form.clone(),
        }
    }
}

fn address(field: &str, text: &str) -> Result<Address, Fault> {
    Address::parse(text).map_err(|error| Fault::fatal("unsupported_address", format!("{field}: {error}")))
}

/// A message that is in the books and has its turn.
struct Receive {
    account: String,
    owner: Owner,
    ours: Address,
    theirs: Address,
    arrival: Arrival,
    text: String,
}

impl Receive {
    async fn answer(self, ctx: &mut Context, grant: Grant) -> Result<Reception, Fault> {
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
        match self.find_answer(ctx).await? {
            Answer::Text(text) => Ok(match self.send(ctx, &text, Purpose::Answer).await? {
                Delivery::Sent => Reception::Answered,
                Delivery::Withheld(Withheld::InHumanHands) => Reception::LeftToPeople,
                Delivery::Withheld(why) => Reception::Withheld(why),
                Delivery::GivenUp => Reception::GivenUp,
            }),
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

    /// The routing agent's choice; then the specialist, and where the models fail, the offline agent.
    async fn find_answer(&self, ctx: &mut Context) -> Result<Answer, Fault> {
        // No model reads a message without words.
        let way = if self.text.is_empty() {
            Way::Offline
        } else {
            Way::Usual
        };
        let routed = ctx.run(self.route(way)).await?;
        if let Some(answer) = routed.answer {
            return Ok(answer);
        }
        let asked = AskSpecialist {
            owner: self.owner.id.clone(),
            conversation: self.arrival.conversation.clone(),
            specialist: routed.specialist,
            text: self.text.clone(),
        };
        if let Ok(answer) = ctx.run(asked).await {
            return Ok(answer);
        }
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
            way,
        }
    }

    /// Sends a text in as many parts as it needs, in order.
    async fn send(&self, ctx: &mut Context, body: &str, purpose: Purpose) -> Result<Delivery, Fault> {
        for (part, body) in text::split(body, PART).into_iter().enumerate() {
            let reply = Reply {
                owner: self.owner.id.clone(),
                account: self.account.clone(),
                conversation: self.arrival.conversation.clone(),
                contact: self.arrival.contact.clone(),
                from: self.ours.clone(),
                to: self.theirs.clone(),
                body,
                part: part as u32,
                purpose,
            };
            match ctx.run(reply).await {
                Ok(Sent::Accepted { .. }) => {}
                Ok(Sent::Withheld(why)) => return Ok(Delivery::Withheld(why)),
                Err(fault) if fault.is_given_up() => return Ok(Delivery::GivenUp),
                Err(fault) => return Err(fault),
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
