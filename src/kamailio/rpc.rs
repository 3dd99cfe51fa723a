//! Commands for operators (`kamcmd secsipid.…`, JSON-RPC): how Kamailio calls, and is answered.

use super::bindings::{_str, KS_RET_ARRAY, rpc_export_t, rpc_t};
use super::guard;
use super::tables::Shared;
use crate::rpc as run;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};
use stir::Error;

/// What a caller hears of an error: as of a request that can't be carried out.
const FAULT: c_int = 500;
/// Longest text of one, in bytes: the module ctl sends none of more than 255.
const MAX_FAULT: usize = 225;

/// A command that is being carried out.
pub(crate) struct Rpc {
    rpc: *mut rpc_t,
    context: *mut c_void,
}

/// A value of an answer.
pub(crate) enum Field {
    Number(u64),
    Text(String),
}

impl Rpc {
    /// The next argument as text; `None` if there is none.
    pub(crate) fn argument(&self) -> Option<String> {
        let mut value = _str { s: null_mut(), len: 0 };
        // SAFETY: Kamailio calls with both pointers; "*" makes the argument optional, "." takes a
        // number too, and "S" fills in a str that stays until the command returns.
        let text = unsafe {
            let scan = (*self.rpc).scan?;
            if scan(self.context, c"*.S".as_ptr().cast_mut(), &raw mut value) < 1 {
                return None;
            }
            guard::octets(&value)
        };
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// Adds a record to the answer; whether there was room.
    pub(crate) fn record(&self, fields: &[(&str, Field)]) -> bool {
        let mut handle: *mut c_void = null_mut();
        // SAFETY: as above; "{" makes a record and stores where it is.
        let made = unsafe {
            (*self.rpc).add.is_some_and(|add| {
                add(self.context, c"{".as_ptr().cast_mut(), &raw mut handle) >= 0
            })
        };
        made && !handle.is_null()
            && fields.iter().all(|(name, field)| self.field(handle, name, field))
    }

    fn field(&self, record: *mut c_void, name: &str, field: &Field) -> bool {
        let Ok(name) = CString::new(name) else { return false };
        // SAFETY: the record is one that `add` made. Kamailio copies names and values.
        unsafe {
            let Some(add) = (*self.rpc).struct_add else { return false };
            let added = match field {
                // Both transports know no larger number everywhere.
                Field::Number(number) => {
                    let number = c_uint::try_from(*number).unwrap_or(c_uint::MAX);
                    add(record, c"u".as_ptr().cast_mut(), name.as_ptr(), number)
                }
                Field::Text(text) => {
                    let Ok(len) = c_int::try_from(text.len()) else { return false };
                    let mut value = _str { s: text.as_ptr().cast::<c_char>().cast_mut(), len };
                    add(record, c"S".as_ptr().cast_mut(), name.as_ptr(), &raw mut value)
                }
            };
            added >= 0
        }
    }

    fn fault(&self, error: &Error) {
        let mut text = error.message().replace('\0', "");
        if text.len() > MAX_FAULT {
            log::warn!("{text}");
            let end = (0..=MAX_FAULT).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
            text.push_str("… (see the log)");
        }
        let why = CString::new(text).unwrap_or_default();
        // SAFETY: as above; the text goes in as the argument of "%s", not as the format.
        unsafe {
            if let Some(fault) = (*self.rpc).fault {
                fault(self.context, FAULT, c"%s".as_ptr().cast_mut(), why.as_ptr());
            }
        }
    }
}

/// Makes the functions that Kamailio calls, and the table of them.
macro_rules! commands {
    ($($name:literal, $function:ident, $flags:expr, $doc:literal;)+) => {
        $(unsafe extern "C" fn $function(rpc: *mut rpc_t, context: *mut c_void) {
            let rpc = Rpc { rpc, context };
            if let Some(Err(error)) = guard::catch(|| run::$function(&rpc)) {
                rpc.fault(&error);
            }
        })+

        const END: rpc_export_t =
            rpc_export_t { name: null(), function: None, doc_str: null_mut(), flags: 0 };

        pub(super) static COMMANDS: Shared<[rpc_export_t; 1 + [$($name),+].len()]> = Shared::new([
            $(rpc_export_t {
                name: concat!("secsipid.", $name, "\0").as_ptr().cast(),
                function: Some($function),
                doc_str: {
                    static DOC: Shared<[*const c_char; 2]> =
                        Shared::new([concat!($doc, "\0").as_ptr().cast(), null()]);
                    (&raw const DOC).cast_mut().cast()
                },
                flags: $flags,
            },)+
            END,
        ]);
    };
}

commands! {
    "version", version, 0, "The module's version, the Kamailio it was built for, and its policy.";
    "stats", stats, 0, "Counters of all processes and fetchers.";
    "cache_list", cache_list, KS_RET_ARRAY, "Certificates that the fetchers hold, those used last first: so many, or 20.";
    "cache_flush", cache_flush, 0, "Forget the certificate of a URL, or all, in every process.";
    "prefetch", prefetch, 0, "Fetch the certificate of a URL.";
    "reload", reload, 0, "Read trust anchors, CRLs and keys anew, in every process, if all are good.";
    "check", check, 0, "Check the value of an Identity header field.";
}
