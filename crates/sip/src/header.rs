//! Reading and writing the header values that come from, or go to, strangers.

use ringdown_domain::percent_decoded;

/// Longest user part and header value we send.
const MAX_VALUE: usize = 512;

/// The user of the first address in a From, To or P-Asserted-Identity value: the part before `@`
/// of a `sip:` or `sips:` URI, or the subscriber of a `tel:` URI (RFC 3966), percent-decoded.
pub(crate) fn user(value: &str) -> Option<String> {
    let uri = uri(value);
    let (scheme, rest) = uri.split_once(':')?;
    let user = if scheme.eq_ignore_ascii_case("tel") {
        rest
    } else if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        // The user part may itself hold `;` parameters but no unescaped `@`.
        rest.split_once('@')?.0
    } else {
        return None;
    };
    let user = user.split([';', ':']).next().unwrap_or_default();
    let user = percent_decoded(user);
    (!user.is_empty()).then_some(user)
}

/// The URI of a name-addr or addr-spec (RFC 3261 section 25.1), without display name and header parameters.
pub(crate) fn uri(value: &str) -> &str {
    let value = value.trim();
    let after_name = skip_quoted(value);
    match after_name.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default().trim(),
        // Without brackets the parameters belong to the header, not to the URI; a comma ends the first value.
        None => after_name
            .split([',', ';'])
            .next()
            .unwrap_or_default()
            .trim(),
    }
}

/// The addresses of a header that may have several, separated by commas (RFC 3261 section 7.3.1), each
/// with its display name and parameters.
pub(crate) fn addresses(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    value
        .split(move |c| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' if !bracketed => quoted = !quoted,
                '<' if !quoted => bracketed = true,
                '>' if !quoted => bracketed = false,
                ',' => return !quoted && !bracketed,
                _ => {}
            }
            false
        })
        .map(str::trim)
        .filter(|address| !address.is_empty())
}

/// A parameter of the header's, not of the URI's, in one of its addresses.
pub(crate) fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let after_name = skip_quoted(address.trim());
    let parameters = match after_name.rsplit_once('>') {
        Some((_, parameters)) => parameters,
        None => after_name.split_once(';').map_or("", |(_, rest)| rest),
    };
    parameters.split(';').find_map(|parameter| {
        let (known, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        known.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The text after a leading quoted display name, or all of it.
fn skip_quoted(value: &str) -> &str {
    let Some(rest) = value.strip_prefix('"') else {
        return value;
    };
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return rest.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

/// A `Reason` value (RFC 3326): `SIP;cause=403;text="..."`. The text is escaped as a quoted string
/// (RFC 3261 section 25.1), control characters become spaces, and it is cut after 200 characters.
pub(crate) fn reason(status: u16, text: &str) -> String {
    format!("SIP;cause={status};text=\"{}\"", quoted(text))
}

/// The inside of a quoted string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(200) {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Checks a user part we are asked to dial or to call from.
pub(crate) fn check_user(what: &str, user: &str) -> Result<(), String> {
    let fits = !user.is_empty() && user.len() <= MAX_VALUE;
    // The stack percent-encodes what RFC 3261 reserves; `:` would start a password.
    let clean = user
        .chars()
        .all(|c| c.is_ascii_graphic() && !"<>\"@:%".contains(c));
    if fits && clean {
        Ok(())
    } else {
        Err(format!(
            "the {what} {user:?} is not the user part of a SIP URI; give a number such as +15550100"
        ))
    }
}

/// Checks a header the caller wants in the INVITE: a token, no line breaks, and none of the headers the
/// dialog itself depends on.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    const OWN: [&str; 17] = [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "contact",
        "m",
        "content-length",
        "l",
        "content-type",
        "c",
        "route",
        "max-forwards",
    ];
    let token = !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c));
    if !token {
        return Err(format!("the header name {name:?} is not a token"));
    }
    if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!(
            "the header {name} belongs to the SIP dialog; leave it out"
        ));
    }
    if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        return Err(format!(
            "the value of header {name} holds a control character or more than {MAX_VALUE} octets"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn users_as_trunks_send_them() {
        for (value, expected) in [
            ("<sip:+15550100@198.51.100.7:5060>;tag=1", Some("+15550100")),
            (
                "\"A, <B> \\\" C\" <sip:bob@example.com;transport=udp>;tag=x",
                Some("bob"),
            ),
            ("sip:+15550100@198.51.100.7;tag=1", Some("+15550100")),
            (
                "<sip:+15550100;phone-context=example@host>",
                Some("+15550100"),
            ),
            ("<sip:%2B15550100@host;user=phone>", Some("+15550100")),
            ("<tel:+1-555-0100;ext=4>", Some("+1-555-0100")),
            ("tel:+15550100", Some("+15550100")),
            ("<sip:user:secret@host>", Some("user")),
            ("<sip:host.example>", None),
            (
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                Some("anonymous"),
            ),
            ("<urn:service:sos>", None),
            ("\"never closed <sip:a@b>", None),
            ("", None),
        ] {
            assert_eq!(user(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn reason_text_cannot_break_out() {
        assert_eq!(
            reason(403, "no \"x\"\r\nVia: evil \\"),
            "SIP;cause=403;text=\"no \\\"x\\\"  Via: evil \\\\\""
        );
    }

    #[test]
    fn headers_that_would_break_the_dialog_are_refused() {
        assert!(check_header("X-Run-Id", "0192-abc").is_ok());
        for (name, value) in [
            ("Via", "x"),
            ("call-ID", "x"),
            ("X Run", "x"),
            ("", "x"),
            ("X-Run-Id", "a\r\nTo: b"),
        ] {
            assert!(check_header(name, value).is_err(), "{name}: {value}");
        }
        assert!(check_user("number", "+15550100").is_ok());
        for bad in ["", "a b", "a@b", "a\r\nb", "<x>", "a:b"] {
            assert!(check_user("number", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_survived(value in "\\PC*|[\"<>:;@%\\\\a-z ]*") {
            let _ = user(&value);
            let quoted_text = quoted(&value);
            prop_assert!(!quoted_text.chars().any(char::is_control));
        }
    }
}
