//! What the service offers, for programs (OpenAPI 3.1).

use serde_json::{Value, json};
use std::sync::OnceLock;

/// A telephone number: 1 to 32 digits, and separators among them.
const NUMBER: &str = r"^\+?[-. ()]*[0-9#*]([-. ()]*[0-9#*]){0,31}[-. ()]*$";
/// Visible ASCII without quotes.
const ORIGID: &str = r"^[!#-\[\]-~]{0,256}$";
/// Of a party that is not a number.
const URI: &str = r"^sips?:[A-Za-z0-9]{1,32}@[a-z0-9]{1,32}\.example$";
/// What can stand in a header field.
const X5U: &str = r"^(https?://[!#-;=?-\[\]-~]{1,1000})?$";
/// OrigTN,DestTN,ATTEST,OrigID,X5U
const CSV: &str = "^[0-9]{1,32},[0-9]{1,32},[ABC],[!#-+.-\\[\\]-~-]{0,256},(https?://[!#-;=?-\\[\\]-~]{1,1000})?$";

/// The document.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| format!("{:#}\n", build()))
}

fn build() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "secsipidx",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
            "description": "STIR/SHAKEN (RFC 8224, RFC 8588): signs calls and checks Identity headers.",
        },
        "paths": {
            "/v1/sign": {"post": {
                "summary": "Sign a call",
                "security": [{}, {"token": []}],
                "requestBody": json_in("SignRequest"),
                "responses": responses(&[
                    ("200", "The Identity header field value", json_out("SignAnswer")),
                    ("401", "Neither the bearer token nor a client certificate is there", json_out("Error")),
                    ("403", "Signing is closed here, or needs a client certificate", json_out("Error")),
                ]),
            }},
            "/v1/verify": {"post": {
                "summary": "Check Identity header fields of one message; one that is valid is enough",
                "requestBody": json_in("VerifyRequest"),
                "responses": responses(&[("200", "The verdict, also where it is no", json_out("Report"))]),
            }},
            "/v1/inspect": {"post": {
                "summary": "Decode Identity header fields and show each rule with pass or fail",
                "requestBody": json_in("InspectRequest"),
                "responses": responses(&[("200", "All that was found", json_out("InspectAnswer"))]),
            }},
            "/v1/check": {"post": {
                "summary": "As the stock service: OK or FAILED",
                "requestBody": text_in("An Identity header field value"),
                "responses": responses(&[("200", "OK", text_out())]),
            }},
            "/v1/sign-csv": {"post": {
                "summary": "As the stock service: OrigTN,DestTN,ATTEST,OrigID,X5U",
                "security": [{}, {"token": []}],
                "requestBody": {"required": true, "content": {
                    "text/plain": {"schema": {"type": "string", "pattern": CSV}},
                }},
                "responses": responses(&[
                    ("200", "The Identity header field value", text_out()),
                    ("401", "Neither the bearer token nor a client certificate is there", json_out("Error")),
                    ("403", "Signing is closed here, or needs a client certificate", json_out("Error")),
                ]),
            }},
            "/stir/v1/signing": {"post": {
                "summary": "Sign a call, or a diversion (ATIS-1000082)",
                "security": [{}, {"token": []}],
                "parameters": [request_id()],
                "requestBody": json_in("SigningRequest"),
                "responses": atis(&[
                    ("200", "The Identity header field value", json_out("SigningResponse")),
                    ("401", "Neither the bearer token nor a client certificate is there", json_out("Error")),
                ]),
            }},
            "/stir/v1/verification": {"post": {
                "summary": "Verify a call (ATIS-1000082)",
                "parameters": [request_id()],
                "requestBody": json_in("VerificationRequest"),
                "responses": atis(&[("200", "The verdict, also where the call is not verified", json_out("VerificationResponse"))]),
            }},
            "/v1/pub/{file}": {"get": {
                "summary": "A file of the public folder",
                "parameters": [{
                    "name": "file", "in": "path", "required": true,
                    "schema": {"type": "string", "minLength": 1},
                }],
                "responses": {
                    "200": {"description": "The file", "content": {"*/*": {}}},
                    "404": {"description": "No such file", "content": text_out()},
                    "503": busy(),
                    "504": {"description": "Too slow", "content": text_out()},
                },
            }},
            "/": status_page("The status page, for people", json!({"text/html": {"schema": {"type": "string"}}})),
            "/v1/status": status_page("What is served, and the certificates in memory", json_out("Status")),
            "/healthz": get("The service runs", text_out()),
            "/readyz": {"get": {
                "summary": "Ready for calls",
                "responses": {
                    "200": {"description": "Ready", "content": text_out()},
                    "503": {"description": "Not ready", "content": text_out()},
                },
            }},
            "/metrics": get("Counters for Prometheus", text_out()),
            "/openapi.json": get("This document", json!({"application/json": {"schema": {"type": "object"}}})),
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    })
}

fn schemas() -> Value {
    let string = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    json!({
        "SignRequest": {
            "type": "object", "additionalProperties": false,
            "required": ["orig", "dest", "attest"],
            "properties": {
                "orig": number("Calling number"),
                "dest": number("Called number"),
                "attest": {"type": "string", "enum": ["A", "B", "C"]},
                "origid": {"type": "string", "pattern": ORIGID, "description": "A new UUID if empty"},
                "x5u": {"type": "string", "pattern": X5U, "description": "sign.x5u if empty"},
            },
        },
        "SignAnswer": {"type": "object", "required": ["identity"], "properties": {"identity": string}},
        "VerifyRequest": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "identity": maybe, "identities": {"type": "array", "items": string},
                "from": {"type": "string", "description": "From, as received; policy shaken needs the call"},
                "asserted": {"type": "array", "items": string, "description": "P-Asserted-Identity"},
                "to": {"type": "string", "description": "To"},
                "request_uri": {"type": "string", "description": "The Request-URI"},
                "call_id": {"type": ["string", "null"], "description": "Call-ID, with which a token that comes again is noticed"},
            },
        },
        "Report": {
            "type": "object",
            "required": ["valid", "code", "reason", "claims", "x5u", "ppt", "sip", "verstat", "step", "spc", "div", "rcd"],
            "properties": {
                "sip": {
                    "type": ["object", "null"], "required": ["code", "reason", "reason_hdr"],
                    "description": "What the caller would be answered; null for a call that is valid",
                    "properties": {"code": {"type": "integer"}, "reason": string, "reason_hdr": maybe},
                },
                "verstat": verstat(),
                "step": {"type": ["string", "null"], "description": "What failed"},
                "spc": maybe,
                "div": {"type": "array", "items": string},
                "rcd": {
                    "type": ["object", "null"], "required": ["nam", "icn", "jcl"],
                    "properties": {"nam": string, "icn": maybe, "jcl": maybe},
                },
                "valid": {"type": "boolean"},
                "code": {"type": "integer", "description": "1, or the stock stack's negative code"},
                "reason": maybe,
                "claims": {
                    "type": ["object", "null"],
                    "properties": {
                        "attest": string, "orig": string, "origid": string,
                        "dest": {"type": "array", "items": string},
                        "iat": {"type": "integer"},
                    },
                },
                "x5u": string,
                "ppt": string,
            },
        },
        "InspectRequest": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string", "description": "An Identity header or a SIP message"}},
        },
        "InspectAnswer": {
            "type": "object", "required": ["identities", "left_out"],
            "properties": {"left_out": {"type": "integer", "description": "Header fields over the limit"}, "identities": {"type": "array", "items": {
                "type": "object", "required": ["rules", "verdict", "certificates"],
                "properties": {
                    "rules": {"type": "array", "items": {
                        "type": "object", "required": ["rule", "outcome", "text"],
                        "properties": {
                            "rule": string, "text": string,
                            "outcome": {"type": "string", "enum": ["pass", "fail", "skip"]},
                        },
                    }},
                    "verdict": {
                        "type": "object", "required": ["valid", "code"],
                        "properties": {"valid": {"type": "boolean"}, "code": {"type": "integer"}, "reason": string},
                    },
                    "certificates": {"type": "array", "items": {"type": "object"}},
                },
            }}},
        },
        "Status": {
            "type": "object",
            "required": ["version", "now", "uptime", "listeners", "sign", "check", "public", "certificates", "certificates_total"],
            "properties": {
                "version": string,
                "now": string,
                "uptime": {"type": "integer", "description": "Seconds"},
                "listeners": {"type": "array", "items": {
                    "type": "object", "required": ["name", "address", "signing"],
                    "properties": {
                        "name": {"type": "string", "enum": ["HTTP", "HTTPS"]},
                        "address": string,
                        "signing": {"type": "string", "description": "Who may have calls signed here"},
                    },
                }},
                "sign": {
                    "type": "object", "required": ["on", "x5u"],
                    "properties": {"on": {"type": "boolean"}, "x5u": maybe},
                },
                "check": {
                    "type": "object", "required": ["key", "expire", "ca", "intermediates", "crl"],
                    "properties": {
                        "key": maybe, "ca": maybe, "intermediates": maybe, "crl": maybe,
                        "expire": {"type": "integer"},
                    },
                },
                "public": maybe,
                "certificates": {"type": "array", "description": "The latest used first", "items": {
                    "type": "object",
                    "required": ["location", "subject", "tn_auth_list", "not_after", "state", "until"],
                    "properties": {
                        "location": string, "subject": maybe, "not_after": maybe,
                        "until": {"type": ["string", "null"], "description": "Null for a file, which is used until it changes"},
                        "tn_auth_list": {"type": ["array", "null"], "items": string},
                        "state": {"enum": ["valid", "soon", "expired", null], "description": "soon: less than a day is left; null for a bare public key"},
                    },
                }},
                "certificates_total": {"type": "integer"},
            },
        },
        "Party": {
            "type": "object",
            "oneOf": [{"required": ["tn"]}, {"required": ["uri"]}],
            "properties": {"tn": number("E.164"), "uri": {"type": "string", "pattern": URI}},
        },
        "Parties": {
            "type": "object", "required": ["tn"],
            "properties": {"tn": {"type": "array", "minItems": 1, "maxItems": 16, "items": number("E.164")}},
        },
        "SigningRequest": {
            "type": "object", "required": ["signingRequest"],
            "properties": {"signingRequest": {
                "type": "object", "required": ["attest", "orig", "dest"],
                "properties": {
                    "attest": {"type": "string", "enum": ["A", "B", "C"]},
                    "orig": {"$ref": "#/components/schemas/Party"},
                    "dest": {"$ref": "#/components/schemas/Parties"},
                    "iat": seconds("When it is signed, which must be now: within check.expire"),
                    "origid": {"type": "string", "pattern": ORIGID, "description": "A new UUID without it"},
                    "div": {"$ref": "#/components/schemas/Party", "description": "Signs a diversion from there, beside identities"},
                    "identities": {"type": "array", "maxItems": 10, "items": string},
                },
            }},
        },
        "SigningResponse": {
            "type": "object", "required": ["signingResponse"],
            "properties": {"signingResponse": {"type": "object", "required": ["identity"], "properties": {"identity": string}}},
        },
        "VerificationRequest": {
            "type": "object", "required": ["verificationRequest"],
            "properties": {"verificationRequest": {
                "type": "object", "required": ["from", "to"],
                "oneOf": [{"required": ["identity"]}, {"required": ["identities"]}],
                "properties": {
                    "from": {"$ref": "#/components/schemas/Party"},
                    "to": {"$ref": "#/components/schemas/Parties"},
                    "time": seconds("When the call came; the service's clock counts"),
                    "identity": string,
                    "identities": {"type": "array", "maxItems": 10, "items": string},
                },
            }},
        },
        "VerificationResponse": {
            "type": "object", "required": ["verificationResponse"],
            "properties": {"verificationResponse": {
                "type": "object", "required": ["verstat"],
                "properties": {
                    "verstat": verstat(),
                    "reasoncode": {"type": "integer", "enum": [403, 428, 436, 437, 438]},
                    "reasontext": string,
                    "reasondesc": string,
                },
            }},
        },
        "RequestError": {
            "type": "object", "required": ["requestError"],
            "properties": {"requestError": {
                "type": "object",
                "oneOf": [{"required": ["serviceException"]}, {"required": ["policyException"]}],
                "properties": {"serviceException": exception("SVC"), "policyException": exception("POL")},
            }},
        },
        "Error": {
            "type": "object", "required": ["error"],
            "properties": {"error": {
                "type": "object", "required": ["code", "message"],
                "properties": {"code": {"type": "integer"}, "message": string},
            }},
        },
    })
}

fn verstat() -> Value {
    json!({"type": "string", "enum": ["TN-Validation-Passed", "TN-Validation-Failed", "No-TN-Validation"]})
}

fn seconds(description: &str) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1_i64 << 53, "description": description})
}

/// An exception of ATIS-1000082.
fn exception(kind: &str) -> Value {
    json!({
        "type": "object", "required": ["messageId", "text", "variables"],
        "properties": {
            "messageId": {"type": "string", "pattern": format!("^{kind}[0-9]{{4}}$")},
            "text": {"type": "string"},
            "variables": {"type": "array", "items": {"type": "string"}},
        },
    })
}

fn request_id() -> Value {
    json!({
        "name": "X-RequestID", "in": "header",
        "description": "Given back; a new one without it",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    })
}

/// These, and what every path of ATIS-1000082 may answer.
fn atis(own: &[(&str, &str, Value)]) -> Value {
    let mut all = responses(own);
    for (status, description) in [
        ("400", "SVC4000, SVC4001, SVC4005, SVC4006"),
        ("405", "POL4050"),
        ("406", "SVC4002: Accept has no JSON"),
        ("411", "SVC4007: no Content-Length"),
        ("415", "SVC4004: Content-Type is not JSON"),
        ("500", "POL5000"),
    ] {
        all[status] = json!({"description": description, "content": json_out("RequestError")});
    }
    all
}

fn number(description: &str) -> Value {
    json!({"type": "string", "pattern": NUMBER, "description": description, "examples": ["12155550100"]})
}

fn json_in(schema: &str) -> Value {
    json!({"required": true, "content": json_out(schema)})
}

fn json_out(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

fn text_in(description: &str) -> Value {
    json!({"required": true, "description": description, "content": text_out()})
}

fn text_out() -> Value {
    json!({"text/plain": {"schema": {"type": "string"}}})
}

fn busy() -> Value {
    json!({"description": "Too many requests at a time", "content": json_out("Error")})
}

fn get(summary: &str, content: Value) -> Value {
    json!({"get": {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}})
}

/// What `status_page = false` takes away.
fn status_page(summary: &str, content: Value) -> Value {
    let mut path = get(summary, content);
    path["get"]["responses"]["404"] =
        json!({"description": "status_page is false here", "content": text_out()});
    path
}

/// These, and what every path with a body may answer.
fn responses(own: &[(&str, &str, Value)]) -> Value {
    let either = json!({
        "application/json": json_out("Error")["application/json"],
        "text/plain": text_out()["text/plain"],
    });
    let mut all = json!({
        "400": {"description": "The body is not what is due", "content": either},
        "403": {"description": "Asked by a page of another site (Origin)", "content": json_out("Error")},
        "408": {"description": "The body did not come in time", "content": text_out()},
        "421": {"description": "Asked by a name that is not the service's", "content": json_out("Error")},
        "413": {"description": "The body is too large", "content": text_out()},
        "500": {"description": "Not valid (/v1/check), or a failure here", "content": either},
        "503": busy(),
        "504": {"description": "Too slow", "content": text_out()},
    });
    for (status, description, content) in own {
        all[*status] = json!({"description": description, "content": content});
    }
    all
}
