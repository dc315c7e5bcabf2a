//! The rules of tags in an action.

use super::function::{Declared, is_name};
use super::known::{KNOWN, Kind, SOUNDS, known};
use super::{MAX_DIGITS, MAX_SECONDS, placeholder};
use crate::near::nearest;
use crate::problem::{Problems, brief};
use crate::tag::{Form, Parsed, Piece, Tag, parse};

/// Where an action stands.
pub(super) struct Place<'a> {
    /// It is the first message.
    pub(super) first: bool,
    /// It follows another condition.
    pub(super) followup: bool,
    /// The functions it can use.
    pub(super) declared: &'a Declared<'a>,
}

/// Tags that are the whole action.
const WHOLE: &[&str] = &["ivr", "voicemail"];

/// Tags that set how everything after them sounds.
const OPENING: &[&str] = &["interruption", "speed", "volume"];

/// Checks a message that is said word for word.
pub(super) fn fixed(action: &str, place: &Place<'_>, path: &str, problems: &mut Problems) {
    let parsed = parse(action);
    let mut found = Vec::new();
    for malformed in &parsed.malformed {
        found.push(format!(
            "`{}` begins like a tag and is none: it needs {}.",
            malformed.begins, malformed.expected
        ));
    }
    for tag in parsed.tags() {
        one(tag, place, &mut found);
    }
    nesting(&parsed, &mut found);
    positions(&parsed, place, &mut found);
    for (name, output) in placeholder::functions(action) {
        if place.first {
            found.push(
                "The first message is said before any function has answered: use its values in a \
                 later one."
                    .to_owned(),
            );
            break;
        }
        found.extend(place.declared.output(name, output));
    }
    for message in found {
        problems.add(path, message);
    }
}

/// Checks an instruction: it can run functions, and nothing else.
pub(super) fn instruction(action: &str, place: &Place<'_>, path: &str, problems: &mut Problems) {
    let mut found = Vec::new();
    for tag in parse(action).tags() {
        if tag.name == "function" {
            one(tag, place, &mut found);
        } else if known(tag.name).is_some() && tag.form != Form::Close {
            found.push(format!(
                "<{}> works only in fixed messages: write true as fixed_message, or take the tag out.",
                tag.name
            ));
        }
    }
    if placeholder::functions(action).next().is_some() {
        found.push(
            "The values of functions are put only into fixed messages: an instruction is given all \
             answers anyway, so describe which one to use."
                .to_owned(),
        );
    }
    for message in found {
        problems.add(path, message);
    }
}

/// Checks one tag by itself.
fn one(tag: &Tag<'_>, place: &Place<'_>, found: &mut Vec<String>) {
    let name = tag.name;
    let Some(known) = known(name) else {
        let names = KNOWN.iter().map(|known| known.name);
        let advice = match nearest(name, names) {
            Some(meant) => format!("did you mean <{meant}>?"),
            None => "take it out.".to_owned(),
        };
        found.push(format!("There is no tag <{}>: {advice}", brief(name)));
        return;
    };
    match tag.form {
        Form::Open if !known.around => {
            found.push(format!("<{name}> stands alone: write <{name} ... />."));
        }
        Form::Close if !known.around => {
            found.push(format!("</{name}> closes nothing: take it out."));
        }
        Form::Alone if !known.alone => found.push(format!(
            "<{name}> stands around something: write <{name}>...</{name}>."
        )),
        _ => {}
    }
    if tag.form == Form::Close {
        return;
    }
    for (attribute, needed, kind) in known.attributes {
        match tag.attribute(attribute) {
            Some(value) => {
                if let Some(message) = wrong(*kind, value) {
                    found.push(format!("<{name} {attribute}> {message}"));
                }
            }
            None if *needed => found.push(format!(
                "<{name}> needs the attribute {attribute}: {}",
                example(name, attribute, *kind)
            )),
            None => {}
        }
    }
    let names: Vec<&str> = known.attributes.iter().map(|(name, ..)| *name).collect();
    for (index, (attribute, _)) in tag.attributes.iter().enumerate() {
        let twice = tag
            .attributes
            .iter()
            .take(index)
            .any(|(name, _)| name == attribute);
        if twice {
            found.push(format!("<{name}> has {attribute} twice: keep one."));
        } else if !names.contains(attribute) {
            let advice = match nearest(attribute, names.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None if names.is_empty() => "it has none.".to_owned(),
                None => format!("known are {}.", names.join(", ")),
            };
            let attribute = brief(attribute);
            found.push(format!("<{name}> has no attribute {attribute}: {advice}"));
        }
    }
    special(tag, place, found);
}

/// What only one tag has to keep.
fn special(tag: &Tag<'_>, place: &Place<'_>, found: &mut Vec<String>) {
    match tag.name {
        "function" if place.first => found.push(
            "The first message runs no function: let it run when the call starts (auto_run), or from \
             a later condition."
                .to_owned(),
        ),
        "function" => {
            let name = tag.attribute("name").filter(|name| is_name(name));
            found.extend(name.and_then(|name| place.declared.name(name)));
        }
        "interruption" if !place.followup => found.push(
            "<interruption> cuts into the answer to an earlier message: write action_followup as the \
             type, and that message's id as the condition."
                .to_owned(),
        ),
        "voice" if tag.form == Form::Open && tag.attribute("text").is_some() => found.push(
            "<voice> has its text either as an attribute or around it: keep one.".to_owned(),
        ),
        "voice" => voice(tag, found),
        "ivr" | "voicemail" | "speed" | "volume" => {
            // Sounds and pauses may stand in a recorded announcement, nothing in a single word.
            let allowed: &[&str] = if WHOLE.contains(&tag.name) {
                &["noise", "silence"]
            } else {
                &[]
            };
            let text = parse(tag.attribute("text").unwrap_or_default());
            for inner in text.tags() {
                if !allowed.contains(&inner.name) {
                    let (name, inner) = (tag.name, brief(inner.name));
                    found.push(format!("<{inner}> cannot stand in the text of <{name}>: take it out."));
                }
            }
        }
        _ => {}
    }
}

/// The two providers whose ids have a form are held to it.
fn voice(tag: &Tag<'_>, found: &mut Vec<String>) {
    let (Some(provider), Some(id)) = (tag.attribute("provider"), tag.attribute("id")) else {
        return;
    };
    if provider.contains("{{") || id.contains("{{") {
        return;
    }
    let uuid = id.len() == 36
        && id.chars().enumerate().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    match provider {
        "cartesia" if !uuid => found.push(
            "<voice id> of cartesia is a UUID such as b7d50908-b17c-442d-ad8d-810c63997ed9."
                .to_owned(),
        ),
        "11labs" if !id.chars().all(|c| c.is_ascii_alphanumeric()) => found.push(
            "<voice id> of 11labs has letters and digits only: check that it is one of theirs."
                .to_owned(),
        ),
        _ => {}
    }
}

/// What is wrong with a value, if anything is. What a template will fill in is not known yet.
fn wrong(kind: Kind, value: &str) -> Option<String> {
    let literal = placeholder::literal(value);
    if value.trim().is_empty() {
        return Some("cannot be empty.".to_owned());
    }
    let given = brief(value);
    match kind {
        Kind::Digits => {
            let digits = literal.as_deref().unwrap_or(value);
            let keys = digits
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D'));
            if !keys {
                return Some(format!(
                    "is `{given}`: a telephone has the keys 0-9, *, # and A-D, so write those, or a \
                     value of the test profile such as {{{{test_profile.pin}}}}."
                ));
            }
            (digits.len() > MAX_DIGITS).then(|| {
                format!(
                    "has {} digits: at most {MAX_DIGITS} are sent.",
                    digits.len()
                )
            })
        }
        _ if literal.is_some() => None,
        Kind::Text => None,
        Kind::Seconds => {
            let seconds = value.strip_suffix('s').and_then(number);
            (!seconds.is_some_and(|seconds| seconds <= MAX_SECONDS)).then(|| {
                format!(
                    "is `{given}`: write seconds up to {MAX_SECONDS} with an s, such as 2s or 1.5s."
                )
            })
        }
        Kind::Number([lowest, highest]) => {
            let fits = number(value).is_some_and(|number| (lowest..=highest).contains(&number));
            (!fits).then(|| format!("is `{given}`: write a number between {lowest} and {highest}."))
        }
        Kind::SoundOrUrl if value.starts_with("https://") => None,
        Kind::Sound | Kind::SoundOrUrl => (!SOUNDS.contains(&value)).then(|| {
            let advice = match nearest(value, SOUNDS.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known are {}.", SOUNDS.join(", ")),
            };
            format!("is `{given}`, which is no sound: {advice}")
        }),
        Kind::Name => (!is_name(value))
            .then(|| format!("is `{given}`: write letters, digits, `_` and `-`, at most 64.")),
    }
}

/// A plain decimal number: no sign, no exponent, nothing infinite.
fn number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && digits(fraction) {
        text.parse().ok()
    } else {
        None
    }
}

fn example(name: &str, attribute: &str, kind: Kind) -> String {
    let value = match kind {
        Kind::Text => "...",
        Kind::Seconds => "2s",
        Kind::Number(_) => "1",
        Kind::Digits => "123#",
        Kind::Sound | Kind::SoundOrUrl => "beep",
        Kind::Name => "name",
    };
    format!("write <{name} {attribute}=\"{value}\" ... >.")
}

/// Checks that what is opened is closed, and what may stand in what.
fn nesting(parsed: &Parsed<'_>, found: &mut Vec<String>) {
    let mut open: Vec<&str> = Vec::new();
    for piece in &parsed.pieces {
        let Piece::Tag(tag) = piece else {
            continue;
        };
        let name = tag.name;
        let Some(known) = known(name).filter(|known| known.around || tag.form == Form::Alone)
        else {
            continue;
        };
        if tag.form == Form::Close {
            match open.iter().rposition(|opened| *opened == name) {
                Some(at) => {
                    for unclosed in open.drain(at..).skip(1) {
                        found.push(format!(
                            "<{unclosed}> is not closed before </{name}>: close it."
                        ));
                    }
                }
                None => found.push(format!("</{name}> closes nothing: take it out.")),
            }
            continue;
        }
        if let Some(outer) = open.last() {
            let fits = match *outer {
                "ignore_interruptions" => name != "ignore_interruptions",
                "spell" => false,
                _ => known.alone && tag.form == Form::Alone,
            };
            if !fits || open.contains(&name) {
                found.push(format!(
                    "<{name}> cannot stand inside <{outer}>: close that first."
                ));
            }
        }
        if tag.form == Form::Open {
            open.push(name);
        }
    }
    for unclosed in open {
        found.push(format!("<{unclosed}> is never closed: add </{unclosed}>."));
    }
}

/// Checks what has to stand at the start, or alone.
fn positions(parsed: &Parsed<'_>, place: &Place<'_>, found: &mut Vec<String>) {
    let blank = |piece: &Piece<'_>| matches!(piece, Piece::Text(text) if text.trim().is_empty());
    for (index, piece) in parsed.pieces.iter().enumerate() {
        let Piece::Tag(tag) = piece else {
            continue;
        };
        let name = tag.name;
        let mut before = parsed.pieces.iter().take(index);
        if WHOLE.contains(&name) {
            let others = parsed.pieces.iter().enumerate();
            let mut others = others.filter(|(other, piece)| *other != index && !blank(piece));
            if others.next().is_some() {
                found.push(format!(
                    "<{name}> is a whole action: move everything else into a condition of its own."
                ));
            }
        } else if name == "interruption" {
            if !before.all(blank) {
                found.push(
                    "<interruption> comes first in its action: move it to the start.".to_owned(),
                );
            }
            if place.followup && !parsed.pieces.iter().skip(index + 1).any(audible) {
                found.push(
                    "<interruption> needs something to interrupt with: add words or a sound."
                        .to_owned(),
                );
            }
        } else if OPENING.contains(&name) && tag.attribute("text").is_none() {
            let opens = |piece: &Piece<'_>| match piece {
                Piece::Text(_) => blank(piece),
                Piece::Tag(tag) => OPENING.contains(&tag.name) || tag.form == Form::Open,
            };
            if !before.all(opens) {
                found.push(format!(
                    "<{name}> sets the whole action: move it to the start, or name the words it is \
                     for, <{name} ratio=\"...\" text=\"...\" />."
                ));
            }
        }
    }
}

/// Whether something can be heard.
fn audible(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Text(text) => !text.trim().is_empty(),
        Piece::Tag(tag) => {
            matches!(tag.name, "audio" | "noise" | "dtmf")
                || tag
                    .attribute("text")
                    .is_some_and(|text| !text.trim().is_empty())
        }
    }
}
