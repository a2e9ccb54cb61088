use recado_domain::{Actor, ConversationState as State, Transition};
use recado_store::{
    StoreError,
    conversations::{self, Parties},
    transitions::{self, Change},
};

use crate::fixture::{address, hours, on_both};

#[tokio::test]
async fn messages_that_come_at_once_open_one_conversation() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let (ours, theirs) = (
            address("whatsapp:+14155238886"),
            address("whatsapp:+5511987654321"),
        );
        let found = at
            .at_once(8, async |tx, _| {
                let parties = Parties {
                    contact: &contact,
                    ours: &ours,
                    theirs: &theirs,
                };
                conversations::open_or_find(tx, &at.owner, parties, at.now).await
            })
            .await;
        assert!(found.windows(2).all(|pair| pair[0].id == pair[1].id), "{found:?}");
        assert_eq!(at.count("conversations").await, 1);
    })
    .await;
}

#[tokio::test]
async fn another_channel_or_number_of_ours_is_another_conversation() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let theirs = address("+5511987654321");
        let first = at.conversation(&contact, at.now).await;
        for ours in [address("+14155238886"), address("+14155238887")] {
            let parties = Parties {
                contact: &contact,
                ours: &ours,
                theirs: &theirs,
            };
            let opened = conversations::open_or_find(&at.db, &at.owner, parties, at.now)
                .await
                .unwrap();
            assert_ne!(opened.id, first.id);
        }
        assert_eq!(at.count("conversations").await, 3);
        let by_sms = conversations::Filter {
            state: None,
            theirs: Some(theirs),
        };
        let listed = conversations::list(&at.db, &at.owner, &by_sms, None, 10)
            .await
            .unwrap();
        assert_eq!(listed.items.len(), 2, "of the address that was asked for");
    })
    .await;
}

#[tokio::test]
async fn an_idle_conversation_comes_back_and_history_tells() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let opened = at.conversation(&contact, at.now).await;
        assert_eq!(
            (opened.state, opened.version, opened.previous.is_none()),
            (State::Pending, 0, true)
        );
        for (to, actor) in [
            (State::Progress, Actor::Agent),
            (State::IdleTimeout, Actor::System),
        ] {
            let change = Change::new(to, actor, "test");
            transitions::apply(&at.db, &at.owner, &opened.id, change, at.now)
                .await
                .unwrap();
        }
        let back = at.conversation(&contact, at.now + hours(1)).await;
        assert_eq!(
            (&back.id, back.state, back.version),
            (&opened.id, State::Progress, 3)
        );
        let history = transitions::list(&at.db, &at.owner, &opened.id).await.unwrap();
        let steps: Vec<_> = history
            .iter()
            .map(|step| (step.version, step.from, step.to, step.actor))
            .collect();
        assert_eq!(
            steps,
            [
                (1, State::Pending, State::Progress, Actor::Agent),
                (2, State::Progress, State::IdleTimeout, Actor::System),
                (3, State::IdleTimeout, State::Progress, Actor::Contact),
            ]
        );
        assert_eq!(
            (history[2].at, history[2].reason.as_str()),
            (at.now + hours(1), "message")
        );
    })
    .await;
}

#[tokio::test]
async fn after_the_end_a_new_conversation_is_linked_to_the_last() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let first = at.conversation(&contact, at.now).await;
        let close = async |id, to| {
            transitions::apply(
                &at.db,
                &at.owner,
                id,
                Change::new(to, Actor::System, "test"),
                at.now,
            )
            .await
            .unwrap()
        };
        let closed = close(&first.id, State::Expired).await.conversation;
        assert_eq!(closed.closed_at, Some(at.now));
        let second = at.conversation(&contact, at.now).await;
        assert_eq!(
            (second.previous.as_ref(), second.recovered),
            (Some(&first.id), false)
        );
        close(&second.id, State::Failed).await;
        let third = at.conversation(&contact, at.now).await;
        assert_eq!(
            (third.previous.as_ref(), third.recovered),
            (Some(&second.id), true)
        );
    })
    .await;
}

#[tokio::test]
async fn two_closures_at_once_end_in_the_stronger() {
    on_both(async |at| {
        for round in 0..4 {
            let contact = at.contact(&format!("whatsapp:+551198765432{round}")).await;
            let id = at.conversation(&contact, at.now).await.id;
            let closures = [State::Expired, State::UserClosed, State::AgentClosed];
            at.at_once(3, async |tx, number| {
                let change = Change::new(closures[(number + round) % 3], Actor::System, "test");
                transitions::apply(tx, &at.owner, &id, change, at.now).await
            })
            .await;
            let closed = conversations::get(&at.db, &at.owner, &id).await.unwrap().unwrap();
            assert_eq!(closed.state, State::UserClosed);
            let history = transitions::list(&at.db, &at.owner, &id).await.unwrap();
            assert_eq!(history.last().map(|step| step.to), Some(State::UserClosed));
            assert!(
                history.windows(2).all(|pair| pair[0].to == pair[1].from),
                "{history:?}"
            );
            assert_eq!(closed.version, i64::try_from(history.len()).unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn a_forbidden_move_changes_nothing_and_is_told() {
    on_both(async |at| {
        let contact = at.contact("whatsapp:+5511987654321").await;
        let id = at.conversation(&contact, at.now).await.id;
        let change = Change::new(State::IdleTimeout, Actor::System, "test");
        let moved = transitions::apply(&at.db, &at.owner, &id, change, at.now)
            .await
            .unwrap();
        assert_eq!(
            (moved.transition, moved.conversation.state),
            (Transition::Forbidden, State::Pending)
        );
        assert_eq!(at.count("conversation_transitions").await, 0);
        assert_eq!(
            at.conversation(&contact, at.now).await.id,
            id,
            "later messages find it as before"
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_saw_an_old_version_must_read_again() {
    on_both(async |at| {
        let (_, id) = at.talk().await;
        let seen = |version| Change {
            version: Some(version),
            ..Change::new(State::HumanHandoff, Actor::Human, "test")
        };
        let stale = transitions::apply(&at.db, &at.owner, &id, seen(1), at.now)
            .await
            .unwrap_err();
        assert!(
            matches!(stale, StoreError::Stale("conversation")) && stale.is_transient(),
            "{stale}"
        );
        let moved = transitions::apply(&at.db, &at.owner, &id, seen(0), at.now)
            .await
            .unwrap();
        assert_eq!(moved.transition, Transition::Apply);
    })
    .await;
}

#[tokio::test]
async fn a_handoff_has_a_queue_only_while_it_lasts() {
    on_both(async |at| {
        let (_, id) = at.talk().await;
        let change = Change {
            queue: Some("finance"),
            ..Change::new(State::HumanHandoff, Actor::Agent, "asked for a person")
        };
        transitions::apply(&at.db, &at.owner, &id, change, at.now)
            .await
            .unwrap();
        let waiting = conversations::get(&at.db, &at.owner, &id).await.unwrap().unwrap();
        assert_eq!(
            (waiting.queue.as_deref(), waiting.handoff_at),
            (Some("finance"), Some(at.now))
        );
        let change = Change::new(State::Progress, Actor::Human, "answered");
        transitions::apply(&at.db, &at.owner, &id, change, at.now)
            .await
            .unwrap();
        let back = conversations::get(&at.db, &at.owner, &id).await.unwrap().unwrap();
        assert_eq!((back.queue, back.handoff_at), (None, None));
    })
    .await;
}

#[tokio::test]
async fn the_last_word_of_a_contact_only_moves_forward() {
    on_both(async |at| {
        let (contact, id) = at.talk().await;
        let (ours, theirs) = (
            address("whatsapp:+14155238886"),
            address("whatsapp:+5511987654321"),
        );
        let parties = Parties {
            contact: &contact,
            ours: &ours,
            theirs: &theirs,
        };
        for later in [2, 1] {
            let heard = conversations::heard(&at.db, &at.owner, parties, at.now + hours(later));
            assert_eq!(heard.await.unwrap().id, id);
        }
        let heard = conversations::get(&at.db, &at.owner, &id).await.unwrap().unwrap();
        assert_eq!(heard.last_inbound_at, Some(at.now + hours(2)));
    })
    .await;
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_by_state() {
    on_both(async |at| {
        let mut opened = Vec::new();
        for number in 0..5 {
            let contact = at.contact(&format!("whatsapp:+551198765432{number}")).await;
            opened.push(at.conversation(&contact, at.now).await.id);
        }
        opened.reverse();
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                conversations::list(&at.db, &at.owner, &in_state(State::Pending), cursor.as_deref(), 2)
                    .await
                    .unwrap();
            assert!(page.items.len() <= 2);
            listed.extend(page.items.into_iter().map(|item| item.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, opened);
        let change = Change::new(State::Failed, Actor::System, "test");
        transitions::apply(&at.db, &at.owner, &opened[0], change, at.now)
            .await
            .unwrap();
        let failed = conversations::list(&at.db, &at.owner, &in_state(State::Failed), None, 10)
            .await
            .unwrap();
        assert_eq!(
            (failed.items.len(), &failed.items[0].id, failed.next),
            (1, &opened[0], None)
        );
    })
    .await;
}

fn in_state(state: State) -> conversations::Filter {
    conversations::Filter {
        state: Some(state),
        theirs: None,
    }
}
