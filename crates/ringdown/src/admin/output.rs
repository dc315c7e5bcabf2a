use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::cli::Format;
use crate::exit::{Exit, Failure, Outcome};
use crate::print;

/// A cell of a table.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints a list: a table of these `(heading, field)` columns, or JSON with every field.
pub(super) fn list<T: Serialize>(rows: &[T], columns: &[(&str, &str)], format: Format) -> Outcome {
    if format == Format::Json {
        print::json(&rows)?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        eprintln!("there are none");
        return Ok(Exit::Success);
    }
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut table = print::table(&headings);
    for row in rows {
        let row = serde_json::to_value(row).map_err(Failure::internal)?;
        let cells = columns.iter().map(|(_, field)| {
            let value = row.get(field).unwrap_or(&Value::Null);
            cell(value)
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    print::line(&table.to_string())?;
    Ok(Exit::Success)
}

/// Prints one object: its fields, one a line, or JSON.
pub(super) fn one(object: &impl Serialize, format: Format) -> Outcome {
    if format == Format::Json {
        print::json(object)?;
        return Ok(Exit::Success);
    }
    let value = serde_json::to_value(object).map_err(Failure::internal)?;
    let mut table = print::table(&["Field", "Value"]);
    for (name, value) in value.as_object().into_iter().flatten() {
        table.add_row([name.clone(), cell(value)]);
    }
    print::line(&table.to_string())?;
    Ok(Exit::Success)
}

/// Says that something is gone.
pub(super) fn gone(what: &str, id: impl Serialize + Display, format: Format) -> Outcome {
    match format {
        Format::Human => eprintln!("{what} {id} is gone"),
        Format::Json => print::json(&serde_json::json!({"gone": id}))?,
    }
    Ok(Exit::Success)
}
