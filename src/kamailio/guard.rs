//! The way in from C: arguments become `&str` for the length of the call, a panic becomes an
//! error, and what came of it is kept for the script's variables.

use super::bindings::{_str, ks_get_svalue, ks_set_pv, sip_msg};
use crate::results::{self, Outcome};
use std::any::Any;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use stir::{Code, Error};

/// Runs what a script function does. A panic ends this call, not the worker. The outcome is kept
/// only after the call: an argument may be the value of one of our own variables.
pub(super) fn call(run: impl FnOnce() -> Result<Outcome, Error>) -> c_int {
    let outcome = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            ::log::error!("{}", error.message());
            Outcome::Failed(error)
        }
        Err(panic) => Outcome::Failed(panicked(&*panic)),
    };
    results::keep(outcome)
}

/// Runs anything else that C calls; `None` if it panicked.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// The panic hook has logged where and why.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let why = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(Code::Generic, format!("internal error, please report it: {why}"))
}

/// Logs a panic in one line, by way of Kamailio's log.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        ::log::error!("internal error, please report it: {info}")
    }));
}

/// The octets of a Kamailio string; empty for NULL and for a length that is none.
///
/// # Safety
/// `value.s` must be NULL, or point to `value.len` octets that stay as they are for `'a`.
pub(super) unsafe fn octets<'a>(value: &_str) -> &'a [u8] {
    match usize::try_from(value.len) {
        // SAFETY: the caller vouches for pointer, length and lifetime.
        Ok(len) if len > 0 && !value.s.is_null() => unsafe {
            std::slice::from_raw_parts(value.s.cast::<u8>(), len)
        },
        _ => &[],
    }
}

/// The text of a Kamailio string.
///
/// # Safety
/// As [`octets`].
pub(super) unsafe fn text<'a>(value: &_str, what: &str) -> Result<&'a str, Error> {
    // SAFETY: passed on.
    let octets = unsafe { octets(value) };
    std::str::from_utf8(octets)
        .map_err(|e| Error::new(Code::Generic, format!("{what} is no UTF-8 text: {e}")))
}

/// The value of a script function's argument.
///
/// # Safety
/// `msg` and `param` must be what Kamailio called the function with, `param` fixed up by one of
/// the `fixup_spve` functions; the value is not to outlive the call.
pub(super) unsafe fn argument<'a>(
    msg: *mut sip_msg,
    param: *mut c_char,
    number: usize,
) -> Result<&'a str, Error> {
    let mut value = _str { s: std::ptr::null_mut(), len: 0 };
    // SAFETY: both pointers come from Kamailio, and `value` is ours.
    if unsafe { ks_get_svalue(msg, param, &raw mut value) } < 0 {
        return Err(Error::new(Code::Generic, format!("argument {number} has no value")));
    }
    // SAFETY: Kamailio's buffers keep an argument's value until the function returns.
    unsafe { text(&value, &format!("argument {number}")) }
}

/// The value of an argument of a KEMI function.
///
/// # Safety
/// `param` must be NULL or the `str` that Kamailio called the function with.
pub(super) unsafe fn kemi_argument<'a>(param: *mut _str, number: usize) -> Result<&'a str, Error> {
    // SAFETY: the caller vouches for the pointer.
    match unsafe { param.as_ref() } {
        // SAFETY: the interpreter keeps the text for the call.
        Some(value) => unsafe { text(value, &format!("argument {number}")) },
        None => Ok(""),
    }
}

/// Sets the variable that is a script function's argument.
///
/// # Safety
/// `msg` and `param` must be what Kamailio called the function with, `param` fixed up by
/// `fixup_spve_pvar`.
pub(super) unsafe fn set_variable(
    msg: *mut sip_msg,
    param: *mut c_char,
    value: &[u8],
) -> Result<(), Error> {
    let Ok(len) = c_int::try_from(value.len()) else {
        return Err(Error::new(Code::Generic, "the value is too long for a variable"));
    };
    // Kamailio's setters copy: the string is only read.
    let mut value = _str { s: value.as_ptr().cast::<c_char>().cast_mut(), len };
    // SAFETY: both pointers come from Kamailio, `value` lives until the call returns.
    if unsafe { ks_set_pv(msg, param, &raw mut value) } < 0 {
        return Err(Error::new(
            Code::Generic,
            "the variable of the second argument can't be set: give one like $var(pem)",
        ));
    }
    Ok(())
}

/// Makes the two functions that C calls, for a script and for KEMI, of one that is safe and takes
/// the message and its arguments.
macro_rules! functions {
    ($($script:ident, $kemi:ident => $run:path, ($($arg:ident)+) $(, $unused:ident)?;)+) => {$(
        pub(super) unsafe extern "C" fn $script(
            msg: *mut sip_msg, $($arg: *mut c_char,)+ $($unused: *mut c_char,)?
        ) -> c_int {
            $(let _ = $unused;)?
            guard::call(|| {
                let mut number = 0;
                // SAFETY: Kamailio calls with the message at hand and the arguments as they were
                // fixed up by the function that stands beside this one in the table.
                $(number += 1; let $arg = unsafe { guard::argument(msg, $arg, number) }?;)+
                // SAFETY: as above.
                let message = unsafe { Message::new(msg) };
                Ok($run(&message, $($arg),+))
            })
        }

        pub(super) unsafe extern "C" fn $kemi(msg: *mut sip_msg, $($arg: *mut _str),+) -> c_int {
            guard::call(|| {
                let mut number = 0;
                // SAFETY: KEMI calls with the message at hand and arguments of the types that
                // stand beside this function in the table.
                $(number += 1; let $arg = unsafe { guard::kemi_argument($arg, number) }?;)+
                // SAFETY: as above.
                let message = unsafe { Message::new(msg) };
                Ok($run(&message, $($arg),+))
            })
        }
    )+};
}

pub(super) use functions;
