//! Between C and Rust: strings in and out, panics caught, errors as codes.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use stir::{Code, Error, Result};

/// Runs the body of a function that C calls: its value, or the code of what failed.
pub(crate) fn guard(body: impl FnOnce() -> Result<c_int>) -> c_int {
    // Nothing of what a panic interrupts is used again half done: locks are poisoned or not held.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => error.code().value(),
        Err(_) => Code::Generic.value(),
    }
}

/// Longest string that is taken with its length, in octets: sixteen times what is of use anywhere.
/// One that is longer is a length that its caller got wrong.
const MAX_LEN: usize = 1024 * 1024;

/// The octets of a C string: so many, or up to its 0 if `len` is 0. NULL is empty, as in stock.
///
/// # Safety
/// `text` is NULL, or 0-terminated, or with `len` > 0 has so many octets; it outlives the result.
unsafe fn octets<'a>(text: *const c_char, len: c_int) -> Result<&'a [u8]> {
    let len = usize::try_from(len)
        .map_err(|_| Error::new(Code::Generic, format!("{len} is no length of a string")))?;
    if text.is_null() {
        Ok(&[])
    } else if len > MAX_LEN {
        Err(Error::new(Code::Generic, format!("a string of {len} octets is longer than {MAX_LEN}")))
    } else if len == 0 {
        // SAFETY: 0-terminated by this function's contract.
        Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
    } else {
        // SAFETY: so many octets by this function's contract.
        Ok(unsafe { std::slice::from_raw_parts(text.cast(), len) })
    }
}

/// A 0-terminated string that is signed or kept: it must be UTF-8, since nothing may be replaced.
///
/// # Safety
/// As [`octets`].
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str> {
    // SAFETY: as this function's.
    let octets = unsafe { octets(text, 0)? };
    std::str::from_utf8(octets)
        .map_err(|e| Error::new(Code::Generic, format!("a string is not UTF-8: {e}")))
}

/// A string that is only looked at: a comment in a PEM may be in any encoding, and a token with
/// what is not UTF-8 fails as one that is no base64url.
///
/// # Safety
/// As [`octets`].
pub(crate) unsafe fn lossy<'a>(text: *const c_char, len: c_int) -> Result<Cow<'a, str>> {
    // SAFETY: as this function's.
    Ok(String::from_utf8_lossy(unsafe { octets(text, len)? }))
}

/// Writes a copy for the caller, who frees it with free(), a 0 behind it. Its length.
///
/// # Errors
/// [`Code::Generic`] if `out` is NULL or there is no memory; `*out` is NULL then.
///
/// # Safety
/// `out` is writable or NULL.
pub(crate) unsafe fn put(octets: &[u8], out: *mut *mut c_char) -> Result<c_int> {
    // SAFETY: writable or NULL by this function's contract.
    let Some(out) = (unsafe { out.as_mut() }) else {
        return Err(Error::new(Code::Generic, "there is no pointer to put the result in"));
    };
    *out = std::ptr::null_mut();
    let failed = |_| Error::new(Code::Generic, "the result is too long");
    let len = c_int::try_from(octets.len()).map_err(failed)?;
    // SAFETY: malloc takes any size.
    let copy: *mut u8 = unsafe { libc::malloc(octets.len() + 1) }.cast();
    if copy.is_null() {
        return Err(Error::new(Code::Generic, "there is no memory for the result"));
    }
    // SAFETY: `copy` is new, not NULL, and has one octet more than is copied.
    unsafe {
        copy.copy_from_nonoverlapping(octets.as_ptr(), octets.len());
        copy.add(octets.len()).write(0);
    }
    *out = copy.cast();
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_nothing_has_is_not_believed() {
        for (len, good) in [(0, true), (1, true), (c_int::MAX, false), (-1, false)] {
            // SAFETY: the text is 0-terminated; of what is refused no octet is looked at.
            assert_eq!(unsafe { octets(c"x".as_ptr(), len) }.is_ok(), good, "{len}");
        }
    }
}
