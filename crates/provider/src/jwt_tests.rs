use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, SECRET};

pub(crate) const PKCS8: &str = include_str!("testdata/rsa_pkcs8.pem");
const PKCS1: &str = include_str!("testdata/rsa_pkcs1.pem");

fn claims() -> Claims {
    let mut more = Map::new();
    more.insert("iss".to_owned(), "us".into());
    Claims::new(NOW, Duration::from_secs(60), more).unwrap()
}

fn sign(header: &str, claims: &str) -> String {
    let (header, claims) = (
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
    );
    let message = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    whole(&message, hmac::sign(&key, message.as_bytes()).as_ref())
}

#[test]
fn a_token_is_dated_named_and_read_back() {
    let token = hs256(&claims(), SECRET.as_bytes());
    let read = verify(&token, SECRET.as_bytes(), NOW).unwrap();
    assert_eq!(
        (&read["iss"], &read["iat"], &read["exp"]),
        (&json!("us"), &json!(1_795_866_510), &json!(1_795_866_570))
    );
    assert_eq!(read["jti"].as_str().unwrap().len(), 32);
    assert_ne!(claims().0["jti"], claims().0["jti"]);
}

#[test]
fn a_known_token_is_understood() {
    // RFC 7515 appendix A.1: its key, its token; it expired in 2011.
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = URL_SAFE_NO_PAD.decode(key).unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let then = Timestamp::from_micros(1_300_819_380_000_000);
    assert_eq!(verify(token, &key, then).unwrap()["iss"], "joe");
    let stale = Rejected::Stale { seconds: 1 };
    let later = then.plus(Duration::from_secs(1));
    assert_eq!(verify(token, &key, later), Err(stale));
}

#[test]
fn what_does_not_hold_is_refused() {
    let key = SECRET.as_bytes();
    let good = hs256(&claims(), key);
    assert_eq!(verify(&good, b"other", NOW), Err(Rejected::Forged));
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(r#"{"iat":1795866510,"iss":"them"}"#);
    parts[1] = &other;
    assert_eq!(verify(&parts.join("."), key, NOW), Err(Rejected::Forged));
    for token in ["", "a", "a.b", "a.b.c", "..", &format!("{good}A")] {
        assert_eq!(verify(token, key, NOW), Err(Rejected::Forged), "{token}");
    }
    for algorithm in ["none", "HS512", "RS256"] {
        let token = sign(
            &json!({ "alg": algorithm }).to_string(),
            r#"{"iat":1795866510}"#,
        );
        assert_eq!(
            verify(&token, key, NOW),
            Err(Rejected::Forged),
            "{algorithm}"
        );
    }
    let hs256 = r#"{"alg":"HS256"}"#;
    for (header, claims) in [("x", "{}"), (hs256, "x"), (hs256, "{}"), (hs256, "[]")] {
        let answer = verify(&sign(header, claims), key, NOW);
        assert!(matches!(answer, Err(Rejected::Unreadable(_))), "{answer:?}");
    }
    for (claims, seconds) in [
        (r#"{"iat":1795866209}"#, 301),
        (r#"{"iat":1795866811.5}"#, 301),
        (r#"{"nbf":1795866209,"exp":1895866205}"#, 301),
        (r#"{"iat":1795866504,"exp":1795866509}"#, 1),
    ] {
        let stale = Err(Rejected::Stale { seconds });
        assert_eq!(verify(&sign(hs256, claims), key, NOW), stale, "{claims}");
    }
    assert!(verify(&sign(hs256, r#"{"iat":1795866510.25}"#), key, NOW).is_ok());
}

#[test]
fn a_private_key_signs_in_either_form() {
    let folded = PKCS8.replace('\n', "\\n");
    for pem in [PKCS8, PKCS1, &folded] {
        let key = PrivateKey::from_pem(pem).unwrap();
        let token = key.sign(&claims()).unwrap();
        let (message, tag) = token.rsplit_once('.').unwrap();
        let header = message.split_once('.').unwrap().0;
        assert_eq!(
            read(header).unwrap(),
            json!({ "alg": "RS256", "typ": "JWT" })
        );
        let algorithm = &signature::RSA_PKCS1_2048_8192_SHA256;
        let public = signature::UnparsedPublicKey::new(algorithm, key.public());
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
        public.verify(message.as_bytes(), &tag).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(hidden)");
    }
}

#[test]
fn what_is_no_private_key_is_told() {
    let cut = &PKCS8[..400];
    let public = PKCS8.replace("PRIVATE", "PUBLIC");
    let broken = PKCS8.replacen("MII", "MIJ", 1);
    for pem in ["", "x", cut, &public, &broken] {
        assert!(PrivateKey::from_pem(pem).is_err(), "{pem}");
    }
    let locked = PKCS8.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert!(
        PrivateKey::from_pem(&locked)
            .unwrap_err()
            .contains("password")
    );
}

proptest! {
    #[test]
    fn no_token_panics(header in ".{0,30}", claims in ".{0,30}", token in "[A-Za-z0-9._-]{0,60}") {
        let _ = verify(&sign(&header, &claims), SECRET.as_bytes(), NOW);
        prop_assert!(verify(&token, SECRET.as_bytes(), NOW).is_err());
    }
}
