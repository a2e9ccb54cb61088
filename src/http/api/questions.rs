//! What an owner's agents know the answer to, as JSON.
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path},
    payload::Json,
};
use recado_store::{owners, questions};

use super::{Operator, Tag, conversations::Refused, lists};
use crate::{app::App, http::Problem};

/// Questions and answers.
pub(super) struct Questions;

/// A question, and what an agent answers.
#[derive(Object)]
pub(super) struct QuestionItem {
    id: String,
    /// The question, as a customer would ask it.
    question: String,
    /// The answer.
    answer: String,
    /// Words or phrases that ask it too.
    keywords: Vec<String>,
}

/// A question to be learned.
#[derive(Object)]
pub(super) struct NewQuestion {
    /// The question, as a customer would ask it.
    #[oai(validator(min_length = 1, max_length = 500))]
    question: String,
    /// The answer.
    #[oai(validator(min_length = 1, max_length = 4000))]
    answer: String,
    /// Words or phrases that ask it too.
    #[oai(default, validator(max_items = 50))]
    keywords: Vec<String>,
}

/// All of an owner's questions; there are few.
#[derive(Object)]
pub(super) struct QuestionPage {
    items: Vec<QuestionItem>,
    /// Always null: the list is whole.
    next: Option<String>,
}

fn item(row: questions::Question) -> Result<QuestionItem, Problem> {
    let keywords = row.keywords()?;
    Ok(QuestionItem {
        id: row.id,
        question: row.question,
        answer: row.answer,
        keywords,
    })
}

#[OpenApi(tag = "Tag::Questions")]
impl Questions {
    /// Lists what an owner's agents know the answer to
    #[oai(path = "/questions", method = "get")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
    ) -> poem::Result<Json<QuestionPage>> {
        let owner = lists::owner(owner.0);
        let rows = questions::list(&app.environment.database, &owner)
            .await
            .map_err(Problem::from)?;
        let items = rows.into_iter().map(item).collect::<Result<_, _>>()?;
        Ok(Json(QuestionPage { items, next: None }))
    }

    /// Teaches an owner's agents an answer
    #[oai(path = "/questions", method = "post")]
    async fn create(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        question: Json<NewQuestion>,
    ) -> poem::Result<Json<QuestionPage>> {
        let owner = lists::owner(owner.0);
        let known = owners::find(&app.environment.database, &owner).await;
        if known.map_err(Problem::from)?.is_none() {
            return Err(Problem::not_found("owner").into());
        }
        let (teach, new) = (owner.clone(), question.0);
        let taught = app.engine.storage().transaction(move |tx| {
            Box::pin(async move {
                let keywords: Vec<&str> = new.keywords.iter().map(String::as_str).collect();
                questions::insert(
                    tx,
                    &teach,
                    &new.question,
                    &new.answer,
                    &keywords,
                    chrono::Utc::now(),
                )
                .await?;
                Ok::<_, Refused>(())
            })
        });
        taught.await.map_err(Problem::from)?;
        self.list(Data(app), Operator::Otherwise, Header(Some(owner.to_string())))
            .await
    }

    /// Makes an owner's agents forget an answer
    #[oai(path = "/questions/:id", method = "delete")]
    async fn delete(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<()> {
        let owner = lists::owner(owner.0);
        let gone = app.engine.storage().transaction(move |tx| {
            Box::pin(async move { Ok::<_, Refused>(questions::delete(tx, &owner, &id.0).await?) })
        });
        match gone.await.map_err(Problem::from)? {
            true => Ok(()),
            false => Err(Problem::not_found("question").into()),
        }
    }
}
