//! The rows of a campaign from a CSV file.
use recado_domain::Fields;

use crate::http::Problem;

/// The most rows of a campaign.
pub(crate) const MOST_ROWS: usize = 100_000;
/// The most columns.
const MOST_COLUMNS: usize = 100;
/// The longest value, in bytes.
const LONGEST_VALUE: usize = 20_000;

/// What was given for one person, or why it cannot be read.
pub(crate) type Row = Result<Fields, String>;

/// Reads a CSV file: UTF-8, with or without its mark, columns named by the first line, separated by commas, semicolons or tabs.
///
/// # Errors
/// A problem where the file as a whole cannot be taken; a line that cannot be read is a row that cannot be sent.
pub(crate) async fn read(text: String) -> Result<Vec<Row>, Problem> {
    super::aside(move || parse(&text)).await?
}

fn parse(text: &str) -> Result<Vec<Row>, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    // What Excel writes in Brazil has semicolons.
    let separator = [b';', b'\t', b',']
        .into_iter()
        .max_by_key(|separator| first.bytes().filter(|byte| byte == separator).count())
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let unfit = |told: String| Problem::unprocessable("rows", told);
    let headers = reader
        .headers()
        .map_err(|error| unfit(error.to_string()))?
        .clone();
    if !headers.iter().any(|name| name == "to") {
        let told =
            "the first line must name the columns, and one of them must be `to`, the number of each person";
        return Err(unfit(told.to_owned()));
    }
    if headers.len() > MOST_COLUMNS {
        return Err(unfit(format!(
            "the file has {} columns, at most {MOST_COLUMNS} are allowed",
            headers.len()
        )));
    }
    let mut names: Vec<&str> = headers.iter().collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(unfit(format!("two columns are named `{}`", twice[0])));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        if rows.len() == MOST_ROWS {
            return Err(unfit(format!(
                "the file has more than {MOST_ROWS} rows; split it"
            )));
        }
        rows.push(
            record
                .map_err(|error| error.to_string())
                .and_then(|record| row(&headers, &record)),
        );
    }
    Ok(rows)
}

fn row(headers: &csv::StringRecord, record: &csv::StringRecord) -> Row {
    if record.len() > headers.len() {
        return Err(format!(
            "the row has {} values for {} columns",
            record.len(),
            headers.len()
        ));
    }
    if record.iter().any(|value| value.len() > LONGEST_VALUE) {
        return Err(format!("a value has more than {LONGEST_VALUE} bytes"));
    }
    let named = headers
        .iter()
        .zip(record)
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_fields(text: &str) -> Option<Vec<Row>> {
        parse(text).ok()
    }

    #[test]
    fn a_file_of_excel_is_read_as_one_of_anybody_else() {
        let plain = read_fields("to,name\n+5511987654321,\"Ana, a primeira\"\n");
        let excel = read_fields("\u{feff}to;name\r\n+5511987654321;Ana, a primeira\r\n");
        assert!(plain.is_some() && plain == excel, "{plain:?} {excel:?}");
        let ragged = read_fields("to,name\n+55\n+55,a,b\n").unwrap_or_default();
        assert!(ragged[0].as_ref().is_ok_and(|row| row.len() == 1), "{ragged:?}");
        assert!(
            ragged[1]
                .as_ref()
                .is_err_and(|told| told.contains("3 values for 2 columns")),
            "{ragged:?}"
        );
    }

    #[test]
    fn a_file_without_a_number_or_with_a_column_twice_is_refused() {
        assert!(parse("").is_err());
        assert!(parse("phone,name\n1,2\n").is_err_and(|told| told.to_string().contains("`to`")));
        assert!(parse("to,name,name\n1,2,3\n").is_err_and(|told| told.to_string().contains("`name`")));
    }
}
