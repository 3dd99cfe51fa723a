//! The flags of the stock tool, read as Go's `flag` package reads them: one or two dashes,
//! `-flag=value` or `-flag value`, switches without a value; what follows the first argument that
//! is no flag is not looked at.

/// What `-h` prints.
pub const USAGE: &str = "\
Usage of secsipidx, the flags of the stock tool (one dash or two, -flag value or -flag=value):
  -sign-full, -S            sign a call; prints an Identity header field value
  -sign, -s                 sign a JOSE header and a payload; prints the token
  -check, -c                check an Identity header field value; prints ok or not-ok
  -ltest, -l                sign and check with a new key
  -version                  print the version
signing:
  -fprvkey, -k FILE         private key, PEM
  -orig-tn, -o NUMBER       calling number
  -dest-tn, -d NUMBER       called number
  -attest, -a LEVEL         attestation: A, B or C (C)
  -orig-id TEXT             origination identifier (-sign-full: a new UUID)
  -x5u URL                  where verifiers find the certificate (https://127.0.0.1/cert.pem)
  -iat SECONDS              time of signing, -sign only (now)
  -alg, -ppt, -typ TEXT     members of the JOSE header, -sign only (ES256, shaken, passport)
  -header, -fheader         JOSE header, JSON or a file with it, -sign only
  -payload, -fpayload       payload, JSON or a file with it, -sign only
  -json-parse               both are JSON (here they always are)
checking:
  -fpubkey, -p FILE         public key or certificate: a path, file:// or http(s):// URL
  -identity, -fidentity     the value, or a file with it
  -expire SECONDS           how old a token may be (0)
  -timeout SECONDS          for a download (3; 0: 60)
  -cache-dir FOLDER         for downloaded certificates
  -cache-expire SECONDS     how long they are kept (3600)
  -cert-verify BITS         1 time, 2 system CAs, 4 -ca-file, 8 -ca-inter, 16 -crl-file, 32 time only (0)
  -ca-file, -ca-inter, -crl-file FILE
  -list-key FILE            who signs -ca-file and -ca-inter, where they are signed lists
service:
  -http-srv, -H ADDRESS     serve HTTP on host:port
  -https-srv ADDRESS        serve HTTPS on host:port
  -https-pubkey FILE        its certificate chain
  -https-prvkey FILE        its private key
  -http-dir FOLDER          files for GET /v1/pub/
  -verbosity, -vl LEVEL     0 to 4: what the service logs (0: as the configuration says)
More can be done with the subcommands: secsipidx --help
";

/// All flags with their defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called as the flags are, which USAGE explains")]
pub struct Flags {
    pub sign_full: bool,
    pub sign: bool,
    pub check: bool,
    pub ltest: bool,
    pub version: bool,
    pub json_parse: bool,
    pub fprvkey: String,
    pub orig_tn: String,
    pub dest_tn: String,
    pub attest: String,
    pub orig_id: String,
    pub x5u: String,
    pub iat: i64,
    pub alg: String,
    pub ppt: String,
    pub typ: String,
    pub header: String,
    pub fheader: String,
    pub payload: String,
    pub fpayload: String,
    pub fpubkey: String,
    pub identity: String,
    pub fidentity: String,
    pub expire: i64,
    pub timeout: i64,
    pub cache_dir: String,
    pub cache_expire: i64,
    pub cert_verify: i64,
    pub ca_file: String,
    pub ca_inter: String,
    pub crl_file: String,
    pub list_key: String,
    pub http_srv: String,
    pub https_srv: String,
    pub https_pubkey: String,
    pub https_prvkey: String,
    pub http_dir: String,
    pub verbosity: i64,
}

impl Default for Flags {
    fn default() -> Self {
        let none = String::new;
        Self {
            sign_full: false,
            sign: false,
            check: false,
            ltest: false,
            version: false,
            json_parse: false,
            fprvkey: none(),
            orig_tn: none(),
            dest_tn: none(),
            attest: "C".into(),
            orig_id: none(),
            x5u: none(),
            iat: 0,
            alg: "ES256".into(),
            ppt: "shaken".into(),
            typ: "passport".into(),
            header: none(),
            fheader: none(),
            payload: none(),
            fpayload: none(),
            fpubkey: none(),
            identity: none(),
            fidentity: none(),
            expire: 0,
            timeout: 3,
            cache_dir: none(),
            cache_expire: 3600,
            cert_verify: 0,
            ca_file: none(),
            ca_inter: none(),
            crl_file: none(),
            list_key: none(),
            http_srv: none(),
            https_srv: none(),
            https_pubkey: none(),
            https_prvkey: none(),
            http_dir: none(),
            verbosity: 0,
        }
    }
}

/// Where a flag's value goes.
enum Target<'a> {
    Switch(&'a mut bool),
    Text(&'a mut String),
    Number(&'a mut i64),
}

/// Why flags can't be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `-h` or `-help`.
    Help,
    /// What is wrong.
    Wrong(String),
}

impl Flags {
    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, Refusal> {
        let mut flags = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) else { break };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            if flag.is_empty() {
                break;
            }
            if flag.starts_with(['-', '=']) {
                return Err(Refusal::Wrong(format!("{arg:?} is no flag")));
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            flags.set(name, value, &mut args)?;
        }
        Ok(flags)
    }

    fn set(
        &mut self,
        name: &str,
        value: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), Refusal> {
        let wrong =
            |value: &str, due: &str| Err(Refusal::Wrong(format!("-{name} {value:?} is no {due}")));
        let Some(target) = self.target(name) else {
            return Err(match name {
                "h" | "help" => Refusal::Help,
                _ => Refusal::Wrong(format!("there is no flag -{name}")),
            });
        };
        if let Target::Switch(switch) = target {
            let value = value.as_deref().unwrap_or("true");
            *switch = match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                _ => return wrong(value, "true or false"),
            };
            return Ok(());
        }
        let Some(value) = value.or_else(|| rest.next()) else {
            return Err(Refusal::Wrong(format!("-{name} needs a value")));
        };
        match target {
            Target::Number(number) => match parse_number(&value) {
                Some(read) => *number = read,
                None => return wrong(&value, "whole number of 64 bits"),
            },
            Target::Text(text) => *text = value,
            Target::Switch(_) => {}
        }
        Ok(())
    }

    fn target(&mut self, name: &str) -> Option<Target<'_>> {
        use Target::{Number, Switch, Text};
        Some(match name {
            "sign-full" | "S" => Switch(&mut self.sign_full),
            "sign" | "s" => Switch(&mut self.sign),
            "check" | "c" => Switch(&mut self.check),
            "ltest" | "l" => Switch(&mut self.ltest),
            "version" => Switch(&mut self.version),
            "json-parse" => Switch(&mut self.json_parse),
            "fprvkey" | "k" => Text(&mut self.fprvkey),
            "orig-tn" | "o" => Text(&mut self.orig_tn),
            "dest-tn" | "d" => Text(&mut self.dest_tn),
            "attest" | "a" => Text(&mut self.attest),
            "orig-id" => Text(&mut self.orig_id),
            "x5u" => Text(&mut self.x5u),
            "iat" => Number(&mut self.iat),
            "alg" => Text(&mut self.alg),
            "ppt" => Text(&mut self.ppt),
            "typ" => Text(&mut self.typ),
            "header" => Text(&mut self.header),
            "fheader" => Text(&mut self.fheader),
            "payload" => Text(&mut self.payload),
            "fpayload" => Text(&mut self.fpayload),
            "fpubkey" | "p" => Text(&mut self.fpubkey),
            "identity" => Text(&mut self.identity),
            "fidentity" => Text(&mut self.fidentity),
            "expire" => Number(&mut self.expire),
            "timeout" => Number(&mut self.timeout),
            "cache-dir" => Text(&mut self.cache_dir),
            "cache-expire" => Number(&mut self.cache_expire),
            "cert-verify" => Number(&mut self.cert_verify),
            "ca-file" => Text(&mut self.ca_file),
            "ca-inter" => Text(&mut self.ca_inter),
            "crl-file" => Text(&mut self.crl_file),
            "list-key" => Text(&mut self.list_key),
            "http-srv" | "H" => Text(&mut self.http_srv),
            "https-srv" => Text(&mut self.https_srv),
            "https-pubkey" => Text(&mut self.https_pubkey),
            "https-prvkey" => Text(&mut self.https_prvkey),
            "http-dir" => Text(&mut self.http_dir),
            "verbosity" | "vl" => Number(&mut self.verbosity),
            _ => return None,
        })
    }
}

/// A number as Go writes one: decimal, `0x`, `0o`, `0b`, or octal after a 0.
fn parse_number(text: &str) -> Option<i64> {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some(two) if two.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // from_str_radix would take a second sign.
    if !digits.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if minus { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, Refusal> {
        Flags::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_in_any_writing() {
        let flags =
            parse("-S --k=a=b -o -5 --attest A -expire=0x10 -timeout 010 x -version").unwrap();
        assert!(flags.sign_full && !flags.version);
        assert_eq!((flags.fprvkey.as_str(), flags.orig_tn.as_str()), ("a=b", "-5"));
        assert_eq!((flags.attest.as_str(), flags.expire, flags.timeout), ("A", 16, 8));
        assert!(!parse("-c=f -- -c").unwrap().check);
        assert_eq!(parse("- -c").unwrap(), Flags::default());
        assert_eq!(parse("-c -help").unwrap_err(), Refusal::Help);
        for line in ["-x", "---c", "-=c", "-k", "-c=yes", "-iat x", "-iat=", "-iat 0x", "-iat --1"]
        {
            assert!(matches!(parse(line), Err(Refusal::Wrong(_))), "{line}");
        }
        assert!(parse("-iat 9223372036854775807").is_ok());
        assert!(parse("-iat 9223372036854775808").is_err());
    }
}
