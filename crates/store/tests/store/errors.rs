use recado_store::StoreError;
use recado_testkit::Backend;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, TransactionTrait};

use crate::fixture::on_both;

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_transient_and_a_broken_rule_is_not() {
    on_both(async |at| {
        let second = Database::connect(ConnectOptions::new(at.url()).max_connections(1).to_owned())
            .await
            .unwrap();
        let impatient = match at.backend() {
            Backend::Sqlite => "pragma busy_timeout = 0",
            Backend::Postgres => "set lock_timeout = '1ms'",
        };
        second.execute_unprepared(impatient).await.unwrap();
        let tx = at.db.begin().await.unwrap();
        let rename = "update owners set name = 'x' where id = 'ours'";
        tx.execute_unprepared(rename).await.unwrap();
        let locked = StoreError::from(second.execute_unprepared(rename).await.unwrap_err());
        assert!(locked.is_transient(), "{locked}");
        tx.rollback().await.unwrap();
        let rule = "update owners set name = null where id = 'ours'";
        let broken = StoreError::from(second.execute_unprepared(rule).await.unwrap_err());
        assert!(!broken.is_transient(), "{broken}");
        second.clone().close().await.unwrap();
        let closed = StoreError::from(second.execute_unprepared(rename).await.unwrap_err());
        assert!(closed.is_transient(), "{closed}");
    })
    .await;
}
