//! Creating messages, and what Twilio refuses.

use serde_json::{Value, json};

use crate::world::{ACCOUNT, CONTACT, OURS, TOKEN, World};

#[tokio::test]
async fn a_created_message_is_answered_as_documented_and_then_delivered() -> anyhow::Result<()> {
    let world = World::start().await?;
    let created = world.send("olá").await?;

    let sid = created["sid"].as_str().unwrap_or_default().to_owned();
    assert!(sid.len() == 34 && sid.starts_with("SM"), "{sid}");
    for (field, expected) in [
        ("account_sid", json!(ACCOUNT)),
        ("api_version", json!("2010-04-01")),
        ("body", json!("olá")),
        ("date_sent", Value::Null),
        ("direction", json!("outbound-api")),
        ("error_code", Value::Null),
        ("error_message", Value::Null),
        ("from", json!(OURS)),
        ("messaging_service_sid", Value::Null),
        ("num_media", json!("0")),
        ("num_segments", json!("1")),
        ("price", Value::Null),
        ("price_unit", Value::Null),
        ("status", json!("queued")),
        ("to", json!(CONTACT)),
        (
            "uri",
            json!(format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json")),
        ),
    ] {
        assert_eq!(created.get(field), Some(&expected), "{field}");
    }
    let date = created["date_created"].as_str().unwrap_or_default();
    assert!(chrono::DateTime::parse_from_rfc2822(date).is_ok(), "{date}");

    world
        .see(|book| {
            book.message(&sid)
                .is_some_and(|m| m.status().as_str() == "delivered")
        })
        .await?;
    let fetched = world.get(created["uri"].as_str().unwrap_or_default()).await?;
    assert_eq!(fetched["status"], "delivered");
    assert!(fetched["date_sent"].is_string());
    Ok(())
}

#[tokio::test]
async fn what_twilio_refuses_is_refused_with_its_code_and_is_not_in_the_book() -> anyhow::Result<()> {
    let world = World::start().await?;
    let long = "ã".repeat(1601);
    let whatsapp = format!("whatsapp:{CONTACT}");
    let refused: [(u32, &[(&str, &str)]); 11] = [
        (21604, &[("From", OURS), ("Body", "x")]),
        (21211, &[("To", "5511"), ("From", OURS), ("Body", "x")]),
        (21603, &[("To", CONTACT), ("Body", "x")]),
        (21614, &[("To", "+15005550009"), ("From", OURS), ("Body", "x")]),
        (21408, &[("To", "+1500521408"), ("From", OURS), ("Body", "x")]),
        (21606, &[("To", CONTACT), ("From", "+14155550199"), ("Body", "x")]),
        (21910, &[("To", &whatsapp), ("From", OURS), ("Body", "x")]),
        (21266, &[("To", OURS), ("From", OURS), ("Body", "x")]),
        (21602, &[("To", CONTACT), ("From", OURS)]),
        (21602, &[("To", CONTACT), ("From", OURS), ("Body", "")]),
        (21617, &[("To", CONTACT), ("From", OURS), ("Body", &long)]),
    ];
    for (code, form) in refused {
        let answer = world.create(form).await?;
        assert_eq!(answer.status(), 400, "{code}");
        let error: Value = answer.json().await?;
        assert_eq!(error["code"], code);
        assert_eq!(error["status"], 400);
        assert_eq!(
            error["more_info"],
            format!("https://www.twilio.com/docs/errors/{code}")
        );
    }
    assert_eq!(world.simulator.book().message_count(), 0);

    let just_right = "ã".repeat(1600);
    world.send(&just_right).await?;
    assert_eq!(world.simulator.book().message_count(), 1);
    Ok(())
}

#[tokio::test]
async fn strangers_are_turned_away() -> anyhow::Result<()> {
    let world = World::start().await?;
    let ours = world.url(&format!("/2010-04-01/Accounts/{ACCOUNT}.json"));
    let unknown = world.url("/2010-04-01/Accounts/AC_unknown.json");
    let get = |url: &str| world.http.get(url.to_owned());

    let tries = [
        (get(&ours), 401, 20003),
        (get(&ours).basic_auth(ACCOUNT, Some("wrong")), 401, 20003),
        (get(&ours).basic_auth("AC_other", Some("other")), 401, 20003),
        (get(&unknown).basic_auth("AC_unknown", Some(TOKEN)), 404, 20404),
    ];
    for (request, status, code) in tries {
        let answer = request.send().await?;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json::<Value>().await?["code"], code);
    }
    let answer = get(&ours).basic_auth(ACCOUNT, Some(TOKEN)).send().await?;
    assert_eq!(answer.json::<Value>().await?["status"], "active");
    Ok(())
}

#[tokio::test]
async fn another_accounts_message_is_not_found() -> anyhow::Result<()> {
    let world = World::start().await?;
    let created = world.send("secret").await?;
    let sid = created["sid"].as_str().unwrap_or_default();
    let url = world.url(&format!("/2010-04-01/Accounts/AC_other/Messages/{sid}.json"));
    let answer = world
        .http
        .get(url)
        .basic_auth("AC_other", Some("other"))
        .send()
        .await?;
    assert_eq!(answer.status(), 404);
    Ok(())
}

#[tokio::test]
async fn a_messaging_service_chooses_the_sender_after_it_answered() -> anyhow::Result<()> {
    let world = World::start().await?;
    let form = [("To", CONTACT), ("MessagingServiceSid", "MG1"), ("Body", "x")];
    let created: Value = world.create(&form).await?.json().await?;
    assert_eq!(created["status"], "accepted");
    assert_eq!(created["from"], Value::Null);
    assert_eq!(created["messaging_service_sid"], "MG1");

    let sid = created["sid"].as_str().unwrap_or_default();
    world
        .see(|book| book.message(sid).is_some_and(|m| m.sent().is_some()))
        .await?;
    let fetched = world.get(created["uri"].as_str().unwrap_or_default()).await?;
    assert_eq!(fetched["from"], OURS);
    Ok(())
}

#[tokio::test]
async fn a_typing_indicator_is_taken_for_a_whatsapp_message_only() -> anyhow::Result<()> {
    let world = World::start().await?;
    let show = async |form: [(&str, &str); 2]| {
        let url = world.url("/v2/Indicators/Typing.json");
        world
            .http
            .post(url)
            .basic_auth(ACCOUNT, Some(TOKEN))
            .form(&form)
            .send()
            .await
    };
    let taken = show([("channel", "whatsapp"), ("messageId", "SM1")]).await?;
    assert_eq!(taken.json::<Value>().await?, json!({"success": true}));
    assert_eq!(
        show([("channel", "sms"), ("messageId", "SM1")]).await?.status(),
        400
    );
    assert_eq!(world.simulator.book().requests()[0].params["messageId"], "SM1");
    Ok(())
}

#[tokio::test]
async fn a_number_that_holds_a_carriers_error_is_taken_and_lost() -> anyhow::Result<()> {
    let world = World::start().await?;
    let lost = [("To", "+1500530007"), ("From", OURS), ("Body", "x")];
    let created: Value = world.create(&lost).await?.json().await?;
    assert_eq!(created["status"], "queued");
    let sid = created["sid"].as_str().unwrap_or_default().to_owned();
    world
        .see(|book| {
            book.message(&sid)
                .is_some_and(|m| m.status().as_str() == "undelivered" && m.error_code() == Some(30007))
        })
        .await
}
