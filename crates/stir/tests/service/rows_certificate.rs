//! The certificate, its way to a trust anchor, and its profile.

use super::expected::*;
use super::world::{Anchors, INTER, Party, ROOT, World};
use crate::pki::{self, DAY, Key, NOW, Spec, oid, seq, tlv};
use stir::profile::{Policies, Profile};

/// Places of a leaf's extensions.
const BASIC: usize = 0;
const USAGE: usize = 1;
pub const TN_LIST: usize = 2;

fn chain(name: &'static str, change: impl Fn(&mut World) + 'static) -> Row {
    bad(World::plain, name, NOT_TRUSTED, change)
}

/// A certificate whose signature has another last octet.
pub fn spoilt(mut der: Vec<u8>) -> Vec<u8> {
    *der.last_mut().unwrap() ^= 1;
    der
}

pub fn all() -> Vec<Row> {
    [keys(), dates(), paths(), cas(), usage(), purposes(), profile(), policies()]
        .into_iter()
        .flatten()
        .collect()
}

fn keys() -> Vec<Row> {
    let key = |name, says: &'static str, make: fn() -> Key| {
        bad(World::plain, name, NOT_P256, move |w| w.signers[0].key = make()).says(says)
    };
    vec![
        key("key on P-384", "P-384", Key::p384),
        key("key on P-521", "P-521", Key::p521),
        key("key of RSA", "RSA", Key::rsa),
        key("key of Ed25519", "Ed25519", Key::ed25519),
    ]
}

fn dates() -> Vec<Row> {
    vec![
        bad(World::plain, "certificate expired a second ago", EXPIRED, |w| {
            w.leaf().not_after = pki::time(NOW - 1);
        }),
        bad(World::plain, "certificate valid from the next second", NOT_YET_VALID, |w| {
            w.leaf().not_before = pki::time(NOW + 1);
        }),
        bad(World::plain, "certificate expired before it began", EXPIRED, |w| {
            w.leaf().not_before = pki::time(NOW + DAY);
            w.leaf().not_after = pki::time(NOW - DAY);
        }),
        chain("intermediate expired", |w| w.inter.spec.not_after = pki::time(NOW - 1))
            .says("expired"),
        chain("intermediate not yet valid", |w| w.inter.spec.not_before = pki::time(NOW + 1))
            .says("not valid before"),
        chain("root expired", |w| w.root.spec.not_after = pki::time(NOW - 1)).says("expired"),
        chain("root not yet valid", |w| w.root.spec.not_before = pki::time(NOW + 1))
            .says("not valid before"),
    ]
}

fn paths() -> Vec<Row> {
    vec![
        chain("intermediate not sent", |w| {
            w.sends = |chain| super::world::pem(chain[..1].to_vec())
        })
        .says("neither a trust anchor"),
        chain("root unknown", |w| {
            w.anchors = Anchors::Text(super::world::pem(vec![stranger(ROOT)]));
        }),
        chain("root of another name", |w| {
            w.anchors = Anchors::Text(super::world::pem(vec![stranger("CN=Elsewhere")]));
        })
        .says("neither a trust anchor"),
        chain("certificate signed by itself", |w| {
            let signer = &w.signers[0];
            let own = Spec { subject: pki::name(INTER), ..Spec::leaf(INTER) };
            let own = own.issue(&signer.key, &signer.key);
            w.answer(Ok(super::world::pem(vec![own])));
        })
        .says("self-signed"),
        chain("certificate signed by another key", |w| {
            let leaf = w.signers[0].spec.issue(&w.signers[0].key, &Key::p256());
            let inter = w.chain_of(0).remove(1);
            w.answer(Ok(super::world::pem(vec![leaf, inter])));
        }),
        chain("certificate's signature spoilt", |w| {
            w.sends = |mut chain| {
                chain[0] = spoilt(chain.remove(0));
                super::world::pem(chain)
            };
        }),
        chain("intermediate's signature spoilt", |w| {
            w.sends = |mut chain| {
                let inter = chain.pop().map(spoilt);
                chain.extend(inter);
                super::world::pem(chain)
            };
        })
        .says("signature"),
        chain("issuer of another name", |w| w.leaf().issuer = pki::name("CN=Another"))
            .says("neither a trust anchor"),
        chain("intermediate's issuer of another name", |w| {
            w.inter.spec.issuer = pki::name("CN=Another");
        })
        .says("neither a trust anchor"),
        chain("algorithms inside and outside differ", |w| {
            w.leaf().inner_algorithm = Some(Key::p384().algorithm());
        })
        .says("algorithm"),
        chain("signed with Ed25519", |w| w.inter.key = Key::ed25519()).says("algorithm"),
        chain("unknown critical extension", |w| w.leaf().extensions.push(unknown_critical()))
            .says("not understood"),
        chain("unknown critical extension of the intermediate", |w| {
            w.inter.spec.extensions.push(unknown_critical());
        })
        .says("not understood"),
        chain("intermediate with name constraints", |w| {
            let base = tlv(0xa4, &[&pki::name("C=US")]);
            let value = seq(&[&tlv(0xa0, &[&seq(&[&base])])]);
            w.inter.spec.extensions.push(pki::extension("2.5.29.30", true, &value));
        })
        .says("name constraints"),
    ]
}

fn stranger(name: &str) -> Vec<u8> {
    let key = Key::p256();
    Spec::ca(name, name).issue(&key, &key)
}

fn unknown_critical() -> Vec<u8> {
    pki::extension("1.3.6.1.4.1.99999.1", true, &[5, 0])
}

fn cas() -> Vec<Row> {
    let ca = |name, extensions: fn() -> Vec<Vec<u8>>| {
        chain(name, move |w| w.inter.spec.extensions = extensions())
    };
    vec![
        ca("intermediate without basicConstraints", || vec![pki::key_usage(&[5, 6])])
            .says("basicConstraints"),
        ca("intermediate with the CA flag off", || {
            vec![pki::basic_constraints(false, None), pki::key_usage(&[5, 6])]
        }),
        ca("intermediate whose keyUsage does not let it sign certificates", || {
            vec![pki::basic_constraints(true, None), pki::key_usage(&[0, 6])]
        })
        .says("keyUsage"),
        chain("root with the CA flag off", |w| {
            w.root.spec.extensions = vec![pki::basic_constraints(false, None)];
        }),
        chain("root whose path length is exceeded", |w| {
            w.root.spec.extensions = vec![pki::basic_constraints(true, Some(0))];
        })
        .says("pathLen"),
        chain("intermediate of version 1", |w| w.inter.spec.version = 1),
        chain("issued by another provider's certificate", |w| {
            // Its own issuer is in order; it just is no CA.
            let Party { spec, key } = &w.signers[1];
            let other = Spec { subject: pki::name("CN=Provider"), ..Spec::leaf(INTER) };
            let other = Spec { serial: spec.serial.clone(), ..other }.issue(key, &w.inter.key);
            let leaf = Spec::leaf("CN=Provider").issue(&w.signers[0].key, key);
            let inter = w.chain_of(0).remove(1);
            w.answer(Ok(super::world::pem(vec![leaf, other, inter])));
        }),
    ]
}

fn usage() -> Vec<Row> {
    let usage = |name, bits: &'static [u8]| {
        bad(World::plain, name, PROFILE, move |w| {
            w.leaf().extensions[USAGE] = pki::key_usage(bits);
        })
        .says("digitalSignature")
    };
    vec![
        usage("keyUsage nonRepudiation alone", &[1]),
        usage("keyUsage of a CA", &[5, 6]),
        usage("keyUsage of key agreement", &[4]),
        bad(World::plain, "keyUsage that makes no sense", PROFILE, |w| {
            w.leaf().extensions[USAGE] = pki::extension("2.5.29.15", true, &[0x04, 0]);
        })
        .says("keyUsage makes no sense"),
        bad(World::plain, "keyUsage missing", PROFILE, |w| drop(w.leaf().extensions.remove(USAGE)))
            .says("no keyUsage"),
        good(World::plain, "keyUsage with another bit", |w| {
            w.leaf().extensions[USAGE] = pki::key_usage(&[0, 1]);
        }),
        good(World::plain, "basicConstraints missing", |w| drop(w.leaf().extensions.remove(BASIC))),
        bad(World::plain, "basicConstraints that make no sense", PROFILE, |w| {
            w.leaf().extensions[BASIC] = pki::extension("2.5.29.19", true, &[0x04, 0]);
        })
        .says("basicConstraints make no sense"),
        bad(World::plain, "certificate of a CA", PROFILE, |w| {
            w.leaf().extensions[BASIC] = pki::basic_constraints(true, None);
        })
        .says("that of a CA, \"CN=SHAKEN 1234,O=Test,C=US\": the signer's must come first"),
        bad(World::plain, "CA's certificate first", PROFILE, |w| {
            w.sends = |chain| super::world::pem(chain.into_iter().rev().collect());
        })
        .says("\"CN=Intermediate,O=Test,C=US\": the signer's must come first"),
        bad(World::plain, "CA's certificate first, on P-384", NOT_P256, |w| {
            w.inter.key = Key::p384();
            w.sends = |chain| super::world::pem(chain.into_iter().rev().collect());
        })
        .says("\"CN=Intermediate,O=Test,C=US\": the signer's must come first"),
    ]
}

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const JWT: &str = "1.3.6.1.5.5.7.3.37";
const ANY: &str = "2.5.29.37.0";

fn purposes() -> Vec<Row> {
    fn extension(critical: bool, ids: &[&str]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| oid(id)).collect();
        pki::extension("2.5.29.37", critical, &seq(&[&ids]))
    }
    let refused = |name, critical, ids: &'static [&str]| {
        bad(World::plain, name, PROFILE, move |w| {
            w.leaf().extensions.push(extension(critical, ids))
        })
        .says("extendedKeyUsage")
    };
    let taken = |name, critical, ids: &'static [&str]| {
        good(World::plain, name, move |w| w.leaf().extensions.push(extension(critical, ids)))
    };
    vec![
        refused("extendedKeyUsage serverAuth, critical", true, &[SERVER_AUTH]),
        refused("extendedKeyUsage serverAuth", false, &[SERVER_AUTH]),
        refused(
            "extendedKeyUsage of a web server and its client",
            false,
            &[SERVER_AUTH, CLIENT_AUTH],
        ),
        refused("extendedKeyUsage of nothing", false, &[]),
        taken("extendedKeyUsage any", false, &[ANY]),
        taken("extendedKeyUsage any, critical", true, &[ANY]),
        taken("extendedKeyUsage any and serverAuth", false, &[SERVER_AUTH, ANY]),
        taken("extendedKeyUsage of JWTs", true, &[JWT]),
        bad(World::plain, "extendedKeyUsage that makes no sense", PROFILE, |w| {
            w.leaf().extensions.push(pki::extension("2.5.29.37", false, &[0x04, 0]));
        })
        .says("extendedKeyUsage makes no sense"),
        // That of an issuer says nothing of what it signs.
        good(World::plain, "extendedKeyUsage of the issuer", |w| {
            w.inter.spec.extensions.push(extension(false, &[SERVER_AUTH]));
        }),
    ]
}

/// A certificate that holds to ATIS-1000080 in all, and must.
pub fn enforced() -> World {
    let mut world = World::plain();
    world.config.shaken.profile = Profile::Enforce;
    let place = tlv(0xa0, &[&tlv(0xa0, &[&tlv(0x86, &[b"https://crl.example.com/"])])]);
    world.leaf().extensions.extend([pki::policies(false), crl_points(&[&place, &crl_issuer()])]);
    world
}

/// Places of the further extensions.
const POLICIES: usize = 3;
const CRL_POINTS: usize = 4;

fn crl_issuer() -> Vec<u8> {
    tlv(0xa2, &[&tlv(0xa4, &[&pki::name("CN=STI-PA")])])
}

fn crl_points(parts: &[&[u8]]) -> Vec<u8> {
    pki::extension("2.5.29.31", false, &seq(&[&seq(parts)]))
}

fn policy(critical: bool, ids: &[&str]) -> Vec<u8> {
    let policies: Vec<u8> = ids.iter().flat_map(|id| seq(&[&oid(id)])).collect();
    pki::extension("2.5.29.32", critical, &seq(&[&policies]))
}

fn spcs(codes: &[&str]) -> Vec<u8> {
    let entries: Vec<u8> =
        codes.iter().flat_map(|code| tlv(0xa0, &[&tlv(0x16, &[code.as_bytes()])])).collect();
    pki::extension("1.3.6.1.5.5.7.1.26", false, &seq(&[&entries]))
}

/// A case that breaks one rule, which the error must name.
fn rule(name: &'static str, says: &'static str, change: impl Fn(&mut World) + 'static) -> Row {
    bad(enforced, name, PROFILE, change).says(says)
}

fn profile() -> Vec<Row> {
    const SHAKEN: &str = "2.16.840.1.114569.1.1.4";
    let extension = |name, says, place: usize, value: fn() -> Vec<u8>| {
        rule(name, says, move |w| w.leaf().extensions[place] = value())
    };
    let subject = |name, says, subject: &'static str| {
        rule(name, says, move |w| w.leaf().subject = pki::name(subject))
    };
    let without = |name, says, place: usize| {
        rule(name, says, move |w| drop(w.leaf().extensions.remove(place)))
    };
    vec![
        // It has no extensions, and so nothing that lets it sign.
        rule("profile version 1", "no keyUsage", |w| w.leaf().version = 1),
        bad(enforced, "profile key on P-384", NOT_P256, |w| w.signers[0].key = Key::p384()),
        rule("profile signature ECDSA with SHA-384", "signature:", |w| w.inter.key = Key::p384()),
        good(enforced, "profile kept with NULL parameters of ECDSA", |w| {
            let null = pki::ecdsa_with(pki::NULL);
            w.leaf().inner_algorithm = Some(null.clone());
            w.leaf().outer_algorithm = Some(null);
        }),
        rule("profile signature RSA", "signature:", |w| w.inter.key = Key::rsa()),
        subject("profile subject-c missing", "subject-c:", "O=Test,CN=SHAKEN 1234"),
        subject("profile subject-o missing", "subject-o:", "C=US,CN=SHAKEN 1234"),
        subject("profile subject-cn missing", "subject-cn:", "C=US,O=Test"),
        subject("profile subject-cn of another SPC", "subject-cn:", "C=US,O=Test,CN=SHAKEN 1235"),
        subject("profile subject-cn without SHAKEN", "subject-cn:", "C=US,O=Test,CN=1234"),
        rule("profile spc in lower case", "spc:", |w| {
            w.leaf().subject = pki::name("C=US,O=Test,CN=SHAKEN abcd");
            w.leaf().extensions[TN_LIST] = spcs(&["abcd"]);
        }),
        extension("profile spc twice", "spc:", TN_LIST, || spcs(&["1234", "5678"])),
        bad(enforced, "profile tn-auth-list missing", AUTHORITY, |w| {
            w.leaf().extensions.remove(TN_LIST);
        })
        .says("no TNAuthList"),
        bad(enforced, "profile tn-auth-list empty", AUTHORITY, |w| {
            w.leaf().extensions[TN_LIST] = spcs(&[]);
        })
        .says("is empty"),
        without("profile policies missing", "policies:", POLICIES),
        extension("profile policies critical", "policies:", POLICIES, || policy(true, &[SHAKEN])),
        extension("profile policies of somebody else", "policies:", POLICIES, || {
            policy(false, &["2.5.29.32.0"])
        }),
        extension("profile policies two", "policies:", POLICIES, || {
            policy(false, &[SHAKEN, "2.5.29.32.0"])
        }),
        without("profile crl-dp missing", "crl-dp:", CRL_POINTS),
        extension("profile crl-dp without a place", "crl-dp:", CRL_POINTS, || {
            crl_points(&[&crl_issuer()])
        }),
        extension("profile crl-issuer missing", "crl-issuer:", CRL_POINTS, || {
            let place = tlv(0xa0, &[&tlv(0xa0, &[&tlv(0x86, &[b"https://crl.example.com/"])])]);
            crl_points(&[&place])
        }),
        without("profile key-usage missing", "no keyUsage", USAGE),
        extension("profile key-usage with another bit", "key-usage:", USAGE, || {
            pki::key_usage(&[0, 1])
        }),
        extension("profile key-usage not critical", "key-usage:", USAGE, || {
            pki::extension("2.5.29.15", false, &[0x03, 0x02, 0x07, 0x80])
        }),
        without("profile basic-constraints missing", "basic-constraints:", BASIC),
        extension("profile basic-constraints of a CA", "that of a CA", BASIC, || {
            pki::basic_constraints(true, None)
        }),
        rule("profile key-ids missing", "key-ids:", |w| w.leaf().key_ids = false),
    ]
}

/// Each country has its own certificatePolicies.
fn policies() -> Vec<Row> {
    const CANADA: &str = "1.3.6.1.4.1.56223.1";
    const US: &str = "2.16.840.1.114569.1.1.4";
    let with = |w: &mut World, setting: &str, ids: &[&str]| {
        w.config.shaken.policies = Policies::named(setting).unwrap();
        w.leaf().extensions[POLICIES] = policy(false, ids);
    };
    let good = move |name, setting: &'static str, ids: &'static [&str]| {
        good(enforced, name, move |w| with(w, setting, ids))
    };
    let bad = move |name, setting: &'static str, ids: &'static [&str]| {
        bad(enforced, name, PROFILE, move |w| with(w, setting, ids)).says("policies:")
    };
    vec![
        good("cert_policies of Canada", CANADA, &[CANADA]),
        good(
            "cert_policies of Canada and the US",
            "1.3.6.1.4.1.56223.1, 2.16.840.1.114569.1.1",
            &[US],
        ),
        good("cert_policies any", "any", &["1.2.3.4"]),
        good("cert_policies none, and one is there", "none", &["1.2.3.4"]),
        super::expected::good(enforced, "cert_policies none", |w| {
            w.config.shaken.policies = Policies::None;
            w.leaf().extensions.remove(POLICIES);
        }),
        bad("cert_policies of Canada, and a US certificate", CANADA, &[US]),
        bad(
            "cert_policies by default, and a Canadian certificate",
            "2.16.840.1.114569.1.1",
            &[CANADA],
        ),
        bad("cert_policies of a longer arc", "1.3.6.1.4.1.56223.1", &["1.3.6.1.4.1.56223.11"]),
        bad("cert_policies any, and two", "any", &["1.2.3.4", US]),
        super::expected::bad(enforced, "cert_policies any, and none is there", PROFILE, |w| {
            w.config.shaken.policies = Policies::Any;
            w.leaf().extensions.remove(POLICIES);
        })
        .says("policies:"),
    ]
}
