//! Real databases, real processes and a real browser for the tests of every crate.
//!
//! The servers are those that `make test` starts (`scripts/with-servers`). One that is missing fails the
//! test and says what to run; it never skips it. Nothing here is for production: a failure panics.
mod backend;
mod chromedriver;
mod eventually;
mod free_port;
mod http;
mod postgres;
mod process;
mod python;
mod redis;
mod server;
mod sqlite;
mod test_database;
mod unique;

pub use backend::Backend;
pub use chromedriver::Chromedriver;
pub use eventually::eventually;
pub use free_port::free_port;
pub use http::wait_for_http;
pub use process::Process;
pub use python::python;
pub use redis::redis_url;
pub use test_database::TestDatabase;
pub use unique::unique;
