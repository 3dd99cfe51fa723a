//! Walking through DER (X.690) without copying it: what the `der` crate reads, with the place it
//! was read from, so that a signature is checked over the octets that came and not over a copy
//! that was written again.

use der::asn1::AnyRef;
use der::{Reader, SliceReader, Tag};
use std::ops::Range;
use x509_cert::time::Time;

/// Where a part of a DER text lies in it.
pub(crate) type Span = Range<usize>;

/// One element: its tag and places.
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    /// With tag and length.
    pub(crate) whole: Span,
    /// Without.
    pub(crate) content: Span,
    /// The content's octets.
    pub(crate) value: &'a [u8],
}

/// Reads elements one after the other.
pub(crate) struct Cursor<'a> {
    reader: SliceReader<'a>,
    /// Where the reader's first octet lies in the whole text.
    base: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(der: &'a [u8]) -> der::Result<Self> {
        Ok(Self { reader: SliceReader::new(der)?, base: 0 })
    }

    /// Reads what is inside an element.
    pub(crate) fn inside(element: &Element<'a>) -> der::Result<Self> {
        Ok(Self { reader: SliceReader::new(element.value)?, base: element.content.start })
    }

    /// The next element, whatever it is.
    pub(crate) fn next(&mut self) -> der::Result<Element<'a>> {
        let start = self.place()?;
        let any: AnyRef<'a> = self.reader.decode()?;
        let end = self.place()?;
        let value = any.value();
        Ok(Element {
            tag: der::Tagged::tag(&any),
            whole: start..end,
            content: end.saturating_sub(value.len())..end,
            value,
        })
    }

    /// The next element, which must be of this kind.
    pub(crate) fn expect(&mut self, tag: Tag) -> der::Result<Element<'a>> {
        let element = self.next()?;
        element.tag.assert_eq(tag)?;
        Ok(element)
    }

    /// The next element if it is of this kind; else nothing is read.
    pub(crate) fn optional(&mut self, tag: Tag) -> der::Result<Option<Element<'a>>> {
        if self.is_finished() || Tag::peek(&self.reader)? != tag {
            return Ok(None);
        }
        self.next().map(Some)
    }

    /// The next element if it is a time, in Unix seconds; else nothing is read.
    pub(crate) fn optional_time(&mut self) -> der::Result<Option<i64>> {
        if self.is_finished()
            || !matches!(Tag::peek(&self.reader)?, Tag::UtcTime | Tag::GeneralizedTime)
        {
            return Ok(None);
        }
        self.time().map(Some)
    }

    /// A UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5), in Unix seconds.
    pub(crate) fn time(&mut self) -> der::Result<i64> {
        let time: Time = self.reader.decode()?;
        Ok(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Fails if anything is left.
    pub(crate) fn finish(self) -> der::Result<()> {
        self.reader.finish()
    }

    fn place(&self) -> der::Result<usize> {
        Ok(self.base.saturating_add(usize::try_from(self.reader.position())?))
    }
}

/// `[n]`, constructed.
pub(crate) const fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: der::TagNumber(number) }
}

/// `[n]`, primitive.
pub(crate) const fn context_primitive(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: der::TagNumber(number) }
}

/// The octets of a BIT STRING that has no unused bits.
pub(crate) fn bits(element: &Element<'_>) -> der::Result<Span> {
    match element.value.first() {
        Some(0) => Ok(element.content.start + 1..element.content.end),
        _ => Err(Tag::BitString.value_error().into()),
    }
}

/// An extension of a certificate, CRL or CRL entry (RFC 5280 §4.1.2.9).
#[derive(Clone, Debug)]
pub(crate) struct Extension<'a> {
    pub(crate) oid: der::asn1::ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// Most extensions that a certificate, CRL or CRL entry may have: the most in the field is 11, and
/// each is compared with all others.
const MAX_EXTENSIONS: usize = 64;

/// Reads the content of `Extensions`; none may be there twice (RFC 5280 §4.2).
pub(crate) fn extensions(der: &[u8]) -> der::Result<Vec<Extension<'_>>> {
    let mut list = Cursor::new(der)?;
    let mut found: Vec<Extension<'_>> = Vec::new();
    while !list.is_finished() {
        let mut parts = Cursor::inside(&list.expect(Tag::Sequence)?)?;
        let oid =
            der::asn1::ObjectIdentifier::from_bytes(parts.expect(Tag::ObjectIdentifier)?.value)
                .map_err(|_| Tag::ObjectIdentifier.value_error())?;
        let critical = match parts.optional(Tag::Boolean)? {
            None => false,
            Some(flag) => match flag.value {
                [0x00] => false,
                [0xff] => true,
                _ => return Err(Tag::Boolean.non_canonical_error().into()),
            },
        };
        let value = parts.expect(Tag::OctetString)?.value;
        parts.finish()?;
        if found.len() >= MAX_EXTENSIONS || found.iter().any(|known| known.oid == oid) {
            return Err(Tag::Sequence.value_error().into());
        }
        found.push(Extension { oid, critical, value });
    }
    Ok(found)
}
