use std::collections::BTreeMap;

use recado_domain::{Actor, Channel, ConversationState};
use recado_store::{
    conversations::{self, Parties},
    prospects::{self, Filter, Link},
    transitions::{self, Change},
};

use crate::fixture::{address, hours, on_both};

#[tokio::test]
async fn a_prospects_history_has_all_addresses_of_the_contact_in_pages_and_is_its_owners_alone() {
    on_both(async |at| {
        let (contact, _) = at.talk().await;
        let theirs = address("whatsapp:+5511987654321");
        let link = Link {
            owner: &at.owner,
            prospect: "ana",
            address: &theirs,
            contact: &contact,
            at: at.now,
        };
        prospects::link_each(&at.db, &[link, link]).await.unwrap();
        prospects::link_each(&at.db, &[link]).await.unwrap();
        assert_eq!(at.count("prospect_addresses").await, 1);
        at.intend("token", "olá", at.now).await;
        at.receive("SM1", "oi", at.now + hours(1)).await;

        let page = async |owner, filter, cursor: Option<&str>| {
            prospects::history(&at.db, owner, "ana", filter, cursor, 1)
                .await
                .unwrap()
        };
        let all = Filter::default();
        let first = page(&at.owner, all, None).await;
        assert_eq!((first.items[0].body.as_str(), first.next.is_some()), ("oi", true));
        let second = page(&at.owner, all, first.next.as_deref()).await;
        assert_eq!((second.items[0].body.as_str(), second.next), ("olá", None));
        let by_sms = Filter {
            channel: Some(Channel::Sms),
        };
        assert!(page(&at.owner, by_sms, None).await.items.is_empty());
        assert!(page(&at.other, all, None).await.items.is_empty());
        assert!(prospects::exists(&at.db, &at.owner, "ana").await.unwrap());
        assert!(!prospects::exists(&at.db, &at.other, "ana").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn of_many_at_once_as_many_are_admitted_as_may_go() {
    on_both(async |at| {
        let wanted = BTreeMap::from([("ana".to_owned(), 2), ("bia".to_owned(), 1)]);
        let admitted = at
            .at_once(8, async |tx, _| {
                prospects::admit(tx, &at.owner, &wanted, 5, at.now).await
            })
            .await;
        let sum = |id: &str| admitted.iter().map(|each| each[id].count).sum::<usize>();
        assert_eq!((sum("ana"), sum("bia")), (5, 5));
        let other = prospects::admit(&at.db, &at.other, &wanted, 5, at.now)
            .await
            .unwrap();
        assert_eq!((other["ana"].count, other["ana"].retry_after), (2, None));
    })
    .await;
}

#[tokio::test]
async fn a_new_conversation_knows_from_the_last_when_the_contact_wrote() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let (ours, theirs) = (
            address("whatsapp:+14155238886"),
            address("whatsapp:+5511987654321"),
        );
        let parties = Parties {
            contact: &contact,
            ours: &ours,
            theirs: &theirs,
        };
        let first = conversations::heard(&at.db, &at.owner, parties, at.now)
            .await
            .unwrap();
        let change = Change::new(ConversationState::Expired, Actor::System, "test");
        transitions::apply(&at.db, &at.owner, &first.id, change, at.now)
            .await
            .unwrap();
        let second = conversations::open_or_find(&at.db, &at.owner, parties, at.now + hours(1))
            .await
            .unwrap();
        assert_eq!(
            (second.previous, second.last_inbound_at),
            (Some(first.id), Some(at.now))
        );
        let heard = conversations::heard(&at.db, &at.owner, parties, at.now + hours(2))
            .await
            .unwrap();
        assert_eq!(heard.last_inbound_at, Some(at.now + hours(2)));
    })
    .await;
}
