//! What a process keeps between calls: its settings, its keys and certificates, and what came of
//! the last call, for the script's variables.

use std::cell::RefCell;
use std::sync::{Mutex, OnceLock, PoisonError};
use stir::{Config, Error, Report, Signer, Verifier};

/// Set as the cfg is read.
static CONFIG: Mutex<Option<Config>> = Mutex::new(None);
/// Made before Kamailio forks, for neither opens a socket or starts a thread before it needs one:
/// every process inherits them, with the trust anchors and CRLs that were good at start.
static SIGNER: OnceLock<Signer> = OnceLock::new();
static VERIFIER: OnceLock<Verifier> = OnceLock::new();

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// What came of a call.
pub(crate) enum Outcome {
    /// Nothing to keep but that it worked.
    Done,
    /// Signed: the value, empty if it went into the message.
    Signed(String),
    /// Checked.
    Checked(Report),
    /// Neither signed nor checked.
    Failed(Error),
}

impl Outcome {
    pub(crate) fn failed(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What the variables show.
#[derive(Default)]
struct Last {
    ret: i32,
    error: Option<String>,
    val: Option<String>,
    attest: Option<String>,
    orig: Option<String>,
    dest: Option<String>,
    iat: Option<i64>,
    origid: Option<String>,
    x5u: Option<String>,
    ppt: Option<String>,
    /// What was lent to KEMI.
    lent: Vec<u8>,
}

/// Keeps an outcome for the variables; the number that the script gets.
pub(crate) fn keep(outcome: Outcome) -> i32 {
    LAST.with_borrow_mut(|last| {
        let error = match outcome {
            Outcome::Done => None,
            Outcome::Signed(value) => {
                last.val = some(value);
                None
            }
            Outcome::Checked(report) => {
                let claims = report.claims;
                last.iat = claims.as_ref().map(|claims| claims.iat);
                let (attest, orig, dest, origid) = claims
                    .map(|c| (c.attest, c.orig, c.dest.join(","), c.origid))
                    .unwrap_or_default();
                last.attest = some(attest);
                last.orig = some(orig);
                last.dest = some(dest);
                last.origid = some(origid);
                last.x5u = some(report.x5u);
                last.ppt = some(report.ppt);
                report.result.err()
            }
            Outcome::Failed(error) => {
                // Nothing of an earlier call is left for a script that does not look at the code.
                *last = Last::default();
                Some(error)
            }
        };
        last.ret = error.as_ref().map_or(1, |error| error.code().value());
        last.error = error.map(|error| error.message().to_owned());
        last.ret
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// `$secsipid(name)`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Variable {
    Val,
    Ret,
    Error,
    Attest,
    Orig,
    Dest,
    Iat,
    Origid,
    X5u,
    Ppt,
}

const VARIABLES: [(&str, Variable); 10] = [
    ("val", Variable::Val),
    ("ret", Variable::Ret),
    ("error", Variable::Error),
    ("attest", Variable::Attest),
    ("orig", Variable::Orig),
    ("dest", Variable::Dest),
    ("iat", Variable::Iat),
    ("origid", Variable::Origid),
    ("x5u", Variable::X5u),
    ("ppt", Variable::Ppt),
];

impl Variable {
    pub(crate) fn named(name: &str) -> Option<Self> {
        VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    pub(crate) fn names() -> String {
        VARIABLES.map(|(name, _)| name).join(", ")
    }
}

/// A variable's value. A text is where it is until the next call of a function.
pub(crate) enum Value {
    Number(i64),
    Text(*const u8, usize),
}

/// The value of the variable with this number; `None` for null.
pub(crate) fn value(number: i64) -> Option<Value> {
    let (_, variable) = VARIABLES.iter().find(|(_, variable)| *variable as i64 == number)?;
    LAST.with_borrow(|last| {
        let text = match variable {
            Variable::Ret => return Some(Value::Number(last.ret.into())),
            Variable::Iat => return last.iat.map(Value::Number),
            Variable::Val => &last.val,
            Variable::Error => &last.error,
            Variable::Attest => &last.attest,
            Variable::Orig => &last.orig,
            Variable::Dest => &last.dest,
            Variable::Origid => &last.origid,
            Variable::X5u => &last.x5u,
            Variable::Ppt => &last.ppt,
        };
        text.as_ref().map(|text| Value::Text(text.as_ptr(), text.len()))
    })
}

/// Keeps octets that are handed to C until the next ones are.
pub(crate) fn lend(octets: Vec<u8>) -> (*const u8, usize) {
    LAST.with_borrow_mut(|last| {
        last.lent = octets;
        (last.lent.as_ptr(), last.lent.len())
    })
}

/// Changes the settings; only while the cfg is read.
pub(crate) fn configure(
    change: impl FnOnce(&mut Config) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut config = lock();
    let config = config.get_or_insert_default();
    change(config)?;
    config.check_values()
}

/// Checks the settings before Kamailio forks, and reads the files that they name.
pub(crate) fn init() -> Result<(), Error> {
    let config = lock().get_or_insert_default().clone();
    config.validate()?;
    if !config.checks_chains() {
        log::warn!(
            "no trust anchors: any certificate is accepted; set libopt CertVerify=5 and CertCAFile=<PEM file of the trusted CAs>"
        );
    }
    SIGNER.get_or_init(|| Signer::new(&config));
    VERIFIER.get_or_init(|| Verifier::new(&config)).load()
}

/// The process's signer.
pub(crate) fn signer<T>(run: impl FnOnce(&Signer) -> T) -> T {
    run(SIGNER.get_or_init(|| Signer::new(&config())))
}

/// The process's verifier.
pub(crate) fn verifier<T>(run: impl FnOnce(&Verifier) -> T) -> T {
    run(VERIFIER.get_or_init(|| Verifier::new(&config())))
}

fn config() -> Config {
    lock().clone().unwrap_or_default()
}

fn lock() -> std::sync::MutexGuard<'static, Option<Config>> {
    CONFIG.lock().unwrap_or_else(PoisonError::into_inner)
}
