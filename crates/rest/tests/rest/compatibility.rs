//! Holds `docs/compatibility.md` to what the tests do: its table has every operation of the reference, and
//! the test that a row names asks that row's operation with success.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use crate::contract::REFERENCE;

const DOCUMENT: &str = include_str!("../../../../docs/compatibility.md");

/// Operations of the reference that this process has asked with success. A test has a process of its own.
static ASKED: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// A row of the table.
struct Row {
    /// Method and path.
    operation: &'static str,
    id: &'static str,
    choice: &'static str,
    /// Module and function.
    test: &'static str,
}

fn rows() -> Vec<Row> {
    let table = DOCUMENT.split("## Every operation").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line
                .trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().trim_matches('`'))
                .collect();
            let [operation, id, choice, test] = cells[..] else {
                panic!("not four cells: {line}");
            };
            Row {
                operation,
                id,
                choice,
                test,
            }
        })
        .collect()
}

/// Notes that an operation was asked and answered with success.
pub fn asked(id: &str) {
    ASKED.lock().unwrap().insert(id.to_owned());
}

/// Fails the test that calls it, at its end, if the table says that it asks what it did not.
pub fn proved() {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().to_owned();
    let asked = ASKED.lock().unwrap();
    for row in rows().iter().filter(|row| row.test == test) {
        assert!(
            asked.contains(row.id),
            "docs/compatibility.md says that this test asks {} with success",
            row.id
        );
    }
}

#[test]
fn the_table_has_every_operation_of_the_reference_once() {
    let rows = rows();
    let mut told: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in &rows {
        assert!(told.insert(row.id, row).is_none(), "{} twice", row.id);
        assert!(!row.choice.is_empty(), "{} without a choice", row.id);
    }
    for (method, path, operation) in REFERENCE.operations() {
        let id = operation["operationId"].as_str().unwrap();
        let row = told.remove(id);
        let row = row.unwrap_or_else(|| panic!("{id} is missing in docs/compatibility.md"));
        assert_eq!(
            row.operation,
            format!("{} {path}", method.to_uppercase()),
            "{id}"
        );
    }
    assert!(told.is_empty(), "not in the reference: {:?}", told.keys());
}

#[test]
fn every_named_test_exists_and_is_asked_at_its_end() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rest");
    for row in rows() {
        let (module, name) = row.test.split_once("::").unwrap();
        let source = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
        let head = format!("\nasync fn {name}() {{\n");
        let body = source.split(&head).nth(1);
        let body = body.unwrap_or_else(|| panic!("{} is no test", row.test));
        let body = body.split("\n}\n").next().unwrap();
        // Closing its world is what asks a test for its proof.
        assert!(body.contains(".close().await"), "{} has no end", row.test);
    }
}
