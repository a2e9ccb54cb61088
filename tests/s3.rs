//! Attachments in storage that speaks S3: a server that checks signatures, and the program with the documented settings.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_simulator::Inbound;
use recado_testkit::{Backend, Process, eventually, free_port, python};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use world::{Answered, PATIENCE, World, contact};

const BUCKET: &str = "recado-files";
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\
    \x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
/// What the simulator's recording is longer than, in bytes: more than an attachment may have.
const LONG: u64 = 17 * 1024 * 1024;

/// A storage, and who may do all in it.
struct Storage {
    process: Process,
    url: String,
    key: Value,
}

impl Storage {
    async fn start() -> Self {
        let packages = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
        let python = python(env!("CARGO_MANIFEST_DIR"), env!("CARGO_TARGET_TMPDIR"), &packages);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/s3_server.py");
        let port = free_port();
        let no_proxy = [("NO_PROXY", "127.0.0.1")];
        let process = Process::spawn(python, &[script, &port.to_string(), BUCKET], &no_proxy);
        let key = eventually(PATIENCE, async || {
            let output = process.output();
            output.lines().find_map(|line| serde_json::from_str(line).ok())
        })
        .await;
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            key,
        }
    }

    fn secret(&self) -> &str {
        self.key["secret"].as_str().unwrap()
    }

    /// What was asked of it: method, path and status of each request.
    fn asked(&self, what: &str) -> usize {
        self.process
            .output()
            .lines()
            .filter(|line| line.contains(what))
            .count()
    }
}

impl World {
    fn storing(self, storage: &Storage) -> Self {
        self.set("MEDIA_URL", &format!("s3://{BUCKET}/some/folder"))
            .set("AWS_ENDPOINT", &storage.url)
            .set("AWS_ALLOW_HTTP", "true")
            .set("AWS_REGION", "us-east-1")
            .set("AWS_ACCESS_KEY_ID", storage.key["id"].as_str().unwrap())
            .set("AWS_SECRET_ACCESS_KEY", storage.secret())
    }

    async fn attach(&self, from: &str) -> String {
        let sid = self.simulator.put_media("image/gif", GIF).unwrap();
        let inbound = Inbound {
            from: from.to_owned(),
            body: "quanto custa?".to_owned(),
            media: vec![sid],
            ..Inbound::default()
        };
        self.deliver(inbound).await.sid
    }

    async fn attached(&self, sid: &str) -> Value {
        let answered = self.get(&format!("/messages/{sid}/media")).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()["items"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_attached_and_what_is_recorded_lives_in_s3_from_the_first_byte_to_its_end() {
    let storage = Storage::start().await;
    let world = World::new(Backend::Sqlite).await.storing(&storage);
    let mut process = world.serve_and_work().await;
    let sid = world.attach(&contact(1)).await;
    assert_eq!(world.outcome(&sid).await, "answered");
    let one = world.attached(&sid).await;
    let url = one["url"].as_str().unwrap();
    let file = world.client.get(url).send().await.unwrap();
    assert_eq!(file.headers()["content-length"], GIF.len().to_string().as_str());
    assert_eq!(file.bytes().await.unwrap(), GIF);
    let part = world
        .client
        .get(url)
        .header("Range", "bytes=3-5")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), part.bytes().await.unwrap().as_ref()),
        (206, &b"89a"[..])
    );
    let small = world
        .client
        .get(one["small_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(small.headers()["content-type"], "image/jpeg");

    // A recording that is larger than an attachment may be goes there in parts, and its end is read by itself.
    world.misbehave(|faults| faults.media.oversize = true);
    let call =
        json!({"to": "+5511987650002", "prospect": "ana", "twiml": "<Response><Say>Oi</Say></Response>"});
    let call = world
        .api(reqwest::Method::POST, "/calls")
        .json(&call)
        .header("Prefer", "wait=60");
    assert_eq!(Answered::of(call).await.unwrap().status, 200);
    let audio = eventually(PATIENCE, async || {
        let history = world.get("/prospects/ana/history").await.json();
        history["items"][0]["recordings"][0]["url"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    let end = world
        .client
        .get(&audio)
        .header("Range", "bytes=-4")
        .send()
        .await
        .unwrap();
    let range = end.headers()["content-range"].to_str().unwrap().to_owned();
    let size: u64 = range.rsplit('/').next().unwrap().parse().unwrap();
    assert!(size > LONG, "{range}");
    assert_eq!(
        (end.status().as_u16(), end.bytes().await.unwrap().as_ref()),
        (206, &[0; 4][..])
    );
    assert_eq!(
        world
            .client
            .get(&audio)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len() as u64,
        size
    );
    assert!(storage.asked("partNumber=3") > 0, "{}", storage.process.output());

    // With time the files go, and links say so.
    let (code, told) = world.run(&["retention", "set", "--days", "30"]).await;
    assert_eq!(code, 0, "{told}");
    let db = world.database.connect().await;
    for table in ["media", "recordings"] {
        let sql = format!("update {table} set created_at = '2026-01-01T00:00:00+00:00'");
        db.execute_unprepared(&sql).await.unwrap();
    }
    let (code, told) = world.run(&["retention", "purge"]).await;
    assert!(code == 0 && told.contains("2 attachments deleted"), "{told}");
    for url in [url, &audio] {
        Answered::of(world.client.get(url)).await.unwrap().problem(410);
    }
    world.misbehave(|_| {});
    let sid = world.attach(&contact(3)).await;
    assert_eq!(world.outcome(&sid).await, "answered");
    let url = world.attached(&sid).await["url"].as_str().unwrap().to_owned();

    // Where the storage does not take the key, whoever asks is told to come again, and nothing is erased half.
    process.terminate();
    process.wait(PATIENCE).await;
    let world = world.set("AWS_SECRET_ACCESS_KEY", "another");
    let mut process = world.serve_and_work().await;
    Answered::of(world.client.get(&url)).await.unwrap().problem(503);
    process.terminate();
    process.wait(PATIENCE).await;
    let (code, told) = world.run(&["erase-owner", "default", "--yes"]).await;
    assert!(code != 0 && !told.contains(storage.secret()), "{told}");
    let world = world.set("AWS_SECRET_ACCESS_KEY", storage.secret());
    let (code, told) = world.run(&["erase-owner", "default", "--yes"]).await;
    assert!(
        code == 0 && told.contains("1 files of default are removed"),
        "{told}"
    );
    let _process = world.serve_and_work().await;
    Answered::of(world.client.get(&url)).await.unwrap().problem(410);
}
