//! The clock set forward and back under a real Kamailio with a fetcher: certificates and tokens count
//! by it, and all is well again with it.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;
use stir::{Checked, Signer};
use support::fetching::{self, blocking, signed_with};
use support::site::Ago;
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Reply, Request, skipped, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const DAY: i64 = 86_400;

/// A clock for one Kamailio, by Debian's libfaketime. Timers keep the system's: a real clock is set
/// without them too.
struct Clock {
    folder: Folder,
    library: String,
}

impl Clock {
    /// None where the library is not there.
    fn new() -> Option<Self> {
        let library = std::fs::read_dir("/usr/lib")
            .unwrap()
            .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists())?;
        let clock = Self { folder: Folder::new(), library: library.to_str().unwrap().to_owned() };
        clock.set(0);
        Some(clock)
    }

    /// So many seconds ahead of the system's.
    fn set(&self, ahead: i64) {
        // By renaming: it may be read at any moment.
        self.folder.write("new", format!("{ahead:+}\n"));
        std::fs::rename(self.folder.join("new"), self.folder.join("ahead")).unwrap();
    }

    fn of(&self, cfg: Cfg) -> Cfg {
        cfg.env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.folder.inside("ahead"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    }
}

struct Test {
    lab: Lab,
    http: Http,
    kamailio: Kamailio,
    clock: Clock,
}

impl Test {
    /// None where the clock can't be set.
    fn start(lab: Lab, cfg: impl FnOnce(&Lab) -> Cfg) -> Option<Self> {
        let Some(clock) = Clock::new() else {
            skipped("libfaketime is not there: run make deps");
            return None;
        };
        let kamailio = Kamailio::start(&clock.of(cfg(&lab)));
        Some(Self { lab, http: Http::start(), kamailio, clock })
    }

    /// A call whose token was made so many seconds ahead of the system's clock.
    fn call(&self, path: &str, ahead: i64) -> Reply {
        let signer = Signer::with_clock(&Checked::default(), Arc::new(Ago(-ahead)));
        let identity = signed_with(&signer, &self.lab, &self.http.url(path));
        self.kamailio.udp().send(&Request::invite().header("Identity", identity))
    }

    fn code(&self, path: &str, ahead: i64) -> i64 {
        self.call(path, ahead).number("X-Code")
    }
}

#[test]
fn tokens_and_certificates_count_by_the_clock_of_the_moment() {
    let lab = Lab::new();
    lab.issue("day.pem", "key.pem", 1);
    let cfg = |lab: &Lab| {
        fetching::cfg(blocking)
            .workers(2)
            .param("expire", 60)
            .param("cache_min", 1000)
            .param("cache_max", 10_000)
            .param("negative_ttl", 1)
            .param("stale_if_error", 100)
            .param("trust_anchors", lab.path("ca.pem"))
    };
    let Some(mut test) = Test::start(lab, cfg) else { return };
    let processes = test.kamailio.processes();
    let body = |name: &str| Answer::Ok(test.lab.read(name).into());
    test.http.on("/day.pem", body("day.pem"));
    let all = |ahead: i64, expected: i64| {
        // Both workers, most likely.
        for _ in 0..6 {
            let reply = test.call("/day.pem", ahead);
            assert_eq!(reply.number("X-Code"), expected, "{ahead}: {reply:?}");
        }
    };
    all(0, 1);
    assert_eq!(test.http.count("/day.pem"), 1);

    // Not past its time: what was signed before is stale, the certificate is not.
    test.clock.set(500);
    let stale = test.call("/day.pem", 0);
    assert!(stale.number("X-Code") < 0, "{stale:?}");
    all(500, 1);
    assert_eq!(test.http.count("/day.pem"), 1);
    let future = test.call("/day.pem", 1000);
    assert!(future.number("X-Code") < 0, "{future:?}");

    // Past its time.
    test.clock.set(2000);
    all(2000, 1);
    assert_eq!(test.http.count("/day.pem"), 2, "it is fetched anew, once");
    // … and its server can't be had: it is used on for a while, and no longer.
    test.http.on("/day.pem", Answer::Status(503));
    test.clock.set(3050);
    all(3050, 1);
    test.clock.set(20_000);
    wait_for("the end of a certificate past its time", LIMIT, || {
        (test.code("/day.pem", 20_000) == -403).then_some(())
    });
    test.http.on("/day.pem", body("day.pem"));
    wait_for("its server's return", LIMIT, || (test.code("/day.pem", 20_000) == 1).then_some(()));

    // Past notAfter: refused, whoever has it, until there is another.
    test.clock.set(2 * DAY);
    all(2 * DAY, -103);
    test.http.on("/day.pem", body("cert.pem"));
    wait_for("a certificate that has not expired", LIMIT, || {
        (test.code("/day.pem", 2 * DAY) == 1).then_some(())
    });
    // The authority's own end comes too.
    test.clock.set(60 * DAY);
    all(60 * DAY, -103);

    // Back: nothing from the future counts for longer than it should, and calls go on.
    test.clock.set(0);
    wait_for("the right time", LIMIT, || (test.code("/day.pem", 0) == 1).then_some(()));
    all(0, 1);
    test.kamailio.assert_alive(&processes);
}

/// A worker that downloads by itself.
#[test]
fn cache_expire_counts_by_the_clock_of_the_moment() {
    let folder = Folder::new();
    let cfg = |_: &Lab| {
        blocking(Cfg::new(support::Module::Ours))
            .param("fetchers", 0)
            .param("cache_expire", 1000)
            .param("cache_dir", folder.inside(""))
    };
    let Some(test) = Test::start(Lab::new(), cfg) else { return };
    test.http.on("/c.pem", Answer::Ok(test.lab.read("cert.pem").into()));
    for (ahead, downloads) in [(0, 1), (900, 1), (1500, 2), (2400, 2), (5000, 3), (0, 3)] {
        test.clock.set(ahead);
        let reply = test.call("/c.pem", ahead);
        assert_eq!(reply.number("X-Code"), 1, "{ahead}: {reply:?}");
        assert_eq!(test.http.count("/c.pem"), downloads, "{ahead}");
    }
}
