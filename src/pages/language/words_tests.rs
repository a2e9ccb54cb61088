//! Nothing that a page says is left in one language, and nothing is translated that no page says.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::{PORTUGUESE, lines};
use crate::line::NAMES;

/// What is the same in every language, or is typed as it stands.
const NAMES_OF_THINGS: [&str; 22] = [
    "API",
    "Ctrl",
    "Enter",
    "Recado",
    "SID",
    "SMS",
    "Twilio",
    "WhatsApp",
    "op",
    "after",
    "attempt",
    "default",
    "https://",
    "kind",
    "name",
    "to,name&#10;+5511987654321,Ana",
    "HX…",
    "SM…",
    "seq",
    "· Recado",
    "name=value",
    "2h, 7d",
];

static SPOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\b(?:t|tell)\(\s*"((?:[^"\\]|\\.)*)""#));
/// What is not text: expressions, code, drawings; then tags.
static UNSPOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?s)\{% block width %\}.*?\{% endblock %\}|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<code.*?</code>|<svg.*?</svg>",
    )
});
static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)<[^>]*>"));
static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"\b(?:aria-label|alt|title|placeholder|data-label|data-confirm|data-say-\w+)="([^"]*)""#)
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// Every file below `folder` whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The texts of all files that make pages. A line that goes on in the next is one.
fn texts() -> Vec<String> {
    let folders = [
        source().join("pages"),
        source().join("http"),
        source().join("dev"),
    ];
    let all = folders
        .iter()
        .flat_map(|folder| files(folder, ".html").into_iter().chain(files(folder, ".rs")));
    all.filter(|path| !path.ends_with("words_tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(path).expect("a text");
            pattern(r"\\\n\s*").replace_all(&text, "").into_owned()
        })
        .collect()
}

#[test]
fn everything_that_a_page_says_has_its_line() {
    let translated: BTreeSet<_> = lines(PORTUGUESE).map(|(english, _)| english.to_owned()).collect();
    let mut said = BTreeSet::new();
    for text in texts() {
        let spoken = SPOKEN
            .captures_iter(&text)
            .map(|found| found[1].replace("\\\"", "\""));
        said.extend(spoken);
    }
    said.extend(NAMES.iter().map(|(_, told)| (*told).to_owned()));
    said.retain(|said| !NAMES_OF_THINGS.contains(&said.as_str()));
    let missing: Vec<_> = said.difference(&translated).collect();
    assert!(missing.is_empty(), "portuguese.txt has no line for {missing:#?}");
}

#[test]
fn every_line_is_said_somewhere() {
    let mut texts = texts().concat();
    texts.extend(NAMES.iter().map(|(_, told)| format!("\"{told}\"")));
    let texts = texts.replace("\\\"", "\"");
    let unused: Vec<_> = lines(PORTUGUESE)
        .map(|(english, _)| english)
        .filter(|english| !texts.contains(&format!("\"{english}\"")))
        .collect();
    assert!(unused.is_empty(), "nothing says {unused:#?}");
}

#[test]
fn no_template_has_text_of_one_language() {
    let mut left = Vec::new();
    let letters = pattern(r"\p{Alphabetic}{2,}");
    for path in files(&source().join("pages/templates"), ".html") {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("a template");
        let told = UNSPOKEN.replace_all(&text, "\u{1}").into_owned();
        let attributes = ATTRIBUTE.captures_iter(&told).map(|found| found[1].to_owned());
        let attributes: Vec<_> = attributes.filter(|text| !text.contains('\u{1}')).collect();
        let words = TAG.replace_all(&told, "\u{1}").into_owned();
        let words = words.split('\u{1}').map(str::trim).map(str::to_owned);
        for said in attributes.into_iter().chain(words) {
            if letters.is_match(&said) && !NAMES_OF_THINGS.contains(&said.as_str()) {
                left.push(format!("{name}: {said}"));
            }
        }
    }
    assert!(left.is_empty(), "only one language has {left:#?}");
}

#[test]
fn what_is_said_of_a_thing_is_said_of_it_in_both_languages() {
    let place = pattern(r"\{\w+\}|<code>.*?</code>");
    for (english, portuguese) in lines(PORTUGUESE) {
        let of = |text: &str| {
            place
                .find_iter(text)
                .map(|found| found.as_str().to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(of(english), of(portuguese), "{english}");
    }
}
