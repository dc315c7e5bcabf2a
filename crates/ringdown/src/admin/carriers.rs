//! `ringdown carriers`: accounts at providers, with which runs are dialed. A secret is read from a file, the
//! environment or standard input, never from the command line, which other users and the shell's history see.

use std::io::Read as _;

use clap::{Args, Subcommand};
use ringdown_domain::CarrierName;
use serde_json::{Map, Value, json};

use super::args::{Consent, Service};
use super::{client, confirm, output};
use crate::attempts::failure;
use crate::cli::Format;
use crate::exit::{Failure, Outcome};

/// Longest secret that is read, in bytes.
const LONGEST_SECRET: u64 = 64 * 1024;

/// `ringdown carriers`
#[derive(Debug, Args)]
pub(crate) struct Carriers {
    #[command(flatten)]
    service: Service,
    #[command(subcommand)]
    command: CarriersCommand,
}

/// What to do with carriers.
#[derive(Debug, Subcommand)]
pub(crate) enum CarriersCommand {
    /// List the carriers.
    List,
    /// Show a carrier and the agents that are dialed through it.
    Show {
        /// Its name.
        name: CarrierName,
    },
    /// Add a carrier.
    Add {
        /// Its name: 1 to 40 letters, digits, '-', '_' and '.'. It cannot change.
        name: CarrierName,
        /// The provider, for example twilio.
        provider: String,
        #[command(flatten)]
        fields: CarrierFields,
    },
    /// Change a carrier; what is not named stays.
    Set {
        /// Its name.
        name: CarrierName,
        /// Another provider. Forget the secrets of the old one with it.
        #[arg(long)]
        provider: Option<String>,
        #[command(flatten)]
        fields: CarrierFields,
        /// A secret to forget. May be repeated.
        #[arg(long = "forget-secret", value_name = "NAME")]
        forgotten: Vec<String>,
    },
    /// Take a carrier away. It stays while agents are dialed through it.
    Remove {
        /// Its name.
        name: CarrierName,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Fields of a carrier.
#[derive(Debug, Args)]
pub(crate) struct CarrierFields {
    /// A setting: a text, true, false or a JSON object. Without a value it is taken away. May be repeated.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// A secret, read from a file, from an environment variable, or with - from standard input. May be
    /// repeated.
    #[arg(long = "secret", value_name = "NAME=@FILE|env:VAR|-", value_parser = secret)]
    secrets: Vec<(String, Source)>,
    /// How many calls may start with it per second, 0.001 to 10000; 0: the provider's default.
    #[arg(long)]
    calls_per_second: Option<f64>,
    /// How many calls may be up with it at once, 1 to 1000000; 0: the provider's default.
    #[arg(long)]
    concurrent_calls: Option<u32>,
}

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File(String),
    Variable(String),
    Input,
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = pair(text)?;
    let value = match serde_json::from_str(value) {
        _ if value.is_empty() => Value::Null,
        Ok(value @ (Value::Bool(_) | Value::Object(_))) => value,
        // Numbers of accounts are texts too, and a prompt may begin like an object.
        _ => value.into(),
    };
    Ok((name.to_owned(), value))
}

fn secret(text: &str) -> Result<(String, Source), String> {
    // The value is not repeated: whoever put a secret here has shown it often enough.
    let wrong = "give NAME=@FILE, NAME=env:VARIABLE or NAME=- for standard input; a secret on the command \
                 line can be seen by others";
    let (name, value) = text.split_once('=').ok_or(wrong)?;
    let source = match (value.strip_prefix('@'), value.strip_prefix("env:")) {
        (Some(file), _) if !file.is_empty() => Source::File(file.to_owned()),
        (_, Some(variable)) if !variable.is_empty() => Source::Variable(variable.to_owned()),
        _ if value == "-" => Source::Input,
        _ => return Err(wrong.to_owned()),
    };
    if name.is_empty() {
        return Err(wrong.to_owned());
    }
    Ok((name.to_owned(), source))
}

impl Source {
    /// The secret, without the line break that ends a file.
    fn read(&self, name: &str) -> Result<String, Failure> {
        let failed = |place: &str, why: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "failed to read the secret {name} from {place}: {why}"
            ))
        };
        let read = |place: &str, from: &mut dyn std::io::Read| {
            let mut text = String::new();
            let mut limited = from.take(LONGEST_SECRET + 1);
            let length = limited
                .read_to_string(&mut text)
                .map_err(|error| failed(place, &error))?;
            if length as u64 > LONGEST_SECRET {
                let why = format!("it has more than {LONGEST_SECRET} bytes");
                return Err(failed(place, &why));
            }
            Ok(text)
        };
        let (place, text) = match self {
            Self::File(path) => {
                let mut file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
                (path.clone(), read(path, &mut file)?)
            }
            Self::Variable(variable) => {
                let place = format!("the environment variable {variable}");
                let text = std::env::var(variable).map_err(|error| failed(&place, &error))?;
                (place, text)
            }
            Self::Input => {
                let place = "standard input";
                (place.to_owned(), read(place, &mut std::io::stdin().lock())?)
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(failed(&place, &"it is empty"));
        }
        Ok(text.to_owned())
    }
}

impl CarrierFields {
    /// The fields of the API, beside the settings that there are.
    fn read(
        self,
        mut settings: Map<String, Value>,
        forgotten: &[String],
    ) -> Result<Value, Failure> {
        let mut body = Map::new();
        if !self.settings.is_empty() {
            for (name, value) in self.settings {
                if value.is_null() {
                    settings.remove(&name);
                } else {
                    settings.insert(name, value);
                }
            }
            body.insert("settings".to_owned(), settings.into());
        }
        let from_input = self.secrets.iter().filter(|(_, one)| *one == Source::Input);
        if from_input.count() > 1 {
            return Err(Failure::usage(
                "only one secret can be read from standard input",
            ));
        }
        let mut secrets = Map::new();
        for name in forgotten {
            secrets.insert(name.clone(), Value::Null);
        }
        for (name, source) in &self.secrets {
            secrets.insert(name.clone(), source.read(name)?.into());
        }
        if !secrets.is_empty() {
            body.insert("secrets".to_owned(), secrets.into());
        }
        if let Some(calls) = self.calls_per_second {
            let calls = Some(calls).filter(|calls| *calls != 0.0);
            body.insert("calls_per_second".to_owned(), json!(calls));
        }
        if let Some(calls) = self.concurrent_calls {
            let calls = Some(calls).filter(|calls| *calls != 0);
            body.insert("concurrent_calls".to_owned(), json!(calls));
        }
        Ok(body.into())
    }
}

fn with(mut body: Value, name: &str, value: Option<String>) -> Value {
    if let (Value::Object(fields), Some(value)) = (&mut body, value) {
        fields.insert(name.to_owned(), value.into());
    }
    body
}

/// `ringdown carriers`
pub(crate) async fn carriers(carriers: Carriers, format: Format) -> Outcome {
    let client = client(&carriers.service)?;
    match carriers.command {
        CarriersCommand::List => {
            let columns = [
                ("Name", "name"),
                ("Provider", "provider"),
                ("Secrets", "secrets_configured"),
                ("Calls per second", "calls_per_second"),
                ("Calls at once", "concurrent_calls"),
            ];
            let all = client.carriers().await.map_err(failure)?;
            output::list(&all, &columns, format)
        }
        CarriersCommand::Show { name } => {
            output::one(&client.carrier(&name).await.map_err(failure)?, format)
        }
        CarriersCommand::Add {
            name,
            provider,
            fields,
        } => {
            let body = fields.read(Map::new(), &[])?;
            let body = with(body, "name", Some(name.to_string()));
            let body = with(body, "provider", Some(provider));
            let made = client.create_carrier(&body).await.map_err(failure)?;
            output::one(&made, format)
        }
        CarriersCommand::Set {
            name,
            provider,
            fields,
            forgotten,
        } => {
            let before = client.carrier(&name).await.map_err(failure)?;
            // The settings of one provider are none of another's.
            let settings = match &provider {
                Some(other) if *other != before.carrier.provider => Map::new(),
                _ => before.carrier.settings,
            };
            let body = with(fields.read(settings, &forgotten)?, "provider", provider);
            let changed = client.update_carrier(&name, &body).await;
            output::one(&changed.map_err(failure)?, format)
        }
        CarriersCommand::Remove { name, consent } => {
            confirm(consent.yes, &format!("Take the carrier {name} away?"))?;
            client.delete_carrier(&name).await.map_err(failure)?;
            output::gone("carrier", name.as_str(), format)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_texts_flags_and_objects() {
        for (text, value) in [
            ("a=1", json!("1")),
            ("a=true", json!(true)),
            ("a=x=y", json!("x=y")),
            ("a={\"b\": 1}", json!({"b": 1})),
            ("a={{name}}, hello", json!("{{name}}, hello")),
            ("a=[1]", json!("[1]")),
            ("a=", Value::Null),
        ] {
            assert_eq!(setting(text), Ok(("a".to_owned(), value)));
        }
        assert!(setting("a").is_err() && setting("=a").is_err());
    }

    #[test]
    fn a_secret_is_no_argument() {
        let source = |text| secret(text).map(|(_, source)| source);
        assert_eq!(source("a=@f=g"), Ok(Source::File("f=g".to_owned())));
        assert_eq!(source("a=env:V"), Ok(Source::Variable("V".to_owned())));
        assert_eq!(source("a=-"), Ok(Source::Input));
        for bad in ["a=s3cret", "a", "a=", "=-", "a=@", "a=env:", "s3cret"] {
            let why = secret(bad).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn a_secret_is_read_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let source = Source::File(file.display().to_string());
        for (content, secret) in [
            ("a\r\n", "a"),
            ("a\nb\n", "a\nb"),
            ("a ", "a "),
            ("a\n\n", "a\n"),
        ] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(source.read("x").unwrap(), secret);
        }
        for content in [String::new(), "\n".to_owned(), "x".repeat(70_000)] {
            std::fs::write(&file, content).unwrap();
            assert!(source.read("x").is_err());
        }
        let none = Source::Variable("RINGDOWN_TEST_NOT_THERE".to_owned());
        assert!(none.read("x").is_err());
    }

    #[test]
    fn what_is_not_named_stays() {
        let fields = CarrierFields {
            settings: vec![setting("a=").unwrap(), setting("b=2").unwrap()],
            secrets: vec![],
            calls_per_second: Some(0.0),
            concurrent_calls: Some(3),
        };
        let before = json!({"a": "1", "b": "1", "c": "1"});
        let before = before.as_object().unwrap().clone();
        assert_eq!(
            fields.read(before, &["old".to_owned()]).unwrap(),
            json!({"settings": {"b": "2", "c": "1"}, "secrets": {"old": null},
                   "calls_per_second": null, "concurrent_calls": 3})
        );
    }
}
