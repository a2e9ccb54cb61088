//! A request as it came over the wire, parsed by hand.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use poem::Request;
use poem::http::{Method, header};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::entry::{Entry, RequestRecord};
use crate::multipart::{self, Part};
use crate::state::State;

/// Large enough for a long conversation with a model, and for a recording of the largest size beside its form.
const BODY_LIMIT: usize = 17 * 1024 * 1024;

type Pairs = Vec<(String, String)>;

/// A request with everything that the routes look at.
pub(crate) struct Raw {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Pairs,
    pub(crate) form: Pairs,
    pub(crate) json: Option<Value>,
    pub(crate) basic: Option<(String, SecretString)>,
    pub(crate) body: Vec<u8>,
    /// Of `multipart/form-data`; its texts are in `form` too.
    pub(crate) parts: Vec<Part>,
    /// Whether it brings credentials of any kind.
    pub(crate) is_authorised: bool,
    content_type: String,
}

impl Raw {
    /// Reads a request to its end.
    ///
    /// # Errors
    /// If the body is too large or breaks off.
    pub(crate) async fn read(mut request: Request) -> poem::Result<Self> {
        let body = request.take_body().into_bytes_limit(BODY_LIMIT).await?.to_vec();
        let content_type = request.content_type().unwrap_or_default().to_owned();
        let pairs = |bytes: &[u8]| serde_urlencoded::from_bytes::<Pairs>(bytes).unwrap_or_default();
        let form = content_type.starts_with("application/x-www-form-urlencoded");
        let json = content_type.starts_with("application/json");
        let parts = multipart::parts(&content_type, &body);
        let texts = parts.iter().filter(|part| part.file_name.is_none());
        let texts = texts.map(|part| {
            (
                part.name.clone(),
                String::from_utf8_lossy(&part.bytes).into_owned(),
            )
        });
        Ok(Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: pairs(request.uri().query().unwrap_or_default().as_bytes()),
            form: if form { pairs(&body) } else { texts.collect() },
            json: json.then(|| serde_json::from_slice(&body).ok()).flatten(),
            basic: request.header(header::AUTHORIZATION).and_then(parse_basic),
            is_authorised: request.header(header::AUTHORIZATION).is_some(),
            body,
            parts,
            content_type,
        })
    }

    /// Whether the body is said to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.content_type.starts_with("application/json")
    }

    /// What the body is said to be.
    pub(crate) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The value of a form field that is not empty.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        first(&self.form, name).filter(|value| !value.is_empty())
    }

    /// All values of a form field.
    pub(crate) fn fields(&self, name: &str) -> Vec<String> {
        let all = self.form.iter().filter(|(key, _)| key == name);
        all.map(|(_, value)| value.clone()).collect()
    }

    /// Writes the request to the book.
    ///
    /// # Errors
    /// If the book cannot be written.
    pub(crate) fn record(&self, state: &State) -> std::io::Result<()> {
        let params = self.json.clone().unwrap_or_else(|| self.to_object());
        let record = RequestRecord {
            at: Utc::now(),
            method: self.method.to_string(),
            path: self.path.clone(),
            params,
        };
        state.book.append(vec![Entry::Request(Arc::new(record))])
    }

    /// Query and form; a repeated key becomes an array.
    fn to_object(&self) -> Value {
        let mut object = Map::new();
        for (key, value) in self.query.iter().chain(&self.form) {
            let value = Value::String(value.clone());
            match object.get_mut(key) {
                None => {
                    object.insert(key.clone(), value);
                }
                Some(Value::Array(all)) => all.push(value),
                Some(one) => *one = Value::Array(vec![one.take(), value]),
            }
        }
        Value::Object(object)
    }
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn parse_basic(header: &str) -> Option<(String, SecretString)> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), SecretString::from(password)))
}
