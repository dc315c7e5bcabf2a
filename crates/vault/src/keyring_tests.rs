use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const CONTEXT: Context<'_> = Context(&["team-1", "webhook", "secret"]);

fn keyring(ids: &[&str]) -> Keyring {
    let line = |id: &&str| format!("{id}:{}", STANDARD.encode(id.repeat(32).get(..32).unwrap()));
    // Ids of one letter would make placeholders.
    let lines: Vec<String> = ids.iter().map(line).collect();
    Keyring::parse(&lines.join("\n")).unwrap()
}

fn problem(text: &str) -> (usize, KeyProblem) {
    match Keyring::parse(text) {
        Err(Error::Key { number, problem }) => (number, problem),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_key_is_read_in_every_form_that_tools_write() {
    let sealed = Keyring::parse(&format!("a:{HEX}")).unwrap();
    let sealed = sealed.seal(CONTEXT, &Secret::new("s")).unwrap();
    for form in [
        HEX,
        &HEX.to_uppercase(),
        BASE64,
        BASE64.trim_end_matches('='),
        &format!(" {BASE64} "),
    ] {
        let keyring = Keyring::parse(&format!("a:{form}")).unwrap();
        assert_eq!(
            keyring.open(CONTEXT, &sealed).unwrap().expose(),
            "s",
            "{form}"
        );
    }
    // The two alphabets differ in two characters.
    let standard = format!("{}+/8=", "A".repeat(40));
    let url_safe = format!("{}-_8", "A".repeat(40));
    let sealed = Keyring::parse(&format!("a:{standard}")).unwrap();
    let sealed = sealed.seal(CONTEXT, &Secret::new("s")).unwrap();
    let keyring = Keyring::parse(&format!("a:{url_safe}")).unwrap();
    assert!(keyring.open(CONTEXT, &sealed).is_ok());
}

#[test]
fn the_first_key_is_current_in_files_and_in_variables() {
    for text in [
        format!("# rotated\n\n new:{HEX}\r\n# before\nold:{BASE64}\n"),
        format!("new:{HEX},old:{BASE64}"),
        format!(" new : {HEX} , old : {BASE64} ,\n"),
    ] {
        let keyring = Keyring::parse(&text).unwrap();
        assert_eq!(keyring.current_id(), "new");
        assert_eq!(keyring.ids().collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(format!("{keyring:?}"), r#"["new", "old"]"#);
    }
}

#[test]
fn a_wrong_key_is_told_by_number_and_never_shown() {
    let zero = "0".repeat(64);
    let long_id = "a".repeat(33);
    for (text, expected) in [
        (HEX.to_owned(), (1, KeyProblem::NoId)),
        (format!(":{HEX}"), (1, KeyProblem::Id)),
        (format!("a.b:{HEX}"), (1, KeyProblem::Id)),
        (format!("{long_id}:{HEX}"), (1, KeyProblem::Id)),
        (format!("a:{HEX}\nb:"), (2, KeyProblem::Bits)),
        (format!("a:{HEX}0"), (1, KeyProblem::Bits)),
        (format!("a:{}", &HEX[..62]), (1, KeyProblem::Bits)),
        (format!("a:{}+f", &HEX[..62]), (1, KeyProblem::Bits)),
        (format!("a:{}\u{e9}", &HEX[..62]), (1, KeyProblem::Bits)),
        (format!("a:{}", &BASE64[..40]), (1, KeyProblem::Bits)),
        (format!("a:{zero}"), (1, KeyProblem::Placeholder)),
        (
            format!("a:{HEX}\na:{BASE64}"),
            (2, KeyProblem::Duplicate("a".into())),
        ),
    ] {
        assert_eq!(problem(&text), expected, "{text}");
        let error = Keyring::parse(&text).unwrap_err().to_string();
        assert!(
            !error.contains("0102") && !error.contains("AAEC"),
            "{error}"
        );
    }
    assert!(matches!(Keyring::parse("\n# none\n,"), Err(Error::NoKeys)));
    let many = (0..65).fold(String::new(), |text, n| text + &format!("k{n}:{HEX}\n"));
    assert!(matches!(Keyring::parse(&many), Err(Error::TooManyKeys)));
}

#[test]
fn new_keys_are_whole_lines_and_all_different() {
    let lines: HashSet<String> = (0..100)
        .map(|_| new_key().unwrap().expose().to_owned())
        .collect();
    assert_eq!(lines.len(), 100);
    for line in lines {
        Keyring::parse(&line).unwrap();
    }
}

#[test]
fn a_secret_opens_for_its_own_context_only() {
    let keyring = keyring(&["k1"]);
    let sealed = keyring.seal(CONTEXT, &Secret::new("s3cret")).unwrap();
    assert_eq!(keyring.open(CONTEXT, &sealed).unwrap().expose(), "s3cret");
    for other in [
        &["team-2", "webhook", "secret"][..],
        &["team-1", "webhook"],
        &["team-1", "webhook", "secret", ""],
        &["team-1webhook", "", "secret"],
        &["team-1", "webhooks", "ecret"],
        &["webhook", "team-1", "secret"],
        &[],
    ] {
        let error = keyring.open(Context(other), &sealed).unwrap_err();
        assert!(
            matches!(error, Error::Altered(id) if id == "k1"),
            "{other:?}"
        );
    }
}

#[test]
fn sealing_twice_shows_nothing_in_common() {
    let keyring = keyring(&["k1"]);
    let secret = Secret::new("s3cret");
    let all: HashSet<String> = (0..100)
        .map(|_| keyring.seal(CONTEXT, &secret).unwrap().to_string())
        .collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn a_key_is_rotated_by_putting_another_before_it() {
    let old = keyring(&["k1"]);
    let both = keyring(&["k2", "k1"]);
    let new = keyring(&["k2"]);
    let sealed = old.seal(CONTEXT, &Secret::new("s")).unwrap();
    assert!(!old.needs_reseal(&sealed));
    assert!(both.needs_reseal(&sealed));
    let again = both.seal(CONTEXT, &both.open(CONTEXT, &sealed).unwrap());
    let again = again.unwrap();
    assert_eq!(again.key_id(), "k2");
    assert!(!both.needs_reseal(&again));
    assert_eq!(new.open(CONTEXT, &again).unwrap().expose(), "s");
    let error = new.open(CONTEXT, &sealed).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownKey { missing, present } if missing == "k1" && *present == ["k2"])
    );
    assert!(error.to_string().contains("the key \"k1\""), "{error}");
}

#[test]
fn another_key_under_the_same_id_does_not_open() {
    let sealed = Keyring::parse(&format!("a:{HEX}")).unwrap();
    let sealed = sealed.seal(CONTEXT, &Secret::new("s")).unwrap();
    let other = Keyring::parse(&format!("a:{}", HEX.replace('0', "f"))).unwrap();
    assert!(matches!(
        other.open(CONTEXT, &sealed),
        Err(Error::Altered(_))
    ));
}

#[test]
fn a_changed_key_id_does_not_open_even_with_the_same_key() {
    let keyring = Keyring::parse(&format!("a:{HEX}\nb:{HEX}")).unwrap();
    let sealed = keyring.seal(CONTEXT, &Secret::new("s")).unwrap();
    let moved = sealed.as_str().replacen(".a.", ".b.", 1);
    let error = keyring.open(CONTEXT, &moved.parse().unwrap());
    assert!(matches!(error, Err(Error::Altered(_))));
}

#[test]
fn every_change_of_a_stored_byte_is_noticed() {
    let keyring = keyring(&["k1"]);
    let sealed = keyring.seal(CONTEXT, &Secret::new("s3cret")).unwrap();
    let text = sealed.as_str();
    for at in 0..text.len() {
        for byte in 0..128_u8 {
            let mut bytes = text.as_bytes().to_vec();
            if bytes[at] == byte {
                continue;
            }
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            let opened = changed.parse().and_then(|s| keyring.open(CONTEXT, &s));
            assert!(opened.is_err(), "byte {at} as {byte}");
        }
        let cut = text[..at].parse().and_then(|s| keyring.open(CONTEXT, &s));
        assert!(cut.is_err(), "cut at {at}");
    }
    assert!(
        format!("{text}A")
            .parse::<Sealed>()
            .and_then(|s| keyring.open(CONTEXT, &s))
            .is_err()
    );
}

#[test]
fn what_was_not_sealed_is_told_apart_from_what_is_too_new() {
    for text in [
        "",
        "plain",
        "v1",
        "v1.",
        "v1.k1",
        "v1..AAAA",
        "v1.k1.AAAA",
        "v1.k 1.AAAA",
        "x.k1.A",
    ] {
        assert!(
            matches!(text.parse::<Sealed>(), Err(Error::Malformed(_))),
            "{text}"
        );
    }
    let error = "v2.k1.AAAA".parse::<Sealed>().unwrap_err();
    assert!(error.to_string().contains("\"v2\""), "{error}");
    let long = format!("v1.k1.{}", "A".repeat(100_000));
    assert!(matches!(long.parse::<Sealed>(), Err(Error::Malformed(_))));
}

#[test]
fn the_longest_secret_is_sealed_and_a_longer_one_is_refused() {
    let keyring = keyring(&["k1"]);
    let longest = Secret::new("x".repeat(LONGEST_SECRET));
    let sealed = keyring.seal(CONTEXT, &longest).unwrap();
    let read: Sealed = sealed.as_str().parse().unwrap();
    assert_eq!(keyring.open(CONTEXT, &read).unwrap(), longest);
    let longer = Secret::new("x".repeat(LONGEST_SECRET + 1));
    let error = keyring.seal(CONTEXT, &longer).unwrap_err();
    assert!(matches!(error, Error::TooLong(65_537)));
}

#[test]
fn nothing_that_is_printed_holds_the_secret() {
    let keyring = keyring(&["k1"]);
    let sealed = keyring.seal(CONTEXT, &Secret::new("s3cret")).unwrap();
    assert_eq!(format!("{sealed:?}"), "Sealed(v1.k1...)");
    assert!(!sealed.to_string().contains("s3cret"));
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_again(text in ".{0,200}", owner in ".{0,20}", name in ".{0,20}") {
        let keyring = keyring(&["k2", "k1"]);
        let parts = [owner.as_str(), name.as_str()];
        let secret = Secret::new(text);
        let sealed = keyring.seal(Context(&parts), &secret).unwrap();
        let read: Sealed = sealed.as_str().parse().unwrap();
        prop_assert_eq!(&read, &sealed);
        prop_assert!(keyring.open(Context(&parts), &read).unwrap() == secret);
    }

    #[test]
    fn different_contexts_are_bound_differently(
        a in prop::collection::vec("[ab]{0,3}", 0..4),
        b in prop::collection::vec("[ab]{0,3}", 0..4),
    ) {
        let parts_a: Vec<&str> = a.iter().map(String::as_str).collect();
        let parts_b: Vec<&str> = b.iter().map(String::as_str).collect();
        prop_assert_eq!(a == b, Context(&parts_a).bind("k") == Context(&parts_b).bind("k"));
    }

    #[test]
    fn no_text_panics_the_readers(text in "(v1\\.)?.{0,80}", keys in "([a-z]:)?.{0,80}") {
        let keyring = keyring(&["k1"]);
        prop_assert!(text.parse().and_then(|s| keyring.open(CONTEXT, &s)).is_err());
        let _ = Keyring::parse(&keys);
    }
}
