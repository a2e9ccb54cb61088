//! Where the servers and programs that tests need are, as `scripts/with-servers` tells.

/// The value of a variable that `scripts/with-servers` exports; panics, saying what to run, where it is unset.
pub(crate) fn variable(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: run `make test`, or `scripts/with-servers cargo test …`"),
    }
}
