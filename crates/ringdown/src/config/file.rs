use std::path::Path;

use super::trunk::TRUNKS;

/// What a TOML file says.
pub(super) struct File {
    /// Settings of one value, `section.key` and value.
    pub(super) values: Vec<(String, String)>,
    /// The tables of `[[sip.trunk]]`, in their order.
    pub(super) trunks: Vec<toml::Table>,
}

/// Reads a TOML file.
pub(super) fn read(path: &Path) -> Result<File, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let mut table: toml::Table = text.parse().map_err(|error| format!("{shown}: {error}"))?;
    let trunks = trunks(&mut table).map_err(|error| format!("{shown}: {error}"))?;
    let mut values = Vec::new();
    flatten("", &table, &mut values);
    Ok(File { values, trunks })
}

/// Takes the trunks out of the file's tables.
fn trunks(table: &mut toml::Table) -> Result<Vec<toml::Table>, String> {
    let found = TRUNKS.split_once('.').and_then(|(section, key)| {
        let section = table.get_mut(section)?.as_table_mut()?;
        section.remove(key)
    });
    match found {
        None => Ok(Vec::new()),
        Some(found) => found
            .try_into()
            .map_err(|_| format!("{TRUNKS}: expected tables that begin with [[{TRUNKS}]]")),
    }
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{key}."), inner, values),
            toml::Value::String(text) => values.push((key, text.clone())),
            toml::Value::Array(items) => {
                let texts: Vec<String> = items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect();
                values.push((key, texts.join(",")));
            }
            other => values.push((key, other.to_string())),
        }
    }
}
