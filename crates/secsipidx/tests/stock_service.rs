//! The same requests to the stock service and to ours, started with the same flags: status and
//! body. Differences stand in docs/compatibility-tools.md, each with its two statuses.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::{Folder, Reply, STOCK, Service};

const FLAGS: [&str; 8] = [
    "-k",
    "lab/spc-1234-key.pem",
    "-p",
    "lab/spc-1234.pem",
    "-expire",
    "300",
    "-http-dir",
    "public",
];

/// A token becomes its length in parts: what is in it, `stock_cli` compares.
fn plain(reply: &Reply) -> (u16, String) {
    let body = reply.body.trim();
    let body = match body.split_once(";info=") {
        Some((token, params)) => format!("{} parts {params}", token.split('.').count()),
        None if reply.status == 200 || body == "FAILED" => body.to_owned(),
        // Why not: each service's own wording.
        None => String::new(),
    };
    (reply.status, body)
}

fn documented() -> BTreeMap<String, (u16, u16)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility-tools.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| S")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        for row in cells[2].split(", ") {
            let statuses = (cells[3].parse().unwrap(), cells[4].parse().unwrap());
            all.insert(row.trim_matches('`').to_owned(), statuses);
        }
    }
    all
}

#[test]
fn clients_see_the_same() {
    let folder = Folder::lab();
    std::fs::create_dir_all(folder.join("public/sub")).unwrap();
    std::fs::copy(folder.join("lab/spc-1234.pem"), folder.join("public/c.pem")).unwrap();
    std::fs::copy(folder.join("lab/root-key.pem"), folder.join("public/key.pem")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.join("public/link")).unwrap();
    let sign = |code: &str| {
        let line = format!(
            "sign --key lab/spc-{code}-key.pem --x5u https://e.org/c.pem 12155550100 12025550100"
        );
        folder.out(&line).trim().to_owned()
    };
    let (good, other) = (sign("1234"), sign("5678"));
    let token = good.split(';').next().unwrap();
    let info = |params: &str| format!("{token};{params}");
    let posts = [
        ("check", "/v1/check", good.clone()),
        ("check-line", "/v1/check", format!("{good}\r\n")),
        ("check-other", "/v1/check", other),
        ("check-junk", "/v1/check", "junk".into()),
        ("check-empty", "/v1/check", String::new()),
        ("check-token", "/v1/check", token.to_owned()),
        ("check-ppt", "/v1/check", info("info=<https://e.org/c.pem>;alg=ES256;ppt=div")),
        ("check-x5u", "/v1/check", info("info=<https://e.org/d.pem>;alg=ES256;ppt=shaken")),
        ("csv", "/v1/sign-csv", "12155550100,12025550100,A,o-1,https://e.org/c.pem".into()),
        ("csv-line", "/v1/sign-csv", "12155550100,12025550100,A,o-1,https://e.org/c.pem\n".into()),
        ("csv-no-origid", "/v1/sign-csv", "12155550100,12025550100,B,,https://e.org/c.pem".into()),
        ("csv-no-x5u", "/v1/sign-csv", "12155550100,12025550100,C,,".into()),
        ("csv-three", "/v1/sign-csv", "12155550100,12025550100,A".into()),
        ("csv-empty", "/v1/sign-csv", String::new()),
        ("csv-letters", "/v1/sign-csv", "alice,bob,A,,https://e.org/c.pem".into()),
        ("csv-attest", "/v1/sign-csv", "12155550100,12025550100,Z,,https://e.org/c.pem".into()),
        ("unknown", "/v1/none", String::new()),
        ("root", "/", String::new()),
    ];
    let gets = [
        ("get-check", "/v1/check"),
        ("get-csv", "/v1/sign-csv"),
        ("get-file", "/v1/pub/c.pem"),
        ("get-missing", "/v1/pub/none"),
        ("get-key", "/v1/pub/key.pem"),
        ("get-link", "/v1/pub/link"),
        ("get-folder", "/v1/pub/sub/"),
        ("get-list", "/v1/pub/"),
        ("get-dots", "/v1/pub/../lab/root.pem"),
        ("get-dots-encoded", "/v1/pub/%2e%2e/lab/root.pem"),
        ("get-root", "/"),
    ];
    assert!(Path::new(STOCK).exists(), "make deps installs {STOCK}");
    let stock = Service::stock(&folder, &FLAGS);
    let ours = Service::ours(&folder, &[&["-http-srv", "127.0.0.1:0"], &FLAGS[..]].concat(), &[]);
    let mut documented = documented();
    let mut wrong = Vec::new();
    let both = |path: &str, body: Option<&str>| {
        [&stock, &ours].map(|service| {
            plain(&body.map_or_else(|| service.get(path), |body| service.post(path, body)))
        })
    };
    let posts = posts.iter().map(|(name, path, body)| (*name, both(path, Some(body.as_str()))));
    let gets = gets.iter().map(|(name, path)| (*name, both(path, None)));
    for (name, [stock, ours]) in posts.chain(gets) {
        match documented.remove(name) {
            None if stock != ours => wrong.push(format!("{name}: {stock:?}, {ours:?}")),
            Some(_) if stock == ours => {
                wrong.push(format!("{name}: listed, but the same: {ours:?}"))
            }
            Some(statuses) if statuses != (stock.0, ours.0) => {
                wrong.push(format!("{name}: listed as {statuses:?}: {stock:?}, {ours:?}"));
            }
            _ => {}
        }
    }
    // Who is asked: HTTP/1.0 need not say so.
    for (version, hosts, status) in [
        ("1.0", "", 200),
        ("1.0", "Host: 127.0.0.1\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: 127.0.0.1\r\n", 200),
    ] {
        let len = good.len();
        let request = format!(
            "POST /v1/check HTTP/{version}\r\n{hosts}Connection: close\r\nContent-Length: {len}\r\n\r\n{good}"
        );
        for service in [&stock, &ours] {
            assert_eq!(service.send(&request).status, status, "{request}");
        }
    }
    wrong.extend(documented.keys().map(|name| format!("{name}: listed, but there is no such row")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
