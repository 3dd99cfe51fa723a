//! What operators ask and order by RPC, through kamcmd.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;
use support::fetching::{now, signed};
use support::kamailio::rpc_value as value;
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Reply, Request, signal, wait_for};

/// A Kamailio that signs and checks, and takes commands.
struct World {
    lab: Lab,
    http: Http,
    control: Folder,
    kamailio: Kamailio,
}

impl World {
    fn new(change: impl FnOnce(&Lab, Cfg) -> Cfg) -> Self {
        let (lab, http, control) = (Lab::new(), Http::start(), Folder::new());
        lab.crl("crl.pem", &[]);
        let key = lab.path("key.pem");
        let cfg = Cfg::new(Module::Ours)
            .workers(3)
            .control(&control.inside("ctl"))
            .route(&format!(
                r#"
                if ($hdr(X-Do) == "sign") {{
                    $var(code) = secsipid_build_identity("$fU", "$rU", "A", "", "https://h/c", "{key}");
                }} else if ($hdr(X-Do) == "stray") {{
                    $var(code) = secsipid_build_identity("$fU", "$rU", "A", "", "https://h/c", "/nonexistent");
                }} else {{
                    $var(code) = secsipid_check_identity("");
                }}
                append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\nX-Pid: $pp\r\n");
                sl_send_reply("200", "OK");
                "#
            ));
        let kamailio = Kamailio::start(&change(&lab, cfg));
        Self { lab, http, control, kamailio }
    }

    /// What kamcmd says.
    fn ask(&self, words: &[&str]) -> String {
        self.kamailio.kamcmd(&self.control.inside("ctl"), words)
    }

    fn certificate(&self, path: &str) -> String {
        self.http.on(path, Answer::Ok(self.lab.read("cert.pem").into()))
    }

    fn check(&self, identity: &str) -> Reply {
        self.kamailio.udp().send(&Request::invite().header("Identity", identity))
    }

    /// Has every worker check this, and looks at the code.
    fn check_everywhere(&self, identity: &str, code: i64) {
        let mut workers = std::collections::BTreeSet::new();
        wait_for("all workers", Duration::from_secs(20), || {
            let reply = self.check(identity);
            assert_eq!(reply.number("X-Code"), code, "{reply:?}");
            workers.insert(reply.number("X-Pid"));
            (workers.len() == 3).then_some(())
        });
    }
}

#[test]
fn operators_see_what_there_is() {
    let world = World::new(|_, cfg| cfg);
    let shown = world.ask(&["secsipid.version"]);
    assert_eq!(value(&shown, "version"), env!("CARGO_PKG_VERSION"));
    assert_eq!((value(&shown, "policy"), value(&shown, "fetchers")), ("compat", "1"), "{shown}");
    assert!(value(&shown, "kamailio").contains('.'), "{shown}");
    assert_eq!(value(&shown, "tables"), "s2n-bignum");

    let (first, second) = (world.certificate("/1.pem"), world.certificate("/2.pem"));
    let identity = signed(&world.lab, &first);
    world.check_everywhere(&identity, 1);
    assert!(world.ask(&["secsipid.prefetch", &second]).contains(&second));
    wait_for("the second", Duration::from_secs(10), || {
        (world.http.count("/2.pem") == 1).then_some(())
    });
    let shown = wait_for("both in the list", Duration::from_secs(10), || {
        Some(world.ask(&["secsipid.cache_list"])).filter(|shown| shown.contains("/2.pem"))
    });
    // What an operator named takes a protected place at once, as the latest.
    assert_eq!((value(&shown, "url"), value(&shown, "spc")), (second.as_str(), "1234"), "{shown}");
    let not_after: i64 = value(&shown, "not_after").parse().unwrap();
    assert!(not_after > now() && value(&shown, "until").parse::<i64>().unwrap() > now(), "{shown}");
    assert_eq!(value(&shown, "tier"), "http");
    let one = world.ask(&["secsipid.cache_list", "1"]);
    assert!(one.contains("/2.pem") && !one.contains("/1.pem"), "{one}");
    assert_eq!(value(&world.ask(&["secsipid.stats"]), "fetcher_protected"), "2");

    let shown = world.ask(&["secsipid.stats"]);
    let verified: u64 = value(&shown, "verified").parse().unwrap();
    let found: u64 = value(&shown, "cache_hits").parse().unwrap();
    assert_eq!(value(&shown, "cache_misses"), "3", "once in each worker: {shown}");
    assert_eq!(found + 3, verified, "{shown}");
    assert_eq!((value(&shown, "fetcher_fetches"), value(&shown, "fetcher_entries")), ("2", "2"));
    assert!(value(&shown, "fetcher_oldest").parse::<u64>().unwrap() < 60, "{shown}");

    let shown = world.ask(&["secsipid.check", &identity]);
    assert_eq!((value(&shown, "valid"), value(&shown, "code")), ("yes", "1"), "{shown}");
    assert_eq!((value(&shown, "orig"), value(&shown, "spc")), ("12155551212", "1234"), "{shown}");
    let shown = world.ask(&["secsipid.check", &format!("x{identity}")]);
    assert_eq!((value(&shown, "valid"), value(&shown, "code")), ("no", "-201"), "{shown}");
    assert_eq!(value(&shown, "response"), "438 Invalid Identity Header", "{shown}");

    for (words, says) in [
        (&["secsipid.check"][..], "give the value of an Identity header"),
        (&["secsipid.prefetch"], "give the certificate's URL"),
        (&["secsipid.prefetch", "ftp://h/"], "ftp://h/"),
        (&["secsipid.cache_list", "many"], "\"many\" is no number"),
    ] {
        let shown = world.ask(words);
        assert!(shown.contains("500") && shown.contains(says), "{words:?}: {shown}");
    }
}

#[test]
fn a_flush_reaches_every_process() {
    for fetchers in [1, 0] {
        let world = World::new(|lab, cfg| {
            std::fs::create_dir(lab.folder.join("cache")).unwrap();
            cfg.param("fetchers", fetchers).param("cache_dir", lab.path("cache"))
        });
        let (first, second) = (world.certificate("/1.pem"), world.certificate("/2.pem"));
        let (one, two) = (signed(&world.lab, &first), signed(&world.lab, &second));
        world.check_everywhere(&one, 1);
        world.check_everywhere(&two, 1);
        // Their servers have nothing any more: who has not forgotten them goes on.
        for path in ["/1.pem", "/2.pem"] {
            world.http.on(path, Answer::Status(404));
        }
        assert_eq!(value(&world.ask(&["secsipid.cache_flush", &first]), "flushed"), first);
        world.check_everywhere(&one, -403);
        world.check_everywhere(&two, 1);
        // Nobody means all of them by that.
        for junk in ["", "junk"] {
            let shown = world.ask(&["secsipid.cache_flush", junk]);
            assert!(shown.contains("no URL"), "{junk:?}: {shown}");
        }
        world.check_everywhere(&two, 1);
        // What was fetched in this second counts as fetched before.
        assert_eq!(value(&world.ask(&["secsipid.cache_flush"]), "flushed"), "all");
        world.check_everywhere(&two, -403);
    }
}

#[test]
fn a_flush_that_a_fetcher_is_late_for_reaches_the_workers() {
    let world = World::new(|_, cfg| cfg);
    let identity = signed(&world.lab, &world.certificate("/1.pem"));
    world.check_everywhere(&identity, 1);
    world.http.on("/1.pem", Answer::Status(404));
    let fetcher = world.kamailio.fetcher();
    signal(fetcher, "STOP");
    let shown = world.ask(&["secsipid.cache_flush"]);
    signal(fetcher, "CONT");
    assert!(shown.contains("500") && shown.contains("does not answer in 1000 ms"), "{shown}");
    wait_for("the fetcher", Duration::from_secs(10), || {
        (!world.ask(&["secsipid.cache_list"]).contains("/1.pem")).then_some(())
    });
    world.check_everywhere(&identity, -403);
}

#[test]
fn a_reload_changes_all_or_nothing_in_every_process() {
    let world = World::new(|lab, cfg| {
        cfg.param("trust_anchors", lab.path("ca.pem")).param("crl", lab.path("crl.pem"))
    });
    let url = world.certificate("/c.pem");
    let identity = signed(&world.lab, &url);
    world.check_everywhere(&identity, 1);
    let reply = world.kamailio.udp().send(&Request::invite().header("X-Do", "sign"));
    assert_eq!(reply.number("X-Code"), 1, "{reply:?}");
    let shown = world.ask(&["secsipid.reload"]);
    // The lab's file holds the CRLs of root and intermediate.
    let counts = ["trust_anchors", "intermediates", "crls", "keys"].map(|n| value(&shown, n));
    assert_eq!(counts, ["1", "0", "2", "1"], "{shown}");

    // One that never signed is none of those in use.
    let reply = world.kamailio.udp().send(&Request::invite().header("X-Do", "stray"));
    assert_eq!(reply.number("X-Code"), -451, "{reply:?}");
    assert_eq!(value(&world.ask(&["secsipid.reload"]), "keys"), "1");

    // A bad key: nothing changes, and it says which.
    let key = world.lab.read("key.pem");
    world.lab.folder.write("key.pem", "junk");
    let shown = world.ask(&["secsipid.reload"]);
    assert!(shown.contains("key.pem") && shown.contains("nothing was changed"), "{shown}");
    // One that is gone is no longer in force, and holds up nothing.
    std::fs::remove_file(world.lab.folder.join("key.pem")).unwrap();
    let shown = world.ask(&["secsipid.reload"]);
    assert_eq!(["keys", "keys_gone"].map(|n| value(&shown, n)), ["0", "1"], "{shown}");
    let log = world.kamailio.log();
    assert!(log.contains("key.pem\" is gone"), "{log}");
    world.lab.folder.write("key.pem", key);
    // A bad CRL beside good trust anchors.
    let crl = world.lab.read("crl.pem");
    world.lab.folder.write("crl.pem", "junk");
    let shown = world.ask(&["secsipid.reload"]);
    assert!(shown.contains("crl.pem") && shown.contains("nothing was changed"), "{shown}");
    world.check_everywhere(&identity, 1);
    world.lab.folder.write("crl.pem", crl);

    // One that revokes the signer counts at once.
    world.lab.crl("crl.pem", &["1234"]);
    assert_eq!(value(&world.ask(&["secsipid.reload"]), "crls"), "2");
    world.check_everywhere(&identity, -112);
}
