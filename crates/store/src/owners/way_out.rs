//! What goes where WhatsApp takes no text of an owner's: a template, an SMS, or nothing.
use recado_domain::{Address, OwnerId, Template};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{Owner, change};
use crate::{
    StoreError,
    senders::Senders,
    statement::{statement, text},
};

/// Stands, in a variable of the owner's template, for the text that the template goes instead of.
pub const TEXT: &str = "{text}";
/// The longest text that stands in a variable, in characters: WhatsApp takes some 1000 for a template as a whole.
/// Source: <https://www.twilio.com/docs/content/content-types-overview>.
const LONGEST_TEXT: usize = 900;

/// WhatsApp knows no template with more.
const MOST_VARIABLES: usize = 100;
/// For whom a sender is looked for where only its channel matters.
const ANYBODY: &str = "+15005550006";

/// An owner's way out where WhatsApp takes no text; without one such a message is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayOut {
    /// Goes instead of a text that comes more than 24 hours after the contact's last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// From where it goes as SMS: outside of these hours where there is no template, and wherever WhatsApp does not
    /// deliver to the contact. Not at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsSender>,
}

/// From where SMS go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsSender {
    /// As [`crate::senders::Senders::choose`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A setting that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct UnfitWayOut {
    /// Which.
    pub field: &'static str,
    /// Why; goes on after its name.
    pub why: String,
}

impl WayOut {
    /// Whether it can be set by an owner who can send from these: what is wrong would be found out only at the first
    /// message that needs it.
    ///
    /// # Errors
    /// [`UnfitWayOut`] names the field that cannot be taken.
    pub fn check(&self, senders: &Senders) -> Result<(), UnfitWayOut> {
        let unfit = |field, why: &dyn std::fmt::Display| {
            let why = why.to_string();
            Err(UnfitWayOut { field, why })
        };
        if let Some(Template { sid, variables }) = &self.template {
            if !Template::is_sid(sid) {
                return unfit("template.sid", &"must be HX and 32 hexadecimal digits");
            }
            let is_fit =
                |text: &str| text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control);
            let all_fit = variables
                .iter()
                .all(|(name, value)| is_fit(name) && is_fit(value));
            if variables.len() > MOST_VARIABLES || !all_fit {
                let told = format!(
                    "must be {MOST_VARIABLES} texts at most, each of one line and {LONGEST_TEXT} characters at most"
                );
                return unfit("template.variables", &told);
            }
        }
        if let Some(sms) = &self.sms
            && let Ok(anybody) = Address::parse(ANYBODY)
            && let Err(problem) = senders.choose(sms.from.as_deref(), &anybody)
        {
            let field = if sms.from.is_some() { "sms_from" } else { "sms" };
            return unfit(field, &problem);
        }
        Ok(())
    }

    /// The one of an owner.
    ///
    /// # Errors
    /// When the settings are no JSON object.
    pub fn of(owner: &Owner) -> Result<Self, StoreError> {
        Ok(owner.settings()?.way_out.unwrap_or_default())
    }

    /// The template with a text where its variables want it: in one line, because WhatsApp takes no others, and cut where
    /// it is too long.
    pub fn template_for(&self, text: &str) -> Option<Template> {
        let mut template = self.template.clone()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut line = words.join(" ");
        if let Some((end, _)) = line.char_indices().nth(LONGEST_TEXT) {
            line.truncate(end);
            line.push('…');
        }
        for value in template.variables.values_mut() {
            *value = value.replace(TEXT, &line);
        }
        Some(template)
    }
}

/// Sets what goes where WhatsApp takes no text of this owner's; `None` is nothing. Returns whether there is such an owner.
/// Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn set_way_out(
    conn: &impl ConnectionTrait,
    id: &OwnerId,
    way_out: Option<WayOut>,
) -> Result<bool, StoreError> {
    let way_out = way_out.filter(|way_out| *way_out != WayOut::default());
    change(conn, id, |settings| settings.way_out = way_out).await
}

/// Whether any owner of a Twilio account may have a way out. Has no tenant: a report names none, and it only decides
/// whether somebody looks.
///
/// # Errors
/// Those of the database.
pub async fn any_way_out(conn: &impl ConnectionTrait, account_sid: &str) -> Result<bool, StoreError> {
    let sql = "
        select 1 from channel_accounts a join owners o on o.id = a.owner
        where a.twilio_account_sid = $1 and replace(o.settings, '\"way_out\"', '') <> o.settings limit 1";
    let found = conn
        .query_one_raw(statement(conn, sql, vec![text(account_sid)]))
        .await?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_in_a_template_in_one_line_and_is_cut_where_it_is_too_long() {
        let way_out = WayOut {
            template: Some(Template {
                sid: "HX1".to_owned(),
                variables: [("1", "Loja"), ("2", "Resposta: {text}")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            }),
            sms: None,
        };
        let filled = |text: &str| {
            let template = way_out.template_for(text);
            template.map(|template| (template.variables["1"].clone(), template.variables["2"].clone()))
        };
        let (one, two) = filled("Olá,\n\tAna {text}").unwrap_or_default();
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("Loja", "Resposta: Olá, Ana {text}")
        );
        let (_, long) = filled(&"ã ".repeat(2000)).unwrap_or_default();
        assert_eq!(long.chars().count(), "Resposta: ".len() + LONGEST_TEXT + 1);
        assert_eq!(WayOut::default().template_for("oi"), None);
    }
}
