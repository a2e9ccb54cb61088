use recado_store::media::{self, MediaState, NewMedia};

use crate::fixture::{hours, on_both};

fn stored(sha256: &str) -> NewMedia<'_> {
    NewMedia {
        state: MediaState::Stored,
        content_type: "image/jpeg",
        bytes: 7,
        seconds: None,
        name: Some("bolo\0.jpg"),
        sha256: Some(sha256),
        error: None,
    }
}

#[tokio::test]
async fn attachments_are_their_owners_alone_and_go_once_nothing_younger_needs_the_file() {
    on_both(async |at| {
        let lost = NewMedia {
            state: MediaState::Failed,
            sha256: None,
            name: None,
            error: Some("it is larger than 16 MB"),
            ..stored("")
        };
        let mut messages = Vec::new();
        for (sid, age) in [("SM1", 0), ("SM2", 48)] {
            let received = at.receive(sid, "veja", at.now + hours(age)).await;
            let id = received.id().clone();
            for _ in 0..2 {
                // The second time nothing changes.
                let new = [stored("aa"), lost];
                media::insert(&at.db, &at.owner, &id, &new, at.now + hours(age))
                    .await
                    .unwrap();
            }
            messages.push(id);
        }
        let all: Vec<_> = messages.iter().collect();
        let found = media::of_messages(&at.db, &at.owner, &all).await.unwrap();
        let states: Vec<_> = found.iter().map(|one| (one.place, one.state)).collect();
        let (is, is_not) = (MediaState::Stored, MediaState::Failed);
        assert_eq!(states, [(0, is), (1, is_not), (0, is), (1, is_not)]);
        assert_eq!(found[0].name.as_deref(), Some("bolo.jpg"));
        assert!(
            media::of_messages(&at.db, &at.other, &all)
                .await
                .unwrap()
                .is_empty()
        );
        let id = found[0].id.as_str();
        assert!(media::find(&at.db, &at.owner, id).await.unwrap().is_some());
        assert!(media::find(&at.db, &at.other, id).await.unwrap().is_none());
        media::expire(&at.db, &at.other, id).await.unwrap();
        assert_eq!(media::expire_all(&at.db, &at.other).await.unwrap(), 0);

        let until = at.now + hours(24);
        let old = media::older(&at.db, &at.owner, until, 10).await.unwrap();
        assert_eq!(old.iter().map(|one| &one.id).collect::<Vec<_>>(), [id]);
        assert!(media::is_needed(&at.db, &at.owner, "aa", until).await.unwrap());
        assert!(!media::is_needed(&at.db, &at.other, "aa", until).await.unwrap());
        media::expire(&at.db, &at.owner, id).await.unwrap();
        let gone = media::find(&at.db, &at.owner, id).await.unwrap().unwrap();
        assert_eq!(
            (gone.state, gone.sha256, gone.name),
            (MediaState::Expired, None, None)
        );
        assert!(
            media::older(&at.db, &at.owner, until, 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(media::expire_all(&at.db, &at.owner).await.unwrap(), 1);
        assert!(!media::is_needed(&at.db, &at.owner, "aa", at.now).await.unwrap());
    })
    .await;
}
