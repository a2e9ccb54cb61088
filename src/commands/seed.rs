//! `recado seed`: something to look at.
use recado_store::seed;

use super::say;
use crate::{app::App, config::Config};

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.secret_key.is_some(),
        "SECRET_KEY is missing: the accounts' tokens are sealed with it"
    );
    let app = App::open(config).await?;
    let environment = app.environment.clone();
    let seeded = app.engine.storage().transaction(move |tx| {
        Box::pin(async move {
            Ok::<_, anyhow::Error>(seed::seed(tx, &environment.secret, chrono::Utc::now()).await?)
        })
    });
    let seeded = seeded.await?;
    let owners: Vec<_> = seeded.owners.iter().map(|owner| owner.as_str()).collect();
    say(format!("owners         {}", owners.join(", ")));
    say(format!("users          {}", seeded.users.join(", ")));
    say(format!("accounts       {}", seeded.accounts.join(", ")));
    say(format!("conversation   {}", seeded.conversation));
    Ok(())
}
