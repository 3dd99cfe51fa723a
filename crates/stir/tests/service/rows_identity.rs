//! The Identity header field: syntax, parameters, the three parts of the token, its signature.

use super::expected::*;
use super::world::{DIVERTER, Token, World};

/// A case that changes the finished header field.
fn field(name: &'static str, refused: Refused, change: fn(&str) -> String) -> Row {
    bad(World::plain, name, refused, move |w| w.field(change))
}

/// A case that changes the parameters.
fn params(name: &'static str, refused: Refused, from: &'static str, to: &'static str) -> Row {
    bad(World::plain, name, refused, move |w| w.params(from, to))
}

/// The token's part at this place, changed.
fn part(field: &str, place: usize, change: impl Fn(&str) -> String) -> String {
    let (token, params) = field.split_once(';').unwrap();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[place] = change(&parts[place]);
    format!("{};{params}", parts.join("."))
}

pub fn all() -> Vec<Row> {
    [headers(), syntax(), parameters(), parts(), signatures()].into_iter().flatten().collect()
}

fn headers() -> Vec<Row> {
    vec![
        bad(World::plain, "no identity", NO_IDENTITY, |w| w.tokens.clear()),
        field("identity empty", NO_IDENTITY, |_| String::new()),
        field("identity of white space", NO_IDENTITY, |_| " \t\r\n ".into()),
        bad(World::plain, "only an unsupported ppt", NO_SHAKEN, |w| {
            w.jose("shaken", "msec");
            w.params("shaken", "msec");
        }),
        bad(World::plain, "only a div", NO_SHAKEN, |w| {
            w.tokens = vec![Token::div("12155551213", "12155551214")];
        }),
        bad(World::plain, "only an rcd", NO_SHAKEN, |w| {
            w.tokens = vec![Token::beside("rcd", r#""rcd":{"nam":"Alice"}"#)];
        }),
        bad(World::plain, "only an rcd that is bad", NO_SHAKEN, |w| {
            w.tokens = vec![Token::beside("rcd", r#""rcd":{}"#)];
        }),
        bad(World::plain, "only an rph", NO_SHAKEN, |w| {
            w.tokens = vec![Token::beside("rph", r#""rph":{"auth":["ets.0"]}"#)];
        }),
        bad(World::plain, "the good one is the eleventh", SIGNATURE, |w| {
            crowd(w, 10);
        }),
        bad(
            || World { config: limited(2), ..World::plain() },
            "the good one is beyond max_identity",
            SIGNATURE,
            |w| crowd(w, 2),
        ),
        bad(World::plain, "two shaken of which none is good", SIGNATURE, |w| {
            w.tokens[0].forged = true;
            w.tokens.push(Token { forged: true, ..Token::shaken() });
        }),
        bad(World::plain, "a bad rcd before a forged shaken", SIGNATURE, |w| {
            w.tokens[0].forged = true;
            w.tokens.insert(0, Token::beside("rcd", r#""rcd":{}"#));
        }),
    ]
}

fn limited(max_identity: usize) -> stir::Config {
    let mut config = World::plain().config;
    config.shaken.max_identity = max_identity;
    config
}

/// Puts forged tokens before the good one.
fn crowd(w: &mut World, count: usize) {
    for _ in 0..count {
        w.tokens.insert(0, Token { forged: true, ..Token::shaken() });
    }
}

fn syntax() -> Vec<Row> {
    vec![
        field("a word", SYNTAX, |_| "junk".into()),
        field("one part", SYNTAX, |f| f.replace('.', "")),
        field("two parts", SYNTAX, |f| f.replacen('.', "", 1)),
        field("four parts", SYNTAX, |f| f.replacen(';', ".x;", 1)),
        field("no JOSE header: compact form", SYNTAX, |f| part(f, 0, |_| String::new())),
        field("compact form with signature alone", SYNTAX, |f| {
            part(&part(f, 0, |_| String::new()), 1, |_| String::new())
        }),
        field("longer than 32 KiB", SYNTAX, |f| format!("{f};x={}", "y".repeat(32 * 1024))),
        field("something behind info", SYNTAX, |f| f.replace(">;alg", "> x;alg")),
        field("something behind a quoted ppt", SYNTAX, |f| {
            f.replace("ppt=shaken", "ppt=\"shaken\"x")
        }),
        field("two headers in one field", SYNTAX, |f| format!("{f}, {f}")).says("takes one"),
        field("token in quotes", JOSE, |f| format!("\"{}", f.replacen(';', "\";", 1))),
    ]
}

fn parameters() -> Vec<Row> {
    vec![
        field("no parameters", INFO, |f| f.split(';').next().unwrap().into()),
        params("info missing", INFO, ";info=<https://certs.example.com/0.pem>", ""),
        params("info empty", INFO, "<https://certs.example.com/0.pem>", "<>"),
        params("info without a value", INFO, "=<https://certs.example.com/0.pem>", ""),
        params("info not closed", INFO, ".pem>;alg=ES256;ppt=shaken", ".pem"),
        params("info twice", SYNTAX, ";alg", ";info=<https://certs.example.com/0.pem>;alg"),
        params("alg twice", SYNTAX, ";alg", ";alg=ES256;alg"),
        params("ppt twice", SYNTAX, ";ppt", ";ppt=shaken;ppt"),
        params("ppt twice in another case", SYNTAX, ";ppt", ";PPT=shaken;ppt"),
        params("ppt with backslashes", SYNTAX, "ppt=shaken", "ppt=\\\"shaken\\\"").says("shaken"),
        params("ppt with a quote behind", SYNTAX, "ppt=shaken", "ppt=shaken\"").says("shaken"),
        params("ppt with a comma behind", SYNTAX, "ppt=shaken", "ppt=shaken,").says("\"shaken,\""),
        params("ppt with spaces in quotes", SYNTAX, "ppt=shaken", "ppt=\" shaken \""),
        params("ppt empty", SYNTAX, "ppt=shaken", "ppt="),
        params("ppt quote not closed", SYNTAX, "ppt=shaken", "ppt=\"shaken"),
        params("alg RS256", PARAM_ALG, "ES256", "RS256"),
        params("alg ES384", PARAM_ALG, "ES256", "ES384"),
        params("alg none", PARAM_ALG, "ES256", "none"),
        params("alg empty", PARAM_ALG, "ES256", ""),
        params("ppt of another extension", JOSE_PPT, "shaken", "msec")
            .says("ppt of the Identity header is \"msec\""),
        params("ppt div on a shaken token", JOSE_PPT, "shaken", "div"),
        params("info not x5u", JOSE_X5U, "0.pem", "1.pem"),
        params("info and x5u in another case", JOSE_X5U, "certs.example", "CERTS.example"),
        params("info with the default port", JOSE_X5U, ".com/", ".com:443/"),
        params("info escaped", JOSE_X5U, "0.pem", "%30.pem"),
    ]
}

fn parts() -> Vec<Row> {
    vec![
        field("header padded", JOSE, |f| part(f, 0, |p| format!("{p}="))),
        field("header with a space", JOSE, |f| part(f, 0, |p| format!("{p} "))),
        field("header with a line break", JOSE, |f| {
            part(f, 0, |p| format!("{}\r\n {}", &p[..9], &p[9..]))
        }),
        field("header in base64, not base64url", JOSE, |f| {
            part(f, 0, |p| format!("{}+/", &p[..p.len() - 2]))
        }),
        field("header cut", JOSE, |f| part(f, 0, |p| p[..p.len() - 4].into())),
        field("payload empty", CLAIMS, |f| part(f, 1, |_| String::new())),
        field("payload padded", CLAIMS, |f| part(f, 1, |p| format!("{p}="))),
        field("payload with a space", CLAIMS, |f| part(f, 1, |p| format!(" {p}"))),
        field("payload no base64", CLAIMS, |f| part(f, 1, |p| format!("!{p}"))),
        field("payload cut", CLAIMS, |f| part(f, 1, |p| p[..p.len() - 4].into())),
    ]
}

fn signatures() -> Vec<Row> {
    let octets = |name, refused, change: fn(Vec<u8>) -> Vec<u8>| {
        bad(World::plain, name, refused, move |w| w.tokens[0].signature = change)
    };
    vec![
        octets("first bit of R flipped", SIGNATURE, |s| flipped(s, 0, 0x80)),
        octets("last bit of S flipped", SIGNATURE, |s| flipped(s, 63, 1)),
        octets("R and S exchanged", SIGNATURE, |s| [&s[32..], &s[..32]].concat()),
        octets("signature of zeros", SIGNATURE, |_| vec![0; 64]),
        octets("signature of ones", SIGNATURE, |_| vec![0xff; 64]),
        octets("signature of 63 octets", SIGNATURE_SIZE, |s| s[..63].to_vec()),
        octets("signature of 65 octets", SIGNATURE_SIZE, |s| [s, vec![0]].concat()),
        octets("signature of 96 octets", SIGNATURE_SIZE, |s| [s, vec![0; 32]].concat()),
        octets("signature in DER", SIGNATURE_SIZE, |s| {
            p256::ecdsa::Signature::from_slice(&s).unwrap().to_der().as_bytes().to_vec()
        }),
        octets("signature missing", SIGNATURE_SIZE, |_| Vec::new()),
        field("signature padded", SIGNATURE_TEXT, |f| part(f, 2, |p| format!("{p}=="))),
        field("signature no base64", SIGNATURE_TEXT, |f| part(f, 2, |p| format!("!{}", &p[1..]))),
        field("signature in base64, not base64url", SIGNATURE_TEXT, |f| {
            part(f, 2, |p| format!("+/{}", &p[2..]))
        }),
        field("signature of another token", SIGNATURE, |f| part(f, 1, |_| other_payload())),
        bad(World::plain, "signed by a key in no certificate", SIGNATURE, |w| {
            w.tokens[0].forged = true;
        }),
        bad(World::plain, "signed by another provider", SIGNATURE, |w| {
            w.tokens[0].signer = DIVERTER;
        }),
    ]
}

fn flipped(mut octets: Vec<u8>, place: usize, bit: u8) -> Vec<u8> {
    octets[place] ^= bit;
    octets
}

/// A good payload of attestation B, as a forger would put it in.
fn other_payload() -> String {
    use base64::Engine;
    let payload = Token::shaken().payload.replace("\"A\"", "\"B\"");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload)
}
