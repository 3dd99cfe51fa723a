//! The module as part of Kamailio's processes: start, workers, threads, restart.
#![allow(clippy::unwrap_used)]

mod support;

use support::kamailio::{free_port, modules_folder, our_module};
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Request, Sip};

/// Signs, checks by file and, if a URL is given, by download.
fn cfg(lab: &Lab, x5u: Option<&str>) -> Cfg {
    let by_url = if x5u.is_some() { "secsipid_check_identity(\"\")" } else { "1" };
    Cfg::new(Module::Ours).route(&format!(
        r#"
        $var(sign) = secsipid_add_identity("$fU", "$rU", "A", "", "{x5u}", "{key}");
        msg_apply_changes();
        $var(file) = secsipid_check_identity("{cert}");
        $var(url) = {by_url};
        append_to_reply("X-Sign: $var(sign)\r\nX-File: $var(file)\r\nX-Url: $var(url)\r\nX-Pid: $pp\r\nX-Error: $secsipid(error)\r\n");
        sl_send_reply("200", "OK");
        "#,
        x5u = x5u.unwrap_or("https://a/b"),
        key = lab.path("key.pem"),
        cert = lab.path("cert.pem"),
    ))
}

/// A call that is signed and checked; the process that did it.
fn call(sip: &Sip) -> u32 {
    let reply = sip.send(&Request::invite());
    assert_eq!(
        (reply.number("X-Sign"), reply.number("X-File"), reply.number("X-Url")),
        (1, 1, 1),
        "{reply:?}"
    );
    reply.number("X-Pid").try_into().unwrap()
}

fn threads(process: u32) -> Vec<u32> {
    std::fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

/// The signals that a thread has blocked.
fn blocked(process: u32, thread: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

fn assert_no_crash(log: &str) {
    for word in ["panic", "signal 11", "signal 6", "core dump", "BUG"] {
        assert!(!log.contains(word), "{word:?} in:\n{log}");
    }
}

/// That an error's line says this.
fn assert_said(log: &str, part: &str) {
    let error = |line: &str| line.contains("ERROR") || line.contains("CRITICAL");
    let said = log.lines().any(|line| line.contains(part) && error(line));
    assert!(said, "no error says {part:?}:\n{log}");
}

#[test]
fn all_workers_serve_udp_and_tcp_and_a_restart() {
    let (lab, http) = (Lab::new(), Http::start());
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let cfg = cfg(&lab, Some(&x5u)).workers(4).tcp();
    let mut folder = Folder::new();
    for _ in 0..2 {
        let mut kamailio = Kamailio::start_in(folder, &cfg);
        let processes = kamailio.processes();
        let port = kamailio.port;
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let sip = if n % 2 == 0 { Sip::udp(port) } else { Sip::tcp(port) };
                std::thread::spawn(move || (0..25).map(|_| call(&sip)).collect::<Vec<_>>())
            })
            .collect();
        let served: Vec<Vec<u32>> =
            clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(served.iter().map(Vec::len).sum::<usize>(), 200);
        let over = |tcp: usize| {
            let mut pids: Vec<_> = served.iter().skip(tcp).step_by(2).flatten().collect();
            pids.sort_unstable();
            pids.dedup();
            pids
        };
        assert!(over(0).iter().all(|pid| !over(1).contains(pid)), "UDP and TCP share no process");
        assert!(over(0).len() > 1, "one of four workers took all calls over UDP");
        kamailio.assert_alive(&processes);
        folder = kamailio.stop_for_restart();
        assert_no_crash(&std::fs::read_to_string(folder.join("log")).unwrap());
    }
}

#[test]
fn a_worker_that_downloads_nothing_has_one_thread() {
    let lab = Lab::new();
    let kamailio = Kamailio::start(&cfg(&lab, None).workers(2).tcp());
    for _ in 0..20 {
        call(&kamailio.udp());
        call(&kamailio.tcp());
    }
    for process in kamailio.processes() {
        assert_eq!(threads(process), [process]);
    }
}

/// Kamailio handles signals in its main threads: those that a download starts must take none.
#[test]
fn threads_of_downloads_take_no_signals() {
    // All that can be blocked: not KILL (9) and STOP (19), nor the two that the C library keeps.
    const ALL: u64 = !(1 << 8 | 1 << 18 | 1 << 31 | 1 << 32);
    let (lab, http) = (Lab::new(), Http::start());
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    // By name: looking it up takes a thread more.
    let cfg = cfg(&lab, Some(&x5u.replace("127.0.0.1", "localhost"))).param("fetchers", 0);
    let kamailio = Kamailio::start(&cfg);
    let before: Vec<_> =
        kamailio.processes().iter().map(|pid| (*pid, blocked(*pid, *pid))).collect();
    let worker = call(&kamailio.udp());
    let started: Vec<u32> = threads(worker).into_iter().filter(|id| *id != worker).collect();
    assert!(!started.is_empty(), "the download started no thread");
    for thread in started {
        let mask = blocked(worker, thread);
        assert_eq!(mask & ALL, ALL, "thread {thread} has {mask:016x} blocked");
    }
    for (process, mask) in before {
        assert_eq!(blocked(process, process), mask, "the mask of process {process} changed");
        if process != worker {
            assert_eq!(threads(process), [process]);
        }
    }
    // Signals still reach the main thread: it stops as it is told.
    assert_no_crash(&kamailio.stop());
}

/// `kamailio -c` reads the cfg, and so finds what is wrong with each line for itself.
#[test]
fn a_check_of_the_cfg_names_what_is_wrong() {
    let lab = Lab::new();
    let ours = || cfg(&lab, None);
    let (passed, said) = Kamailio::check(
        &ours()
            .param("expire", 600)
            .param("x5u", "https://certs.example.com/a.pem")
            .param("modproc", "secsipid_proc.so")
            .param("libopt", "CertVerify=5")
            .param("libopt", format!("CertCAFile={}", lab.path("ca.pem"))),
    );
    assert!(passed, "{said}");
    for (cfg, part) in [
        (ours().param("expire", -1), "expire is -1"),
        (ours().param("clock_skew", -1), "clock_skew is -1"),
        (ours().param("cache_expire", -1), "cache_expire is -1"),
        (ours().param("cache_size", -1), "cache_size is -1"),
        (ours().param("timeout", -1), "timeout is -1"),
        (ours().param("libopt", "CertVerfy=4"), "libopt \"CertVerfy\" is unknown"),
        (ours().param("libopt", "CertVerify"), "libopt \"CertVerify\" is no name=value"),
        (ours().param("libopt", "CertVerify=4x"), "CertVerify=\"4x\" is no number"),
        (ours().param("libopt", "CacheExpires=-1"), "CacheExpires=\"-1\" is no number"),
        (ours().param("expire", "soon"), "<expire>"),
        (ours().param("x5u", 1), "<x5u>"),
        (ours().param("no_such_parameter", 1), "no_such_parameter"),
        (Cfg::new(Module::Ours).route("$var(a) = $secsipid(nothing);"), "$secsipid(nothing)"),
        (Cfg::new(Module::Ours).route("secsipid_check_identity();"), "secsipid_check_identity"),
    ] {
        let (passed, said) = Kamailio::check(&cfg);
        assert!(!passed, "{part}: kamailio -c passes:\n{said}");
        assert_said(&said, part);
        assert_no_crash(&said);
    }
}

/// What only a start finds, because it takes more than one line of the cfg, or the machine.
#[test]
fn a_start_names_what_is_wrong() {
    let lab = Lab::new();
    let ours = || cfg(&lab, None);
    for (cfg, part) in [
        (ours().param("timeout", 0), "timeout 0"),
        (ours().param("cache_size", 0), "cache_size 0"),
        (ours().param("x5u", "ftp://a/b"), "x5u \"ftp://a/b\""),
        (ours().param("cache_dir", "/nonexistent"), "cache_dir \"/nonexistent\" is no folder"),
        (ours().param("cache_dir", lab.path("ca.pem")), "ca.pem\" is no folder"),
        (ours().param("http_ca_file", lab.path("key.pem")), "http_ca_file"),
        (ours().param("libopt", "CertVerify=4"), "CertVerify asks for CertCAFile"),
        (ours().param("cert_path", "/nonexistent"), "cert_path \"/nonexistent\""),
        (ours().param("cert_path", lab.path("key.pem")), "key.pem\": there is no PEM certificate"),
    ] {
        assert_said(&Kamailio::refused(&cfg), part);
    }
}

/// A cfg for the stock module, as the project's purpose states it; nothing of what it names is there.
#[test]
fn a_cfg_for_the_stock_module_runs_as_it_stands() {
    const CFG: &str = r#"
loadmodule "secsipid.so"
modparam("secsipid", "expire", 600)
modparam("secsipid", "timeout", 5)
request_route {
  if(secsipid_check_identity("/secsipid/$si/cert.pem")) { $var(a) = 1; }
  append_to_reply("X-Path: $secsipid(ret)\r\nX-Path-Error: $secsipid(error)\r\n");
  if(secsipid_check_identity("")) { $var(b) = 1; }
  append_to_reply("X-Info: $secsipid(ret)\r\n");
  secsipid_add_identity("$fU", "$rU", "A", "", "http://kamailio.org/stir/$rd/cert.pem", "/secsipid/$rd/key.pem");
  append_to_reply("X-Add: $secsipid(ret)\r\nX-Add-Error: $secsipid(error)\r\n");
  append_to_reply("X-Passed: $var(a) $var(b)\r\n");
  sl_send_reply("200", "OK");
}
"#;
    let (lab, http) = (Lab::new(), Http::start());
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let signer = Kamailio::start(&Cfg::new(Module::Ours).route(&format!(
        r#"
        secsipid_build_identity("$fU", "$rU", "A", "", "{x5u}", "{}");
        append_to_reply("X-Val: $secsipid(val)\r\n");
        sl_send_reply("200", "OK");
        "#,
        lab.path("key.pem")
    )));
    let identity = signer.udp().send(&Request::invite()).header("X-Val").to_owned();
    let folder = Folder::new();
    std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
    let port = free_port();
    let head = format!(
        "#!KAMAILIO\ndebug=2\nlog_stderror=yes\nchildren=2\ndisable_tcp=yes\nlisten=udp:127.0.0.1:{port}\nmpath=\"{}:{}\"\n{}",
        folder.inside(""),
        modules_folder(),
        ["pv", "sl", "textops"].map(|name| format!("loadmodule \"{name}.so\"\n")).concat()
    );
    let mut kamailio = Kamailio::start_text(folder, port, &(head + CFG), &[]);
    let processes = kamailio.processes();
    for _ in 0..4 {
        let reply = kamailio.udp().send(&Request::invite().header("Identity", identity.as_str()));
        let codes = ["X-Path", "X-Info", "X-Add"].map(|name| reply.number(name));
        assert_eq!(codes, [-451, 1, -451], "{reply:?}");
        assert_eq!(reply.header("X-Passed"), "0 1", "{reply:?}");
        let path = reply.header("X-Path-Error");
        assert!(path.contains("/secsipid/127.0.0.1/cert.pem"), "{path}");
        let add = reply.header("X-Add-Error");
        assert!(add.contains("/secsipid/example.org/key.pem"), "{add}");
    }
    kamailio.assert_alive(&processes);
}

/// Kamailio's structures differ between versions and builds: it must not take a module of another.
#[test]
fn a_module_of_another_build_is_refused() {
    let octets = std::fs::read(our_module()).unwrap();
    // As Kamailio has them: "kamailio 5.6.3 (x86_64/linux)", and what it was built with.
    for (start, said) in [("kamailio ", "module version"), ("USE_TCP, ", "module compile flags")] {
        let found: Vec<usize> = octets
            .windows(start.len() + 1)
            .enumerate()
            .filter(|(_, window)| {
                let (head, next) = window.split_at(start.len());
                head == start.as_bytes() && (start == "USE_TCP, " || next[0].is_ascii_digit())
            })
            .map(|(at, _)| at)
            .collect();
        let [at] = found[..] else { panic!("{start:?} is in the module {} times", found.len()) };
        let mut other = octets.clone();
        // One character: a version that is none, a flag that is none.
        other[at + start.len()] = b'9';
        let folder = Folder::new();
        let path = folder.write("secsipid.so", other);
        let cfg = Cfg::new(Module::Without)
            .line(&format!("loadmodule \"{path}\""))
            .route("sl_send_reply(\"200\", \"OK\");");
        let log = Kamailio::refused(&cfg);
        assert!(log.contains(said) && log.contains(&path), "{said:?} is not in:\n{log}");
    }
}
