//! Calls of strangers, each with another invented URL, in a real Kamailio with a folder and a real
//! Redis: what they have fetched takes no place of what is in use, anywhere.
//!
//! `SECSIPID_CALLS` says how many calls of each kind.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;
use stir::shelf::KEY_SHARE;
use support::fetching::{self, Good, signed, waiting, with_x5u};
use support::kamailio::rpc_value;
use support::{Answer, Folder, Http, Kamailio, Lab, Load, Redis, inside, private_memory, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// How much there is of everything.
#[derive(Debug)]
struct Levels {
    redis_keys: usize,
    redis_kib: usize,
    files: usize,
    folder_kib: u64,
    fetcher_kib: u64,
    worker_kib: u64,
    entries: usize,
    protected: usize,
    bytes: usize,
}

struct Setup {
    kamailio: Kamailio,
    redis: Redis,
    cache: Folder,
    control: Folder,
    fetcher: u32,
}

impl Setup {
    fn new(lab: &Lab) -> Self {
        let (redis, cache, control) = (Redis::start(), Folder::new(), Folder::new());
        let cfg = fetching::cfg(waiting)
            .workers(2)
            .control(&control.inside("ctl"))
            .param("timeout", 5)
            .param("trust_anchors", lab.path("ca.pem"))
            .param("cache_dir", inside(cache.path()))
            .param("cache_url", redis.patient_url());
        let kamailio = Kamailio::start(&cfg);
        let fetcher = kamailio.fetcher();
        Self { kamailio, redis, cache, control, fetcher }
    }

    /// Sends these calls; all of them come to this code.
    fn calls(&self, identities: &[String], code: i64) {
        let load = Load { port: self.kamailio.port, rate: 1000, window: 60 };
        let answered = load.run(identities);
        let other = answered.iter().find(|call| call.code != Some(code));
        assert!(other.is_none(), "{other:?}, not {code}");
    }

    fn counter(&self, name: &str) -> usize {
        let shown = self.kamailio.kamcmd(&self.control.inside("ctl"), &["secsipid.stats"]);
        rpc_value(&shown, name).parse().unwrap()
    }

    fn levels(&self) -> Levels {
        let keys = self.redis.cli(&["KEYS", "secsipid:x5u:*"]);
        let memory = self.redis.cli(&["INFO", "memory"]);
        let used =
            memory.lines().find_map(|line| line.trim().strip_prefix("used_memory:")).unwrap();
        let files: Vec<u64> = std::fs::read_dir(self.cache.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        let processes = self.kamailio.processes();
        let workers = processes.iter().filter(|pid| **pid != self.fetcher);
        Levels {
            redis_keys: keys.lines().count(),
            redis_kib: used.parse::<usize>().unwrap() / 1024,
            files: files.len(),
            folder_kib: files.iter().sum::<u64>() / 1024,
            fetcher_kib: private_memory(self.fetcher),
            worker_kib: workers.map(|pid| private_memory(*pid)).max().unwrap(),
            entries: self.counter("fetcher_entries"),
            protected: self.counter("fetcher_protected"),
            bytes: self.counter("fetcher_bytes"),
        }
    }
}

/// The lab's certificate with 48 KiB of others behind it that lead nowhere.
fn with_junk(lab: &Lab) -> String {
    let comment = "x".repeat(12_000);
    lab.openssl(&format!(
        "req -new -x509 -key key.pem -subj /CN=Junk -days 30 -addext nsComment={comment} -out junk.pem"
    ));
    let chain = lab.read("cert.pem") + &lab.read("junk.pem").repeat(3);
    assert!((48 << 10..64 << 10).contains(&chain.len()), "{}", chain.len());
    chain
}

#[test]
fn invented_urls_take_no_place_of_what_is_in_use() {
    let count: usize =
        std::env::var("SECSIPID_CALLS").map_or(1_000, |text| text.parse().expect("a number"));
    let Good { lab, http, identity } = Good::new();
    // Each of 127.0.0.0/8 is another server to the fetcher.
    let (his, stranger) = (Http::start_on("0.0.0.0"), Lab::new());
    let setup = Setup::new(&lab);
    let processes = setup.kamailio.processes();
    setup.calls(&vec![identity.clone(); 20], 1);
    wait_for("the certificate in use in folder and Redis", LIMIT, || {
        let levels = setup.levels();
        (levels.redis_keys == 1 && levels.files == 1).then_some(())
    });
    let before = setup.levels();
    let url = |kind: u8, n: usize| {
        format!("http://127.{kind}.{}.{}:{}/{n}.pem", n / 250, 1 + n % 250, his.port)
    };
    let check = |name: &str, kept: usize| {
        let after = setup.levels();
        println!("{name}, {count} calls: {before:?}, then {after:?}");
        assert_eq!((after.redis_keys, after.files, after.protected), (kept, kept, kept), "{name}");
        assert!(after.redis_kib < before.redis_kib + 2 * 1024, "{name}: {after:?}");
        // The named bounds, and what the allocator and 5,000 connections make of them.
        assert!(after.folder_kib <= 16 * kept as u64, "{name}: {after:?}");
        assert!(after.entries <= kept + fetcher::limits::PROBATION_ENTRIES, "{name}: {after:?}");
        let probation = fetcher::limits::PROBATION_BYTES / 1024;
        assert!(after.bytes / 1024 < probation + 1024, "{name}: {after:?}");
        let fetcher = before.fetcher_kib + 2 * u64::try_from(probation).unwrap();
        assert!(after.fetcher_kib < fetcher, "{name}: {after:?}");
        assert!(after.worker_kib < before.worker_kib + 4 * 1024, "{name}: {after:?}");
        // The certificate in use is in memory still.
        setup.calls(&vec![identity.clone(); 20], 1);
        assert_eq!(http.total(), 1, "{name}: downloads of the one in use");
    };

    // Not signed by who owns the certificate.
    his.on("*", Answer::Ok(with_junk(&lab).into()));
    let unsigned: Vec<_> = (0..count).map(|n| with_x5u(&identity, &url(11, n))).collect();
    setup.calls(&unsigned, -251);
    check("unsigned", 1);

    // Signed by a stranger, with a certificate that no trust anchor vouches for.
    his.on("*", Answer::Ok(stranger.read("cert.pem").into()));
    let strange: Vec<_> = (0..count).map(|n| signed(&stranger, &url(12, n))).collect();
    setup.calls(&strange, -101);
    check("signed by a stranger", 1);

    // Signed by a carrier with one genuine certificate, who has the places of one key.
    lab.key("other-key.pem", "EC:P-256");
    lab.issue("other.pem", "other-key.pem", 20);
    his.on("*", Answer::Ok(lab.read("other.pem").into()));
    lab.replace("key.pem", "other-key.pem");
    let owned: Vec<_> = (0..count).map(|n| signed(&lab, &url(13, n))).collect();
    setup.calls(&owned, 1);
    wait_for("what is too much to go", LIMIT, || {
        let levels = setup.levels();
        let kept = [levels.redis_keys, levels.files, levels.protected];
        (kept == [1 + KEY_SHARE; 3]).then_some(())
    });
    check("signed by an owner", 1 + KEY_SHARE);
    let Setup { mut kamailio, .. } = setup;
    kamailio.assert_alive(&processes);
}
