//! Each filter of the runs' page, as a browser asks for it.
use std::time::Instant;

use super::{figures::Figures, load::millis, world::World};

/// How often each is asked for.
const LOOKS: usize = 20;
/// What is filtered by, and the line that does. What finds nothing, or what is everywhere, is the worst of its kind.
const LINES: [(&str, &str); 17] = [
    ("all", ""),
    ("oldest", "sort:oldest"),
    ("state_completed", "state:completed"),
    ("state_parked", "state:parked"),
    ("state_open", "state:open"),
    ("workflow", "workflow:inbound_message"),
    ("workflow_none", "workflow:no_such_workflow"),
    ("owner", "owner:default"),
    ("outcome", "outcome:answered"),
    ("outcome_none", "outcome:no_such_outcome"),
    ("error", "error:twilio_63016"),
    ("waits", "waits:signal:"),
    ("tag", "tag:no=such"),
    ("since", "since:1h"),
    ("before", "before:1h state:completed"),
    ("parent", "parent:01000000000000000000000000"),
    ("text", "no-such-text"),
];

/// How long the page takes with each, the counts by state included; `contact` is one who wrote.
pub(super) async fn measure(world: &World, contact: &str) -> anyhow::Result<Figures> {
    let of_contact = format!("contact:\"{contact}\"");
    let mut times = Vec::new();
    for (what, line) in LINES.into_iter().chain([("contact", of_contact.as_str())]) {
        let query = serde_urlencoded::to_string([("q", line)])?;
        let mut took = Vec::new();
        for _ in 0..LOOKS {
            let begun = Instant::now();
            let answer = world.page(&format!("/?{query}")).send().await?;
            anyhow::ensure!(
                answer.status() == 200,
                "the runs' page was answered {} for {line}",
                answer.status()
            );
            answer.bytes().await?;
            took.push(millis(begun));
        }
        times.push((what, took));
    }
    Ok(Figures {
        times,
        ..Figures::default()
    })
}
