use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// Items over all pages.
    pub count: u64,
    /// URL of the next page.
    #[serde(default)]
    pub next: Option<String>,
    /// URL of the previous page.
    #[serde(default)]
    pub previous: Option<String>,
    /// Items of this page.
    pub results: Vec<T>,
}
