use serde_json::{Value, json};

/// What a parameter or a field of a body holds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(dead_code, reason = "a vocabulary, not all of which is in use")]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A text of at most so many characters.
    Short(u32),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A phone number in E.164.
    Phone,
    /// A time, RFC 3339.
    Time,
    /// A URL.
    Url,
    /// An id of something.
    Id,
    /// A whole number.
    Integer,
    /// A whole number from the first to the second.
    Range(i64, i64),
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list of ids.
    Ids,
    /// A list of whole numbers and nulls.
    Numbers,
    /// A list of texts.
    Texts,
    /// A list of anything.
    List,
    /// An object with any fields.
    Object,
    /// Anything.
    Any,
}

impl Kind {
    /// The JSON schema.
    pub(crate) fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Short(max) => json!({"type": "string", "maxLength": max}),
            Self::OneOf(texts) => json!({"type": "string", "enum": texts}),
            Self::Phone => json!({"type": "string", "pattern": "^\\+[1-9][0-9]{1,14}$"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Url => json!({"type": "string", "format": "uri"}),
            Self::Id => json!({"type": "integer", "format": "int64", "minimum": 1}),
            Self::Integer => json!({"type": "integer", "format": "int64"}),
            Self::Range(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
            Self::Number => json!({"type": "number"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Ids => json!({"type": "array", "items": Self::Id.schema()}),
            Self::Numbers => json!({"type": "array", "items": {"type": ["integer", "null"]}}),
            Self::Texts => json!({"type": "array", "items": Self::Text.schema()}),
            Self::List => json!({"type": "array", "items": {}}),
            Self::Object => json!({"type": "object"}),
            Self::Any => json!({}),
        }
    }
}
