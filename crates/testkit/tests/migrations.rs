//! The schema goes up, down and up again on both databases.
use recado_migrations::{Migrator, MigratorTrait};
use recado_testkit::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

#[tokio::test]
async fn every_migration_goes_up_and_down_and_up_again_on_sqlite() {
    goes_up_and_down_and_up_again(Backend::Sqlite).await;
}

#[tokio::test]
async fn every_migration_goes_up_and_down_and_up_again_on_postgres() {
    goes_up_and_down_and_up_again(Backend::Postgres).await;
}

async fn goes_up_and_down_and_up_again(backend: Backend) {
    let database = TestDatabase::empty(backend).await;
    let db = database.connect().await;

    Migrator::up(&db, None).await.expect("up");
    let first = schema(&db).await;
    assert!(!first.is_empty(), "up made nothing");

    Migrator::down(&db, None).await.expect("down");
    assert_eq!(
        schema(&db).await,
        Vec::<String>::new(),
        "down left something behind"
    );

    Migrator::up(&db, None).await.expect("up again");
    assert_eq!(schema(&db).await, first, "the second up made another schema");
}

#[tokio::test]
async fn each_migration_undoes_exactly_what_it_did_on_sqlite() {
    undoes_exactly_what_it_did(Backend::Sqlite).await;
}

#[tokio::test]
async fn each_migration_undoes_exactly_what_it_did_on_postgres() {
    undoes_exactly_what_it_did(Backend::Postgres).await;
}

async fn undoes_exactly_what_it_did(backend: Backend) {
    let database = TestDatabase::empty(backend).await;
    let db = database.connect().await;
    for migration in Migrator::migrations() {
        let before = schema(&db).await;
        Migrator::up(&db, Some(1)).await.expect("up by one");
        assert_ne!(schema(&db).await, before, "{} changes nothing", migration.name());
        Migrator::down(&db, Some(1)).await.expect("down by one");
        assert_eq!(
            schema(&db).await,
            before,
            "{} does not undo itself",
            migration.name()
        );
        Migrator::up(&db, Some(1)).await.expect("up by one again");
    }
}

#[tokio::test]
async fn counters_begin_with_what_the_ledger_holds() {
    for backend in Backend::ALL {
        let database = TestDatabase::empty(backend).await;
        let db = database.connect().await;
        Migrator::up(&db, Some(12)).await.expect("up to the ledger");
        let reserve = "insert into usage (run, feature, owner, quantity, state, period_start, at) values ";
        let at = "'2026-03-10T12:00:00+00:00', '2026-03-10T12:00:00+00:00'";
        let rows = [
            ("one", "ours", 2, "reserved"),
            ("two", "ours", 3, "committed"),
            ("three", "ours", 5, "released"),
            ("four", "theirs", 7, "committed"),
        ]
        .map(|(run, owner, quantity, state)| {
            format!("('{run}', 'messages', '{owner}', {quantity}, '{state}', {at})")
        });
        let insert = format!("{reserve}{}", rows.join(", "));
        db.execute_unprepared(&insert).await.expect("a ledger");
        Migrator::up(&db, None).await.expect("up");
        let sql = "select owner || ' ' || feature || ' ' || used from usage_counters order by owner";
        let counters = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
            .await
            .expect("counters");
        let counters: Vec<String> = counters
            .iter()
            .map(|row| row.try_get_by_index(0).expect("text"))
            .collect();
        assert_eq!(
            counters,
            ["ours messages 5", "theirs messages 7"],
            "on {backend:?}"
        );
    }
}

/// Every table with its columns, index, constraint, trigger and function, but the list of migrations itself.
async fn schema(db: &DatabaseConnection) -> Vec<String> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .expect("schema");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("text"))
        .collect()
}

const SQLITE: &str = "
select type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '')
from sqlite_master where tbl_name not in ('seaql_migrations', 'sqlite_sequence') order by 1";

const POSTGRES: &str = "
select item from (
    select 'table ' || c.relname || ' rls ' || c.relrowsecurity || c.relforcerowsecurity as item
    from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relnamespace = 'public'::regnamespace
        and c.relname not like 'seaql_migrations%'
    union all
    select 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
        || coalesce(column_default, '')
    from information_schema.columns where table_schema = 'public' and table_name <> 'seaql_migrations'
    union all
    select 'index ' || indexdef from pg_indexes where schemaname = 'public' and tablename <> 'seaql_migrations'
    union all
    select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
        and conrelid::regclass::text <> 'seaql_migrations'
    union all
    select 'policy ' || tablename || ' ' || policyname || ' ' || coalesce(qual, '') || coalesce(with_check, '')
    from pg_policies where schemaname = 'public'
    union all
    select 'trigger ' || tgrelid::regclass || ' ' || tgname from pg_trigger where not tgisinternal
    union all
    select 'function ' || proname || ' ' || prosrc from pg_proc where pronamespace = 'public'::regnamespace
) as items order by item collate \"C\"";
