//! What a script gets from signing and checking, through a real Kamailio: the variables, several
//! Identity headers, a key that changes.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;
use support::{Cfg, Kamailio, Lab, Module, Reply, Request, wait_for};

const NULL: &str = "<null>";
const CLAIMS: [&str; 7] = ["Attest", "Orig", "Dest", "Iat", "Origid", "X5u", "Ppt"];

/// Signs or checks as the request's X- headers say, and answers with all variables.
const ROUTE: &str = r#"
    switch ($hdr(X-Do)) {
        case "build":
            $var(code) = secsipid_build_identity("12155551212", "12155551213", "$hdr(X-Attest)", "$hdr(X-Id)", "https://a/b", "$hdr(X-Key)");
            break;
        case "sign":
            $var(code) = secsipid_sign("$hdr(X-Header)", "$hdr(X-Payload)", "$hdr(X-Key)");
            break;
        case "get":
            $var(code) = secsipid_get_url("$hdr(X-Key)", "$var(body)");
            break;
        default:
            $var(code) = secsipid_check_identity("$hdr(X-Key)");
    }
    append_to_reply("X-Code: $var(code)\r\nX-Ret: $secsipid(ret)\r\nX-Val: $secsipid(val)\r\nX-Error: $secsipid(error)\r\n");
    append_to_reply("X-Attest: $secsipid(attest)\r\nX-Orig: $secsipid(orig)\r\nX-Dest: $secsipid(dest)\r\nX-Iat: $secsipid(iat)\r\n");
    append_to_reply("X-Origid: $secsipid(origid)\r\nX-X5u: $secsipid(x5u)\r\nX-Ppt: $secsipid(ppt)\r\n");
    sl_send_reply("200", "OK");
"#;

struct Live {
    kamailio: Kamailio,
    lab: Lab,
}

impl Live {
    /// With one worker: what an earlier call left behind would show in the next.
    fn start() -> Self {
        Self {
            kamailio: Kamailio::start(&Cfg::new(Module::Ours).tcp().route(ROUTE)),
            lab: Lab::new(),
        }
    }

    fn build(&self, attest: &str, origid: &str, key: &str) -> Reply {
        let request = Request::invite()
            .header("X-Do", "build")
            .header("X-Attest", attest)
            .header("X-Id", origid)
            .header("X-Key", self.lab.path(key));
        self.kamailio.udp().send(&request)
    }

    /// An Identity header value.
    fn identity(&self, attest: &str, origid: &str) -> String {
        let reply = self.build(attest, origid, "key.pem");
        assert_eq!(reply.number("X-Code"), 1, "{reply:?}");
        reply.header("X-Val").to_owned()
    }

    /// The same with a PASSporT extension that the module does not know.
    fn with_ppt(&self, ppt: &str) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let request = Request::invite()
            .header("X-Do", "sign")
            .header("X-Header", format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"https://a/b"}}"#))
            .header("X-Payload", format!(r#"{{"dest":{{"tn":["12155551213"]}},"iat":{now},"orig":{{"tn":"12155551212"}}}}"#))
            .header("X-Key", self.lab.path("key.pem"));
        let reply = self.kamailio.udp().send(&request);
        assert_eq!(reply.number("X-Code"), 1, "{reply:?}");
        format!("{};info=<https://a/b>;alg=ES256;ppt=\"{ppt}\"", reply.header("X-Val"))
    }

    /// Checks header fields of these names and values, over UDP and TCP.
    fn check(&self, identities: &[(&str, &str)], cert: &str) -> Reply {
        let mut request =
            Request::invite().header("X-Do", "check").header("X-Key", self.lab.path(cert));
        for (name, value) in identities {
            request = request.header(name, *value);
        }
        let over_tcp = self.kamailio.tcp().send(&request);
        let reply = self.kamailio.udp().send(&request);
        assert_eq!(reply.number("X-Code"), over_tcp.number("X-Code"), "UDP and TCP differ");
        assert_eq!(reply.number("X-Code"), reply.number("X-Ret"), "{reply:?}");
        reply
    }
}

/// The same with one character of the signature changed.
fn tampered(identity: &str) -> String {
    let end = identity.find(';').unwrap();
    let at = end - 40;
    let other = if &identity[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &identity[..at], &identity[at + 1..])
}

fn assert_no_claims(reply: &Reply) {
    for name in CLAIMS {
        assert_eq!(
            reply.header(&format!("X-{name}")),
            NULL,
            "{name} is of an earlier call: {reply:?}"
        );
    }
}

#[test]
fn variables_hold_nothing_of_an_earlier_call() {
    let live = Live::start();
    // Signed, then not signed.
    let signed = live.build("A", "one", "key.pem");
    assert_ne!(signed.header("X-Val"), NULL);
    assert_eq!((signed.number("X-Ret"), signed.header("X-Error")), (1, NULL));
    for (attest, key, code) in
        [("Z", "key.pem", -231), ("A", "missing.pem", -451), ("A", "cert.pem", -151)]
    {
        let failed = live.build(attest, "two", key);
        assert_eq!((failed.number("X-Code"), failed.number("X-Ret")), (code, code), "{failed:?}");
        assert_eq!(failed.header("X-Val"), NULL, "the earlier token is still there");
        assert_ne!(failed.header("X-Error"), NULL);
    }
    let failed = live.kamailio.udp().send(
        &Request::invite()
            .header("X-Do", "sign")
            .header("X-Header", "{")
            .header("X-Payload", "{}")
            .header("X-Key", live.lab.path("key.pem")),
    );
    assert_eq!((failed.number("X-Ret"), failed.header("X-Val")), (-201, NULL));

    // Checked, then each kind of failure.
    let identity = live.identity("B", "three");
    let checked = live.check(&[("Identity", &identity)], "cert.pem");
    assert_eq!((checked.number("X-Ret"), checked.header("X-Error")), (1, NULL));
    assert_eq!((checked.header("X-Attest"), checked.header("X-Origid")), ("B", "three"));
    let none = live.check(&[], "cert.pem");
    assert_eq!(none.number("X-Ret"), -1);
    assert_no_claims(&none);
    live.check(&[("Identity", &identity)], "cert.pem");
    let unreadable = live.check(&[("Identity", "no.token")], "cert.pem");
    assert_eq!(unreadable.number("X-Ret"), -301);
    assert_no_claims(&unreadable);
    live.check(&[("Identity", &identity)], "cert.pem");
    let unsigned = live.build("Z", "four", "key.pem");
    assert_no_claims(&unsigned);
    live.check(&[("Identity", &identity)], "cert.pem");
    let unfetched = live
        .kamailio
        .udp()
        .send(&Request::invite().header("X-Do", "get").header("X-Key", "ftp://a/b"));
    assert_eq!((unfetched.number("X-Ret"), unfetched.header("X-Val")), (-401, NULL));
    assert_no_claims(&unfetched);

    // And after a failure, nothing of it.
    let again = live.check(&[("Identity", &identity)], "cert.pem");
    assert_eq!((again.number("X-Ret"), again.header("X-Error")), (1, NULL));
}

#[test]
fn variables_tell_of_the_header_that_was_checked() {
    let live = Live::start();
    let (first, second) = (live.identity("A", "first"), live.identity("C", "second"));
    let reply = live.check(&[("Identity", &tampered(&first)), ("Identity", &second)], "cert.pem");
    assert_eq!(reply.number("X-Ret"), 1, "{reply:?}");
    assert_eq!((reply.header("X-Attest"), reply.header("X-Origid")), ("C", "second"));
    assert_eq!((reply.header("X-Orig"), reply.header("X-Dest")), ("12155551212", "12155551213"));
    assert_eq!((reply.header("X-X5u"), reply.header("X-Ppt")), ("https://a/b", "shaken"));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert!((now - 60..=now).contains(&reply.number("X-Iat")), "{reply:?}");
    // What a failed header says is shown, with the code that says not to trust it.
    let reply = live.check(&[("Identity", &tampered(&first))], "cert.pem");
    assert_eq!((reply.number("X-Ret"), reply.header("X-Origid")), (-251, "first"));
    assert!(reply.header("X-Error").contains("does not verify"), "{reply:?}");
}

#[test]
fn headers_are_judged_as_a_set() {
    let live = Live::start();
    let good = live.identity("A", "good");
    let bad = tampered(&good);
    let unsupported = live.with_ppt("div");
    for (name, identities, code) in [
        ("good", vec![("Identity", &good)], 1),
        ("compact", vec![("y", &good)], 1),
        ("compact, upper case", vec![("Y", &good)], 1),
        ("compact and bad", vec![("y", &bad)], -251),
        ("other case", vec![("IDENTITY", &good)], 1),
        ("bad, good", vec![("Identity", &bad), ("Identity", &good)], 1),
        ("good, bad", vec![("Identity", &good), ("Identity", &bad)], 1),
        ("bad, good in compact form", vec![("Identity", &bad), ("y", &good)], 1),
        ("unsupported, good", vec![("Identity", &unsupported), ("Identity", &good)], 1),
        ("good, unsupported", vec![("Identity", &good), ("Identity", &unsupported)], 1),
        ("unsupported, bad", vec![("Identity", &unsupported), ("Identity", &bad)], -251),
        ("bad, unsupported", vec![("Identity", &bad), ("Identity", &unsupported)], -251),
        ("only bad", vec![("Identity", &bad), ("Identity", &bad)], -251),
        ("only unsupported", vec![("Identity", &unsupported)], -303),
    ] {
        let identities: Vec<_> =
            identities.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = live.check(&identities, "cert.pem");
        assert_eq!(reply.number("X-Ret"), code, "{name}: {}", reply.header("X-Error"));
    }
}

/// A new key counts from the next call on, whether its file is replaced or written anew.
#[test]
fn a_key_is_replaced_while_kamailio_runs() {
    let mut live = Live::start();
    let processes = live.kamailio.processes();
    live.lab.secsipidx("ca . --update --spc 5678");
    let (first, second) = (live.lab.read("key.pem"), live.lab.read("spc-5678-key.pem"));
    live.lab.folder.write("live.pem", &first);
    let verdicts = || {
        let identity = live.build("A", "", "live.pem").header("X-Val").to_owned();
        ["cert.pem", "spc-5678.pem"]
            .map(|cert| live.check(&[("Identity", &identity)], cert).number("X-Ret"))
    };
    assert_eq!(verdicts(), [1, -251]);
    live.lab.folder.write("new.pem", &second);
    std::fs::rename(live.lab.folder.join("new.pem"), live.lab.folder.join("live.pem")).unwrap();
    assert_eq!(verdicts(), [-251, 1], "replaced");
    let again = |name: &str, text: &str| {
        // Kernels before 6.13 tell no two writings within 4 ms apart.
        let written = || live.lab.folder.join(name).metadata().unwrap().modified().unwrap();
        let before = written();
        wait_for("another time of the file", Duration::from_secs(5), || {
            live.lab.folder.write(name, text);
            (written() != before).then_some(())
        });
    };
    again("live.pem", &first);
    assert_eq!(verdicts(), [1, -251], "written anew");
    // A certificate's file as well.
    let identity = live.identity("A", "");
    live.lab.folder.write("cert-live.pem", live.lab.read("spc-5678.pem"));
    assert_eq!(live.check(&[("Identity", &identity)], "cert-live.pem").number("X-Ret"), -251);
    again("cert-live.pem", &live.lab.read("cert.pem"));
    assert_eq!(live.check(&[("Identity", &identity)], "cert-live.pem").number("X-Ret"), 1);
    // One that is gone signs nothing, and says so; back again, it does.
    std::fs::remove_file(live.lab.folder.join("live.pem")).unwrap();
    assert_eq!(live.build("A", "", "live.pem").number("X-Ret"), -451);
    live.lab.folder.write("live.pem", &second);
    assert_eq!(live.build("A", "", "live.pem").number("X-Ret"), 1);
    live.kamailio.assert_alive(&processes);
}
