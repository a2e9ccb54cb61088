//! A specialist answers, through a model.
use std::time::Duration;

use recado_clients::models::{Completion, ModelErrorClass, Role, Turn};
use recado_domain::{ConversationId, Direction, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use recado_store::{knowledge::Knowledge, messages};
use serde::{Deserialize, Serialize};

use crate::{Answer, Environment, burst, faults::of_store};

/// How much of the conversation the specialist is told.
const TURNS: u64 = 12;
/// What the model says when it does not know, so that a person is called.
const HANDOFF: &str = "HANDOFF";

/// Asks a specialist for an answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskSpecialist {
    /// Whose specialist.
    pub owner: OwnerId,
    /// The conversation, whose recent turns it is told.
    pub conversation: ConversationId,
    /// The specialist.
    pub specialist: String,
    /// What the contact says.
    pub text: String,
    /// What the contact said after that, to be answered with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
}

impl Activity<Environment> for AskSpecialist {
    const NAME: &'static str = "ask_specialist";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(Duration::from_millis(500))
        .up_to(2)
        .at_most(Duration::from_secs(5));
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Output = Answer;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Answer, Fault> {
        let knowledge = env.knowledge(&self.owner).await?;
        let completion = Completion {
            system: self.system(&knowledge),
            turns: self.turns(env).await?,
            json: false,
            max_tokens: 700,
        };
        let reply = env.complete(&self.owner, &completion).await.map_err(|error| {
            let class = match error.class() {
                ModelErrorClass::Refused => return Fault::fatal("model_refused", error.to_string()),
                ModelErrorClass::Busy => "model_busy",
                ModelErrorClass::Down => "model_down",
                ModelErrorClass::Garbage => "model_garbage",
            };
            Fault::retry(class, error.to_string())
        })?;
        if reply.text.trim_start().starts_with(HANDOFF) {
            let notice = knowledge.handoff_notice.clone();
            let reason = format!("the {} specialist asked for a person", self.specialist);
            return Ok(Answer::Person { notice, reason });
        }
        Ok(Answer::Text(reply.text))
    }
}

impl AskSpecialist {
    fn system(&self, knowledge: &Knowledge) -> String {
        let specialist = knowledge
            .specialists
            .iter()
            .find(|one| one.name == self.specialist);
        let instructions = specialist.map(|one| one.instructions.as_str());
        let known: Vec<_> = knowledge
            .questions
            .iter()
            .map(|question| format!("Q: {}\nA: {}", question.question, question.answer))
            .collect();
        format!(
            "You are the {} specialist of {} and answer its customers by WhatsApp and SMS, briefly, in the \
             language they write in (usually {}). {}\nUse only what you know from here; if that is not enough \
             to answer, say exactly {HANDOFF} and nothing else.\n\n{}",
            self.specialist,
            knowledge.name,
            knowledge.language,
            instructions.unwrap_or_default(),
            known.join("\n\n")
        )
    }

    /// The recent turns, ending with what the contact says now.
    async fn turns(&self, env: &Environment) -> Result<Vec<Turn>, Fault> {
        let most = TURNS + self.more.len() as u64;
        let recent = messages::recent_turns(&env.database, &self.owner, &self.conversation, most);
        let mut turns: Vec<Turn> = recent
            .await
            .map_err(of_store)?
            .into_iter()
            .filter(|message| !message.body.trim().is_empty())
            .map(|message| Turn {
                role: match message.direction {
                    Direction::Inbound => Role::User,
                    Direction::Outbound => Role::Assistant,
                },
                text: message.body,
            })
            .collect();
        // Messages of the burst that are not answered yet may be persisted already; what is answered now is one turn.
        let texts: Vec<&str> = burst::texts(&self.text, &self.more).collect();
        if let Some(first) = burst::beginning(&turns, &texts) {
            turns.truncate(first);
        }
        turns.push(Turn {
            role: Role::User,
            text: burst::text(&self.text, &self.more),
        });
        Ok(turns)
    }
}
