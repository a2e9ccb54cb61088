//! One provider's API.

use std::fmt;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, ResponseFormat,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::transport::Transport;
use super::{Completion, ModelError, Provider, Reply, Role, TokenLimit, Turn};
use crate::SetupError;
use crate::http::base_url;

/// OpenAI refuses to answer in JSON unless the word stands somewhere in the conversation.
const JSON_REMINDER: &str = "Answer with a single JSON object.";

/// A provider, ready to be asked.
pub(super) struct Endpoint {
    pub(super) provider: Provider,
    client: Client<Address>,
}

impl Endpoint {
    pub(super) fn new(provider: Provider, http: reqwest::Client) -> Result<Self, SetupError> {
        let address = Address::new(&provider)?;
        let transport = Transport {
            provider: provider.name.clone(),
            http: http.clone(),
        };
        Ok(Self {
            provider,
            client: Client::build(http, address).with_http_service(transport),
        })
    }

    /// Asks once.
    pub(super) async fn ask(&self, completion: &Completion) -> Result<Reply, ModelError> {
        let name = &self.provider.name;
        let asked = self.client.chat().create_byot(self.request(completion)).await;
        let answer: Value = asked.map_err(|error| ModelError::from_openai(name, error))?;
        super::answer::reply(&answer, name, &self.provider.model, completion.json).map_err(|reason| {
            ModelError::Garbage {
                provider: name.clone(),
                reason,
            }
        })
    }

    #[expect(
        deprecated,
        reason = "max_tokens is what servers other than OpenAI's understand"
    )]
    fn request(&self, completion: &Completion) -> CreateChatCompletionRequest {
        let (max_tokens, max_completion_tokens) = match self.provider.limit {
            TokenLimit::MaxTokens => (Some(completion.max_tokens), None),
            TokenLimit::MaxCompletionTokens => (None, Some(completion.max_tokens)),
        };
        CreateChatCompletionRequest {
            model: self.provider.model.clone(),
            messages: messages(completion),
            response_format: completion.json.then_some(ResponseFormat::JsonObject),
            max_tokens,
            max_completion_tokens,
            ..Default::default()
        }
    }
}

fn messages(completion: &Completion) -> Vec<ChatCompletionRequestMessage> {
    let mut system = completion.system.clone();
    if completion.json && !system.to_ascii_lowercase().contains("json") {
        system = [system.as_str(), JSON_REMINDER]
            .join("\n")
            .trim_start()
            .to_owned();
    }
    let system = (!system.is_empty()).then(|| ChatCompletionRequestSystemMessage::from(system).into());
    system
        .into_iter()
        .chain(completion.turns.iter().map(message))
        .collect()
}

fn message(turn: &Turn) -> ChatCompletionRequestMessage {
    let text = turn.text.as_str();
    match turn.role {
        Role::User => ChatCompletionRequestUserMessage::from(text).into(),
        Role::Assistant => ChatCompletionRequestAssistantMessage::from(text).into(),
    }
}

/// Where the API is and what proves who we are. async-openai's own configuration would read the environment, and
/// panic at a key that fits no header.
struct Address {
    base: String,
    api_key: SecretString,
    authorization: Option<HeaderValue>,
}

impl Address {
    fn new(provider: &Provider) -> Result<Self, SetupError> {
        let base = base_url(&provider.base_url, &provider.name)?;
        let api_key = provider.api_key.clone().unwrap_or_default();
        let authorization = provider
            .api_key
            .as_ref()
            .map(|key| bearer(key, &provider.name))
            .transpose()?;
        Ok(Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            api_key,
            authorization,
        })
    }
}

fn bearer(key: &SecretString, whose: &str) -> Result<HeaderValue, SetupError> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| SetupError::ApiKey {
            whose: whose.to_owned(),
        })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Config for Address {
    fn headers(&self) -> HeaderMap {
        self.authorization
            .iter()
            .map(|value| (AUTHORIZATION, value.clone()))
            .collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.api_key
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.provider).finish()
    }
}
