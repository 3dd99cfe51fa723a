//! Identity header fields as they come off the wire. Input: fields apart by NUL; the first four
//! are From, To, Request-URI and P-Asserted-Identity if there are more than four.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stir::identity::{Identity, MAX_LEN};
use stir::{Address, PublicKey, SipCall};
use stir_fuzz::{COMPAT, SHAKEN};

fuzz_target!(|text: &str| {
    let fields: Vec<&str> = text.split('\0').collect();
    let call = match fields.as_slice() {
        [from, to, request_uri, asserted, identities @ ..] if !identities.is_empty() => SipCall {
            identities: identities.to_vec(),
            asserted: Address::of_list(asserted),
            from: Address::of_header(from),
            to: Address::of_header(to),
            request_uri: Address::of_uri(request_uri),
            ..SipCall::default()
        },
        identities => SipCall { identities: identities.to_vec(), ..SipCall::default() },
    };
    for value in &call.identities {
        let Ok(identity) = Identity::parse(value) else { continue };
        assert!(value.len() <= MAX_LEN);
        assert!(value.contains(identity.signed));
        assert_eq!(identity.signed, format!("{}.{}", identity.header, identity.payload));
        // What is written anew from the parts has the same parts.
        let mut again = format!("{}.{}", identity.signed, identity.signature);
        if let Some(params) = &identity.params {
            again.push(';');
            for (name, value) in [("info", params.info), ("alg", params.alg), ("ppt", params.ppt)] {
                let Some(value) = value else { continue };
                // The one of the two forms that can hold it.
                match value.contains('>') {
                    false => again.push_str(&format!("{name}=<{value}>;")),
                    true if !value.contains('"') => again.push_str(&format!("{name}=\"{value}\";")),
                    true => return,
                }
            }
        }
        assert_eq!(Identity::parse(&again).expect("the same parts"), identity);
    }
    for verifier in [&*COMPAT, &*SHAKEN] {
        let report = verifier.check_call(&call, PublicKey::Info);
        // No input has a signature by the key of this run.
        let error = report.result.as_ref().expect_err("nothing is signed");
        assert!(report.code() < 0 && !error.message().is_empty());
        assert!(report.certificate().is_none());
        assert!(!format!("{}{}", report.x5u, report.ppt).chars().any(char::is_control));
        (report.header_json(), report.payload_json(), report.response(), report.verstat());
    }
});
