//! What a campaign says to everybody, with gaps for what is said to one.
use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Template, UnknownWord};

/// What was given for one person, by the name of its column.
pub type Fields = BTreeMap<String, String>;

/// A message with gaps: `{name}` stands for the column of that name, `{{` and `}}` for braces. `Debug` leaves out what it
/// says.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignMessage {
    /// The text; empty where media or a template say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Where Twilio fetches what is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    /// The template that is sent instead of a text; its variables may have gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

impl fmt::Debug for CampaignMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CampaignMessage")
            .field("characters", &self.body.chars().count())
            .finish_non_exhaustive()
    }
}

/// Why the gaps cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// There is no such column, or nothing in it.
    #[error("the column {0} is missing or empty")]
    Missing(String),
    /// A brace that is not closed, or was never opened.
    #[error("a brace stands alone; write {{{{ or }}}} for a brace")]
    Brace,
    /// What comes out is longer than any message.
    #[error("with its gaps filled the message is too long")]
    TooLong,
}

/// The most that a message with its gaps filled has, in bytes.
const LONGEST_FILLED: usize = 4 * CampaignMessage::LONGEST;

impl CampaignMessage {
    /// The most characters that one has before its gaps are filled, with all that goes with it.
    pub const LONGEST: usize = 16_000;

    /// How many characters it has, with all that goes with it.
    pub fn characters(&self) -> usize {
        let variables = self.template.iter().flat_map(|template| &template.variables);
        let texts = variables.flat_map(|(name, text)| [name, text]);
        let texts = texts.chain(&self.media_urls).chain([&self.body]);
        texts.map(|text| text.chars().count()).sum()
    }

    /// What it says to one person.
    ///
    /// # Errors
    /// [`Gap`].
    pub fn fill(&self, fields: &Fields) -> Result<Self, Gap> {
        let mut room = LONGEST_FILLED;
        let mut fill = |text: &str| fill(text, fields, &mut room);
        let template = self.template.as_ref().map(|template| {
            let variables = template.variables.iter();
            let filled = variables.map(|(name, text)| Ok((name.clone(), fill(text)?)));
            Ok(Template {
                sid: template.sid.clone(),
                variables: filled.collect::<Result<_, Gap>>()?,
            })
        });
        Ok(Self {
            body: fill(&self.body)?,
            media_urls: self
                .media_urls
                .iter()
                .map(|url| fill(url))
                .collect::<Result<_, _>>()?,
            template: template.transpose()?,
        })
    }
}

/// The text with its gaps filled, which takes its bytes from `room`.
fn fill(text: &str, fields: &Fields, room: &mut usize) -> Result<String, Gap> {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(place) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(place);
        filled.push_str(before);
        rest = match from.as_bytes() {
            [b'{', b'{', ..] | [b'}', b'}', ..] => {
                filled.push_str(&from[..1]);
                &from[2..]
            }
            [b'{', ..] => {
                let (name, after) = from[1..].split_once('}').ok_or(Gap::Brace)?;
                let name = name.trim();
                let value = fields.get(name).filter(|value| !value.trim().is_empty());
                filled.push_str(value.ok_or_else(|| Gap::Missing(name.to_owned()))?);
                if filled.len() > *room {
                    return Err(Gap::TooLong);
                }
                after
            }
            _ => return Err(Gap::Brace),
        };
    }
    filled.push_str(rest);
    *room = room.checked_sub(filled.len()).ok_or(Gap::TooLong)?;
    Ok(filled)
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// It can be looked at, and nothing goes.
    Draft,
    /// Its rows go.
    Running,
    /// A person stopped it for a while.
    Paused,
    /// No row is left.
    Completed,
    /// A person stopped it for good.
    Cancelled,
}

impl CampaignState {
    /// The word in the database, in JSON and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a word.
    ///
    /// # Errors
    /// When the word is none.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        let all = [
            Self::Draft,
            Self::Running,
            Self::Paused,
            Self::Completed,
            Self::Cancelled,
        ];
        let unknown = || UnknownWord {
            what: "campaign state",
            word: word.to_owned(),
        };
        all.into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(unknown)
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl fmt::Display for CampaignState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Gap> {
        let fields = [("name", "Ana"), ("city of birth", "São Paulo"), ("empty", " ")];
        fill(
            text,
            &fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            &mut 50,
        )
    }

    #[test]
    fn what_grows_too_long_is_not_made() {
        assert_eq!(filled(&"{name}".repeat(100)), Err(Gap::TooLong));
        assert_eq!(filled(&"a".repeat(51)), Err(Gap::TooLong));
        let message = CampaignMessage {
            body: "{name}".repeat(2_000),
            ..CampaignMessage::default()
        };
        assert_eq!(message.characters(), 12_000);
        let long = Fields::from([("name".to_owned(), "a".repeat(20_000))]);
        assert_eq!(message.fill(&long), Err(Gap::TooLong));
    }

    #[test]
    fn gaps_are_filled_and_what_is_missing_is_named() {
        let said = filled("Olá {name}, de { city of birth }! {{10}}");
        assert_eq!(said.as_deref(), Ok("Olá Ana, de São Paulo! {10}"));
        assert_eq!(filled("{phone}"), Err(Gap::Missing("phone".to_owned())));
        assert_eq!(filled("{empty}"), Err(Gap::Missing("empty".to_owned())));
        assert_eq!(filled("{name"), Err(Gap::Brace));
        assert_eq!(filled("name}"), Err(Gap::Brace));
        assert_eq!(
            Gap::Brace.to_string(),
            "a brace stands alone; write {{ or }} for a brace"
        );
    }
}
