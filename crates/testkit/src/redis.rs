//! The Redis of this test run.
use crate::server;

/// The address of the Redis that all tests of a run share. Panics where `make test` did not start one.
///
/// Tests run at once: each keeps to a namespace of its own, from [`unique`](crate::unique).
pub fn redis_url() -> String {
    server::variable("RECADO_TEST_REDIS_URL")
}
