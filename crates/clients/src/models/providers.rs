//! Asks the providers in order, until one answers.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Instrument, field, warn};

use super::breaker::Breaker;
use super::endpoint::Endpoint;
use super::{Completion, ModelError, Provider, Reply};
use crate::{SetupError, http};

/// The providers, the preferred one first. Cheap to clone; clones share connections and circuit breakers.
#[derive(Debug, Clone)]
pub struct Providers {
    all: Arc<[Guarded]>,
}

#[derive(Debug)]
struct Guarded {
    endpoint: Endpoint,
    breaker: Breaker,
}

impl Providers {
    /// The providers in the order they are to be asked; none at all is allowed. Each request may take
    /// `request_timeout`, so that a completion takes at most that times the number of providers.
    ///
    /// # Errors
    /// [`SetupError`], naming the provider.
    pub fn new(providers: Vec<Provider>, request_timeout: Duration) -> Result<Self, SetupError> {
        let http = http(request_timeout)?;
        let guarded = |provider| Endpoint::new(provider, http.clone()).map(Guarded::new);
        Ok(Self {
            all: providers.into_iter().map(guarded).collect::<Result<_, _>>()?,
        })
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The providers' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all
            .iter()
            .map(|guarded| guarded.endpoint.provider.name.as_str())
    }

    /// The first useful answer. Each provider is asked at most once; one that failed three times in a row is passed
    /// over for 30 seconds.
    ///
    /// # Errors
    /// If none answers, the [`ModelError`] that promises most: busy before down before garbage before refused, and
    /// within a class the shortest wait. [`ModelError::NoProvider`] if there is none.
    pub async fn complete(&self, completion: &Completion) -> Result<Reply, ModelError> {
        let mut failures = Vec::new();
        for guarded in self.all.iter() {
            match guarded.ask(completion).await {
                Ok(reply) => return Ok(reply),
                Err(error) => failures.push(error),
            }
        }
        Err(most_promising(failures))
    }
}

impl Guarded {
    const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            breaker: Breaker::new(),
        }
    }

    async fn ask(&self, completion: &Completion) -> Result<Reply, ModelError> {
        let permit = self
            .breaker
            .admit(Instant::now())
            .map_err(|rest| self.resting(rest))?;
        let asked = Instant::now();
        let provider = &self.endpoint.provider.name;
        let span = tracing::info_span!(target: "recado::trace", "model", otel.name = format!("model {provider}"), otel.kind = "client", provider, result = field::Empty, error = field::Empty);
        let answer = self.endpoint.ask(completion).instrument(span.clone()).await;
        match &answer {
            Ok(_) => span.record("result", "ok"),
            Err(error) => span
                .record("result", error.class().as_str())
                .record("error", true),
        };
        drop(span);
        self.count(asked, &answer);
        match &answer {
            Ok(_) => permit.succeeded(),
            Err(error) if error.is_about_the_request() => permit.succeeded(),
            Err(_) => permit.failed(Instant::now()),
        }
        if let Err(error) = &answer {
            // Here, because of several failures the caller sees only one.
            warn!(%error, "a model provider gave no answer");
        }
        answer
    }

    fn count(&self, asked: Instant, answer: &Result<Reply, ModelError>) {
        let provider = &self.endpoint.provider.name;
        let result = answer
            .as_ref()
            .map_or_else(|error| error.class().as_str(), |_| "ok");
        metrics::histogram!("recado_model_seconds", "provider" => provider.clone(), "result" => result)
            .record(asked.elapsed().as_secs_f64());
        if let Ok(reply) = answer {
            for (kind, tokens) in [
                ("prompt", reply.prompt_tokens),
                ("completion", reply.completion_tokens),
            ] {
                metrics::counter!("recado_model_tokens_total", "provider" => provider.clone(), "kind" => kind)
                    .increment(tokens.into());
            }
        }
    }

    fn resting(&self, rest: Duration) -> ModelError {
        ModelError::Down {
            provider: self.endpoint.provider.name.clone(),
            reason: "resting after repeated failures".to_owned(),
            retry_after: Some(rest),
        }
    }
}

fn most_promising(failures: Vec<ModelError>) -> ModelError {
    let promise = |error: &ModelError| (Reverse(error.class()), error.retry_after().unwrap_or_default());
    failures
        .into_iter()
        .min_by_key(promise)
        .unwrap_or(ModelError::NoProvider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(seconds: u64) -> ModelError {
        ModelError::Busy {
            provider: "p".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn the_failure_that_promises_most_is_told() {
        let refused = ModelError::Refused {
            provider: "p".to_owned(),
            status: 401,
            code: None,
        };
        let garbage = ModelError::Garbage {
            provider: "p".to_owned(),
            reason: "r",
        };
        let down = ModelError::Down {
            provider: "p".to_owned(),
            reason: "r".to_owned(),
            retry_after: None,
        };
        assert_eq!(most_promising(vec![refused.clone(), garbage.clone()]), garbage);
        assert_eq!(most_promising(vec![garbage, down.clone(), refused]), down);
        assert_eq!(most_promising(vec![down, busy(9), busy(2)]), busy(2));
        assert_eq!(most_promising(Vec::new()), ModelError::NoProvider);
    }

    #[test]
    fn a_provider_that_is_set_up_wrongly_is_named() {
        let wrong_url = Provider {
            base_url: "nowhere".to_owned(),
            ..crate::models::Vendor::Groq.provider(None)
        };
        let error = Providers::new(vec![wrong_url], Duration::from_secs(1)).expect_err("refused");
        assert!(error.to_string().contains("groq"), "{error}");
        let wrong_key = crate::models::Vendor::OpenAi.provider(Some("line\nbreak".into()));
        let error = Providers::new(vec![wrong_key], Duration::from_secs(1)).expect_err("refused");
        assert!(
            error.to_string().contains("openai") && !error.to_string().contains("break"),
            "{error}"
        );
    }
}
