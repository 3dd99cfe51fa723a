//! Values of the configuration: a table is taken apart key by key, so that all mistakes are told.

use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::time::Duration;
use toml::{Table, Value};

/// Mistakes, a sentence for each.
#[derive(Debug, Default)]
pub struct Mistakes(pub Vec<String>);

impl Mistakes {
    /// One more.
    pub fn add(&mut self, key: &str, why: impl Display) {
        self.0.push(format!("{key} {why}"));
    }
}

/// One table of the file.
pub struct Section {
    name: &'static str,
    table: Table,
    /// Whether the file has it.
    pub there: bool,
}

impl Section {
    /// Takes the table of this name out of the file.
    pub fn take(file: &mut Table, name: &'static str, mistakes: &mut Mistakes) -> Self {
        let (table, there) = match file.remove(name) {
            None => (Table::new(), false),
            Some(Value::Table(table)) => (table, true),
            Some(_) => {
                mistakes.add(name, format!("is not a table: write [{name}] on a line of its own"));
                (Table::new(), false)
            }
        };
        Self { name, table, there }
    }

    /// A value, if it is there.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<T> {
        let value = self.table.remove(key)?;
        match value.try_into() {
            Ok(value) => Some(value),
            Err(e) => {
                mistakes.add(&self.key(key), format!("can't be used: {}", e.to_string().trim()));
                None
            }
        }
    }

    /// A value that must be there if the table is.
    pub fn need<T: DeserializeOwned + Default>(&mut self, key: &str, mistakes: &mut Mistakes) -> T {
        if self.there && !self.table.contains_key(key) {
            mistakes.add(&self.key(key), "is missing");
        }
        self.get(key, mistakes).unwrap_or_default()
    }

    /// One of these words.
    pub fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], mistakes: &mut Mistakes) -> T {
        let chosen = self.get::<String>(key, mistakes);
        let found = chosen.as_deref().map(|word| words.iter().find(|(name, _)| *name == word));
        if let Some(None) = found {
            let names: Vec<_> = words.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let word = chosen.unwrap_or_default();
            mistakes.add(&self.key(key), format!("{word:?} is none of {}", names.join(", ")));
        }
        found.flatten().unwrap_or(&words[0]).1
    }

    /// A time: seconds, or a number with s, m, h or d.
    pub fn time(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Duration> {
        let value = self.table.remove(key)?;
        let time = match &value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::String(text) => duration(text),
            _ => None,
        };
        if time.is_none() {
            mistakes.add(&self.key(key), format!("{value} is not a time: 3600, \"1h\", \"7d\""));
        }
        time
    }

    /// Whatever is left is not known.
    pub fn end(self, mistakes: &mut Mistakes) {
        for key in self.table.keys() {
            mistakes.add(&self.key(key), "is unknown");
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return text.parse().ok().map(Duration::from_secs),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("90", Some(90)),
            ("1m", Some(60)),
            ("2 h", Some(7200)),
            ("7d", Some(604_800)),
            ("", None),
            ("d", None),
            ("1w", None),
            ("-1d", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
