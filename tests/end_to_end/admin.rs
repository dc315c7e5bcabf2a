//! Commands that administer a team, against a server.

use ringdown_domain::OrganisationId;
use ringdown_store::{Database, SecretOwner, Secrets as _};
use ringdown_vault::{Keyring, new_key};
use serde_json::Value;

use crate::support::{Said, Server, finished, ringdown};

async fn ask(server: &Server, arguments: &[&str]) -> Said {
    let mut command = ringdown(arguments);
    command.args(["--url", &server.ready.http_url, "--format", "json"]);
    command.args(["--api-key", &server.ready.admin_key]);
    finished(command).await
}

/// What a command that does what it is told prints.
async fn json(server: &Server, arguments: &[&str]) -> Value {
    let said = ask(server, arguments).await;
    assert!(said.status.success(), "{arguments:?}: {}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_administered_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let made = json(&server, &["keys", "create", "ci", "--role", "viewer"]).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let id = made["id"].to_string();
    let listed = json(&server, &["keys", "list"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key));

    let mut viewer = ringdown(&["agents", "create", "--name", "x", "--api-key", &key]);
    viewer.args(["--upstream", &server.ready.http_url]);
    let said = finished(viewer).await;
    assert_eq!(said.status.code(), Some(4), "{}", said.err);
    assert!(!said.err.contains(&key), "{}", said.err);

    let said = ask(&server, &["keys", "revoke", &id]).await;
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
    assert!(said.err.contains("--yes"), "{}", said.err);
    json(&server, &["keys", "revoke", &id, "--yes"]).await;
    assert_eq!(
        json(&server, &["keys", "list"])
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let project = json(&server, &["projects", "create", "second"]).await["id"].to_string();
    let arguments = ["projects", "update", &project, "--outbound-timeout", "45"];
    assert_eq!(json(&server, &arguments).await["outbound_timeout"], 45);
    let shown = json(&server, &["projects", "show", &project]).await;
    assert_eq!(shown["name"], "second");
    let arguments = ["organizations", "create", "Other", "--slug", "other"];
    let other = json(&server, &arguments).await;
    assert!(other["api_key"].as_str().unwrap().starts_with("rd_"));
    let all = json(&server, &["organizations", "list"]).await;
    assert_eq!(all.as_array().unwrap().len(), 2);

    let number = json(
        &server,
        &["numbers", "add", "+15556660301", "--project", &project],
    )
    .await;
    let fields = r#"{"description": "from here"}"#;
    let arguments = [
        "agents",
        "create",
        "--name",
        "Agent",
        "--contact-number",
        "+15556660100",
        "--project",
        &project,
        "--json",
        fields,
    ];
    let agent = json(&server, &arguments).await;
    assert_eq!(agent["description"], "from here");
    let agent = agent["id"].to_string();
    let file = folder.path().join("evaluators.json");
    std::fs::write(
        &file,
        r#"[{"name": "one"}, {"name": "two", "tags": ["a"]}]"#,
    )
    .unwrap();
    let path = file.display().to_string();
    let said = ask(&server, &["evaluators", "import", &path]).await;
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
    json(&server, &["evaluators", "import", &path, "--agent", &agent]).await;
    let all = json(&server, &["evaluators", "list", "--agent", &agent]).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let evaluator = all[0]["id"].to_string();
    let arguments = ["evaluators", "update", &evaluator, "--name", "renamed"];
    assert_eq!(json(&server, &arguments).await["name"], "renamed");
    json(&server, &["evaluators", "delete", &evaluator, "--yes"]).await;
    json(&server, &["agents", "delete", &agent, "--yes"]).await;
    let all = json(&server, &["evaluators", "list"]).await;
    assert_eq!(all, Value::Array(Vec::new()));
    json(
        &server,
        &["numbers", "remove", &number["id"].to_string(), "--yes"],
    )
    .await;
    assert_eq!(
        json(&server, &["numbers", "list"]).await,
        Value::Array(Vec::new())
    );

    let audit = json(&server, &["audit", "--limit", "3"]).await;
    assert_eq!(
        audit[0]["operation"],
        "DELETE /ringdown/v1/phone-numbers/{id}"
    );
    assert_eq!(audit.as_array().unwrap().len(), 3);
    let said = ask(&server, &["agents", "show", "99999"]).await;
    assert_eq!(said.status.code(), Some(4), "{}", said.err);
    let mut keyless = ringdown(&["keys", "list"]);
    keyless.args(["--url", &server.ready.http_url]);
    assert_eq!(finished(keyless).await.status.code(), Some(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let file = folder.path().join("secrets.key");
    let old = std::fs::read_to_string(&file).unwrap();
    let keys = Keyring::from_file(&file).unwrap();
    let database = Database::sqlite(&folder.path().join("ringdown.db"))
        .await
        .unwrap();
    let (org, owner) = (
        OrganisationId(1),
        SecretOwner::Organisation(OrganisationId(1)),
    );
    let secret = |index: usize| ringdown_vault::Secret::new(format!("secret {index}"));
    let changes = (0..700)
        .map(|index| ringdown_store::SecretChange {
            name: format!("name-{index:03}"),
            sealed: Some(
                keys.seal_stored(org.0, &format!("name-{index:03}"), &secret(index))
                    .unwrap(),
            ),
        })
        .collect();
    let now = ringdown_bus::now();
    database
        .change_secrets(org, owner, changes, now)
        .await
        .unwrap();
    let new = new_key().unwrap();
    std::fs::write(&file, format!("{}\n{old}", new.expose())).unwrap();
    let data = folder.path().display().to_string();
    let rotate = || async {
        let command = ringdown(&["secrets", "rotate", "--data-dir", &data, "--format", "json"]);
        let said = finished(command).await;
        assert!(said.status.success(), "{}", said.err);
        serde_json::from_str::<Value>(&said.out).unwrap()
    };
    let report = rotate().await;
    assert_eq!(
        (&report["resealed"], &report["current"]),
        (&700.into(), &0.into())
    );
    let report = rotate().await;
    assert_eq!(
        (&report["resealed"], &report["current"]),
        (&0.into(), &700.into())
    );
    let alone = Keyring::parse(new.expose()).unwrap();
    let name = "name-699";
    let sealed = database.secret(org.into(), owner, name).await.unwrap();
    let opened = alone.open_stored(org.0, name, &sealed.unwrap()).unwrap();
    assert_eq!(opened.expose(), "secret 699");
    // Without the key that some are sealed with, those are named and nothing is lost.
    std::fs::write(&file, format!("{}\n", new_key().unwrap().expose())).unwrap();
    let said = finished(ringdown(&["secrets", "rotate", "--data-dir", &data])).await;
    assert_eq!(said.status.code(), Some(5), "{}", said.err);
    assert!(said.err.contains("name-000"), "{}", said.err);
    database.close().await;
    let made = finished(ringdown(&["secrets", "new-key"])).await;
    Keyring::parse(&made.out).unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carriers_are_administered_without_a_secret_on_the_command_line() {
    const SECRET: &str = "s3cret-of-the-carrier";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;
    let file = folder.path().join("token file");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let from_file = format!("twilio_auth_token=@{}", file.display());
    let url = "url=https://agent.example/answer";
    let sid = "account_sid=AC1";
    let add = ["carriers", "add", "main", "twilio", "--setting", url];
    let add = [&add[..], &["--secret", &from_file]].concat();
    let said = ask(&server, &add).await;
    assert_eq!(said.status.code(), Some(4), "{}", said.err);
    assert!(said.err.contains("settings.account_sid"), "{}", said.err);
    let add = [&add[..], &["--setting", sid, "--calls-per-second", "2.5"]].concat();
    let made = json(&server, &add).await;
    assert_eq!(made["settings"]["account_sid"], "AC1");
    assert_eq!(made["secrets_configured"][0], "twilio_auth_token");
    assert_eq!(made["calls_per_second"], 2.5);
    let open = format!("twilio_auth_token={SECRET}");
    let said = ask(&server, &["carriers", "set", "main", "--secret", &open]).await;
    assert_eq!(said.status.code(), Some(2), "{}", said.err);

    let mut set = ringdown(&["carriers", "set", "main", "--concurrent-calls", "3"]);
    set.args(["--setting", "machine_detection=", "--calls-per-second", "0"]);
    set.args(["--secret", "twilio_auth_token=env:TOKEN_OF_THE_TEST"]);
    set.args(["--url", &server.ready.http_url, "--format", "json"]);
    set.args(["--api-key", &server.ready.admin_key]);
    set.env("TOKEN_OF_THE_TEST", SECRET);
    let said = finished(set).await;
    assert!(said.status.success(), "{}", said.err);
    let set: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(set["settings"], made["settings"]);
    assert_eq!(set["calls_per_second"], Value::Null);
    assert_eq!(set["concurrent_calls"], 3);

    let agent = json(&server, &["agents", "create", "--name", "Agent"]).await;
    let agent = agent["id"].to_string();
    let route = ["agents", "dial-route", &agent, "carrier:none"];
    let said = ask(&server, &route).await;
    assert_eq!(said.status.code(), Some(4), "{}", said.err);
    assert!(said.err.contains("carrier:main"), "{}", said.err);
    let set = json(&server, &["agents", "dial-route", &agent, "carrier:main"]).await;
    assert_eq!(set["route"], "carrier:main");
    let shown = json(&server, &["carriers", "show", "main"]).await;
    assert_eq!(shown["agents"][0]["name"], "Agent");
    let remove = ["carriers", "remove", "main", "--yes"];
    let said = ask(&server, &remove).await;
    assert_eq!(said.status.code(), Some(4), "{}", said.err);
    assert!(said.err.contains("(Agent)"), "{}", said.err);
    let neither = ask(&server, &["agents", "dial-route", &agent]).await;
    assert_eq!(neither.status.code(), Some(2), "{}", neither.err);
    let cleared = json(&server, &["agents", "dial-route", &agent, "--clear"]).await;
    assert_eq!(cleared["route"], Value::Null);
    let listed = json(&server, &["carriers", "list"]).await;
    assert_eq!(listed[0]["name"], "main");
    for said in [&shown, &listed] {
        assert!(!said.to_string().contains(SECRET), "{said}");
    }
    assert_eq!(json(&server, &remove).await["gone"], "main");
    let listed = json(&server, &["carriers", "list"]).await;
    assert_eq!(listed, Value::Array(Vec::new()));
    server.stop().await;
}
