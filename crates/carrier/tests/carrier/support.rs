//! Orders, and scripts that carry them out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use ringdown_carrier::{Dialed, Order};
use ringdown_domain::RunId;
use ringdown_domain::dial::{Outcome, Retry};

/// Long enough for a loaded machine; nothing waits for it when all goes well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened for 30 s")
}

pub(crate) fn order() -> Order {
    Order {
        team: "team".parse().unwrap(),
        run: RunId(7),
        attempt_id: "attempt-7".to_owned(),
        from: Some("+15550100002".parse().unwrap()),
        caller_ids: vec![],
        to: "+15550100001".parse().unwrap(),
        time_left: Duration::from_secs(60),
        test_profile_json: String::new(),
        scenario_name: "Books a table".to_owned(),
        agent_name: "Agent".to_owned(),
    }
}

pub(crate) fn placed(dialed: &Dialed) -> &str {
    match &dialed.outcome {
        Outcome::Placed { provider_id } => provider_id,
        other => panic!("not placed: {other:?}"),
    }
}

pub(crate) fn not_placed(dialed: &Dialed) -> (&str, Retry) {
    match &dialed.outcome {
        Outcome::NotPlaced { reason, retry } => (reason, *retry),
        other => panic!("not a refusal: {other:?}"),
    }
}

pub(crate) fn ambiguous(dialed: &Dialed) -> &str {
    match &dialed.outcome {
        Outcome::Ambiguous { reason } => reason,
        other => panic!("not ambiguous: {other:?}"),
    }
}

/// A folder with a name that is hard on shells.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let prefix = "ringdown's \"carrier\" $HOME ";
        Self(tempfile::Builder::new().prefix(prefix).tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A shell script that runs in this folder.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        let text = format!("#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 1\n{body}\n");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A named pipe.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }
}
