//! Policy shaken, case by case: each differs from a call that passes in a single thing, and names
//! the code, SIP response, verstat and step that come of it.
#![allow(clippy::unwrap_used)]

mod pki;
mod service {
    pub mod expected;
    pub mod rows_authority;
    pub mod rows_beside;
    pub mod rows_call;
    pub mod rows_certificate;
    pub mod rows_claims;
    pub mod rows_compat;
    pub mod rows_div;
    pub mod rows_good;
    pub mod rows_identity;
    pub mod rows_lists;
    pub mod rows_reason;
    pub mod rows_replay;
    pub mod rows_revocation;
    pub mod rows_trust;
    pub mod rows_x5u;
    pub mod world;
}

use service::expected::{Expected, Row};
use service::*;
use std::collections::HashSet;
use stir::Replay;
use stir::profile::RULES;

/// One test for each table, and all of their rows.
macro_rules! tables {
    ($($test:ident: $table:ident,)*) => {
        $(#[test]
        fn $test() {
            let wrong: Vec<String> = $table::all().iter().filter_map(judge).collect();
            assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        })*

        fn rows() -> Vec<Row> {
            [$($table::all(),)*].into_iter().flatten().collect()
        }
    };
}

tables! {
    calls_that_pass: rows_good,
    identity_header_fields: rows_identity,
    jose_headers_claims_and_freshness: rows_claims,
    urls_and_what_is_there: rows_x5u,
    certificates_chains_and_profile: rows_certificate,
    revocation: rows_revocation,
    what_a_certificate_may_sign: rows_authority,
    callers_and_called: rows_call,
    diversions: rows_div,
    trust_anchors_and_intermediates: rows_trust,
    signed_lists: rows_lists,
    compat_stays_what_it_is: rows_compat,
}

/// What is wrong with a row, if anything.
fn judge(row: &Row) -> Option<String> {
    let mut world = (row.base)();
    let before = world.run(&format!("{} before", row.name));
    if let Err(error) = before.report.result {
        return Some(format!("{}: what it starts from does not pass: {error}", row.name));
    }
    (row.change)(&mut world);
    let outcome = world.run(row.name);
    let found = outcome.found();
    if found != row.expected {
        let why = outcome.report.result.err().map(|e| e.to_string());
        return Some(format!(
            "{}:\n  expected {:?}\n  found    {found:?}\n  error    {why:?}",
            row.name, row.expected
        ));
    }
    let lasts = outcome.report.certificate().is_some_and(|c| c.not_after() > pki::NOW);
    let passed = outcome.report.result.is_ok();
    let message = outcome.report.result.err().map(|e| e.message().to_owned()).unwrap_or_default();
    if !message.contains(row.says) {
        return Some(format!("{}: {message:?} does not say {:?}", row.name, row.says));
    }
    let [before, after] = &outcome.missing;
    if let Expected::Refused(refused) = &row.expected
        && world.tokens.len() == 1
        && expected::BEFORE_FETCHING.contains(&refused.step)
        && !(outcome.fetched.is_empty() && before.is_empty())
    {
        return Some(format!("{}: {:?}, {before:?} for nothing", row.name, outcome.fetched));
    }
    // Who fetches what is missing beforehand has the check wait for nothing.
    if let Some(url) = outcome.fetched.iter().find(|url| !before.contains(url)) {
        return Some(format!("{}: {url} was not among the missing {before:?}", row.name));
    }
    if passed && lasts && !after.is_empty() {
        return Some(format!("{}: {after:?} missing after it was checked", row.name));
    }
    None
}

#[test]
fn tokens_that_come_again() {
    for row in rows_replay::all() {
        for replay in [Replay::Off, Replay::Log, Replay::Refuse] {
            let [first, second] = rows_replay::codes(&row, replay);
            let refused = row.is_replay && replay == Replay::Refuse;
            assert_eq!(second, if refused { -504 } else { 1 }, "{} {replay:?}", row.name);
            assert_eq!(first == 1, !row.name.contains("did not pass"), "{}", row.name);
        }
    }
}

#[test]
fn at_least_150_negative_cases_each_named_once() {
    let rows = rows();
    let mut names = HashSet::new();
    for row in &rows {
        // As folders have it.
        let name = row.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        assert!(names.insert(name), "{} stands twice", row.name);
    }
    let good = rows.iter().filter(|row| matches!(row.expected, Expected::Passed { .. })).count();
    let bad = rows.len() - good;
    assert!(bad >= 150, "{bad} negative cases");
    assert!(good >= 40, "{good} positive cases");
    println!("{bad} negative and {good} positive cases");
    for rule in RULES {
        let prefix = format!("profile {rule}").replace([' ', '-'], "_");
        assert!(names.iter().any(|name| name.starts_with(&prefix)), "no case for rule {rule}");
    }
}
