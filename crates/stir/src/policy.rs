//! How much of the standards a check enforces, and against what.

use crate::error::{Code, Error, Result};
use crate::passport::MAX_DEST;
use crate::profile::{Policies, Profile};
use crate::tn::Numbering;
use crate::verify::MAX_IDENTITIES;
use crate::x5u::X5uRules;

/// What `check_identity` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// As the stock module answers, less its defects.
    #[default]
    Compat,
    /// The verification service of ATIS-1000074 and RFC 8224 §6.2.
    Shaken,
}

/// Header fields that name the caller, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrigSource {
    /// P-Asserted-Identity.
    Pai,
    /// From.
    From,
}

/// Where the called is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DestSource {
    /// To.
    To,
    /// The Request-URI.
    Ruri,
    /// One of both is enough.
    #[default]
    Either,
}

/// What is done about a token that was seen in another call (RFC 8225 §10.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// No token is remembered.
    Off,
    /// It passes, with one WARNING: a call that a switch sends again as a new one has its token too.
    #[default]
    Log,
    /// The check fails.
    Refuse,
}

impl Replay {
    /// By its name: off, log, refuse.
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "log" => Ok(Self::Log),
            "refuse" => Ok(Self::Refuse),
            _ => Err(wrong(format!("replay \"{name}\" is not off, log or refuse"))),
        }
    }
}

/// Longest [`Shaken::div_expire`], in seconds: RFC 8946 knows of calls that ring for hours.
const MAX_DIV_EXPIRE: u32 = 24 * 3600;

/// The settings of [`Policy::Shaken`]; the texts are as Kamailio's parameters have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaken {
    /// Who calls: ATIS asks P-Asserted-Identity first, France From.
    pub orig_source: Vec<OrigSource>,
    /// Who is called.
    pub dest_source: DestSource,
    /// Identity header fields that are looked at.
    pub max_identity: usize,
    /// Parties in the `dest` of a token that verifies: a copied token can call each of them.
    pub max_dest: usize,
    /// How old the tokens of a diverted call may be, but for the last diversion, in seconds: a call
    /// may ring for long before it is diverted (RFC 8946 §4.2). Never less than
    /// [`Config::expire`](crate::Config::expire).
    pub div_expire: u32,
    /// What is done about a token that was seen in another call.
    pub replay: Replay,
    /// Whether a token that names no extension is a base PASSporT (RFC 8224 §6.2).
    pub base_passport: bool,
    /// The certificate's profile.
    pub profile: Profile,
    /// The certificatePolicies that the profile asks for.
    pub policies: Policies,
    /// Whether the certificate's CN must be that of its SPC.
    pub spc_match: bool,
    /// Whether orig must be among the TNAuthList's numbers, where it names any.
    pub tn_authlist_match: bool,
    /// Hosts and networks that may be asked for certificates.
    pub x5u_permit: String,
    /// Those that may not.
    pub x5u_deny: String,
}

impl Default for Shaken {
    fn default() -> Self {
        Self {
            orig_source: vec![OrigSource::Pai, OrigSource::From],
            dest_source: DestSource::default(),
            max_identity: MAX_IDENTITIES,
            max_dest: 8,
            div_expire: 600,
            replay: Replay::default(),
            base_passport: false,
            profile: Profile::default(),
            policies: Policies::default(),
            spc_match: false,
            tn_authlist_match: true,
            x5u_permit: String::new(),
            x5u_deny: String::new(),
        }
    }
}

impl Shaken {
    /// `orig_source`: "pai,from", "from,pai", "pai" or "from".
    ///
    /// # Errors
    /// [`Code::Generic`] for anything else.
    pub fn set_orig_source(&mut self, text: &str) -> Result<()> {
        let sources: Option<Vec<_>> = text
            .split(',')
            .map(|name| match name.trim() {
                "pai" => Some(OrigSource::Pai),
                "from" => Some(OrigSource::From),
                _ => None,
            })
            .collect();
        match sources {
            Some(sources) if sources.len() == 1 || matches!(sources[..], [a, b] if a != b) => {
                self.orig_source = sources;
                Ok(())
            }
            _ => Err(wrong(format!(
                "orig_source \"{text}\" is none of \"pai,from\", \"from,pai\", \"pai\", \"from\""
            ))),
        }
    }

    /// `dest_source`: "to", "ruri" or "either".
    ///
    /// # Errors
    /// [`Code::Generic`] for anything else.
    pub fn set_dest_source(&mut self, text: &str) -> Result<()> {
        self.dest_source = match text {
            "to" => DestSource::To,
            "ruri" => DestSource::Ruri,
            "either" => DestSource::Either,
            _ => {
                return Err(wrong(format!(
                    "dest_source \"{text}\" is none of \"to\", \"ruri\", \"either\""
                )));
            }
        };
        Ok(())
    }

    pub(crate) fn x5u_rules(&self, policy: Policy) -> Result<X5uRules> {
        X5uRules::new(policy == Policy::Shaken, &self.x5u_permit, &self.x5u_deny)
    }

    pub(crate) fn validate(&self, policy: Policy, numbering: &Numbering) -> Result<()> {
        if self.max_identity == 0 || self.max_identity > MAX_IDENTITIES {
            return Err(wrong(format!(
                "max_identity {} is not from 1 to {MAX_IDENTITIES}",
                self.max_identity
            )));
        }
        if self.max_dest == 0 || self.max_dest > MAX_DEST {
            return Err(wrong(format!("max_dest {} is not from 1 to {MAX_DEST}", self.max_dest)));
        }
        if self.div_expire > MAX_DIV_EXPIRE {
            return Err(wrong(format!(
                "div_expire {} is more than {MAX_DIV_EXPIRE} seconds",
                self.div_expire
            )));
        }
        numbering.validate()?;
        self.x5u_rules(policy).map(drop)
    }
}

impl Policy {
    /// By its name: compat, shaken.
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "compat" => Ok(Self::Compat),
            "shaken" => Ok(Self::Shaken),
            _ => Err(wrong(format!("policy \"{name}\" is neither compat nor shaken"))),
        }
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
