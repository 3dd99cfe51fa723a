//! `secsipidx bench`: that its numbers are numbers of what it says; not how good they are.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{Folder, Service, local};

#[test]
fn this_machine_is_measured() {
    let folder = Folder::new();
    let shown: Value = serde_json::from_str(&folder.out("bench --seconds 1 --json")).unwrap();
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    let cpus = shown["cpus"].as_u64().unwrap();
    let measures = shown["measures"].as_array().unwrap();
    let mut expected = Vec::new();
    assert_eq!(shown["tables"], "s2n-bignum");
    let operations =
        ["es256_sign", "es256_verify", "sign_call", "check_known_signer", "check_new_signer"];
    for operation in operations {
        expected.push((operation, 1));
        expected.extend((cpus > 1).then_some((operation, cpus)));
    }
    let found: Vec<_> = measures
        .iter()
        .map(|one| (one["operation"].as_str().unwrap(), one["threads"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, expected);
    for one in measures {
        let number = |name: &str| one[name].as_f64().unwrap();
        let (each, rate) = (number("microseconds"), number("per_second"));
        // No machine signs in a microsecond, and none takes a second.
        assert!((1.0..1e6).contains(&each), "{one}");
        assert!((each * rate / 1e6 / number("threads") - 1.0).abs() < 1e-6, "{one}");
    }

    let text = folder.out("bench --seconds 1");
    for title in ["ES256 signature", "ES256 verification", "sign a call", "check, known signer"] {
        let line = text.lines().find(|line| line.starts_with(title)).unwrap_or_else(|| {
            panic!("{title} is not in {text}");
        });
        let numbers = line[title.len()..].split_whitespace();
        assert!(numbers.map(|number| number.parse::<f64>().unwrap()).all(|n| n > 0.0), "{line}");
    }
    assert!(folder.out("bench --help").contains("secsipidx bench --url http://"));
}

#[test]
fn a_service_is_measured() {
    let folder = Folder::lab();
    let service = Service::start(&folder, &local(""));
    let url = format!("http://127.0.0.1:{}", service.port);
    let line = format!("bench --url {url}/ --seconds 1 --connections 3 --json");
    let shown: Value = serde_json::from_str(&folder.out(&line)).unwrap();
    // What it counted is what the service counted, and the first of each.
    let metrics = service.get("/metrics").body;
    for (n, (operation, metric)) in
        [("sign-csv", "secsipidx_signed_total"), ("check", "secsipidx_checks_total{code=\"1\"}")]
            .into_iter()
            .enumerate()
    {
        let one = &shown["measures"][n];
        assert_eq!((&one["operation"], &one["failed"]), (&operation.into(), &0.into()), "{shown}");
        assert_eq!(one["connections"], 3);
        let requests = one["requests"].as_u64().unwrap();
        assert!(requests >= 3, "{shown}");
        let counted = format!("{metric} {}", requests + 1);
        assert!(metrics.lines().any(|line| line == counted), "{counted} is not in {metrics}");
        assert!(one["per_second"].as_f64().unwrap() > 0.0, "{shown}");
        let number = |name: &str| one[name].as_u64().unwrap();
        assert!(number("median_microseconds") > 0, "{shown}");
        assert!(number("median_microseconds") <= number("p99_microseconds"), "{shown}");
    }
    let text = folder.out(&format!("bench --url {url} --seconds 1"));
    assert!(text.contains("sign-csv") && text.contains("p99"), "{text}");
}

#[test]
fn a_service_that_can_not_be_measured_says_why() {
    let folder = Folder::lab();
    folder.write("token", "0123456789abcdef0123456789abcdef");
    let with_token = local("").replace("[check]", "token_file = \"token\"\n[check]");
    let other_key = local("").replace("lab/spc-1234.pem", "lab/spc-5678.pem");
    let closed = Service::start(&folder, &with_token);
    let other = Service::start(&folder, &other_key);
    let url = |service: &Service| format!("http://127.0.0.1:{}", service.port);
    for (arguments, parts) in [
        (url(&closed), ["401", "--token-file"]),
        (url(&other), ["FAILED", "check.key"]),
        ("http://127.0.0.1:1".into(), ["127.0.0.1:1", "refused"]),
        ("https://127.0.0.1:1".into(), ["https://127.0.0.1:1", "TLS"]),
        ("junk".into(), ["junk", "http://"]),
    ] {
        let output = folder.ours(&format!("bench --seconds 1 --url {arguments}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part}: {arguments}: {stderr}");
        }
    }
    folder.out(&format!("bench --seconds 1 --url {} --token-file token", url(&closed)));
}
