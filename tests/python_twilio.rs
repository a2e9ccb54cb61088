//! Twilio's own library for Python against the simulator: what the simulator is taken for, and what is taken for signed.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{path::Path, process::Stdio};

use poem::{
    Request, Response, Server,
    listener::{Acceptor, Listener, TcpListener},
};
use recado_clients::twilio::verify;
use recado_simulator::{Account, Config, Inbound, Simulator, sign};
use recado_testkit::python;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command, sync::mpsc};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "a token that only Twilio and we know";
const NUMBER: &str = "+14155238886";
const CONTACT: &str = "+5511987650001";

/// A webhook as it came, or bent.
#[derive(Clone)]
struct Signed {
    url: String,
    fields: Vec<(String, String)>,
    signature: String,
}

impl Signed {
    /// What we make of it.
    fn is_ours(&self) -> bool {
        verify(
            &[SecretString::from(TOKEN)],
            &self.url,
            &self.fields,
            &self.signature,
        )
    }

    /// The same with one thing wrong each time.
    fn bent(&self) -> Vec<Self> {
        let with = |bend: &dyn Fn(&mut Self)| {
            let mut bent = self.clone();
            bend(&mut bent);
            bent
        };
        vec![
            with(&|one| one.fields[0].1.push('0')),
            with(&|one| one.fields.push(("Added".to_owned(), String::new()))),
            with(&|one| drop(one.fields.pop())),
            with(&|one| one.fields[0].0.push('x')),
            with(&|one| one.url.push_str("?a=b")),
            with(&|one| one.url = one.url.replacen("http://", "https://", 1)),
            with(&|one| one.signature = sign(&SecretString::from("another"), &one.url, &one.fields)),
            with(&|one| one.signature.clear()),
            with(&|one| one.signature = one.signature.to_lowercase()),
        ]
    }
}

/// Somebody who receives webhooks and keeps them.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Signed>) {
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let addr = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let url = format!("http://{addr}");
    let (sender, received) = mpsc::unbounded_channel();
    let base = url.clone();
    let endpoint = poem::endpoint::make(move |mut request: Request| {
        let (sender, base) = (sender.clone(), base.clone());
        async move {
            let signature = request
                .header("X-Twilio-Signature")
                .unwrap_or_default()
                .to_owned();
            let url = format!("{base}{}", request.uri());
            let body = request.take_body().into_bytes().await?;
            let fields = serde_urlencoded::from_bytes(&body).unwrap();
            let _ = sender.send(Signed {
                url,
                fields,
                signature,
            });
            Ok::<_, poem::Error>(Response::builder().body("<Response/>"))
        }
    });
    tokio::spawn(Server::new_with_acceptor(acceptor).run(endpoint));
    (url, received)
}

/// Requests that the simulator signs: inbound messages of every kind of text, and the reports of a message of ours.
async fn signed(
    simulator: &Simulator,
    url: &str,
    received: &mut mpsc::UnboundedReceiver<Signed>,
) -> Vec<Signed> {
    let bodies = [
        "oi",
        "ação 🎂 ñ",
        "a=b&c=d %20+",
        " spaces  ",
        "",
        "linha 1\nlinha 2",
        "日本語",
    ];
    for body in bodies {
        let inbound = Inbound {
            from: format!("whatsapp:{CONTACT}"),
            body: body.to_owned(),
            profile_name: Some("Ana & João".to_owned()),
            extra: vec![
                ("Empty".to_owned(), String::new()),
                ("Twice".to_owned(), "b".to_owned()),
                ("Twice".to_owned(), "a".to_owned()),
            ],
            ..Inbound::default()
        };
        assert!(simulator.send_inbound(inbound).await.unwrap().is_accepted());
    }
    let create = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", simulator.url());
    let callback = format!("{url}/status?token=01ABC-3&x=%C3%A9");
    let form = [
        ("To", CONTACT),
        ("From", NUMBER),
        ("Body", "oi"),
        ("StatusCallback", &callback),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let created = client
        .post(create)
        .basic_auth(ACCOUNT, Some(TOKEN))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), 201);
    let mut requests = Vec::new();
    // Each inbound one, and then sent and delivered.
    while requests.len() < bodies.len() + 2 {
        requests.push(received.recv().await.unwrap());
    }
    requests
}

/// What the library answers to `given`.
async fn ask_library(given: &Value) -> Value {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python(
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_TARGET_TMPDIR"),
        &["twilio==9.13.0"],
    );
    let mut asked = Command::new(python)
        .arg(here.join("tests/python/twilio_library.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .unwrap();
    asked
        .stdin
        .take()
        .unwrap()
        .write_all(given.to_string().as_bytes())
        .await
        .unwrap();
    let answered = asked.wait_with_output().await.unwrap();
    assert!(answered.status.success());
    serde_json::from_slice(&answered.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_own_library_works_with_the_simulator_and_agrees_with_us_on_what_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut received) = receiver().await;
    let account = Account::new(ACCOUNT, TOKEN)
        .number(NUMBER)
        .webhook(format!("{url}/inbound"));
    let config = Config::new(folder.path().join("book")).account(account);
    let simulator = Simulator::start(config).await.unwrap();

    let genuine = signed(&simulator, &url, &mut received).await;
    let requests: Vec<Signed> = genuine
        .iter()
        .flat_map(|one| [vec![one.clone()], one.bent()].concat())
        .collect();
    let ours: Vec<bool> = requests.iter().map(Signed::is_ours).collect();
    assert_eq!(ours.iter().filter(|valid| **valid).count(), genuine.len());
    let before = simulator.book().message_count();
    let documents: Vec<Value> = requests
        .iter()
        .map(|one| json!({"url": one.url, "fields": one.fields, "signature": one.signature}))
        .collect();
    let answer = ask_library(&json!({
        "url": simulator.url(), "account": ACCOUNT, "token": TOKEN, "number": NUMBER, "contact": CONTACT,
        "hook": format!("{url}/calls"), "requests": documents,
    }))
    .await;
    assert_eq!(answer["valid"], json!(ours));

    let book = simulator.book().messages();
    let created: Vec<_> = book[before..]
        .iter()
        .map(|message| message.sid.as_str())
        .collect();
    let sids = |list: &Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["sid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(sids(&answer["created"]), created);
    assert_eq!(answer["created"][0]["body"], "Olá, ação 🎂");
    assert_eq!(book[before + 1].media, ["https://a.example/1.png"]);
    assert_eq!(
        book[before + 2].content.as_deref(),
        Some("HX0123456789abcdef0123456789abcdef")
    );
    assert!(
        answer["created"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["created"] == true)
    );
    let listed: Vec<_> = book
        .iter()
        .rev()
        .filter(|message| message.to == CONTACT)
        .map(|message| message.sid.clone())
        .collect();
    assert_eq!(sids(&answer["listed"]), listed, "newest first");
    let all: Vec<Value> = book.iter().rev().map(|message| json!(message.sid)).collect();
    assert_eq!(answer["paged"], Value::Array(all));
    assert_eq!(
        (&answer["fetched"]["sid"], &answer["fetched"]["direction"]),
        (&json!(created[0]), &json!("outbound-api"))
    );
    assert_eq!(answer["refused"], json!({"status": 400, "code": 21211}));
    assert_eq!(answer["stranger"], json!({"status": 401, "code": 20003}));
    assert_eq!(answer["account"], "active");

    let calls = &answer["calls"];
    let book = simulator.book().calls();
    let newest_first: Vec<_> = book.iter().rev().map(|call| call.sid.clone()).collect();
    assert_eq!(sids(&calls["listed"]), newest_first);
    assert_eq!(calls["paged"], json!(newest_first));
    assert_eq!(
        sids(&calls["created"]),
        [book[0].sid.clone(), book[1].sid.clone()]
    );
    let first = &calls["created"][0];
    assert_eq!(
        (&first["direction"], &first["status"], &first["created"]),
        (&json!("outbound-api"), &json!("queued"), &json!(true))
    );
    assert_eq!(calls["fetched"]["sid"], book[0].sid.as_str());
    assert_eq!(calls["refused"], json!({"status": 400, "code": 21215}));
    assert!(book[0].record && book[0].machine_detection.as_deref() == Some("Enable"));
    assert_eq!(
        book[0].status_events,
        ["initiated", "ringing", "answered", "completed"]
    );
}
