//! Revocation by each form of CRL.

use super::expected::*;
use super::rows_certificate::spoilt;
use super::world::{By, Crl, INTER, PA, ROOT, SERIAL, World};
use crate::pki::{self, CrlSpec, DAY, NOW};

/// The intermediate's own CRL, and the root's.
fn direct() -> World {
    let crl = Crl { spec: CrlSpec::new(INTER).revoke(&[0x12]), by: By::Inter };
    World { crls: vec![crl, root()], ..World::plain() }
}

fn root() -> Crl {
    Crl { spec: CrlSpec::new(ROOT), by: By::Root }
}

/// The policy administrator's CRL, whose entries name CAs.
fn indirect() -> World {
    let revoked = vec![
        (vec![0x12], Some(pki::name(INTER))),
        (SERIAL.to_vec(), Some(pki::name("CN=Another CA"))),
    ];
    let spec = CrlSpec { indirect: true, revoked, ..CrlSpec::new(PA) };
    let mut world = World { crls: vec![Crl { spec, by: By::Pa }], ..World::plain() };
    world.leaf().extensions.push(pki::crl_issuer(PA));
    world.inter.spec.extensions.push(pki::crl_issuer(PA));
    world
}

/// France: one CRL for all, that says nothing of issuers; certificates name it.
fn french() -> World {
    let crl = Crl { spec: CrlSpec::new(PA).revoke(&[0x12]), by: By::Pa };
    let mut world = World { crls: vec![crl, root()], ..World::plain() };
    world.inter.spec.extensions.push(pki::crl_issuer(ROOT));
    world.leaf().extensions.push(pki::crl_issuer(PA));
    world
}

fn unusable(name: &'static str, change: impl Fn(&mut World) + 'static) -> Row {
    bad(direct, name, CRL_UNUSABLE, change)
}

pub fn all() -> Vec<Row> {
    [listed(), crls(), covered()].into_iter().flatten().collect()
}

fn listed() -> Vec<Row> {
    vec![
        good(direct, "direct CRL of others", |_| ()),
        good(direct, "direct CRL of none", |w| w.crls[0].spec.revoked.clear()),
        good(indirect, "indirect CRL of others", |_| ()),
        good(indirect, "indirect CRL of another CA that the certificate names", |w| {
            w.crls[0].spec.revoked.insert(0, (SERIAL.to_vec(), None));
        }),
        good(french, "French CRL of others", |_| ()),
        bad(french, "French CRL that the certificate does not name", UNDETERMINED, |w| {
            w.leaf().extensions.pop();
            w.crls[0].spec.revoked.push((SERIAL.to_vec(), None));
        }),
        bad(direct, "revoked by the direct CRL", REVOKED, |w| {
            w.crls[0].spec.revoked.push((SERIAL.to_vec(), None));
        }),
        bad(direct, "revoked by the second CRL", REVOKED, |w| {
            w.crls.push(Crl { spec: CrlSpec::new(INTER).revoke(SERIAL), by: By::Inter });
        }),
        bad(direct, "intermediate revoked", REVOKED, |w| {
            w.crls.push(Crl { spec: CrlSpec::new(ROOT).revoke(&[0x66]), by: By::Root });
        })
        .says("Intermediate"),
        bad(indirect, "revoked by the indirect CRL", REVOKED, |w| {
            w.crls[0].spec.revoked.push((SERIAL.to_vec(), Some(pki::name(INTER))));
        }),
        bad(indirect, "revoked by the indirect CRL, issuer of the entry before", REVOKED, |w| {
            w.crls[0].spec.revoked.insert(1, (SERIAL.to_vec(), None));
        }),
        bad(indirect, "intermediate revoked by the indirect CRL", REVOKED, |w| {
            w.crls[0].spec.revoked.push((vec![0x66], Some(pki::name(ROOT))));
        })
        .says("Intermediate"),
        bad(french, "revoked by the French CRL", REVOKED, |w| {
            w.crls[0].spec.revoked.push((SERIAL.to_vec(), None));
        }),
        bad(french, "revoked by the French CRL, attributes in another order", REVOKED, |w| {
            w.crls[0].spec.revoked.push((SERIAL.to_vec(), None));
            w.leaf().extensions.pop();
            w.leaf().extensions.push(pki::crl_issuer("CN=STI-PA CRL,O=Test,C=US"));
        }),
    ]
}

fn crls() -> Vec<Row> {
    vec![
        unusable("CRL out of date", |w| w.crls[0].spec.next_update = NOW - 1).says("out of date"),
        unusable("CRL not yet in force", |w| w.crls[0].spec.this_update = NOW + 1)
            .says("not in force"),
        unusable("CRL signed by another key", |w| w.crls[0].by = By::Stranger),
        unusable("CRL with a spoilt signature", |w| {
            w.crl_text = |mut ders| {
                let der = ders.remove(0);
                pki::pem("X509 CRL", &[spoilt(der)]).into_bytes()
            };
        }),
        undetermined(direct, "CRL of an unknown issuer", |w| {
            w.crls[0].spec.issuer = pki::name("CN=Nobody");
        }),
        bad(indirect, "indirect CRL of an unknown issuer", CRL_UNUSABLE, |w| {
            w.crls[0].spec.issuer = pki::name("CN=Nobody");
        })
        .says("neither a trust anchor"),
        unusable("second CRL out of date", |w| {
            let spec = CrlSpec { next_update: NOW - 1, ..CrlSpec::new(ROOT) };
            w.crls.push(Crl { spec, by: By::Root });
        })
        .says("out of date"),
        unusable("direct CRL whose entries name issuers", |w| {
            w.crls[0].spec.revoked.push((vec![1], Some(pki::name(ROOT))));
        }),
        good(direct, "CRL out of date beside a newer one of its issuer", |w| {
            let old =
                CrlSpec { this_update: NOW - 2 * DAY, next_update: NOW - 1, ..CrlSpec::new(INTER) };
            w.crls.push(Crl { spec: old, by: By::Inter });
        }),
        unusable("CRL out of date beside a newer one of another issuer", |w| {
            w.crls.remove(1);
            let old =
                CrlSpec { this_update: NOW - 2 * DAY, next_update: NOW - 1, ..CrlSpec::new(ROOT) };
            w.crls.push(Crl { spec: old, by: By::Root });
        }),
        unusable("CRL out of date beside an older one of its issuer", |w| {
            let old = CrlSpec { this_update: NOW - 2 * DAY, ..CrlSpec::new(INTER) };
            w.crls[0].spec.next_update = NOW - 1;
            w.crls.push(Crl { spec: old, by: By::Inter });
        }),
        bad(direct, "revoked by a CRL out of date beside a newer one", REVOKED, |w| {
            let old =
                CrlSpec { this_update: NOW - 2 * DAY, next_update: NOW - 1, ..CrlSpec::new(INTER) };
            w.crls.push(Crl { spec: old.revoke(SERIAL), by: By::Inter });
        }),
        unusable("CRL file empty", |w| w.crl_text = |_| Vec::new()).says("no CRL"),
        unusable("CRL file is a page", |w| w.crl_text = |_| b"<html>".to_vec()).says("no CRL"),
        unusable("CRL file is cut", |w| w.crl_text = |ders| ders[0][..40].to_vec()),
        bad(french, "French CRL out of date", CRL_UNUSABLE, |w| {
            w.crls[0].spec.next_update = NOW - 1;
        }),
        bad(indirect, "indirect CRL by who may not sign CRLs", CRL_UNUSABLE, |w| {
            w.pa.spec.extensions[1] = pki::key_usage(&[0]);
        })
        .says("keyUsage"),
        bad(indirect, "indirect CRL by who has expired", CRL_UNUSABLE, |w| {
            w.pa.spec.not_after = pki::time(NOW - 1);
        })
        .says("expired"),
    ]
}

const PLACE: &str = "https://crl.example.com/crl";

/// A call whose certificate no CRL covers.
fn undetermined(
    base: fn() -> World,
    name: &'static str,
    change: impl Fn(&mut World) + 'static,
) -> Row {
    bad(base, name, UNDETERMINED, change).says("nobody knows whether the certificate")
}

/// Replaces the distribution points of the signer's certificate.
fn points(world: &mut World, point: Vec<u8>) {
    let own = world.leaf().extensions.len() - 1;
    world.leaf().extensions[own] = point;
}

/// RFC 5280 §6.3.3 b.
fn covered() -> Vec<Row> {
    let flag = |tag: u8| pki::tlv(tag, &[&[0xff]]);
    let (users, cas) = (flag(0x81), flag(0x82));
    let (only_users, only_cas) = (users.clone(), cas.clone());
    let some_reasons = || {
        let place = pki::place(PLACE);
        let point = pki::seq(&[&place, &pki::tlv(0x81, &[&[6, 0x40]])]);
        pki::extension("2.5.29.31", false, &pki::seq(&[&point]))
    };
    vec![
        undetermined(direct, "undetermined without the CRL of the signer's CA", |w| {
            w.crls.remove(0);
        })
        .says("CN=SHAKEN 1234"),
        undetermined(direct, "undetermined without the CRL that the CA names", |w| {
            w.crls.remove(1);
            w.inter.spec.extensions.push(pki::crl_place(PLACE, None));
        })
        .says("CN=Intermediate"),
        good(direct, "CRL of the signer's CA alone, where that names none", |w| {
            w.crls.remove(1);
        }),
        good(direct, "undetermined counts where crl_required is 0", |w| {
            w.crls.remove(0);
            w.config.crl_required = Some(false);
        }),
        undetermined(direct, "undetermined by a CRL of CA certificates alone", move |w| {
            w.crls[0].spec.point = only_cas.clone();
        }),
        undetermined(direct, "undetermined by a CRL of other than CA certificates", move |w| {
            w.inter.spec.extensions.push(pki::crl_place(PLACE, None));
            w.crls[1].spec.point = only_users.clone();
        }),
        good(direct, "CRL of CA certificates and CRL of others", move |w| {
            w.crls[0].spec.point = users.clone();
            w.crls[1].spec.point = cas.clone();
        }),
        undetermined(direct, "undetermined by a part for a place nobody names", |w| {
            w.crls[0].spec.point = pki::place(PLACE);
        }),
        undetermined(direct, "undetermined by a part for another place", |w| {
            w.crls[0].spec.point = pki::place(PLACE);
            w.leaf().extensions.push(pki::crl_place("https://crl.example.com/2", None));
        }),
        good(direct, "part for the place that the certificate names", |w| {
            w.crls[0].spec.point = pki::place(PLACE);
            w.leaf().extensions.push(pki::crl_place(PLACE, None));
        }),
        undetermined(direct, "undetermined where the place is for some reasons", move |w| {
            w.crls[0].spec.point = pki::place(PLACE);
            w.leaf().extensions.push(some_reasons());
        }),
        undetermined(indirect, "undetermined where another is the cRLIssuer", |w| {
            points(w, pki::crl_place(PLACE, Some("CN=Another PA")));
        }),
        good(indirect, "indirect CRL of no place, certificate without cRLIssuer", |w| {
            points(w, pki::crl_place(PLACE, None));
        }),
        good(indirect, "indirect CRL of the place, another cRLIssuer", |w| {
            w.crls[0].spec.point = pki::place(PLACE);
            points(w, pki::crl_place(PLACE, Some("CN=Another PA")));
            w.inter.spec.extensions.pop();
            w.inter.spec.extensions.push(pki::crl_place(PLACE, Some(PA)));
        }),
        undetermined(indirect, "undetermined by an indirect CRL of another place", |w| {
            w.crls[0].spec.point = pki::place("https://crl.example.com/2");
            points(w, pki::crl_place(PLACE, Some(PA)));
        }),
        good(indirect, "indirect CRL that names the issuer of one without a point", |w| {
            w.leaf().extensions.pop();
        }),
        undetermined(indirect, "undetermined without a point or an entry of the issuer", |w| {
            w.leaf().extensions.pop();
            w.crls[0].spec.revoked.remove(0);
        }),
        undetermined(french, "undetermined by France's CRL of CAs alone", |w| {
            w.crls.remove(0);
        }),
        undetermined(french, "undetermined by France's CRL of signers alone", |w| {
            w.crls.remove(1);
        })
        .says("CN=Intermediate"),
    ]
}
