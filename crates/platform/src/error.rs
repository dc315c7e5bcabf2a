/// Why the platform could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] ringdown_store::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] ringdown_bus::Error),
}
