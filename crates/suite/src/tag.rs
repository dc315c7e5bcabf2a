//! Reads the tags in an action: `Hello <silence time="2s" /> there`.
//!
//! ```text
//! action    = { text | tag }
//! tag       = "<" name { space attribute } [ space ] [ "/" ] ">"  |  "</" name [ space ] ">"
//! attribute = name [ space ] "=" [ space ] quoted
//! quoted    = '"' without '"' '"'  |  "'" without "'" "'"
//! ```
//!
//! A `<` that no letter and no `/` follows is text, as in `2 < 3`. A value may hold `<` and `>`. What is
//! no complete tag is text as well and is reported beside the pieces. Every text is read in one pass.

/// A part of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text to be spoken.
    Text(&'a str),
    /// A tag.
    Tag(Tag<'a>),
}

/// A tag, whether its name is known or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which kind of tag.
    pub form: Form,
    /// Its attributes in order, values without their quotes.
    pub attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let found = self.attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// The kinds of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `<name>`
    Open,
    /// `</name>`
    Close,
    /// `<name/>`
    Alone,
}

/// Something that begins like a tag and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// How it begins.
    pub begins: &'a str,
    /// What was expected instead.
    pub expected: &'static str,
}

/// An action, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Its parts in order. Texts are never empty, and two texts never follow each other.
    pub pieces: Vec<Piece<'a>>,
    /// What looks like a tag and is none.
    pub malformed: Vec<Malformed<'a>>,
}

impl<'a> Parsed<'a> {
    /// The tags in order.
    pub fn tags(&self) -> impl Iterator<Item = &Tag<'a>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Tag(tag) => Some(tag),
            Piece::Text(_) => None,
        })
    }
}

/// Takes an action apart.
pub fn parse(action: &str) -> Parsed<'_> {
    let parsed = pieces(action);
    if parsed.malformed.is_empty() {
        return parsed;
    }
    // `<ivr text="a <silence time="1s"/> b"/>`: the tag is the whole action, so its end is known.
    match whole(action) {
        Some(tag) => Parsed {
            pieces: vec![Piece::Tag(tag)],
            malformed: Vec::new(),
        },
        None => parsed,
    }
}

fn pieces(action: &str) -> Parsed<'_> {
    let mut parsed = Parsed::default();
    // Where the text that is not yet a piece begins, and where the search goes on.
    let (mut text, mut search) = (0, 0);
    while let Some(found) = action.get(search..).and_then(|rest| rest.find('<')) {
        let start = search + found;
        let rest = action.get(start..).unwrap_or_default();
        search = start + 1;
        if !begins_tag(rest) {
            continue;
        }
        match tag(rest) {
            Ok((tag, after)) => {
                let end = action.len() - after.len();
                push_text(&mut parsed, action.get(text..start));
                parsed.pieces.push(Piece::Tag(tag));
                (text, search) = (end, end);
            }
            Err(expected) => parsed.malformed.push(Malformed {
                begins: beginning(rest),
                expected,
            }),
        }
    }
    push_text(&mut parsed, action.get(text..));
    parsed
}

fn push_text<'a>(parsed: &mut Parsed<'a>, text: Option<&'a str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        parsed.pieces.push(Piece::Text(text));
    }
}

fn begins_tag(rest: &str) -> bool {
    let mut following = rest.chars().skip(1);
    match following.next() {
        Some('/') => following.next().is_some_and(|c| c.is_ascii_alphabetic()),
        Some(c) => c.is_ascii_alphabetic(),
        None => false,
    }
}

/// Reads one tag and returns what follows it.
fn tag(text: &str) -> Result<(Tag<'_>, &str), &'static str> {
    let inside = text.strip_prefix('<').unwrap_or(text);
    if let Some(closing) = inside.strip_prefix('/') {
        let (name, rest) = name(closing);
        let rest = rest
            .trim_start()
            .strip_prefix('>')
            .ok_or("a `>` after its name")?;
        let tag = Tag {
            name,
            form: Form::Close,
            attributes: Vec::new(),
        };
        return Ok((tag, rest));
    }
    let (name, mut rest) = name(inside);
    let mut attributes = Vec::new();
    loop {
        let next = rest.trim_start();
        let form = match next.strip_prefix("/>") {
            Some(after) => Some((Form::Alone, after)),
            None => next.strip_prefix('>').map(|after| (Form::Open, after)),
        };
        if let Some((form, after)) = form {
            let tag = Tag {
                name,
                form,
                attributes,
            };
            return Ok((tag, after));
        }
        if next.len() == rest.len() {
            return Err("a space between its parts, and `/>` or `>` at its end");
        }
        let (attribute, after) = attribute(next)?;
        attributes.push(attribute);
        rest = after;
    }
}

/// Reads letters, digits and underscores, and returns what follows.
fn name(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}

type Attribute<'a> = (&'a str, &'a str);

fn attribute(text: &str) -> Result<(Attribute<'_>, &str), &'static str> {
    let (name, rest) = name(text);
    if name.is_empty() {
        return Err("attributes such as time=\"2s\", and `/>` or `>` at its end");
    }
    let rest = rest
        .trim_start()
        .strip_prefix('=')
        .ok_or("a `=` and a value in quotes after each attribute's name")?
        .trim_start();
    let quote = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))
        .ok_or("quotes around the value of each attribute")?;
    let (value, rest) = rest
        .get(1..)
        .and_then(|rest| rest.split_once(quote))
        .ok_or("a second quote after the value of its attribute")?;
    Ok(((name, value), rest))
}

/// The action as one tag with a text, if it is that: its value goes on to the last quote.
fn whole(action: &str) -> Option<Tag<'_>> {
    let inside = action.trim().strip_prefix('<')?.strip_suffix("/>")?;
    let (name, rest) = name(inside);
    if !matches!(name, "ivr" | "voicemail") {
        return None;
    }
    let value = rest
        .trim()
        .strip_prefix("text")?
        .trim_start()
        .strip_prefix('=')?
        .trim_start();
    let value = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))?;
    pieces(value).malformed.is_empty().then(|| Tag {
        name,
        form: Form::Alone,
        attributes: vec![("text", value)],
    })
}

/// The first characters, for messages.
fn beginning(text: &str) -> &str {
    const LONGEST: usize = 30;
    let end = text.char_indices().nth(LONGEST);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
