//! Header fields that name callers and called numbers. Input: a From or To value, or a field of
//! P-Asserted-Identity.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stir::verstat::{Place, mark};
use stir::{Address, Numbering, Party, Uri, Verstat};

fuzz_target!(|text: &str| {
    let one = Address::of_header(text);
    if let Some(uri) = one.uri() {
        reads_one_way(uri);
        // Written anew it is the same; in another's parameter it is not.
        let again = format!("\"x\" <{}>;tag=1", uri.text());
        assert_eq!(Address::of_header(&again).uri(), Some(uri));
        let hidden = format!("<sip:other@x>;tag=\"<{}>\"", uri.text());
        assert_eq!(Address::of_header(&hidden).uri(), None);
    }
    for address in Address::of_list(text) {
        if let Some(uri) = address.uri() {
            reads_one_way(uri);
        }
    }
    // Whatever a field is, and wherever its URIs are said to be.
    for places in [None, Some(vec![Place { uri: 0..text.len(), verstat: Some(Verstat::Passed) }])] {
        let marked = mark(text.as_bytes(), places.as_deref());
        assert!(marked.len() <= text.len() + 40);
    }
});

fn reads_one_way(uri: &Uri<'_>) {
    assert!(!uri.text().contains(['<', '>', '"', ' ', '\0', '\r', '\n']));
    assert!(uri.text().contains(uri.user()) && uri.text().contains(uri.host()));
    assert!(!uri.user().contains(['@', ':']) && !uri.host().contains(['@', ';', '?']));
    if let Ok(party) = Party::of(&Numbering::default(), uri) {
        assert!(party.is(party.text()));
        assert_eq!(party.is_number(), !party.text().contains(':'));
    }
}
