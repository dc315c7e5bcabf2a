//! Commands that place calls.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringdown_carrier::{Carrier as _, Exec, Order};
use ringdown_domain::dial::Retry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::{Folder, PATIENCE, ambiguous, not_placed, order, placed, within};

async fn run(folder: &Folder, body: &str, order: &Order) -> ringdown_carrier::Dialed {
    let script = folder.script("call.sh", body);
    let exec = Exec::new(&[script.to_str().unwrap().to_owned()]).unwrap();
    within(exec.dial(order, &CancellationToken::new())).await
}

#[tokio::test]
async fn a_command_gets_the_whole_order_and_nothing_of_ours() {
    let folder = Folder::new();
    let profile = json!({"name": "Zoë \"Z\"", "lines": "a\nb", "cost": "$HOME `id`"});
    let order = Order {
        test_profile_json: profile.to_string(),
        scenario_name: "It's; rm -rf \"quoted\" $x".to_owned(),
        ..order()
    };
    // The configuration of this very process, which Cargo sets for every test.
    assert!(std::env::var_os("RINGDOWN_NATS_SERVER").is_some());
    placed(&run(&folder, "env -0 >environment; cat >input", &order).await);
    let environment = folder.read("environment");
    let ours: BTreeMap<&str, &str> = environment
        .split_terminator('\0')
        .filter(|pair| pair.starts_with("RINGDOWN_"))
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    let expected = BTreeMap::from([
        ("RINGDOWN_AGENT", "Agent"),
        ("RINGDOWN_ATTEMPT_ID", "attempt-7"),
        ("RINGDOWN_FROM", "+15550100002"),
        ("RINGDOWN_NUMBER", "+15550100001"),
        ("RINGDOWN_RUN_ID", "7"),
        ("RINGDOWN_SCENARIO", "It's; rm -rf \"quoted\" $x"),
        ("RINGDOWN_SECONDS_LEFT", "60"),
        ("RINGDOWN_TEAM", "team"),
        ("RINGDOWN_TEST_PROFILE", order.test_profile_json.as_str()),
    ]);
    assert_eq!(ours, expected);
    let input = folder.read("input");
    assert_eq!(input.lines().count(), 1, "one object on one line");
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(
        input,
        json!({
            "number": "+15550100001",
            "run_id": 7,
            "test_profile": profile,
            "from": "+15550100002",
            "attempt_id": "attempt-7",
            "team": "team",
            "scenario": "It's; rm -rf \"quoted\" $x",
            "agent": "Agent",
            "seconds_left": 60,
        })
    );
}

#[tokio::test]
async fn what_an_order_does_not_have_is_null_or_empty() {
    let folder = Folder::new();
    let order = Order {
        from: None,
        ..order()
    };
    let body = "printf '%s' \"[$RINGDOWN_FROM][$RINGDOWN_TEST_PROFILE]\" >environment; cat >input";
    placed(&run(&folder, body, &order).await);
    assert_eq!(folder.read("environment"), "[][]");
    let input: Value = serde_json::from_str(&folder.read("input")).unwrap();
    assert_eq!(
        (&input["from"], &input["test_profile"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn arguments_reach_the_command_as_they_were_quoted() {
    let folder = Folder::new();
    let script = folder.script("call it.sh", "printf '<%s>' \"$@\" >arguments");
    let line = shell_words::join([script.to_str().unwrap(), "a b", "", "it's \"$HOME\" *"]);
    let routes = crate::routes::one(&format!("exec:{line}")).await;
    let dialed = within(
        routes
            .get("one")
            .unwrap()
            .dial(&order(), &CancellationToken::new()),
    )
    .await;
    placed(&dialed);
    assert_eq!(folder.read("arguments"), "<a b><><it's \"$HOME\" *>");
}

#[tokio::test]
async fn the_provider_s_id_is_read_from_the_last_line() {
    let folder = Folder::new();
    let long = format!("echo '{{\"call_id\":\"{}\"}}'", "x".repeat(1000));
    for (body, expected) in [
        ("echo dialing; echo '{\"call_id\":\"CA1\"}'; echo", "CA1"),
        ("echo '{\"call_id\":\"CA1\"}'; echo done", "attempt-7"),
        ("echo '{\"call_id\":1}'", "attempt-7"),
        ("echo '{\"call_id\":'", "attempt-7"),
        ("printf '\\377\\376\\n'", "attempt-7"),
        ("exit 0", "attempt-7"),
        (long.as_str(), &"x".repeat(128)),
    ] {
        assert_eq!(
            placed(&run(&folder, body, &order()).await),
            expected,
            "{body}"
        );
    }
}

#[tokio::test]
async fn only_agreed_exit_codes_say_that_nothing_was_placed() {
    let folder = Folder::new();
    for (code, retry) in [(75, Retry::Later), (64, Retry::Never), (69, Retry::Never)] {
        let body = format!("echo first >&2; echo why it failed >&2; echo >&2; exit {code}");
        let dialed = run(&folder, &body, &order()).await;
        let (reason, decided) = not_placed(&dialed);
        assert_eq!(decided, retry, "{code}");
        assert!(reason.ends_with("why it failed"), "{reason}");
    }
    for end in [
        "exit 1",
        "exit 2",
        "exit 76",
        "exit 127",
        "kill -KILL $$",
        "kill -TERM $$",
    ] {
        ambiguous(&run(&folder, end, &order()).await);
    }
    let missing = folder.path("no such command").to_str().unwrap().to_owned();
    let exec = Exec::new(std::slice::from_ref(&missing)).unwrap();
    let dialed = exec.dial(&order(), &CancellationToken::new()).await;
    let (reason, decided) = not_placed(&dialed);
    assert!(
        decided == Retry::Never && reason.contains(&missing),
        "{reason}"
    );
    assert!(Exec::new(&[]).is_none());
}

#[tokio::test]
async fn a_flood_of_output_is_read_and_not_kept() {
    let folder = Folder::new();
    let before = peak_memory();
    let body = "head -c 100000000 /dev/zero | tee /dev/stderr; echo\n\
                echo '{\"call_id\":\"after the flood\"}'";
    let dialed = run(&folder, body, &order()).await;
    assert_eq!(placed(&dialed), "after the flood");
    let grown = peak_memory() - before;
    assert!(
        grown < 32 * 1024,
        "{grown} KiB more for an output of 200 MB"
    );
    // One endless line is shortened for people.
    let body = "head -c 1000000 /dev/zero | tr '\\0' 'x' >&2; exit 1";
    let dialed = run(&folder, body, &order()).await;
    assert!(ambiguous(&dialed).len() < 500);
}

/// The most memory this process ever used, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_command_that_never_reads_its_input_is_not_waited_for() {
    let folder = Folder::new();
    // More than a pipe holds.
    let order = Order {
        test_profile_json: json!({"text": "x".repeat(100_000)}).to_string(),
        ..order()
    };
    placed(&run(&folder, "exit 0", &order).await);
}

#[tokio::test]
async fn what_a_finished_command_left_running_is_left_alone_and_not_waited_for() {
    let folder = Folder::new();
    let begun = Instant::now();
    let dialed = run(&folder, "sleep 60 & echo $! >pid; exit 0", &order()).await;
    placed(&dialed);
    assert!(begun.elapsed() < PATIENCE);
    let pid = Pid::from_raw(folder.read("pid").trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).expect("it was ended with the command");
}

/// A command that hangs, with a child that does too.
struct Hanging {
    exec: Exec,
    /// Both run.
    started: oneshot::Receiver<()>,
    /// Neither runs any more.
    ended: oneshot::Receiver<()>,
    _folder: Folder,
}

fn hanging() -> Hanging {
    let folder = Folder::new();
    let pipe = folder.pipe("pipe");
    // Both keep the pipe open for as long as they live.
    let body = "exec 3>pipe\ntrap '' TERM INT HUP\n(echo up >&3; sleep 1000; :) &\nwait";
    let script = folder.script("hang.sh", body);
    let (starting, started) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    std::thread::spawn(move || watch(&pipe, starting, ending));
    Hanging {
        exec: Exec::new(&[script.to_str().unwrap().to_owned()]).unwrap(),
        started,
        ended,
        _folder: folder,
    }
}

fn watch(pipe: &Path, starting: oneshot::Sender<()>, ending: oneshot::Sender<()>) {
    let mut pipe = BufReader::new(std::fs::File::open(pipe).unwrap());
    let mut line = String::new();
    pipe.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    starting.send(()).unwrap();
    pipe.read_to_end(&mut Vec::new()).unwrap();
    // A test that failed does not listen any more.
    let _ = ending.send(());
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_its_children_at_the_deadline() {
    let Hanging {
        exec,
        started,
        ended,
        _folder,
    } = hanging();
    let order = Order {
        time_left: Duration::from_secs(20),
        ..order()
    };
    let dialing = tokio::spawn(async move { exec.dial(&order, &CancellationToken::new()).await });
    within(started).await.unwrap();
    tokio::time::pause();
    // The call itself may go on for an hour after the window.
    tokio::time::advance(Duration::from_secs(20 + 3590)).await;
    assert!(!dialing.is_finished(), "ended during the call");
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    let dialed = within(dialing).await.unwrap();
    assert!(ambiguous(&dialed).contains("did not end in time"));
    within(ended).await.unwrap();
}

#[tokio::test]
async fn a_dial_that_is_called_off_ends_the_command_with_its_children() {
    let Hanging {
        exec,
        started,
        ended,
        _folder,
    } = hanging();
    let stop = Arc::new(CancellationToken::new());
    let dialing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move { exec.dial(&order(), &stop).await }
    });
    within(started).await.unwrap();
    stop.cancel();
    let dialed = within(dialing).await.unwrap();
    assert!(ambiguous(&dialed).contains("called off"));
    within(ended).await.unwrap();
}

#[tokio::test]
async fn a_dial_that_nobody_waits_for_ends_the_command_with_its_children() {
    let Hanging {
        exec,
        started,
        ended,
        _folder,
    } = hanging();
    let dialing = tokio::spawn(async move { exec.dial(&order(), &CancellationToken::new()).await });
    within(started).await.unwrap();
    dialing.abort();
    within(ended).await.unwrap();
}
