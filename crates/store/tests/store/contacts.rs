use recado_store::{contacts, opt_outs};

use crate::fixture::{address, on_both};

#[tokio::test]
async fn one_person_is_one_contact_however_the_number_is_written() {
    on_both(async |at| {
        let with_ninth = at.contact("whatsapp:+5511987654321").await;
        for spelling in ["whatsapp:+551187654321", "+5511987654321", "+551187654321"] {
            assert_eq!(at.contact(spelling).await, with_ninth, "{spelling}");
        }
        assert_ne!(at.contact("whatsapp:+5511987654322").await, with_ninth);
        let scoped = at.contact("whatsapp:BR.1502000000000000").await;
        assert_ne!(
            scoped, with_ninth,
            "a business-scoped id says nothing of a number"
        );
        assert_eq!(at.contact("whatsapp:BR.1502000000000000").await, scoped);
        let contact = contacts::get(&at.db, &at.owner, &with_ninth)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(contact.addresses.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_business_scoped_id_and_the_number_that_comes_with_it_are_one_contact() {
    on_both(async |at| {
        let write = async |from: &str, also: Option<&str>| {
            let (from, also) = (address(from), also.map(address));
            let writer = contacts::Writer {
                owner: &at.owner,
                address: &from,
                also: also.as_ref(),
                profile_name: None,
                at: at.now,
            };
            contacts::find_or_create_each(&at.db, &[writer])
                .await
                .unwrap()
                .remove(0)
        };
        // Whoever is known by the number is known by the id from then on, also where the number is not told any more.
        let known = at.contact("+5511987654321").await;
        let id = "whatsapp:BR.1502000000000000";
        assert_eq!(write("whatsapp:+551187654321", Some(id)).await, known);
        assert_eq!(write(id, None).await, known);
        // The other way round, and both for the first time.
        let other = "whatsapp:BR.1502000000000001";
        let scoped = write(other, None).await;
        assert_eq!(write(other, Some("whatsapp:+5511987654322")).await, scoped);
        assert_eq!(at.contact("+5511987654322").await, scoped);
        let both = write("whatsapp:BR.1502000000000002", Some("whatsapp:+5511987654323")).await;
        assert_eq!(at.contact("whatsapp:+5511987654323").await, both);
        assert_eq!(at.count("contacts").await, 3);
    })
    .await;
}

#[tokio::test]
async fn messages_that_come_at_once_make_one_contact() {
    on_both(async |at| {
        let theirs = address("whatsapp:+5511987654321");
        let found = at
            .at_once(8, async |tx, _| {
                contacts::find_or_create(tx, &at.owner, &theirs, Some("Marina"), at.now).await
            })
            .await;
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        assert_eq!(at.count("contacts").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_contact_keeps_the_first_name_it_is_known_by() {
    on_both(async |at| {
        let theirs = address("whatsapp:+5511987654321");
        for (said, known) in [
            (None, None),
            (Some(" "), None),
            (Some("Marina"), Some("Marina")),
            (Some("M."), Some("Marina")),
        ] {
            let id = contacts::find_or_create(&at.db, &at.owner, &theirs, said, at.now)
                .await
                .unwrap();
            let contact = contacts::get(&at.db, &at.owner, &id).await.unwrap().unwrap();
            assert_eq!(contact.name.as_deref(), known);
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_that_opted_out_is_silent_until_it_asks_for_messages() {
    on_both(async |at| {
        let (theirs, otherwise) = (
            address("whatsapp:+5511987654321"),
            address("whatsapp:+551187654321"),
        );
        let by_sms = address("+5511987654321");
        let is_out = async |address| opt_outs::is_opted_out(&at.db, &at.owner, address).await.unwrap();
        assert!(!is_out(&theirs).await);
        for _ in 0..2 {
            opt_outs::set(&at.db, &at.owner, &theirs, "contact", at.now)
                .await
                .unwrap();
        }
        assert!(is_out(&theirs).await && is_out(&otherwise).await);
        assert!(!is_out(&by_sms).await, "SMS is another channel");
        assert!(
            !opt_outs::is_opted_out(&at.db, &at.other, &theirs).await.unwrap(),
            "for this owner only"
        );
        opt_outs::clear(&at.db, &at.owner, &otherwise).await.unwrap();
        assert!(!is_out(&theirs).await);
    })
    .await;
}
