//! `recado owners way-out`: what goes where WhatsApp takes no text of an owner's.
use std::process::ExitCode;

use clap::Args;
use futures::FutureExt;
use recado_domain::{OwnerId, Template};
use recado_store::{
    owners::{self, SmsSender, WayOut},
    senders::Senders,
};

use super::{nobody, say};
use crate::{app, config::Config};

/// What is wanted; where nothing is given, what is set is shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct Wanted {
    /// The template that goes instead of a text: HX and 32 hexadecimal digits
    #[arg(long, value_name = "SID")]
    template: Option<String>,
    /// One of its variables, as in 1={text}, where {text} stands for the text; may be given several times
    #[arg(long, value_name = "NAME=TEXT", requires = "template", value_parser = parse_variable)]
    variable: Vec<(String, String)>,
    /// Texts go as SMS: after the 24 hours where there is no template, and where WhatsApp does not deliver
    #[arg(long)]
    sms: bool,
    /// From where: one of the owner's numbers, a messaging service, or pool; the oldest number if absent
    #[arg(long, value_name = "SENDER", requires = "sms")]
    sms_from: Option<String>,
    /// Nothing goes any more
    #[arg(long, conflicts_with_all = ["template", "sms"])]
    reset: bool,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=TEXT, as in 1={text}".to_owned()),
    }
}

impl Wanted {
    fn is_given(&self) -> bool {
        self.reset || self.sms || self.template.is_some()
    }

    fn way_out(self) -> WayOut {
        let Self {
            template,
            variable,
            sms,
            sms_from,
            ..
        } = self;
        WayOut {
            template: template.map(|sid| Template {
                sid,
                variables: variable.into_iter().collect(),
            }),
            sms: sms.then_some(SmsSender { from: sms_from }),
        }
    }
}

/// Sets what is wanted, if anything, and shows what is set.
pub(super) async fn run(config: &Config, owner: String, wanted: Wanted) -> anyhow::Result<ExitCode> {
    let storage = app::storage(config, || {}).await?;
    let id = OwnerId::from(owner.as_str());
    if owners::find(storage.reader(), &id).await?.is_none() {
        return Ok(nobody(&owner));
    }
    if wanted.is_given() {
        let way_out = wanted.way_out();
        way_out.check(&Senders::of(storage.reader(), &id).await?)?;
        let id = id.clone();
        let set = storage.transaction(move |tx| {
            async move { anyhow::Ok(owners::set_way_out(tx, &id, Some(way_out)).await?) }.boxed()
        });
        set.await?;
    }
    let Some(found) = owners::find(storage.reader(), &id).await? else {
        return Ok(nobody(&owner));
    };
    let WayOut { template, sms } = WayOut::of(&found)?;
    match &template {
        Some(Template { sid, variables }) => {
            say(format!("template  {sid}"));
            for (name, value) in variables {
                say(format!("          {name} = {value}"));
            }
        }
        None => say("template  none"),
    }
    say(match sms {
        Some(SmsSender { from }) => format!(
            "sms       from {}",
            from.as_deref().unwrap_or("the oldest number")
        ),
        None => "sms       no".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}
