//! The Reason header field of a call that goes on although it was not verified (RFC 9410).

use crate::error::{Code, Error, Result};
use crate::outcome::Response;
use crate::verify::Report;

/// Which protocol the value names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Protocol {
    /// RFC 9410.
    #[default]
    Stir,
    /// What was used before it.
    Sip,
}

/// How the PASSporT that failed is named (RFC 9410 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Identifier {
    Off,
    /// The signature alone: the form of a PASSporT whose header and payload the call repeats
    /// (RFC 8225 §7).
    #[default]
    Compact,
    Full,
}

/// How a Reason value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    protocol: Protocol,
    identifier: Identifier,
}

impl Reason {
    /// `reason_protocol`: "stir" or "sip".
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub fn set_protocol(&mut self, name: &str) -> Result<()> {
        self.protocol = match name.to_ascii_lowercase().as_str() {
            "stir" => Protocol::Stir,
            "sip" => Protocol::Sip,
            _ => return Err(wrong(format!("reason_protocol \"{name}\" is neither stir nor sip"))),
        };
        Ok(())
    }

    /// `ppi`: "off", "compact" or "full".
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub fn set_ppi(&mut self, name: &str) -> Result<()> {
        self.identifier = match name {
            "off" => Identifier::Off,
            "compact" => Identifier::Compact,
            "full" => Identifier::Full,
            _ => return Err(wrong(format!("ppi \"{name}\" is none of off, compact, full"))),
        };
        Ok(())
    }

    /// `STIR ;cause=436 ;text="Bad Identity Info" ;ppi="…"`, one for each header field that failed, with
    /// commas between (RFC 9410 §6), though another one may have passed (§5); `None` where none failed.
    /// Protocol SIP has one value for each protocol alone (RFC 3326 §2).
    pub fn value(&self, report: &Report) -> Option<String> {
        let most = match self.protocol {
            Protocol::Stir => usize::MAX,
            Protocol::Sip if report.result.is_ok() => 0,
            Protocol::Sip => 1,
        };
        let mut values: Vec<String> = Vec::new();
        for (response, token) in report.failures().take(most) {
            let value = self.one(response, token);
            // Without a token nothing parts them.
            if !values.contains(&value) {
                values.push(value);
            }
        }
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn one(&self, response: Response, token: &str) -> String {
        let protocol = match self.protocol {
            Protocol::Stir => "STIR",
            Protocol::Sip => "SIP",
        };
        let (cause, text) = (response.code(), response.phrase());
        let mut value = format!("{protocol} ;cause={cause} ;text=\"{text}\"");
        // Only what is base64url: it goes between quotes into a header.
        let clean = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        if self.protocol == Protocol::Stir && !token.is_empty() && token.bytes().all(clean) {
            let signature = token.rsplit('.').next().unwrap_or_default();
            match self.identifier {
                Identifier::Off => {}
                Identifier::Compact => value.push_str(&format!(" ;ppi=\"..{signature}\"")),
                Identifier::Full => value.push_str(&format!(" ;ppi=\"{token}\"")),
            }
        }
        value
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_names_the_failure_and_the_token() {
        let failed = || Report::failed(Error::new(Code::HttpGet, "no answer"));
        let token = Report { token: "aa.bb.c-_".into(), ..failed() };
        let odd = Report { token: "aa.b\"b.cc".into(), ..failed() };
        let stir = "STIR ;cause=436 ;text=\"Bad Identity Info\"";
        let compact = format!("{stir} ;ppi=\"..c-_\"");
        let full = format!("{stir} ;ppi=\"aa.bb.c-_\"");
        let sip = "SIP ;cause=436 ;text=\"Bad Identity Info\"";
        for (protocol, ppi, report, expected) in [
            ("stir", "compact", &token, compact.as_str()),
            ("STIR", "full", &token, &full),
            ("stir", "off", &token, stir),
            ("stir", "full", &odd, stir),
            ("stir", "compact", &failed(), stir),
            ("sip", "full", &token, sip),
        ] {
            let mut reason = Reason::default();
            reason.set_protocol(protocol).unwrap();
            reason.set_ppi(ppi).unwrap();
            assert_eq!(reason.value(report).as_deref(), Some(expected), "{protocol} {ppi}");
        }
        let passed = Report { result: Ok(()), ..token.clone() };
        assert_eq!(Reason::default().value(&passed), None);
        // Others that failed, beside one that did not, and beside one that did.
        let forged = Error::new(Code::SignatureInvalid, "forged");
        let other = |token: &str| Report {
            result: Err(forged.clone()),
            token: token.into(),
            ..Report::failed(forged.clone())
        };
        let invalid = "STIR ;cause=438 ;text=\"Invalid Identity Header\"";
        let others = || [other("aa.bb.d"), other("aa.bb.e"), other(""), other("")];
        let beside = format!("{invalid} ;ppi=\"..d\", {invalid} ;ppi=\"..e\", {invalid}");
        let mut sip = Reason::default();
        sip.set_protocol("sip").unwrap();
        let both = passed.with(others());
        assert_eq!(Reason::default().value(&both), Some(beside.clone()));
        assert_eq!(sip.value(&both), None);
        let both = token.with(others());
        assert_eq!(Reason::default().value(&both), Some(format!("{compact}, {beside}")));
        assert_eq!(sip.value(&both).as_deref(), Some("SIP ;cause=436 ;text=\"Bad Identity Info\""));
        assert!(Reason::default().set_protocol("q.850").is_err());
        assert!(Reason::default().set_ppi("short").is_err());
    }
}
