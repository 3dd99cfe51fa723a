//! The stock tool's way to be called, for scripts that know it: same flags, same output, same exit
//! status. Errors of signing and checking go to standard output, as there.

mod flags;

pub use flags::Flags;

use crate::names::STOCK;
use crate::output;
use crate::serve as service;
use flags::Refusal;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use stir::{
    Call, CertVerify, CheckOptions, Checked, Clock, Code, Config, Error, PrivateKey, PublicKey,
    Result, Signer, SystemClock, Verifier,
};

/// The status of help, of wrong flags, and of -version: the stock tool's.
const USAGE_STATUS: u8 = 1;
/// What stands in a token whose x5u nobody gave: the stock tool's, which leads a verifier nowhere.
const NO_X5U: &str = "https://127.0.0.1/cert.pem";
/// Names the file with the bearer token for signing, since no stock flag does.
const TOKEN_FILE: &str = "SECSIPIDX_TOKEN_FILE";
/// Names that clients ask for, separated by commas: `names` of `[http]` and `[https]`.
const NAMES: &str = "SECSIPIDX_NAMES";
/// `check.x5u_permit`.
const X5U_PERMIT: &str = "SECSIPIDX_X5U_PERMIT";
/// What `-timeout 0`, for ever with the stock tool, and longer ones are here: the most that a download
/// may take.
const LONGEST_TIMEOUT: i64 = 60;

/// Runs a command line without a subcommand.
pub fn run(args: Vec<String>) -> ExitCode {
    let flags = match Flags::parse(args) {
        Ok(flags) => flags,
        Err(Refusal::Help) => {
            output::complain(flags::USAGE.trim_end());
            return ExitCode::from(USAGE_STATUS);
        }
        Err(Refusal::Wrong(why)) => {
            output::complain(&format!(
                "{why}: secsipidx -h lists the flags, secsipidx --help the subcommands"
            ));
            return ExitCode::from(USAGE_STATUS);
        }
    };
    if flags.version {
        output::print(concat!("secsipidx v", env!("CARGO_PKG_VERSION"), "\n"));
        return ExitCode::from(USAGE_STATUS);
    }
    if flags.ltest {
        let tested = self_test();
        return checked(tested);
    }
    if flags.check {
        if let Some(missing) = missing_for_check(&flags) {
            output::print(&format!("{missing}\nnot-ok\n"));
            return ExitCode::from(u8::MAX);
        }
        return checked(check(&flags));
    }
    if flags.sign_full {
        return signed(sign_full(&flags).map_err(|e| format!("error: {e}")));
    }
    if flags.sign {
        return signed(sign(&flags).map_err(|e| e.to_string()));
    }
    if !flags.http_srv.is_empty() || !flags.https_srv.is_empty() {
        return match serve(&flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => output::failed(&e),
        };
    }
    output::print(concat!(
        "secsipidx v",
        env!("CARGO_PKG_VERSION"),
        "\nrun 'secsipidx --help' to see the options\n"
    ))
}

/// Prints ok, or why not; the exit status is the code's last eight bits, as exit() takes them.
fn checked(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => output::print("ok\n"),
        Err(e) => {
            output::print(&format!("error message: {e}\nnot-ok\n"));
            ExitCode::from(e.code().value().to_le_bytes()[0])
        }
    }
}

fn signed(result: std::result::Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => output::print(&format!("{text}\n")),
        Err(text) => {
            output::print(&format!("{text}\n"));
            ExitCode::from(u8::MAX)
        }
    }
}

/// The settings that the flags make.
///
/// # Errors
/// [`Code::Generic`] for a number that is out of range; what [`Config::validate`] says.
pub fn config(flags: &Flags) -> Result<Checked> {
    let number = |name: &str, value: i64| {
        u32::try_from(value)
            .map_err(|_| Error::new(Code::Generic, format!("-{name} {value} is out of range")))
    };
    let mut cache_dir = PathBuf::from(&flags.cache_dir);
    if !flags.cache_dir.is_empty() && !cache_dir.is_dir() {
        output::complain(&format!(
            "-cache-dir {:?} is no folder: nothing is kept",
            flags.cache_dir
        ));
        cache_dir.clear();
    }
    let config = Config {
        // A token is never younger than 0 s: less than 0 is as strict as 0.
        expire: Some(number("expire", flags.expire.max(0))?),
        timeout: number(
            "timeout",
            if flags.timeout == 0 { LONGEST_TIMEOUT } else { flags.timeout.min(LONGEST_TIMEOUT) },
        )?,
        cache_dir,
        cache_expire: number("cache-expire", flags.cache_expire)?,
        cert_verify: STOCK.of(CertVerify::new(number("cert-verify", flags.cert_verify)?))?,
        ca_file: flags.ca_file.clone().into(),
        inter_file: flags.ca_inter.clone().into(),
        crl_file: flags.crl_file.clone().into(),
        trust_anchors_key: flags.list_key.clone().into(),
        ..Config::default()
    };
    STOCK.of(config.validate())
}

fn missing_for_check(flags: &Flags) -> Option<&'static str> {
    if flags.fpubkey.is_empty() {
        Some("no public key is given: -fpubkey names a file or URL")
    } else if flags.identity.is_empty() && flags.fidentity.is_empty() {
        Some("no Identity header is given: -identity takes its value, -fidentity a file with it")
    } else {
        None
    }
}

fn check(flags: &Flags) -> Result<()> {
    let identity = text(&flags.fidentity, &flags.identity)?;
    let verifier = Verifier::new(&config(flags)?);
    let key = PublicKey::Location(&flags.fpubkey);
    verifier.check([identity.as_str()], key, CheckOptions::default()).result
}

fn sign_full(flags: &Flags) -> Result<String> {
    let call = Call {
        orig: &flags.orig_tn,
        dest: &flags.dest_tn,
        attest: &flags.attest,
        origid: &flags.orig_id,
        x5u: x5u(flags),
        ..Call::default()
    };
    Signer::new(&Checked::default()).identity(&call, PrivateKey::Path(&flags.fprvkey))
}

fn sign(flags: &Flags) -> Result<String> {
    if flags.fprvkey.is_empty() {
        return Err(Error::new(Code::FileRead, "no private key is given (-fprvkey)"));
    }
    let mut header = text(&flags.fheader, &flags.header)?;
    if header.is_empty() {
        let Flags { alg, ppt, typ, .. } = flags;
        header = json!({"alg": alg, "ppt": ppt, "typ": typ, "x5u": x5u(flags)}).to_string();
    }
    let mut payload = text(&flags.fpayload, &flags.payload)?;
    if payload.is_empty() {
        let iat = if flags.iat == 0 { SystemClock.now() } else { flags.iat };
        payload = json!({
            "attest": flags.attest,
            "dest": {"tn": [flags.dest_tn]},
            "iat": iat,
            "orig": {"tn": flags.orig_tn},
            "origid": flags.orig_id,
        })
        .to_string();
    }
    let signer = Signer::new(&Checked::default());
    signer.sign_json(&header, &payload, PrivateKey::Path(&flags.fprvkey))
}

fn x5u(flags: &Flags) -> &str {
    if flags.x5u.is_empty() { NO_X5U } else { &flags.x5u }
}

/// What a file holds, or the text that was given beside it.
fn text(file: &str, text: &str) -> Result<String> {
    if file.is_empty() {
        return Ok(text.trim().to_owned());
    }
    let text = crate::input::read(file)?;
    Ok(text.trim().to_owned())
}

/// Signs with a new key, and checks with it.
fn self_test() -> Result<()> {
    let key = crate::keys::NewKey::generate();
    let config = Checked::default();
    let call = Call {
        orig: "12155550100",
        dest: "12025550100",
        attest: "A",
        origid: "",
        x5u: NO_X5U,
        rcd_nam: None,
    };
    let identity = Signer::new(&config).identity(&call, PrivateKey::Pem(&key.private_pem()?))?;
    let verifier = Verifier::new(&config);
    let key = PublicKey::Pem(&key.public_pem()?);
    verifier.check([identity.as_str()], key, CheckOptions::default()).result
}

/// Serves as `-http-srv` and `-https-srv` say.
fn serve(flags: &Flags) -> Result<()> {
    let path = |text: &String| Some(PathBuf::from(text)).filter(|_| !text.is_empty());
    let listen = |text: &String| Some(text.clone()).filter(|_| !text.is_empty());
    let config = config(flags)?;
    let level = match flags.verbosity {
        ..=0 => "info",
        1 => "error",
        2 => "warn",
        3 => "info",
        4.. => "debug",
    };
    // The stock service has nothing there, and no flag could turn it off.
    let status_page = false;
    let variable = |name| std::env::var(name).unwrap_or_default();
    let names: Vec<String> = variable(NAMES)
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let settings = service::Settings {
        records: None,
        http: listen(&flags.http_srv).map(|listen| service::Http {
            listen,
            status_page,
            names: names.clone(),
        }),
        https: match (
            listen(&flags.https_srv),
            path(&flags.https_pubkey),
            path(&flags.https_prvkey),
        ) {
            (None, ..) => None,
            (Some(listen), Some(certificate), Some(key)) => {
                let (client_ca, client_crl) = (None, None);
                Some(service::Https {
                    listen,
                    certificate,
                    key,
                    client_ca,
                    client_crl,
                    status_page,
                    names,
                })
            }
            _ => {
                return Err(Error::new(
                    Code::Generic,
                    "-https-srv needs -https-pubkey, the certificate, and -https-prvkey",
                ));
            }
        },
        sign: service::Sign {
            key: flags.fprvkey.clone(),
            x5u: x5u(flags).to_owned(),
            token_file: std::env::var_os(TOKEN_FILE).map(PathBuf::from),
        },
        check: service::Check {
            key: flags.fpubkey.clone(),
            expire: config.expire,
            timeout: Some(config.timeout),
            cache_dir: config.cache_dir.clone(),
            cache_expire: Some(config.cache_expire),
            cert_verify: Some(config.cert_verify.bits()),
            ca: config.ca_file.clone(),
            intermediates: config.inter_file.clone(),
            crl: config.crl_file.clone(),
            list_key: config.trust_anchors_key.clone(),
            x5u_permit: variable(X5U_PERMIT),
            ..service::Check::default()
        },
        public: path(&flags.http_dir).map(|folder| service::Public { folder }),
        log: service::Log { level: level.into(), ..service::Log::default() },
        limits: service::Limits::default(),
        numbers: service::Numbers::default(),
    };
    service::start(settings)
}
