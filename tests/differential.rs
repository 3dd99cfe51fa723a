//! The same calls in a Kamailio with the stock module and in one with ours: the codes agree, or
//! docs/compatibility.md says why not.
#![allow(clippy::unwrap_used)]

#[path = "differential/rows.rs"]
mod rows;
mod support;

use rows::{Row, Rows, Set};
use std::collections::BTreeSet;
use support::{Cfg, Kamailio, Lab, Module, Request, repository};

/// Reads function, arguments and headers from the request; code and value go into the reply. PEM
/// texts come in base64, since a header can't hold their line breaks.
const ROUTE: &str = r#"
    $var(a1) = ""; $var(a2) = ""; $var(a3) = ""; $var(a4) = ""; $var(a5) = ""; $var(a6) = "";
    if (is_present_hf("X-A1")) $var(a1) = $hdr(X-A1);
    if (is_present_hf("X-A2")) $var(a2) = $hdr(X-A2);
    if (is_present_hf("X-A3")) $var(a3) = $hdr(X-A3);
    if (is_present_hf("X-A4")) $var(a4) = $hdr(X-A4);
    if (is_present_hf("X-A5")) $var(a5) = $hdr(X-A5);
    if (is_present_hf("X-A6")) $var(a6) = $hdr(X-A6);
    $var(pem) = "";
    if (is_present_hf("X-Pem")) $var(pem) = $(hdr(X-Pem){s.decode.base64});
    switch ($hdr(X-Func)) {
        case "check_identity": $var(code) = secsipid_check_identity("$var(a1)"); break;
        case "check_identity_pubkey": $var(code) = secsipid_check_identity_pubkey("$var(pem)"); break;
        case "check": $var(code) = secsipid_check("$var(a1)", "$var(a2)"); break;
        case "add_identity":
            $var(code) = secsipid_add_identity("$var(a1)", "$var(a2)", "$var(a3)", "$var(a4)", "$var(a5)", "$var(a6)");
            if ($var(code) > 0) { msg_apply_changes(); append_to_reply("X-Val: $hdr(Identity)\r\n"); }
            break;
        case "build_identity":
            $var(code) = secsipid_build_identity("$var(a1)", "$var(a2)", "$var(a3)", "$var(a4)", "$var(a5)", "$var(a6)");
            append_to_reply("X-Val: $secsipid(val)\r\n");
            break;
        case "build_identity_prvkey":
            $var(code) = secsipid_build_identity_prvkey("$var(a1)", "$var(a2)", "$var(a3)", "$var(a4)", "$var(a5)", "$var(pem)");
            append_to_reply("X-Val: $secsipid(val)\r\n");
            break;
        case "sign":
            $var(code) = secsipid_sign("$(hdr(X-A1){s.decode.base64})", "$(hdr(X-A2){s.decode.base64})", "$var(a3)");
            append_to_reply("X-Val: $secsipid(val)\r\n");
            break;
        case "get_url":
            $var(out) = "none";
            $var(code) = secsipid_get_url("$var(a1)", "$var(out)");
            append_to_reply("X-Val: $(var(out){s.len})\r\n");
            break;
    }
    append_to_reply("X-Code: $var(code)\r\nX-Ret: $secsipid(ret)\r\n");
    sl_send_reply("200", "OK");
"#;

fn cfg(module: Module, set: &Set) -> Cfg {
    let cfg = set
        .options
        .iter()
        .fold(Cfg::new(module), |cfg, option| cfg.param("libopt", option.as_str()));
    cfg.param("timeout", 2).route(ROUTE)
}

/// What a module makes of a row: its code, and what it signed.
struct Made {
    code: i64,
    val: String,
}

fn run(kamailio: &Kamailio, row: &Row) -> Made {
    let mut request = Request::invite().header("X-Func", row.function);
    for (name, value) in &row.headers {
        request = request.header(name, value);
    }
    let reply = kamailio.udp().send(&request);
    Made { code: reply.number("X-Code"), val: reply.header("X-Val").to_owned() }
}

/// The rows of docs/compatibility.md: id, rows, what stock answers, what ours does.
fn listed() -> Vec<(String, Vec<String>, i64, i64)> {
    let text = repository("docs/compatibility.md");
    let mut listed = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| D")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let rows = cells[2].split(',').map(|row| row.trim().trim_matches('`').to_owned()).collect();
        let number =
            |cell: &str| cell.parse().unwrap_or_else(|_| panic!("{cell:?} is no code: {line}"));
        listed.push((cells[1].to_owned(), rows, number(cells[3]), number(cells[4])));
    }
    listed
}

#[test]
fn codes_agree_but_for_the_listed_differences() {
    let lab = Lab::new();
    let rows = Rows::new(&lab);
    let mut listed = listed();
    let mut problems = Vec::new();
    let mut compared = 0;
    let mut names = BTreeSet::new();
    for set in &rows.sets {
        let stock = Kamailio::start(&cfg(Module::Stock, set));
        let mut ours = Kamailio::start(&cfg(Module::Ours, set));
        let processes = ours.processes();
        for row in &set.rows {
            assert!(names.insert(row.name.clone()), "two rows are named {}", row.name);
            let (theirs, mine) = (run(&stock, row), run(&ours, row));
            compared += 1;
            let entry = listed.iter().position(|(_, rows, ..)| rows.contains(&row.name));
            match entry {
                Some(entry) => {
                    let (id, rows, stock_code, our_code) = &mut listed[entry];
                    if (theirs.code, mine.code) != (*stock_code, *our_code) {
                        problems.push(format!(
                            "{} ({id}): listed as {stock_code} and {our_code}, came as {} and {}",
                            row.name, theirs.code, mine.code
                        ));
                    }
                    rows.retain(|name| *name != row.name);
                }
                None if theirs.code != mine.code => {
                    problems
                        .push(format!("{}: stock {}, ours {}", row.name, theirs.code, mine.code));
                }
                None => {}
            }
            // What one signs the other verifies.
            if theirs.code == 1 && mine.code == 1 && row.signs() {
                for (signer, made, verifier) in [("stock", &theirs, &ours), ("ours", &mine, &stock)]
                {
                    let check = rows.check_signed(&made.val, row.function);
                    let code = run(verifier, &check).code;
                    if code != 1 {
                        problems.push(format!(
                            "{}: signed by {signer}, refused by the other: {code}",
                            row.name
                        ));
                    }
                }
            }
        }
        ours.assert_alive(&processes);
    }
    for (id, rows, ..) in listed.iter().filter(|(_, rows, ..)| !rows.is_empty()) {
        problems.push(format!("{id} lists rows that are not in the table: {}", rows.join(", ")));
    }
    assert!(problems.is_empty(), "{} of {compared} rows:\n{}", problems.len(), problems.join("\n"));
    assert!(compared >= 80, "only {compared} rows");
    println!("{compared} rows compared");
}

/// The stock command line takes what ours signs.
#[test]
fn the_stock_tool_verifies_what_is_signed() {
    let lab = Lab::new();
    let rows = Rows::new(&lab);
    let ours = Kamailio::start(&cfg(Module::Ours, &Set::default()));
    let made = run(&ours, &rows.build_identity());
    assert_eq!(made.code, 1);
    let check = |identity: &str| {
        let output = std::process::Command::new("secsipidx")
            .args(["-check", "-identity", identity, "-fpubkey"])
            .arg(lab.folder.join("cert.pem"))
            .args(["-expire", "300"])
            .output()
            .expect("secsipidx runs: make deps installs it");
        (output.status.success(), format!("{output:?}"))
    };
    let (verified, said) = check(&made.val);
    assert!(verified, "{said}");
    let (verified, said) = check(&made.val.replacen("eyJhbGci", "eyJhbGcj", 1));
    assert!(!verified, "a tampered one passes: {said}");
}
