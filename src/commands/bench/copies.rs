//! A history that never happened, many runs at once: copies of a message that was really answered.
//!
//! Copies are numbered. Their ids begin with the number, and so are older than everything real.
use anyhow::Context as _;
use recado_engine::Workflow;
use recado_workflows::InboundMessage;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait, Value};

use super::{contacts::Contacts, world::World};

/// Copies in one commit.
const CHUNK: u64 = 10_000;

/// How a column of a copy differs from its template's.
#[derive(Clone, Copy)]
enum Becomes {
    /// An id: its first 16 characters become the number.
    Id,
    /// Its last 16 characters become the number, behind an `f`: no SID of a contact who really writes has one there.
    Tail,
    /// The contact's address becomes one of its own.
    Contact,
}
use Becomes::{Contact, Id, Tail};

/// A table, which of its rows belong to the run `$1` and its `{conversation}` with `{contact}`, found by an index, and the
/// columns that must differ; in the order of references.
type Table = (&'static str, &'static str, &'static [(&'static str, Becomes)]);

const TABLES: [Table; 11] = [
    ("contacts", "$1 = $1 and id = {contact}", &[("id", Id)]),
    (
        "contact_addresses",
        "$1 = $1 and contact = {contact}",
        &[("contact", Id), ("address", Contact)],
    ),
    (
        "conversations",
        "$1 = $1 and id = {conversation}",
        &[("id", Id), ("contact", Id), ("contact_address", Contact)],
    ),
    (
        "conversation_transitions",
        "$1 = $1 and conversation = {conversation}",
        &[("conversation", Id)],
    ),
    (
        "messages",
        "run = $1 and conversation = {conversation}",
        &[
            ("id", Id),
            ("conversation", Id),
            ("contact", Id),
            ("twilio_sid", Tail),
            ("token", Tail),
            ("run", Id),
        ],
    ),
    (
        "message_events",
        "message in (select id from messages where run = $1 and conversation = {conversation})",
        &[("id", Id), ("message", Id)],
    ),
    ("usage", "run = $1", &[("run", Id)]),
    (
        "lanes",
        "key in (select lane from runs where id = $1)",
        &[("key", Contact)],
    ),
    ("run_keys", "run = $1", &[("key", Tail), ("run", Id)]),
    ("journal", "run = $1", &[("run", Id)]),
    ("runs", "id = $1", &[("id", Id), ("key", Tail), ("lane", Contact)]),
];

/// A run that was really answered, and how copies of it are numbered.
pub(super) struct Template {
    pub(super) run: String,
    pub(super) contact: String,
    next: u64,
    /// One statement for each table.
    inserts: Vec<String>,
}

impl Template {
    /// Takes the message of the first of `contacts`, which has been answered.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such run.
    pub(super) async fn of(world: &World, contacts: &Contacts) -> anyhow::Result<Self> {
        let sql = "select min(run) as run from run_keys where workflow = $1 and key >= $2 and key < $3";
        let keys = contacts.keys();
        let values = vec![
            InboundMessage::NAME.into(),
            keys.as_str().into(),
            format!("{keys}g").into(),
        ];
        let run: Option<String> = world.one(sql, values).await?.try_get("", "run")?;
        let run = run.context("there is no run to copy")?;
        // The first contact's run is not necessarily the oldest.
        let sql = "select id, contact, contact_address from conversations where id in
            (select conversation from messages where run = $1)";
        let row = world.one(sql, vec![run.as_str().into()]).await?;
        let text = |column| row.try_get::<String>("", column);
        let (conversation, who) = (text("id")?, text("contact")?);
        let sql = "select max(id) as last from runs where id < '01'";
        let last: Option<String> = world.one(sql, vec![]).await?.try_get("", "last")?;
        let last = last.and_then(|id| id.get(..16)?.parse::<u64>().ok()).unwrap_or(0);
        let mut template = Self {
            run,
            contact: text("contact_address")?,
            next: last + 1,
            inserts: Vec::new(),
        };
        for (table, of, becomes) in TABLES {
            let of = of.replace("{conversation}", &format!("'{conversation}'"));
            let of = of.replace("{contact}", &format!("'{who}'"));
            if let Some(insert) = template.insert(world, table, &of, becomes).await? {
                template.inserts.push(insert);
            }
        }
        Ok(template)
    }

    /// The statement that copies the rows of a table; none where the template has no rows.
    async fn insert(
        &self,
        world: &World,
        table: &str,
        of: &str,
        becomes: &[(&str, Becomes)],
    ) -> anyhow::Result<Option<String>> {
        let sql = format!("select * from {table} where {of} limit 1");
        let rows = world.all(&sql, vec![self.run.as_str().into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let columns = row.column_names();
        let number = number(world.backend(), 16);
        let cell = |column: &String| {
            let becomes = becomes.iter().find(|(name, _)| name == column);
            match becomes.map(|(_, becomes)| becomes) {
                None => format!("x.{column}"),
                Some(Id) => format!("{number} || substr(x.{column}, 17)"),
                Some(Tail) => tail(world.backend(), &format!("x.{column}")),
                Some(Contact) => format!("replace(x.{column}, $4, {})", address(world.backend())),
            }
        };
        let cells: Vec<_> = columns.iter().map(cell).collect();
        Ok(Some(format!(
            "with recursive s(n) as (select cast($2 as bigint) union all select n + 1 from s where n < $3)
            insert into {table} ({}) select {} from s cross join (select * from {table} where {of}) x
            where $4 = $4",
            columns.join(", "),
            cells.join(", ")
        )))
    }

    /// Adds so many finished runs, each with all that its message left behind.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn add_finished(&mut self, world: &World, count: u64) -> anyhow::Result<()> {
        for (from, to) in self.chunks(count) {
            let values = |sql: &String| -> (String, Vec<Value>) {
                let values = vec![
                    self.run.as_str().into(),
                    (from as i64).into(),
                    (to as i64).into(),
                    self.contact.as_str().into(),
                ];
                (sql.clone(), values)
            };
            write(world, self.inserts.iter().map(values)).await?;
            progress("finished runs", to);
        }
        Ok(())
    }

    /// The numbers of so many copies, in pieces that are one commit each.
    pub(super) fn chunks(&mut self, count: u64) -> Vec<(u64, u64)> {
        let first = self.next;
        self.next += count;
        let starts = (first..first + count).step_by(CHUNK as usize);
        starts
            .map(|from| (from, (from + CHUNK).min(first + count) - 1))
            .collect()
    }
}

/// One commit, which nobody waits for.
pub(super) async fn write(
    world: &World,
    inserts: impl Iterator<Item = (String, Vec<Value>)>,
) -> anyhow::Result<()> {
    let tx = world.database().begin().await?;
    if world.backend() == DbBackend::Postgres {
        tx.execute_unprepared("set local synchronous_commit to off")
            .await?;
    }
    for (sql, values) in inserts {
        tx.execute_raw(Statement::from_sql_and_values(world.backend(), sql, values))
            .await?;
    }
    Ok(tx.commit().await?)
}

/// The number of a copy, so many digits wide.
pub(super) fn number(backend: DbBackend, digits: u32) -> String {
    match backend {
        DbBackend::Postgres => format!("lpad(cast(s.n as text), {digits}, '0')"),
        _ => format!("printf('%0{digits}d', s.n)"),
    }
}

/// A text whose last 16 characters are the number of the copy.
pub(super) fn tail(backend: DbBackend, text: &str) -> String {
    format!(
        "substr({text}, 1, length({text}) - 16) || 'f' || {}",
        number(backend, 15)
    )
}

/// The address of a copy's contact: of another region than those of contacts who really write.
pub(super) fn address(backend: DbBackend) -> String {
    format!("'whatsapp:+55219' || {}", number(backend, 8))
}

/// Says from time to time how far it is.
pub(super) fn progress(what: &str, last: u64) {
    if last.is_multiple_of(CHUNK * 10) {
        crate::tell(&format!("{what}: copied up to number {last}"));
    }
}
