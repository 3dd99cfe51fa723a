//! The core's errors call a setting what Kamailio's module calls it: whoever wrote another name is
//! told that one.

use stir::{Error, Result};

/// The module's names, and its user.
const MODULE: [&str; 18] = [
    "CertCAFile",
    "CertCAInter",
    "CertCRLFile",
    "CertVerify",
    "http_ca_file",
    "http_proxy",
    "cache_dir",
    "x5u_permit",
    "x5u_deny",
    "country_code",
    "international_prefix",
    "national_prefix",
    "tn_max_digits",
    "trust_anchors_key",
    "trust_anchors_stale",
    "trust_intermediates",
    "trust_anchors",
    "the user that Kamailio runs as",
];
const USER: &str = "the user that this runs as";

/// Names of the same settings, in the same order.
pub struct Names([&'static str; MODULE.len()]);

/// Of the service's configuration.
pub const CONFIGURATION: Names = Names([
    "check.ca",
    "check.intermediates",
    "check.crl",
    "check.cert_verify",
    "check.http_ca",
    "check.http_proxy",
    "check.cache_dir",
    "check.x5u_permit",
    "check.x5u_deny",
    "numbers.country_code",
    "numbers.international_prefix",
    "numbers.national_prefix",
    "numbers.tn_max_digits",
    "check.list_key",
    "7 days",
    "check.intermediates",
    "check.trust_anchors",
    USER,
]);

/// Of the subcommands, which have no flag for the bits of CertVerify and for hosts.
pub const FLAGS: Names = Names([
    "--ca",
    "--intermediates",
    "--crl",
    "CertVerify",
    "--http-ca",
    "--http-proxy",
    "--cache-dir",
    "--x5u-permit",
    "--x5u-deny",
    "--country-code",
    "--international-prefix",
    "--national-prefix",
    "tn_max_digits",
    "--list-key",
    "7 days",
    "--intermediates",
    "--ca",
    USER,
]);

/// Of the stock tool's flags.
pub const STOCK: Names = Names([
    "-ca-file",
    "-ca-inter",
    "-crl-file",
    "-cert-verify",
    "http_ca_file",
    "http_proxy",
    "-cache-dir",
    "SECSIPIDX_X5U_PERMIT",
    "x5u_deny",
    "country_code",
    "international_prefix",
    "national_prefix",
    "tn_max_digits",
    "-list-key",
    "7 days",
    "-ca-inter",
    "-ca-file",
    USER,
]);

impl Names {
    /// The same result; what an error quotes, a path, stays as it is.
    ///
    /// # Errors
    /// That of the result.
    pub fn of<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| {
            let renamed = e.message().split('"').enumerate().map(|(i, part)| {
                // Every other part stands in quotes.
                let names = MODULE.iter().zip(self.0).filter(|_| i % 2 == 0);
                names.fold(part.to_owned(), |text, (from, to)| text.replace(from, to))
            });
            Error::new(e.code(), renamed.collect::<Vec<_>>().join("\""))
        })
    }
}
