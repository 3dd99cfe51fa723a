//! docs/conformance.md names a test for each rule, or says that and why the rule is not held. Here:
//! that each test it names is there.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with tests, from the project's own.
const FOLDERS: &[&str] = &["tests", "src", "crates"];
/// The macro of tests/service.rs makes a test of each of these tables.
const TABLE: &str = ": rows_";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust sources by file stem; files of one stem are put together.
fn sources() -> HashMap<String, String> {
    let mut found: HashMap<String, String> = HashMap::new();
    let mut left: Vec<PathBuf> = FOLDERS.iter().map(|folder| project().join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
                found.entry(stem).or_default().push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The tests of a source: functions under `#[test]`, and the tables of tests/service.rs with the
/// file that holds their rows.
fn tests(source: &str) -> HashMap<&str, Option<&str>> {
    let mut found = HashMap::new();
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line == "#[test]" {
            let function = lines.find_map(|line| line.strip_prefix("fn "));
            found.insert(function.unwrap_or_default().split('(').next().unwrap(), None);
        } else if let Some((test, rows)) = line.split_once(TABLE) {
            found.insert(test, Some(rows.trim_end_matches(',')));
        }
    }
    found
}

/// The rows of all tables of the document: line number and cells.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let heading = cells[0] == "§" || cells[0].starts_with("--");
        if !heading {
            found.push((at + 1, cells));
        }
    }
    found
}

/// What is wrong with the last cell of a row: `file::test` [row; row], or not done and why.
fn wrong(cell: &str, sources: &HashMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named = 0;
    let mut parts = cell.split('`').skip(1);
    while let (Some(name), Some(behind)) = (parts.next(), parts.next()) {
        let Some((file, test)) = name.split_once("::") else { continue };
        named += 1;
        let Some(table) = sources.get(file).and_then(|source| tests(source).remove(test)) else {
            wrong.push(format!("there is no test {name}"));
            continue;
        };
        let Some((list, _)) = behind.trim_start().strip_prefix('[').and_then(|b| b.split_once(']'))
        else {
            continue;
        };
        let held = match table {
            Some(rows) => sources.get(&format!("rows_{rows}")).unwrap(),
            None => &sources[file],
        };
        for row in list.split(';').map(str::trim) {
            if !held.contains(&format!("\"{row}\"")) {
                wrong.push(format!("{name} has no row {row:?}"));
            }
        }
    }
    let reason = cell.split_once("not done: ").map_or("", |(_, reason)| reason);
    if named == 0 && reason.len() < 10 {
        wrong.push("it names no test, and does not say \"not done: why\"".into());
    }
    wrong
}

#[test]
fn every_rule_has_its_test_or_says_not_done() {
    let text = fs::read_to_string(project().join("docs/conformance.md")).unwrap();
    let sources = sources();
    let rows = rows(&text);
    let mut all = Vec::new();
    let mut rules = HashSet::new();
    for (line, cells) in &rows {
        if cells.len() != 4 {
            all.push(format!("line {line}: {} cells, not 4", cells.len()));
            continue;
        }
        if !rules.insert((cells[0], cells[2])) {
            all.push(format!("line {line}: the rule stands twice"));
        }
        all.extend(wrong(cells[3], &sources).into_iter().map(|why| format!("line {line}: {why}")));
    }
    assert!(all.is_empty(), "docs/conformance.md:\n{}", all.join("\n"));
    let open = rows.iter().filter(|(_, cells)| cells[3].starts_with("not done")).count();
    println!("{} rules, {open} not done", rows.len());
    assert!(rows.len() >= 80, "{} rules: a table is not read", rows.len());
}

/// The check itself finds what it is there for.
#[test]
fn what_is_not_there_is_found() {
    let sources = sources();
    let found = |cell: &str| wrong(cell, &sources).join("; ");
    for good in [
        "`codes::one_thing_wrong_one_code`",
        "`service::calls_that_pass` [plain; iat 60 s old], `party::parties_have_one_form`",
        "not done: nobody has asked for it",
    ] {
        assert_eq!(found(good), "", "{good}");
    }
    for (bad, why) in [
        ("", "names no test"),
        ("not done: ", "names no test"),
        ("not done", "names no test"),
        ("`iat`", "names no test"),
        ("`codes::judge`", "no test codes::judge"),
        ("`nothing::at_all`", "no test nothing::at_all"),
        ("`codes::one_thing_wrong_one_code`, `codes::gone`", "no test codes::gone"),
        ("`service::calls_that_pass` [plain; plane]", "no row \"plane\""),
        ("`service::diversions` [plain]", "no row \"plain\""),
        ("not done: nobody has asked for it, `codes::gone`", "no test codes::gone"),
    ] {
        assert!(found(bad).contains(why), "{bad}: {}", found(bad));
    }
}
