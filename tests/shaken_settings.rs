//! Settings that change a verdict, a signature or a log line, each in a real Kamailio.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Cfg, Kamailio, Lab, Module, Reply, Request, Site, UdpCall, repository};

/// An Identity header of another carrier's, made this many seconds ago.
fn identity(site: &Site, ago: i64) -> String {
    site.signed_ago("12155551212", "12155551213", &site.x5u, ago)
}

/// Policy shaken, and a route that shows the verdict.
fn checks(site: &Site) -> Cfg {
    site.params(Cfg::new(Module::Ours)).route(
        r#"
        secsipid_check_identity("");
        append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $secsipid(error)\r\n");
        append_to_reply("X-Step: $secsipid(step)\r\nX-Reason: $secsipid(reason_hdr)\r\n");
        sl_send_reply("200", "OK");
        "#,
    )
}

fn send(kamailio: &Kamailio, identities: &[&str]) -> Reply {
    let call = |request: Request, identity: &&str| request.header("Identity", *identity);
    kamailio.udp().send(&identities.iter().fold(Request::invite(), call))
}

#[test]
fn clock_skew_is_how_far_ahead_a_clock_may_be() {
    let site = Site::new();
    for (skew, code) in [(60, 1), (5, -232)] {
        let kamailio = Kamailio::start(&checks(&site).param("clock_skew", skew));
        let reply = send(&kamailio, &[&identity(&site, -20)]);
        assert_eq!(reply.number("X-Ret"), code, "clock_skew {skew}: {reply:?}");
        assert_eq!(send(&kamailio, &[&identity(&site, 0)]).number("X-Ret"), 1);
    }
}

#[test]
fn reason_protocol_sip_names_sip_and_no_token() {
    let site = Site::new();
    let kamailio = Kamailio::start(&checks(&site).param("reason_protocol", "sip"));
    let reply = send(&kamailio, &[&identity(&site, 90)]);
    assert_eq!(reply.header("X-Reason"), "SIP ;cause=403 ;text=\"Stale Date\"", "{reply:?}");
    let reply = send(&kamailio, &[&identity(&site, 0)]);
    assert_eq!((reply.number("X-Ret"), reply.header("X-Reason")), (1, "<null>"), "{reply:?}");
}

/// A site whose certificate has no certificatePolicies, the first rule of ATIS-1000080 that it
/// breaks.
fn without_policies() -> Site {
    let mut site = Site::new();
    site.lab.issue("bare.pem", "key.pem", 30);
    site.x5u = site.x5u.replace("cert.pem", "bare.pem");
    site
}

#[test]
fn cert_profile_warn_writes_one_line_and_lets_the_call_pass() {
    let site = without_policies();
    let kamailio = Kamailio::start(&checks(&site).param("cert_profile", "warn"));
    for _ in 0..3 {
        let reply = send(&kamailio, &[&identity(&site, 0)]);
        assert_eq!(reply.number("X-Ret"), 1, "{reply:?}");
    }
    // One for the certificate, however many calls it signs.
    let log = kamailio.stop();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("WARNING") && line.contains("ATIS-1000080"))
        .collect();
    let [line] = lines.as_slice() else { panic!("{} lines in:\n{log}", lines.len()) };
    assert!(line.contains("policies: there are no certificatePolicies"), "{line}");
}

#[test]
fn cert_profile_enforce_refuses_the_call() {
    let site = without_policies();
    let kamailio = Kamailio::start(&checks(&site).param("cert_profile", "enforce"));
    let own = site.x5u.replace("bare.pem", "cert.pem");
    let good = site.signed_ago("12155551212", "12155551213", &own, 0);
    assert_eq!(send(&kamailio, &[&good]).number("X-Ret"), 1, "the lab's own");
    let reply = send(&kamailio, &[&identity(&site, 0)]);
    assert_eq!((reply.number("X-Ret"), reply.header("X-Step")), (-115, "profile"), "{reply:?}");
    let error = reply.header("X-Error");
    assert!(error.contains("policies: there are no certificatePolicies"), "{error}");
}

#[test]
fn ecdsa_with_null_parameters_is_ecdsa() {
    let site = Site::new();
    let file = |name: &str, of: &str| {
        site.lab.folder.write(name, repository(&format!("crates/stir/tests/data/field/{of}")))
    };
    file("key.pem", "leaf-key.pem");
    let chains = ["chain-plain.pem", "chain-null-leaf.pem", "chain-null-ca.pem"];
    for name in chains {
        file(name, name);
    }
    let root = file("field-root.pem", "root.pem");
    for crl in ["crl-plain.pem", "crl-null.pem"] {
        // They are the lists of the CA that signed the leaf; the root has none.
        let cfg = checks(&site).param("trust_anchors", root.as_str()).param("crl_required", 0);
        let kamailio = Kamailio::start(&cfg.param("crl", file(crl, crl)));
        for name in chains {
            let x5u = site.x5u.replace("cert.pem", name);
            let call = site.signed_ago("12155551212", "12155551213", &x5u, 0);
            let reply = send(&kamailio, &[&call]);
            assert_eq!(reply.number("X-Ret"), 1, "{name}, {crl}: {reply:?}");
        }
    }
}

/// Ten URLs of one chain: CAs of one name on P-521, each of which every other one has certified.
fn maze(site: &Site) -> Vec<String> {
    let lab = &site.lab;
    // Writes leaf.cnf.
    lab.issue("cert.pem", "key.pem", 9);
    let config = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    lab.folder.write("maze.cnf", config);
    let cas = ["maze-a", "maze-b", "maze-c"];
    for ca in cas {
        lab.key(&format!("{ca}-key.pem"), "EC:P-521");
        lab.openssl(&format!("req -x509 -key {ca}-key.pem -subj /CN=Maze -days 9 -out {ca}.pem"));
    }
    let mut chain = String::new();
    for subject in cas {
        for issuer in cas {
            let key = format!("{subject}-key.pem");
            lab.sign("link.pem", &key, "/CN=Maze", issuer, 9, "maze.cnf");
            chain += &lab.read("link.pem");
        }
    }
    lab.sign("link.pem", "key.pem", "/CN=SHAKEN 1234", "maze-a", 9, "leaf.cnf");
    let chain = lab.read("link.pem") + &chain;
    let url = |number| {
        let name = format!("maze-{number}.pem");
        lab.folder.write(&name, &chain);
        site.x5u.replace("cert.pem", &name)
    };
    (0..10).map(url).collect()
}

#[test]
fn ten_chains_that_lead_nowhere_cost_little() {
    let site = Site::new();
    let sign = |x5u: &String| site.signed_ago("12155551212", "12155551213", x5u, 0);
    let mazes: Vec<String> = maze(&site).iter().map(sign).collect();
    let good = identity(&site, 0);
    let kamailio = Kamailio::start(&checks(&site).workers(1));
    let processes = kamailio.processes();
    let ticks = || processes.iter().map(|pid| support::ticks(*pid)).sum::<u64>();
    let all: Vec<&str> = mazes.iter().map(String::as_str).collect();
    assert_eq!(send(&kamailio, &[&good]).number("X-Ret"), 1);
    let before = ticks();
    let reply = send(&kamailio, &all);
    let taken = ticks() - before;
    assert_eq!(reply.number("X-Ret"), -101, "{reply:?}");
    assert!(reply.header("X-Error").contains("issued one another"), "{reply:?}");
    // All processes together, ten downloads over TLS among it, in hundredths of a second.
    assert!(taken <= 15, "{taken}");
    // They cost nobody else anything.
    assert_eq!(send(&kamailio, &[all[0], &good]).number("X-Ret"), 1);
    assert_eq!(send(&kamailio, &[&good]).number("X-Ret"), 1);
}

#[test]
fn nothing_is_fetched_for_a_call_of_somebody_else() {
    let site = Site::new();
    let kamailio = Kamailio::start(&checks(&site));
    let missing = site.x5u.replace("cert.pem", "missing.pem");
    let call = |orig, dest| site.signed_ago(orig, dest, &missing, 0);
    let own = call("12155551212", "12155551213");
    // openssl's server answers 200 and a text where a file is missing.
    let reply = send(&kamailio, &[&own]);
    assert_eq!(reply.number("X-Ret"), -102, "{reply:?}");
    assert!(reply.header("X-Error").contains("delivers no certificate"), "{reply:?}");
    for (identity, code) in
        [(call("12155550000", "12155551213"), -501), (call("12155551212", "12155550000"), -502)]
    {
        let reply = send(&kamailio, &[&identity]);
        assert_eq!(reply.number("X-Ret"), code, "{reply:?}");
    }
}

#[test]
fn certificates_that_do_not_sign_calls_are_refused() {
    let site = Site::new();
    let list = "1.3.6.1.5.5.7.1.26=DER:3008a006160431323334\n";
    let user = "basicConstraints=critical,CA:FALSE\n";
    let sign = "keyUsage=critical,digitalSignature\n";
    let kamailio = Kamailio::start(&checks(&site));
    for (number, (extensions, code, says)) in [
        (format!("{user}{sign}{list}"), 1, ""),
        (format!("{user}{sign}{list}extendedKeyUsage=anyExtendedKeyUsage\n"), 1, ""),
        (format!("{user}{sign}"), -116, "no TNAuthList"),
        (format!("{user}{sign}1.3.6.1.5.5.7.1.26=DER:130431323334\n"), -116, "without the tag"),
        (format!("{user}{sign}1.3.6.1.5.5.7.1.26=DER:3006130431323334\n"), -116, "without the tag"),
        (
            format!("{user}{sign}{list}extendedKeyUsage=critical,serverAuth\n"),
            -115,
            "extendedKeyUsage",
        ),
        (format!("{user}{sign}{list}extendedKeyUsage=serverAuth\n"), -115, "extendedKeyUsage"),
        (format!("{user}{list}"), -115, "no keyUsage"),
        (format!("basicConstraints=critical,CA:TRUE\n{sign}{list}"), -115, "must come first"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("leaf-{number}.pem");
        site.lab.folder.write("odd.cnf", &extensions);
        site.lab.sign(&name, "key.pem", "/CN=SHAKEN 1234", "intermediate", 9, "odd.cnf");
        let chain = site.lab.read(&name) + &site.lab.read("intermediate.pem");
        site.lab.folder.write(&name, chain);
        let x5u = site.x5u.replace("cert.pem", &name);
        let reply = send(&kamailio, &[&site.signed_ago("12155551212", "12155551213", &x5u, 0)]);
        assert_eq!(reply.number("X-Ret"), code, "{extensions}{reply:?}");
        assert!(reply.header("X-Error").contains(says), "{extensions}{reply:?}");
    }
}

#[test]
fn a_key_that_was_paired_waits_for_its_new_certificate() {
    let site = Site::new();
    let lab = &site.lab;
    let (key, served) = (lab.path("key.pem"), site.x5u.replace("cert.pem", "served.pem"));
    lab.folder.write("served.pem", lab.read("cert.pem"));
    let kamailio =
        Kamailio::start(&site.params(Cfg::new(Module::Ours)).workers(1).route(&format!(
            r#"
        $var(code) = secsipid_add_identity("$fU", "$rU", "A", "", "{served}", "{key}");
        msg_apply_changes();
        secsipid_check_identity("");
        append_to_reply("X-Code: $var(code)\r\nX-Ret: $secsipid(ret)\r\n");
        sl_send_reply("200", "OK");
        "#
        )));
    let signs = || {
        let reply = kamailio.udp().send(&Request::invite());
        (reply.number("X-Code"), reply.number("X-Ret"))
    };
    assert_eq!(signs(), (1, 1));
    // The tool that rotates takes the certificate away first.
    std::fs::remove_file(lab.folder.join("cert.pem")).unwrap();
    lab.key("new-key.pem", "EC:P-256");
    lab.replace("key.pem", "new-key.pem");
    assert_eq!(signs(), (1, 1), "by the old key, that of the certificate that is served");
    let line = kamailio.wait_for_log("stays in force");
    assert!(line.contains("ERROR") && line.contains(&key), "{line}");
    lab.issue("new-cert.pem", "key.pem", 9);
    lab.replace("cert.pem", "new-cert.pem");
    assert_eq!(signs(), (1, -251), "by the new one, which is not served");
}

#[test]
fn cert_policies_are_those_of_a_country() {
    let site = Site::new();
    let cfg = checks(&site).param("cert_profile", "enforce");
    let call = identity(&site, 0);
    for (policies, code) in
        [("2.16.840.1.114569.1.1", 1), ("1.3.6.1.4.1.56223.1", -115), ("any", 1)]
    {
        let kamailio = Kamailio::start(&cfg.clone().param("cert_policies", policies));
        let reply = send(&kamailio, &[&call]);
        assert_eq!(reply.number("X-Ret"), code, "{policies}: {reply:?}");
    }
    let log = Kamailio::refused(&cfg.param("cert_policies", "US"));
    assert!(log.contains("cert_policies \"US\""), "{log}");
}

#[test]
fn max_identity_bounds_the_headers_that_count() {
    let site = Site::new();
    let (stale, good) = (identity(&site, 90), identity(&site, 0));
    for (max, code) in [(1, -232), (2, 1)] {
        let kamailio = Kamailio::start(&checks(&site).param("max_identity", max));
        let reply = send(&kamailio, &[&stale, &good]);
        assert_eq!(reply.number("X-Ret"), code, "max_identity {max}: {reply:?}");
        let reply = send(&kamailio, &[&good, &stale]);
        assert_eq!(reply.number("X-Ret"), 1, "max_identity {max}: {reply:?}");
    }
}

#[test]
fn x5u_deny_outweighs_x5u_permit() {
    let site = Site::new();
    let host = site.x5u.strip_prefix("https://").unwrap().split(':').next().unwrap();
    for (deny, code) in [(host, -401), ("127.0.0.0/8", -401), ("192.0.2.0/24", 1)] {
        let kamailio = Kamailio::start(&checks(&site).param("x5u_deny", deny));
        let reply = send(&kamailio, &[&identity(&site, 0)]);
        assert_eq!(reply.number("X-Ret"), code, "x5u_deny {deny}: {reply:?}");
        if code < 0 {
            assert_eq!(reply.header("X-Step"), "x5u");
            assert!(reply.header("X-Error").contains("x5u_deny"), "{reply:?}");
        }
    }
}

#[test]
fn a_trust_list_counts_if_its_own_key_signed_it() {
    let site = Site::new();
    let lab = &site.lab;
    let (list, signer) = (lab.path("trust-list.jws"), lab.path("crl-signer.pem"));
    // What is named last counts.
    let cfg = checks(&site).param("trust_anchors", list.as_str());
    let cfg = cfg.param("trust_anchors_key", signer.as_str());
    let kamailio = Kamailio::start(&cfg);
    let reply = send(&kamailio, &[&identity(&site, 0)]);
    assert_eq!(reply.number("X-Ret"), 1, "{reply:?}");
    drop(kamailio);

    lab.folder.write("trust-list.jws", Lab::new().read("trust-list.jws"));
    let log = Kamailio::refused(&cfg);
    let line =
        log.lines().find(|line| line.contains("did not sign")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&list) && line.contains(&signer), "{line}");
}

#[test]
fn a_date_is_added_where_add_date_says_so_and_there_is_none() {
    let site = Site::new();
    let key = site.lab.path("key.pem");
    let sign = format!(
        r#"
        $var(code) = secsipid_add_identity("$fU", "$rU", "A", "", "{}", "{key}");
        msg_apply_changes();
        append_to_reply("X-Code: $var(code)\r\nX-Dates: $hdrc(Date)\r\nX-Date: $hdr(Date)\r\n");
        sl_send_reply("200", "OK");
        "#,
        site.x5u
    );
    let compat = Cfg::new(Module::Ours).route(&sign);
    let shaken = site.params(Cfg::new(Module::Ours)).route(&sign);
    let date = |offset: i64| {
        let now = std::time::SystemTime::now();
        let by = std::time::Duration::from_secs(offset.unsigned_abs());
        httpdate::fmt_http_date(if offset < 0 { now - by } else { now + by })
    };
    let there = &date(-30);
    for (name, cfg, added) in [
        ("compat", compat.clone(), false),
        ("compat, 1", compat.param("add_date", 1), true),
        ("shaken", shaken.clone(), true),
        ("shaken, 0", shaken.param("add_date", 0), false),
    ] {
        let kamailio = Kamailio::start(&cfg);
        let reply = kamailio.udp().send(&Request::invite());
        let dates = i64::from(added);
        assert_eq!(
            (reply.number("X-Code"), reply.number("X-Dates")),
            (1, dates),
            "{name}: {reply:?}"
        );
        assert_eq!(reply.header("X-Date").ends_with(" GMT"), added, "{name}: {reply:?}");
        let reply = kamailio.udp().send(&Request::invite().header("Date", there));
        assert_eq!((reply.number("X-Code"), reply.number("X-Dates")), (1, 1), "{name}: {reply:?}");
        assert_eq!(reply.header("X-Date"), there, "{name}");
        // A request that was not sent just now is not signed (RFC 8224 §4.1).
        for wrong in [date(-400), date(400), "now".into()] {
            let reply = kamailio.udp().send(&Request::invite().header("Date", &wrong));
            assert_eq!(reply.number("X-Code"), if added { -232 } else { 1 }, "{name} {wrong}");
        }
    }
}

#[test]
fn a_key_of_another_certificate_signs_nothing() {
    let lab = Lab::new();
    lab.key("other-key.pem", "EC:P-256");
    let (own, other, cert) = (lab.path("key.pem"), lab.path("other-key.pem"), lab.path("cert.pem"));
    let cfg = Cfg::new(Module::Ours).param("cert_path", cert.as_str()).route(
        r#"
        $var(code) = secsipid_add_identity("$fU", "$rU", "A", "", "https://a/b", "$hdr(X-Key)");
        msg_apply_changes();
        append_to_reply("X-Code: $var(code)\r\nX-Identities: $hdrc(Identity)\r\n");
        sl_send_reply("200", "OK");
        "#,
    );
    let kamailio = Kamailio::start(&cfg);
    let sign = |key: &str| kamailio.udp().send(&Request::invite().header("X-Key", key));
    let reply = sign(&own);
    assert_eq!((reply.number("X-Code"), reply.number("X-Identities")), (1, 1), "{reply:?}");
    let reply = sign(&other);
    assert_eq!((reply.number("X-Code"), reply.number("X-Identities")), (-151, 0), "{reply:?}");
    let line = kamailio.wait_for_log("the public keys are not the same");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains(&other) && line.contains(&cert), "{line}");
}

#[test]
fn a_token_of_another_call_is_noticed() {
    let site = Site::new();
    for (replay, codes) in [("off", [1, 1, 1]), ("log", [1, 1, 1]), ("refuse", [1, 1, -504])] {
        let cfg = checks(&site).workers(1).param("replay", replay);
        let kamailio = Kamailio::start(&cfg);
        let token = identity(&site, 0);
        let request = Request::invite().header("Identity", token);
        let [first, second] = [(); 2].map(|()| UdpCall::new(kamailio.port, request.clone()));
        // Sent again, and then in a call of its own.
        let found = [&first, &first, &second].map(|call| {
            call.send("INVITE");
            call.last("INVITE").number("X-Ret")
        });
        assert_eq!(found, codes, "{replay}");
        let log = kamailio.stop();
        assert_eq!(log.contains("was used in another call before"), replay != "off", "{log}");
    }
}

#[test]
fn header_fields_as_the_field_writes_them() {
    let site = Site::new();
    let kamailio = Kamailio::start(&checks(&site).param("replay", "off"));
    let good = identity(&site, 0);
    let (other, forged) = (identity(&site, 0), good.replacen(";info", "A;info", 1));
    for (values, code, says) in [
        (vec![good.replace("ppt=shaken", "ppt=SHAKEN").replace("alg=ES256", "alg=es256")], 1, ""),
        (
            vec![good.replace("ppt=shaken", "ppt=\\\"shaken\\\"")],
            -301,
            "ppt of the Identity header",
        ),
        (vec![good.replace("ppt=shaken", "ppt=shaken,")], -301, "\"shaken,\""),
        (vec![format!("{good}, {other}")], -301, "takes one"),
        ([vec![forged; 12], vec![good.clone()]].concat(), 1, ""),
    ] {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let reply = send(&kamailio, &values);
        assert_eq!(reply.number("X-Ret"), code, "{values:?}: {reply:?}");
        assert!(reply.header("X-Error").contains(says), "{reply:?}");
        if code == -301 {
            assert!(reply.header("X-Reason").starts_with("STIR ;cause=438"), "{reply:?}");
        }
    }
    // A div that a middlebox has doubled diverts once, and an origid may be a Call-ID with quotes.
    let key = site.lab.read("key.pem");
    let signer = stir::Signer::new(&stir::Checked::default());
    let key = stir::PrivateKey::Pem(&key);
    let first = stir::Call {
        orig: "12155551212",
        dest: "12155550000",
        attest: "A",
        origid: "a\"b\\@h",
        x5u: &site.x5u,
        rcd_nam: None,
    };
    let first = signer.identity(&first, key).unwrap();
    let div = stir::DivCall {
        orig: "12155551212",
        dest: "12155551213",
        div: "12155550000",
        x5u: &site.x5u,
        identities: &[&first],
    };
    let div = signer.div_identity(&div, key).unwrap();
    let reply = send(&kamailio, &[&first, &div, &div, &first]);
    assert_eq!(reply.number("X-Ret"), 1, "{reply:?}");
}
