//! What the documentation tells receivers to do works.

use std::process::Command;

use ringdown_vault::Secret;
use ringdown_webhook::signature;

fn guide() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/webhooks.md");
    std::fs::read_to_string(path).unwrap()
}

fn snippet(language: &str) -> String {
    let guide = guide();
    let start = format!("```{language}\n");
    let at = guide.find(&start).expect("a snippet") + start.len();
    let end = guide[at..].find("```").unwrap();
    guide[at..at + end].to_owned()
}

#[test]
fn the_python_snippet_tells_true_signatures_from_false_ones() {
    let secrets = [Secret::new("new secret"), Secret::new("old secret")];
    let body = "{\"text\":\"h\u{e9}llo\"}";
    let header = signature(&secrets, 1_700_000_000, body.as_bytes());
    let checks = format!(
        "body = {body:?}.encode()\nheader = {header:?}\n\
         assert verify('new secret', header, body, now=1700000100)\n\
         assert verify('old secret', header, body, now=1700000100)\n\
         assert not verify('other', header, body, now=1700000100)\n\
         assert not verify('new secret', header, body + b' ', now=1700000100)\n\
         assert not verify('new secret', header, body, now=1700009999)\n\
         assert not verify('new secret', 'nonsense', body, now=1700000100)\n\
         print('checked')\n"
    );
    let output = Command::new("python3")
        .arg("-c")
        .arg(snippet("python") + &checks)
        .output()
        .expect("python3 is needed: install it with `apt-get install python3`");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"checked\n", "{errors}");
}

#[test]
fn the_guide_names_what_is_sent() {
    let guide = guide();
    for word in [
        ringdown_webhook::SIGNATURE_HEADER,
        ringdown_webhook::EVENT_ID_HEADER,
        ringdown_webhook::DELIVERY_HEADER,
        ringdown_webhook::SECRET_HEADER,
        ringdown_webhook::IDEMPOTENCY_HEADER,
        "result.completed",
        "result.pre_trigger",
    ] {
        assert!(guide.contains(word), "{word}");
    }
}
