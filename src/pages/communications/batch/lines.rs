//! The rows of a batch as a person pastes them: `number, text` a line, or a CSV file whose first line names the columns.
use crate::{campaigns::read_csv, http::Problem};

/// What a file may name.
const COLUMNS: [&str; 3] = ["to", "body", "prospect"];

/// A message as it was pasted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) to: String,
    pub(super) body: String,
    pub(super) prospect: String,
}

/// Reads what was pasted.
///
/// # Errors
/// A problem that says which line or column cannot be read.
pub(super) async fn read(text: &str) -> Result<Vec<Line>, Problem> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let first = text.lines().next().unwrap_or_default();
    let is_table = first
        .split([',', ';', '\t'])
        .any(|name| name.trim().trim_matches('"') == "to");
    match is_table {
        true => table(text).await,
        false => Ok(plain(text)),
    }
}

async fn table(text: &str) -> Result<Vec<Line>, Problem> {
    let unfit = |told| Problem::unprocessable("rows", told);
    let mut lines = Vec::new();
    for (n, row) in (1..).zip(read_csv(text.to_owned()).await?) {
        let mut fields = row.map_err(|told| unfit(format!("row {n}: {told}")))?;
        if let Some(other) = fields.keys().find(|name| !COLUMNS.contains(&name.as_str())) {
            let known = COLUMNS.join(", ");
            return Err(unfit(format!(
                "nothing is known of a column `{other}`; there are {known}"
            )));
        }
        let mut of = |name| fields.remove(name).unwrap_or_default();
        lines.push(Line {
            to: of("to"),
            body: of("body"),
            prospect: of("prospect"),
        });
    }
    Ok(lines)
}

fn plain(text: &str) -> Vec<Line> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = |line: &str| {
        let (to, body) = line.split_once([',', ';', '\t']).unwrap_or((line, ""));
        Line {
            to: to.trim().trim_matches('"').to_owned(),
            body: unquoted(body.trim()),
            prospect: String::new(),
        }
    };
    lines.map(line).collect()
}

/// A text as CSV writes it, where it is quoted.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(to: &str, body: &str, prospect: &str) -> Line {
        Line {
            to: to.to_owned(),
            body: body.to_owned(),
            prospect: prospect.to_owned(),
        }
    }

    #[tokio::test]
    async fn lines_and_files_are_read_alike() {
        let plain = "+551, Oi, Ana\n\n+552;\"Oi \"\"Bia\"\"\"\n+553";
        let expected = [
            line("+551", "Oi, Ana", ""),
            line("+552", "Oi \"Bia\"", ""),
            line("+553", "", ""),
        ];
        assert_eq!(read(plain).await.unwrap_or_default(), expected);
        let table = "\u{feff}prospect;to;body\r\nana;+551;\"Oi,\nAna\"\r\n";
        assert_eq!(
            read(table).await.unwrap_or_default(),
            [line("+551", "Oi,\nAna", "ana")]
        );
        let odd = read("to,text\n+551,oi").await;
        assert!(odd.is_err_and(|problem| problem.to_string().contains("`text`")));
    }
}
