//! What Twilio knows and we do not: ends of messages and calls that were not reported, and messages to us whose webhook
//! never came. A schedule starts it once a day for each account of each owner.
use chrono::{DateTime, TimeDelta, Utc};
use recado_activities::{
    ApplyStatuses, FetchPrices, FetchStatuses, KeepPrices, ListAddresses, ListReceived, Missed, Prices,
    Received, Sending, Statuses,
};
use recado_domain::OwnerId;
use recado_engine::{Child, Context, Fault, OnClose, Outcome, Workflow};
use serde::{Deserialize, Serialize};

use crate::{InboundMessage, SendInstead};

/// How far back it looks; a day that was missed is made good by the next one.
const SPAN: TimeDelta = TimeDelta::days(2);
/// What is younger may still be reported by itself, in seconds.
const GRACE: i64 = 600;
/// The most pages of each kind that one run looks at: ten thousand statuses, ten thousand messages to an address, a hundred
/// thousand of an account that has messaging services.
const MOST_PAGES: usize = 200;
/// The same of what was received, whose pages are larger.
const MOST_RECEIVED: usize = 100;
/// The same of prices: a hundred thousand messages.
const MOST_PRICED: usize = 100;

/// Compares an owner's books with those of a Twilio account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconcile {
    /// Whose books.
    pub owner: OwnerId,
    /// Which account.
    pub account: String,
    /// What is younger than so many seconds is left for the next time; 600 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// Messages and calls that Twilio was asked about.
    pub asked: u32,
    /// Those of which Twilio said more than we knew.
    pub statuses: u32,
    /// Messages that Twilio has received for us.
    pub received: u32,
    /// Those whose webhook never came; a run of its own answers each.
    pub missed: u32,
    /// Messages and calls of which Twilio told what they cost.
    #[serde(default)]
    pub priced: u32,
    /// Whether there was more than one run looks at.
    #[serde(default)]
    pub unfinished: bool,
}

impl Outcome for Mended {
    fn word(&self) -> &'static str {
        match (self.unfinished, self.statuses + self.missed) {
            (true, _) => "unfinished",
            (false, 0) => "in_order",
            (false, _) => "mended",
        }
    }
}

impl Workflow for Reconcile {
    const NAME: &'static str = "reconcile";
    type Output = Mended;

    async fn run(self, ctx: &mut Context) -> Result<Mended, Fault> {
        ctx.tag_owner(self.owner.as_str());
        let now = ctx.now().await;
        let grace = TimeDelta::seconds(self.grace_seconds.map_or(GRACE, i64::from));
        let span = (now - SPAN, now - grace);
        let mut mended = Mended::default();
        for sending in [Sending::Messages, Sending::Calls] {
            self.mend_statuses(ctx, sending, span, &mut mended).await?;
        }
        self.find_missed(ctx, span, &mut mended).await?;
        if ctx.version("prices").await {
            for sending in [Sending::Messages, Sending::Calls] {
                self.find_prices(ctx, sending, span.0, &mut mended).await?;
            }
        }
        Ok(mended)
    }
}

impl Reconcile {
    async fn mend_statuses(
        &self,
        ctx: &mut Context,
        sending: Sending,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        mended: &mut Mended,
    ) -> Result<(), Fault> {
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let fetch = FetchStatuses {
                owner: self.owner.clone(),
                account: self.account.clone(),
                sending,
                from,
                until,
                after,
            };
            let Statuses {
                asked,
                changed,
                lost,
                next,
            } = ctx.run(fetch).await?;
            mended.asked += asked;
            if !changed.is_empty() {
                let apply = ApplyStatuses {
                    owner: self.owner.clone(),
                    account: self.account.clone(),
                    sending,
                    changed,
                };
                mended.statuses += ctx.run(apply).await?;
                self.send_instead(ctx, lost).await?;
            }
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
        mended.unfinished = true;
        Ok(())
    }

    /// Starts the runs that send otherwise what WhatsApp did not deliver, under the keys that reports would have used.
    async fn send_instead(&self, ctx: &mut Context, lost: Vec<String>) -> Result<(), Fault> {
        for sid in lost {
            let instead = SendInstead {
                account: self.account.clone(),
                sid,
            };
            let child = Child {
                key: Some(instead.key()),
                on_close: OnClose::Abandon,
                ..Child::default()
            };
            ctx.start(&instead, child).await?;
        }
        Ok(())
    }

    /// What Twilio charged for what is in the books: told some time after the end, so that a day looks at the one before
    /// too.
    async fn find_prices(
        &self,
        ctx: &mut Context,
        sending: Sending,
        from: DateTime<Utc>,
        mended: &mut Mended,
    ) -> Result<(), Fault> {
        let mut at = None;
        for _ in 0..MOST_PRICED {
            let fetch = FetchPrices {
                owner: self.owner.clone(),
                account: self.account.clone(),
                sending,
                from,
                next: at,
            };
            let Prices { prices, next } = ctx.run(fetch).await?;
            if !prices.is_empty() {
                let owner = self.owner.clone();
                let keep = KeepPrices {
                    owner,
                    sending,
                    prices,
                };
                mended.priced += ctx.run(keep).await?;
            }
            if next.is_none() {
                return Ok(());
            }
            at = next;
        }
        mended.unfinished = true;
        Ok(())
    }

    /// Starts the runs of messages whose webhook never came, oldest first, under the keys that their webhooks would have
    /// used: one that comes late after all starts nothing twice.
    async fn find_missed(
        &self,
        ctx: &mut Context,
        span: (DateTime<Utc>, DateTime<Utc>),
        mended: &mut Mended,
    ) -> Result<(), Fault> {
        let addresses = ctx
            .run(ListAddresses {
                owner: self.owner.clone(),
                account: self.account.clone(),
            })
            .await?;
        let mut missed = Vec::new();
        for to in addresses {
            missed.extend(self.missed_at(ctx, to, span, mended).await?);
        }
        missed.sort_by(|one, other| (one.at, &one.sid).cmp(&(other.at, &other.sid)));
        // One of our numbers may be of one of our services.
        missed.dedup_by(|one, other| one.sid == other.sid);
        for one in missed {
            let message = self.message(one);
            let child = Child {
                key: Some(InboundMessage::key(&message.account, &message.sid)),
                lane: Some(message.lane()),
                ..Child::default()
            };
            ctx.start(&message, child).await?;
            mended.missed += 1;
        }
        Ok(())
    }

    async fn missed_at(
        &self,
        ctx: &mut Context,
        to: String,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        mended: &mut Mended,
    ) -> Result<Vec<Missed>, Fault> {
        let (mut all, mut at) = (Vec::new(), None);
        for _ in 0..MOST_RECEIVED {
            let list = ListReceived {
                owner: self.owner.clone(),
                account: self.account.clone(),
                to: to.clone(),
                from,
                until,
                next: at,
            };
            let Received { seen, missed, next } = ctx.run(list).await?;
            mended.received += seen;
            all.extend(missed);
            if next.is_none() {
                return Ok(all);
            }
            at = next;
        }
        mended.unfinished = true;
        Ok(all)
    }

    fn message(&self, missed: Missed) -> InboundMessage {
        let form = [
            ("MessageSid", missed.sid.clone()),
            ("AccountSid", self.account.clone()),
            ("From", missed.from.clone()),
            ("To", missed.to.clone()),
            ("Body", missed.body.clone()),
            ("NumMedia", missed.media.len().to_string()),
        ];
        let mut form: Vec<_> = form.map(|(name, value)| (name.to_owned(), value)).to_vec();
        for (place, (url, content_type)) in missed.media.iter().enumerate() {
            form.push((format!("MediaUrl{place}"), url.clone()));
            form.push((format!("MediaContentType{place}"), content_type.clone()));
        }
        InboundMessage {
            account: self.account.clone(),
            sid: missed.sid,
            service: missed.service,
            from: missed.from,
            to: missed.to,
            body: missed.body,
            media: u32::try_from(missed.media.len()).unwrap_or_default(),
            profile_name: None,
            opt_out_type: None,
            received_at: missed.at,
            form,
        }
    }
}
