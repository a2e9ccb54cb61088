//! What the sources measure, also where no test comes by.
use std::{collections::BTreeMap, fs, path::Path};

use super::repository;

const MACROS: [(&str, &str); 3] = [
    ("metrics::counter!(", "counter"),
    ("metrics::gauge!(", "gauge"),
    ("metrics::histogram!(", "histogram"),
];

/// The families that some line of ours counts, sets or records, with their kinds.
pub(crate) fn measured() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["src", "crates", "activities", "workflows"] {
        look(&repository().join(folder), &mut found);
    }
    found
}

fn look(path: &Path, found: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = fs::read_to_string(path).unwrap();
        for (call, kind) in MACROS {
            let calls = source.split(call).skip(1);
            let names = calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
            found.extend(names.map(|(name, _)| (name.to_owned(), kind.to_owned())));
        }
    }
}
