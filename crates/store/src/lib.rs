//! What the platform knows: tenant-scoped verbs over the domain's tables.
//!
//! Every verb takes the connection it runs on, a pool or a transaction, and the tenant it runs for; it begins no
//! transaction and takes no second connection. What two statements do together is safe against others only inside
//! the caller's transaction; a verb that needs one says so. Verbs take the time as an argument.
//!
//! Invariant: no query without a tenant, outside `resolution`, `accounts::signers` and `accounts::all`, `owners::any_way_out`, `callbacks` and `calls::reports`
//! (which find out whose a webhook is), the catalogue in `plans`, the operator's `minutes` and `views`, and `audit`, whose
//! rows are asked for by the one thing that they are about.
pub mod accounts;
pub mod audit;
pub mod billing;
pub mod callbacks;
pub mod calls;
pub mod campaigns;
pub mod contacts;
pub mod conversations;
mod dialect;
mod error;
pub mod knowledge;
pub mod limits;
pub mod media;
pub mod messages;
pub mod minutes;
pub mod opt_outs;
pub mod owners;
mod page;
pub mod plans;
pub mod prices;
pub mod prospects;
pub mod questions;
mod quiet_hours;
mod resolution;
mod rows;
mod secret;
pub mod seed;
pub mod senders;
pub mod sending;
pub mod specialists;
mod statement;
pub mod subscriptions;
pub mod transitions;
pub mod unfinished;
pub mod users;
pub mod views;

pub use error::StoreError;
pub use page::Page;
pub use quiet_hours::{InvalidHours, QuietHours};
pub use resolution::{Resolution, resolve};
pub use secret::Secret;
