//! `inspect` on a terminal, and of captures as tcpdump prints them.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use support::{Folder, OURS};

fn sign(folder: &Folder, orig: &str, dest: &str) -> String {
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u https://e.org/1234.pem -a A {orig} {dest}");
    folder.out(&line).trim().to_owned()
}

/// What a person sees who runs our tool in a terminal.
fn on_terminal(folder: &Folder, line: &str, env: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{OURS} {line}"), "/dev/null"]).current_dir(&folder.0);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// All lines but the one that says how old the token is, which changes as one looks.
fn ageless(shown: &str) -> Vec<&str> {
    shown.lines().filter(|line| !line.contains(" s ago;")).collect()
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let folder = Folder::lab();
    folder.write("id", sign(&folder, "12155550100", "12025550100"));
    let inspect = "inspect --key lab/spc-1234.pem id";
    let seen = on_terminal(&folder, inspect, &[]);
    for part in ["\x1b[1mrules\x1b[0m", "\x1b[32mpass\x1b[0m", "\x1b[1;32mvalid\x1b[0m"] {
        assert!(seen.contains(part), "{part:?} is not in {seen:?}");
    }
    // An empty NO_COLOR says nothing (no-color.org).
    assert_eq!(ageless(&on_terminal(&folder, inspect, &[("NO_COLOR", "")])), ageless(&seen));
    let wrong = on_terminal(&folder, "inspect --key lab/spc-5678.pem id", &[]);
    assert!(wrong.contains("\x1b[31mFAIL\x1b[0m") && wrong.contains("\x1b[1;31mnot valid"));
    let checked = on_terminal(&folder, "check --key lab/spc-1234.pem id", &[]);
    assert_eq!(checked, "\x1b[1;32mvalid\x1b[0m\r\n");

    // The same without colour: where it is refused, and in a file.
    let plain = folder.out(inspect);
    assert!(plain.contains("pass signature verifies") && !plain.contains('\x1b'), "{plain:?}");
    for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert_eq!(ageless(&on_terminal(&folder, inspect, &[env])), ageless(&plain), "{env:?}");
    }
    // JSON is for programs, wherever it is printed.
    let json = on_terminal(&folder, &format!("{inspect} --json"), &[]);
    let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(shown[0]["verdict"]["valid"], true);
}

/// A capture of raw IPv4 (LINKTYPE_RAW) with these SIP messages over UDP.
fn capture(messages: &[String]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 2 | 4 << 16, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (seconds, message) in (1_700_000_000u32..).zip(messages) {
        let udp = u16::try_from(8 + message.len()).unwrap();
        let all = 20 + udp;
        for word in [seconds, 0, all.into(), all.into()] {
            file.extend(word.to_le_bytes());
        }
        // IPv4 without options, UDP, no checksums: 127.0.0.1:5060 to 127.0.0.2:5060.
        file.extend([0x45, 0]);
        file.extend(all.to_be_bytes());
        file.extend([0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        file.extend([0x13, 0xc4, 0x13, 0xc4]);
        file.extend(udp.to_be_bytes());
        file.extend([0, 0]);
        file.extend(message.as_bytes());
    }
    file
}

/// As tcpdump prints it.
fn tcpdump(flags: &str, capture: &[u8]) -> String {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-n", flags, "-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("tcpdump (make deps installs it): {e}"));
    tcpdump.stdin.take().unwrap().write_all(capture).unwrap();
    String::from_utf8(tcpdump.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn each_call_of_a_capture_is_judged_by_its_own_message() {
    let folder = Folder::lab();
    let invite = |orig: &str, dest: &str, to: &str| {
        let identity = sign(&folder, orig, dest);
        format!(
            "INVITE sip:+{to}@b.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060\r\nFrom: <sip:+{orig}@a.example>;tag=1\r\nTo: <sip:+{to}@b.example>\r\nIdentity: {identity}\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        )
    };
    let first = invite("12155550100", "12025550100", "12025550100");
    let second = invite("12155550101", "12025550101", "12025550101");
    let third = invite("12155550102", "12025550102", "12025550199");
    let busy = "SIP/2.0 486 Busy Here\r\nFrom: <sip:+12155550100@a.example>;tag=1\r\nTo: <sip:+12025550100@b.example>;tag=2\r\n\r\n";
    // The second is sent again.
    let capture = capture(&[first, busy.into(), second.clone(), second, third]);
    for flags in ["-A", "-vA"] {
        let text = tcpdump(flags, &capture);
        assert!(text.contains("\nIdentity: eyJ"), "{text}");
        folder.write("text", &text);
        let shown = folder.out("inspect --json --key lab/spc-1234.pem text");
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let shown = shown.as_array().unwrap();
        let callers: Vec<_> =
            shown.iter().map(|one| one["payload"]["orig"]["tn"].as_str().unwrap()).collect();
        assert_eq!(callers, ["12155550100", "12155550101", "12155550102"], "{flags}");
        for (n, one) in shown.iter().enumerate() {
            let failed: Vec<_> = one["rules"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|rule| rule["outcome"] == "fail")
                .map(|rule| rule["text"].as_str().unwrap())
                .collect();
            let expected = usize::from(n == 2);
            assert_eq!(failed.len(), expected, "{flags} {callers:?}: {failed:?}");
            let says = |number: &str| failed.iter().all(|why| why.contains(number));
            assert!(says("12025550102") && says("12025550199"), "{flags}: {failed:?}");
        }
    }
    // More calls than one message may have headers: none is left out.
    let many: Vec<_> = (0..12).map(|n| invite(&format!("121555501{n:02}"), "1", "1")).collect();
    folder.write("text", many.concat());
    let text = folder.out("inspect --key lab/spc-1234.pem text");
    assert_eq!(text.matches("\nvalid\n").count(), 12, "{text}");
}

#[test]
fn a_header_names_no_file_and_a_key_no_pipe() {
    let folder = Folder::lab();
    assert!(folder.run("mkfifo", "fifo").status.success());
    let identity = sign(&folder, "12155550100", "12025550100");
    folder.write("id", &identity);
    let certificate = folder.join("lab/spc-1234.pem").display().to_string();
    let inspect = |key: &str| {
        // A pipe that is opened hangs; what the header says is wrong before any download.
        let line = format!("20 {OURS} inspect --json{key} id");
        let output = folder.run("timeout", &line);
        assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rules = shown[0]["rules"].as_array().unwrap();
        let had = rules.iter().find(|rule| rule["rule"] == "certificate can be had").unwrap();
        assert_eq!(had["outcome"], "fail", "{had}");
        had["text"].as_str().unwrap().to_owned()
    };
    let fifo = folder.join("fifo").display().to_string();
    for info in [&certificate, &format!("file://localhost{certificate}"), &fifo, "-", ""] {
        folder.write("id", identity.replace("https://e.org/1234.pem", info));
        let why = inspect("");
        assert!(why.ends_with("(-401)"), "{info}: {why}");
    }
    assert!(inspect(" --key fifo").contains("not a regular file"));
}
