//! The one error type of this crate: a stable number and a sentence.

use std::fmt;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, as a number that scripts compare: the codes of the stock `secsipid` stack, and
/// new ones, none reused; front ends hand them out as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(i32)]
pub enum Code {
    /// A failure that fits no other code (a panic that was caught, a wrong parameter).
    Generic = -1,
    /// The certificate is not DER, or no trust anchor vouches for it.
    CertInvalid = -101,
    /// The key or certificate is not PEM, or holds nothing of the kind that was asked for.
    CertFormat = -102,
    /// The certificate's notAfter has passed.
    CertExpired = -103,
    /// The certificate's notBefore is still to come.
    CertNotYetValid = -104,
    /// The trust anchors could not be set up (the system's roots, a CA file without certificates).
    CertProcessing = -105,
    /// Custom trust anchors are asked for, and no CA file is named.
    CaFileMissing = -106,
    /// The CA file can't be read.
    CaFileRead = -107,
    /// Intermediates are asked for, and no file is named.
    InterFileMissing = -108,
    /// The file of intermediates can't be read.
    InterFileRead = -109,
    /// Revocation is to be checked, and no CRL file is named.
    CrlFileMissing = -110,
    /// The CRL file can't be read, or holds no CRL that counts (signature, issuer, dates).
    CrlFileRead = -111,
    /// The certificate is on the CRL.
    CertRevoked = -112,
    /// The public key is no P-256 key.
    CertNotEc = -114,
    /// The certificate breaks a rule of ATIS-1000080.
    CertProfile = -115,
    /// The certificate's TNAuthList does not let it sign for this number (RFC 8226 §9).
    CertAuthority = -116,
    /// The claims break the certificate's JWTClaimConstraints (RFC 8226 §8, RFC 9118 §3).
    CertConstraints = -117,
    /// The certificate was not checked: other chains of the message have used up its budget.
    CertBudget = -118,
    /// No CRL covers a certificate of the path, so nobody knows whether it was revoked
    /// (RFC 5280 §6.3.3).
    CertUndetermined = -119,
    /// The private key's DER makes no sense.
    KeyInvalid = -151,
    /// The private key is not PEM, or no P-256 key.
    KeyFormat = -152,
    /// The JOSE header is no base64url, no JSON object, or has a member twice.
    HeaderParse = -201,
    /// The JOSE header's `alg` is missing or not ES256.
    HeaderAlg = -202,
    /// The JOSE header's `ppt` is missing or not one that is supported.
    HeaderPpt = -203,
    /// The JOSE header's `typ` is missing or not passport.
    HeaderTyp = -204,
    /// The JOSE header's `x5u` is missing or differs from the header field's `info`.
    HeaderX5u = -205,
    /// The payload is no base64url, no JSON object, or a claim is missing or wrong.
    PayloadParse = -231,
    /// `iat` is outside the window: stale, or from the future.
    PayloadIat = -232,
    /// The signature does not verify.
    SignatureInvalid = -251,
    /// The digest could not be computed.
    SignatureHashing = -252,
    /// The signature is not 64 octets.
    SignatureSize = -253,
    /// Signing failed.
    SignatureFailure = -254,
    /// The signature is no base64url.
    SignatureEncoding = -255,
    /// The Identity header field is not `token;info=<URI>…`.
    IdentityParse = -301,
    /// The header field's `alg` is not ES256.
    IdentityAlg = -302,
    /// The header field's `ppt` is not one that is supported.
    IdentityPpt = -303,
    /// There is no Identity header field, or it is empty.
    IdentityEmpty = -304,
    /// The header field's `info` is missing or no URI.
    IdentityInfo = -305,
    /// The URL is none that may be fetched.
    HttpUrl = -401,
    /// The server could not be reached, or did not answer in time.
    HttpGet = -402,
    /// The server's answer was not 200.
    HttpStatus = -403,
    /// The body could not be read to its end, or is too large.
    HttpBody = -404,
    /// A key or certificate file can't be read.
    FileRead = -451,
    /// The token's orig is not the caller.
    OrigMismatch = -501,
    /// The token's dest is not the called.
    DestMismatch = -502,
    /// The div PASSporTs do not lead from the token's dest to the called (RFC 8946).
    DivChain = -503,
    /// The token was used for another call before (RFC 8225 §10.1).
    Replayed = -504,
}

impl Code {
    /// The number.
    pub const fn value(self) -> i32 {
        self as i32
    }
}

/// What failed ([`Code`]) and the sentence that says with which value and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    /// An error of this code; the message is a sentence without a full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What failed.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.value())
    }
}

impl std::error::Error for Error {}
