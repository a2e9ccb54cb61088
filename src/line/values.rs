//! What may stand behind the colons of a line.
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use recado_domain::{Address, Channel, PhoneNumber};
use recado_engine::{Order, RunId, RunState};

/// The words of a line: what stands before the colon, if there is one, and what stands behind it. Between quotes a
/// space and a colon are like other characters.
pub(super) fn words(line: &str) -> Result<Vec<(Option<String>, String)>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let (mut name, mut value) = (None, String::new());
        let (mut inside, mut quoted) = (false, false);
        while let Some(c) = chars.next_if(|c| inside || !c.is_whitespace()) {
            match c {
                '"' => (inside, quoted) = (!inside, true),
                '\\' if inside => value.extend(chars.next()),
                ':' if !quoted && name.is_none() => name = Some(std::mem::take(&mut value)),
                c => value.push(c),
            }
        }
        if inside {
            return Err("A quote is opened and not closed. Put a second \" behind the text.".to_owned());
        }
        words.push((name, value));
    }
}

pub(super) fn state(word: &str) -> Result<RunState, String> {
    RunState::parse(word).ok_or_else(|| {
        let known: Vec<_> = RunState::ALL.iter().map(|state| state.as_str()).collect();
        format!(
            "“{word}” is no state; it must be one of {}, or open.",
            known.join(", ")
        )
    })
}

pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("“tag:{text}” must be a name and a value: tag:name=value."))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The addresses that somebody means by what they typed: a number on each channel, in each of its spellings.
pub(crate) fn addresses(typed: &str) -> Vec<Address> {
    let typed: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '-'))
        .collect();
    let Ok(phone) = PhoneNumber::parse(&typed) else {
        return Address::parse(&typed).into_iter().collect();
    };
    let on_each = [Channel::Whatsapp, Channel::Sms].map(|channel| Address::of_phone(channel, phone.clone()));
    on_each
        .into_iter()
        .flat_map(|address| [address.other_spelling(), Some(address)])
        .flatten()
        .collect()
}

/// What lanes of messages and calls with somebody end with: the address, as Twilio writes it.
pub(super) fn contact(text: &str) -> Result<Vec<String>, String> {
    let ends: Vec<_> = addresses(text).iter().map(Address::to_twilio).collect();
    match ends.is_empty() {
        true => Err(format!(
            "“contact:{text}” must be a number with its country, like contact:+5511987654321, or an address as Twilio \
             writes it."
        )),
        false => Ok(ends),
    }
}

pub(super) fn run(name: &str, text: &str) -> Result<RunId, String> {
    match ulid::Ulid::from_string(text) {
        Ok(id) => Ok(RunId::from(id.to_string())),
        Err(_) => Err(format!(
            "“{name}:{text}” must be the id of a run, 26 letters and digits, as its page shows it."
        )),
    }
}

pub(super) fn attempts(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("“attempts:{text}” must be a number from 1 on."))
}

pub(super) fn order(word: &str) -> Result<Order, String> {
    match word {
        "newest" => Ok(Order::Newest),
        "oldest" => Ok(Order::Oldest),
        _ => Err(format!("“sort:{word}” must be sort:newest or sort:oldest.")),
    }
}

/// `90s`, `30m`, `2h`, `7d`, `2w`.
pub(super) fn span(name: &str, text: &str) -> Result<TimeDelta, String> {
    let unit = text.char_indices().next_back();
    let parsed = unit.and_then(|(at, unit)| {
        let number = text[..at].parse::<u32>().ok()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        // No further back than a calendar reaches.
        TimeDelta::try_seconds(i64::from(number) * seconds).filter(|span| *span <= TimeDelta::days(100 * 365))
    });
    parsed.ok_or_else(|| format!("“{name}:{text}” must be a number and s, m, h, d or w, like {name}:2h."))
}

pub(super) fn time(name: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let told_by_clocks = |at: &DateTime<Utc>| (1970..10_000).contains(&at.year());
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    let day = || {
        text.parse::<NaiveDate>()
            .ok()
            .map(|day| day.and_time(NaiveTime::MIN).and_utc())
    };
    if let Some(at) = at.or_else(day).filter(told_by_clocks) {
        return Ok(at);
    }
    let told = |_| {
        format!("“{name}:{text}” must be like {name}:2h, {name}:2026-01-31 or {name}:2026-01-31T10:00:00Z.")
    };
    Ok(now - span(name, text).map_err(told)?)
}
