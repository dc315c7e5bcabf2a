use ringdown_domain::run::IllegalTransition;

/// Why a store operation did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The organisation has no such thing.
    #[error("find {what} {id}: there is none in this organisation")]
    NotFound {
        /// Kind of thing, for example `agent`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// It collides with something that exists.
    #[error("store {what}: {why}")]
    Conflict {
        /// Kind of thing.
        what: &'static str,
        /// What it collides with.
        why: String,
    },
    /// A request with this idempotency key was carried out before.
    #[error("store a batch: idempotency key was used for result {0}")]
    Repeated(ringdown_domain::ResultId),
    /// The job is not due at that time any more: it was triggered by another process, or a user changed
    /// or deleted it.
    #[error("trigger cron job {0}: it is not due at that time any more")]
    NotDue(ringdown_domain::CronJobId),
    /// Runs that need a number of their own outnumber the numbers that are free.
    #[error("give {wanted} runs a number of their own: {free} numbers are free, {} are missing", wanted - free)]
    TooFewNumbers {
        /// Numbers that are needed.
        wanted: usize,
        /// Numbers that no unfinished run uses.
        free: usize,
    },
    /// The event does not fit the run's state.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A row cannot be read back: the database was changed by hand or by a newer version.
    #[error("read {what} from the database: {why}")]
    Corrupt {
        /// Kind of row.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The database refused or could not be reached.
    #[error("use the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The artefact store failed.
    #[error("use the artefact store: {0}")]
    Artefacts(#[from] object_store::Error),
    /// A local file failed.
    #[error("use file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        source: std::io::Error,
    },
}
