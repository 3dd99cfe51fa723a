//! The SIP message that a script is at.

use super::bindings::{_str, hdr_field, ks_parse_headers, sip_msg, sr_hdr_add_zs};
use super::guard::octets;
use std::ffi::{c_char, c_int};
use stir::{Code, Error};

/// A message, for the length of one call.
pub(crate) struct Message {
    msg: *mut sip_msg,
}

impl Message {
    /// # Safety
    /// `msg` must be NULL or the message that Kamailio called with, and the value must not outlive
    /// that call.
    pub(super) unsafe fn new(msg: *mut sip_msg) -> Self {
        Self { msg }
    }

    /// The values of all Identity header fields (RFC 8224 §4; compact name `y`), in their order.
    /// One that is no text counts as one that is wrong.
    pub(crate) fn identities(&self) -> Result<Vec<&str>, Error> {
        self.parse()?;
        let mut found = Vec::new();
        // SAFETY: parsed above, so `headers` is NULL or a list that ends in NULL.
        let mut next: *const hdr_field = unsafe { (*self.msg).headers };
        // SAFETY: each element is alive while the message is.
        while let Some(field) = unsafe { next.as_ref() } {
            // SAFETY: name and body point into the message's buffer.
            let name = unsafe { octets(&field.name) };
            if name.eq_ignore_ascii_case(b"Identity") || name.eq_ignore_ascii_case(b"y") {
                // SAFETY: as above.
                let body = unsafe { octets(&field.body) };
                found.push(std::str::from_utf8(body).unwrap_or("\u{fffd}"));
            }
            next = field.next;
        }
        Ok(found)
    }

    /// Adds an Identity header field behind the last one.
    pub(crate) fn add_identity(&self, value: &str) -> Result<(), Error> {
        self.parse()?;
        let failed = || {
            Error::new(
                Code::Generic,
                "Kamailio can't add the Identity header: see its own message, mostly pkg memory (-M)",
            )
        };
        let len = c_int::try_from(value.len()).map_err(|_| failed())?;
        // Kamailio copies: the string is only read.
        let mut body = _str { s: value.as_ptr().cast::<c_char>().cast_mut(), len };
        let name = c"Identity".as_ptr().cast_mut();
        // SAFETY: the message is alive, name and body are read before the call returns.
        if unsafe { sr_hdr_add_zs(self.msg, name, &raw mut body) } < 0 {
            return Err(failed());
        }
        Ok(())
    }

    fn parse(&self) -> Result<(), Error> {
        // SAFETY: the message is the one that Kamailio called with.
        if self.msg.is_null() || unsafe { ks_parse_headers(self.msg) } < 0 {
            return Err(Error::new(Code::Generic, "the message's headers can't be parsed"));
        }
        Ok(())
    }
}
