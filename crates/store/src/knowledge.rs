//! What an owner's agents know and who they are, read at once.
use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    statement::{statement, text},
};

/// What an owner's agents know. `Default` knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// The owner, as people know it.
    pub name: String,
    /// The language in which it is spoken to, as in `pt`.
    pub language: String,
    /// What a contact is told when a person takes over.
    pub handoff_notice: String,
    /// What is answered without a model, in the order in which it was written.
    pub questions: Vec<Question>,
    /// The specialists who may be chosen, by name.
    pub specialists: Vec<Specialist>,
}

/// Something that the owner knows the answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// As a contact may ask it.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// Words that point to it.
    pub keywords: Vec<String>,
}

/// Somebody who answers for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specialist {
    /// `finance`, `crm`, `support`, `sales`, `scheduling`, `general`.
    pub name: String,
    /// Words that call for them.
    pub keywords: Vec<String>,
    /// What a model is told to be.
    pub instructions: String,
}

#[derive(FromQueryResult)]
struct Row {
    kind: i64,
    title: String,
    body: String,
    more: String,
}

const OWNER: i64 = 0;
const QUESTION: i64 = 1;

/// What an owner's agents know, by one statement; `None` where there is no such owner.
///
/// # Errors
/// [`StoreError::Corrupt`] when keywords are no JSON array of texts.
pub async fn of(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Option<Knowledge>, StoreError> {
    let sql = "
        select cast(0 as bigint) as kind, id as place, name as title, handoff_notice as body, language as more
            from owners where id = $1
        union all
        select cast(1 as bigint), id, question, answer, keywords from questions where owner = $1
        union all
        select cast(2 as bigint), name, name, instructions, keywords from specialists where owner = $1 and enabled
        order by kind, place";
    let rows = Row::find_by_statement(statement(conn, sql, vec![text(owner.as_str())]))
        .all(conn)
        .await?;
    if rows.first().is_none_or(|row| row.kind != OWNER) {
        return Ok(None);
    }
    let mut knowledge = Knowledge::default();
    for row in rows {
        match row.kind {
            OWNER => {
                knowledge.name = row.title;
                knowledge.handoff_notice = row.body;
                knowledge.language = row.more;
            }
            QUESTION => knowledge.questions.push(Question {
                question: row.title,
                answer: row.body,
                keywords: serde_json::from_str(&row.more)?,
            }),
            _ => knowledge.specialists.push(Specialist {
                name: row.title,
                keywords: serde_json::from_str(&row.more)?,
                instructions: row.body,
            }),
        }
    }
    Ok(Some(knowledge))
}
