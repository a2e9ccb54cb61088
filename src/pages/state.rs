//! A run's state as a word, a colour and a shape, so that no reader depends on one of them.
use askama::{Template, filters::HtmlSafe};
use recado_engine::RunState;

/// The mark of a state.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "state.html")]
pub(crate) struct Mark(pub(crate) RunState);

impl HtmlSafe for Mark {}

impl Mark {
    pub(crate) fn word(&self) -> &'static str {
        self.0.as_str()
    }
}
