//! What contacts attach: fetched, kept, listened to, shown for a while, and gone in time. Vendors misbehave.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::time::{Duration, SystemTime};

use recado_domain::OwnerId;
use recado_engine::testing::replay_export;
use recado_simulator::Inbound;
use recado_store::owners;
use recado_testkit::{Backend, eventually};
use recado_workflows::InboundMessage;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use world::{Answered, PATIENCE, World, contact};

/// The same test on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($backend:ident) $body:block)*) => {
        $(mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() { test(Backend::Sqlite).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() { test(Backend::Postgres).await }
            async fn test($backend: Backend) $body
        })*
    };
}

const UNHEARD: &str = "não conseguimos ouvi-lo";
const LOST: &str = "Não conseguimos abrir o arquivo";

/// A picture of one pixel.
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\
    \x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

impl World {
    /// With a model that echoes and a server that listens.
    async fn listening(backend: Backend) -> World {
        let world = World::new(backend).await;
        let speech = format!("{}/v1", world.simulator.url());
        world.set("TRANSCRIBE_URL", &speech)
    }

    /// A contact sends a file, declared as `content_type`.
    async fn attach(&self, from: &str, content_type: &str, bytes: &[u8], body: &str) -> String {
        let sid = self.simulator.put_media(content_type, bytes).unwrap();
        let inbound = Inbound {
            from: from.to_owned(),
            body: body.to_owned(),
            media: vec![sid],
            ..Inbound::default()
        };
        let received = self.deliver(inbound).await;
        assert!(received.is_accepted(), "{:?}", received.attempts);
        received.sid
    }

    /// A contact speaks.
    async fn speak(&self, from: &str, words: &str) -> String {
        let inbound = Inbound {
            from: from.to_owned(),
            voice: Some(words.to_owned()),
            ..Inbound::default()
        };
        self.deliver(inbound).await.sid
    }

    async fn media(&self, sid: &str) -> Value {
        let answered = self.get(&format!("/messages/{sid}/media")).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()
    }

    async fn follow(&self, url: &str) -> Answered {
        Answered::of(self.client.get(url)).await.unwrap()
    }

    /// Everything below the folder of files.
    fn files(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join("files")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push(path),
                }
            }
        }
        found
    }

    async fn execute(&self, sql: &str) {
        let db = Database::connect(self.database.url()).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    }
}

on_both! {
    async fn a_picture_is_kept_and_shown_by_a_link_and_goes_with_time(backend) {
        let world = World::listening(backend).await;
        // Right after the message Twilio does not have it yet.
        world.misbehave(|faults| {
            faults.media.status = Some(404);
            faults.media.times = Some(1);
        });
        let mut process = world.serve_and_work().await;
        let sid = world.attach(&contact(1), "image/gif", GIF, "quanto custa isto?").await;
        assert_eq!(world.answers(&contact(1), 1).await, ["you said: quanto custa isto?"]);
        assert_eq!(world.outcome(&sid).await, "answered");
        let items = world.media(&sid).await["items"].clone();
        let one = &items[0];
        assert_eq!((&one["state"], &one["content_type"]), (&json!("stored"), &json!("image/gif")), "{items}");
        assert_eq!(one["bytes"], GIF.len());
        let asked = world.simulator.book().requests();
        assert_eq!(asked.iter().filter(|request| request.path.contains("/Media/ME")).count(), 2);
        assert_eq!(asked.iter().filter(|request| request.path.starts_with("/cdn/ME")).count(), 1);

        // The file, its part, and its small picture; no token is asked for.
        let url = one["url"].as_str().unwrap();
        let file = world.client.get(url).send().await.unwrap();
        let header = |name: &str| file.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((file.status().as_u16(), header("content-type").as_str()), (200, "image/gif"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("sandbox"));
        assert!(header("content-disposition").starts_with("inline"));
        assert_eq!(file.bytes().await.unwrap(), GIF);
        let part = world.client.get(url).header("Range", "bytes=0-5").send().await.unwrap();
        assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &b"GIF89a"[..]));
        let small = world.client.get(one["small_url"].as_str().unwrap()).send().await.unwrap();
        assert_eq!((small.status().as_u16(), &small.headers()["content-type"]), (200, &"image/jpeg".parse().unwrap()));
        assert_eq!(world.files().len(), 2, "the picture and the small one");

        // A link is good for what it says, and for nothing else.
        let other = url.replace("owner=default", "owner=other");
        world.follow(&other).await.problem(403);
        world.follow(url.split('?').next().unwrap()).await.problem(400);
        world.follow(&url.replace("sign=", "sign=A")).await.problem(403);
        assert_eq!(world.get("/messages/SM00/media").await.status, 404);
        let theirs = world.api(reqwest::Method::GET, &format!("/messages/{sid}/media")).header("Recado-Owner", "other");
        Answered::of(theirs).await.unwrap().problem(404);

        // The run replays, and its journal holds nothing of the file.
        let run = world.until(&sid, "completed").await;
        let (code, export) = world.run(&["runs", "export", run["id"].as_str().unwrap()]).await;
        assert_eq!(code, 0, "{export}");
        replay_export::<InboundMessage>(&serde_json::from_str(&export).unwrap()).unwrap();
        assert!(!export.contains("GIF89a") && export.contains("fetch_media"));

        // Kept for 30 days: the file of an older message goes, unless it was written a moment ago.
        let (code, told) = world.run(&["retention", "set", "--days", "30"]).await;
        assert_eq!(code, 0, "{told}");
        process.terminate();
        process.wait(PATIENCE).await;
        world.execute("update media set created_at = '2026-01-01T00:00:00+00:00'").await;
        world.run(&["retention", "purge"]).await;
        assert_eq!(world.files().len(), 2, "another message with it may be coming in");
        let old = SystemTime::now() - Duration::from_secs(7200);
        for file in world.files() {
            std::fs::File::options().append(true).open(file).unwrap().set_modified(old).unwrap();
        }
        let (code, told) = world.run(&["retention", "purge"]).await;
        assert!(code == 0 && told.contains("1 attachments deleted"), "{told}");
        assert!(world.files().is_empty());
        let _process = world.serve_and_work().await;
        assert_eq!(world.media(&sid).await["items"][0]["state"], "expired");
        world.follow(url).await.problem(410);
    }

    async fn a_voice_note_is_answered_by_what_it_says_and_its_minutes_count(backend) {
        let world = World::listening(backend).await;
        world.misbehave(|faults| {
            faults.speech.status = Some(503);
            faults.speech.times = Some(1);
        });
        let _process = world.serve_and_work().await;
        let sid = world.speak(&contact(2), "Qual é o horário de domingo?").await;
        assert_eq!(world.answers(&contact(2), 1).await, ["you said: Qual é o horário de domingo?"]);
        let media = world.media(&sid).await;
        assert_eq!(media["body"], "Qual é o horário de domingo?");
        assert_eq!((&media["items"][0]["content_type"], &media["items"][0]["seconds"]), (&json!("audio/ogg"), &json!(2)));
        let asked = world.simulator.book().requests();
        let heard: Vec<_> = asked.iter().filter(|request| request.path.ends_with("/transcriptions")).collect();
        assert_eq!(heard.len(), 2, "it is asked again");
        assert_eq!(heard[1].params["model"], "whisper-1");
        let db = Database::connect(world.database.url()).await.unwrap();
        let usage = recado_store::billing::usage_of(&db, &OwnerId::from(owners::DEFAULT), chrono::Utc::now()).await;
        let minutes = usage.unwrap().into_iter().find(|usage| usage.feature == "transcription_minutes");
        assert_eq!(minutes.unwrap().used, 1, "a begun minute counts whole");
        db.close().await.unwrap();

        // What cannot be heard is told, whether the server fails for good or hears nothing.
        world.misbehave(|faults| faults.speech.status = Some(415));
        let sid = world.speak(&contact(3), "alô").await;
        assert!(world.answers(&contact(3), 1).await[0].contains(UNHEARD));
        assert_eq!(world.outcome(&sid).await, "unread");
        assert_eq!(world.media(&sid).await["items"][0]["state"], "stored", "people can listen to it");
        world.misbehave(|_| {});
        world.simulator.script_speech([String::new()]);
        let sid = world.speak(&contact(4), "alô").await;
        assert_eq!(world.outcome(&sid).await, "unread");

        // Beside words the words are answered, and what was not heard is told.
        world.misbehave(|faults| faults.speech.status = Some(400));
        let inbound = Inbound {
            from: contact(5),
            body: "ouça".to_owned(),
            voice: Some("alô".to_owned()),
            ..Inbound::default()
        };
        world.deliver(inbound).await;
        let told = world.answers(&contact(5), 2).await;
        assert!(told[0] == "you said: ouça" && told[1].contains(UNHEARD), "{told:?}");
    }

    async fn what_cannot_be_had_is_kept_as_such_and_told_and_the_next_message_is_answered(backend) {
        let world = World::listening(backend).await;
        let _process = world.serve_and_work().await;
        for (number, why) in (10..).zip(["larger", "hosts", "declared", "403", "404"]) {
            world.misbehave(|faults| match why {
                "larger" => faults.media.oversize = true,
                "hosts" => faults.media.elsewhere = Some("http://169.254.169.254/latest/meta-data".to_owned()),
                "403" => faults.media.status = Some(403),
                "404" => faults.media.status = Some(404),
                _ => {}
            });
            let from = contact(number);
            let declared = if why == "declared" { "audio/ogg" } else { "image/gif" };
            let sid = world.attach(&from, declared, GIF, "").await;
            let told = world.answers(&from, 1).await;
            assert!(told[0].contains(LOST), "{why}: {told:?}");
            assert_eq!(world.outcome(&sid).await, "unread", "{why}");
            let items = world.media(&sid).await["items"].clone();
            assert_eq!((&items[0]["state"], &items[0]["url"]), (&json!("failed"), &Value::Null), "{why}");
            assert!(items[0]["error"].as_str().unwrap().contains(why), "{items}");
        }
        world.misbehave(|_| {});
        let inbound = Inbound {
            from: contact(10),
            body: "oi".to_owned(),
            // A host that is not Twilio's is not even asked.
            extra: vec![
                ("NumMedia".to_owned(), "1".to_owned()),
                ("MediaUrl0".to_owned(), "http://10.0.0.1/secret".to_owned()),
                ("MediaContentType0".to_owned(), "image/gif".to_owned()),
            ],
            ..Inbound::default()
        };
        world.deliver(inbound).await;
        let told = world.answers(&contact(10), 3).await;
        assert!(told[1] == "you said: oi" && told[2].contains(LOST), "{told:?}");
        assert!(world.files().is_empty(), "{:?}", world.files());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_that_listens_a_voice_note_is_kept_and_the_contact_is_asked_to_write() {
    let world = World::new(Backend::Sqlite).await;
    let mut process = world.serve_and_work().await;
    let sid = world.speak(&contact(1), "Qual é o horário?").await;
    assert!(world.answers(&contact(1), 1).await[0].contains(UNHEARD));
    assert_eq!(world.outcome(&sid).await, "unread");
    assert_eq!(world.media(&sid).await["items"][0]["state"], "stored");
    assert_eq!(world.files().len(), 1);
    let url = world.media(&sid).await["items"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    process.terminate();
    process.wait(PATIENCE).await;

    // The end of an owner is the end of what its contacts sent.
    let (code, told) = world.run(&["erase-owner", "default", "--yes"]).await;
    assert!(
        code == 0 && told.contains("1 files of default are removed"),
        "{told}"
    );
    assert!(world.files().is_empty());
    let _process = world.serve_and_work().await;
    world.follow(&url).await.problem(410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_beside_the_words_is_read_too() {
    let world = World::listening(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let say = async |number: u32, body: &str, extra: &[(&str, &str)]| {
        let before = world.texts(&contact(number)).len();
        let extra = extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let inbound = Inbound {
            from: contact(number),
            body: body.to_owned(),
            extra: extra.collect(),
            ..Inbound::default()
        };
        let sid = world.deliver(inbound).await.sid;
        (
            sid,
            world.answers(&contact(number), before + 1).await.pop().unwrap(),
        )
    };
    let (_, heard) = say(
        1,
        "",
        &[
            ("Latitude", "-23.5"),
            ("Longitude", "-46.6"),
            ("Label", "Padaria"),
        ],
    )
    .await;
    assert_eq!(heard, "you said: 📍 Padaria (-23.5, -46.6)");
    let (_, heard) = say(2, "", &[("ListId", "cake"), ("ListTitle", "Bolo de milho")]).await;
    assert_eq!(heard, "you said: Bolo de milho");
    let (first, _) = say(3, "um bolo de milho", &[]).await;
    let (_, heard) = say(3, "e para domingo?", &[("OriginalRepliedMessageSid", &first)]).await;
    assert_eq!(heard, "you said: ↩ “um bolo de milho”\ne para domingo?");
    let (_, heard) = say(4, "oi", &[("ReferralHeadline", "Bolos"), ("Forwarded", "true")]).await;
    assert_eq!(heard, "you said: ↪ (forwarded)\n📣 Bolos\noi");
    // A quote does not hide the wish to be left alone, nor does a button.
    let silent = Inbound {
        from: contact(3),
        body: "PARAR".to_owned(),
        extra: vec![("OriginalRepliedMessageSid".to_owned(), first)],
        ..Inbound::default()
    };
    let sid = world.deliver(silent).await.sid;
    assert_eq!(world.outcome(&sid).await, "silent");

    // A contact card is a file, and who it is are words.
    let card = b"BEGIN:VCARD\nVERSION:3.0\nFN:Ana Souza\nTEL:+55 11 98765-0001\nEND:VCARD\n";
    world.attach(&contact(5), "text/vcard", card, "").await;
    assert_eq!(
        world.answers(&contact(5), 1).await,
        ["you said: 👤 Ana Souza: +55 11 98765-0001"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_owner_wants_it_the_contact_sees_typing_and_no_answer_waits_for_it() {
    let world = World::listening(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let typing = |sid: &str| {
        let asked = world.simulator.book().requests();
        let asked = asked
            .into_iter()
            .filter(|request| request.path == "/v2/Indicators/Typing.json");
        asked.filter(|request| request.params["messageId"] == sid).count()
    };
    let unwanted = world.say(&contact(1), "oi").await;
    world.answers(&contact(1), 1).await;
    let path = "/owners/default/typing";
    assert_eq!(world.get(path).await.json(), json!({"shown": false}));
    assert_eq!(world.put(path, json!({"shown": true})).await.status, 200);
    assert_eq!(world.get(path).await.json(), json!({"shown": true}));
    world
        .put("/owners/nobody/typing", json!({"shown": true}))
        .await
        .problem(404);
    let wanted = world.say(&contact(1), "oi?").await;
    world.answers(&contact(1), 2).await;
    eventually(PATIENCE, async || (typing(&wanted) == 1).then_some(())).await;
    assert_eq!(typing(&unwanted), 0);
    let run = world.until(&wanted, "completed").await;
    let journal = world.journal(&run).await;
    assert!(
        journal.iter().any(|(_, name)| name == "show_typing"),
        "{journal:?}"
    );
    // An SMS has no such thing.
    let sms = world.say("+5511987650009", "oi").await;
    world.answers("+5511987650009", 1).await;
    assert_eq!(typing(&sms), 0);
}
