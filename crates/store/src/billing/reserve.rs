//! The decision who gets what is left of a plan.
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::ConnectionTrait;

use super::{
    Grant, Refusal, Request,
    ledger::{self, Counter, Item},
    notices,
    standing::{self, Pair, Ruling},
};
use crate::StoreError;

/// What one of several runs wants to use.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Whose plan it uses.
    pub owner: &'a OwnerId,
    /// The run; a feature is counted once for it.
    pub run: &'a str,
    /// The features, asked for one after the other until one is refused.
    pub features: &'a [&'a str],
    /// How much of each, 0 or more, in the feature's unit.
    pub quantity: i64,
    /// Who is told when one is refused.
    pub contact: &'a Address,
}

/// Why a want is refused, and in which period.
type No<'a> = (&'a str, Refusal, DateTime<Utc>);

/// Reserves usage for a run, unless the plan refuses. Asking again for the same run and feature changes nothing.
/// Needs a transaction: on Postgres it is that which makes two who count wait for each other.
///
/// # Errors
/// Those of the database.
pub async fn reserve(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    request: Request<'_>,
    now: DateTime<Utc>,
) -> Result<Grant, StoreError> {
    let want = Want {
        owner,
        run: request.run,
        features: &[request.feature],
        quantity: request.quantity,
        contact: request.contact,
    };
    let grants = reserve_each(conn, &[want], now).await?;
    Ok(grants.into_iter().next().unwrap_or(Grant::Granted))
}

/// [`reserve`] for many at once, as if one after the other in their order. Three statements where no plan has a limit,
/// four where one has, more where one refuses.
///
/// # Errors
/// Those of the database.
pub async fn reserve_each(
    conn: &impl ConnectionTrait,
    wants: &[Want<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Grant>, StoreError> {
    let pairs: BTreeSet<Pair<'_>> = wants
        .iter()
        .flat_map(|want| {
            want.features
                .iter()
                .map(|feature| (want.owner.as_str(), *feature))
        })
        .collect();
    let rulings = standing::rulings(conn, pairs, now).await?;
    let ruling = |owner: &OwnerId, feature| rulings.get(&(owner.as_str(), feature)).copied();
    let items: Vec<Vec<Item<'_>>> = wants
        .iter()
        .map(|want| {
            let items = want.features.iter().filter_map(|feature| {
                Some(Item {
                    owner: want.owner.as_str(),
                    run: want.run,
                    feature,
                    quantity: want.quantity,
                    period_start: ruling(want.owner, feature)?.period_start(),
                })
            });
            items.collect()
        })
        .collect();
    let is_free = rulings
        .values()
        .all(|ruling| matches!(ruling, Ruling::Unlimited(_)));
    let mut desk = match is_free {
        true => Desk::free(&rulings),
        false => Desk::counting(conn, &rulings, &items.concat()).await?,
    };
    let refusals: Vec<_> = items
        .iter()
        .map(|items| items.iter().find_map(|item| desk.refuse(*item)))
        .collect();
    let mut owed = ledger::reserve(conn, &desk.granted, now).await?;
    for (counter, taken) in &desk.taken {
        *owed.entry(*counter).or_default() -= taken;
    }
    owed.retain(|_, quantity| *quantity != 0);
    ledger::add(conn, &owed).await?;
    grants(conn, wants, &refusals, now).await
}

/// Where requests are decided, one after the other.
struct Desk<'a, 'r> {
    rulings: &'r BTreeMap<Pair<'a>, Ruling>,
    /// Runs and features that are counted already, or granted here.
    counted: HashSet<(&'a str, &'a str)>,
    /// What this transaction has put on the counters before deciding, to have them to itself.
    taken: BTreeMap<Counter<'a>, i64>,
    /// What is used, by what is granted here too.
    used: BTreeMap<Counter<'a>, i64>,
    granted: Vec<Item<'a>>,
}

impl<'a, 'r> Desk<'a, 'r> {
    /// Nothing is refused, so that counters are locked last, and shortly.
    fn free(rulings: &'r BTreeMap<Pair<'a>, Ruling>) -> Self {
        Self {
            rulings,
            counted: HashSet::new(),
            taken: BTreeMap::new(),
            used: BTreeMap::new(),
            granted: Vec::new(),
        }
    }

    /// Takes all that may be granted, which locks the counters in one order; what is refused is given back.
    async fn counting(
        conn: &impl ConnectionTrait,
        rulings: &'r BTreeMap<Pair<'a>, Ruling>,
        items: &[Item<'a>],
    ) -> Result<Self, StoreError> {
        let places = ledger::counted(conn, items).await?;
        let counted: HashSet<_> = items
            .iter()
            .enumerate()
            .filter(|(place, _)| places.contains(place))
            .map(|(_, item)| (item.run, item.feature))
            .collect();
        let mut desk = Self {
            counted,
            ..Self::free(rulings)
        };
        let mut asked = HashSet::new();
        for item in items {
            let is_new = !desk.counted.contains(&(item.run, item.feature));
            if is_new && desk.may_grant(item) && asked.insert((item.run, item.feature)) {
                *desk.taken.entry(item.counter()).or_default() += item.quantity;
            }
        }
        for (counter, used) in ledger::add(conn, &desk.taken).await? {
            let ours = desk.taken.get(&counter).copied().unwrap_or_default();
            desk.used.insert(counter, used - ours);
        }
        Ok(desk)
    }

    /// Whether it would be granted if nothing were used.
    fn may_grant(&self, item: &Item<'a>) -> bool {
        match self.rulings.get(&(item.owner, item.feature)) {
            Some(Ruling::Unlimited(_)) => true,
            Some(Ruling::Limited(_, quota)) => item.quantity <= *quota,
            Some(Ruling::Refused(..)) | None => false,
        }
    }

    /// Grants one, or says why not.
    fn refuse(&mut self, item: Item<'a>) -> Option<No<'a>> {
        if self.counted.contains(&(item.run, item.feature)) {
            return None;
        }
        let used = self.used.entry(item.counter()).or_default();
        let reason = match self.rulings.get(&(item.owner, item.feature))? {
            Ruling::Unlimited(_) => None,
            Ruling::Limited(_, quota) if used.saturating_add(item.quantity) > *quota => {
                Some(Refusal::OverQuota)
            }
            Ruling::Limited(..) => None,
            Ruling::Refused(_, reason) => Some(*reason),
        };
        if let Some(reason) = reason {
            return Some((item.feature, reason, item.period_start));
        }
        *used = used.saturating_add(item.quantity);
        self.counted.insert((item.run, item.feature));
        self.granted.push(item);
        None
    }
}

/// The answers. A notice belongs to the run that was refused first; it gets the same answer when it asks again.
async fn grants(
    conn: &impl ConnectionTrait,
    wants: &[Want<'_>],
    refusals: &[Option<No<'_>>],
    now: DateTime<Utc>,
) -> Result<Vec<Grant>, StoreError> {
    let mut refused = BTreeMap::new();
    for (want, refusal) in wants.iter().zip(refusals) {
        if let Some((feature, _, start)) = refusal {
            let key = (want.owner.as_str(), want.contact.to_twilio(), *feature, *start);
            refused.entry(key).or_insert(want.run);
        }
    }
    let tellers = notices::tellers(conn, &refused, now).await?;
    let answer = |(want, refusal): (&Want<'_>, &Option<No<'_>>)| {
        let Some((feature, reason, start)) = *refusal else {
            return Grant::Granted;
        };
        let key = (
            want.owner.to_string(),
            want.contact.to_twilio(),
            feature.to_owned(),
            start,
        );
        Grant::Refused {
            reason,
            notice: tellers.get(&key).is_some_and(|run| run == want.run),
        }
    };
    Ok(wants.iter().zip(refusals).map(answer).collect())
}
