//! Lists of runs that the operator keeps under a name.
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Form, Redirect},
};
use recado_engine::StorageError;
use recado_store::{
    StoreError,
    views::{self, MOST},
};
use serde::Deserialize;

use super::{columns::Columns, query::at};
use crate::{
    app::App,
    line::Line,
    pages::{
        language::tell,
        problem::{no_database, problem_at},
    },
    t,
};

/// Whose views they are, until people have accounts.
const OPERATOR: &str = "operator";
/// The most characters of a name.
const LONGEST: usize = 60;

/// A view as a link above the list.
pub(super) struct View {
    pub(super) name: String,
    pub(super) address: String,
}

#[derive(Deserialize)]
pub(crate) struct Given {
    name: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    columns: String,
}

/// Those that are kept, by name.
pub(super) async fn kept(app: &App) -> Result<Vec<View>, StorageError> {
    let kept = views::list(app.engine.storage().reader(), OPERATOR).await;
    let kept = kept.map_err(of_storage)?.into_iter();
    Ok(kept
        .map(|view| View {
            address: address(&view),
            name: view.name,
        })
        .collect())
}

/// Keeps a view, and shows it.
#[handler]
pub(crate) async fn keep(Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let name = given.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        return unfit(&tell(
            "A view needs a name of 1 to {most} characters.",
            &[("most", LONGEST.to_string())],
        ));
    }
    let line = match Line::parse(&given.q).and_then(|line| line.filter().map(|_| line.to_string())) {
        Ok(line) => line,
        Err(told) => return unfit(&told),
    };
    let view = views::View {
        name,
        line,
        columns: Columns::parse(&given.columns).text(),
    };
    let shown = address(&view);
    let kept = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, Broken>(views::put(tx, OPERATOR, &view, chrono::Utc::now()).await?) })
    });
    match kept.await {
        Ok(()) => Redirect::see_other(shown).into_response(),
        Err(Broken::Store(StoreError::Taken(_))) => unfit(&tell(
            "There are {most} views already. Remove one first.",
            &[("most", MOST.to_string())],
        )),
        Err(error) => no_database(&error.into()),
    }
}

/// Forgets a view. One that is gone already is no mistake.
#[handler]
pub(crate) async fn remove(Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let gone = app.engine.storage().transaction(move |tx| {
        Box::pin(async move { Ok::<_, Broken>(views::remove(tx, OPERATOR, &given.name).await?) })
    });
    match gone.await {
        Ok(_) => Redirect::see_other("/").into_response(),
        Err(error) => no_database(&error.into()),
    }
}

fn address(view: &views::View) -> String {
    at("/", &view.line, &[("columns", &view.columns)])
}

fn unfit(told: &str) -> Response {
    problem_at(
        StatusCode::UNPROCESSABLE_ENTITY,
        t("The view cannot be kept"),
        told,
        ("/", t("To the runs")),
    )
}

/// What can end a transaction here.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Broken> for StorageError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Storage(error) => error,
            Broken::Store(error) => of_storage(error),
        }
    }
}

/// The same for who knows the storage's errors alone.
pub(in crate::pages) fn of_storage(error: StoreError) -> StorageError {
    match error {
        StoreError::Db(error) => StorageError::Database(error),
        other => StorageError::Database(sea_orm::DbErr::Custom(other.to_string())),
    }
}
