use recado_domain::MessageStatus::{self, Delivered, Queued, Read, Sent, Undelivered};
use recado_store::{
    callbacks::{self, Applied, Callback},
    messages::{self, Message},
};
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::fixture::{ACCOUNT, Fixture, THEIR_ACCOUNT, on_both};

async fn message(at: &Fixture, token: &str) -> Message {
    messages::by_token(&at.db, &at.owner, token)
        .await
        .unwrap()
        .unwrap()
}

/// Every order in which these may come.
fn orders(statuses: &[MessageStatus]) -> Vec<Vec<MessageStatus>> {
    if statuses.is_empty() {
        return vec![Vec::new()];
    }
    let later = |first| {
        statuses
            .iter()
            .copied()
            .filter(|status| *status != first)
            .collect::<Vec<_>>()
    };
    statuses
        .iter()
        .flat_map(|first| {
            orders(&later(*first))
                .into_iter()
                .map(|rest| [vec![*first], rest].concat())
        })
        .collect()
}

#[tokio::test]
async fn callbacks_in_any_order_end_the_same() {
    on_both(async |at| {
        for (number, order) in orders(&[Queued, Sent, Delivered, Read]).iter().enumerate() {
            let (token, sid) = (format!("token-{number}"), format!("SM{number}"));
            at.intend(&token, "olá", at.now).await;
            messages::mark_sent(&at.db, &at.owner, &token, &sid, Queued, at.now)
                .await
                .unwrap();
            for status in order {
                at.call_back(Some(&token), &sid, *status).await;
            }
            assert_eq!(message(at, &token).await.status, Some(Read), "{order:?}");
            let kept = at
                .count(&format!(
                    "message_events where message = '{}'",
                    message(at, &token).await.id
                ))
                .await;
            assert_eq!(kept, 4, "every callback is kept");
        }
        assert_eq!(at.count("messages").await, 24, "four callbacks come in 24 orders");
    })
    .await;
}

#[tokio::test]
async fn an_error_code_is_never_cleared() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let id = message(at, "token").await.id;
        let failed = Callback {
            account_sid: ACCOUNT,
            token: Some("token"),
            sid: "SM1",
            status: Undelivered,
            error_code: Some(30003),
            raw: "",
        };
        assert_eq!(
            at.call_back_with(failed).await,
            Applied::Updated(at.owner.clone(), id.clone())
        );
        assert_eq!(
            at.call_back(None, "SM1", Sent).await,
            Applied::Unchanged(at.owner.clone(), id.clone())
        );
        assert_eq!(
            at.call_back(None, "SM1", Delivered).await,
            Applied::Updated(at.owner.clone(), id)
        );
        let stored = message(at, "token").await;
        assert_eq!((stored.status, stored.error_code), (Some(Delivered), Some(30003)));
    })
    .await;
}

#[tokio::test]
async fn a_callback_with_our_token_proves_the_send() {
    on_both(async |at| {
        let id = at.intend("token", "olá", at.now).await.id().clone();
        assert_eq!(
            at.call_back(Some("token"), "SM1", Sent).await,
            Applied::Updated(at.owner.clone(), id.clone())
        );
        let stored = message(at, "token").await;
        assert_eq!(
            (stored.twilio_sid.as_deref(), stored.status, stored.sent_at),
            (Some("SM1"), Some(Sent), Some(at.now))
        );
        let twice = at.call_back(Some("token"), "SM2", Delivered).await;
        assert_eq!(
            twice,
            Applied::OtherSid(at.owner.clone(), id),
            "Twilio has it twice"
        );
        assert_eq!(message(at, "token").await, stored);
    })
    .await;
}

#[tokio::test]
async fn only_the_first_callback_of_a_messages_own_account_is_news_of_its_sending() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let proves = async |account_sid, token, sid| {
            let callback = Callback {
                account_sid,
                token,
                sid,
                status: Sent,
                error_code: None,
                raw: "",
            };
            let heard = callbacks::Heard::find(&at.db, vec![(callback, at.now)])
                .await
                .unwrap();
            let token = heard.proofs().next();
            token.map(str::to_owned)
        };
        assert_eq!(proves(THEIR_ACCOUNT, Some("token"), "SM1").await, None, "forged");
        assert_eq!(proves(ACCOUNT, Some("another"), "SM1").await, None, "nobody's");
        assert_eq!(proves(ACCOUNT, None, "SM1").await, None);
        assert_eq!(
            proves(ACCOUNT, Some("token"), "SM1").await.as_deref(),
            Some("token")
        );
        at.call_back(Some("token"), "SM1", Sent).await;
        assert_eq!(proves(ACCOUNT, Some("token"), "SM1").await, None, "known");
    })
    .await;
}

#[tokio::test]
async fn a_callback_that_comes_first_is_applied_when_its_message_appears() {
    on_both(async |at| {
        assert_eq!(
            at.call_back(Some("token"), "SM1", Delivered).await,
            Applied::Orphan
        );
        at.intend("token", "olá", at.now).await;
        assert_eq!(message(at, "token").await.status, Some(Delivered), "by token");

        at.intend("other", "olá", at.now).await;
        assert_eq!(at.call_back(None, "SM2", Read).await, Applied::Orphan);
        assert_eq!(at.call_back(None, "SM2", Sent).await, Applied::Orphan);
        messages::mark_sent(&at.db, &at.owner, "other", "SM2", Queued, at.now)
            .await
            .unwrap();
        assert_eq!(message(at, "other").await.status, Some(Read), "by SID");
        assert_eq!(at.count("orphan_callbacks").await, 0);
        assert_eq!(at.count("message_events").await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_callback_of_another_account_is_not_believed() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let forged = Callback {
            account_sid: THEIR_ACCOUNT,
            token: Some("token"),
            sid: "SM1",
            status: MessageStatus::Failed,
            error_code: Some(1),
            raw: "",
        };
        assert_eq!(at.call_back_with(forged).await, Applied::Orphan);
        messages::mark_sent(&at.db, &at.owner, "token", "SM1", Queued, at.now)
            .await
            .unwrap();
        assert_eq!(at.call_back_with(forged).await, Applied::Orphan);
        assert_eq!(callbacks::adopt_all(&at.db, at.now).await.unwrap(), 0);
        let stored = message(at, "token").await;
        assert_eq!((stored.status, stored.error_code), (Some(Queued), None));
        assert_eq!(callbacks::purge(&at.db, at.now).await.unwrap(), 0);
        let later = at.now + chrono::Duration::seconds(1);
        assert_eq!(
            callbacks::purge(&at.db, later).await.unwrap(),
            2,
            "they do not pile up"
        );
    })
    .await;
}

#[tokio::test]
async fn an_orphan_that_missed_its_message_is_adopted_later() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let missed = format!(
            "insert into orphan_callbacks (id, account_sid, token, twilio_sid, status, raw, at)
             values ('1', '{ACCOUNT}', 'token', 'SM1', 'delivered', '', '2026-03-10T12:00:00+00:00')"
        );
        at.db.execute_unprepared(&missed).await.unwrap();
        assert_eq!(callbacks::adopt_all(&at.db, at.now).await.unwrap(), 1);
        assert_eq!(message(at, "token").await.status, Some(Delivered));
        assert_eq!(at.count("orphan_callbacks").await, 0);
    })
    .await;
}

#[tokio::test]
async fn callbacks_that_come_at_once_do_not_undo_each_other() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let statuses = [Queued, Sent, Delivered, Read, Sent, Queued, Delivered, Sent];
        at.at_once(8, async |tx, number| {
            let callback = Callback {
                account_sid: ACCOUNT,
                token: Some("token"),
                sid: "SM1",
                status: statuses[number],
                error_code: None,
                raw: "",
            };
            callbacks::apply(tx, &callback, at.now).await
        })
        .await;
        assert_eq!(message(at, "token").await.status, Some(Read));
        assert_eq!(at.count("message_events").await, 8);
    })
    .await;
}

/// What a callback says: of which message by token, of which SID, and what.
type Said = (Option<usize>, usize, MessageStatus, bool);

fn callback((token, sid, status, is_error): &Said) -> Callback<'static> {
    Callback {
        account_sid: ACCOUNT,
        token: token.map(|token| ["token-0", "token-1", "token-2", "nobody"][token]),
        sid: ["SM0", "SM1", "SM2", "SM3"][*sid],
        status: *status,
        error_code: is_error.then_some(30003),
        raw: "raw",
    }
}

/// Hears callbacks, one message with a SID and two without, and tells what is there afterwards.
async fn heard(at: &Fixture, said: &[Said], together: bool) -> (Vec<Applied>, Vec<Message>, i64, i64) {
    let tx = at.db.begin().await.unwrap();
    let each = || said.iter().enumerate();
    let when = |number: usize| at.now + chrono::Duration::milliseconds(number as i64);
    let mut applied = Vec::new();
    if together {
        let all = each().map(|(number, said)| (callback(said), when(number)));
        let heard = callbacks::Heard::find(&tx, all.collect()).await.unwrap();
        applied = heard.apply(&tx).await.unwrap();
    } else {
        for (number, said) in each() {
            let one = callbacks::apply(&tx, &callback(said), when(number)).await;
            applied.push(one.unwrap());
        }
    }
    let mut stored = Vec::new();
    for token in ["token-0", "token-1", "token-2"] {
        let message = messages::by_token(&tx, &at.owner, token).await.unwrap();
        stored.push(message.unwrap());
    }
    let count = async |table| {
        let sql = format!("select cast(count(*) as bigint) from {table}");
        let statement = sea_orm::Statement::from_string(tx.get_database_backend(), sql);
        let row = tx.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap()
    };
    let (events, orphans) = (count("message_events").await, count("orphan_callbacks").await);
    tx.rollback().await.unwrap();
    (applied, stored, events, orphans)
}

#[tokio::test]
async fn callbacks_that_are_heard_together_leave_what_they_leave_one_by_one() {
    use proptest::{
        collection::vec, option, prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner,
    };
    on_both(async |at| {
        for number in 0..3 {
            at.intend(&format!("token-{number}"), "olá", at.now).await;
        }
        messages::mark_sent(&at.db, &at.owner, "token-0", "SM0", Queued, at.now)
            .await
            .unwrap();
        let mut runner = TestRunner::deterministic();
        // A SID is told with the token of its message, or without one; else it is another account's affair.
        let status = select(vec![Queued, Sent, Undelivered, Delivered, Read]);
        let said = (
            0..4usize,
            prop::bool::ANY,
            option::weighted(0.2, 0..4usize),
            status,
            prop::bool::weighted(0.2),
        );
        let said = said.prop_map(|(place, has_token, other, status, is_error)| {
            let sid = if place < 3 {
                other.filter(|other| *other == 3).unwrap_or(place)
            } else {
                place
            };
            (has_token.then_some(place), sid, status, is_error)
        });
        for _ in 0..40 {
            let said = vec(said.clone(), 1..12).new_tree(&mut runner).unwrap().current();
            // What names a message otherwise than the one before it is refused by the database, or told one by one.
            let known = |(token, sid, ..): &Said| token.is_some() || *sid != 3;
            let said: Vec<_> = said.into_iter().filter(known).collect();
            let sid_of_two = (1..3).any(|token| said.iter().any(|one| one.0 == Some(token) && one.1 == 3));
            if said.is_empty() || sid_of_two {
                continue;
            }
            assert_eq!(
                heard(at, &said, true).await,
                heard(at, &said, false).await,
                "{said:?}"
            );
        }
    })
    .await;
}
