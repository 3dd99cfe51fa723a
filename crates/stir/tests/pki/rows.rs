//! Chains, good and bad, each different from a good one in a single thing.
#![allow(clippy::unwrap_used)]

use crate::pki::*;

/// A chain to be judged at [`NOW`].
#[derive(Default)]
pub struct Row {
    pub name: &'static str,
    pub leaf: Vec<u8>,
    /// Sent with the leaf.
    pub rest: Vec<Vec<u8>>,
    pub roots: Vec<Vec<u8>>,
    pub crls: Vec<Vec<u8>>,
    /// What RFC 5280 says.
    pub good: bool,
}

const ROOT: &str = "C=US,O=Test,CN=Root";
const INTER: &str = "C=US,O=Test,CN=Intermediate";
const SUB: &str = "C=US,O=Test,CN=Sub";

/// Root, intermediate and leaf with the parts that a row replaces.
struct Three {
    root_key: Key,
    inter_key: Key,
    leaf_key: Key,
    root: Spec,
    inter: Spec,
    leaf: Spec,
}

impl Three {
    fn new() -> Self {
        Self {
            root_key: Key::p256(),
            inter_key: Key::p256(),
            leaf_key: Key::p256(),
            root: Spec::ca(ROOT, ROOT),
            inter: Spec::ca(INTER, ROOT).serial(&[0x66]),
            leaf: Spec::leaf(INTER),
        }
    }

    fn keys(root: Key, inter: Key) -> Self {
        Self { root_key: root, inter_key: inter, ..Self::new() }
    }

    fn root(mut self, change: impl FnOnce(Spec) -> Spec) -> Self {
        self.root = change(self.root);
        self
    }
    fn inter(mut self, change: impl FnOnce(Spec) -> Spec) -> Self {
        self.inter = change(self.inter);
        self
    }
    fn leaf(mut self, change: impl FnOnce(Spec) -> Spec) -> Self {
        self.leaf = change(self.leaf);
        self
    }

    fn issue(&self) -> [Vec<u8>; 3] {
        [
            self.leaf.issue(&self.leaf_key, &self.inter_key),
            self.inter.issue(&self.inter_key, &self.root_key),
            self.root.issue(&self.root_key, &self.root_key),
        ]
    }

    fn row(&self, name: &'static str, good: bool) -> Row {
        let [leaf, inter, root] = self.issue();
        Row { name, leaf, rest: vec![inter], roots: vec![root], good, ..Row::default() }
    }
}

/// A certificate whose signature has another last octet.
fn spoilt(mut der: Vec<u8>) -> Vec<u8> {
    *der.last_mut().unwrap() ^= 1;
    der
}

fn ca(longest: Option<u8>) -> Vec<Vec<u8>> {
    vec![basic_constraints(true, longest), key_usage(&[5, 6])]
}

fn unknown(critical: bool) -> Vec<u8> {
    extension("1.3.6.1.4.1.99999.1", critical, &[5, 0])
}

fn name_constraints(subtree: &str) -> Vec<u8> {
    let base = tlv(0xa4, &[&name(subtree)]);
    extension("2.5.29.30", true, &seq(&[&tlv(0xa0, &[&seq(&[&base])])]))
}

pub fn all() -> Vec<Row> {
    let mut rows = vec![
        Three::new().row("good", true),
        Three::keys(Key::p384(), Key::p384()).row("signer_p384", true),
        Three::keys(Key::p521(), Key::p521()).row("signer_p521", true),
        Three::keys(Key::rsa(), Key::rsa()).row("signer_rsa2048", true),
        Three::keys(Key::p521_sha384(), Key::p256()).row("signer_p521_sha384", true),
        Three::keys(Key::ed25519(), Key::p256()).row("signer_ed25519", true),
        Three::new().leaf(|s| s.with(policies(true))).row("policies_critical_leaf", true),
        Three::new().inter(|s| s.with(policies(true))).row("policies_critical_ca", true),
        Three::new().leaf(|s| s.with(unknown(false))).row("unknown_extension", true),
        Three::new().leaf(|s| s.with(unknown(true))).row("unknown_critical_leaf", false),
        Three::new().inter(|s| s.with(unknown(true))).row("unknown_critical_ca", false),
        Three::new().root(|s| s.with(unknown(true))).row("unknown_critical_root", false),
        Three::new()
            .leaf(|s| s.extensions(&[tn_auth_list(true, "1234")]))
            .row("tn_auth_list_critical", true),
        Three::new().leaf(|s| s.valid(NOW - 2 * DAY, NOW - 1)).row("leaf_expired", false),
        Three::new().leaf(|s| s.valid(NOW + 1, NOW + DAY)).row("leaf_not_yet_valid", false),
        Three::new().leaf(|s| s.valid(NOW, NOW + DAY)).row("leaf_valid_from_now", true),
        Three::new().inter(|s| s.valid(NOW - 2 * DAY, NOW - 1)).row("ca_expired", false),
        Three::new().inter(|s| s.valid(NOW + 1, NOW + DAY)).row("ca_not_yet_valid", false),
        Three::new().root(|s| s.valid(NOW - 2 * DAY, NOW - 1)).row("root_expired", false),
        Three::new().leaf(|s| Spec { issuer: name(SUB), ..s }).row("issuer_unknown", false),
        Three::new()
            .leaf(|s| Spec { issuer: name("C=US,O=test,CN=INTERMEDIATE"), ..s })
            .row("issuer_in_another_case", true),
        Three::new()
            .leaf(|s| Spec { issuer: printable_name(INTER), ..s })
            .row("issuer_printable", true),
        Three::new()
            .leaf(|s| Spec { issuer: name("C=US,CN=Intermediate,O=Test"), ..s })
            .row("issuer_in_another_order", false),
        Three::new()
            .inter(|s| s.extensions(&[basic_constraints(false, None), key_usage(&[5, 6])]))
            .row("ca_flag_false", false),
        Three::new().inter(|s| s.extensions(&[key_usage(&[5, 6])])).row("ca_flag_missing", false),
        Three::new()
            .inter(|s| s.extensions(&[basic_constraints(true, None), key_usage(&[0, 6])]))
            .row("ca_key_usage_no_cert_sign", false),
        Three::new()
            .root(|s| s.extensions(&[basic_constraints(true, None), key_usage(&[0, 6])]))
            .row("root_key_usage_no_cert_sign", false),
        Three::new()
            .root(|s| s.extensions(&[basic_constraints(false, None)]))
            .row("root_flag_false", false),
        Three::new()
            .inter(|s| s.extensions(&[basic_constraints(true, None)]))
            .row("ca_without_key_usage", true),
        Three::new()
            .leaf(|s| Spec { key_ids: false, ..s.extensions(&[]) })
            .row("leaf_without_extensions", true),
        Three::new().leaf(|s| s.extensions(&ca(None))).row("leaf_is_ca", true),
        Three::new().inter(|s| s.extensions(&ca(Some(0)))).row("path_length_0", true),
        Three::new().root(|s| s.extensions(&ca(Some(0)))).row("root_path_length_exceeded", false),
        Three::new().root(|s| s.extensions(&ca(Some(1)))).row("root_path_length_enough", true),
        Three::new().inter(|s| Spec { version: 1, ..s }).row("ca_v1", false),
        Three::new().root(|s| Spec { version: 1, ..s }).row("root_v1", true),
        Three::new().leaf(|s| Spec { version: 1, ..s }).row("leaf_v1", true),
        Three::new().inter(|s| s.with(name_constraints("C=US"))).row("name_constraints_met", true),
        Three::new()
            .inter(|s| s.with(name_constraints("C=FR")))
            .row("name_constraints_violated", false),
        Three::new()
            .inter(|s| s.with(extension("2.5.29.36", true, &seq(&[&tlv(0x80, &[&[0]])]))))
            .row("explicit_policy_required_and_missing", false),
        Three::new()
            .leaf(|s| s.with(extension("2.5.29.37", true, &seq(&[&oid("1.3.6.1.5.5.7.3.4")]))))
            .row("extended_key_usage", true),
        Three::new()
            .leaf(|s| Spec { not_after: generalized(NOW + DAY), ..s })
            .row("generalized_time_before_2050", true),
        Three::new().root(|s| s.valid(NOW - DAY, 4_102_444_800)).row("root_valid_until_2100", true),
        Three::new().leaf(|s| s.serial(&[0x7f; 24])).row("serial_of_24_octets", true),
        Three::new().leaf(|s| s.serial(&[0x80, 1])).row("serial_negative", true),
        Three::new()
            .leaf(|s| {
                s.with(seq(&[
                    &oid("1.3.6.1.4.1.99999.2"),
                    &[1, 1, 0],
                    &tlv(4, &[&tlv(4, &[&[7; 20]])]),
                ]))
            })
            .row("critical_false_written_out", true),
        Three::new().leaf(|s| s.with(key_usage(&[0]))).row("extension_twice", false),
        Three::new()
            .leaf(|s| Spec { inner_algorithm: Some(Key::p384().algorithm()), ..s })
            .row("algorithms_differ", false),
    ];
    rows.extend(algorithms());
    rows.extend(arranged());
    rows.extend(with_crls());
    rows
}

/// ECDSA with parameters, which RFC 5758 §3.2 does not have.
fn algorithms() -> Vec<Row> {
    let null = || ecdsa_with(NULL);
    let odd = |parameters: &[u8]| {
        let algorithm = ecdsa_with(parameters);
        Three::new().leaf(move |s| s.algorithm(&algorithm))
    };
    vec![
        Three::new().leaf(|s| s.algorithm(&null())).row("ecdsa_null_leaf", true),
        Three::new().inter(|s| s.algorithm(&null())).row("ecdsa_null_ca", true),
        Three::new()
            .leaf(|s| Spec { inner_algorithm: Some(null()), ..s })
            .row("ecdsa_null_inside_only", false),
        Three::new()
            .leaf(|s| Spec { outer_algorithm: Some(null()), ..s })
            .row("ecdsa_null_outside_only", false),
        odd(&oid("1.2.840.10045.3.1.7")).row("ecdsa_with_a_curve", false),
        odd(&[5, 0, 5, 0]).row("ecdsa_null_twice", false),
        odd(&[5, 1, 0]).row("ecdsa_null_with_content", false),
        odd(&seq(&[])).row("ecdsa_with_a_sequence", false),
    ]
}

/// Good and bad arrangements of certificates.
fn arranged() -> Vec<Row> {
    let three = Three::new();
    let [leaf, inter, root] = three.issue();
    let row = |name, good| Row {
        name,
        leaf: leaf.clone(),
        rest: vec![inter.clone()],
        roots: vec![root.clone()],
        good,
        ..Row::default()
    };
    let other = Three::new().issue();

    // Root, intermediate, sub, leaf.
    let sub_key = Key::p256();
    let sub = Spec::ca(SUB, INTER).serial(&[0x77]).issue(&sub_key, &three.inter_key);
    let deep = Spec::leaf(SUB).issue(&three.leaf_key, &sub_key);
    let tight = Spec::ca(INTER, ROOT).extensions(&ca(Some(0)));
    let tight = tight.issue(&three.inter_key, &three.root_key);

    // The intermediate's new key, certified by its old one (self-issued).
    let new_key = Key::p256();
    let rollover = Spec::ca(INTER, INTER).serial(&[0x78]).issue(&new_key, &three.inter_key);
    let after = Spec::leaf(INTER).issue(&three.leaf_key, &new_key);

    // The intermediate's key, certified by an unknown root too.
    let crossed = Spec::ca(INTER, "CN=Elsewhere").issue(&three.inter_key, &Key::p256());
    let expired = Spec::ca(INTER, ROOT).serial(&[0x79]).valid(NOW - 9 * DAY, NOW - DAY);
    let expired = expired.issue(&three.inter_key, &three.root_key);

    // Two CAs that vouch for one another.
    let a_key = Key::p256();
    let b_key = Key::p256();
    let a = Spec::ca("CN=A", "CN=B").issue(&a_key, &b_key);
    let b = Spec::ca("CN=B", "CN=A").issue(&b_key, &a_key);
    let looped = Spec::leaf("CN=A").issue(&three.leaf_key, &a_key);

    let own = Spec { subject: name("CN=Own"), ..Spec::leaf("CN=Own") };
    let own = own.issue(&three.leaf_key, &three.leaf_key);
    let direct = Spec::leaf(ROOT).issue(&three.leaf_key, &three.root_key);

    vec![
        Row { rest: vec![], ..row("intermediate_missing", false) },
        Row { rest: vec![inter.clone(), root.clone()], ..row("root_sent_too", true) },
        Row { rest: vec![root.clone(), inter.clone()], ..row("order_crossed", true) },
        Row {
            rest: vec![leaf.clone(), inter.clone(), inter.clone(), leaf.clone()],
            ..row("certificates_twice", true)
        },
        Row {
            rest: [&other[..], std::slice::from_ref(&inter)].concat(),
            ..row("strangers_sent_too", true)
        },
        Row { leaf: spoilt(leaf.clone()), ..row("leaf_signature_wrong", false) },
        Row { rest: vec![spoilt(inter.clone())], ..row("ca_signature_wrong", false) },
        Row { rest: vec![other[1].clone()], ..row("ca_of_the_same_name", false) },
        Row { rest: vec![other[1].clone(), inter.clone()], ..row("two_cas_of_one_name", true) },
        Row { roots: vec![other[2].clone()], ..row("root_of_the_same_name", false) },
        Row { roots: vec![other[2].clone(), root.clone()], ..row("two_roots_of_one_name", true) },
        Row { leaf: direct, rest: vec![], ..row("issued_by_root", true) },
        Row {
            leaf: deep.clone(),
            rest: vec![sub.clone(), inter.clone()],
            ..row("two_intermediates", true)
        },
        Row {
            leaf: deep.clone(),
            rest: vec![inter.clone(), sub.clone()],
            ..row("two_intermediates_crossed", true)
        },
        Row { leaf: deep, rest: vec![sub, tight], ..row("path_length_exceeded", false) },
        Row {
            leaf: after,
            rest: vec![rollover, inter.clone()],
            ..row("self_issued_rollover", true)
        },
        Row { rest: vec![crossed, inter.clone()], ..row("cross_signed", true) },
        Row { rest: vec![expired, inter.clone()], ..row("ca_renewed", true) },
        Row { leaf: looped, rest: vec![a, b], ..row("cas_in_a_loop", false) },
        Row { leaf: own.clone(), rest: vec![], ..row("self_signed", false) },
        Row {
            leaf: own.clone(),
            rest: vec![],
            roots: vec![own],
            ..row("self_signed_own_root", true)
        },
        Row { roots: vec![inter.clone()], rest: vec![], ..row("intermediate_is_anchor", true) },
    ]
}

fn with_crls() -> Vec<Row> {
    let three = Three::new();
    let serial = three.leaf.serial.clone();
    let row = |name, crls: Vec<Vec<u8>>, good| Row { crls, ..three.row(name, good) };
    let crl = |change: fn(CrlSpec) -> CrlSpec| change(CrlSpec::new(INTER)).sign(&three.inter_key);
    vec![
        row("crl_empty", vec![crl(|c| c)], true),
        row("crl_names_another", vec![crl(|c| c.revoke(&[0x12]))], true),
        row(
            "crl_names_leaf",
            vec![CrlSpec::new(INTER).revoke(&serial).sign(&three.inter_key)],
            false,
        ),
        row("crl_expired", vec![crl(|c| CrlSpec { next_update: NOW - 1, ..c })], false),
        row("crl_not_yet_valid", vec![crl(|c| CrlSpec { this_update: NOW + 9, ..c })], false),
        row("crl_null", vec![crl(|c| CrlSpec { algorithm: Some(ecdsa_with(NULL)), ..c })], true),
        row("crl_signature_wrong", vec![spoilt(crl(|c| c))], false),
        row("crl_of_another_key", vec![CrlSpec::new(INTER).sign(&Key::p256())], false),
    ]
}
