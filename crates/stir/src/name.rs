//! Distinguished names (RFC 5280 §4.1.2.4) and when they match.

use der::asn1::ObjectIdentifier;
use der::{Encode, Tag};
use x509_cert::name::Name;

/// A name with its DER.
#[derive(Clone, Copy)]
pub(crate) struct NameRef<'a> {
    pub(crate) der: &'a [u8],
    pub(crate) name: &'a Name,
}

impl NameRef<'_> {
    /// Whether the names match (RFC 5280 §7.1): the same attributes in the same order, text
    /// compared without regard to its string type, to ASCII case, and to spaces at its ends or
    /// more than one in a row. A CA that writes its name in another way in the certificates it
    /// issues is rare, and OpenSSL matches it too.
    pub(crate) fn matches(&self, other: &NameRef<'_>) -> bool {
        self.der == other.der || folded(self.name) == folded(other.name)
    }

    /// The same, whatever the order of the attributes.
    pub(crate) fn matches_in_any_order(&self, other: &NameRef<'_>) -> bool {
        let (mut one, mut two) = (folded(self.name), folded(other.name));
        one.sort();
        two.sort();
        one == two
    }
}

/// A name in a form that is equal for names that match.
fn folded(name: &Name) -> Vec<Vec<(ObjectIdentifier, Vec<u8>)>> {
    name.iter_rdn()
        .map(|rdn| {
            let mut rdn: Vec<_> = rdn
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
