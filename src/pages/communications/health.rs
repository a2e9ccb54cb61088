//! `/communications/health`: whether Twilio lets an owner send, asked now.
use askama::Template;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_domain::OwnerId;

use super::{Asked, owner, refused};
use crate::{
    app::App,
    http::api::twilio::{HealthItem, health},
    pages::layout::{Here, Layout, html},
};

#[derive(Template)]
#[template(path = "communications_health.html")]
struct Page<'a> {
    layout: Layout,
    owner: &'a OwnerId,
    health: HealthItem,
}

#[handler]
pub(crate) async fn show(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let owner = owner(&asked.owner);
    match health(app, &owner).await {
        Ok(health) => {
            let layout = Layout::new("Twilio", Here::Communications, app.config.dev);
            let owner = &owner;
            html(
                StatusCode::OK,
                &Page {
                    layout,
                    owner,
                    health,
                },
            )
        }
        Err(problem) => refused(&problem, "/communications"),
    }
}
