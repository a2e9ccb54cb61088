use recado_domain::{Direction, MessageStatus};
use recado_store::{
    StoreError,
    messages::{self, Inserted},
};

use crate::fixture::{hours, on_both};

#[tokio::test]
async fn a_message_is_stored_once_for_its_sid() {
    on_both(async |at| {
        let first = at.receive("SM1", "oi", at.now).await;
        let again = at.receive("SM1", "oi", at.now).await;
        assert!(matches!(first, Inserted::New(_)));
        assert_eq!(again, Inserted::Known(first.id().clone()));
        assert_eq!(at.count("messages").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_message_may_be_tried_again_and_one_that_was_sent_may_not() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        let reopen = async |owner| messages::reopen(&at.db, owner, "token", at.now).await.unwrap();
        let stored = async || {
            let stored = messages::by_token(&at.db, &at.owner, "token").await;
            let stored = stored.unwrap().unwrap();
            (stored.status, stored.error_code, stored.error_message)
        };
        assert!(!reopen(&at.owner).await, "it was not refused");
        messages::mark_refused(&at.db, &at.owner, "token", Some(21211), "no such number", at.now)
            .await
            .unwrap();
        assert!(!reopen(&at.other).await, "another's");
        assert_eq!(
            stored().await,
            (
                Some(MessageStatus::Failed),
                Some(21211),
                Some("no such number".to_owned())
            )
        );
        assert!(reopen(&at.owner).await);
        assert_eq!(stored().await, (None, None, None));
        messages::mark_sent(&at.db, &at.owner, "token", "SM1", MessageStatus::Failed, at.now)
            .await
            .unwrap();
        assert!(!reopen(&at.owner).await, "Twilio has it");
    })
    .await;
}

#[tokio::test]
async fn an_intent_is_stored_once_for_its_token() {
    on_both(async |at| {
        let first = at.intend("token", "olá", at.now).await;
        assert_eq!(
            at.intend("token", "olá", at.now).await,
            Inserted::Known(first.id().clone())
        );
        let stored = messages::by_token(&at.db, &at.owner, "token")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (stored.status, stored.twilio_sid, stored.sent_at),
            (None, None, None)
        );
        for _ in 0..2 {
            messages::mark_sent(&at.db, &at.owner, "token", "SM1", MessageStatus::Queued, at.now)
                .await
                .unwrap();
        }
        let sent = messages::by_sid(&at.db, &at.owner, "SM1").await.unwrap().unwrap();
        assert_eq!(
            (&sent.id, sent.status, sent.sent_at),
            (first.id(), Some(MessageStatus::Queued), Some(at.now))
        );
    })
    .await;
}

#[tokio::test]
async fn a_sid_belongs_to_one_message() {
    on_both(async |at| {
        at.intend("one", "olá", at.now).await;
        at.intend("two", "olá", at.now).await;
        let mark = async |token| {
            messages::mark_sent(&at.db, &at.owner, token, "SM1", MessageStatus::Queued, at.now).await
        };
        mark("one").await.unwrap();
        assert!(matches!(mark("two").await, Err(StoreError::Taken("Twilio SID"))));
    })
    .await;
}

#[tokio::test]
async fn a_refused_message_keeps_its_error() {
    on_both(async |at| {
        at.intend("token", "olá", at.now).await;
        messages::mark_refused(&at.db, &at.owner, "token", Some(21610), "opted out", at.now)
            .await
            .unwrap();
        let refused = messages::by_token(&at.db, &at.owner, "token")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (refused.status, refused.error_code),
            (Some(MessageStatus::Failed), Some(21610))
        );
        assert_eq!(refused.error_message.as_deref(), Some("opted out"));
        assert_eq!(refused.sent_at, None);
    })
    .await;
}

#[tokio::test]
async fn a_text_with_nul_is_stored_without_it() {
    on_both(async |at| {
        at.receive("SM1", "a\0b", at.now).await;
        let stored = messages::by_sid(&at.db, &at.owner, "SM1").await.unwrap().unwrap();
        assert_eq!(stored.body, "ab");
    })
    .await;
}

#[tokio::test]
async fn debug_does_not_show_what_a_message_says() {
    on_both(async |at| {
        at.receive("SM1", "um segredo", at.now).await;
        let stored = messages::by_sid(&at.db, &at.owner, "SM1").await.unwrap().unwrap();
        assert_eq!(stored.body, "um segredo");
        assert!(!format!("{stored:?}").contains("segredo"));
    })
    .await;
}

#[tokio::test]
async fn a_transcript_becomes_the_text() {
    on_both(async |at| {
        let inserted = at.receive("SM1", "", at.now).await;
        messages::set_body(&at.db, &at.owner, inserted.id(), "quero um bolo", at.now)
            .await
            .unwrap();
        let stored = messages::by_sid(&at.db, &at.owner, "SM1").await.unwrap().unwrap();
        assert_eq!(stored.body, "quero um bolo");
    })
    .await;
}

#[tokio::test]
async fn a_thread_is_read_page_by_page_in_order_of_arrival() {
    on_both(async |at| {
        // Stored in another order than they arrived in, two of them in the same instant.
        for (sid, later) in [("SM3", 3), ("SM1", 1), ("SM2", 2), ("SM2b", 2), ("SM4", 4)] {
            at.receive(sid, sid, at.now + hours(later)).await;
        }
        let (_, conversation) = at.talk().await;
        let (mut read, mut cursor) = (Vec::new(), None);
        loop {
            let page = messages::thread(&at.db, &at.owner, &conversation, cursor.as_deref(), 2)
                .await
                .unwrap();
            read.extend(page.items.into_iter().map(|message| message.body));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(read, ["SM4", "SM3", "SM2b", "SM2", "SM1"]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_remembers_the_last_words_that_arrived() {
    on_both(async |at| {
        at.receive("SM1", "primeira", at.now).await;
        at.receive("SM2", "oi", at.now + hours(1)).await;
        at.receive("SM3", "", at.now + hours(2)).await;
        at.intend("lost", "não chegou", at.now + hours(3)).await;
        messages::mark_refused(&at.db, &at.owner, "lost", None, "refused", at.now)
            .await
            .unwrap();
        at.intend("token", "olá", at.now + hours(4)).await;
        messages::mark_sent(&at.db, &at.owner, "token", "SM4", MessageStatus::Queued, at.now)
            .await
            .unwrap();
        at.intend("on its way", "nobody knows yet", at.now + hours(5))
            .await;
        let (_, conversation) = at.talk().await;
        let turns = messages::recent_turns(&at.db, &at.owner, &conversation, 2)
            .await
            .unwrap();
        let said: Vec<_> = turns
            .iter()
            .map(|turn| (turn.direction, turn.body.as_str()))
            .collect();
        assert_eq!(said, [(Direction::Inbound, "oi"), (Direction::Outbound, "olá")]);
    })
    .await;
}
