//! The rules of ARCHITECTURE.md that a compiler does not know.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on, by folder under `crates/`. Services know the bus, never each other.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("egress", &[]),
    ("vault", &[]),
    ("cron", &["domain"]),
    ("testkit", &[]),
    (
        "bench",
        &[
            "testkit", "rest", "dialer", "carrier", "platform", "egress", "vault", "store", "bus",
            "proto", "domain",
        ],
    ),
    ("suite", &["domain"]),
    ("webhook", &["egress", "vault", "api", "store", "domain"]),
    ("proto", &["domain"]),
    ("api", &["domain"]),
    ("telemetry", &[]),
    ("bus", &["proto", "domain"]),
    ("client", &["api", "domain"]),
    ("store", &["domain"]),
    ("sip", &["domain"]),
    ("voice", &[]),
    (
        "carrier",
        &["domain", "egress", "proto", "provider", "sip", "vault"],
    ),
    ("provider", &["domain", "egress", "vault"]),
    ("platform", &["store", "bus", "proto", "cron", "domain"]),
    (
        "rest",
        &[
            "platform", "webhook", "suite", "carrier", "provider", "egress", "vault", "cron",
            "api", "store", "bus", "proto", "domain",
        ],
    ),
    ("scheduler", &["client", "bus", "api", "proto", "domain"]),
    ("poller", &["client", "bus", "api", "proto", "domain"]),
    (
        "dialer",
        &["carrier", "egress", "vault", "bus", "proto", "domain"],
    ),
    ("testing-agent", &["sip", "voice", "bus", "proto", "domain"]),
    ("scoring", &["voice", "bus", "store", "proto", "domain"]),
    ("observer", &["bus", "store", "api", "proto", "domain"]),
];

/// The one crate that may depend on every other.
const BINARY: &str = "ringdown";

const LONGEST_FILE: usize = 500;
const LONGEST_README: usize = 150;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// Every package of the workspace with the packages of the workspace it is built from.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = |name: &str| {
        let name = name.strip_prefix("ringdown-").unwrap_or(name);
        name.to_owned()
    };
    let packages = metadata["packages"].as_array().unwrap();
    let packages = packages.iter().map(|package| {
        let built_from = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| name.starts_with("ringdown"))
            .map(folder);
        (
            folder(package["name"].as_str().unwrap()),
            built_from.collect(),
        )
    });
    packages.collect()
}

/// Every Rust file of the project.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "{} files", found.len());
    found
}

#[test]
fn a_crate_depends_only_on_what_it_may() {
    let dependencies = dependencies();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for (name, built_from) in &dependencies {
        if name == BINARY {
            continue;
        }
        assert!(known.contains(name.as_str()), "{name} has no rule yet");
        let (_, allowed) = ALLOWED.iter().find(|(known, _)| known == name).unwrap();
        for dependency in built_from {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency}"
            );
        }
    }
    for name in known {
        assert!(
            dependencies.contains_key(name),
            "{name} is gone, its rule is not"
        );
    }
}

#[test]
fn every_crate_says_what_it_is_for() {
    let guide = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in dependencies().keys() {
        let source = root().join("crates").join(name).join("src");
        let head = ["lib.rs", "main.rs"]
            .iter()
            .find_map(|file| std::fs::read_to_string(source.join(file)).ok())
            .unwrap();
        assert!(head.starts_with("//!"), "{name} has no head");
        assert!(
            guide.contains(&format!("| `{name}` |")),
            "ARCHITECTURE.md does not list {name}"
        );
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{}: {lines} lines", path.display());
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() < LONGEST_README);
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not find itself.
    let marks = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("todo", "!("),
        ("unimplemented", "!("),
    ];
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (first, second) in marks {
            let mark = format!("{first}{second}");
            assert!(!text.contains(&mark), "{}: {mark}", path.display());
        }
    }
}
