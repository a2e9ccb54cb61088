//! People who log in.
use chrono::{DateTime, Utc};
use recado_domain::{OwnerId, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};

pub use entity::Model as User;

use crate::{StoreError, statement::without_nul};

/// Private, so that nobody outside can ask without a tenant.
mod entity {
    use sea_orm::entity::prelude::*;

    /// A person of an owner's. `Debug` leaves the password's hash out.
    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        /// A `UserId`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        /// In lower case, unique over all owners.
        pub email: String,
        /// As the person is called.
        pub name: String,
        /// A `Role`, in words.
        pub role: String,
        /// Whose person it is.
        pub owner: String,
        /// argon2id; none until the invitation is accepted.
        pub password_hash: Option<String>,
        /// When the person was invited or registered.
        pub created_at: ChronoDateTimeUtc,
    }

    impl std::fmt::Debug for Model {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("User")
                .field("id", &self.id)
                .field("role", &self.role)
                .finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Answer contacts.
    Agent,
    /// Look.
    Viewer,
}

impl Role {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Agent => "agent",
            Self::Viewer => "viewer",
        }
    }
}

/// Somebody to add.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// An address in any case.
    pub email: &'a str,
    /// As the person is called.
    pub name: &'a str,
    /// What the person may do.
    pub role: Role,
    /// argon2id, if there is a password yet.
    pub password_hash: Option<&'a str>,
}

/// Adds a person to an owner.
///
/// # Errors
/// [`StoreError::Taken`] when the e-mail address is somebody's already.
pub async fn insert(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    new: NewUser<'_>,
    now: DateTime<Utc>,
) -> Result<UserId, StoreError> {
    let id = UserId::new();
    let user = entity::ActiveModel {
        id: Set(id.to_string()),
        email: Set(canonical(new.email)),
        name: Set(without_nul(new.name)),
        role: Set(new.role.as_str().to_owned()),
        owner: Set(owner.to_string()),
        password_hash: Set(new.password_hash.map(str::to_owned)),
        created_at: Set(now),
    };
    // Without a target, so that the e-mail address counts too and not only the key.
    let insert = entity::Entity::insert(user).on_conflict(OnConflict::new().do_nothing().to_owned());
    match insert.exec_without_returning(conn).await? {
        0 => Err(StoreError::Taken("e-mail address")),
        _ => Ok(id),
    }
}

/// The person of an e-mail address among an owner's.
///
/// # Errors
/// Those of the database.
pub async fn find(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    email: &str,
) -> Result<Option<User>, StoreError> {
    let query = entity::Entity::find()
        .filter(entity::Column::Owner.eq(owner.as_str()))
        .filter(entity::Column::Email.eq(canonical(email)));
    Ok(query.one(conn).await?)
}

fn canonical(email: &str) -> String {
    without_nul(email).trim().to_lowercase()
}
