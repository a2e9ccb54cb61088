use recado_domain::OwnerId;
use recado_store::owners;
use sea_orm::ConnectionTrait;

use crate::fixture::on_both;

#[tokio::test]
async fn an_owner_has_a_quiet_period_of_its_own_until_it_is_taken_back_and_keeps_what_else_is_set() {
    on_both(async |at| {
        let quiet = async || {
            let owner = owners::find(&at.db, &at.owner).await.unwrap().unwrap();
            owner.settings().unwrap().quiet_period
        };
        assert_eq!(quiet().await, None);
        let other = "update owners set settings = '{\"colour\": \"red\"}'";
        at.db.execute_unprepared(other).await.unwrap();
        for (set, seen) in [(Some(2.5), Some(2.5)), (Some(1e9), Some(60.0)), (None, None)] {
            assert!(owners::set_quiet_period(&at.db, &at.owner, set).await.unwrap());
            assert_eq!(quiet().await, seen);
            let owner = owners::find(&at.db, &at.owner).await.unwrap().unwrap();
            assert!(owner.settings.contains("red"), "{}", owner.settings);
        }
        let theirs = owners::find(&at.db, &at.other).await.unwrap().unwrap();
        assert_eq!(theirs.settings().unwrap().quiet_period, None);
        let nobody = OwnerId::from("nobody");
        assert!(!owners::set_quiet_period(&at.db, &nobody, None).await.unwrap());
        at.db
            .execute_unprepared("update owners set settings = '[]'")
            .await
            .unwrap();
        let broken = owners::find(&at.db, &at.owner).await.unwrap().unwrap();
        assert!(broken.settings().is_err());
    })
    .await;
}
