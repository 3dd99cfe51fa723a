//! The SIP message that a script is at.

use super::bindings::{
    _str, hdr_field, ks_change_body, ks_parse_format, ks_parse_headers, ks_print_format, sip_msg,
    sr_hdr_add_zs,
};
use super::guard::octets;
use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::time::SystemTime;
use stir::{Code, Error, SipCall};

/// A message, for the length of one call.
pub(crate) struct Message {
    msg: *mut sip_msg,
    /// Values of header fields that are no UTF-8, as [`latin1`] reads them, in their order.
    latin1: OnceCell<Vec<String>>,
}

/// What Kamailio prints for a variable without a value.
pub(crate) const NULL: &str = "<null>";

/// Takes a text with pseudo-variables, before the fork, for [`Message::formatted`]; whether it makes
/// sense.
pub(crate) fn parse_format(format: &'static str) -> bool {
    let Ok(len) = c_int::try_from(format.len()) else { return false };
    let mut format = _str { s: format.as_ptr().cast::<c_char>().cast_mut(), len };
    // SAFETY: the text is read, and lives as long as what the shim makes of it.
    format.len == 0 || unsafe { ks_parse_format(&raw mut format) } == 0
}

/// Which message: the process that received it, and its number there. An async worker goes on with
/// those of many.
pub(crate) type MessageId = (c_int, c_uint);

impl Message {
    /// # Safety
    /// `msg` must be NULL or the message that Kamailio called with, and the value must not outlive
    /// that call.
    pub(super) unsafe fn new(msg: *mut sip_msg) -> Self {
        Self { msg, latin1: OnceCell::new() }
    }

    /// Which message it is; `None` where there is none.
    pub(crate) fn id(&self) -> Option<MessageId> {
        // SAFETY: NULL, or the message that Kamailio called with.
        unsafe { self.msg.as_ref() }.map(|msg| (msg.pid, msg.id))
    }

    pub(super) fn raw(&self) -> *mut sip_msg {
        self.msg
    }

    /// The values of all Identity header fields (RFC 8224 §4; compact name `y`), in their order.
    /// One that is no text counts as one that is wrong.
    pub(crate) fn identities(&self) -> Result<Vec<&str>, Error> {
        Ok(self.fields()?.filter(|field| field.is(&["Identity", "y"])).map(|f| f.text()).collect())
    }

    /// What says who calls whom.
    pub(crate) fn call(&self) -> Result<SipCall<'_>, Error> {
        // SAFETY: a request's first line is parsed before any script runs.
        let request_uri = unsafe { octets(&(*self.message()?).first_line.u.request.uri) };
        let mut call = SipCall {
            request_uri: std::str::from_utf8(request_uri).unwrap_or(NO_TEXT),
            call_id: Some(""),
            ..SipCall::default()
        };
        let mut latin1 = self.latin1()?.iter();
        for field in self.fields()? {
            let text = match std::str::from_utf8(field.body()) {
                Ok(text) => text,
                Err(_) => latin1.next().map_or(NO_TEXT, String::as_str),
            };
            if field.is(&["Identity", "y"]) {
                call.identities.push(text);
            } else if field.is(&["P-Asserted-Identity"]) {
                call.asserted.push(text);
            } else if field.is(&["From", "f"]) {
                call.from = text;
            } else if field.is(&["To", "t"]) {
                call.to = text;
            } else if field.is(&["Call-ID", "i"]) {
                call.call_id = Some(text);
            } else if field.is(&["Resource-Priority"]) {
                call.resource_priority.push(text);
            } else if field.is(&["Priority"]) {
                call.priority = Some(text);
            }
        }
        Ok(call)
    }

    /// What is no UTF-8 of all header fields: old telephone systems write names in Latin-1.
    fn latin1(&self) -> Result<&[String], Error> {
        if self.latin1.get().is_none() {
            let all = self.fields()?.map(|field| field.body());
            let all = all.filter(|body| std::str::from_utf8(body).is_err()).map(latin1).collect();
            // It was empty.
            let _ = self.latin1.set(all);
        }
        Ok(self.latin1.get().map_or(&[], Vec::as_slice))
    }

    /// Changes the values of P-Asserted-Identity and From: `change` gets whether there is a
    /// P-Asserted-Identity, whether this field is one, and its value.
    pub(crate) fn change_callers(
        &self,
        change: impl Fn(bool, bool, &str) -> String,
    ) -> Result<(), Error> {
        let id = self.id();
        if CHANGED.replace(id) == id {
            // Kamailio would write both values.
            return Err(Error::new(Code::Generic, "it was set in this message before"));
        }
        let asserted = |field: &Field<'_>| field.is(&["P-Asserted-Identity"]);
        let any = self.fields()?.any(|field| asserted(&field));
        for field in self.fields()?.filter(|f| asserted(f) || f.is(&["From", "f"])) {
            // Whatever the octets mean, they stay as they are.
            let value = latin1(field.body());
            let changed = change(any, asserted(&field), &value);
            if changed == value {
                continue;
            }
            let changed: Vec<u8> =
                changed.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let failed = || {
                Error::new(
                    Code::Generic,
                    "Kamailio can't change the header: see its own message, mostly pkg memory (-M)",
                )
            };
            let len = c_int::try_from(changed.len()).map_err(|_| failed())?;
            let mut body = _str { s: changed.as_ptr().cast::<c_char>().cast_mut(), len };
            // SAFETY: the field is one of the message's; the shim copies the text.
            let changed = unsafe { ks_change_body(self.msg, field.raw(), &raw mut body) };
            if changed < 0 {
                return Err(failed());
            }
        }
        Ok(())
    }

    /// Adds a Date header field (RFC 8224 §6.1) if there is none.
    pub(crate) fn add_date(&self) -> Result<(), Error> {
        if self.fields()?.any(|field| field.is(&["Date"])) {
            return Ok(());
        }
        self.add(c"Date", &httpdate::fmt_http_date(SystemTime::now()))
    }

    /// The value of its Date header field, if there is one.
    pub(crate) fn date(&self) -> Option<&str> {
        if self.msg.is_null() {
            return None;
        }
        self.fields().ok()?.find(|field| field.is(&["Date"])).map(|field| field.text())
    }

    /// The text of [`parse_format`], as it is for this message; `None` for an empty one.
    pub(crate) fn formatted(&self) -> Option<String> {
        if self.msg.is_null() {
            return None;
        }
        let mut value = _str { s: std::ptr::null_mut(), len: 0 };
        // SAFETY: the message is alive; the value is copied before anything else is printed.
        let value = unsafe {
            match ks_print_format(self.msg, &raw mut value) {
                0 => octets(&value),
                _ => return None,
            }
        };
        let text = std::str::from_utf8(value).ok()?;
        Some(text).filter(|text| !text.is_empty() && *text != NULL).map(str::to_owned)
    }

    /// Adds an Identity header field behind the last header field.
    pub(crate) fn add_identity(&self, value: &str) -> Result<(), Error> {
        self.add(c"Identity", value)
    }

    fn add(&self, name: &CStr, value: &str) -> Result<(), Error> {
        let msg = self.message()?;
        let failed = || {
            Error::new(
                Code::Generic,
                format!(
                    "Kamailio can't add the {} header: see its own message, mostly pkg memory (-M)",
                    name.to_string_lossy()
                ),
            )
        };
        let len = c_int::try_from(value.len()).map_err(|_| failed())?;
        // Kamailio copies: the strings are only read.
        let mut body = _str { s: value.as_ptr().cast::<c_char>().cast_mut(), len };
        // SAFETY: the message is alive, name and body are read before the call returns.
        if unsafe { sr_hdr_add_zs(msg, name.as_ptr().cast_mut(), &raw mut body) } < 0 {
            return Err(failed());
        }
        Ok(())
    }

    /// All header fields, in their order.
    fn fields(&self) -> Result<impl Iterator<Item = Field<'_>>, Error> {
        let msg = self.message()?;
        // SAFETY: parsed, so `headers` is NULL or a list that ends in NULL, and each element is
        // alive while the message is.
        let first = unsafe { (*msg).headers.as_ref() };
        Ok(std::iter::successors(first, |field| {
            // SAFETY: as above.
            unsafe { field.next.as_ref() }
        })
        .map(Field))
    }

    /// The message, with all its headers parsed.
    fn message(&self) -> Result<*mut sip_msg, Error> {
        // SAFETY: the message is the one that Kamailio called with.
        if self.msg.is_null() || unsafe { ks_parse_headers(self.msg) } < 0 {
            return Err(Error::new(Code::Generic, "the message's headers can't be parsed"));
        }
        Ok(self.msg)
    }
}

thread_local! {
    /// The message that was changed last.
    static CHANGED: Cell<Option<MessageId>> = const { Cell::new(None) };
}

/// What stands for octets that are no text: no header value, no URI.
const NO_TEXT: &str = "\u{fffd}";

/// Each octet as the character of this number, so that any octets are a text, and the same again.
fn latin1(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

/// A header field of a message.
struct Field<'a>(&'a hdr_field);

impl<'a> Field<'a> {
    /// Whether it has one of these names.
    fn is(&self, names: &[&str]) -> bool {
        // SAFETY: the name points into the message's buffer.
        let own = unsafe { octets(&self.0.name) };
        names.iter().any(|name| own.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn body(&self) -> &'a [u8] {
        // SAFETY: the body points into the message's buffer.
        unsafe { octets(&self.0.body) }
    }

    fn text(&self) -> &'a str {
        std::str::from_utf8(self.body()).unwrap_or(NO_TEXT)
    }

    fn raw(&self) -> *mut hdr_field {
        std::ptr::from_ref(self.0).cast_mut()
    }
}
