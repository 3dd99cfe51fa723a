//! Transactions that wait for certificates (tm).

use super::bindings::{
    fixup_spve_null, ks_can_wait, ks_has_route, ks_load_tm, ks_resume, ks_suspend, ks_unsuspend,
};
use super::guard;
use super::message::Message;
use crate::state;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;
use stir::{Code, Error};

/// Whether tm is loaded.
static TM: OnceLock<bool> = OnceLock::new();

/// Looks for tm; from mod_init.
pub(super) fn load() -> bool {
    // SAFETY: Kamailio has loaded all modules by then, and has not forked.
    *TM.get_or_init(|| unsafe { ks_load_tm() } >= 0)
}

/// Whether transactions can be suspended at all.
fn is_loaded() -> bool {
    TM.get().is_some_and(|loaded| *loaded)
}

/// The argument of secsipid_fetch_async: a route that is there.
pub(super) unsafe extern "C" fn fixup(param: *mut *mut c_void, number: c_int) -> c_int {
    let checked = guard::catch(|| {
        // SAFETY: Kamailio calls with the argument's text, which ends in NUL.
        let route = unsafe { CStr::from_ptr((*param).cast::<c_char>()) };
        let name = route.to_string_lossy();
        // One with a variable in it is known only when it is called.
        check(if name.contains('$') { None } else { Some(route) })
    });
    match checked {
        // SAFETY: as Kamailio would call it.
        Some(Ok(())) => unsafe { fixup_spve_null(param, number) },
        Some(Err(error)) => {
            log::error!("{}", error.message());
            -1
        }
        None => -1,
    }
}

fn check(route: Option<&CStr>) -> Result<(), Error> {
    let wrong = |why: String| Err(Error::new(Code::Generic, format!("secsipid_fetch_async {why}")));
    if !is_loaded() {
        return wrong("needs the tm module: load tm.so before secsipid.so".into());
    }
    state::can_wait()?;
    match route {
        // SAFETY: the name is a C text that is read.
        Some(route) if unsafe { ks_has_route(route.as_ptr().cast_mut()) } == 0 => {
            wrong(format!("names a route that is not there: route[{}]", route.to_string_lossy()))
        }
        _ => Ok(()),
    }
}

/// A transaction, by its place in tm's table: index and label.
pub(crate) type Transaction = (u32, u32);

impl Message {
    /// Whether it is one that can wait: a request, but no ACK or CANCEL. An error where none can:
    /// Kamailio refuses the function in such a route, but not in one that is called from there.
    pub(crate) fn can_wait(&self) -> Result<bool, Error> {
        // SAFETY: the message is NULL or the one that Kamailio called with.
        match if self.raw().is_null() { 0 } else { unsafe { ks_can_wait(self.raw()) } } {
            0 => Ok(false),
            1.. => Ok(true),
            _ => Err(Error::new(
                Code::Generic,
                "secsipid_fetch_async works in request_route and failure_route, and in what they call: not in branches, replies, events and what is sent",
            )),
        }
    }

    /// Suspends its transaction, to go on in this route; `None` if nothing is left to do for it: a
    /// retransmission, or a call that was canceled.
    pub(crate) fn suspend(&self, route: &str) -> Result<Option<Transaction>, Error> {
        check(Some(&c_text(route)?))?;
        let (mut index, mut label) = (0, 0);
        // SAFETY: tm is loaded, and the message is the one that Kamailio called with.
        match unsafe { ks_suspend(self.raw(), &raw mut index, &raw mut label) } {
            0 => Ok(None),
            1.. => Ok(Some((index, label))),
            code => Err(Error::new(
                Code::Generic,
                format!("tm can't suspend the transaction ({code}): see its own message"),
            )),
        }
    }

    /// Takes back [`Message::suspend`].
    pub(crate) fn unsuspend(&self, (index, label): Transaction) {
        // SAFETY: the transaction is the one that this process is at.
        unsafe { ks_unsuspend(index, label) };
    }
}

/// Goes on with a transaction in a route.
pub(crate) fn resume((index, label): Transaction, route: &str) -> Result<(), Error> {
    let route = c_text(route)?;
    // SAFETY: tm finds the transaction, or says that it is gone; the name is a C text that is read.
    match unsafe { ks_resume(index, label, route.as_ptr().cast_mut()) } {
        // Above 0: it has ended meanwhile, by a timer or a CANCEL.
        0.. => Ok(()),
        code => Err(Error::new(
            Code::Generic,
            format!("a transaction that waited for certificates is gone ({code})"),
        )),
    }
}

fn c_text(route: &str) -> Result<CString, Error> {
    CString::new(route)
        .map_err(|_| Error::new(Code::Generic, format!("route {route:?} has a NUL in its name")))
}
