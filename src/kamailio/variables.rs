//! `$secsipid(name)` and the values that KEMI functions return.
#![allow(
    clippy::useless_conversion,
    reason = "numbers are int in Kamailio 5.6, long in later ones"
)]

use super::bindings::{
    _str, PV_NAME_INTSTR, SR_KEMIP_NULL, SR_KEMIP_STR, pv_get_null, pv_get_sintval, pv_get_strval,
    pv_param_t, pv_spec_p, pv_value_t, sip_msg, sr_kemi_xval_t,
};
use super::guard;
use super::message::Message;
use crate::functions;
use crate::results::{self, Value, Variable};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};

/// Kamailio asks for the variable's name once, as it reads the cfg.
pub(super) unsafe extern "C" fn parse_name(spec: pv_spec_p, name: *mut _str) -> c_int {
    let parsed = guard::catch(|| {
        // SAFETY: Kamailio calls with the text between the brackets.
        let name = unsafe { guard::kemi_argument(name, 1) }.unwrap_or_default();
        let variable = Variable::named(name);
        if variable.is_none() {
            log::error!("$secsipid({name}) is unknown: there are {}", Variable::names());
        }
        variable
    });
    // SAFETY: Kamailio calls with a spec to fill in.
    match (parsed, unsafe { spec.as_mut() }) {
        (Some(Some(variable)), Some(spec)) => {
            spec.pvp.pvn.type_ = PV_NAME_INTSTR as c_int;
            spec.pvp.pvn.u.isname.type_ = 0;
            spec.pvp.pvn.u.isname.name.n = (variable as c_int).into();
            0
        }
        _ => -1,
    }
}

/// Kamailio asks for the variable's value.
pub(super) unsafe extern "C" fn get(
    msg: *mut sip_msg,
    param: *mut pv_param_t,
    value: *mut pv_value_t,
) -> c_int {
    // SAFETY: `param` is part of a spec that `parse_name` filled in.
    let number = unsafe { (*param).pvn.u.isname.name.n };
    // SAFETY: NULL, or the message that the script is at.
    let message = unsafe { Message::new(msg) }.id();
    let found = guard::catch(|| results::value(number.into(), message)).flatten();
    // SAFETY: the three pointers are Kamailio's own. A text stays where it is until the next call
    // of one of our functions in this process.
    unsafe {
        match found {
            None => pv_get_null(msg, param, value),
            Some(Value::Number(number)) => {
                pv_get_sintval(msg, param, value, number.try_into().unwrap_or_default())
            }
            Some(Value::Text(text, len)) => {
                let mut text = borrowed(text, len);
                pv_get_strval(msg, param, value, &raw mut text)
            }
        }
    }
}

/// `KSR.secsipid.secsipid_get_val()`.
pub(super) unsafe extern "C" fn kemi_get_val(_msg: *mut sip_msg) -> *mut sr_kemi_xval_t {
    let found = guard::catch(|| results::value(Variable::Val as i64, None)).flatten();
    match found {
        Some(Value::Text(text, len)) => xval(Some(borrowed(text, len))),
        _ => xval(None),
    }
}

/// `KSR.secsipid.secsipid_get_url(url)`: the text.
pub(super) unsafe extern "C" fn kemi_get_url(
    _msg: *mut sip_msg,
    url: *mut _str,
) -> *mut sr_kemi_xval_t {
    let mut body = None;
    let code = guard::call(|| {
        // SAFETY: KEMI calls with the argument's text.
        let url = unsafe { guard::kemi_argument(url, 1) }?;
        let (outcome, fetched) = functions::get_url(url);
        body = fetched;
        Ok(outcome)
    });
    match body {
        Some(body) if code == 1 => {
            let (text, len) = results::lend(body);
            xval(Some(borrowed(text, len)))
        }
        _ => xval(None),
    }
}

/// A Kamailio string of octets that the process keeps.
fn borrowed(text: *const u8, len: usize) -> _str {
    _str { s: text.cast::<c_char>().cast_mut(), len: c_int::try_from(len).unwrap_or_default() }
}

thread_local! {
    /// The value that the last KEMI function returned: the interpreter reads it at once.
    // SAFETY: all zeros is a value of this C struct.
    static XVAL: UnsafeCell<sr_kemi_xval_t> = const { UnsafeCell::new(unsafe { std::mem::zeroed() }) };
}

fn xval(text: Option<_str>) -> *mut sr_kemi_xval_t {
    XVAL.with(|cell| {
        let xval = cell.get();
        // SAFETY: only this function writes it, on the process's only script thread, and no
        // reference to it is kept.
        unsafe {
            *xval = std::mem::zeroed();
            match text {
                Some(text) => {
                    (*xval).vtype = SR_KEMIP_STR as c_int;
                    (*xval).v.s = text;
                }
                None => (*xval).vtype = SR_KEMIP_NULL as c_int,
            }
        }
        xval
    })
}
