use recado_domain::OwnerId;
use recado_store::{
    Resolution, Secret, StoreError,
    accounts::{self, Sender},
    owners::{self, DefaultAccount},
    resolve, subscriptions,
};
use secrecy::{ExposeSecret, SecretString};

use crate::fixture::{ACCOUNT, THEIR_ACCOUNT, address, on_both};

#[tokio::test]
async fn an_owner_is_found_by_number_then_service_then_account() {
    on_both(async |at| {
        let number = address("whatsapp:+14155238886");
        let whose = async |to: &str, service| resolve(&at.db, ACCOUNT, &address(to), service).await.unwrap();
        let found = async |id| {
            let owner = owners::find(&at.db, id).await.unwrap().unwrap();
            Resolution::Owner(Box::new(owner))
        };
        let (ours, theirs) = (found(&at.owner).await, found(&at.other).await);
        assert_eq!(whose("+14155238887", None).await, ours, "the only holder");

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
        assert_eq!(whose("+14155238887", None).await, Resolution::Ambiguous);
        accounts::add_service(&at.db, &at.owner, ACCOUNT, "MG1", at.now)
            .await
            .unwrap();
        accounts::add_number(&at.db, &at.other, ACCOUNT, &number, at.now)
            .await
            .unwrap();
        assert_eq!(whose("+14155238887", Some("MG1")).await, ours);
        assert_eq!(
            whose("whatsapp:+14155238886", Some("MG1")).await,
            theirs,
            "a number before a service"
        );
        assert_eq!(
            whose("+14155238886", None).await,
            Resolution::Ambiguous,
            "on SMS it is another number"
        );
        let nobody = resolve(&at.db, "AC404", &number, Some("MG1")).await.unwrap();
        assert_eq!(nobody, Resolution::Unknown);
    })
    .await;
}

#[tokio::test]
async fn a_number_has_one_owner() {
    on_both(async |at| {
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
        let number = address("+14155238886");
        let add = async |owner: &OwnerId| accounts::add_number(&at.db, owner, ACCOUNT, &number, at.now).await;
        add(&at.owner).await.unwrap();
        add(&at.owner).await.unwrap();
        assert!(matches!(add(&at.other).await, Err(StoreError::Taken("number"))));
        let senders = accounts::senders(&at.db, &at.owner).await.unwrap();
        assert_eq!(
            senders,
            [Sender {
                account_sid: ACCOUNT.to_owned(),
                address: number.clone()
            }]
        );
        assert!(accounts::senders(&at.db, &at.other).await.unwrap().is_empty());
        let elsewhere = accounts::add_number(&at.db, &at.owner, THEIR_ACCOUNT, &number, at.now).await;
        assert!(matches!(elsewhere, Err(StoreError::NotFound("account"))));
    })
    .await;
}

#[tokio::test]
async fn a_token_is_sealed_and_every_holders_is_offered() {
    on_both(async |at| {
        let sealed = at
            .count("channel_accounts where cast(auth_token as text) like '%token%'")
            .await;
        assert_eq!(sealed, 0, "no token can be read in the database");
        let credentials = accounts::credentials(&at.db, &at.secret, &at.owner, ACCOUNT)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(credentials.auth_token.expose_secret(), "token of ours");
        accounts::put(
            &at.db,
            &at.secret,
            &at.other,
            ACCOUNT,
            &SecretString::from("second"),
            at.now,
        )
        .await
        .unwrap();
        accounts::put(
            &at.db,
            &at.secret,
            &at.owner,
            ACCOUNT,
            &SecretString::from("renewed"),
            at.now,
        )
        .await
        .unwrap();
        let signers = accounts::signers(&at.db, &at.secret, ACCOUNT, "").await.unwrap();
        let tokens: Vec<_> = signers.tokens.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(tokens, ["renewed", "second"]);
        let wrong = Secret::new(&SecretString::from("another key of 32 characters!!!!")).unwrap();
        let unreadable = accounts::signers(&at.db, &wrong, ACCOUNT, "").await;
        assert!(matches!(unreadable, Err(StoreError::Sealed)));
    })
    .await;
}

#[tokio::test]
async fn the_account_in_the_environment_is_the_default_owners_unless_somebody_holds_it() {
    on_both(async |at| {
        let numbers = [address("+14155238886"), address("whatsapp:+14155238886")];
        let claim = async |sid, token: &str| {
            let token = SecretString::from(token);
            let account = DefaultAccount {
                sid,
                token: &token,
                numbers: &numbers,
            };
            owners::claim_default(&at.db, &at.secret, &account, at.now)
                .await
                .unwrap()
        };
        assert!(!claim(ACCOUNT, "stolen").await);
        assert_eq!(at.count("owners where id = 'default'").await, 0);
        assert!(claim("AC3", "first").await);
        assert!(claim("AC3", "second").await, "at every start");
        let owner = OwnerId::from(owners::DEFAULT);
        let credentials = accounts::credentials(&at.db, &at.secret, &owner, "AC3")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(credentials.auth_token.expose_secret(), "second");
        assert_eq!(accounts::senders(&at.db, &owner).await.unwrap().len(), 2);
        let subscription = subscriptions::find(&at.db, &owner).await.unwrap().unwrap();
        assert_eq!(
            (subscription.plan.as_str(), subscription.current_period_end),
            ("unlimited", None)
        );
    })
    .await;
}

#[tokio::test]
async fn a_webhooks_owner_is_that_of_the_account_or_of_the_number_where_several_share_it() {
    on_both(async |at| {
        const SHARED: &str = "AC9";
        let token = SecretString::from("token");
        let owner_of = async |to: &str| {
            let signers = accounts::signers(&at.db, &at.secret, SHARED, to).await.unwrap();
            signers.owner.map(|owner| owner.to_string())
        };
        let shared = "+14155238886";
        assert_eq!(owner_of(shared).await, None, "nobody holds the account");
        let put = async |owner: &OwnerId| {
            accounts::put(&at.db, &at.secret, owner, SHARED, &token, at.now)
                .await
                .unwrap()
        };
        put(&at.owner).await;
        assert_eq!(owner_of("+10000000000").await, Some(at.owner.to_string()));
        put(&at.other).await;
        assert_eq!(owner_of(shared).await, None, "it may be either's");
        accounts::add_number(&at.db, &at.other, SHARED, &address(shared), at.now)
            .await
            .unwrap();
        assert_eq!(owner_of(shared).await, Some(at.other.to_string()));
        assert_eq!(owner_of("+10000000000").await, None);
        assert_eq!(owner_of("no\0number").await, None);
    })
    .await;
}
