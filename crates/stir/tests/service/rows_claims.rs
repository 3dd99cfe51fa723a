//! The JOSE header's members, the claims, and how old they are.

use super::expected::*;
use super::rows_good::base_passport;
use super::world::World;

fn jose(name: &'static str, refused: Refused, from: &'static str, to: &'static str) -> Row {
    bad(World::plain, name, refused, move |w| w.jose(from, to))
}

fn claims(name: &'static str, from: &'static str, to: &'static str) -> Row {
    bad(World::plain, name, CLAIMS, move |w| w.claims(from, to))
}

fn iat(name: &'static str, refused: Refused, value: &'static str) -> Row {
    bad(World::plain, name, refused, move |w| w.claims("1800000000", value))
}

pub fn all() -> Vec<Row> {
    [members(), required(), kinds(), freshness()].into_iter().flatten().collect()
}

fn members() -> Vec<Row> {
    vec![
        jose("jose no object", JOSE, "{", "[{"),
        jose("jose no JSON", JOSE, "{", ""),
        jose("jose with something behind", JOSE, "}", "} x"),
        jose(
            "jose empty",
            JOSE_ALG,
            r#""alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://certs.example.com/0.pem""#,
            "",
        ),
        jose("jose alg missing", JOSE_ALG, r#""alg":"ES256","#, ""),
        jose("jose alg none", JOSE_ALG, "ES256", "none"),
        jose("jose alg HS256", JOSE_ALG, "ES256", "HS256"),
        jose("jose alg ES384", JOSE_ALG, "ES256", "ES384"),
        jose("jose alg in lower case", JOSE_ALG, "ES256", "es256"),
        jose("jose alg no string", JOSE, r#""ES256""#, "256"),
        jose("jose alg twice", JOSE, r#"{"alg":"ES256""#, r#"{"alg":"ES256","alg":"ES256""#),
        jose(
            "jose alg twice, once escaped",
            JOSE,
            r#"{"alg":"ES256""#,
            r#"{"\u0061lg":"none","alg":"ES256""#,
        ),
        jose("jose typ missing", JOSE_TYP, r#""typ":"passport","#, ""),
        jose("jose typ JWT", JOSE_TYP, "passport", "JWT"),
        jose("jose typ in another case", JOSE_TYP, r#""passport""#, r#""Passport""#),
        jose("jose typ no string", JOSE, r#""passport""#, "true"),
        jose("jose ppt missing", JOSE_PPT, r#""ppt":"shaken","#, ""),
        jose("jose ppt div", JOSE_PPT, r#""shaken""#, r#""div""#),
        jose("jose ppt in another case", JOSE_PPT, r#""shaken""#, r#""SHAKEN""#),
        jose("jose ppt no string", JOSE, r#""shaken""#, r#"["shaken"]"#),
        jose("jose x5u missing", JOSE_X5U, r#","x5u":"https://certs.example.com/0.pem""#, ""),
        jose("jose x5u empty", JOSE_X5U, "https://certs.example.com/0.pem", ""),
        jose("jose x5u not info", JOSE_X5U, "0.pem", "1.pem"),
        jose("jose x5u no string", JOSE, r#""https://certs.example.com/0.pem""#, "{}"),
        jose("jose crit", JOSE, r#"{"alg""#, r#"{"crit":["b64"],"b64":false,"alg""#),
        jose("jose crit empty", JOSE, r#"{"alg""#, r#"{"crit":[],"alg""#),
    ]
}

fn required() -> Vec<Row> {
    vec![
        bad(base_passport, "a base PASSporT without orig", CLAIMS, |w| {
            w.claims(r#""orig":{"tn":"12155551212"}"#, r#""x":1"#);
        }),
        bad(base_passport, "a base PASSporT where none counts", JOSE_PPT, |w| {
            w.config.shaken.base_passport = false;
        }),
        bad(base_passport, "a base PASSporT with a ppt parameter", JOSE_PPT, |w| {
            w.tokens[0].params.push_str(";ppt=shaken");
        }),
        claims("attest missing", r#""attest":"A","#, ""),
        claims("attest D", r#""A""#, r#""D""#),
        claims("attest in lower case", r#""A""#, r#""a""#),
        claims("attest empty", r#""A""#, r#""""#),
        claims("attest AB", r#""A""#, r#""AB""#),
        claims("attest no string", r#""A""#, "1"),
        claims("iat missing", r#""iat":1800000000,"#, ""),
        claims("orig missing", r#""orig":{"tn":"12155551212"},"#, ""),
        claims("dest missing", r#""dest":{"tn":["12155551213"]},"#, ""),
        claims("origid missing", r#","origid":"123e4567-e89b-12d3-a456-426655440000""#, ""),
        claims("origid empty", "123e4567-e89b-12d3-a456-426655440000", ""),
        claims("origid no string", r#""123e4567-e89b-12d3-a456-426655440000""#, "7"),
    ]
}

fn kinds() -> Vec<Row> {
    vec![
        claims("claims no object", "{", "[{"),
        claims("claims no JSON", "{", ""),
        claims("claims with something behind", "0000\"}", "0000\"}{}"),
        claims("attest twice", r#"{"attest""#, r#"{"attest":"A","attest""#),
        claims(
            "a member of orig twice",
            r#"{"tn":"12155551212"}"#,
            r#"{"tn":"12155551212","tn":"12155551212"}"#,
        ),
        claims("iat a string", "1800000000", r#""1800000000""#),
        claims("exp a string", "1800000000", r#"1800000000,"exp":"1900000000""#).says("exp is"),
        claims("exp null", "1800000000", r#"1800000000,"exp":null"#),
        claims("nbf a string", "1800000000", r#"1800000000,"nbf":"1""#).says("nbf is"),
        claims("nbf an array", "1800000000", r#"1800000000,"nbf":[1]"#),
        claims("iat beyond 64 bits", "1800000000", "18000000000000000000"),
        claims("iat null", "1800000000", "null"),
        claims("orig a string", r#"{"tn":"12155551212"}"#, r#""12155551212""#),
        claims("orig empty", r#"{"tn":"12155551212"}"#, "{}"),
        claims(
            "orig with tn and uri",
            r#"{"tn":"12155551212"}"#,
            r#"{"tn":"12155551212","uri":"sip:a@example.com"}"#,
        ),
        claims("orig tn an array", r#""12155551212""#, r#"["12155551212"]"#),
        claims("orig tn empty", r#""12155551212""#, r#""""#),
        claims("orig tn a URI", r#""12155551212""#, r#""sip:12155551212@example.com""#),
        claims("orig tn of 33 digits", "12155551212", "121555512121215555121212155551212"),
        claims("orig uri empty", r#"{"tn":"12155551212"}"#, r#"{"uri":""}"#),
        claims("dest a string", r#"{"tn":["12155551213"]}"#, r#""12155551213""#),
        claims("dest empty", r#"{"tn":["12155551213"]}"#, "{}"),
        claims("dest tn no array", r#"["12155551213"]"#, r#""12155551213""#),
        claims("dest tn empty", r#"["12155551213"]"#, "[]"),
        bad(World::plain, "dest of too many", CLAIMS, |w| {
            let all = vec!["\"12155551213\""; 65].join(",");
            w.claims(r#""12155551213""#, &all);
        })
        .says("more than 64"),
        bad(World::plain, "dest of more than max_dest", CLAIMS, |w| {
            let all = ["\"12155551213\""; 9].join(",");
            w.claims(r#""12155551213""#, &all);
        })
        .says("more than 8 (max_dest)"),
        claims("dest tn of numbers", r#"["12155551213"]"#, "[12155551213]"),
        claims("dest tn with a word beside", r#"["12155551213"]"#, r#"["12155551213","bob"]"#),
        claims(
            "dest uri empty",
            r#"{"tn":["12155551213"]}"#,
            r#"{"tn":["12155551213"],"uri":[""]}"#,
        ),
    ]
}

fn freshness() -> Vec<Row> {
    vec![
        iat("iat 61 s old", IAT, "1799999939").says("61 s old"),
        iat("iat an hour old", IAT, "1799996400"),
        iat("iat 61 s ahead", IAT, "1800000061").says("in the future"),
        iat("iat a year ahead", IAT, "1831536000"),
        iat("iat 0", IAT, "0"),
        iat("iat negative", IAT, "-1800000000"),
        iat("iat the largest", IAT, "9223372036854775807"),
        iat("iat in milliseconds", IAT, "1800000000000"),
        iat("exp is over", IAT, "1800000000,\"exp\":1800000000").says("exp"),
        iat("nbf is to come", IAT, "1800000000,\"nbf\":1800000061").says("nbf"),
        bad(World::plain, "iat 11 s old where 10 are allowed", IAT, |w| {
            w.config.expire = Some(10);
            w.claims("1800000000", "1799999989");
        }),
        bad(World::plain, "iat 1 s ahead where none is allowed", IAT, |w| {
            w.config.clock_skew = 0;
            w.claims("1800000000", "1800000001");
        }),
    ]
}
