//! What came of the last call in this process, as the script's variables show it.

use crate::kamailio::{Counter, MessageId, add};
use std::cell::RefCell;
use stir::{Error, Report, Response};

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// What came of a call.
pub(crate) enum Outcome {
    /// Nothing to keep but that it worked.
    Done,
    /// The message waits: the script ends, and goes on in a route.
    Suspended,
    /// Nothing is left to do for the message: the script ends.
    Over,
    /// Signed: the value, empty if it went into the message.
    Signed(String),
    /// Checked in this message.
    Checked(Option<MessageId>, Box<Report>),
    /// Neither signed nor checked.
    Failed(Error),
}

/// What the variables show.
#[derive(Default)]
struct Last {
    ret: i32,
    error: Option<String>,
    val: Option<String>,
    report: Option<(Option<MessageId>, Box<Report>)>,
    /// Texts that were made of the report for a script that asked for them.
    texts: [Option<String>; VARIABLES.len()],
    /// What was lent to KEMI.
    lent: Vec<u8>,
}

/// Keeps an outcome for the variables; the number that the script gets.
pub(crate) fn keep(outcome: Outcome) -> i32 {
    count(&outcome);
    LAST.with_borrow_mut(|last| {
        let ends = matches!(outcome, Outcome::Suspended | Outcome::Over);
        let error = match outcome {
            Outcome::Done | Outcome::Suspended | Outcome::Over => None,
            Outcome::Signed(value) => {
                last.val = some(value);
                None
            }
            Outcome::Checked(message, report) => {
                last.texts = Default::default();
                let error = report.result.as_ref().err().cloned();
                last.report = Some((message, report));
                error
            }
            Outcome::Failed(error) => {
                // Nothing of an earlier call is left for a script that does not look at the code.
                *last = Last::default();
                Some(error)
            }
        };
        let good = if ends { 0 } else { 1 };
        last.ret = error.as_ref().map_or(good, |error| error.code().value());
        last.error = error.map(|error| error.message().to_owned());
        last.ret
    })
}

fn count(outcome: &Outcome) {
    let counter = match outcome {
        Outcome::Done | Outcome::Over => return,
        Outcome::Suspended => Counter::Suspended,
        Outcome::Signed(_) => Counter::Signed,
        Outcome::Failed(_) => Counter::Errors,
        Outcome::Checked(_, report) => match report.response() {
            None => Counter::Verified,
            Some(Response::StaleDate) => Counter::Failed403,
            Some(Response::UseIdentityHeader) => Counter::Failed428,
            Some(Response::BadIdentityInfo) => Counter::Failed436,
            Some(Response::UnsupportedCredential) => Counter::Failed437,
            Some(Response::InvalidIdentityHeader) => Counter::Failed438,
            Some(Response::InternalError) => Counter::Failed500,
        },
    };
    add(counter, 1);
    let Outcome::Checked(_, report) = outcome else { return };
    let class = match report.code() {
        -199..=-100 => Counter::FailedCertificate,
        -249..=-200 => Counter::FailedToken,
        -299..=-250 => Counter::FailedSignature,
        -399..=-300 => Counter::FailedHeader,
        -499..=-400 => Counter::FailedFetch,
        -599..=-500 => Counter::FailedCall,
        _ => return,
    };
    add(class, 1);
}

/// Runs with what came of the last check, if that was of this message.
pub(crate) fn with_report<T>(
    message: Option<MessageId>,
    run: impl FnOnce(Option<&Report>) -> T,
) -> T {
    LAST.with_borrow(|last| run(last.report_of(message)))
}

impl Last {
    fn report_of(&self, message: Option<MessageId>) -> Option<&Report> {
        self.report.as_ref().filter(|(of, _)| *of == message).map(|(_, report)| &**report)
    }
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
    Code,
    Reason,
    ReasonHdr,
    Verstat,
    Step,
    Spc,
    Subject,
    Issuer,
    Serial,
    Div,
    RcdNam,
    RcdIcn,
    RcdJcl,
    Rph,
    Sph,
    Header,
    Payload,
}

const VARIABLES: [(&str, Variable); 27] = [
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
    ("code", Variable::Code),
    ("reason", Variable::Reason),
    ("reason_hdr", Variable::ReasonHdr),
    ("verstat", Variable::Verstat),
    ("step", Variable::Step),
    ("spc", Variable::Spc),
    ("subject", Variable::Subject),
    ("issuer", Variable::Issuer),
    ("serial", Variable::Serial),
    ("div", Variable::Div),
    ("rcd_nam", Variable::RcdNam),
    ("rcd_icn", Variable::RcdIcn),
    ("rcd_jcl", Variable::RcdJcl),
    ("rph", Variable::Rph),
    ("sph", Variable::Sph),
    ("header", Variable::Header),
    ("payload", Variable::Payload),
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

/// The value of the variable with this number, for a script that is at this message; `None` for
/// null.
pub(crate) fn value(number: i64, message: Option<MessageId>) -> Option<Value> {
    let place = VARIABLES.iter().position(|(_, variable)| *variable as i64 == number)?;
    let (_, variable) = VARIABLES.get(place)?;
    LAST.with_borrow_mut(|last| {
        let lent = |text: &String| Value::Text(text.as_ptr(), text.len());
        match variable {
            Variable::Ret => return Some(Value::Number(last.ret.into())),
            Variable::Val => return last.val.as_ref().map(lent),
            Variable::Error => return last.error.as_ref().map(lent),
            _ => {}
        }
        let report = last.report_of(message)?;
        match variable {
            Variable::Iat => {
                return report.claims.as_ref().map(|claims| Value::Number(claims.iat));
            }
            Variable::Code => {
                return report.response().map(|response| Value::Number(response.code().into()));
            }
            _ => {}
        }
        if last.texts.get(place)?.is_none() {
            let text = report_text(report, *variable).and_then(some);
            *last.texts.get_mut(place)? = text;
        }
        last.texts.get(place)?.as_ref().map(lent)
    })
}

fn report_text(report: &Report, variable: Variable) -> Option<String> {
    let claims = report.claims.as_ref();
    match variable {
        Variable::Attest => claims.map(|claims| claims.attest.clone()),
        Variable::Orig => claims.map(|claims| claims.orig.clone()),
        Variable::Dest => claims.map(|claims| claims.dest.join(",")),
        Variable::Origid => claims.map(|claims| claims.origid.clone()),
        Variable::X5u => Some(report.x5u.clone()),
        Variable::Ppt => Some(report.ppt.clone()),
        Variable::Reason => report.response().map(|response| response.phrase().to_owned()),
        Variable::ReasonHdr => crate::state::reason(report),
        Variable::Verstat => Some(report.verstat().value().to_owned()),
        Variable::Step => report.step().map(|step| step.name().to_owned()),
        Variable::Spc => report.spc(),
        Variable::Subject => report.certificate().map(stir::cert::Certificate::subject),
        Variable::Issuer => report.certificate().map(stir::cert::Certificate::issuer),
        Variable::Serial => report.certificate().map(stir::cert::Certificate::serial),
        Variable::Div => Some(report.div.join(",")),
        Variable::RcdNam => report.rcd.as_ref().map(|rcd| rcd.nam.clone()),
        Variable::RcdIcn => report.rcd.as_ref()?.icn.clone(),
        Variable::RcdJcl => report.rcd.as_ref()?.jcl.clone(),
        Variable::Rph => Some(report.rph.join(",")),
        Variable::Sph => report.sph.clone(),
        Variable::Header => report.header_json(),
        Variable::Payload => report.payload_json(),
        Variable::Val | Variable::Ret | Variable::Error | Variable::Iat | Variable::Code => None,
    }
}

/// Keeps octets that are handed to C until the next ones are.
pub(crate) fn lend(octets: Vec<u8>) -> (*const u8, usize) {
    LAST.with_borrow_mut(|last| {
        last.lent = octets;
        (last.lent.as_ptr(), last.lent.len())
    })
}
