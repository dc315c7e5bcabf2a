use ringdown_domain::{E164, Timestamp};

/// An argument of a statement. Every column is one of these, so that both databases agree.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Real(Option<f64>),
    Bool(Option<bool>),
    Bytes(Vec<u8>),
}

/// The text as both databases can store it: PostgreSQL has no U+0000, which a caller may well send.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

macro_rules! value_from {
    ($($from:ty => $variant:ident, $convert:expr;)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                let convert: fn($from) -> _ = $convert;
                Self::$variant(Some(convert(value)))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                let convert: fn($from) -> _ = $convert;
                Self::$variant(value.map(convert))
            }
        }
    )*};
}

value_from! {
    i64 => Int, |value| value;
    u32 => Int, i64::from;
    u16 => Int, i64::from;
    Timestamp => Int, Timestamp::as_micros;
    f64 => Real, |value| value;
    bool => Bool, |value| value;
    String => Text, |value| storable(&value);
    &str => Text, storable;
    &String => Text, |value| storable(value);
    &E164 => Text, ToString::to_string;
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Self::Text(value.as_deref().map(storable))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

/// Binds every argument to a query of either driver.
macro_rules! bind_all {
    ($query:expr, $arguments:expr) => {{
        let mut query = $query;
        for argument in $arguments {
            query = match argument {
                $crate::sql::Value::Int(value) => query.bind(value),
                $crate::sql::Value::Text(value) => query.bind(value),
                $crate::sql::Value::Real(value) => query.bind(value),
                $crate::sql::Value::Bool(value) => query.bind(value),
                $crate::sql::Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}
pub(crate) use bind_all;
