//! Pages speak the reader's language: English, or Portuguese where the browser prefers it.
//!
//! The English text in the template is the key, so that a page reads as what it says; `portuguese.txt` holds the other.
//! A test finds what has no line there, and lines that nothing says any more.
use std::{collections::HashMap, sync::LazyLock};

use futures::{Stream, StreamExt, stream};
use poem::{Endpoint, Request, Response, Result, http::header};

/// A language that pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    Portuguese,
}

tokio::task_local! {
    static SPOKEN: Language;
}

const PORTUGUESE: &str = include_str!("portuguese.txt");

/// By English text.
static TRANSLATED: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| lines(PORTUGUESE).collect());

/// `English text = Texto em português` a line; lines that begin with `#` tell where they belong.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
}

/// `english` in the reader's language; itself where nobody translated it.
pub(crate) fn t(english: &str) -> &str {
    match Language::spoken() {
        Language::English => english,
        Language::Portuguese => TRANSLATED.get(english).copied().unwrap_or(english),
    }
}

/// [`t`], with each `{name}` replaced by what is given for it.
pub(crate) fn tell(english: &str, given: &[(&str, String)]) -> String {
    given.iter().fold(t(english).to_owned(), |told, (name, value)| {
        told.replace(&format!("{{{name}}}"), value)
    })
}

impl Language {
    /// That of the request which is being answered.
    pub(crate) fn spoken() -> Self {
        SPOKEN.try_with(|spoken| *spoken).unwrap_or_default()
    }

    /// As HTML's `lang` has it.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Portuguese => "pt-BR",
        }
    }

    /// That in which a text is read out by telephone, unless a person says otherwise.
    pub(crate) fn voice(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::Portuguese => "pt-BR",
        }
    }

    /// That of ours which `Accept-Language` wants most (RFC 9110, section 12.5.4).
    fn accepted(ranges: &str) -> Self {
        let wanted = ranges.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let language = match parts.next()?.split('-').next()? {
                tag if tag.eq_ignore_ascii_case("en") => Self::English,
                tag if tag.eq_ignore_ascii_case("pt") => Self::Portuguese,
                _ => return None,
            };
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
            (weight > 0.0).then_some((language, weight))
        });
        // The first of equals.
        wanted
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map_or(Self::default(), |(language, _)| language)
    }
}

/// Answers a request in its reader's language.
pub(crate) async fn speak<E: Endpoint<Output = Response>>(
    next: std::sync::Arc<E>,
    request: Request,
) -> Result<Response> {
    let ranges = request.header(header::ACCEPT_LANGUAGE).unwrap_or_default();
    let language = Language::accepted(ranges);
    SPOKEN.scope(language, next.call(request)).await
}

/// What `events` make later is in the language of the request which is being answered now.
pub(super) fn as_now<T>(events: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
    let language = Language::spoken();
    let mut events = Box::pin(events);
    stream::poll_fn(move |context| SPOKEN.sync_scope(language, || events.poll_next_unpin(context)))
}

#[cfg(test)]
mod words_tests;

#[cfg(test)]
mod tests {
    use futures::future;

    use super::*;

    #[test]
    fn the_language_that_the_browser_wants_most_is_spoken() {
        for (ranges, language) in [
            ("", Language::English),
            ("pt-BR,pt;q=0.9,en;q=0.8", Language::Portuguese),
            ("de, en;q=0.5, pt;q=0.4", Language::English),
            ("en;q=0.1, PT", Language::Portuguese),
            ("pt;q=0, en;q=0.1", Language::English),
            ("pt;q=viel", Language::English),
            ("fr", Language::English),
        ] {
            assert_eq!(Language::accepted(ranges), language, "{ranges}");
        }
    }

    #[tokio::test]
    async fn what_a_stream_makes_later_is_in_the_language_of_its_request() {
        let events = SPOKEN
            .scope(Language::Portuguese, async {
                as_now(stream::once(future::lazy(|_| t("Runs"))))
            })
            .await;
        let said: Vec<_> = events.collect().await;
        assert_eq!(said, ["Execuções"]);
        assert_eq!(t("Runs"), "Runs");
    }

    #[test]
    fn no_line_is_there_twice() {
        let mut seen = HashMap::new();
        for (english, portuguese) in lines(PORTUGUESE) {
            let before = seen.insert(english, portuguese);
            assert_eq!(before, None, "{english}");
        }
    }
}
