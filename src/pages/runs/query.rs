//! Which runs a reader asked for.
use recado_engine::{Filter, RunState};
use serde::Deserialize;

/// The query of the page. An empty field of its form counts as absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(super) workflow: String,
    pub(super) state: String,
    pub(super) outcome: String,
    pub(super) owner: String,
    cursor: String,
}

impl Asked {
    /// The same for the database.
    ///
    /// # Errors
    /// A sentence that names the states there are.
    pub(super) fn filter(&self) -> Result<Filter, String> {
        let given = |field: &str| Some(field.trim().to_owned()).filter(|field| !field.is_empty());
        let state = given(&self.state)
            .map(|word| RunState::parse(&word).ok_or(word))
            .transpose();
        let state = state.map_err(|word| {
            let known: Vec<_> = RunState::ALL.iter().map(|state| state.as_str()).collect();
            format!("`state` is “{word}”; it must be one of {}.", known.join(", "))
        })?;
        Ok(Filter {
            workflow: given(&self.workflow),
            state,
            outcome: given(&self.outcome),
            owner: given(&self.owner),
            ..Filter::default()
        })
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }

    /// Whether it is the first page, which alone is followed.
    pub(super) fn is_newest(&self) -> bool {
        self.cursor.is_empty()
    }

    /// Whether any run may be left out.
    pub(super) fn is_filtered(&self) -> bool {
        [&self.workflow, &self.state, &self.outcome, &self.owner]
            .iter()
            .any(|field| !field.is_empty())
    }

    /// Whether runs in `state` are what was asked for.
    pub(super) fn is_of(&self, state: &str) -> bool {
        self.state == state
    }

    /// Where the live changes of this page come from.
    pub(super) fn live(&self) -> String {
        format!("/runs/live{}", self.with("", &self.state))
    }

    pub(super) fn newest(&self) -> String {
        format!("/{}", self.with("", &self.state))
    }

    pub(super) fn older(&self, cursor: &str) -> String {
        format!("/{}", self.with(cursor, &self.state))
    }

    /// The newest runs in `state`; all of them, if that is what is shown already.
    pub(super) fn toggled(&self, state: &str) -> String {
        let state = if self.is_of(state) { "" } else { state };
        format!("/{}", self.with("", state))
    }

    fn with(&self, cursor: &str, state: &str) -> String {
        let fields = [
            ("workflow", self.workflow.as_str()),
            ("state", state),
            ("outcome", &self.outcome),
            ("owner", &self.owner),
            ("cursor", cursor),
        ];
        let given: Vec<_> = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        match serde_urlencoded::to_string(given) {
            Ok(query) if !query.is_empty() => format!("?{query}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filter_and_escape_it() {
        let asked = Asked {
            workflow: "a&b".to_owned(),
            state: "parked".to_owned(),
            ..Asked::default()
        };
        assert_eq!(asked.older("X"), "/?workflow=a%26b&state=parked&cursor=X");
        assert_eq!(asked.toggled("parked"), "/?workflow=a%26b");
        assert_eq!(Asked::default().newest(), "/");
    }

    #[test]
    fn a_state_that_does_not_exist_is_named_with_those_that_do() {
        let asked = Asked {
            state: "lost".to_owned(),
            ..Asked::default()
        };
        let told = asked.filter().expect_err("no such state");
        assert!(
            told.contains("“lost”") && told.contains("queued, running"),
            "{told}"
        );
    }
}
