//! What the telephone page reads.

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Route, Server};
use recado_simulator::{Account, Config, Inbound, State, routes};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{ACCOUNT, CONTACT, OURS, PATIENCE, TOKEN, World};

#[tokio::test]
async fn a_conversation_shows_both_directions_with_their_statuses() -> anyhow::Result<()> {
    let world = World::start().await?;
    let receiver = Receiver::start().await?;
    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    let inbound = Inbound {
        account: ACCOUNT.to_owned(),
        from: CONTACT.to_owned(),
        body: "question".to_owned(),
        ..Inbound::default()
    };
    world.simulator.send_inbound(inbound).await?;
    world.send("answer").await?;
    world
        .create(&[("To", "+5511900000000"), ("From", OURS), ("Body", "other")])
        .await?;

    let show = async |query: &str| {
        let url = world.url(&format!("/_simulator/messages?{query}"));
        let shown: Value = world.http.get(url).send().await?.json().await?;
        anyhow::Ok(shown["items"].as_array().cloned().unwrap_or_default())
    };
    let talk = show(&format!("account={ACCOUNT}&contact=%2B5511987654321")).await?;
    let said: Vec<_> = talk.iter().map(|m| (&m["direction"], &m["body"])).collect();
    let (inbound, outbound) = (json!("inbound"), json!("outbound"));
    let expected = [(&inbound, &json!("question")), (&outbound, &json!("answer"))];
    assert_eq!(said, expected);
    let statuses = talk[1]["statuses"].as_array().cloned().unwrap_or_default();
    let words: Vec<_> = statuses.iter().filter_map(|s| s["status"].as_str()).collect();
    assert_eq!(words, ["queued", "sent", "delivered"]);
    assert_eq!(show("").await?.len(), 3);
    assert!(show("account=AC_other").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn every_change_is_an_event() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut events = world.http.get(world.url("/_simulator/events")).send().await?;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    // The greeting proves that the listener is there before the message is.
    while !text.contains("retry:") {
        let chunk = tokio::time::timeout(PATIENCE, events.chunk())
            .await??
            .unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    world.send("news").await?;
    while text.matches("event: status").count() < 2 || !text.ends_with("\n\n") {
        let chunk = tokio::time::timeout(PATIENCE, events.chunk()).await??;
        text.push_str(&String::from_utf8_lossy(&chunk.expect("the stream goes on")));
    }
    let data: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let kinds: Vec<_> = data.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(kinds, ["request", "message", "status", "status"]);
    assert_eq!(data[1]["body"], "news");
    assert_eq!(data[2]["status"], "sent");
    Ok(())
}

#[tokio::test]
async fn accounts_are_added_over_http_and_their_tokens_are_not_shown() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = json!({"auth_token": "hush", "numbers": [], "webhook_url": "http://x/"});
    let put = world.put("/_simulator/accounts/AC_new", &account).await?;
    assert_eq!(put.status(), 200);
    let shown = put.text().await?;
    assert!(shown.contains("AC_new") && !shown.contains("hush"), "{shown}");
    let url = world.url("/2010-04-01/Accounts/AC_new/Messages.json");
    let form = [("To", CONTACT), ("From", "+14155550111"), ("Body", "x")];
    let sent = world
        .http
        .post(url)
        .basic_auth("AC_new", Some("hush"))
        .form(&form)
        .send()
        .await?;
    assert_eq!(sent.status(), 201);
    Ok(())
}

#[tokio::test]
async fn the_routes_work_under_a_prefix_of_another_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = Config::new(folder.path().join("book.jsonl"));
    let state = State::open(config.account(Account::new(ACCOUNT, TOKEN)))?;
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
    let addr = acceptor.local_addr()[0]
        .as_socket_addr()
        .copied()
        .expect("an address");
    let app = Route::new().nest("/vendors", routes(state.clone()));
    tokio::spawn(Server::new_with_acceptor(acceptor).run(app));

    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{addr}/vendors/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    let form = [("To", CONTACT), ("From", OURS), ("Body", "x")];
    let post = || {
        http.post(&url)
            .basic_auth(ACCOUNT, Some(TOKEN))
            .form(&form)
            .send()
    };
    assert_eq!(post().await?.status(), 201);

    let faults = json!({"twilio": {"create": "accept_and_drop"}});
    let put = http
        .put(format!("http://{addr}/vendors/_simulator/faults"))
        .json(&faults);
    assert_eq!(put.send().await?.status(), 200);
    tokio::time::timeout(PATIENCE, post())
        .await?
        .expect_err("there is no answer");
    assert_eq!(state.book().message_count(), 2);
    state.close().await;
    Ok(())
}
