//! A Twilio that misbehaves.

use std::time::Duration;

use recado_simulator::{CreateFault, Faults, TwilioFaults};
use serde_json::{Value, json};

use crate::world::{CONTACT, OURS, PATIENCE, World};

const FORM: [(&str, &str); 3] = [("To", CONTACT), ("From", OURS), ("Body", "x")];

fn set(world: &World, create: CreateFault, times: Option<u32>) {
    let twilio = TwilioFaults {
        create,
        times,
        ..TwilioFaults::default()
    };
    world.simulator.set_faults(Faults {
        twilio,
        ..Faults::default()
    });
}

#[tokio::test]
async fn a_dropped_connection_fails_at_once_and_leaves_the_message_in_the_book() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(&world, CreateFault::AcceptAndDrop, Some(1));

    let failed = tokio::time::timeout(PATIENCE, world.create(&FORM)).await?;
    let error = failed.expect_err("there is no answer");
    assert!(
        error.is_request() && !error.is_timeout() && !error.is_connect(),
        "{error:?}"
    );
    assert_eq!(world.simulator.book().outbound_to(CONTACT).len(), 1);

    assert_eq!(world.create(&FORM).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn a_drop_before_acceptance_leaves_nothing_in_the_book() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(&world, CreateFault::Drop, None);
    tokio::time::timeout(PATIENCE, world.create(&FORM))
        .await?
        .expect_err("there is no answer");
    assert_eq!(world.simulator.book().message_count(), 0);
    assert_eq!(world.simulator.book().requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_message_in_the_book() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(&world, CreateFault::AcceptAndNeverAnswer, None);
    let waiting = world.create(&FORM);
    let seen = world.see(|book| book.outbound_to(CONTACT).len() == 1);
    tokio::select! {
        answer = waiting => panic!("answered {answer:?}"),
        seen = seen => seen?,
    }
    Ok(())
}

#[tokio::test]
async fn a_hanging_answer_does_not_keep_the_simulator_from_ending() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(&world, CreateFault::AcceptAndNeverAnswer, None);
    let url = world.url("/2010-04-01/Accounts/AC_other/Messages.json");
    let form = [("To", CONTACT), ("From", "+14155550199"), ("Body", "x")];
    let hanging = world
        .http
        .post(url)
        .basic_auth("AC_other", Some("other"))
        .form(&form)
        .send();
    let hanging = tokio::spawn(hanging);
    world.see(|book| book.message_count() == 1).await?;

    let world = tokio::time::timeout(PATIENCE, world.restart()).await??;
    hanging.await?.expect_err("the connection is gone");
    assert_eq!(world.simulator.book().message_count(), 1);
    Ok(())
}

#[tokio::test]
async fn definite_errors_leave_nothing_and_an_accepting_error_leaves_the_message() -> anyhow::Result<()> {
    let world = World::start().await?;
    set(&world, CreateFault::Status(500), Some(1));
    assert_eq!(world.create(&FORM).await?.status(), 500);

    set(&world, CreateFault::RateLimited { retry_after: 3 }, Some(1));
    let limited = world.create(&FORM).await?;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "3");
    assert_eq!(limited.json::<Value>().await?["code"], 20429);

    set(&world, CreateFault::Refuse(21610), Some(1));
    let refused = world.create(&FORM).await?;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>().await?["code"], 21610);
    assert_eq!(world.simulator.book().message_count(), 0);

    set(&world, CreateFault::AcceptAndStatus(503), Some(1));
    assert_eq!(world.create(&FORM).await?.status(), 503);
    assert_eq!(world.simulator.book().message_count(), 1);
    assert_eq!(world.create(&FORM).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn a_late_answer_is_late_but_the_message_is_not() -> anyhow::Result<()> {
    let world = World::start().await?;
    let twilio = TwilioFaults {
        latency_ms: 3_600_000,
        ..TwilioFaults::default()
    };
    world.simulator.set_faults(Faults {
        twilio,
        ..Faults::default()
    });
    tokio::select! {
        answer = world.create(&FORM) => panic!("answered {answer:?}"),
        seen = world.see(|book| book.message_count() == 1) => seen?,
    }
    Ok(())
}

#[tokio::test]
async fn faults_are_switched_over_http_and_an_unknown_one_is_refused() -> anyhow::Result<()> {
    let world = World::start().await?;
    let faults = json!({
        "twilio": {"create": {"rate_limited": {"retry_after": 2}}, "times": 1},
        "callbacks": {"doubled": true, "delay_ms": 5},
        "model": {"slow_ms": 7},
        "listing_lag_ms": 11,
    });
    let put = world.put("/_simulator/faults", &faults).await?;
    assert_eq!(put.status(), 200);
    let shown: Value = world
        .http
        .get(world.url("/_simulator/faults"))
        .send()
        .await?
        .json()
        .await?;
    assert_eq!(shown["twilio"]["create"], faults["twilio"]["create"]);
    assert_eq!(shown["callbacks"]["doubled"], true);
    assert_eq!(shown["listing_lag_ms"], 11);
    assert_eq!(world.create(&FORM).await?.status(), 429);
    assert_eq!(world.create(&FORM).await?.status(), 201);

    for unknown in [
        json!({"twillio": {}}),
        json!({"twilio": {"creat": "none"}}),
        json!({"twilio": {"create": "explode"}}),
    ] {
        let refused = world.put("/_simulator/faults", &unknown).await?;
        assert_eq!(refused.status(), 422, "{unknown}");
        let problem: Value = refused.json().await?;
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.contains("unknown"))
        );
    }
    assert_eq!(
        world.simulator.state().faults().listing_lag_ms,
        11,
        "nothing has changed"
    );
    Ok(())
}

#[tokio::test]
async fn waiting_for_what_does_not_come_ends_with_an_error_that_says_what_is_there() -> anyhow::Result<()> {
    let world = World::start().await?;
    let error = world
        .simulator
        .wait_for(|_| false, Duration::ZERO)
        .await
        .expect_err("never");
    assert!(error.to_string().contains("0 messages"), "{error}");
    Ok(())
}

#[tokio::test]
async fn reads_can_fail_while_messages_are_still_taken() -> anyhow::Result<()> {
    let world = World::start().await?;
    let twilio = TwilioFaults {
        reads: Some(503),
        ..TwilioFaults::default()
    };
    world.simulator.set_faults(Faults {
        twilio,
        ..Faults::default()
    });
    let created = world.send("x").await?;
    assert_eq!(world.list("").await?["status"], 503);
    let uri = created["uri"].as_str().unwrap_or_default();
    assert_eq!(world.get(uri).await?["status"], 503);

    world.simulator.set_faults(Faults::default());
    assert_eq!(world.get(uri).await?["body"], "x");
    Ok(())
}
