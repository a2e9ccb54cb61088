//! What went between an owner and one person, as lines: messages with what is attached, calls with their recordings.
use std::collections::HashMap;

use recado_domain::{Address, Direction, MessageId, OwnerId, price};
use recado_store::prospects::{self, Communication, Medium};

use super::{Asked, prices};
use crate::{
    app::App,
    http::Problem,
    pages::{
        language::tell,
        media::{self, Attachments},
        moment::{Moment, played},
        sight::Sight,
    },
};

/// How many lines are shown at once.
const PAGE: u64 = 50;

/// What went between an owner and one person.
pub(super) struct History {
    pub(super) known: bool,
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<String>,
}

/// A message or call as a line of the history.
pub(super) struct Row {
    pub(super) at: Moment,
    pub(super) channel: &'static str,
    pub(super) ours: bool,
    pub(super) address: String,
    pub(super) body: String,
    pub(super) kind: String,
    /// How long a call was, and who answered it.
    pub(super) length: Option<String>,
    pub(super) answered_by: Option<String>,
    /// Only where they may be seen.
    pub(super) attachments: Option<Attachments>,
    /// How many recordings there are that are masked.
    pub(super) masked: Option<String>,
    pub(super) status: String,
    pub(super) is_bad: bool,
    pub(super) error: Option<String>,
    pub(super) run: Option<String>,
    pub(super) estimate: Option<String>,
    /// What Twilio charged.
    pub(super) price: Option<String>,
}

impl History {
    /// The page of it that is asked for, of a person who is named.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn read(
        app: &App,
        owner: &OwnerId,
        asked: &Asked,
        sight: &Sight,
    ) -> Result<Option<Self>, Problem> {
        let prospect = asked.prospect.trim();
        if prospect.is_empty() {
            return Ok(None);
        }
        let database = &app.environment.database;
        let cursor = Some(asked.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let known = prospects::exists(database, owner, prospect).await?;
        let page = prospects::history(database, owner, prospect, asked.filter(), cursor, PAGE).await?;
        let mut attachments = match sight.is_whole() {
            true => attached(app, owner, &page.items).await?,
            false => HashMap::new(),
        };
        let row = |mut said: Communication| {
            let attached = attachments.remove(&said.id);
            let recordings = std::mem::take(&mut said.recordings);
            let (mut row, count) = (Row::of(said, sight), recordings.len());
            row.attachments = attached;
            if count > 0 && sight.is_whole() {
                row.attachments = Some(media::of_recordings(app, owner, recordings));
            } else if count > 0 {
                row.masked = Some(tell(
                    "Recordings, masked: {count}",
                    &[("count", count.to_string())],
                ));
            }
            row
        };
        Ok(Some(Self {
            known,
            rows: page.items.into_iter().map(row).collect(),
            next: page.next.map(|next| asked.at(&next)),
        }))
    }
}

/// What is attached to the messages among these, by their ids.
async fn attached(
    app: &App,
    owner: &OwnerId,
    items: &[Communication],
) -> Result<HashMap<String, Attachments>, Problem> {
    let messages = items.iter().filter(|item| item.medium != Medium::Call);
    let ids: Vec<_> = messages.map(|item| MessageId::from(item.id.as_str())).collect();
    let found = media::of_messages(app, owner, &ids.iter().collect::<Vec<_>>()).await?;
    Ok(found
        .into_iter()
        .map(|(id, attachments)| (id.to_string(), attachments))
        .collect())
}

impl Row {
    fn of(said: Communication, sight: &Sight) -> Self {
        let ours = said.direction == Direction::Outbound;
        let is_bad = said.is_failure;
        let code = said.error_code.filter(|_| is_bad);
        let known = code.and_then(|code| recado_clients::twilio::known(u32::try_from(code).ok()?));
        let error = match (known, code) {
            (Some(known), Some(code)) => Some(format!("{code}: {}", known.told())),
            (_, code) if is_bad => {
                let told = said.error_message.clone().unwrap_or_default();
                Some(code.map_or_else(|| told.clone(), |code| format!("{code}: {told}")))
            }
            _ => None,
        };
        let address = Address::parse(&said.theirs).ok();
        let estimate = address.as_ref().and_then(|address| match said.medium {
            Medium::Call => price::estimate_call(address, said.direction, said.duration?),
            _ => price::estimate(address, said.direction, &said.body),
        });
        Self {
            at: Moment::relative(said.created_at),
            channel: said.medium.as_str(),
            ours,
            address: match address {
                Some(address) if !sight.is_whole() => address.masked(),
                _ => sight.said(&said.theirs),
            },
            body: sight.said(&said.body),
            kind: said.kind,
            length: said.duration.map(played),
            answered_by: said.answered_by,
            attachments: None,
            masked: None,
            status: said.status.unwrap_or_else(|| "—".to_owned()),
            is_bad,
            error: error.map(|error| sight.told(&error)),
            run: said.run,
            estimate: estimate.map(prices::written),
            price: said
                .price
                .map(|(millionths, unit)| prices::charged(millionths, &unit)),
        }
    }
}
