//! The agents among whom the routing agent chooses.
use recado_domain::OwnerId;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

pub use entity::Model as Specialist;

use crate::{StoreError, statement::without_nul};

/// Private, so that nobody outside can ask without a tenant.
mod entity {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    /// An agent for one field.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveEntityModel)]
    #[sea_orm(table_name = "specialists")]
    pub struct Model {
        /// Whose it is.
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: String,
        /// `finance`, `crm`, `support`, `sales`, `scheduling`, `general`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        /// Whether it may be chosen.
        pub enabled: bool,
        /// Words that point to it, a JSON array; see [`Model::keywords`].
        pub keywords: String,
        /// What the model is told to be.
        pub instructions: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Specialist {
    /// Words that point to it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the column holds no JSON array of texts.
    pub fn keywords(&self) -> Result<Vec<String>, StoreError> {
        Ok(serde_json::from_str(&self.keywords)?)
    }
}

/// The specialists who may be chosen, by name.
///
/// # Errors
/// Those of the database.
pub async fn list_enabled(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
) -> Result<Vec<Specialist>, StoreError> {
    let query = entity::Entity::find()
        .filter(entity::Column::Owner.eq(owner.as_str()))
        .filter(entity::Column::Enabled.eq(true));
    Ok(query.order_by_asc(entity::Column::Name).all(conn).await?)
}

/// Adds an enabled specialist, unless the owner has one of this name.
///
/// # Errors
/// Those of the database.
pub async fn insert(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    name: &str,
    keywords: &[&str],
    instructions: &str,
) -> Result<(), StoreError> {
    let specialist = entity::ActiveModel {
        owner: Set(owner.to_string()),
        name: Set(without_nul(name)),
        enabled: Set(true),
        keywords: Set(serde_json::to_string(keywords)?),
        instructions: Set(without_nul(instructions)),
    };
    entity::Entity::insert(specialist)
        .on_conflict_do_nothing()
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// Lets a specialist be chosen, or not.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has none of this name.
pub async fn set_enabled(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    name: &str,
    enabled: bool,
) -> Result<(), StoreError> {
    let update = entity::Entity::update_many()
        .col_expr(entity::Column::Enabled, enabled.into())
        .filter(entity::Column::Owner.eq(owner.as_str()))
        .filter(entity::Column::Name.eq(name));
    match update.exec(conn).await?.rows_affected {
        0 => Err(StoreError::NotFound("specialist")),
        _ => Ok(()),
    }
}
