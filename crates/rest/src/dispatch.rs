use async_trait::async_trait;
use ringdown_domain::{OrganisationId, ResultId};
use ringdown_platform::Engine;
use ringdown_webhook::{Dispatch, Error};

/// What the engine does for outgoing webhooks.
pub struct Dispatcher(pub Engine);

fn failed(error: &ringdown_platform::Error) -> Error {
    Error::Dispatch(error.to_string())
}

#[async_trait]
impl Dispatch for Dispatcher {
    async fn open_gate(&self, org: OrganisationId, batch: ResultId) -> Result<(), Error> {
        let opened = self.0.open_gate(org, batch).await;
        opened.map_err(|error| failed(&error))
    }

    async fn refuse(&self, org: OrganisationId, batch: ResultId, why: &str) -> Result<(), Error> {
        let ended = self.0.end_batch(org.into(), batch, why).await;
        ended.map(drop).map_err(|error| failed(&error))
    }

    async fn wait_for_work(&self) {
        self.0.webhooks_may_be_due().await;
    }
}
