//! Compiles the protobuf definitions without protoc.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let root = manifest.join("../../proto").canonicalize()?;
    println!("cargo:rerun-if-changed={}", root.display());
    let files = protox::compile(["ringdown/v1/ringdown.proto"], [root])?;
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(files)?;
    Ok(())
}
