//! What a person finds, and what is written down of it.
use chrono::Duration;
use recado_domain::{AuditId, ConversationState, MessageId, MessageStatus};
use recado_store::{
    audit::{self, Deed},
    conversations::{self, LOOKED_THROUGH, Sought},
    messages,
};
use sea_orm::ConnectionTrait;

use crate::fixture::{address, on_both};

#[tokio::test]
async fn conversations_are_found_by_state_address_contact_and_what_was_said() {
    on_both(async |at| {
        let (contact, conversation) = at.talk().await;
        at.receive("SM1", "Quero um BOLO 100% integral_", at.now).await;
        let theirs = [address("whatsapp:+5511987654321"), address("+14155550100")];
        let ids = async |owner, sought: Sought<'_>| {
            let page = conversations::find(&at.db, owner, sought, None, 10)
                .await
                .unwrap();
            assert_eq!(page.next, None);
            page.items.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        let sought = |text| Sought {
            state: Some(ConversationState::Pending),
            theirs: &theirs,
            contacts: std::slice::from_ref(&contact),
            text,
        };
        for text in [None, Some("bolo 100%"), Some("INTEGRAL_")] {
            let found = ids(&at.owner, sought(text)).await;
            assert_eq!(found.as_slice(), std::slice::from_ref(&conversation), "{text:?}");
            assert!(ids(&at.other, sought(text)).await.is_empty(), "another owner's");
        }
        for text in ["%", "_", "bolo 1000"] {
            let found = ids(&at.owner, sought(Some(text))).await;
            // What was said has these characters; they stand for nothing else.
            assert_eq!(found.is_empty(), text == "bolo 1000", "{text}");
        }
        let expired = Sought {
            state: Some(ConversationState::Expired),
            ..Sought::default()
        };
        assert!(ids(&at.owner, expired).await.is_empty());

        let said = messages::containing(&at.db, &at.owner, "bolo", 5).await.unwrap();
        assert_eq!(said.len(), 1);
        let id = &said[0].id;
        assert!(messages::find(&at.db, &at.owner, id).await.unwrap().is_some());
        assert!(messages::find(&at.db, &at.other, id).await.unwrap().is_none());
        assert!(
            messages::containing(&at.db, &at.other, "bolo", 5)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_text_is_looked_for_in_a_bounded_part_and_the_cursor_leads_on() {
    on_both(async |at| {
        let (_, conversation) = at.talk().await;
        at.receive("SM1", "needle", at.now).await;
        // Later ones, in which nothing was said.
        let more = format!(
            "insert into conversations (id, owner, contact, channel, our_address, contact_address, state, opened_at,
                 updated_at)
             select 'Z' || c.id || n.i, c.owner, c.contact, c.channel, c.our_address, c.contact_address, 'expired',
                 c.opened_at, c.opened_at
             from conversations c, (with recursive n(i) as (select 10000 union all select i + 1 from n
                 where i < 10000 + {LOOKED_THROUGH}) select i from n) n"
        );
        at.db.execute_unprepared(&more).await.unwrap();
        let sought = Sought {
            text: Some("needle"),
            ..Sought::default()
        };
        let find = async |cursor: Option<&str>| {
            conversations::find(&at.db, &at.owner, sought, cursor, 10).await.unwrap()
        };
        let first = find(None).await;
        assert!(first.items.is_empty() && first.next.is_some(), "{first:?}");
        let second = find(first.next.as_deref()).await;
        assert_eq!(second.items.first().map(|one| &one.id), Some(&conversation));
        assert_eq!(second.next, None);
    })
    .await;
}

#[tokio::test]
async fn reports_stand_in_the_order_in_which_they_came_and_are_their_owners_alone() {
    on_both(async |at| {
        let message = at.intend("token", "olá", at.now).await.id().clone();
        for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read] {
            at.call_back(Some("token"), "SM1", status).await;
        }
        let asked = [message, MessageId::from("nothing")];
        let heard = messages::status_events(&at.db, &at.owner, &asked).await.unwrap();
        let words: Vec<_> = heard.iter().map(|event| event.status.as_str()).collect();
        assert_eq!(words, ["sent", "delivered", "read"]);
        assert!(
            messages::status_events(&at.db, &at.other, &asked)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            messages::status_events(&at.db, &at.owner, &[])
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_revealed_is_known_by_its_thing_its_act_and_its_time() {
    on_both(async |at| {
        let deed = |subject| Deed {
            owner: Some(at.owner.as_str()),
            actor: "operator",
            act: "reveal",
            subject,
        };
        audit::record(&at.db, deed("run:1"), at.now - Duration::hours(1))
            .await
            .unwrap();
        let id = audit::record(&at.db, deed("run:1"), at.now).await.unwrap();
        audit::record(&at.db, deed("run:2"), at.now).await.unwrap();
        let entries = audit::list(&at.db, "run:1", 5).await.unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[0].id.as_str(), entries[0].at),
            (id.as_str(), at.now),
            "the last first"
        );
        let was_done = async |id: &AuditId, act, subject, since| {
            audit::done_at(&at.db, id, act, subject, since)
                .await
                .unwrap()
                .is_some()
        };
        assert!(was_done(&id, "reveal", "run:1", at.now).await);
        assert!(!was_done(&id, "reveal", "run:2", at.now).await);
        assert!(!was_done(&id, "erase", "run:1", at.now).await);
        assert!(!was_done(&id, "reveal", "run:1", at.now + Duration::seconds(1)).await);
        assert!(!was_done(&AuditId::from("x' or '1'='1"), "reveal", "run:1", at.now).await);
    })
    .await;
}
