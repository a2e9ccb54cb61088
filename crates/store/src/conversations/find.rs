//! Conversations as a person looks for them.
use recado_domain::{Address, ContactId, ConversationState, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{COLUMNS, Conversation, Row};
use crate::{
    Page, StoreError, dialect, page,
    statement::{statement, text},
};

/// How many conversations are looked through at once for a text, for which there is no index.
pub const LOOKED_THROUGH: u64 = 500;

/// What is sought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought<'a> {
    /// Only those in this state.
    pub state: Option<ConversationState>,
    /// Only those with one of these addresses of a contact; any, if empty.
    pub theirs: &'a [Address],
    /// Only those with one of these contacts; any, if empty.
    pub contacts: &'a [ContactId],
    /// Only those in which this was said, in capitals or not (only letters of ASCII, on SQLite).
    pub text: Option<&'a str>,
}

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

/// Conversations of an owner, the latest opened first; `cursor` is the last page's `next`. Where a text is sought,
/// [`LOOKED_THROUGH`] of those that are like the rest are looked through: a page may then have fewer than `limit`,
/// even none, and still a `next`.
///
/// # Errors
/// Those of the database.
pub async fn find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sought: Sought<'_>,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Conversation>, StoreError> {
    let mut values = vec![text(owner.as_str())];
    let mut like = String::from("owner = $1");
    if let Some(state) = sought.state {
        like.push_str(&format!(
            " and state = {}",
            add(&mut values, text(state.as_str()))
        ));
    }
    if !sought.theirs.is_empty() {
        let theirs: Vec<_> = sought
            .theirs
            .iter()
            .map(|theirs| add(&mut values, text(theirs.to_twilio())))
            .collect();
        like.push_str(&format!(" and contact_address in ({})", theirs.join(", ")));
    }
    if !sought.contacts.is_empty() {
        let contacts: Vec<_> = sought
            .contacts
            .iter()
            .map(|contact| add(&mut values, text(contact.as_str())))
            .collect();
        like.push_str(&format!(" and contact in ({})", contacts.join(", ")));
    }
    if let Some(cursor) = cursor {
        like.push_str(&format!(" and id < {}", add(&mut values, text(cursor))));
    }
    let deepest = match sought.text {
        Some(_) => deepest(conn, &like, values.clone()).await?,
        None => None,
    };
    let mut sql = format!("select {COLUMNS} from conversations where {like}");
    if let Some(said) = sought.text {
        if let Some(deepest) = &deepest {
            sql.push_str(&format!(" and id >= {}", add(&mut values, text(deepest))));
        }
        let said = format!("lower({})", add(&mut values, text(said)));
        let at = dialect::position(conn.get_database_backend(), "lower(m.body)", &said);
        sql.push_str(&format!(
            " and exists (select 1 from messages m where m.conversation = conversations.id and m.owner = $1 and {at} > 0)"
        ));
    }
    let rows = add(&mut values, page::rows(limit).into());
    sql.push_str(&format!(" order by id desc limit {rows}"));
    let found = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    let items = found.into_iter().map(Conversation::try_from);
    let mut page = Page::of(items.collect::<Result<_, _>>()?, limit, |one: &Conversation| {
        one.id.to_string()
    });
    page.next = page.next.or(deepest);
    Ok(page)
}

/// The last of those that are looked through, if there are more.
async fn deepest(
    conn: &impl ConnectionTrait,
    like: &str,
    values: Vec<Value>,
) -> Result<Option<String>, StoreError> {
    let sql = format!(
        "select id from conversations where {like} order by id desc limit 1 offset {}",
        LOOKED_THROUGH - 1
    );
    let row = Id::find_by_statement(statement(conn, sql, values))
        .one(conn)
        .await?;
    Ok(row.map(|row| row.id))
}

/// Adds a value, and says by what it is named.
fn add(values: &mut Vec<Value>, value: Value) -> String {
    values.push(value);
    format!("${}", values.len())
}
