//! `/phone`: a telephone on which one types as a customer, beside the switches that make the world misbehave.
//!
//! It is served by the process that holds the simulator, so that it stays when the one that answers is killed.
mod conversation;
mod parties;

use askama::Template;
use futures::{Stream, stream};
use poem::{
    Response, Route, get, handler,
    http::StatusCode,
    web::{Data, Query, sse::Event},
};
use tokio::sync::watch;

use self::{
    conversation::Conversation,
    parties::{Business, CONTACTS, Contact, Parties, businesses},
};
use super::{
    assets,
    layout::{Layout, html},
    live::{Sections, event, send},
};
use crate::dev::telephone::Telephone;

/// The pages of the telephone. `Telephone` comes by `Data<&Telephone>`.
pub(crate) fn routes() -> Route {
    Route::new()
        .at("/phone", get(show))
        .at("/phone/live", get(live))
        .at("/phone/assets/:name", get(assets::serve))
}

#[derive(Template)]
#[template(path = "phone.html")]
struct Phone<'a> {
    layout: Layout,
    account: &'a str,
    contacts: [Contact; 3],
    businesses: Vec<Business>,
    parties: Parties,
    conversation: Conversation,
}

#[handler]
async fn show(Query(asked): Query<Parties>, Data(telephone): Data<&Telephone>) -> Response {
    let businesses = businesses(&telephone.business);
    let parties = asked.or_first(&businesses);
    let page = Phone {
        layout: Layout::of_phone("Telephone"),
        account: &telephone.account,
        contacts: CONTACTS,
        conversation: Conversation::of(telephone, &parties),
        businesses,
        parties,
    };
    html(StatusCode::OK, &page)
}

/// Sends the conversation now, then again whenever something in it changed.
#[handler]
async fn live(Query(asked): Query<Parties>, Data(telephone): Data<&Telephone>) -> Response {
    let parties = asked.or_first(&businesses(&telephone.business));
    send(changes(telephone.clone(), parties))
}

struct Listener {
    telephone: Telephone,
    parties: Parties,
    changes: watch::Receiver<u64>,
    sent: Option<String>,
}

fn changes(telephone: Telephone, parties: Parties) -> impl Stream<Item = Event> + Send {
    let mut changes = telephone.simulator.book().changes();
    changes.mark_changed();
    let listener = Listener {
        telephone,
        parties,
        changes,
        sent: None,
    };
    stream::unfold(listener, async |mut listener| {
        loop {
            listener.changes.changed().await.ok()?;
            let conversation = Conversation::of(&listener.telephone, &listener.parties);
            let shown = conversation.render().unwrap_or_default();
            // Most entries of the book are about something else.
            if listener.sent.as_ref() != Some(&shown) {
                let sections = Sections::from([("messages", shown.clone())]);
                listener.sent = Some(shown);
                return Some((event(&sections), listener));
            }
        }
    })
}
