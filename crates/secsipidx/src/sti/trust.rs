//! `trust`: the STI-PA's list of trusted CAs and its CRL, checked before they replace what is there.

use super::command;
use super::config::{Config, Trust as Settings};
use super::files::{self, Lock, Owner, step};
use super::pairs::wrong;
use super::report::{Kept, Report};
use ::sti::http::{Http, MAX_ANSWER, MAX_CRL};
use std::path::{Path, PathBuf};
use stir::cert::Chain;
use stir::trust::Trust;
use stir::{Clock, Code, Config as Core, Error, Result, SystemClock};

/// The list as it came, in `trust.folder`.
pub const LIST: &str = "trust-list.jws";
/// The CRL as it came.
pub const CRL: &str = "crl.der";
/// Where what came is judged.
const INCOMING: &str = ".incoming";

/// Fetches list and CRL, and puts those into force that are good.
///
/// # Errors
/// The first that failed; what was there stays in force.
pub fn run(config: &Config, settings: &Settings, report: &mut Report) -> Result<()> {
    let _lock = Lock::take(&settings.folder)?;
    let http = Http::new(&config.http)?;
    let incoming = settings.folder.join(INCOMING);
    files::folder(&incoming)?;
    let mut changed = false;
    let mut failed = None;
    for what in [What::List, What::Crl] {
        if what.url(settings).is_empty() {
            continue;
        }
        match one(config, settings, &http, what, report) {
            Ok(new) => changed |= new,
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    if changed {
        let environment = [
            ("SECSIPIDX_LIST", settings.folder.join(LIST).to_string_lossy().into_owned()),
            ("SECSIPIDX_CRL", settings.folder.join(CRL).to_string_lossy().into_owned()),
        ];
        command::run("trust.command", &settings.command, &environment)?;
    }
    failed.map_or(Ok(()), Err)
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    List,
    Crl,
}

impl What {
    const fn file(self) -> &'static str {
        match self {
            Self::List => LIST,
            Self::Crl => CRL,
        }
    }

    fn url(self, settings: &Settings) -> &str {
        match self {
            Self::List => &settings.list,
            Self::Crl => &settings.crl,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::List => "list of trusted CAs",
            Self::Crl => "CRL",
        }
    }

    /// What a file holds, if it counts now.
    fn check(self, config: &Config, settings: &Settings, file: &Path, now: i64) -> Result<State> {
        match self {
            Self::List => list(settings, file, now),
            Self::Crl => crl(config, settings, file, now),
        }
    }
}

/// A list or CRL that counts.
struct State {
    kept: Kept,
    /// A list's sequence, a CRL's thisUpdate: what follows has a higher one.
    number: Option<i64>,
}

/// Fetches one, and says whether it replaced what was there.
fn one(
    config: &Config,
    settings: &Settings,
    http: &Http,
    what: What,
    report: &mut Report,
) -> Result<bool> {
    let now = SystemClock.now();
    let place = settings.folder.join(what.file());
    let before = place.exists().then(|| what.check(config, settings, &place, now));
    let came = fetch(config, settings, http, what).and_then(|bytes| {
        let incoming = settings.folder.join(INCOMING).join(what.file());
        files::write(&incoming, &bytes, Owner::public())?;
        step("downloaded");
        let state = what.check(config, settings, &incoming, now)?;
        Ok((bytes, incoming, state))
    });
    let keep = |before: Option<Result<State>>, report: &mut Report| {
        let kept = before.and_then(Result::ok).map(|state| state.kept);
        match what {
            What::List => report.list = kept,
            What::Crl => report.crl = kept,
        }
    };
    let (bytes, incoming, state) = match came {
        Ok(came) => came,
        Err(e) => {
            let fate = match &before {
                Some(Ok(_)) => "the one that is there stays in force",
                Some(Err(_)) => "and the one that is there does not count any more",
                None => "and there is none yet",
            };
            keep(before, report);
            let (name, why) = (what.name(), e.message());
            return Err(Error::new(e.code(), format!("the new {name} is not used: {why}; {fate}")));
        }
    };
    if let Some(Ok(known)) = &before {
        if state.number < known.number {
            let (old, new) = (known.number.unwrap_or_default(), state.number.unwrap_or_default());
            keep(before, report);
            return Err(wrong(format!(
                "the new {} is not used: it is older than the one that is there ({} {new}, there {old}), which stays in force",
                what.name(),
                if what == What::List { "sequence" } else { "thisUpdate" },
            )));
        }
        if state.kept.entries < known.kept.entries / 2 && what == What::List {
            report.warnings.push(format!(
                "the list of trusted CAs went from {} to {} certificates: ask the STI-PA whether that is right",
                known.kept.entries, state.kept.entries
            ));
        }
    }
    let same = std::fs::read(&place).is_ok_and(|there| there == bytes);
    if !same {
        std::fs::rename(&incoming, &place)
            .and_then(|()| files::sync(&settings.folder))
            .map_err(|e| files::failed(&place, "can't be replaced", &e))?;
        step("replaced");
    }
    let ends = state.kept.expires.map(crate::inspect::cert::utc);
    report.done.push(format!(
        "{}: {}, {} certificates, {}",
        what.name(),
        if same { "unchanged" } else { "replaced" },
        state.kept.entries,
        ends.map_or_else(|| "without an end".into(), |end| format!("until {end}"))
    ));
    keep(Some(Ok(state)), report);
    Ok(!same)
}

fn fetch(config: &Config, settings: &Settings, http: &Http, what: What) -> Result<Vec<u8>> {
    let url = what.url(settings);
    if what == What::Crl {
        let body = http.get(url, MAX_CRL)?.body;
        return Ok(body);
    }
    let body = match &config.sti_pa {
        // The STI-PA's own list is for those who have logged in.
        Some(pa) if url.starts_with(&format!("{}/", pa.url.trim_end_matches('/'))) => {
            let password = pa.password_file.read()?;
            sti::pa::StiPa::new(http, &pa.url, &pa.user, &password, &pa.account).ca_list()?
        }
        _ => http.get(url, MAX_ANSWER)?.body,
    };
    Ok(unwrapped(body))
}

/// The JWS in the STI-PA's answer, which has JSON around it.
fn unwrapped(body: Vec<u8>) -> Vec<u8> {
    let object: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    match object.as_ref().and_then(|object| object.get("caList")).and_then(|list| list.as_str()) {
        Some(list) => list.as_bytes().to_vec(),
        None => body,
    }
}

fn core(settings: &Settings, list: PathBuf) -> Core {
    Core { trust_anchors: list, trust_anchors_key: settings.list_signer.clone(), ..Core::default() }
}

/// A list whose signature, end and certificates are good.
fn list(settings: &Settings, file: &Path, now: i64) -> Result<State> {
    let entries = Trust::new(&core(settings, file.to_owned())).reload()?.anchors;
    // The core has checked it: this is only for people, and for what comes after it.
    let text = crate::input::read_regular(&file.to_string_lossy())?;
    let jws = match serde_json::from_str(&text) {
        Ok(json) => sti::jose::Jws::flattened(&json),
        Err(_) => sti::jose::Jws::compact(&text),
    };
    let payload: serde_json::Value =
        jws.ok().and_then(|jws| serde_json::from_slice(&jws.payload).ok()).unwrap_or_default();
    let expires = payload["exp"].as_i64();
    if expires.is_some_and(|end| end <= now) {
        return Err(wrong("the list has expired"));
    }
    Ok(State { kept: Kept { expires, entries }, number: payload["sequence"].as_i64() })
}

/// A CRL whose dates are good, signed by somebody whom the STI-PA's roots, its list, or the signer
/// of the list vouch for.
fn crl(config: &Config, settings: &Settings, file: &Path, now: i64) -> Result<State> {
    let signer = settings.list_signer.clone();
    let anchors = config.sti_pa.as_ref().map(|pa| pa.anchors.clone()).unwrap_or_default();
    let list = settings.folder.join(LIST);
    let with = |mut core: Core| {
        core.crl = file.to_owned();
        core.inter_file.clone_from(&signer);
        let bits = stir::CertVerify::CUSTOM_CA
            | if signer.as_os_str().is_empty() { 0 } else { stir::CertVerify::INTERMEDIATES };
        stir::CertVerify::new(bits).map(|bits| Core { cert_verify: bits, ..core })
    };
    let mut ways = Vec::new();
    if list.exists() {
        ways.push(core(settings, list));
    }
    for roots in [signer.clone(), anchors] {
        if !roots.as_os_str().is_empty() {
            ways.push(Core { ca_file: roots, ..Core::default() });
        }
    }
    let mut last = Err(Error::new(
        Code::CrlFileRead,
        "nobody vouches for a CRL: set sti_pa.anchors, trust.list or trust.list_signer",
    ));
    for way in ways {
        last = with(way).and_then(|core| Trust::new(&core).check_crls(now));
        if last.is_ok() {
            break;
        }
    }
    let standing = last?;
    let crl = standing.first().ok_or_else(|| wrong("there is no CRL in it"))?;
    Ok(State {
        kept: Kept { expires: crl.next_update, entries: crl.revoked },
        number: Some(crl.this_update),
    })
}

/// What the list, or else the STI-PA's roots, say of a chain; nothing where neither is named.
pub fn judge(config: &Config, chain: &Chain, now: i64) -> Option<Result<()>> {
    let trust = config.trust.as_ref().filter(|trust| !trust.list.is_empty());
    let core = match (trust, &config.sti_pa) {
        (Some(trust), _) => core(trust, trust.folder.join(LIST)),
        (None, Some(pa)) if !pa.anchors.as_os_str().is_empty() => {
            let bits = stir::CertVerify::new(stir::CertVerify::CUSTOM_CA);
            match bits {
                Ok(cert_verify) => {
                    Core { cert_verify, ca_file: pa.anchors.clone(), ..Core::default() }
                }
                Err(e) => return Some(Err(e)),
            }
        }
        _ => return None,
    };
    Some(Trust::new(&core).verify(chain, now).map(drop))
}
