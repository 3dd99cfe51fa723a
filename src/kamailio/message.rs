//! The SIP message that a script is at.

use super::bindings::{
    _str, hdr_field, ks_change_body, ks_parse_format, ks_parse_headers, ks_print_format, sip_msg,
    sr_hdr_add_zs,
};
use super::guard::octets;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::time::SystemTime;
use stir::{Code, Error};

/// A message, for the length of one call.
pub(crate) struct Message {
    msg: *mut sip_msg,
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
        Self { msg }
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

    /// The values of the header fields of this name.
    pub(super) fn texts(&self, name: &str, compact: &str) -> Result<Vec<&str>, Error> {
        Ok(self.fields()?.filter(|field| field.is(&[name, compact])).map(|f| f.text()).collect())
    }

    /// Whether header fields of this message can be changed: Kamailio would write both values of one that
    /// is changed twice.
    pub(super) fn changes_once(&self) -> Result<(), Error> {
        match self.id() {
            id if id.is_some() && CHANGED.get() == id => {
                Err(Error::new(Code::Generic, "it was set in this message before"))
            }
            _ => Ok(()),
        }
    }

    /// Replaces the body of a header field.
    pub(super) fn change(&self, field: &Field<'_>, body: &[u8]) -> Result<(), Error> {
        let failed = || {
            Error::new(
                Code::Generic,
                "Kamailio can't change the header: see its own message, mostly pkg memory (-M)",
            )
        };
        // Kamailio has no change to nothing.
        let body = if body.is_empty() { b" " } else { body };
        let len = c_int::try_from(body.len()).map_err(|_| failed())?;
        let mut body = _str { s: body.as_ptr().cast::<c_char>().cast_mut(), len };
        // SAFETY: the field is one of the message's; the shim copies the text.
        if unsafe { ks_change_body(self.msg, field.raw(), &raw mut body) } < 0 {
            return Err(failed());
        }
        CHANGED.set(self.id());
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
    pub(super) fn fields(&self) -> Result<impl Iterator<Item = Field<'_>>, Error> {
        let (fields, parsed) = self.known_fields();
        parsed.map(|()| fields)
    }

    /// Those in front of the first one that Kamailio cannot parse, and whether there is none such.
    pub(super) fn known_fields(&self) -> (impl Iterator<Item = Field<'_>>, Result<(), Error>) {
        let parsed = self.message().map(drop);
        // SAFETY: NULL, or the message that Kamailio called with; `headers` is NULL or a list that ends
        // in NULL, and each element is alive while the message is.
        let first = unsafe { self.msg.as_ref().and_then(|msg| msg.headers.as_ref()) };
        let fields = std::iter::successors(first, |field| {
            // SAFETY: as above.
            unsafe { field.next.as_ref() }
        });
        (fields.map(Field), parsed)
    }

    /// The message, with all its headers parsed.
    pub(super) fn message(&self) -> Result<*mut sip_msg, Error> {
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

/// A header field of a message.
pub(super) struct Field<'a>(&'a hdr_field);

impl<'a> Field<'a> {
    /// Whether it has one of these names.
    fn is(&self, names: &[&str]) -> bool {
        // SAFETY: the name points into the message's buffer.
        let own = unsafe { octets(&self.0.name) };
        names.iter().any(|name| own.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Which one it is for Kamailio, also by its compact name: a KS_HDR_* number.
    pub(super) fn kind(&self) -> c_int {
        self.0.type_
    }

    pub(super) fn body(&self) -> &'a [u8] {
        // SAFETY: the body points into the message's buffer.
        unsafe { octets(&self.0.body) }
    }

    fn text(&self) -> &'a str {
        std::str::from_utf8(self.body()).unwrap_or(NO_TEXT)
    }

    pub(super) fn raw(&self) -> *mut hdr_field {
        std::ptr::from_ref(self.0).cast_mut()
    }
}
