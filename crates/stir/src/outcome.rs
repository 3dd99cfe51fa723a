//! What a failure means to the call: the step that failed, the SIP response (RFC 8224 §6.2.2) and
//! the verstat (3GPP TS 24.229 §7.2A.20). All three follow from the code.

use crate::error::Code;
use std::fmt;

/// The part of verification that a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// There is no Identity header field that counts.
    Missing,
    /// The Identity header field.
    Identity,
    /// The JOSE header.
    Jose,
    /// The claims.
    Claims,
    /// How old the token is.
    Freshness,
    /// Whether the URL of the certificate may be fetched.
    X5u,
    /// The download.
    Fetch,
    /// The certificate by itself.
    Certificate,
    /// Its way to a trust anchor.
    Chain,
    /// Whether it is revoked.
    Revocation,
    /// Trust anchors or CRLs on this side.
    Trust,
    /// The certificate's profile (ATIS-1000080).
    Profile,
    /// What its TNAuthList or JWTClaimConstraints let it sign.
    Authority,
    /// The signature.
    Signature,
    /// The caller.
    Orig,
    /// The called.
    Dest,
    /// The diversions.
    Div,
    /// Whether the token was used for another call.
    Replay,
    /// Anything else.
    Internal,
}

impl Step {
    /// The name that scripts and logs see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Identity => "identity",
            Self::Jose => "jose",
            Self::Claims => "claims",
            Self::Freshness => "freshness",
            Self::X5u => "x5u",
            Self::Fetch => "fetch",
            Self::Certificate => "certificate",
            Self::Chain => "chain",
            Self::Revocation => "revocation",
            Self::Trust => "trust",
            Self::Profile => "profile",
            Self::Authority => "authority",
            Self::Signature => "signature",
            Self::Orig => "orig",
            Self::Dest => "dest",
            Self::Div => "div",
            Self::Replay => "replay",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The SIP response of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// 403
    StaleDate,
    /// 428
    UseIdentityHeader,
    /// 436
    BadIdentityInfo,
    /// 437
    UnsupportedCredential,
    /// 438
    InvalidIdentityHeader,
    /// 500: the fault is on this side.
    InternalError,
}

impl Response {
    /// The status code.
    pub const fn code(self) -> u16 {
        match self {
            Self::StaleDate => 403,
            Self::UseIdentityHeader => 428,
            Self::BadIdentityInfo => 436,
            Self::UnsupportedCredential => 437,
            Self::InvalidIdentityHeader => 438,
            Self::InternalError => 500,
        }
    }

    /// The reason phrase.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::StaleDate => "Stale Date",
            Self::UseIdentityHeader => "Use Identity Header",
            Self::BadIdentityInfo => "Bad Identity Info",
            Self::UnsupportedCredential => "Unsupported Credential",
            Self::InvalidIdentityHeader => "Invalid Identity Header",
            Self::InternalError => "Server Internal Error",
        }
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.phrase())
    }
}

/// What the called may be told of the calling number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verstat {
    /// It was verified.
    Passed,
    /// It was signed, and the signature or the certificate is no good.
    Failed,
    /// Nothing is known of it.
    NotValidated,
}

impl Verstat {
    /// The parameter's value.
    pub const fn value(self) -> &'static str {
        match self {
            Self::Passed => "TN-Validation-Passed",
            Self::Failed => "TN-Validation-Failed",
            Self::NotValidated => "No-TN-Validation",
        }
    }
}

impl Code {
    /// The step that fails with this code.
    pub const fn step(self) -> Step {
        self.meaning().0
    }

    /// The SIP response that a caller would get.
    pub const fn response(self) -> Response {
        self.meaning().1
    }

    /// The verstat: a bad signature or a certificate that is not trusted speaks against the caller,
    /// anything else says nothing of who they are.
    pub const fn verstat(self) -> Verstat {
        match self.step() {
            Step::Chain if matches!(self, Self::CertBudget) => Verstat::NotValidated,
            _ if matches!(self, Self::CertUndetermined) => Verstat::NotValidated,
            Step::Signature | Step::Chain | Step::Revocation => Verstat::Failed,
            _ => Verstat::NotValidated,
        }
    }

    const fn meaning(self) -> (Step, Response) {
        use Response::*;
        match self {
            Self::IdentityEmpty | Self::IdentityPpt => (Step::Missing, UseIdentityHeader),
            Self::IdentityParse => (Step::Identity, InvalidIdentityHeader),
            Self::IdentityAlg => (Step::Identity, UnsupportedCredential),
            Self::IdentityInfo => (Step::Identity, BadIdentityInfo),
            Self::HeaderParse | Self::HeaderPpt => (Step::Jose, InvalidIdentityHeader),
            Self::HeaderAlg | Self::HeaderTyp => (Step::Jose, UnsupportedCredential),
            Self::HeaderX5u => (Step::Jose, BadIdentityInfo),
            Self::PayloadParse => (Step::Claims, InvalidIdentityHeader),
            Self::PayloadIat => (Step::Freshness, StaleDate),
            Self::HttpUrl => (Step::X5u, BadIdentityInfo),
            Self::HttpGet | Self::HttpStatus | Self::HttpBody | Self::FileRead => {
                (Step::Fetch, BadIdentityInfo)
            }
            Self::CertFormat | Self::CertNotEc => (Step::Certificate, UnsupportedCredential),
            Self::CertInvalid | Self::CertExpired | Self::CertNotYetValid | Self::CertBudget => {
                (Step::Chain, UnsupportedCredential)
            }
            Self::CertRevoked | Self::CertUndetermined => (Step::Revocation, UnsupportedCredential),
            Self::CertProfile => (Step::Profile, UnsupportedCredential),
            Self::CertAuthority | Self::CertConstraints => (Step::Authority, UnsupportedCredential),
            Self::CertProcessing
            | Self::CaFileMissing
            | Self::CaFileRead
            | Self::InterFileMissing
            | Self::InterFileRead
            | Self::CrlFileMissing
            | Self::CrlFileRead => (Step::Trust, InternalError),
            Self::SignatureInvalid | Self::SignatureSize | Self::SignatureEncoding => {
                (Step::Signature, InvalidIdentityHeader)
            }
            Self::OrigMismatch => (Step::Orig, InvalidIdentityHeader),
            Self::DestMismatch => (Step::Dest, InvalidIdentityHeader),
            Self::DivChain => (Step::Div, InvalidIdentityHeader),
            Self::Replayed => (Step::Replay, InvalidIdentityHeader),
            Self::Generic
            | Self::KeyInvalid
            | Self::KeyFormat
            | Self::SignatureHashing
            | Self::SignatureFailure => (Step::Internal, InternalError),
        }
    }
}
