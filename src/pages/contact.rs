//! Whom a run is about.
use recado_domain::Address;
use recado_engine::Run;

use super::text::masked;

/// The contact of a run, masked: the sender of an inbound message, the recipient of an outbound one.
pub(crate) fn of(run: &Run) -> Option<String> {
    let field = |name: &str| run.input.get(name)?.as_str();
    // Who is a prospect is written to; everybody else writes.
    let [first, second] = match field("prospect") {
        Some(_) => ["to", "from"],
        None => ["from", "to"],
    };
    let text = field("contact")
        .or_else(|| field(first))
        .or_else(|| field(second))?;
    Some(Address::parse(text).map_or_else(|_| masked(text), |address| address.masked()))
}
