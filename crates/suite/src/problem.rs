use std::collections::BTreeMap;
use std::fmt;

/// Most problems that are kept of one document; further ones are counted.
pub const MAX_PROBLEMS: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, for example `scenarios[2].conditional_actions.conditions[0].id`; empty: the whole
    /// document.
    pub path: String,
    /// What is wrong and what to do, as a sentence.
    pub message: String,
}

/// Everything that is wrong, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.kept.len() == MAX_PROBLEMS {
            self.left_out += 1;
            return;
        }
        self.kept.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    pub(crate) fn append(&mut self, other: Self) {
        for problem in other.kept {
            self.add(problem.path, problem.message);
        }
        self.left_out += other.left_out;
    }

    /// The value, if nothing is wrong.
    pub(crate) fn or<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            Some(_) => Err(self),
            None => {
                if self.is_empty() {
                    self.add("", "The document cannot be read.");
                }
                Err(self)
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The problems that were kept.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// How many more there are.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The messages by path, as the API answers them.
    pub fn by_path(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for problem in &self.kept {
            by_path
                .entry(&problem.path)
                .or_default()
                .push(&problem.message);
        }
        by_path
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.kept.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            f.write_str(&problem.message)?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more problems", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The path of a field in an object.
pub(crate) fn field(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (plain, path.is_empty()) {
        (true, true) => name.to_owned(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}['{}']", brief(name)),
    }
}

/// The path of an item in a list.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The start of a text, for messages.
pub(crate) fn brief(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut brief: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        brief.push('…');
    }
    brief
}

/// `1 character`, `2 characters`.
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
