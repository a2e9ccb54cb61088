//! What of a run a reader asks for: which part of its journal, how, and whether texts are shown.
use serde::Deserialize;

use super::WINDOW;

/// The query of the page. What makes no sense in it is as if it were not there: such a link still shows the run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    after: String,
    event: String,
    view: String,
    zoom: String,
    pub(super) reveal: String,
}

/// How the journal is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    /// What each event is.
    #[default]
    Compact,
    /// With input and result.
    Full,
    /// As the database has it.
    Json,
}

impl View {
    const ALL: [Self; 3] = [Self::Compact, Self::Full, Self::Json];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Full => "full",
            Self::Json => "json",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Compact => "Compact",
            Self::Full => "Full",
            Self::Json => "JSON",
        }
    }
}

/// How many times as wide as the page the time line is.
const ZOOMS: [u32; 5] = [1, 2, 4, 8, 16];

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The events after this one; where nobody says, those with which a reader begins.
    pub(super) after: Option<i64>,
    /// The event to which the link leads.
    pub(super) event: Option<i64>,
    pub(super) view: View,
    pub(super) zoom: u32,
    /// What reveals, once it was found to.
    pub(super) reveal: Option<String>,
}

impl From<&Query> for Asked {
    fn from(query: &Query) -> Self {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let event = number(&query.event).filter(|event| *event > 0);
        let of_event = event.map(|event| (event - 1) / WINDOW * WINDOW);
        let zoom = number(&query.zoom).and_then(|zoom| u32::try_from(zoom).ok());
        Self {
            after: of_event.or_else(|| number(&query.after)),
            event,
            view: View::ALL
                .into_iter()
                .find(|view| view.as_str() == query.view)
                .unwrap_or_default(),
            zoom: zoom.filter(|zoom| ZOOMS.contains(zoom)).unwrap_or(1),
            reveal: None,
        }
    }
}

impl Asked {
    /// The query of this very page, with its `?`; nothing, where it is the plain one.
    pub(super) fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        match (self.event, self.after) {
            (Some(event), _) => drop(query.append_pair("event", &event.to_string())),
            (None, Some(after)) => drop(query.append_pair("after", &after.to_string())),
            (None, None) => {}
        }
        if self.view != View::default() {
            query.append_pair("view", self.view.as_str());
        }
        if self.zoom != 1 {
            query.append_pair("zoom", &self.zoom.to_string());
        }
        if let Some(reveal) = &self.reveal {
            query.append_pair("reveal", reveal);
        }
        match query.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }

    /// Whether a link led to the journal, which is then unfolded.
    pub(super) fn is_of_journal(&self) -> bool {
        self.after.is_some() || self.view != View::default()
    }

    pub(super) fn at(&self, after: i64) -> Self {
        Self {
            after: Some(after),
            event: None,
            ..self.clone()
        }
    }

    /// Word and query of each way to show the journal, and whether it is the present one.
    pub(super) fn views(&self) -> [(&'static str, String, bool); 3] {
        View::ALL.map(|view| {
            let shown = Self { view, ..self.clone() };
            (view.title(), shown.query(), view == self.view)
        })
    }

    /// The same of each width of the time line.
    pub(super) fn zooms(&self) -> [(u32, String, bool); 5] {
        ZOOMS.map(|zoom| {
            let shown = Self { zoom, ..self.clone() };
            (zoom, shown.query(), zoom == self.zoom)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::from(&serde_urlencoded::from_str::<Query>(query).expect("a query"))
    }

    #[test]
    fn a_link_to_an_event_shows_the_part_in_which_it_stands() {
        assert_eq!(asked("event=201").after, Some(200));
        assert_eq!(asked("event=200").after, Some(0));
        assert_eq!(asked("event=200&view=full").query(), "?event=200&view=full");
        assert_eq!(asked("event=200").at(400).query(), "?after=400");
    }

    #[test]
    fn what_makes_no_sense_asks_for_nothing() {
        let plain = asked("");
        assert_eq!(asked("after=-3&event=0&view=lost&zoom=3"), plain);
        assert_eq!(plain.query(), "");
        assert_eq!(plain.zooms()[2], (4, "?zoom=4".to_owned(), false));
        assert_eq!(
            asked("view=json").views()[2],
            ("JSON", "?view=json".to_owned(), true)
        );
    }
}
