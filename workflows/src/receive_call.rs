//! One call that came in: it is written down. What the caller hears was decided when Twilio asked.
use recado_activities::{RecordCall, ResolveOwner};
use recado_domain::Address;
use recado_engine::{Context, Fault, Outcome, Workflow};
use serde::{Deserialize, Serialize};

/// A call that came in. The numbers are as Twilio wrote them; where nobody owns ours, the run is parked for the
/// operator.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReceiveCall {
    /// The Twilio account that it came in on.
    pub account: String,
    /// Twilio's id of it.
    pub sid: String,
    /// Who calls; a withheld number is a word.
    pub from: String,
    /// Our number.
    pub to: String,
    /// The whole form as it came.
    pub form: Vec<(String, String)>,
}

impl std::fmt::Debug for ReceiveCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiveCall")
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallReception {
    /// It is in the books, with its caller.
    Recorded,
    /// It is in the books; the caller withheld the number.
    Anonymous,
}

impl Outcome for CallReception {
    fn word(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Anonymous => "anonymous",
        }
    }
}

impl Workflow for ReceiveCall {
    const NAME: &'static str = "receive_call";
    type Output = CallReception;

    async fn run(self, ctx: &mut Context) -> Result<CallReception, Fault> {
        let to = Address::parse(&self.to)
            .map_err(|error| Fault::fatal("unsupported_address", format!("To: {error}")))?;
        let owner = ctx
            .run(ResolveOwner {
                account: self.account,
                to: to.clone(),
                service: None,
            })
            .await?;
        ctx.tag_owner(owner.id.as_str());
        let caller = ctx
            .run(RecordCall {
                owner: owner.id,
                sid: self.sid,
                from: self.from,
                to,
                form: self.form,
            })
            .await?;
        Ok(caller.map_or(CallReception::Anonymous, |_| CallReception::Recorded))
    }
}

impl ReceiveCall {
    /// The key that names the run of a call for ever.
    pub fn key(account: &str, sid: &str) -> String {
        format!("{account}:{sid}")
    }
}
