//! What a message leaves on the disk.
use recado_domain::MessageStatus;
use recado_store::callbacks::{Callback, Heard};
use recado_testkit::Backend;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};

use crate::{
    count::messages,
    course::Course,
    world::{ACCOUNT, Way, World},
};

const SIZE: &str = "
    select cast(sum(pg_total_relation_size(oid)) as bigint) from pg_class where relkind = 'r' and relname in
        ('contacts', 'contact_addresses', 'conversations', 'conversation_transitions', 'messages', 'message_events',
         'orphan_callbacks', 'usage', 'usage_counters', 'quota_notices')";

/// The bytes of the domain's tables and their indexes.
async fn size(world: &World) -> i64 {
    world.db.execute_unprepared("vacuum").await.unwrap();
    let statement = Statement::from_string(world.db.get_database_backend(), SIZE);
    let row = world.db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// The fields in which Twilio tells of a WhatsApp message.
fn form(course: &Course<'_>) -> Vec<(String, String)> {
    let sid = course.sid.as_str();
    let fields = [
        ("SmsMessageSid", sid),
        ("NumMedia", "0"),
        ("ProfileName", "Ana Maria"),
        ("MessageType", "text"),
        ("SmsSid", sid),
        ("WaId", "14155550100"),
        ("SmsStatus", "received"),
        (
            "Body",
            "Bom dia! Qual \u{e9} o hor\u{e1}rio de funcionamento hoje?",
        ),
        ("To", "whatsapp:+14155238886"),
        ("NumSegments", "1"),
        ("ReferralNumMedia", "0"),
        ("MessageSid", sid),
        ("AccountSid", ACCOUNT),
        ("From", "whatsapp:+14155550100"),
        ("ApiVersion", "2010-04-01"),
    ];
    owned(&fields)
}

/// Those in which it tells what became of one of ours.
fn report(sid: &str, status: &str) -> String {
    let fields = [
        ("ChannelPrefix", "whatsapp"),
        ("ApiVersion", "2010-04-01"),
        ("MessageStatus", status),
        ("SmsSid", sid),
        ("SmsStatus", status),
        ("To", "whatsapp:+14155550100"),
        ("From", "whatsapp:+14155238886"),
        ("MessageSid", sid),
        ("AccountSid", ACCOUNT),
    ];
    serde_json::to_string(&owned(&fields)).unwrap()
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = fields.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Answered messages of the same 500 contacts, each with three status callbacks, in groups of 100.
async fn answer(world: &World, round: usize) -> i64 {
    for begin in (0..500).step_by(100) {
        let scenario = messages("endless", begin..begin + 100);
        let mut courses = world.courses(&scenario);
        courses.iter_mut().enumerate().for_each(|(place, course)| {
            course.number = begin + place;
            course.again(round);
        });
        let step = async || world.db.begin().await.unwrap();
        let tx = step().await;
        let calls = courses.iter().map(|course| course.check()).collect();
        world.run(&tx, Way::Together, &courses, calls).await.unwrap();
        tx.commit().await.unwrap();
        let tx = step().await;
        let mut calls: Vec<_> = courses.iter().map(|course| course.persist()).collect();
        for (call, course) in calls.iter_mut().zip(&courses) {
            call.form = form(course);
        }
        let arrivals = world.run(&tx, Way::Together, &courses, calls).await.unwrap();
        tx.commit().await.unwrap();
        let replies = || {
            let pairs = courses.iter().zip(&arrivals);
            pairs.map(|(course, arrival)| course.reply(arrival)).collect()
        };
        let tx = step().await;
        world
            .prepare(&tx, Way::Together, &courses, replies())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let tx = step().await;
        let (gone, sent): (Vec<_>, Vec<_>) = courses.iter().map(|course| (course, course.sent())).unzip();
        world
            .record(&tx, Way::Together, &gone, replies(), &sent)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read] {
            let sids: Vec<_> = courses.iter().map(|course| course.answered_sid()).collect();
            let raws: Vec<_> = sids.iter().map(|sid| report(sid, status.as_str())).collect();
            let callbacks = sids.iter().zip(&raws).map(|(sid, raw)| {
                let callback = Callback {
                    account_sid: ACCOUNT,
                    token: None,
                    sid,
                    status,
                    error_code: None,
                    raw,
                };
                (callback, world.begun)
            });
            let tx = step().await;
            let heard = Heard::find(&tx, callbacks.collect()).await.unwrap();
            heard.apply(&tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    500
}

#[tokio::test]
async fn an_answered_message_leaves_less_than_five_kilobytes_in_the_books() {
    let world = World::new(Backend::Postgres).await;
    answer(&world, 1).await;
    let (before, mut answered) = (size(&world).await, 0);
    for round in 2..6 {
        answered += answer(&world, round).await;
    }
    let each = (size(&world).await - before) / answered;
    eprintln!("{each} bytes a message and its answer, with three callbacks and all indexes");
    assert!((500..5120).contains(&each), "{each} bytes");
}
