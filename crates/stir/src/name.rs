//! Distinguished names (RFC 5280 §4.1.2.4) and when they match.

use aws_lc_rs::digest::{Context, SHA256};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Tag};
use x509_cert::name::Name;

/// What is equal for names that match (RFC 5280 §7.1): the same attributes in the same order, text
/// compared without regard to its string type, to ASCII case, and to spaces at its ends or more
/// than one in a row. A CA that writes its name in another way in the certificates it issues is
/// rare, and OpenSSL matches it too.
///
/// It is a digest: certificates are kept by the thousand, and a parsed name takes 1.3 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Folded([u8; 32]);

impl Folded {
    /// Reads a name's DER.
    pub(crate) fn read(der: &[u8]) -> der::Result<Self> {
        Name::from_der(der).map(|name| Self::of(&name))
    }

    pub(crate) fn of(name: &Name) -> Self {
        Self::from(folded(name))
    }

    /// The same for names that have the same attributes in another order.
    pub(crate) fn in_any_order(name: &Name) -> Self {
        let mut rdns = folded(name);
        rdns.sort();
        Self::from(rdns)
    }
}

impl From<Vec<Rdn>> for Folded {
    fn from(rdns: Vec<Rdn>) -> Self {
        let mut all = Context::new(&SHA256);
        // Each length goes ahead, so that no part can be taken for another.
        for rdn in rdns {
            all.update(&rdn.len().to_be_bytes());
            for (oid, value) in rdn {
                all.update(
                    &[oid.as_bytes().len().to_be_bytes(), value.len().to_be_bytes()].concat(),
                );
                all.update(oid.as_bytes());
                all.update(&value);
            }
        }
        let mut octets = [0; 32];
        octets.copy_from_slice(all.finish().as_ref());
        Self(octets)
    }
}

/// The name in the form of RFC 4514, for messages.
pub(crate) fn text(der: &[u8]) -> String {
    Name::from_der(der).map(|name| name.to_string()).unwrap_or_default()
}

type Rdn = Vec<(ObjectIdentifier, Vec<u8>)>;

fn folded(name: &Name) -> Vec<Rdn> {
    name.iter_rdn()
        .map(|rdn| {
            let mut rdn: Rdn = rdn
                .iter()
                .map(|attribute| (attribute.oid, folded_value(&attribute.value)))
                .collect();
            rdn.sort();
            rdn
        })
        .collect()
}

/// First octet of a folded value: a text, or anything else.
const TEXT: u8 = 0;
const OTHER: u8 = 1;

fn folded_value(value: &der::Any) -> Vec<u8> {
    let tag = der::Tagged::tag(value);
    if !matches!(tag, Tag::Utf8String | Tag::PrintableString | Tag::Ia5String) {
        // As it is, with its tag.
        return value.to_der().map(|der| [&[OTHER], der.as_slice()].concat()).unwrap_or_default();
    }
    let mut folded = vec![TEXT];
    for word in value.value().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        folded.extend(word.to_ascii_lowercase());
        folded.push(b' ');
    }
    folded
}
