//! JSON as JWS asks for it: no member name twice, at any depth (RFC 7515 §4).

use crate::error::{Code, Error, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Parses a JSON object; `what` names it in the error.
///
/// Nesting is bounded by serde_json (128), size by what came before.
pub(crate) fn object(text: &[u8], code: Code, what: &str) -> Result<Map<String, Value>> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        Ok(_) => Err(Error::new(code, format!("the {what} is JSON, but no object"))),
        Err(e) => Err(Error::new(code, format!("the {what} is no JSON: {e}"))),
    }
}

/// The text that RFC 8225 §9 signs: no whitespace, members in code-point order at every depth, no
/// escape that JSON does not need.
pub(crate) fn canonical(object: &Map<String, Value>) -> String {
    // serde_json keeps members in a BTreeMap (byte order of UTF-8 is code-point order).
    Value::Object(object.clone()).to_string()
}

/// A value in which no object has a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if object.contains_key(&name) {
                return Err(de::Error::custom(format_args!("member {name:?} stands twice")));
            }
            object.insert(name, value);
        }
        Ok(Strict(Value::Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Map<String, Value>> {
        object(text.as_bytes(), Code::PayloadParse, "payload")
    }

    #[test]
    fn only_objects_without_double_members_pass() {
        parse(r#"{"a":{"b":1},"b":[{"a":1},{"a":2}]}"#).unwrap();
        for (text, part) in [
            (r#"{"a":1,"a":1}"#, "\"a\" stands twice"),
            (r#"{"x":[{"b":1,"b":2}]}"#, "\"b\" stands twice"),
            (r#"{"a":1,"\u0061":1}"#, "stands twice"),
            ("[]", "no object"),
            ("1", "no object"),
            ("", "no JSON"),
            (r#"{"a":1} x"#, "no JSON"),
            (r#"{"a":1e400}"#, "no JSON"),
            (r#"{"a":"\ud800"}"#, "no JSON"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(1_000_000), "}".repeat(1_000_000));
        assert_eq!(parse(&deep).unwrap_err().code(), Code::PayloadParse);
    }

    #[test]
    fn canonical_sorts_and_strips() {
        let object =
            parse(r#" { "b" : "a/b\u00e9" , "a" : { "d" : 1, "c" : "\u0026" } } "#).unwrap();
        assert_eq!(canonical(&object), r#"{"a":{"c":"&","d":1},"b":"a/bé"}"#);
    }

    #[test]
    fn fractions_stay_what_they_are() {
        let number = format!("180000000{}0", "9".repeat(83));
        for number in [number.as_str(), "0.1", "1.8e92", "2.2250738585072014e-308"] {
            let once = canonical(&parse(&format!("{{\"x\":{number}}}")).unwrap());
            let exact: f64 = number.parse().unwrap();
            assert_eq!(once, format!("{{\"x\":{}}}", Value::from(exact)), "{number}");
            assert_eq!(canonical(&parse(&once).unwrap()), once, "{number}");
        }
    }
}
