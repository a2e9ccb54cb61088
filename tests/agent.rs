//! Who answers a contact: a model's routing and specialist, or the agent that needs none, or a person.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_simulator::{Answer, Faults};
use recado_testkit::{Backend, Process};
use reqwest::Method;
use serde_json::{Value, json};
use world::{Answered, World, completions, contact};

/// What the owner of `recado seed` is asked, and how the answer begins.
const QUESTION: &str = "Qual é o horário de funcionamento?";
const KNOWN: &str = "Abrimos de segunda a sábado";
/// What nobody there knows.
const UNKNOWN: &str = "Vocês consertam bicicletas?";
const NOTICE: &str = "Vou chamar alguém da equipe";

async fn seeded(world: &World) -> Process {
    let (code, told) = world.run(&["seed"]).await;
    assert_eq!(code, 0, "{told}");
    world.serve_and_work().await
}

/// What an activity of the run of a message returned.
async fn returned(world: &World, sid: &str, activity: &str) -> Vec<Value> {
    let run = world.until(sid, "completed").await;
    let shown = world
        .get(&format!("/runs/{}", run["id"].as_str().unwrap()))
        .await
        .json();
    let events = shown["journal"].as_array().unwrap();
    let completed = events
        .iter()
        .filter(|event| event["kind"] == "activity_completed" && event["name"] == activity);
    completed.map(|event| event["data"].clone()).collect()
}

fn requests_to_the_model(world: &World) -> Vec<Value> {
    let requests = world.simulator.book().requests();
    requests
        .iter()
        .filter(|one| one.path.ends_with("/chat/completions"))
        .map(|one| one.params.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_routes_a_message_and_the_specialist_it_names_answers() {
    let world = World::new(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    let routed = r#"{"specialist": "sales", "confidence": 0.93, "reason": "a price is asked"}"#;
    world.simulator.script([
        Answer::Text(routed.into()),
        Answer::Text("O de 2 kg custa R$ 120.".into()),
    ]);
    let sid = world.say(&contact(1), "quanto custa um bolo?").await;
    assert_eq!(world.outcome(&sid).await, "answered");
    assert_eq!(world.texts(&contact(1)), ["O de 2 kg custa R$ 120."]);
    let asked = requests_to_the_model(&world);
    assert_eq!(asked.len(), 2);
    let system = |request: &Value| request["messages"][0]["content"].to_string();
    assert!(
        system(&asked[0]).contains("scheduling"),
        "the specialists are listed: {}",
        asked[0]
    );
    assert!(system(&asked[1]).contains("sales specialist"), "{}", asked[1]);
    assert!(
        system(&asked[1]).contains("R$ 120"),
        "the specialist is told what is known: {}",
        asked[1]
    );
    let choice = &returned(&world, &sid, "route_agent").await[0];
    assert_eq!(
        (&choice["specialist"], &choice["reason"]),
        (&"sales".into(), &"a price is asked".into())
    );

    // It is told what was said before, and not what others said.
    world
        .simulator
        .script([Answer::Text(routed.into()), Answer::Text("Combinado.".into())]);
    let again = world.say(&contact(1), "quero um").await;
    assert_eq!(world.outcome(&again).await, "answered");
    let told = requests_to_the_model(&world)[3]["messages"].clone();
    let turns: Vec<_> = told.as_array().unwrap()[1..]
        .iter()
        .map(|turn| turn["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        turns,
        ["quanto custa um bolo?", "O de 2 kg custa R$ 120.", "quero um"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routing_that_is_unsure_or_names_nobody_falls_back_to_keywords() {
    let world = World::new(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    for (number, answer) in [
        r#"{"specialist": "support", "confidence": 0.2}"#,
        r#"{"specialist": "the president", "confidence": 0.99}"#,
    ]
    .into_iter()
    .enumerate()
    {
        world
            .simulator
            .script([Answer::Text(answer.into()), Answer::Text("ok".into())]);
        let sid = world.say(&contact(number as u32), "quero comprar um bolo").await;
        assert_eq!(world.outcome(&sid).await, "answered");
        assert_eq!(
            returned(&world, &sid, "route_agent").await[0]["specialist"],
            "sales",
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_models_are_down_or_talk_nonsense_the_offline_agent_answers_or_calls_a_person() {
    let faults: [fn(&mut Faults); 4] = [
        |faults| faults.model.down = true,
        |faults| faults.model.garbage = true,
        |faults| faults.model.refusal = true,
        |faults| faults.model.rate_limited = Some(60),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        // In a world of its own: a model that fails again and again is left alone for a while.
        let world = World::new(Backend::Sqlite).await;
        let _process = seeded(&world).await;
        world.misbehave(fault);
        let sid = world.say(&contact(1), QUESTION).await;
        assert_eq!(world.outcome(&sid).await, "answered", "fault {number}");
        let answer = world.texts(&contact(1));
        assert!(
            answer.len() == 1 && answer[0].starts_with(KNOWN),
            "fault {number}: {answer:?}"
        );
        assert!(completions(world.simulator.book()) > 0, "the model was asked");
        let sid = world.say(&contact(2), UNKNOWN).await;
        assert_eq!(world.outcome(&sid).await, "handed_over", "fault {number}");
        let notice = world.texts(&contact(2));
        assert!(
            notice.len() == 1 && notice[0].starts_with(NOTICE),
            "fault {number}: {notice:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_specialist_that_refuses_or_asks_for_a_person_is_not_the_end() {
    let world = World::new(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    let routed = || Answer::Text(r#"{"specialist": "general", "confidence": 0.9}"#.into());
    world
        .simulator
        .script([routed(), Answer::Refusal("I can't help with that.".into())]);
    let sid = world.say(&contact(1), QUESTION).await;
    assert_eq!(world.outcome(&sid).await, "answered");
    assert!(world.texts(&contact(1))[0].starts_with(KNOWN));
    world.simulator.script([routed(), Answer::Text("HANDOFF".into())]);
    let sid = world.say(&contact(2), QUESTION).await;
    assert_eq!(world.outcome(&sid).await, "handed_over");
    let notice = world.texts(&contact(2));
    assert!(notice.len() == 1 && notice[0].starts_with(NOTICE), "{notice:?}");
    let listed = world.get("/conversations?state=human_handoff").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_model_the_offline_agent_answers_what_is_known_and_calls_a_person_for_the_rest() {
    let world = World::without_model(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    let sid = world.say(&contact(1), "que horas abre no domingo?").await;
    assert_eq!(world.outcome(&sid).await, "answered");
    assert!(world.texts(&contact(1))[0].starts_with(KNOWN));
    let sid = world.say(&contact(2), UNKNOWN).await;
    assert_eq!(world.outcome(&sid).await, "handed_over");
    assert!(world.texts(&contact(2))[0].starts_with(NOTICE));
    assert_eq!(completions(world.simulator.book()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_sent_in_parts_in_order() {
    let world = World::new(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    let sentence = |number: usize| format!("Sentence number {number} of a long answer.");
    let long: Vec<_> = (0..100).map(sentence).collect();
    let routed = r#"{"specialist": "general", "confidence": 0.9}"#;
    world
        .simulator
        .script([Answer::Text(routed.into()), Answer::Text(long.join(" "))]);
    let sid = world.say(&contact(1), "tell me everything").await;
    assert_eq!(world.outcome(&sid).await, "answered");
    let parts = world.texts(&contact(1));
    assert!(
        parts.len() > 1 && parts.iter().all(|part| part.chars().count() <= 1500),
        "{} parts",
        parts.len()
    );
    assert_eq!(parts.join(" "), long.join(" "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_answers_what_it_is_taught_by_the_api_until_it_forgets() {
    let world = World::without_model(Backend::Sqlite).await;
    let _process = seeded(&world).await;
    let teach = async |owner: &str, question: Value| {
        let request = world
            .api(Method::POST, "/questions")
            .header("Recado-Owner", owner);
        Answered::of(request.json(&question)).await.unwrap()
    };
    let bicycles = json!({"question": UNKNOWN, "answer": "Só às terças.", "keywords": ["bicicletas"]});
    teach("nobody", bicycles.clone()).await.problem(404);
    let empty = teach("default", json!({"question": "", "answer": "x"})).await;
    assert!((400..500).contains(&empty.status), "{}", empty.text);
    // What another owner is taught, this one does not know.
    assert_eq!(teach("padaria-aurora", bicycles.clone()).await.status, 200);
    let sid = world.say(&contact(1), UNKNOWN).await;
    assert_eq!(world.outcome(&sid).await, "handed_over");

    let taught = teach("default", bicycles).await.json();
    let sid = world.say(&contact(2), UNKNOWN).await;
    assert_eq!(world.outcome(&sid).await, "answered");
    assert_eq!(world.texts(&contact(2)), ["Só às terças."]);

    let items = taught["items"].as_array().unwrap();
    let learned = items.iter().find(|item| item["question"] == UNKNOWN).unwrap();
    let path = format!("/questions/{}", learned["id"].as_str().unwrap());
    let forget = async |owner: &str| {
        let request = world.api(Method::DELETE, &path).header("Recado-Owner", owner);
        Answered::of(request).await.unwrap()
    };
    forget("padaria-aurora").await.problem(404);
    assert_eq!(forget("default").await.status, 200);
    forget("default").await.problem(404);
    let sid = world.say(&contact(3), UNKNOWN).await;
    assert_eq!(world.outcome(&sid).await, "handed_over");
}
