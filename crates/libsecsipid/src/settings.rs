//! The options of the library.

use std::ffi::c_int;
use stir::{Code, Config, Error, Result};

/// Which function sets an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
}

impl Kind {
    /// The kind of this option.
    pub(crate) fn of(name: &str) -> Result<Self> {
        match name {
            "CacheDirPath" | "CertCAFile" | "CertCAInter" | "CertCRLFile" | "x5u" => Ok(Self::Text),
            "CacheExpires" | "CertVerify" | "AttrsVerify" | "KeyTables" => Ok(Self::Number),
            _ => Err(unknown(name)),
        }
    }
}

/// All options.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// `x5u` of calls that name none. Any text, as in the stock library: a wrong one fails when it signs.
    pub(crate) x5u: String,
    /// `AttrsVerify=0`: the JOSE header is not judged.
    ignore_attributes: bool,
}

impl Settings {
    /// Whether the members of the JOSE header are checked.
    pub(crate) fn attributes(&self) -> bool {
        !self.ignore_attributes
    }

    /// Sets an option of this kind.
    ///
    /// # Errors
    /// [`Code::Generic`] for one that is unknown or of the other kind, and for a wrong number.
    pub(crate) fn set(&mut self, kind: Kind, name: &str, value: &str) -> Result<()> {
        if Kind::of(name)? != kind {
            return Err(unknown(name));
        }
        match name {
            "x5u" => self.x5u = value.to_owned(),
            "AttrsVerify" => self.ignore_attributes = value == "0",
            "KeyTables" => self.set_key_tables(value)?,
            _ => self.config.set_option(&format!("{name}={value}"))?,
        }
        Ok(())
    }

    fn set_key_tables(&mut self, value: &str) -> Result<()> {
        let wrong = |_| Error::new(Code::Generic, format!("KeyTables={value} is not a number"));
        let key_tables = value.parse().map_err(wrong)?;
        let config = Config { key_tables, ..self.config.clone() };
        config.check_values()?;
        self.config = config;
        Ok(())
    }

    /// The value of an option that is a number.
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub(crate) fn number(&self, name: &str) -> Result<c_int> {
        let value = match name {
            "CacheExpires" => self.config.cache_expire,
            "CertVerify" => self.config.cert_verify.bits(),
            "KeyTables" => self.config.key_tables,
            "AttrsVerify" => self.attributes().into(),
            _ => return Err(unknown(name)),
        };
        Ok(c_int::try_from(value).unwrap_or(c_int::MAX))
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Code::Generic, format!("there is no such option as \"{name}\" of this kind"))
}
