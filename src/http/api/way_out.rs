//! What goes where WhatsApp takes no text of an owner's, as JSON.
use std::collections::BTreeMap;

use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use recado_domain::{OwnerId, Template};
use recado_store::{
    owners::{self, Owner, SmsSender, WayOut},
    senders::Senders,
};

use super::{Operator, Tag, conversations::Refused};
use crate::{app::App, http::Problem};

/// The way out of WhatsApp's 24 hours.
pub(super) struct WaysOut;

/// What goes where WhatsApp takes no text.
#[derive(Object)]
struct WayOutItem {
    /// The template that goes instead of a text outside of the 24 hours; none if null or absent.
    template: Option<TemplateItem>,
    /// Whether a text goes as SMS: outside of the 24 hours where there is no template, and wherever WhatsApp does not
    /// deliver to the contact (63032, 63049) or does not know the number (63003, 63024).
    #[oai(default)]
    sms: bool,
    /// From where it goes as SMS: one of the owner's numbers, a messaging service, or `pool`; the oldest number if null or
    /// absent.
    sms_from: Option<String>,
}

/// A template of Twilio's Content API.
#[derive(Object)]
struct TemplateItem {
    /// `HX` and 32 hexadecimal digits.
    sid: String,
    /// The texts of its variables, by name. `{text}` in one stands for the text that it goes instead of.
    #[oai(default)]
    variables: BTreeMap<String, String>,
}

#[OpenApi(tag = "Tag::Owners")]
impl WaysOut {
    /// Shows what goes where WhatsApp takes no text of an owner's
    #[oai(path = "/owners/:owner/way-out", method = "get")]
    async fn way_out(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
    ) -> poem::Result<Json<WayOutItem>> {
        Ok(Json(read(app, &OwnerId::from(owner.0)).await?.into()))
    }

    /// Sets what goes where WhatsApp takes no text of an owner's
    ///
    /// It counts at once: for answers, single messages, batches and campaigns, when the 24 hours are over at the moment of
    /// sending, when Twilio refuses the message for it, and when Twilio reports so later, within a day. Only one message
    /// ever goes: the other one after the definite refusal of the first.
    #[oai(path = "/owners/:owner/way-out", method = "put")]
    async fn set_way_out(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        owner: Path<String>,
        item: Json<WayOutItem>,
    ) -> poem::Result<Json<WayOutItem>> {
        let way_out = item.0.read()?;
        set(app, &OwnerId::from(owner.0), way_out.clone()).await?;
        Ok(Json(way_out.into()))
    }
}

/// What is set for an owner.
///
/// # Errors
/// 404 where there is no such owner.
pub(crate) async fn read(app: &App, owner: &OwnerId) -> Result<WayOut, Problem> {
    Ok(WayOut::of(&known(app, owner).await?)?)
}

/// Sets it.
///
/// # Errors
/// 404 where there is no such owner, 422 with the field that cannot be taken.
pub(crate) async fn set(app: &App, owner: &OwnerId, way_out: WayOut) -> Result<(), Problem> {
    known(app, owner).await?;
    let senders = Senders::of(&app.environment.database, owner).await?;
    way_out
        .check(&senders)
        .map_err(|unfit| Problem::unprocessable(unfit.field, unfit.to_string()))?;
    let owner = owner.clone();
    let set = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, Refused>(owners::set_way_out(tx, &owner, Some(way_out)).await?) })
    });
    set.await.map(drop).map_err(Problem::from)
}

async fn known(app: &App, owner: &OwnerId) -> Result<Owner, Problem> {
    let found = owners::find(&app.environment.database, owner).await?;
    found.ok_or_else(|| Problem::not_found("owner"))
}

impl WayOutItem {
    fn read(self) -> Result<WayOut, Problem> {
        let template = self.template.map(|template| Template {
            sid: template.sid.trim().to_owned(),
            variables: template.variables,
        });
        let from = self.sms_from.map(|from| from.trim().to_owned());
        let from = from.filter(|from| !from.is_empty());
        if from.is_some() && !self.sms {
            let told = "sms_from needs sms to be true";
            return Err(Problem::unprocessable("sms_from", told));
        }
        Ok(WayOut {
            template,
            sms: self.sms.then_some(SmsSender { from }),
        })
    }
}

impl From<WayOut> for WayOutItem {
    fn from(way_out: WayOut) -> Self {
        Self {
            template: way_out.template.map(|template| TemplateItem {
                sid: template.sid,
                variables: template.variables,
            }),
            sms: way_out.sms.is_some(),
            sms_from: way_out.sms.and_then(|sms| sms.from),
        }
    }
}
