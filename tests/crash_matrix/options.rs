//! What is asked of the matrix.
use std::time::{Duration, Instant};

use crate::plan::{Fate, Mutant, Place, Row, Scenario};

const USAGE: &str = "usage: [--scenario NAME,…] [--database NAME,…] [--process dies|freezes] [--only TEXT] [--without reconciling|epoch|key|each] \
                     [--sample] [--jobs N] [--minutes N] [--points]";
/// What is to be tried out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    scenarios: Vec<String>,
    places: Vec<String>,
    fates: Vec<String>,
    pub(crate) only: String,
    pub(crate) without: Vec<Mutant>,
    pub(crate) sample: bool,
    pub(crate) points: bool,
    pub(crate) jobs: usize,
    until: Instant,
}

impl Options {
    /// # Errors
    /// What is wrong with `words`.
    pub(crate) fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            scenarios: Scenario::ALL.map(|scenario| scenario.name().to_owned()).to_vec(),
            places: Place::ALL.map(|place| place.name().to_owned()).to_vec(),
            fates: Fate::ALL.map(|fate| fate.name().to_owned()).to_vec(),
            only: String::new(),
            without: Vec::new(),
            sample: false,
            points: false,
            jobs: 9,
            until: Instant::now() + Duration::from_secs(40 * 60),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("{word} wants a value\n{USAGE}"))
            };
            let names = |value: &str, known: Vec<&str>| -> Result<Vec<String>, String> {
                let names: Vec<_> = value.split(',').map(str::to_owned).collect();
                match names.iter().find(|name| !known.contains(&name.as_str())) {
                    Some(name) => Err(format!("{name} is none of {known:?}")),
                    None => Ok(names),
                }
            };
            let number = |value: &str| value.parse::<u64>().map_err(|_| format!("{value} is no number"));
            match *word {
                "--scenario" => {
                    options.scenarios = names(value()?, Scenario::ALL.map(Scenario::name).to_vec())?
                }
                "--database" => options.places = names(value()?, Place::ALL.map(Place::name).to_vec())?,
                "--process" => options.fates = names(value()?, Fate::ALL.map(Fate::name).to_vec())?,
                "--only" => options.only = (*value()?).to_owned(),
                "--without" => {
                    let name = *value()?;
                    options.without = Mutant::ALL
                        .into_iter()
                        .filter(|mutant| name == "each" || mutant.name() == name)
                        .collect();
                    if options.without.is_empty() {
                        return Err(format!("{name} is no protection\n{USAGE}"));
                    }
                }
                "--sample" => options.sample = true,
                "--points" => options.points = true,
                "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
                "--minutes" => options.until = Instant::now() + Duration::from_secs(60 * number(value()?)?),
                _ => return Err(format!("{word} is not known\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether another cell may begin.
    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    /// The rows that were asked for.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Row::all();
        rows.retain(|row| {
            self.scenarios.iter().any(|name| name == row.scenario.name())
                && self.places.iter().any(|name| name == row.place.name())
                && self.fates.iter().any(|name| name == row.fate.name())
                && (!self.sample || row.scenario.is_sampled(row.place))
        });
        rows
    }
}
