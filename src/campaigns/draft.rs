//! A campaign as it is asked for, each of its rows looked at before anything goes.
use std::collections::{HashMap, HashSet};

use chrono::Utc;
use poem::http::StatusCode;
use recado_domain::{Address, CampaignMessage, Channel, Fields, OwnerId};
use recado_store::{
    StoreError,
    campaigns::{self, Campaign, NewCampaign, NewPerson, Verdict},
    opt_outs, owners,
    senders::Senders,
};

use sha2::{Digest, Sha256};

use super::{Refused, Row, aside, table::MOST_ROWS};
use crate::{
    app::App,
    http::{Problem, api::messages::check_person},
};

/// Rows that are written by one statement.
const TOGETHER: usize = 500;
/// The longest name, in characters.
const LONGEST_NAME: usize = 200;
/// The fastest pace, in people a minute.
const FASTEST: u32 = 100_000;

/// A campaign as it is asked for.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) channel: Channel,
    /// As [`Senders::choose`] reads it.
    pub(crate) from: Option<String>,
    pub(crate) message: CampaignMessage,
    pub(crate) pace: Option<u32>,
    /// Names the request for ever.
    pub(crate) key: Option<String>,
    pub(crate) rows: Vec<Row>,
}

/// Makes a draft, in which every row says whether it can be sent; nothing goes. A key that made one before finds it.
///
/// # Errors
/// 422 that names the field which makes the whole impossible; 404 where there is no such owner; 409 where the key made one
/// of another content.
pub(crate) async fn make(app: &App, owner: &OwnerId, draft: Draft) -> Result<Campaign, Problem> {
    let database = &app.environment.database;
    let (draft, asked) = aside(move || {
        let asked = draft.key.is_some().then(|| draft.hash());
        (draft, asked.transpose())
    })
    .await?;
    let asked = asked.map_err(StoreError::from)?;
    if let Some(key) = &draft.key
        && let Some(known) = campaigns::by_request(database, owner, key).await?
    {
        return same(known, asked.as_deref());
    }
    check(&draft)?;
    let known = owners::find(database, owner).await?;
    known.ok_or_else(|| Problem::not_found("owner"))?;
    let senders = Senders::of(database, owner).await?;
    let id = owner.clone();
    let (draft, mut people) = aside(move || {
        let people = look(&draft, &id, &senders);
        (draft, people)
    })
    .await?;
    silence(app, owner, &mut people).await?;
    let (id, key, hash) = (owner.clone(), draft.key.clone(), asked.clone());
    let made = app.engine.storage().transaction(move |tx| {
        Box::pin(async move {
            let now = Utc::now();
            let new = NewCampaign {
                name: &draft.name,
                channel: draft.channel,
                sender: draft.from.as_deref(),
                message: &draft.message,
                pace: draft.pace,
                request: draft.key.as_deref(),
                asked: hash.as_deref(),
            };
            let made = campaigns::create(tx, &id, new, now).await?;
            if let Some(campaign) = &made {
                for (handful, people) in people.chunks(TOGETHER).enumerate() {
                    let first = i64::try_from(handful * TOGETHER + 1).unwrap_or(i64::MAX);
                    campaigns::insert_people(tx, &id, campaign, first, people, now).await?;
                }
            }
            Ok::<_, Refused>(made)
        })
    });
    let found = match (made.await?, key) {
        (Some(campaign), _) => campaigns::find(database, owner, &campaign).await?,
        (None, Some(key)) => campaigns::by_request(database, owner, &key).await?,
        (None, None) => None,
    };
    same(
        found.ok_or_else(|| Problem::not_found("campaign"))?,
        asked.as_deref(),
    )
}

/// The campaign, if the same request made it.
fn same(campaign: Campaign, asked: Option<&str>) -> Result<Campaign, Problem> {
    match campaign.asked.as_deref() {
        Some(known) if Some(known) != asked => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "this Idempotency-Key made {} with another content; nothing was made",
                campaign.id
            ),
        )),
        _ => Ok(campaign),
    }
}

impl Draft {
    /// What is asked for, in short.
    fn hash(&self) -> Result<String, serde_json::Error> {
        let mut digest = Sha256::new();
        let head = (
            &self.name,
            self.channel.as_str(),
            &self.from,
            &self.message,
            self.pace,
        );
        digest.update(serde_json::to_vec(&head)?);
        for row in &self.rows {
            digest.update(serde_json::to_vec(row)?);
        }
        Ok(digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
}

fn check(draft: &Draft) -> Result<(), Problem> {
    let unfit = |field: &str, told: String| Err(Problem::unprocessable(field, format!("{field} {told}")));
    let length = draft.name.chars().count();
    if draft.name.trim().is_empty() || length > LONGEST_NAME {
        return unfit(
            "name",
            format!("must have from 1 to {LONGEST_NAME} characters, not {length}"),
        );
    }
    if draft.pace.is_some_and(|pace| !(1..=FASTEST).contains(&pace)) {
        return unfit(
            "pace",
            format!("must be from 1 to {FASTEST} people a minute, or absent"),
        );
    }
    if !(1..=MOST_ROWS).contains(&draft.rows.len()) {
        return unfit(
            "rows",
            format!("has {}, from 1 to {MOST_ROWS} are allowed", draft.rows.len()),
        );
    }
    let message = &draft.message;
    let is_empty =
        message.body.trim().is_empty() && message.media_urls.is_empty() && message.template.is_none();
    if is_empty {
        return unfit(
            "body",
            "is missing: give a body, media_urls or a template".to_owned(),
        );
    }
    let length = message.characters();
    if length > CampaignMessage::LONGEST {
        return unfit(
            "body",
            format!(
                "has {length} characters with what goes with it, at most {} are allowed",
                CampaignMessage::LONGEST
            ),
        );
    }
    Ok(())
}

fn look(draft: &Draft, owner: &OwnerId, senders: &Senders) -> Vec<NewPerson> {
    let mut seen = HashMap::new();
    let rows = (1..).zip(&draft.rows);
    rows.map(|(n, row)| person(draft, owner, senders, n, row, &mut seen))
        .collect()
}

/// A row as it will be sent, or why it will not.
fn person(
    draft: &Draft,
    owner: &OwnerId,
    senders: &Senders,
    n: usize,
    row: &Row,
    seen: &mut HashMap<Address, usize>,
) -> NewPerson {
    let given = |name: &str| -> String {
        let value = row.as_ref().ok().and_then(|fields| fields.get(name));
        value.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let (to, prospect) = (given("to"), given("prospect"));
    let read = || -> Result<Address, (String, Option<String>)> {
        let fields = row.as_ref().map_err(|told| (told.clone(), None))?;
        let filled = draft.message.fill(fields).map_err(|gap| {
            let field = match &gap {
                recado_domain::Gap::Missing(column) => column.clone(),
                recado_domain::Gap::Brace | recado_domain::Gap::TooLong => "body".to_owned(),
            };
            (gap.to_string(), Some(field))
        })?;
        // Who has no id of the owner's is known by the number.
        let prospect = match prospect.is_empty() {
            true => to.clone(),
            false => prospect.clone(),
        };
        let sent = check_person(
            owner,
            senders,
            draft.channel,
            draft.from.clone(),
            &to,
            prospect,
            filled,
        );
        sent.map_err(|problem| (problem.to_string(), problem.field().map(str::to_owned)))
    };
    let (address, verdict) = match read() {
        Ok(address) => {
            let twin = address.other_spelling().filter(|other| seen.contains_key(other));
            let first = *seen.entry(twin.unwrap_or_else(|| address.clone())).or_insert(n);
            let verdict = match first == n {
                true => Verdict::Ready,
                false => invalid(format!("this is the number of row {first} again"), "to"),
            };
            (address.to_twilio(), verdict)
        }
        Err((problem, field)) => (to.clone(), Verdict::Invalid { problem, field }),
    };
    NewPerson {
        prospect: match prospect.is_empty() {
            true => address.clone(),
            false => prospect,
        },
        address,
        fields: row.as_ref().ok().cloned().unwrap_or_else(Fields::new),
        verdict,
    }
}

fn invalid(problem: String, field: &str) -> Verdict {
    Verdict::Invalid {
        problem,
        field: Some(field.to_owned()),
    }
}

/// Whoever wants no messages gets none. It is looked at again in the moment of sending.
async fn silence(app: &App, owner: &OwnerId, people: &mut [NewPerson]) -> Result<(), Problem> {
    let ready = |person: &NewPerson| match person.verdict {
        Verdict::Ready => Address::parse(&person.address).ok(),
        Verdict::Invalid { .. } => None,
    };
    for handful in people.chunks_mut(TOGETHER) {
        let addresses: Vec<Address> = handful.iter().filter_map(ready).collect();
        let asked: Vec<&Address> = addresses.iter().collect();
        let silent: HashSet<Address> = opt_outs::among(&app.environment.database, owner, &asked).await?;
        for person in handful {
            if ready(person).is_some_and(|address| silent.contains(&address)) {
                person.verdict = invalid("this person opted out".to_owned(), "to");
            }
        }
    }
    Ok(())
}
