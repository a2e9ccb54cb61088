use recado_store::{accounts, messages, owners, questions, seed, specialists};

use crate::fixture::on_both;

#[tokio::test]
async fn seeding_twice_leaves_what_seeding_once_left() {
    on_both(async |at| {
        let tables = [
            "owners",
            "users",
            "features",
            "plans",
            "channel_accounts",
            "messages",
            "questions",
            "specialists",
        ];
        let first = seed::seed(&at.db, &at.secret, at.now).await.unwrap();
        let mut counts = Vec::new();
        for table in tables {
            counts.push(at.count(table).await);
        }
        // Two owners and accounts are the fixture's.
        assert_eq!(counts, [5, 4, 5, 4, 4, 6, 30, 15]);
        let again = seed::seed(&at.db, &at.secret, at.now + chrono::Duration::days(1))
            .await
            .unwrap();
        assert_eq!(again, first);
        for (table, count) in tables.into_iter().zip(counts) {
            assert_eq!(at.count(table).await, count, "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_seeded_can_be_looked_at() {
    on_both(async |at| {
        let seeded = seed::seed(&at.db, &at.secret, at.now).await.unwrap();
        let owner = &seeded.owners[0];
        assert_eq!(
            (owner.as_str(), seeded.owners.len(), seeded.users.len()),
            (owners::DEFAULT, 3, 4)
        );
        let thread = messages::thread(&at.db, owner, &seeded.conversation, None, 50)
            .await
            .unwrap();
        assert_eq!(thread.items.len(), 6);
        assert!(thread.items.iter().all(|message| message.created_at < at.now));
        for question in questions::list(&at.db, owner).await.unwrap() {
            assert!(!question.keywords().unwrap().is_empty());
        }
        let names: Vec<_> = specialists::list_enabled(&at.db, owner)
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["finance", "general", "sales", "scheduling", "support"]);
        for sid in seeded.accounts {
            assert_eq!(sid.len(), 34);
            let signers = accounts::signers(&at.db, &at.secret, sid, "").await.unwrap();
            assert_eq!(signers.tokens.len(), 1);
        }
    })
    .await;
}
