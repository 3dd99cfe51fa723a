//! The functions of libsecsipid.h, in place of the stock library: `include/libsecsipid.h` says what
//! each takes and returns.
//!
//! Thread-safe, and usable after a fork. No panic crosses into C.

#![allow(non_snake_case, reason = "the names are the C library's")]

mod entry;
mod fork;
mod settings;
mod state;

use entry::{guard, lossy, put, text};
use settings::Kind;
use state::State;
use std::ffi::{c_char, c_int};
use stir::{Call, CheckOptions, Code, Error, PrivateKey, PublicKey, Result};

/// How a private key is given.
type KeyOf = for<'a> fn(&'a str) -> PrivateKey<'a>;

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDSignJSONHP(
    header: *const c_char,
    payload: *const c_char,
    key_path: *const c_char,
    out: *mut *mut c_char,
) -> c_int {
    // SAFETY: as this function's.
    unsafe { sign_json(header, payload, key_path, |path| PrivateKey::Path(path), out) }
}

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDSignJSONHPPrvKey(
    header: *const c_char,
    payload: *const c_char,
    key: *const c_char,
    out: *mut *mut c_char,
) -> c_int {
    // SAFETY: as this function's.
    unsafe { sign_json(header, payload, key, |pem| PrivateKey::Pem(pem), out) }
}

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
unsafe fn sign_json(
    header: *const c_char,
    payload: *const c_char,
    key: *const c_char,
    kind: KeyOf,
    out: *mut *mut c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let texts = unsafe { (text(header), text(payload), lossy(key, 0)) };
        let token = (|| {
            let (header, payload, key) = (texts.0?, texts.1?, texts.2?);
            let state = State::current()?;
            fork::sign(|| state.workers.signer.sign_json(header, payload, kind(&key)))
        })();
        // SAFETY: as this function's.
        let written = unsafe { put_text(&token, out) };
        // The stock function returns the length and nothing else: 0 is failure.
        Ok(written.unwrap_or(0))
    })
}

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDGetIdentity(
    orig: *const c_char,
    dest: *const c_char,
    attest: *const c_char,
    origid: *const c_char,
    x5u: *const c_char,
    key_path: *const c_char,
    out: *mut *mut c_char,
) -> c_int {
    // SAFETY: as this function's.
    unsafe {
        identity([orig, dest, attest, origid, x5u], key_path, |path| PrivateKey::Path(path), out)
    }
}

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDGetIdentityPrvKey(
    orig: *const c_char,
    dest: *const c_char,
    attest: *const c_char,
    origid: *const c_char,
    x5u: *const c_char,
    key: *const c_char,
    out: *mut *mut c_char,
) -> c_int {
    // SAFETY: as this function's.
    unsafe { identity([orig, dest, attest, origid, x5u], key, |pem| PrivateKey::Pem(pem), out) }
}

/// # Safety
/// Strings are 0-terminated or NULL; `out` is writable or NULL.
unsafe fn identity(
    call: [*const c_char; 5],
    key: *const c_char,
    kind: KeyOf,
    out: *mut *mut c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let (call, key) = unsafe { (call.map(|part| text(part)), lossy(key, 0)) };
        let identity = (|| {
            let [orig, dest, attest, origid, x5u] = call;
            let (state, key) = (State::current()?, key?);
            let call = Call {
                orig: orig?,
                dest: dest?,
                attest: attest?,
                origid: origid?,
                x5u: Some(x5u?).filter(|x5u| !x5u.is_empty()).unwrap_or(&state.settings.x5u),
                rcd_nam: None,
            };
            fork::sign(|| state.workers.signer.identity(&call, kind(&key)))
        })();
        // SAFETY: as this function's.
        unsafe { put_text(&identity, out) }
    })
}

/// Hands out what was signed, or an empty string: callers free it either way. The length.
///
/// # Safety
/// `out` is writable or NULL.
unsafe fn put_text(text: &Result<String>, out: *mut *mut c_char) -> Result<c_int> {
    let shown = text.as_deref().unwrap_or_default();
    // SAFETY: as this function's.
    let len = unsafe { put(shown.as_bytes(), out) };
    text.as_ref().map_err(Error::clone)?;
    len
}

/// # Safety
/// Strings are 0-terminated or NULL; with `identity_len` > 0 `identity` has so many octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDCheck(
    identity: *const c_char,
    identity_len: c_int,
    expire: c_int,
    key_path: *const c_char,
    timeout: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let (identity, path) = unsafe { (lossy(identity, identity_len)?, lossy(key_path, 0)?) };
        // The stock function looks at payload and signature only: there is no info to hold x5u to.
        let options = CheckOptions { attributes: false, bare_token: true };
        State::current()?.workers.check(
            &identity,
            expire,
            PublicKey::Location(&path),
            timeout,
            options,
        )
    })
}

/// # Safety
/// Strings are 0-terminated or NULL; with `identity_len` > 0 `identity` has so many octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDCheckFull(
    identity: *const c_char,
    identity_len: c_int,
    expire: c_int,
    key_path: *const c_char,
    timeout: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let (identity, path) = unsafe { (lossy(identity, identity_len)?, lossy(key_path, 0)?) };
        let state = State::current()?;
        let options = CheckOptions { attributes: state.settings.attributes(), bare_token: false };
        let key = if path.is_empty() { PublicKey::Info } else { PublicKey::Location(&path) };
        state.workers.check(&identity, expire, key, timeout, options)
    })
}

/// # Safety
/// Strings are 0-terminated or NULL; with a length > 0 they have so many octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDCheckFullPubKey(
    identity: *const c_char,
    identity_len: c_int,
    expire: c_int,
    key: *const c_char,
    key_len: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let (identity, key) = unsafe { (lossy(identity, identity_len)?, lossy(key, key_len)?) };
        let state = State::current()?;
        let options = CheckOptions { attributes: state.settings.attributes(), bare_token: true };
        state.workers.check(&identity, expire, PublicKey::Pem(&key), 0, options)
    })
}

/// # Safety
/// `url` is 0-terminated or NULL; `out` and `out_len` are writable or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDGetURLContent(
    url: *const c_char,
    timeout: c_int,
    out: *mut *mut c_char,
    out_len: *mut c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let body = unsafe { lossy(url, 0) }
            .and_then(|url| State::current()?.workers.verifier(timeout)?.get_url(&url));
        // SAFETY: as this function's; NULL is passed over.
        unsafe {
            if let (Err(_), Some(out)) = (&body, out.as_mut()) {
                *out = std::ptr::null_mut();
            }
            let len = body.and_then(|body| put(&body, out));
            if let Some(out_len) = out_len.as_mut() {
                *out_len = *len.as_ref().unwrap_or(&0);
            }
            len.map(|_| 0)
        }
    })
}

/// # Safety
/// `folder` is 0-terminated or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDSetFileCacheOptions(
    folder: *const c_char,
    expire: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let folder = unsafe { text(folder)? };
        State::change(|settings| {
            settings.set(Kind::Number, "CacheExpires", &expire.max(0).to_string())?;
            settings.set(Kind::Text, "CacheDirPath", folder)
        })
    })
}

/// # Safety
/// Strings are 0-terminated or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDOptSetS(name: *const c_char, value: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let (name, value) = unsafe { (text(name)?, text(value)?) };
        State::change(|settings| settings.set(Kind::Text, name, value))
    })
}

/// # Safety
/// `name` is 0-terminated or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDOptSetN(name: *const c_char, value: c_int) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let name = unsafe { text(name)? };
        State::change(|settings| settings.set(Kind::Number, name, &value.to_string()))
    })
}

/// # Safety
/// `name` is 0-terminated or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDOptGetN(name: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let name = unsafe { text(name)? };
        State::current()?.settings.number(name)
    })
}

/// # Safety
/// `name_value` is 0-terminated or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SecSIPIDOptSetV(name_value: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: as this function's.
        let option = unsafe { text(name_value)? };
        let (name, value) = option.split_once('=').ok_or_else(|| {
            Error::new(Code::Generic, format!("option \"{option}\" is no name=value"))
        })?;
        State::change(|settings| settings.set(Kind::of(name)?, name, value))
    })
}
