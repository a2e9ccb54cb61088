//! Runs are found by whom they are with and by who started them; what they cost is counted; all in the reader's words.
use recado_testkit::eventually;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use super::world::{SOON, World};

#[tokio::test]
async fn a_contact_and_a_parent_lead_to_their_runs_and_what_they_cost_is_told() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    world.see(".following", "live").await;
    world.receive(1, "Oi").await?;
    world.receive(2, "Vocês fazem entrega?").await?;
    world.count(".runs .state.completed", 2).await;
    world.find("contact:+5511987650002").await?;
    world.count(".runs tbody tr", 1).await;

    // A batch starts a run for each of its messages: they are its children.
    let batch = "const done = arguments[0];
        const messages = [3, 4].map((n) => ({ to: `+551198765000${n}`, body: 'Seu pedido saiu', prospect: `p${n}` }));
        fetch('/api/v1/messages/batch', { method: 'POST', headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ messages }) })
            .then(async (answer) => done([answer.status, await answer.text()]), (error) => done([0, String(error)]));";
    let answered = world.driver.execute_async(batch, vec![]).await?;
    assert!(
        [200, 202].map(Value::from).contains(&answered.json()[0]),
        "{}",
        answered.json()
    );
    world.find("workflow:send_message state:completed").await?;
    world.count(".runs tbody tr", 2).await;
    world.open("/?q=workflow:send_batch").await?;
    world.click(".runs tbody a").await?;
    world.click("#children").await?;
    world.count(".runs tbody tr", 2).await;
    let line = world.driver.find(By::Id("q")).await?.prop("value").await?;
    assert!(
        line.as_deref().is_some_and(|line| line.starts_with("parent:01")),
        "{line:?}"
    );
    // One of them, by controls, in another spelling of the number.
    world.click("#controls > summary").await?;
    let contact = world.driver.find(By::Css("#controls [name=contact]")).await?;
    contact.send_keys("+55 11 8765-0003").await?;
    world.click("#controls button[type=submit]").await?;
    world.count(".runs tbody tr", 1).await;

    let cdp = world.driver.cdp();
    cdp.send_raw("Network.enable", json!({})).await?;
    let headers = json!({"headers": {"Accept-Language": "pt-BR,pt;q=0.9"}});
    cdp.send_raw("Network.setExtraHTTPHeaders", headers).await?;
    world.open("/").await?;
    world.see(".runs .state.completed", "concluída").await;
    world.see(".counts .parked", "estacionada").await;
    world.open("/phone").await?;
    world.see("#child", "responde").await;
    world.refuse().await?;
    world
        .open("/phone?contact=%2B5511987650001&business=%2B14155238886&channel=whatsapp")
        .await?;
    world.receive(1, "E agora?").await?;
    world.see("#unanswered", "estacionada").await;

    // What it cost is written down by the minute; the overview shows it when that is over.
    let metrics = world.get("/metrics").await?.1;
    let spent = |line: &str| {
        let amount = line.rsplit(' ').next().and_then(|n| n.parse::<i64>().ok());
        line.starts_with("recado_messages_microdollars_total{") && amount.is_some_and(|n| n > 0)
    };
    assert!(
        metrics.lines().filter(|line| spent(line)).count() >= 3,
        "{metrics}"
    );
    let books = world.database().await;
    for measure in ["cost", "tokens"] {
        let sql =
            format!("select 1 from minutes where owner = 'default' and measure = '{measure}' and n > 0");
        let kept = async || {
            books
                .query_one_raw(Statement::from_string(DbBackend::Sqlite, &sql))
                .await
                .ok()?
        };
        eventually(SOON, kept).await;
    }
    world.end().await
}
