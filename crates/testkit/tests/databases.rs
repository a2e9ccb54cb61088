//! Each test has a database to itself, and leaves none behind.
use std::time::Duration;

use recado_testkit::{Backend, Process, TestDatabase, eventually};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

#[tokio::test]
async fn a_fresh_database_is_migrated_and_empty() {
    for backend in Backend::ALL {
        let database = TestDatabase::new(backend).await;
        assert_eq!(database.backend(), backend);
        let db = database.connect().await;
        let count = Statement::from_string(db.get_database_backend(), "select count(*) from runs");
        let row = db
            .query_one_raw(count)
            .await
            .expect("runs exists")
            .expect("a row");
        assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 0);
    }
}

#[tokio::test]
async fn two_databases_do_not_see_each_other() {
    for backend in Backend::ALL {
        let (one, other) = (TestDatabase::new(backend).await, TestDatabase::new(backend).await);
        assert_ne!(one.url(), other.url());
        let create = "create table only_here (id text)";
        one.connect()
            .await
            .execute_unprepared(create)
            .await
            .expect("made in the first");
        other
            .connect()
            .await
            .execute_unprepared(create)
            .await
            .expect("still missing in the second");
    }
}

#[tokio::test]
async fn many_databases_can_be_made_at_once() {
    for backend in Backend::ALL {
        let databases = (0..4).map(|_| tokio::spawn(TestDatabase::new(backend)));
        for database in databases.collect::<Vec<_>>() {
            database.await.expect("made");
        }
    }
}

#[tokio::test]
async fn a_sqlite_file_goes_with_its_test() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let file = database
        .url()
        .trim_start_matches("sqlite://")
        .trim_end_matches("?mode=rwc")
        .to_owned();
    assert!(std::path::Path::new(&file).exists());
    drop(database);
    assert!(!std::path::Path::new(&file).exists());
}

#[tokio::test]
async fn a_postgres_database_goes_with_its_test_even_while_somebody_is_connected() {
    const SELF: &str = "a_postgres_database_goes_with_its_test_even_while_somebody_is_connected";
    if std::env::var_os("RECADO_TEST_OWN_SERVERS").is_none() {
        return passes_beside_servers_that_stay(SELF).await;
    }
    let database = TestDatabase::new(Backend::Postgres).await;
    let connected = database.connect().await;
    connected.execute_unprepared("select 1").await.expect("connected");
    let name = database.url().rsplit('/').next().expect("a name").to_owned();
    let server = Database::connect(std::env::var("RECADO_TEST_POSTGRES_URL").expect("set"))
        .await
        .expect("server");
    let named = format!("select 1 from pg_database where datname = '{name}'");
    let named = || Statement::from_string(DbBackend::Postgres, named.clone());
    assert!(server.query_one_raw(named()).await.expect("asked").is_some());
    drop(database);
    assert!(server.query_one_raw(named()).await.expect("asked").is_none());
}

/// Runs a test of this file again, beside servers of its own which it takes for those of a developer.
async fn passes_beside_servers_that_stay(test: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/with-servers");
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a name in UTF-8");
    let arguments = [
        "env",
        "-u",
        "RECADO_TEST_POSTGRES_THROWN_AWAY",
        program,
        "--exact",
        test,
    ];
    let mut process = Process::spawn(script, &arguments, &[("RECADO_TEST_OWN_SERVERS", "1")]);
    let status = process.wait(Duration::from_secs(120)).await;
    let output = process.output();
    assert!(
        status.success() && output.contains("1 passed"),
        "{status}: {output}"
    );
}

#[tokio::test]
#[should_panic(expected = "tests/databases.rs")]
async fn waiting_in_vain_names_the_line_that_waited() {
    eventually::<()>(Duration::from_millis(30), async || None).await;
}

#[tokio::test]
async fn waiting_ends_with_what_was_found() {
    let mut looks = 0;
    let found = eventually(Duration::from_secs(5), async || {
        looks += 1;
        (looks == 3).then_some("found")
    });
    assert_eq!(found.await, "found");
}
