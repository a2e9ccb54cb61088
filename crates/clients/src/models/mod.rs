//! Language models, all of them through the API that OpenAI made common, told apart by their base URL.

mod answer;
mod breaker;
mod completion;
mod endpoint;
mod error;
mod provider;
mod providers;
mod transport;
mod vendor;

pub use completion::{Completion, Reply, Role, Turn};
pub use error::{ModelError, ModelErrorClass};
pub use provider::{Provider, TokenLimit};
pub use providers::Providers;
pub use vendor::Vendor;
