//! Who it is that writes.
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use recado_domain::{Address, Channel, ContactId, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value as Json;

use crate::{
    StoreError,
    rows::{Column, Rows, number, time},
};

/// Somebody who has written.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// To whom.
    pub owner: &'a OwnerId,
    /// From where.
    pub address: &'a Address,
    /// Another address that the channel says is theirs: a telephone beside a business-scoped id, or the other way round.
    pub also: Option<&'a Address>,
    /// The channel's name for them, if it tells one.
    pub profile_name: Option<&'a str>,
    /// When.
    pub at: DateTime<Utc>,
}

/// The contact behind an address; a new one when it never wrote before. The same telephone on another channel, or
/// with or without Brazil's ninth digit, is the same contact, and gets this address too. The channel's name for it
/// is kept when none is known.
///
/// # Errors
/// Those of the database.
pub async fn find_or_create(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    address: &Address,
    profile_name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<ContactId, StoreError> {
    let writer = Writer {
        owner,
        address,
        also: None,
        profile_name,
        at: now,
    };
    let found = find_or_create_each(conn, &[writer]).await?;
    found.into_iter().next().ok_or(StoreError::Stale("contact"))
}

/// [`find_or_create`] for many at once, as if one after the other in their order. One statement where all are known
/// by name, two more for those who are new, and one where a known contact gets its name. Two addresses that are one
/// person's are one contact's from the first time on that both are told; contacts that were two before stay so.
///
/// # Errors
/// Those of the database.
pub async fn find_or_create_each(
    conn: &impl ConnectionTrait,
    told: &[Writer<'_>],
) -> Result<Vec<ContactId>, StoreError> {
    let writers: Vec<Writer<'_>> = told.iter().flat_map(Writer::each_address).collect();
    let writers = writers.as_slice();
    let keys: Vec<Key<'_>> = writers.iter().map(key_of).collect();
    let Claims { mut known, elsewhere } = claims(conn, writers, &keys).await?;
    let mut created = HashSet::new();
    let wanted = wanted(writers, &keys, &known, &elsewhere);
    if !wanted.is_empty() {
        let claimed = claim(conn, &wanted).await?;
        let people = unnamed(writers, &keys, &claimed);
        created = create(conn, &people).await?;
        known.extend(claimed);
    }
    let mut people = unnamed(writers, &keys, &known);
    people.retain(|id, person| person.name.is_some() && !created.contains(*id));
    name(conn, &people).await?;
    let contact = |writer| {
        let known = known.get(&key_of(writer));
        known.map(|known| ContactId::from(known.contact.as_str()))
    };
    told.iter()
        .map(|writer| contact(writer).ok_or(StoreError::Stale("contact")))
        .collect()
}

impl<'a> Writer<'a> {
    /// As somebody who writes from either address.
    fn each_address(&self) -> impl Iterator<Item = Writer<'a>> + use<'a> {
        let other = self.also.map(|also| Writer {
            address: also,
            also: Some(self.address),
            ..*self
        });
        std::iter::once(*self).chain(other)
    }

    /// The other addresses that reach the same person, four at most.
    fn others(&self) -> impl Iterator<Item = Address> + use<'a> {
        let also = self.also;
        let theirs = also.into_iter().flat_map(spellings);
        spellings(self.address).chain(also.cloned()).chain(theirs)
    }
}

/// An owner, and an address as it stands in the database.
type Key<'a> = (&'a str, String);

fn key_of<'a>(writer: &Writer<'a>) -> Key<'a> {
    (writer.owner.as_str(), writer.address.to_twilio())
}

/// Whose an address is.
struct Known {
    contact: String,
    is_named: bool,
}

struct Claims<'a> {
    known: HashMap<Key<'a>, Known>,
    /// Whose another spelling of an unknown address is.
    elsewhere: HashMap<Key<'a>, String>,
}

/// Somebody without a name, and the first one that they go by here.
struct Person<'a> {
    owner: &'a str,
    name: Option<&'a str>,
    at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Claim {
    n: i64,
    contact: Option<String>,
    named: bool,
    elsewhere: Option<String>,
}

#[derive(FromQueryResult)]
struct Claimed {
    owner: String,
    address: String,
    contact: String,
}

#[derive(FromQueryResult)]
struct Created {
    id: String,
}

/// Who has claimed these addresses, as far as the contacts' rows are there too.
async fn claims<'a>(
    conn: &impl ConnectionTrait,
    writers: &[Writer<'a>],
    keys: &[Key<'a>],
) -> Result<Claims<'a>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("n", "bigint"),
        ("owner", "text"),
        ("address", "text"),
        ("spelling_1", "text"),
        ("spelling_2", "text"),
        ("spelling_3", "text"),
        ("spelling_4", "text"),
    ];
    let sql = "
        select t.n, c.id as contact, c.name is not null as named,
            case when c.id is null then coalesce(
                (select b.contact from contact_addresses b where b.owner = t.owner and b.address = t.spelling_1),
                (select b.contact from contact_addresses b where b.owner = t.owner and b.address = t.spelling_2),
                (select b.contact from contact_addresses b where b.owner = t.owner and b.address = t.spelling_3),
                (select b.contact from contact_addresses b where b.owner = t.owner and b.address = t.spelling_4)
            ) end as elsewhere
        from {rows} left join contact_addresses a on a.owner = t.owner and a.address = t.address
        left join contacts c on c.id = a.contact and c.owner = a.owner";
    let mut seen = HashSet::new();
    let mut rows = Rows::new(COLUMNS);
    for (place, (writer, key)) in writers.iter().zip(keys).enumerate() {
        if seen.insert(key) {
            let mut others = writer.others().map(|other| Json::from(other.to_twilio()));
            let mut other = || others.next().unwrap_or_default();
            let (owner, address) = (key.0.into(), key.1.as_str().into());
            rows.push([number(place), owner, address, other(), other(), other(), other()]);
        }
    }
    let found: Vec<Claim> = rows.query(conn, sql, vec![]).await?;
    let mut claims = Claims {
        known: HashMap::new(),
        elsewhere: HashMap::new(),
    };
    for claim in found {
        let Some(key) = usize::try_from(claim.n).ok().and_then(|n| keys.get(n)) else {
            continue;
        };
        let is_named = claim.named;
        if let Some(contact) = claim.contact {
            claims.known.insert(key.clone(), Known { contact, is_named });
        } else if let Some(contact) = claim.elsewhere {
            claims.elsewhere.insert(key.clone(), contact);
        }
    }
    Ok(claims)
}

/// Which addresses are to be claimed, for whom and since when: for the contact that has another spelling of it, known
/// or further up in this list, else for a new one.
fn wanted<'a>(
    writers: &[Writer<'a>],
    keys: &[Key<'a>],
    known: &HashMap<Key<'a>, Known>,
    elsewhere: &HashMap<Key<'a>, String>,
) -> BTreeMap<Key<'a>, (String, DateTime<Utc>)> {
    let mut wanted: BTreeMap<Key<'a>, (String, DateTime<Utc>)> = BTreeMap::new();
    for (writer, key) in writers.iter().zip(keys) {
        if known.contains_key(key) || wanted.contains_key(key) {
            continue;
        }
        let further_up = || {
            writer
                .others()
                .find_map(|other| wanted.get(&(key.0, other.to_twilio())))
                .map(|(contact, _)| contact.clone())
        };
        let contact = elsewhere.get(key).cloned().or_else(further_up);
        let contact = contact.unwrap_or_else(|| ContactId::new().to_string());
        wanted.insert(key.clone(), (contact, writer.at));
    }
    wanted
}

/// Claims addresses. Of two who claim one at once the second waits for the first, and finds the contact of the first.
async fn claim<'a>(
    conn: &impl ConnectionTrait,
    wanted: &BTreeMap<Key<'a>, (String, DateTime<Utc>)>,
) -> Result<HashMap<Key<'a>, Known>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("owner", "text"),
        ("address", "text"),
        ("contact", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into contact_addresses (owner, address, contact, created_at)
        select owner, address, contact, at from {rows} where true
        on conflict (owner, address) do update set contact = contact_addresses.contact
        returning owner, address, contact";
    let mut rows = Rows::new(COLUMNS);
    for ((owner, address), (contact, at)) in wanted {
        rows.push([
            (*owner).into(),
            address.as_str().into(),
            contact.as_str().into(),
            time(*at),
        ]);
    }
    let claimed: Vec<Claimed> = rows.query(conn, sql, vec![]).await?;
    let owners: HashMap<&str, &'a str> = wanted.keys().map(|(owner, _)| (*owner, *owner)).collect();
    let known = claimed.into_iter().filter_map(|row| {
        let owner = *owners.get(row.owner.as_str())?;
        let known = Known {
            contact: row.contact,
            is_named: false,
        };
        Some(((owner, row.address), known))
    });
    Ok(known.collect())
}

/// Those of `known` who have no name.
fn unnamed<'a, 'k>(
    writers: &[Writer<'a>],
    keys: &[Key<'a>],
    known: &'k HashMap<Key<'a>, Known>,
) -> BTreeMap<&'k str, Person<'a>> {
    let mut people = BTreeMap::new();
    for (writer, key) in writers.iter().zip(keys) {
        let Some(known) = known.get(key).filter(|known| !known.is_named) else {
            continue;
        };
        let person = people.entry(known.contact.as_str()).or_insert(Person {
            owner: key.0,
            name: None,
            at: writer.at,
        });
        let told = writer.profile_name.filter(|name| !name.trim().is_empty());
        person.name = person.name.or(told);
    }
    people
}

/// Creates those who are not there: new, or left out by a process that died between two statements. Returns who they
/// are.
async fn create(
    conn: &impl ConnectionTrait,
    people: &BTreeMap<&str, Person<'_>>,
) -> Result<HashSet<String>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("id", "text"),
        ("owner", "text"),
        ("name", "text"),
        ("at", "timestamptz"),
    ];
    let sql = "
        insert into contacts (id, owner, name, created_at) select id, owner, name, at from {rows} where true
        on conflict do nothing returning id";
    let mut rows = Rows::new(COLUMNS);
    for (id, person) in people {
        rows.push([
            (*id).into(),
            person.owner.into(),
            person.name.into(),
            time(person.at),
        ]);
    }
    let created: Vec<Created> = rows.query(conn, sql, vec![]).await?;
    Ok(created.into_iter().map(|row| row.id).collect())
}

async fn name(conn: &impl ConnectionTrait, people: &BTreeMap<&str, Person<'_>>) -> Result<(), StoreError> {
    const COLUMNS: &[Column] = &[("its_id", "text"), ("its_owner", "text"), ("its_name", "text")];
    let sql = "
        update contacts set name = t.its_name from {rows}
        where id = t.its_id and owner = t.its_owner and name is null";
    let mut rows = Rows::new(COLUMNS);
    for (id, person) in people {
        rows.push([(*id).into(), person.owner.into(), person.name.into()]);
    }
    rows.execute(conn, sql, vec![]).await?;
    Ok(())
}

/// The other addresses that reach the same telephone, three at most.
fn spellings(address: &Address) -> impl Iterator<Item = Address> {
    let phone = address.phone();
    let other = phone.and_then(|phone| phone.other_spelling());
    let phones = [phone.cloned(), other];
    phones
        .into_iter()
        .flatten()
        .flat_map(|phone| {
            [Channel::Sms, Channel::Whatsapp].map(|channel| Address::of_phone(channel, phone.clone()))
        })
        .filter(move |spelling| spelling != address)
}
