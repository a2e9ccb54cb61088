//! Pages for people, rendered on the server. They work without script; with it they follow what happens.
mod assets;
mod by_message;
mod communications;
mod contact;
mod conversations;
pub(crate) mod language;
mod layout;
mod live;
pub(crate) mod login;
pub(crate) mod media;
mod moment;
mod overview;
mod owners;
pub(crate) mod phone;
mod problem;
mod queues;
mod reveal;
mod run;
mod runs;
mod schedules;
mod search;
mod sight;
mod state;
mod stuck;
mod text;
mod thread;
mod time_line;
mod webhooks;
mod workers;

use poem::{Route, get, post};

pub(crate) use problem::{not_found, problem};

/// The pages of the front end. `App` comes by `Data<&App>`.
pub(crate) fn routes() -> Route {
    Route::new()
        .at("/", get(runs::list))
        .at("/runs/live", get(runs::live))
        .at("/runs/export", get(runs::export::export))
        .at("/runs/batch", get(runs::batch::preview).post(runs::batch::act))
        .at("/runs/columns", post(runs::columns::choose))
        .at("/runs/views", post(runs::views::keep))
        .at("/runs/views/remove", post(runs::views::remove))
        .at("/stuck", get(stuck::show))
        .at("/stuck/live", get(stuck::live))
        .at("/overview", get(overview::show))
        .at("/overview/live", get(overview::live))
        .at("/queues", get(queues::show))
        .at("/queues/live", get(queues::live))
        .at("/conversations", get(conversations::list))
        .at("/conversations/live", get(conversations::live))
        .at("/conversations/:id", get(thread::show))
        .at("/conversations/:id/live", get(thread::live))
        .at("/conversations/:id/reveal", post(reveal::conversation))
        .at("/search", get(search::show))
        .at("/webhooks", get(webhooks::show))
        .at("/webhooks/live", get(webhooks::live))
        .at("/workers", get(workers::show))
        .at("/workers/live", get(workers::live))
        .at("/schedules", get(schedules::list))
        .at("/schedules/live", get(schedules::live))
        .at("/schedules/:id/act", post(schedules::acts::act))
        .at("/schedules/:id/backfill", get(schedules::acts::ask))
        .at("/communications", get(communications::show))
        .at("/communications/send", post(communications::compose::send))
        .at(
            "/communications/call",
            get(communications::call::ask).post(communications::call::make),
        )
        .at(
            "/communications/batch",
            get(communications::batch::ask).post(communications::batch::send),
        )
        .at(
            "/communications/batch/:id",
            get(communications::batch::result::show),
        )
        .at(
            "/communications/batch/:id/live",
            get(communications::batch::result::live),
        )
        .at(
            "/communications/batch/:id/reveal",
            post(communications::batch::result::show_whole),
        )
        .at("/communications/reveal", post(communications::show_whole))
        .at("/communications/health", get(communications::health::show))
        .at(
            "/communications/way-out",
            get(communications::way_out::show).post(communications::way_out::set),
        )
        .at(
            "/communications/campaigns",
            get(communications::campaigns::list).post(communications::campaigns::make),
        )
        .at(
            "/communications/campaigns/:id",
            get(communications::campaign::show),
        )
        .at(
            "/communications/campaigns/:id/live",
            get(communications::campaign::live),
        )
        .at(
            "/communications/campaigns/:id/act",
            post(communications::campaign::act),
        )
        .at(
            "/communications/campaigns/:id/result",
            get(communications::campaign::result),
        )
        .at("/runs/:id", get(run::show))
        .at("/runs/:id/live", get(run::live))
        .at("/runs/:id/act", post(run::acts::act))
        .at("/runs/:id/events", get(run::more))
        .at("/runs/:id/reveal", post(reveal::run))
        .at("/runs/by-message/:account/:sid", get(by_message::open))
        .at("/runs/by-message/:account/:sid/state", get(by_message::state))
        .at("/messages/:sid/attachments", get(media::of_message))
}

/// The style sheet and the scripts; open to everybody, because the log-in page needs them too.
pub(crate) fn assets() -> Route {
    Route::new().at("/:name", get(assets::serve))
}
