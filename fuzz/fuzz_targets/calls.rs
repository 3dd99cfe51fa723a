//! Calls whose tokens are genuine, whatever they say. Input: fields apart by NUL: From, To,
//! Request-URI, P-Asserted-Identity, then payloads (JSON); a first letter names their ppt and
//! certificate: s, d, r, p for shaken, div, rcd, rph, in upper case with the narrow certificate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stir::{Address, PublicKey, Report, SipCall};
use stir_fuzz::{COMPAT, RANGE_URL, SHAKEN, SIGNERS, URL};

fuzz_target!(|text: &str| {
    let fields: Vec<&str> = text.split('\0').collect();
    let [from, to, request_uri, asserted, tokens @ ..] = fields.as_slice() else { return };
    let mut payloads = Vec::new();
    let identities: Vec<String> = tokens
        .iter()
        .take(6)
        .filter_map(|token| {
            let (kind, payload) = token.split_at_checked(1)?;
            let ppt = match kind.to_ascii_lowercase().as_str() {
                "s" => "shaken",
                "d" => "div",
                "r" => "rcd",
                "p" => "rph",
                _ => return None,
            };
            let url = if kind == kind.to_ascii_uppercase() { RANGE_URL } else { URL };
            payloads.push((ppt, url, payload));
            let header =
                format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{url}"}}"#);
            let token = SIGNERS.token(header.as_bytes(), payload.as_bytes());
            Some(format!("{token};info=<{url}>;alg=ES256;ppt={ppt}"))
        })
        .collect();
    let call = SipCall {
        identities: identities.iter().map(String::as_str).collect(),
        asserted: Address::of_list(asserted),
        from: Address::of_header(from),
        to: Address::of_header(to),
        request_uri: Address::of_uri(request_uri),
        ..SipCall::default()
    };
    one_line(&COMPAT.check_call(&call, PublicKey::Info));
    let report = SHAKEN.check_call(&call, PublicKey::Info);
    one_line(&report);
    if report.result.is_err() {
        assert!(report.certificate().is_none() || report.claims.is_some());
        return;
    }
    let claims = report.claims.as_ref().expect("claims of a call that passed");
    let payload = report.payload_json().expect("a payload");
    let (_, url, _) = payloads
        .iter()
        .find(|(ppt, _, known)| *ppt == "shaken" && *known == payload)
        .expect("a payload that was signed as shaken");
    assert_eq!(report.ppt, "shaken");
    assert!(matches!(claims.attest.as_str(), "A" | "B" | "C"));
    assert!(report.certificate().is_some());
    assert!(!claims.orig.is_empty() && !claims.dest.is_empty() && !claims.origid.is_empty());
    if *url == RANGE_URL {
        assert!(claims.orig.starts_with("1215555") && claims.orig.len() == 11);
        assert_ne!(claims.attest, "C");
    }
    assert!(report.div.len() <= identities.len());
});

/// What scripts write into header fields must not begin another, whether the call passed or not.
fn one_line(report: &Report) {
    let mut texts = vec![&report.x5u, &report.ppt];
    texts.extend(&report.div);
    for rcd in
        [&report.rcd].into_iter().chain(report.claims.as_ref().map(|claims| &claims.rcd)).flatten()
    {
        texts.extend([&rcd.nam].into_iter().chain(&rcd.icn).chain(&rcd.jcl));
    }
    if let Some(claims) = &report.claims {
        texts.extend([&claims.attest, &claims.orig, &claims.origid]);
        texts.extend(claims.dest.iter().chain(&claims.div));
    }
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
