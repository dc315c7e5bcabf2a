//! Migrations that were released are never changed again: a database that has them could not be opened.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use sha2::{Digest as _, Sha384};

/// Each released migration and the SHA-384 it was released with, which databases remember.
const RELEASED: &[(&str, &str)] = &[
    (
        "sqlite/0001_first.sql",
        "7de0397ddd66491bb0795abd5405d74408dc44ba1e0645c06595498dadce61fbd7edb20e1279d21e300363ef64855163",
    ),
    (
        "sqlite/0002_indexes.sql",
        "06c531b321bc4611896b540413e5adab25841bfad806e573ef84d47062cbb11b8f02c446784d39f322cb15bb0c349bdd",
    ),
];

#[test]
fn released_migrations_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for (name, released) in RELEASED {
        let content = std::fs::read(folder.join(name)).unwrap();
        let digest = Sha384::digest(&content);
        let now: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&now, released, "{name} was changed: write a new migration");
    }
}
