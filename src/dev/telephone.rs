//! What the telephone page sees of the simulated world.
use std::sync::Arc;

/// A customer's telephone.
#[derive(Clone)]
pub(crate) struct Telephone {
    pub(crate) simulator: Arc<recado_simulator::State>,
    /// The account of the simulated Twilio.
    pub(crate) account: String,
    /// Whom one can write to: a label and an address.
    pub(crate) business: Vec<(String, String)>,
}
