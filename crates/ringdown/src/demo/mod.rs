//! `ringdown demo`.
use crate::cli::{Demo, Format};
use crate::exit::{Exit, Outcome};

pub(crate) async fn demo(_demo: &Demo, _format: Format) -> Outcome {
    Ok(Exit::Success)
}
