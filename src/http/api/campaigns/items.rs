//! How campaigns and their people look as JSON.
use super::{Campaign, DateTime, Object, Person, PersonState, Progress, SendErrorItem, Utc};

/// A campaign, and how far it is.
#[derive(Object)]
pub(in crate::http::api) struct CampaignItem {
    id: String,
    name: String,
    /// sms or whatsapp.
    channel: String,
    /// From where; the owner's oldest number if null.
    from: Option<String>,
    /// The text, with its gaps.
    body: String,
    media_urls: Vec<String>,
    template: Option<serde_json::Value>,
    /// How many people a minute; null: as fast as limits allow.
    pace: Option<u32>,
    /// draft, running, paused, completed or cancelled.
    state: String,
    progress: ProgressItem,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// How many people, by what became of them.
#[derive(Object)]
struct ProgressItem {
    total: u64,
    /// Can be written to and were not yet.
    ready: u64,
    /// Cannot be written to.
    invalid: u64,
    /// On the way to Twilio.
    taken: u64,
    /// Twilio took the message.
    sent: u64,
    /// It did not.
    failed: u64,
    /// A person must decide about the run.
    held: u64,
    /// Are not written to any more.
    cancelled: u64,
}

/// A page of campaigns, newest first.
#[derive(Object)]
pub(in crate::http::api) struct CampaignPage {
    pub(super) items: Vec<CampaignItem>,
    /// The cursor of the next page, if there is one.
    pub(super) next: Option<String>,
}

/// A draft, and what is wrong with it.
#[derive(Object)]
pub(in crate::http::api) struct PreviewItem {
    campaign: CampaignItem,
    /// The first 100 rows that cannot be sent; `/rows?state=invalid` has all.
    problems: Vec<PersonItem>,
    /// The first messages, as they will be sent.
    examples: Vec<ExampleItem>,
}

/// What one person will get.
#[derive(Object)]
struct ExampleItem {
    row: i64,
    to: String,
    body: String,
    template: Option<serde_json::Value>,
}

/// A person of a campaign.
#[derive(Object)]
struct PersonItem {
    /// The how-manieth, from 1.
    row: i64,
    to: String,
    prospect: String,
    /// ready, invalid, taken, sent, failed, held or cancelled.
    state: String,
    /// Why it cannot be sent, or was not.
    error: Option<SendErrorItem>,
    /// What Twilio said of the message last.
    delivery: Option<String>,
    sid: Option<String>,
    run: Option<String>,
    updated_at: DateTime<Utc>,
}

/// A page of people, in their order.
#[derive(Object)]
pub(in crate::http::api) struct PersonPage {
    items: Vec<PersonItem>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

impl PreviewItem {
    /// How many problems are shown.
    pub(super) const ROWS: u64 = 100;
    /// How many messages.
    const EXAMPLES: usize = 3;

    pub(super) fn of(
        campaign: Campaign,
        progress: Progress,
        invalid: Vec<Person>,
        ready: Vec<Person>,
    ) -> Self {
        let example = |person: &Person| {
            let message = campaign.message.fill(&person.fields).ok()?;
            Some(ExampleItem {
                row: person.n,
                to: person.address.clone(),
                body: message.body,
                template: message
                    .template
                    .and_then(|template| serde_json::to_value(template).ok()),
            })
        };
        Self {
            examples: ready.iter().take(Self::EXAMPLES).filter_map(example).collect(),
            problems: invalid.into_iter().map(PersonItem::from).collect(),
            campaign: CampaignItem::of(campaign, progress),
        }
    }
}

impl CampaignItem {
    pub(super) fn of(campaign: Campaign, progress: Progress) -> Self {
        let message = campaign.message;
        Self {
            id: campaign.id,
            name: campaign.name,
            channel: campaign.channel.to_string(),
            from: campaign.sender,
            body: message.body,
            media_urls: message.media_urls,
            template: message
                .template
                .and_then(|template| serde_json::to_value(template).ok()),
            pace: campaign.pace,
            state: campaign.state.to_string(),
            progress: ProgressItem {
                total: progress.total,
                ready: progress.ready,
                invalid: progress.invalid,
                taken: progress.taken,
                sent: progress.sent,
                failed: progress.failed,
                held: progress.held,
                cancelled: progress.cancelled,
            },
            created_at: campaign.created_at,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
        }
    }
}

impl PersonPage {
    pub(super) fn of(page: recado_store::Page<Person>) -> Self {
        Self {
            items: page.items.into_iter().map(PersonItem::from).collect(),
            next: page.next,
        }
    }
}

impl From<Person> for PersonItem {
    fn from(person: Person) -> Self {
        let error = match person.state {
            PersonState::Invalid => Some(SendErrorItem::of_row(person.field, person.problem)),
            _ if person.error_code.is_some() || person.error_message.is_some() => {
                Some(SendErrorItem::of(person.error_code, person.error_message))
            }
            PersonState::Held => Some(SendErrorItem::of_row(
                None,
                Some("the run that sends it has not ended; look at it".to_owned()),
            )),
            _ => None,
        };
        Self {
            row: person.n,
            to: person.address,
            prospect: person.prospect,
            state: person.state.as_str().to_owned(),
            error,
            delivery: person.delivery,
            sid: person.sid,
            run: person.run,
            updated_at: person.updated_at,
        }
    }
}
