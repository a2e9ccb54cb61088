//! What the owner's agents know and who they are.
use recado_domain::OwnerId;
use recado_engine::Fault;
use recado_store::{owners, questions, specialists};

use crate::{
    Environment,
    faults::of_store,
    offline_agent::{Question, Specialist},
};

/// The owner's questions and answers.
pub(crate) async fn questions(env: &Environment, owner: &OwnerId) -> Result<Vec<Question>, Fault> {
    let known = questions::list(&env.database, owner).await.map_err(of_store)?;
    let read = |row: questions::Question| {
        Ok(Question {
            keywords: row.keywords().map_err(of_store)?,
            question: row.question,
            answer: row.answer,
        })
    };
    known.into_iter().map(read).collect()
}

/// The owner's enabled specialists.
pub(crate) async fn specialists(env: &Environment, owner: &OwnerId) -> Result<Vec<Specialist>, Fault> {
    let enabled = specialists::list_enabled(&env.database, owner)
        .await
        .map_err(of_store)?;
    let read = |row: specialists::Specialist| {
        Ok(Specialist {
            keywords: row.keywords().map_err(of_store)?,
            name: row.name,
            instructions: row.instructions,
        })
    };
    enabled.into_iter().map(read).collect()
}

/// The owner itself.
pub(crate) async fn owner(env: &Environment, owner: &OwnerId) -> Result<owners::Owner, Fault> {
    let found = owners::find(&env.database, owner).await.map_err(of_store)?;
    found.ok_or_else(|| Fault::fatal("no_owner", "the owner of this run is gone"))
}
