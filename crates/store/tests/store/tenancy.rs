use recado_domain::{Actor, ConversationState, MessageStatus, UnknownSend};
use recado_store::{
    StoreError, accounts, billing, contacts, conversations,
    messages::{self, NewInbound},
    owners, plans, questions, specialists, transitions,
    transitions::Change,
    users::{self, NewUser, Role},
};
use secrecy::SecretString;

use crate::fixture::{ACCOUNT, address, on_both};

#[tokio::test]
async fn another_owners_id_finds_nothing() {
    on_both(async |at| {
        let (contact, conversation) = at.talk().await;
        let received = at.receive("SM1", "oi", at.now).await;
        at.intend("token", "olá", at.now).await;
        let (db, other, now) = (&at.db, &at.other, at.now);

        assert_eq!(contacts::get(db, other, &contact).await.unwrap(), None);
        assert_eq!(conversations::get(db, other, &conversation).await.unwrap(), None);
        assert!(
            conversations::list(db, other, &conversations::Filter::default(), None, 10)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        assert!(
            messages::thread(db, other, &conversation, None, 10)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        assert!(
            messages::recent_turns(db, other, &conversation, 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(messages::by_sid(db, other, "SM1").await.unwrap(), None);
        assert_eq!(messages::by_token(db, other, "token").await.unwrap(), None);
        assert!(
            transitions::list(db, other, &conversation)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            accounts::credentials(db, &at.secret, other, ACCOUNT)
                .await
                .unwrap()
                .is_none()
        );

        let refused = |result: Result<(), StoreError>| matches!(result, Err(StoreError::NotFound(_)));
        let change = Change::new(ConversationState::Failed, Actor::Human, "test");
        assert!(refused(
            transitions::apply(db, other, &conversation, change, now)
                .await
                .map(drop)
        ));
        assert!(refused(
            messages::mark_sent(db, other, "token", "SM2", MessageStatus::Sent, now)
                .await
                .map(drop)
        ));
        assert!(refused(
            messages::mark_refused(db, other, "token", None, "", now)
                .await
                .map(drop)
        ));
        assert!(refused(
            messages::set_body(db, other, received.id(), "lie", now).await
        ));
        assert!(refused(contacts::speaks(db, other, &contact, "en").await));

        let untouched = conversations::get(db, &at.owner, &conversation)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (untouched.state, untouched.last_inbound_at),
            (ConversationState::Pending, None)
        );
        let untouched = messages::by_token(db, &at.owner, "token").await.unwrap().unwrap();
        assert_eq!((untouched.status, untouched.twilio_sid), (None, None));
    })
    .await;
}

#[tokio::test]
async fn the_same_telephone_is_another_contact_of_another_owner() {
    on_both(async |at| {
        let theirs = address("whatsapp:+5511987654321");
        let ours = at.contact("whatsapp:+5511987654321").await;
        let others = contacts::find_or_create(&at.db, &at.other, &theirs, None, at.now)
            .await
            .unwrap();
        assert_ne!(ours, others);
    })
    .await;
}

#[tokio::test]
async fn one_owner_does_not_spend_for_another() {
    on_both(async |at| {
        let contact = address("whatsapp:+5511987654321");
        let request = billing::Request {
            run: "run",
            feature: plans::MESSAGES,
            quantity: 100,
            contact: &contact,
        };
        billing::reserve(&at.db, &at.owner, request, at.now)
            .await
            .unwrap();
        for settle in [
            billing::commit(&at.db, &at.other, "run", plans::MESSAGES, at.now).await,
            billing::release(&at.db, &at.other, "run", plans::MESSAGES, at.now).await,
        ] {
            assert!(!settle.unwrap());
        }
        let usage = billing::usage_of(&at.db, &at.other, at.now).await.unwrap();
        assert!(
            usage.len() == 3 && usage.iter().all(|usage| usage.used == 0),
            "{usage:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_sid_of_another_owner_is_refused_and_not_shown() {
    on_both(async |at| {
        at.receive("SM1", "oi", at.now).await;
        let theirs = address("whatsapp:+5511987654321");
        let contact = contacts::find_or_create(&at.db, &at.other, &theirs, None, at.now)
            .await
            .unwrap();
        let ours = address("whatsapp:+14155238886");
        let parties = conversations::Parties {
            contact: &contact,
            ours: &ours,
            theirs: &theirs,
        };
        let conversation = conversations::open_or_find(&at.db, &at.other, parties, at.now)
            .await
            .unwrap()
            .id;
        let new = NewInbound {
            conversation: &conversation,
            contact: &contact,
            kind: "text",
            body: "oi",
            twilio_sid: "SM1",
            run: "run",
            form: "{}",
            received_at: at.now,
        };
        let taken = messages::insert_inbound(&at.db, &at.other, &new).await;
        assert!(matches!(taken, Err(StoreError::Taken("Twilio SID"))));

        let claimed = async || {
            messages::claimed_sids(&at.db, &at.other, &["SM1", "SM2"])
                .await
                .unwrap()
        };
        assert!(claimed().await.is_empty());
        accounts::put(
            &at.db,
            &at.secret,
            &at.other,
            ACCOUNT,
            &SecretString::from("shared"),
            at.now,
        )
        .await
        .unwrap();
        assert_eq!(
            claimed().await.into_iter().collect::<Vec<_>>(),
            ["SM1"],
            "one account lists the messages of all"
        );
    })
    .await;
}

#[tokio::test]
async fn what_an_owners_agents_know_is_its_own() {
    on_both(async |at| {
        questions::insert(&at.db, &at.owner, "Abrem?", "Sim.", &["abrem"], at.now)
            .await
            .unwrap();
        specialists::insert(&at.db, &at.owner, "sales", &["bolo"], "Sell.")
            .await
            .unwrap();
        specialists::insert(&at.db, &at.owner, "finance", &[], "Count.")
            .await
            .unwrap();
        specialists::set_enabled(&at.db, &at.owner, "finance", false)
            .await
            .unwrap();
        let known = questions::list(&at.db, &at.owner).await.unwrap();
        assert_eq!(known[0].keywords().unwrap(), ["abrem"]);
        let enabled = specialists::list_enabled(&at.db, &at.owner).await.unwrap();
        assert_eq!((enabled.len(), enabled[0].name.as_str()), (1, "sales"));
        assert!(questions::list(&at.db, &at.other).await.unwrap().is_empty());
        assert!(
            specialists::list_enabled(&at.db, &at.other)
                .await
                .unwrap()
                .is_empty()
        );
        let hidden = specialists::set_enabled(&at.db, &at.other, "sales", false).await;
        assert!(matches!(hidden, Err(StoreError::NotFound("specialist"))));
    })
    .await;
}

#[tokio::test]
async fn an_email_address_is_one_persons() {
    on_both(async |at| {
        let ana = NewUser {
            email: " Ana@Padaria.example",
            name: "Ana",
            role: Role::Admin,
            password_hash: None,
        };
        users::insert(&at.db, &at.owner, ana, at.now).await.unwrap();
        let again = users::insert(
            &at.db,
            &at.other,
            NewUser {
                email: "ana@padaria.example",
                ..ana
            },
            at.now,
        )
        .await;
        assert!(matches!(again, Err(StoreError::Taken("e-mail address"))));
        assert!(
            users::find(&at.db, &at.owner, "ANA@padaria.example")
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            users::find(&at.db, &at.other, "ana@padaria.example")
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn what_an_owner_wants_done_with_unknown_sends_is_its_own() {
    on_both(async |at| {
        let policy = async |owner| owners::unknown_send(&at.db, owner).await.unwrap();
        assert_eq!(policy(&at.owner).await, UnknownSend::Hold);
        for wanted in UnknownSend::ALL {
            owners::set_unknown_send(&at.db, &at.owner, wanted).await.unwrap();
            assert_eq!(
                (policy(&at.owner).await, policy(&at.other).await),
                (wanted, UnknownSend::Hold)
            );
        }
        let nobody = "nobody".to_owned().into();
        let refused = owners::set_unknown_send(&at.db, &nobody, UnknownSend::Hold).await;
        assert!(matches!(refused, Err(StoreError::NotFound("owner"))));
    })
    .await;
}
