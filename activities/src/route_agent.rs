//! Who answers? The routing agent picks one of the owner's specialists; without a model the offline agent answers at once.
use recado_clients::models::{Completion, Role, Turn};
use recado_domain::{ConversationId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use recado_store::knowledge::{Knowledge, Specialist};
use serde::{Deserialize, Serialize};

use crate::{Environment, burst, offline_agent};

/// Below this confidence the model's choice is not taken.
const CONFIDENT: f64 = 0.6;
/// Who answers when nobody in particular is meant.
const GENERAL: &str = "general";

/// Picks who answers a message.
#[derive(Debug, Serialize, Deserialize)]
pub struct RouteAgent {
    /// Whose agents.
    pub owner: OwnerId,
    /// The conversation that the message belongs to.
    pub conversation: ConversationId,
    /// What the contact says.
    pub text: String,
    /// What the contact said after that, to be answered with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
    /// Whether a model may be asked.
    #[serde(default)]
    pub way: Way,
}

/// How the agent is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By a model where there is one.
    #[default]
    Usual,
    /// By the offline agent: the models have failed.
    Offline,
}

/// Who answers, and why.
#[derive(Debug, Serialize, Deserialize)]
pub struct Routed {
    /// The specialist.
    pub specialist: String,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// Why it was chosen, for the one who looks at the run.
    pub reason: String,
    /// The offline agent's answer; `None` where the specialist is to be asked.
    pub answer: Option<Answer>,
}

/// What a contact is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An answer.
    Text(String),
    /// Nobody here knows: a person will answer, and this is how the contact is told.
    Person {
        /// What the contact is told.
        notice: String,
        /// Why, for the person.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Choice {
    specialist: String,
    confidence: f64,
    #[serde(default)]
    reason: String,
}

impl Activity<Environment> for RouteAgent {
    const NAME: &'static str = "route_agent";
    const EFFECT: Effect = Effect::Pure;
    const RETRY: Retry = Retry::exponential(std::time::Duration::from_secs(1)).up_to(5);
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
    type Output = Routed;

    async fn run(&self, env: &Environment, _: &Attempt<'_>) -> Result<Routed, Fault> {
        let knowledge = env.knowledge(&self.owner).await?;
        let known = &knowledge.specialists;
        let by_keywords = offline_agent::route(&burst::text(&self.text, &self.more), known);
        let (specialist, confidence) = by_keywords.clone().unwrap_or_else(|| (GENERAL.to_owned(), 0.3));
        if self.way == Way::Offline || env.models.is_empty() {
            // No model is asked about a message without words.
            if !(env.models.is_empty() || self.text.is_empty()) {
                fell_back("ask_specialist");
            }
            let reason = format!("{}; the offline agent answers", told(by_keywords.as_ref()));
            let answer = Some(self.offline_answer(&knowledge));
            return Ok(Routed {
                specialist,
                confidence,
                reason,
                answer,
            });
        }
        match self.ask(env, known).await {
            Ok(choice)
                if choice.confidence >= CONFIDENT
                    && known.iter().any(|one| one.name == choice.specialist) =>
            {
                let Choice {
                    specialist,
                    confidence,
                    reason,
                } = choice;
                Ok(Routed {
                    specialist,
                    confidence,
                    reason,
                    answer: None,
                })
            }
            Ok(choice) => {
                let reason = format!(
                    "the model said {} with confidence {:.2}; {}",
                    choice.specialist,
                    choice.confidence,
                    told(by_keywords.as_ref())
                );
                Ok(Routed {
                    specialist,
                    confidence,
                    reason,
                    answer: None,
                })
            }
            Err(error) => {
                fell_back(Self::NAME);
                let reason = format!(
                    "{error}; {}; the offline agent answers",
                    told(by_keywords.as_ref())
                );
                let answer = Some(self.offline_answer(&knowledge));
                Ok(Routed {
                    specialist,
                    confidence,
                    reason,
                    answer,
                })
            }
        }
    }
}

impl RouteAgent {
    fn offline_answer(&self, knowledge: &Knowledge) -> Answer {
        let texts: Vec<&str> = burst::texts(&self.text, &self.more).collect();
        let (known, all) = offline_agent::answers(&texts, &knowledge.questions);
        if all {
            return Answer::Text(known.join("\n\n"));
        }
        Answer::Person {
            // What is known is told, and a person sees to the rest.
            notice: known
                .into_iter()
                .chain([knowledge.handoff_notice.as_str()])
                .collect::<Vec<_>>()
                .join("\n\n"),
            reason: "no known question is asked".to_owned(),
        }
    }

    async fn ask(&self, env: &Environment, known: &[Specialist]) -> Result<Choice, String> {
        let list: Vec<_> = known
            .iter()
            .map(|one| format!("- {}: {}", one.name, one.keywords.join(", ")))
            .collect();
        let system = format!(
            "You route a customer's message to one specialist. Answer with one JSON object: \
             {{\"specialist\": name, \"confidence\": 0..1, \"reason\": one short sentence}}.\nSpecialists:\n{}",
            list.join("\n")
        );
        let turns = vec![Turn {
            role: Role::User,
            text: burst::text(&self.text, &self.more),
        }];
        let completion = Completion {
            system,
            turns,
            json: true,
            max_tokens: 200,
        };
        let reply = env
            .complete(&self.owner, &completion)
            .await
            .map_err(|error| error.to_string())?;
        serde_json::from_str(&reply.text).map_err(|_| "the model did not name a specialist".to_owned())
    }
}

/// Counts that the offline agent stands in, because `step` found no model that answers.
fn fell_back(step: &'static str) {
    metrics::counter!("recado_model_fallbacks_total", "step" => step).increment(1);
}

fn told(by_keywords: Option<&(String, f64)>) -> String {
    match by_keywords {
        Some((name, _)) => format!("keywords point to {name}"),
        None => "no keyword matched".to_owned(),
    }
}
