use ringdown_domain::{E164, Timestamp};

/// An argument of a statement. Every column is one of these, so that both databases agree.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bool(Option<bool>),
    Bytes(Vec<u8>),
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
    bool => Bool, |value| value;
    String => Text, |value| value;
    &str => Text, str::to_owned;
    &String => Text, String::clone;
    &E164 => Text, ToString::to_string;
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Self::Text(value.clone())
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
                $crate::sql::Value::Bool(value) => query.bind(value),
                $crate::sql::Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}
pub(crate) use bind_all;
