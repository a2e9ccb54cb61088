//! Calls that share a transaction: what they leave and return is what the same calls do one by one, and the statements
//! do not grow with their number. On both databases.
#![cfg(test)]

mod count;
mod course;
mod dump;
mod scenario;
mod size;
mod world;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use recado_testkit::Backend;

use crate::{
    scenario::Scenario,
    world::{Way, World},
};

/// How many scenarios each database sees.
const CASES: usize = 60;

#[tokio::test]
async fn a_group_leaves_what_the_same_calls_leave_one_by_one() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed());
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut compared = 0;
        for _ in 0..CASES {
            let scenario = Scenario::any().new_tree(&mut runner).unwrap().current();
            // A group that fails is done one by one.
            let Ok(together) = world.play(&scenario, Way::Together).await else {
                continue;
            };
            compared += 1;
            let alone = world.play(&scenario, Way::OneByOne).await.unwrap();
            assert_eq!(together.told, alone.told, "on {backend:?}: {scenario:#?}");
            for (table, rows) in &alone.rows {
                assert_eq!(
                    &together.rows[table], rows,
                    "{table} on {backend:?}: {scenario:#?}"
                );
            }
        }
        assert!(compared > CASES / 2, "only {compared} groups went well");
    }
}

/// Another one every time, told so that a failure can be repeated.
fn seed() -> [u8; 32] {
    let number = match std::env::var("RECADO_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => rand_number(),
    };
    eprintln!("RECADO_TEST_SEED={number}");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&u64::to_le_bytes(number));
    seed
}

fn rand_number() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_micros()).unwrap()
}
