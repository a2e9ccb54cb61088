//! What became of each person of a campaign, as a CSV file.
use futures::stream;
use poem::Body;
use recado_domain::OwnerId;
use recado_store::campaigns::{self, Person};

use crate::{app::App, http::Problem};

/// People that are read at once.
const PAGE: u64 = 500;

/// Writes the file a page at a time, each when the reader has taken the one before. If the database fails on the way,
/// the connection breaks, so that nobody takes the half for the whole.
pub(crate) fn result(app: &App, owner: &OwnerId, campaign: &str) -> Body {
    let (app, owner, campaign) = (app.clone(), owner.clone(), campaign.to_owned());
    let pages = stream::try_unfold(Some(0), move |from: Option<i64>| {
        let (app, owner, campaign) = (app.clone(), owner.clone(), campaign.clone());
        async move {
            let Some(after) = from else { return Ok(None) };
            let (text, next) = page(&app, &owner, &campaign, after)
                .await
                .map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(Some((text, next)))
        }
    });
    Body::from_bytes_stream(pages)
}

async fn page(
    app: &App,
    owner: &OwnerId,
    campaign: &str,
    after: i64,
) -> Result<(Vec<u8>, Option<i64>), Problem> {
    let people = campaigns::people(
        &app.environment.database,
        owner,
        campaign,
        None,
        Some(after),
        PAGE,
    )
    .await?;
    let mut file = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| Problem::bad_request(error.to_string());
    if after == 0 {
        file.write_record([
            "row", "to", "prospect", "state", "delivery", "sid", "run", "code", "problem",
        ])
        .map_err(broken)?;
    }
    for person in &people.items {
        file.write_record(line(person).map(|cell| harmless(&cell)))
            .map_err(broken)?;
    }
    let text = file
        .into_inner()
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok((text, people.next.and_then(|next| next.parse().ok())))
}

fn line(person: &Person) -> [String; 9] {
    let problem = person.problem.clone().or_else(|| person.error_message.clone());
    [
        person.n.to_string(),
        person.address.clone(),
        person.prospect.clone(),
        person.state.as_str().to_owned(),
        person.delivery.clone().unwrap_or_default(),
        person.sid.clone().unwrap_or_default(),
        person.run.clone().unwrap_or_default(),
        person.error_code.map(|code| code.to_string()).unwrap_or_default(),
        problem.unwrap_or_default(),
    ]
}

/// A cell that a spreadsheet takes for a formula is one of whoever wrote it. A telephone number is none.
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn harmless(cell: &str) -> String {
    let is_number = cell
        .strip_prefix('+')
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_no_formula_in_the_file_and_a_number_is_a_number() {
        assert_eq!(
            harmless("=HYPERLINK(\"http://a.example\")"),
            "'=HYPERLINK(\"http://a.example\")"
        );
        assert_eq!(harmless("+1+2"), "'+1+2");
        assert_eq!(harmless("+5511987654321"), "+5511987654321");
        assert_eq!(harmless("Ana"), "Ana");
    }
}
