//! What a checkpoint costs before it is on its way to the database.
use sea_orm::DbErr;

use crate::{Event, RunId, storage};

/// Makes the statement that would write `events` of `run` to the journal on Postgres: sealed, and put into
/// arrays. Returns the number of its parameters.
///
/// # Errors
/// When the machine has no random bytes to make a key of.
pub fn encode_journal(run: &RunId, events: &[Event]) -> Result<usize, DbErr> {
    let statement = storage::encoded(run, events)?;
    Ok(statement.values.map_or(0, |values| values.0.len()))
}
