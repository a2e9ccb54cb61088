use recado_domain::{Actor, ConversationState};
use recado_store::{
    conversations::{self, Parties},
    limits::{self, Admission, Limit, Limits, Wish},
    prospects::{self, Filter, Link, Medium},
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
        let all = Filter::default;
        let first = page(&at.owner, all(), None).await;
        assert_eq!((first.items[0].body.as_str(), first.next.is_some()), ("oi", true));
        let second = page(&at.owner, all(), first.next.as_deref()).await;
        assert_eq!((second.items[0].body.as_str(), second.next), ("olá", None));
        let by_sms = Filter {
            medium: Some(Medium::Sms),
            ..Filter::default()
        };
        assert!(page(&at.owner, by_sms, None).await.items.is_empty());
        let said = |text: &str| Filter {
            text: Some(text.to_owned()),
            ..Filter::default()
        };
        assert_eq!(page(&at.owner, said("OI"), None).await.items[0].body, "oi");
        assert!(page(&at.owner, said("%"), None).await.items.is_empty());
        let before = Filter {
            before: Some(at.now),
            since: Some(at.now),
            ..Filter::default()
        };
        assert!(page(&at.owner, before, None).await.items.is_empty());
        assert!(page(&at.other, all(), None).await.items.is_empty());
        assert!(prospects::exists(&at.db, &at.owner, "ana").await.unwrap());
        assert!(!prospects::exists(&at.db, &at.other, "ana").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn of_many_at_once_as_many_are_admitted_as_may_go() {
    on_both(async |at| {
        let (ours, limits) = (address("+14155238886"), |prospect, sender, owner| Limits {
            prospect,
            sender,
            owner,
        });
        let wish = |prospect| Wish {
            prospect,
            sender: &ours,
        };
        let wishes = [wish("ana"), wish("bia"), wish("ana")];
        let admitted = at
            .at_once(8, async |tx, _| {
                limits::admit(tx, &at.owner, limits(5, None, None), &wishes, at.now).await
            })
            .await;
        let went = |place: usize| {
            admitted
                .iter()
                .filter(|each| each[place] == Admission::Go)
                .count()
        };
        assert_eq!((went(0) + went(2), went(1)), (5, 5));
        let of = async |owner, limits, wishes: &[Wish<'_>]| {
            limits::admit(&at.db, owner, limits, wishes, at.now)
                .await
                .unwrap()
        };
        assert_eq!(
            of(&at.other, limits(5, None, None), &wishes).await,
            [Admission::Go; 3]
        );

        // What one limit keeps back counts for none of the others.
        let fresh = [wish("carla"), wish("carla"), wish("dora"), wish("eva")];
        let admitted = of(&at.owner, limits(1, Some(2), Some(3)), &fresh).await;
        let kept_back = |limit, per_minute| {
            move |admission: &Admission| {
                matches!(admission, Admission::Later { limit: by, per_minute: of, after }
                if *by == limit && *of == per_minute && !after.is_zero())
            }
        };
        assert!(
            admitted[0] == Admission::Go && admitted[2] == Admission::Go,
            "{admitted:?}"
        );
        assert!(kept_back(Limit::Prospect, 1)(&admitted[1]), "{admitted:?}");
        assert!(kept_back(Limit::Sender, 2)(&admitted[3]), "{admitted:?}");
        let in_all = of(&at.owner, limits(5, None, Some(2)), &fresh[3..]).await;
        assert!(kept_back(Limit::Owner, 2)(&in_all[0]), "{in_all:?}");
        assert_eq!(
            of(&at.other, limits(5, Some(1), Some(1)), &fresh[3..]).await,
            [Admission::Go]
        );
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
