//! What an owner's agents answer without a model.
use chrono::{DateTime, Utc};
use recado_domain::OwnerId;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use ulid::Ulid;

pub use entity::Model as Question;

use crate::{StoreError, statement::without_nul};

/// Private, so that nobody outside can ask without a tenant.
mod entity {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    /// A question, and what to answer.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveEntityModel)]
    #[sea_orm(table_name = "questions")]
    pub struct Model {
        /// Its id.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        /// Whose it is.
        pub owner: String,
        /// As a contact may ask it.
        pub question: String,
        /// The answer.
        pub answer: String,
        /// Words that point to it, a JSON array; see [`Model::keywords`].
        pub keywords: String,
        /// When it was written.
        pub created_at: ChronoDateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Question {
    /// Words that point to it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the column holds no JSON array of texts.
    pub fn keywords(&self) -> Result<Vec<String>, StoreError> {
        Ok(serde_json::from_str(&self.keywords)?)
    }
}

/// An owner's questions and answers, in the order they were written.
///
/// # Errors
/// Those of the database.
pub async fn list(conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<Vec<Question>, StoreError> {
    let query = entity::Entity::find().filter(entity::Column::Owner.eq(owner.as_str()));
    Ok(query.order_by_asc(entity::Column::Id).all(conn).await?)
}

/// Adds a question. Returns its id.
///
/// # Errors
/// Those of the database.
pub async fn insert(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    question: &str,
    answer: &str,
    keywords: &[&str],
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let id = Ulid::generate().to_string();
    put(conn, owner, &id, (question, answer, keywords), now).await?;
    Ok(id)
}

/// Removes a question. Returns whether the owner had it.
///
/// # Errors
/// Those of the database.
pub async fn delete(conn: &impl ConnectionTrait, owner: &OwnerId, id: &str) -> Result<bool, StoreError> {
    let gone = entity::Entity::delete_many()
        .filter(entity::Column::Id.eq(id))
        .filter(entity::Column::Owner.eq(owner.as_str()))
        .exec(conn)
        .await?;
    Ok(gone.rows_affected > 0)
}

/// Adds a question under an id, unless that is there.
pub(crate) async fn put(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &str,
    (question, answer, keywords): (&str, &str, &[&str]),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let question = entity::ActiveModel {
        id: Set(id.to_owned()),
        owner: Set(owner.to_string()),
        question: Set(without_nul(question)),
        answer: Set(without_nul(answer)),
        keywords: Set(serde_json::to_string(keywords)?),
        created_at: Set(now),
    };
    entity::Entity::insert(question)
        .on_conflict_do_nothing()
        .exec_without_returning(conn)
        .await?;
    Ok(())
}
