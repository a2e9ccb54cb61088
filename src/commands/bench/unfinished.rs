//! Runs that nobody started, many at once: some that sleep, and a backlog. They are numbered like copies.
use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use recado_engine::Workflow;
use recado_workflows::{BenchSteps, InboundMessage};
use sea_orm::{DbBackend, Value};

use super::{
    copies::{Template, address, number, progress, tail, write},
    world::World,
};

impl Template {
    /// Adds so many runs that sleep for a day.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn add_waiting(&mut self, world: &World, count: u64) -> anyhow::Result<()> {
        let number = number(world.backend(), 16);
        let insert = |columns: &str, cells: &str| {
            format!(
                "with recursive s(n) as (select cast($1 as bigint) union all select n + 1 from s where n < $2)
                insert into {columns} select {cells} from s where $3 = $3 and $4 = $4"
            )
        };
        let run = format!("{number} || 'WAITING000'");
        let keys = insert(
            "run_keys (workflow, key, run)",
            &format!("'{}', 'waiting-' || {number}, {run}", BenchSteps::NAME),
        );
        let runs = insert(
            "runs (id, workflow, key, owner, state, waiting_for, since, until, epoch, build, input, created_at)",
            &format!(
                "{run}, '{}', 'waiting-' || {number}, 'default', 'waiting', 'timer', {}, {}, 1, 'bench',
                    '{{\"MessageSid\":\"waiting\"}}', {}",
                BenchSteps::NAME,
                moment(world.backend(), "$3"),
                moment(world.backend(), "$4"),
                moment(world.backend(), "$3"),
            ),
        );
        let (now, tomorrow) = (Utc::now(), Utc::now() + TimeDelta::days(1));
        for (from, to) in self.chunks(count) {
            let values: Vec<Value> = vec![
                (from as i64).into(),
                (to as i64).into(),
                now.to_rfc3339().into(),
                tomorrow.to_rfc3339().into(),
            ];
            write(
                world,
                [&keys, &runs]
                    .map(|sql| (sql.clone(), values.clone()))
                    .into_iter(),
            )
            .await?;
            progress("waiting runs", to);
        }
        Ok(())
    }

    /// Adds so many messages of the owner `default` that nobody has begun to answer, each of a contact of its own.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn add_backlog(&mut self, world: &World, count: u64) -> anyhow::Result<()> {
        let sql = "select lane, place, key from runs where id = $1";
        let row = world.one(sql, vec![self.run.as_str().into()]).await?;
        let (lane, key): (String, String) = (row.try_get("", "lane")?, row.try_get("", "key")?);
        let place: i64 = row.try_get("", "place")?;
        let (account, sid) = key.split_once(':').context("a key of a message has no colon")?;
        let input = serde_json::to_string(&InboundMessage {
            account: account.to_owned(),
            sid: sid.to_owned(),
            service: None,
            from: self.contact.clone(),
            to: lane.split('/').nth(1).unwrap_or_default().to_owned(),
            body: "Vocês fazem entrega?".to_owned(),
            media: 0,
            profile_name: None,
            opt_out_type: None,
            received_at: None,
            form: Vec::new(),
        })?;
        let number = number(world.backend(), 16);
        let (run, address) = (format!("{number} || 'BACKLOG000'"), address(world.backend()));
        let (key, sid_of) = (tail(world.backend(), "$4"), tail(world.backend(), "$9"));
        let lane_of = format!("replace($5, $3, {address})");
        let insert = |columns: &str, cells: &str| {
            format!(
                "with recursive s(n) as (select cast($1 as bigint) union all select n + 1 from s where n < $2)
                insert into {columns} select {cells} from s
                where $3 = $3 and $4 = $4 and $5 = $5 and $6 = $6 and $7 = $7 and $8 = $8"
            )
        };
        let inserts = [
            insert(
                "run_keys (workflow, key, run)",
                &format!("'{}', {key}, {run}", InboundMessage::NAME),
            ),
            insert(
                "lanes (key, next_place)",
                &format!("{lane_of}, cast($6 as bigint) + 1"),
            ),
            insert(
                "lane_places (lane, place, run)",
                &format!("{lane_of}, cast($6 as bigint), {run}"),
            ),
            insert(
                "runs (id, workflow, key, owner, state, waiting_for, since, lane, place, build, input, created_at)",
                &format!(
                    "{run}, '{}', {key}, 'default', 'queued', 'worker', {since}, {lane_of}, cast($6 as bigint),
                        'bench', replace(replace($8, $3, {address}), $9, {sid_of}), {since}",
                    InboundMessage::NAME,
                    since = moment(world.backend(), "$7"),
                ),
            ),
        ];
        for (from, to) in self.chunks(count) {
            let values: Vec<Value> = vec![
                (from as i64).into(),
                (to as i64).into(),
                self.contact.as_str().into(),
                row.try_get::<String>("", "key")?.into(),
                lane.as_str().into(),
                place.to_string().into(),
                Utc::now().to_rfc3339().into(),
                input.as_str().into(),
                sid.into(),
            ];
            write(
                world,
                inserts
                    .iter()
                    .map(|sql| (format!("{sql} and $9 = $9"), values.clone())),
            )
            .await?;
            progress("queued runs", to);
        }
        Ok(())
    }
}

/// A moment that was handed over as text.
fn moment(backend: DbBackend, parameter: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("cast({parameter} as timestamptz)"),
        _ => parameter.to_owned(),
    }
}
