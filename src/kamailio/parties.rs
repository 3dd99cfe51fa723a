//! Who calls and who is called, as Kamailio's own parsers read it, so that what a script sees ($fu, $fU,
//! $tu, $tU, $ai, $ru, $rU) and what is judged cannot differ. What these parsers refuse is unreadable; so
//! is what the core's reader of URIs reads otherwise, and what other programs may.

use super::bindings::{
    _str, KS_HDR_FROM, KS_HDR_PAI, KS_HDR_TO, KS_URI_SIP, KS_URI_SIPS, KS_URI_TEL, KS_URI_URN,
    ks_asserted, ks_from, ks_party, ks_request_uri, ks_to, sip_msg,
};
use super::guard::octets;
use super::message::{Field, Message};
use std::ffi::c_int;
use std::ops::Range;
use stir::address::MAX_VALUES;
use stir::uri::Scheme;
use stir::verstat::{self, Place};
use stir::{Address, Error, SipCall, Uri, Verstat};

/// Reads one of the parties of a message.
type Read = unsafe extern "C" fn(*mut sip_msg, *mut ks_party) -> c_int;

/// A URI of a header field, and where it stands in the field's body.
struct Named<'a> {
    uri: Uri<'a>,
    place: Range<usize>,
}

impl Message {
    /// What says who calls whom.
    pub(crate) fn call(&self) -> Result<SipCall<'_>, Error> {
        Ok(SipCall {
            identities: self.identities()?,
            asserted: self.asserted()?,
            from: self.one("From", KS_HDR_FROM, ks_from)?,
            to: self.one("To", KS_HDR_TO, ks_to)?,
            request_uri: self.request_uri()?,
            call_id: Some(self.texts("Call-ID", "i")?.into_iter().next().unwrap_or_default()),
            resource_priority: self.texts("Resource-Priority", "Resource-Priority")?,
            priority: self.texts("Priority", "Priority")?.into_iter().next_back(),
        })
    }

    /// Takes every verstat parameter out of From and P-Asserted-Identity, and writes into the telephone
    /// numbers of the latter, or of From where there is none, what is given for their URI.
    pub(crate) fn change_callers(
        &self,
        verstat: impl Fn(&Uri<'_>) -> Option<Verstat>,
    ) -> Result<(), Error> {
        self.changes_once()?;
        // A message with a header field that Kamailio refuses may still be passed on.
        let (fields, parsed) = self.known_fields();
        let fields: Vec<_> = fields.collect();
        let is_asserted = |field: &Field<'_>| field.kind() == KS_HDR_PAI;
        let asserted = fields.iter().any(|f| is_asserted(f) && !is_blank(f.body()));
        let mut froms = 0;
        for field in &fields {
            let named = if is_asserted(field) {
                self.values(field)
            } else if field.kind() == KS_HDR_FROM {
                froms += 1;
                // Kamailio reads the first.
                self.named(field, ks_from).filter(|_| froms == 1).map(|named| vec![named])
            } else {
                continue;
            };
            let place = |named: Named<'_>| Place {
                verstat: Some(&named.uri)
                    .filter(|_| is_asserted(field) == asserted)
                    .and_then(&verstat),
                uri: named.place,
            };
            let places = named.map(|named| named.into_iter().map(place).collect::<Vec<_>>());
            let changed = verstat::mark(field.body(), places.as_deref());
            if changed != field.body() {
                self.change(field, &changed)?;
            }
        }
        parsed
    }

    /// The URI of a header field that a message has once (RFC 3261 §7.3.1).
    fn one(&self, name: &str, kind: c_int, read: Read) -> Result<Address<'_>, Error> {
        let mut fields = self.fields()?.filter(|field| field.kind() == kind);
        let Some(field) = fields.next() else { return Ok(Address::Absent) };
        if fields.next().is_some() {
            return Ok(Address::Unreadable(format!(
                "stands twice in the message, which may have one {name} header (RFC 3261 §7.3.1)"
            )));
        }
        Ok(match self.named(&field, read) {
            Some(named) => Address::Uri(named.uri),
            None => unreadable(&field),
        })
    }

    fn named<'a>(&'a self, field: &Field<'a>, read: Read) -> Option<Named<'a>> {
        let (code, party) = self.read(|msg, party| {
            // SAFETY: the message is alive and its headers are parsed; the party is ours.
            unsafe { read(msg, party) }
        });
        (code == 1 && is_clean(field.body())).then(|| named(field.body(), &party))?
    }

    /// All values of P-Asserted-Identity. Fields that are blank count as if they were not there, unless
    /// others have values: Kamailio reads none then.
    fn asserted(&self) -> Result<Vec<Address<'_>>, Error> {
        let fields = || Ok::<_, Error>(self.fields()?.filter(|field| field.kind() == KS_HDR_PAI));
        if fields()?.all(|field| is_blank(field.body())) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for field in fields()? {
            match self.values(&field).filter(|values| !values.is_empty()) {
                Some(values) => all.extend(values.into_iter().map(|named| Address::Uri(named.uri))),
                None => all.push(unreadable(&field)),
            }
            // One is enough to fail.
            if all.len() > MAX_VALUES {
                return Ok(vec![Address::Unreadable(format!(
                    "has more than {MAX_VALUES} values: RFC 3325 §9.1 allows two"
                ))]);
            }
        }
        Ok(all)
    }

    /// The values of one such field; `None` if they cannot be read.
    fn values<'a>(&'a self, field: &Field<'a>) -> Option<Vec<Named<'a>>> {
        let body = field.body();
        if is_blank(body) {
            return Some(Vec::new());
        }
        if !is_clean(body) {
            return None;
        }
        let mut parties = Vec::new();
        loop {
            let number = c_int::try_from(parties.len()).ok()?;
            let (code, party) = self.read(|msg, party| {
                // SAFETY: as above; the field is one of the message's.
                unsafe { ks_asserted(msg, field.raw(), number, party) }
            });
            match code {
                1 => parties.push(party),
                0 => break,
                _ => return None,
            }
            // Kamailio reads that many, and passes over what is behind them.
            if parties.len() == MAX_VALUES {
                return None;
            }
        }
        let ends =
            parties.iter().skip(1).map(|next| part(body, &next.whole).map(|next| next.start));
        let ends = ends.chain([Some(body.len())]);
        parties
            .iter()
            .zip(ends)
            .map(|(party, end)| {
                let named = named(body.get(..end?)?, party)?;
                // These have no parameters (RFC 3325 §9.1). Some write them, but in quotes there could
                // be what others read as a further value.
                let behind = body.get(part(body, &party.whole)?.end..end?)?;
                (!behind.contains(&b'"')).then_some(named)
            })
            .collect()
    }

    fn request_uri(&self) -> Result<Address<'_>, Error> {
        self.message()?;
        let (code, party) = self.read(|msg, party| {
            // SAFETY: as above.
            unsafe { ks_request_uri(msg, party) }
        });
        // SAFETY: it points into the message, or the URI that a script set, which is the message's.
        let text = unsafe { octets(&party.uri) };
        let uri = std::str::from_utf8(text).ok().and_then(Uri::parse);
        Ok(match (code, uri) {
            (0, _) => Address::Absent,
            (1, Some(uri)) if agrees(&uri, &party) => Address::Uri(uri),
            _ => Address::unreadable(&latin1(text)),
        })
    }

    fn read(&self, read: impl FnOnce(*mut sip_msg, *mut ks_party) -> c_int) -> (c_int, ks_party) {
        // SAFETY: all zeros is a value of this C struct.
        let mut party = unsafe { std::mem::zeroed::<ks_party>() };
        let code = read(self.raw(), &raw mut party);
        (code, party)
    }
}

/// What Kamailio read of a body, if the core reads the same there.
fn named<'a>(body: &'a [u8], party: &ks_party) -> Option<Named<'a>> {
    let place = part(body, &party.uri)?;
    let uri = Uri::parse(std::str::from_utf8(body.get(place.clone())?).ok()?)?;
    // There are programs that look for the URI there.
    let behind = body.get(part(body, &party.whole)?.end..)?;
    let parameters = behind.iter().take_while(|c| **c != b',');
    if parameters.into_iter().any(|c| matches!(c, b'<' | b'>')) || !agrees(&uri, party) {
        return None;
    }
    Some(Named { uri, place })
}

/// Where a part of a body stands in it. Kamailio may count the line's end as the part's.
fn part(body: &[u8], part: &_str) -> Option<Range<usize>> {
    let start = (part.s as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(usize::try_from(part.len).ok()?)?.min(body.len());
    (start <= end).then_some(start..end)
}

/// Whether Kamailio reads the same parts in a URI. Where it takes a sip URI with user=phone for a tel URI
/// (its parameter phone2tel), it cuts the user's parameters off.
fn agrees(uri: &Uri<'_>, party: &ks_party) -> bool {
    let is = |text: &str, part: &_str| {
        // SAFETY: it points into the message.
        unsafe { octets(part) == text.as_bytes() }
    };
    let scheme = match uri.scheme() {
        Scheme::Sip => KS_URI_SIP,
        Scheme::Sips => KS_URI_SIPS,
        Scheme::Tel => KS_URI_TEL,
        Scheme::Urn => KS_URI_URN,
    };
    let cut = || uri.user().split(';').next().unwrap_or_default();
    party.scheme == scheme
        && match uri.scheme() {
            Scheme::Urn => true,
            Scheme::Tel => is(uri.user(), &party.user),
            Scheme::Sip | Scheme::Sips => {
                is(uri.host(), &party.host)
                    && uri.is_telephone() == is("phone", &party.user_param)
                    && (is(uri.user(), &party.user)
                        || (uri.is_telephone() && is(cut(), &party.user)))
            }
        }
}

/// Without control characters but tabs and lines that are folded (RFC 3261 §25.1).
fn is_clean(body: &[u8]) -> bool {
    let next = |at: usize, fits: &[u8]| body.get(at + 1).is_some_and(|c| fits.contains(c));
    body.iter().enumerate().all(|(at, c)| match c {
        b'\t' => true,
        b'\r' => next(at, b"\n"),
        b'\n' => next(at, b" \t"),
        c => !c.is_ascii_control(),
    })
}

fn is_blank(body: &[u8]) -> bool {
    body.trim_ascii().is_empty()
}

fn unreadable(field: &Field<'_>) -> Address<'static> {
    match Address::unreadable(&latin1(field.body())) {
        Address::Unreadable(why) => Address::Unreadable(why),
        _ => Address::Absent,
    }
}

/// Each byte as the character of this number: old telephone systems write names in Latin-1.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
