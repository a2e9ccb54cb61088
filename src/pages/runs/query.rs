//! Which runs a reader asked for.
use recado_engine::Filter;
use serde::Deserialize;

use super::columns::Columns;
use crate::line::{Line, TEXT};

/// The query of the page: a line, and what the controls change in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    q: String,
    cursor: String,
    columns: String,
    text: Option<String>,
    workflow: Option<String>,
    state: Option<String>,
    outcome: Option<String>,
    owner: Option<String>,
    contact: Option<String>,
    parent: Option<String>,
    tag: Option<String>,
    error: Option<String>,
    waits: Option<String>,
    since: Option<String>,
    before: Option<String>,
    sort: Option<String>,
}

/// What was asked for, understood or not.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    line: Result<Line, (String, String)>,
    cursor: String,
    /// The columns that the address asks for; empty where the browser's choice counts.
    columns: String,
}

impl From<Query> for Asked {
    fn from(query: Query) -> Self {
        let fields = [
            ("state", query.state),
            ("workflow", query.workflow),
            ("outcome", query.outcome),
            ("owner", query.owner),
            ("contact", query.contact),
            ("parent", query.parent),
            ("tag", query.tag),
            ("error", query.error),
            ("waits", query.waits),
            ("since", query.since),
            ("before", query.before),
            ("sort", query.sort),
            (TEXT, query.text),
        ];
        let change = |line: Line| {
            let given = fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            given.fold(line, |line, (name, value)| line.with(name, &value))
        };
        let line = match Line::parse(&query.q).map(change) {
            Ok(line) => line
                .filter()
                .map(|_| line.clone())
                .map_err(|told| (line.to_string(), told)),
            Err(told) => Err((query.q, told)),
        };
        Self {
            line,
            cursor: query.cursor,
            columns: query.columns,
        }
    }
}

impl Asked {
    /// The line as it stands in its field.
    pub(super) fn line(&self) -> String {
        match &self.line {
            Ok(line) => line.to_string(),
            Err((typed, _)) => typed.clone(),
        }
    }

    /// What cannot be understood, and what could stand there.
    pub(super) fn told(&self) -> Option<&str> {
        self.line.as_ref().err().map(|(_, told)| told.as_str())
    }

    /// The same for the database.
    ///
    /// # Errors
    /// As [`Asked::told`].
    pub(super) fn filter(&self) -> Result<Filter, String> {
        match &self.line {
            Ok(line) => line.filter(),
            Err((_, told)) => Err(told.clone()),
        }
    }

    /// How many runs are looked through at once.
    pub(super) fn depth(&self) -> String {
        let depth = self.filter().ok().and_then(|filter| filter.depth);
        depth.unwrap_or_default().to_string()
    }

    /// What a control shows.
    pub(super) fn get(&self, name: &str) -> &str {
        self.line.as_ref().map_or("", |line| line.get(name))
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }

    /// Whether it is the first page, which alone is followed.
    pub(super) fn is_first(&self) -> bool {
        self.cursor.is_empty()
    }

    /// Whether any run may be left out.
    pub(super) fn is_filtered(&self) -> bool {
        self.line.as_ref().is_ok_and(|line| !line.is_empty())
    }

    /// The columns that the address asks for.
    pub(super) fn columns(&self) -> Option<Columns> {
        (!self.columns.is_empty()).then(|| Columns::parse(&self.columns))
    }

    /// Where the live changes of this page come from.
    pub(super) fn live(&self) -> String {
        at("/runs/live", &self.line(), &self.chosen())
    }

    pub(super) fn first(&self) -> String {
        at("/", &self.line(), &self.chosen())
    }

    pub(super) fn next(&self, cursor: &str) -> String {
        let mut more = self.chosen();
        more.push(("cursor", cursor));
        at("/", &self.line(), &more)
    }

    fn chosen(&self) -> Vec<(&str, &str)> {
        let columns = Some(("columns", self.columns.as_str()));
        columns
            .filter(|(_, columns)| !columns.is_empty())
            .into_iter()
            .collect()
    }

    pub(super) fn export(&self) -> String {
        at("/runs/export", &self.line(), &[])
    }

    /// Where an act on all of them is looked at before it is done.
    pub(super) fn batch(&self, act: &str) -> String {
        at("/runs/batch", &self.line(), &[("act", act)])
    }

    /// The same runs in `state`; in all states, if that is what is shown already.
    pub(super) fn toggled(&self, state: &str) -> String {
        let state = if self.get("state") == state { "" } else { state };
        let line = self
            .line
            .as_ref()
            .map_or_else(|_| String::new(), |line| line.with("state", state).to_string());
        at("/", &line, &[])
    }
}

/// The address of the runs that `line` asks for.
pub(in crate::pages) fn runs_like(line: &Line) -> String {
    at("/", &line.to_string(), &[])
}

/// Where `act` on the runs that `line` asks for is looked at before it is done.
pub(in crate::pages) fn batch_of(act: &str, line: &Line) -> String {
    at("/runs/batch", &line.to_string(), &[("act", act)])
}

/// The address below which `line` is asked for; with `more` in its query.
pub(super) fn at(path: &str, line: &str, more: &[(&str, &str)]) -> String {
    let mut fields: Vec<_> = [("q", line)]
        .into_iter()
        .filter(|(_, line)| !line.is_empty())
        .collect();
    fields.extend_from_slice(more);
    match serde_urlencoded::to_string(fields) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        serde_urlencoded::from_str::<Query>(query)
            .expect("a query")
            .into()
    }

    #[test]
    fn links_keep_the_line_and_escape_it() {
        let asked = asked("q=workflow%3Aa%26b+state%3Aparked&cursor=Y");
        assert_eq!(asked.next("X"), "/?q=workflow%3Aa%26b+state%3Aparked&cursor=X");
        assert_eq!(asked.toggled("parked"), "/?q=workflow%3Aa%26b");
        assert_eq!(asked.toggled("running"), "/?q=workflow%3Aa%26b+state%3Arunning");
        assert_eq!(Asked::from(Query::default()).first(), "/");
    }

    #[test]
    fn controls_change_the_line() {
        let asked = asked("q=state%3Aparked+hello+owner%3Ax&state=&owner=y&workflow=w&text=hello");
        assert_eq!(asked.line(), "hello owner:y workflow:w");
        assert!(asked.told().is_none() && asked.is_filtered());
    }

    #[test]
    fn what_cannot_be_understood_stays_to_be_mended() {
        for (query, line) in [("q=nonsense%3Ax", "nonsense:x"), ("state=lost", "state:lost")] {
            let asked = asked(query);
            assert_eq!(asked.line(), line);
            assert!(asked.told().is_some() && asked.filter().is_err() && !asked.is_filtered());
        }
    }
}
