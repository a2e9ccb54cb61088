//! A message as somebody asks for it, read into one that can be sent.
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::Object;
use recado_domain::{Address, CampaignMessage, Channel, OwnerId, Template};
use recado_store::senders::Senders;
use recado_workflows::SendMessage;
use serde_json::Value;
use url::Url;

use crate::http::Problem;

/// The longest text, in characters; it goes in parts of 1500.
const LONGEST_BODY: usize = 16_000;
/// The longest id of a prospect, in characters.
const LONGEST_PROSPECT: usize = 200;
/// The longest address of media, in characters.
const LONGEST_URL: usize = 2048;
/// The latest time that a message can be sent at, from now.
const LATEST: TimeDelta = TimeDelta::days(366);

/// A message to be sent.
#[derive(Object)]
pub(in crate::http::api) struct NewMessage {
    /// Whom to: an E.164 number, as in `+5511987654321`; `whatsapp:` before it is understood. Required.
    to: Option<String>,
    /// The text, at most 16,000 characters; one of more than 1600 goes in several parts, in order. Required unless there
    /// is media or a template.
    body: Option<String>,
    /// The caller's own id of the person, at most 200 characters; created on first use. Required.
    prospect: Option<String>,
    /// One of the owner's numbers on the channel; `pool` for any of them, the same for a contact every time; a messaging
    /// service (`MG…`), which chooses by itself; the oldest number if absent.
    from: Option<String>,
    /// Where Twilio fetches what is attached: at most 10, on WhatsApp one.
    #[oai(default)]
    media_urls: Vec<String>,
    /// A template that is sent instead of a text. Outside of 24 hours after the person's last message WhatsApp takes
    /// nothing else.
    template: Option<TemplateBody>,
    /// When to send it, as in `2026-12-24T09:00:00-03:00`, at most a year ahead; at once if absent. Cancel its run to
    /// cancel it.
    send_at: Option<String>,
    /// Of a row of a batch only: sms (if absent) or whatsapp.
    channel: Option<String>,
}

/// A template of Twilio's Content API.
#[derive(Object)]
struct TemplateBody {
    /// `HX` and 32 hexadecimal digits.
    sid: String,
    /// A text for each of its variables, as in `{"1": "Ana"}`.
    variables: Option<Value>,
}

impl NewMessage {
    /// The channel of a row of a batch.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn channel(&self) -> Result<Channel, Problem> {
        let word = self.channel.as_deref().unwrap_or("sms");
        let told = |_| unfit("channel", "is sms or whatsapp");
        Channel::parse(word).map_err(told)
    }

    /// The message to one person of a campaign.
    pub(in crate::http::api) fn of_campaign(
        to: Option<String>,
        prospect: String,
        from: Option<String>,
        message: CampaignMessage,
    ) -> Self {
        Self {
            to,
            body: Some(message.body).filter(|body| !body.is_empty()),
            prospect: Some(prospect),
            from,
            media_urls: message.media_urls,
            template: message.template.map(|template| TemplateBody {
                sid: template.sid,
                variables: serde_json::to_value(template.variables).ok(),
            }),
            send_at: None,
            channel: None,
        }
    }

    /// The message, from one of `senders`, asked for at `now`.
    ///
    /// # Errors
    /// A problem that names the field that cannot be taken.
    pub(in crate::http::api) fn read(
        self,
        channel: Channel,
        owner: &OwnerId,
        senders: &Senders,
        now: DateTime<Utc>,
    ) -> Result<SendMessage, Problem> {
        let to = recipient(channel, self.to.as_deref())?;
        let chosen = senders.choose(self.from.as_deref(), &to);
        let chosen = chosen.map_err(|error| unfit("from", error))?;
        if *chosen.address == to {
            return Err(unfit("to", "is the number that the message comes from"));
        }
        let body = self.body.unwrap_or_default();
        let template = self.template.map(template).transpose()?;
        content(channel, &body, &self.media_urls, template.is_some())?;
        Ok(SendMessage {
            owner: owner.clone(),
            account: chosen.account_sid.to_owned(),
            from: chosen.address.clone(),
            service: chosen.service.map(str::to_owned),
            to,
            prospect: prospect(self.prospect)?,
            body,
            media_urls: self.media_urls,
            template,
            send_at: self.send_at.map(|at| send_at(&at, now)).transpose()?,
            asked: None,
            of_campaign: None,
        })
    }
}

/// A field whose value cannot be taken; `why` goes on after its name.
pub(in crate::http::api) fn unfit(field: &str, why: impl std::fmt::Display) -> Problem {
    Problem::unprocessable(field, format!("{field} {why}"))
}

/// An address on a channel, whether or not the channel stands before it.
fn on(channel: Channel, field: &str, written: &str) -> Result<Address, Problem> {
    let written = written.trim();
    let text = match channel {
        Channel::Whatsapp if !written.starts_with("whatsapp:") => format!("whatsapp:{written}"),
        _ => written.to_owned(),
    };
    let address = Address::parse(&text).map_err(|error| unfit(field, format!("cannot be read: {error}")))?;
    if address.channel() != channel {
        return Err(unfit(field, format!("is not on {channel}")));
    }
    Ok(address)
}

pub(in crate::http::api) fn recipient(channel: Channel, written: Option<&str>) -> Result<Address, Problem> {
    let written = written.filter(|text| !text.trim().is_empty());
    let written = written.ok_or_else(|| unfit("to", "is missing: whom is the message for?"))?;
    let to = on(channel, "to", written)?;
    if channel == Channel::Sms && to.phone().is_none() {
        return Err(unfit("to", "must be an E.164 number, as in +5511987654321"));
    }
    Ok(to)
}

fn content(channel: Channel, body: &str, media_urls: &[String], has_template: bool) -> Result<(), Problem> {
    if has_template && !(body.is_empty() && media_urls.is_empty()) {
        return Err(unfit(
            "template",
            "goes without body and media_urls: it has its own",
        ));
    }
    if !has_template && media_urls.is_empty() && body.trim().is_empty() {
        return Err(unfit("body", "is missing: give a body, media_urls or a template"));
    }
    let characters = body.chars().count();
    if characters > LONGEST_BODY {
        return Err(unfit(
            "body",
            format!("has {characters} characters, at most {LONGEST_BODY} are allowed"),
        ));
    }
    let most = match channel {
        Channel::Sms => 10,
        Channel::Whatsapp => 1,
    };
    if media_urls.len() > most {
        return Err(unfit(
            "media_urls",
            format!(
                "has {} addresses, {channel} takes {most} at most",
                media_urls.len()
            ),
        ));
    }
    let is_fit = |url: &String| {
        url.len() <= LONGEST_URL
            && Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    match media_urls.iter().position(|url| !is_fit(url)) {
        Some(place) => Err(unfit(
            &format!("media_urls[{place}]"),
            "must be an http or https address of at most 2048 characters",
        )),
        None => Ok(()),
    }
}

fn template(given: TemplateBody) -> Result<Template, Problem> {
    if !Template::is_sid(&given.sid) {
        return Err(unfit("template.sid", "must be HX and 32 hexadecimal digits"));
    }
    let not_texts = || {
        unfit(
            "template.variables",
            "must be an object of texts, as in {\"1\": \"Ana\"}",
        )
    };
    let variables = match given.variables {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(variables)) => variables
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name, text)),
                Value::Number(number) => Ok((name, number.to_string())),
                _ => Err(not_texts()),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(not_texts()),
    };
    Ok(Template {
        sid: given.sid,
        variables,
    })
}

pub(in crate::http::api) fn prospect(given: Option<String>) -> Result<String, Problem> {
    let id = given.filter(|id| !id.trim().is_empty());
    let id = id.ok_or_else(|| unfit("prospect", "is missing: give your own id of the person"))?;
    if id.chars().count() > LONGEST_PROSPECT || id.chars().any(char::is_control) {
        return Err(unfit(
            "prospect",
            format!("must have at most {LONGEST_PROSPECT} characters, and no control characters"),
        ));
    }
    Ok(id)
}

pub(in crate::http::api) fn send_at(given: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let at = DateTime::parse_from_rfc3339(given)
        .map_err(|_| {
            unfit(
                "send_at",
                "must be a time with its zone, as in 2026-12-24T09:00:00-03:00",
            )
        })?
        .with_timezone(&Utc);
    match at - now {
        ahead if ahead <= TimeDelta::zero() => Err(unfit("send_at", "is past; leave it out to send at once")),
        ahead if ahead > LATEST => Err(unfit("send_at", "is more than a year ahead")),
        _ => Ok(at),
    }
}
