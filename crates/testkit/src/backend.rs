//! The two databases that Recado runs on.

/// A database that Recado runs on. A suite that holds for both goes through [`Backend::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// An embedded file, as `recado dev` uses it.
    Sqlite,
    /// The server at `RECADO_TEST_POSTGRES_URL`.
    Postgres,
}

impl Backend {
    /// Both databases.
    pub const ALL: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];
}
