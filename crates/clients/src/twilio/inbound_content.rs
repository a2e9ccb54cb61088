//! What an inbound message carries beside its text, and how it reads as one.
//!
//! Source: <https://www.twilio.com/docs/messaging/guides/webhook-request>,
//! <https://www.twilio.com/docs/whatsapp/api#inbound-message-parameters>.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::value;

/// The most of a quoted message that is repeated, in characters.
const QUOTED: usize = 300;
/// The most of a form's answers, or of an advertisement, that is read, in characters.
const LONGEST: usize = 1_500;

/// What a message carries beside its text and its attachments. What is malformed is left out: a message must not be
/// lost for it, and its form is kept whole.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InboundContent {
    /// A place on the map.
    pub location: Option<Location>,
    /// What was chosen from buttons or a list.
    pub choice: Option<Choice>,
    /// What was filled into a form within WhatsApp, or another interactive answer, as it came.
    pub answers: Option<Value>,
    /// The message that it answers.
    pub replied_to: Option<RepliedTo>,
    /// The advertisement by which the contact came.
    pub referral: Option<Referral>,
    /// Whether it was written by somebody else.
    pub forwarded: Forwarded,
    /// The contact's id within the business's WhatsApp account, where Twilio tells one.
    pub external_user_id: Option<String>,
    /// What the channel tells of itself, as it came.
    pub channel_metadata: Option<Value>,
    /// Where the contact's number is from.
    pub from_place: Place,
    /// Where our number is from.
    pub to_place: Place,
    /// Into how many segments an SMS was cut.
    pub segments: Option<u32>,
}

/// A place on the map.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, from -90 to 90.
    pub latitude: f64,
    /// Degrees east, from -180 to 180.
    pub longitude: f64,
    /// Its address.
    pub address: Option<String>,
    /// Its name.
    pub label: Option<String>,
}

/// What was chosen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// From what.
    pub from: ChoiceOf,
    /// As the contact read it.
    pub text: String,
    /// What we gave it as its identifier.
    pub payload: Option<String>,
}

/// From what something was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceOf {
    /// Buttons below a message.
    Buttons,
    /// A list that was opened.
    List,
}

/// The message that another one answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepliedTo {
    /// Its SID.
    pub sid: String,
    /// Who had sent it.
    pub sender: Option<String>,
}

/// An advertisement.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// Its headline.
    pub headline: Option<String>,
    /// Its text.
    pub body: Option<String>,
    /// Its id.
    pub source_id: Option<String>,
    /// `ad` or `post`.
    pub source_type: Option<String>,
    /// Where it is.
    pub source_url: Option<String>,
    /// The id of the click, which the advertiser reports back.
    pub click_id: Option<String>,
}

/// Whether a message was written by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarded {
    /// It is the contact's own.
    #[default]
    No,
    /// It was forwarded.
    Once,
    /// It was forwarded many times.
    Often,
}

/// Where a number is from.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// City.
    pub city: Option<String>,
    /// State.
    pub state: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// Country, two letters.
    pub country: Option<String>,
}

type Fields = [(String, String)];

impl InboundContent {
    /// Reads the form of an inbound webhook.
    pub fn of(fields: &Fields) -> Self {
        let text = |name: &str| value(fields, &[name]).map(str::to_owned);
        let json = |name: &str| serde_json::from_str(value(fields, &[name])?).ok();
        Self {
            location: location(fields),
            choice: choice(fields),
            answers: json("FlowData").or_else(|| json("InteractiveData")),
            replied_to: text("OriginalRepliedMessageSid").map(|sid| RepliedTo {
                sid,
                sender: text("OriginalRepliedMessageSender"),
            }),
            referral: referral(fields),
            forwarded: match (
                is_true(fields, "FrequentlyForwarded"),
                is_true(fields, "Forwarded"),
            ) {
                (true, _) => Forwarded::Often,
                (false, true) => Forwarded::Once,
                (false, false) => Forwarded::No,
            },
            external_user_id: text("ExternalUserId"),
            channel_metadata: json("ChannelMetadata"),
            from_place: place(fields, "From"),
            to_place: place(fields, "To"),
            segments: value(fields, &["NumSegments"]).and_then(|text| text.parse().ok()),
        }
    }

    /// The contact's own words: `body`, or where there is none, what was chosen.
    pub fn words<'a>(&'a self, body: &'a str) -> &'a str {
        match &self.choice {
            Some(choice) if body.trim().is_empty() => &choice.text,
            _ => body,
        }
    }

    /// How the message reads to people and agents: `body` itself where there is nothing else, else with what is around
    /// it, a line each. `quoted` is the text of the message that it answers, where that is known.
    pub fn read(&self, body: &str, quoted: Option<&str>) -> String {
        let forwarded = match self.forwarded {
            Forwarded::No => None,
            Forwarded::Once => Some("↪ (forwarded)".to_owned()),
            Forwarded::Often => Some("↪ (forwarded many times)".to_owned()),
        };
        let quoted = quoted.map(|text| format!("↩ “{}”", cut(text.trim(), QUOTED)));
        let words = self.words(body);
        let lines = [
            forwarded,
            self.referral.as_ref().and_then(Referral::read),
            quoted,
            (!words.is_empty()).then(|| words.to_owned()),
            self.location.as_ref().map(Location::read),
            self.answers.as_ref().and_then(read_answers),
        ];
        let lines: Vec<_> = lines.into_iter().flatten().collect();
        lines.join("\n")
    }
}

impl Location {
    fn read(&self) -> String {
        let named = [&self.label, &self.address];
        let named: Vec<&str> = named.into_iter().flatten().map(String::as_str).collect();
        let (latitude, longitude) = (self.latitude, self.longitude);
        match named.is_empty() {
            true => format!("📍 {latitude}, {longitude}"),
            false => format!("📍 {} ({latitude}, {longitude})", cut(&named.join(", "), LONGEST)),
        }
    }
}

impl Referral {
    fn read(&self) -> Option<String> {
        let told = [&self.headline, &self.body, &self.source_url];
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        (!told.is_empty()).then(|| format!("📣 {}", cut(&told.join(" · "), LONGEST)))
    }
}

/// `key: value` a line, of an object's fields that are not objects themselves.
fn read_answers(answers: &Value) -> Option<String> {
    let mut lines = Vec::new();
    collect(answers, "", &mut lines);
    (!lines.is_empty()).then(|| cut(&lines.join("\n"), LONGEST))
}

fn collect(value: &Value, name: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| collect(value, name, lines)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, lines)),
        // It ties the answers to the form that was shown, and tells nobody anything.
        _ if name == "flow_token" => {}
        Value::String(text) if !text.is_empty() => lines.push(format!("{name}: {text}")),
        Value::Number(_) | Value::Bool(_) => lines.push(format!("{name}: {value}")),
        _ => {}
    }
}

fn location(fields: &Fields) -> Option<Location> {
    let degrees = |name: &str, most: f64| {
        let degrees: f64 = value(fields, &[name])?.trim().parse().ok()?;
        (-most..=most).contains(&degrees).then_some(degrees)
    };
    Some(Location {
        latitude: degrees("Latitude", 90.0)?,
        longitude: degrees("Longitude", 180.0)?,
        address: value(fields, &["Address"]).map(str::to_owned),
        label: value(fields, &["Label"]).map(str::to_owned),
    })
}

fn choice(fields: &Fields) -> Option<Choice> {
    let text = |names: &[&str]| value(fields, names).map(str::to_owned);
    let of = |from, shown: &[&str], payload: &[&str]| {
        let payload = text(payload);
        let text = text(shown).or_else(|| payload.clone())?;
        Some(Choice { from, text, payload })
    };
    of(ChoiceOf::List, &["ListTitle"], &["ListId"])
        .or_else(|| of(ChoiceOf::Buttons, &["ButtonText"], &["ButtonPayload"]))
}

fn referral(fields: &Fields) -> Option<Referral> {
    let text = |name: &str| value(fields, &[name]).map(str::to_owned);
    let referral = Referral {
        headline: text("ReferralHeadline"),
        body: text("ReferralBody"),
        source_id: text("ReferralSourceId"),
        source_type: text("ReferralSourceType"),
        source_url: text("ReferralSourceUrl"),
        click_id: text("ReferralCtwaClid"),
    };
    let is_told = referral.headline.is_some()
        || referral.body.is_some()
        || referral.source_id.is_some()
        || referral.source_url.is_some();
    is_told.then_some(referral)
}

fn place(fields: &Fields, of: &str) -> Place {
    let text = |name: &str| value(fields, &[&format!("{of}{name}")]).map(str::to_owned);
    Place {
        city: text("City"),
        state: text("State"),
        zip: text("Zip"),
        country: text("Country"),
    }
}

fn is_true(fields: &Fields, name: &str) -> bool {
    value(fields, &[name]).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Says nothing of who wrote what.
impl fmt::Debug for InboundContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundContent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::twilio::parse_form;

    fn read(form: &str, body: &str, quoted: Option<&str>) -> String {
        let fields = parse_form(form.as_bytes(), 100).expect("a form");
        InboundContent::of(&fields).read(body, quoted)
    }

    #[test]
    fn a_plain_text_reads_as_itself() {
        let form = "NumMedia=0&NumSegments=1&WaId=5511&MessageType=text&ReferralNumMedia=0&FromCountry=BR";
        assert_eq!(read(form, " oi \n", None), " oi \n");
    }

    #[test]
    fn everything_beside_the_text_reads_as_a_line() {
        for (form, body, quoted, expected) in [
            (
                "Latitude=-23.55&Longitude=-46.63&Label=Padaria&Address=Rua+A,+1",
                "",
                None,
                "📍 Padaria, Rua A, 1 (-23.55, -46.63)",
            ),
            ("Latitude=1&Longitude=2", "aqui", None, "aqui\n📍 1, 2"),
            ("Latitude=91&Longitude=2", "aqui", None, "aqui"),
            ("ButtonText=Sim&ButtonPayload=yes", "", None, "Sim"),
            ("ButtonText=Sim&ButtonPayload=yes", "Sim", None, "Sim"),
            ("ListId=cake&ListTitle=Bolo", "", None, "Bolo"),
            ("ListId=cake", "", None, "cake"),
            (
                "OriginalRepliedMessageSid=SM1",
                "e domingo?",
                Some(" Abrimos às 7. "),
                "↩ “Abrimos às 7.”\ne domingo?",
            ),
            ("OriginalRepliedMessageSid=SM1", "e domingo?", None, "e domingo?"),
            ("Forwarded=true", "veja", None, "↪ (forwarded)\nveja"),
            (
                "Forwarded=true&FrequentlyForwarded=true",
                "veja",
                None,
                "↪ (forwarded many times)\nveja",
            ),
            (
                "ReferralHeadline=Bolos&ReferralSourceUrl=https%3A%2F%2Ffb.me%2Fx&ReferralCtwaClid=c",
                "oi",
                None,
                "📣 Bolos · https://fb.me/x\noi",
            ),
            (
                "FlowData=%7B%22flow_token%22%3A%22t%22%2C%22kind%22%3A%5B%22a%22%2C%22b%22%5D%7D",
                "",
                None,
                "kind: a\nkind: b",
            ),
            ("InteractiveData=%7Bnot+json", "oi", None, "oi"),
        ] {
            assert_eq!(read(form, body, quoted), expected, "{form}");
        }
    }

    #[test]
    fn what_a_choice_says_counts_where_there_is_no_text() {
        let fields = [("ButtonText".to_owned(), "PARAR".to_owned())];
        assert_eq!(InboundContent::of(&fields).words(""), "PARAR");
        assert_eq!(InboundContent::of(&fields).words("não"), "não");
    }

    proptest! {
        #[test]
        fn no_form_makes_it_panic_or_grow_without_bound(
            fields in prop::collection::vec((prop::sample::select(vec![
                "Latitude", "Longitude", "Label", "Address", "ButtonText", "ButtonPayload", "ListId", "ListTitle",
                "InteractiveData", "FlowData", "OriginalRepliedMessageSid", "ReferralBody", "ReferralHeadline",
                "Forwarded", "FrequentlyForwarded", "ChannelMetadata", "NumSegments", "FromCity",
            ]), prop_oneof![".{0,60}", "-?[0-9]{1,4}(\\.[0-9]{1,4})?", "\\{\"a\": ?[\\[0-9\\],]{0,20}\\}"]), 0..14),
            body in ".{0,80}",
        ) {
            let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let read = InboundContent::of(&fields).read(&body, Some(&body));
            prop_assert!(read.chars().count() < 6_000);
        }
    }
}
