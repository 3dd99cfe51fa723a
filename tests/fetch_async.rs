//! secsipid_fetch_async: calls wait for their certificates and no worker waits with them.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::fetching::signed;
use support::sip::uninterrupted;
use support::{Answer, Cfg, Http, Kamailio, Lab, Module, Reply, Request, UdpCall, wait_for};

const ROUTES: &str = r#"
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (is_method("ACK")) { t_check_trans(); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay_cancel(); } exit; }
    $var(fetched) = secsipid_fetch_async("CHECKED");
    append_to_reply("X-Fetched: $var(fetched)\r\n");
    route(CHECKED);
}
route[CHECKED] {
    xlog("L_NOTICE", "checked in $pp\n");
    $var(code) = secsipid_check_identity("");
    append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\nX-Orig: $secsipid(orig)\r\n");
    send_reply("200", "OK");
}
"#;

/// A call's time for a certificate whose server never answers.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than anything takes that waits for nothing, on a machine that does much else.
const SOON: Duration = Duration::from_secs(1);

struct World {
    lab: Lab,
    http: Http,
    kamailio: Kamailio,
}

impl World {
    fn new() -> Self {
        Self::with(|cfg| cfg)
    }

    /// Servers have more time than a slow one takes, even where the machine stands still meanwhile.
    fn with(change: impl FnOnce(Cfg) -> Cfg) -> Self {
        let cfg = change(Cfg::new(Module::Ours).tm().param("timeout", 10)).routes(ROUTES);
        Self { lab: Lab::new(), http: Http::start(), kamailio: Kamailio::start(&cfg) }
    }

    /// An INVITE whose certificate is at this path, which answers like that.
    fn invite(&self, path: &str, answer: impl Fn(Vec<u8>) -> Answer) -> Request {
        let x5u = &self.http.on(path, answer(self.lab.read("cert.pem").into()));
        Request::invite().header("Identity", signed(&self.lab, x5u))
    }

    fn send(&self, request: &Request) -> Reply {
        self.kamailio.udp().send(request)
    }

    /// Calls until one needs not wait; all that are answered by the script have this code.
    fn at_hand(&self, request: &Request, code: i64) {
        wait_for("the certificate at hand", Duration::from_secs(20), || {
            let reply = self.send(request);
            assert!(reply.status != 200 || reply.number("X-Code") == code, "{reply:?}");
            (reply.header("X-Fetched") == "1").then_some(())
        });
    }

    /// How often the script came to route CHECKED.
    fn checked(&self) -> usize {
        self.kamailio.log().matches("checked in").count()
    }
}

fn slow(time: Duration) -> impl Fn(Vec<u8>) -> Answer {
    move |body| Answer::Slow(time, body)
}

#[test]
fn a_call_waits_outside_and_goes_on_in_the_route() {
    let mut world = World::new();
    let processes = world.kamailio.processes();
    let request = world.invite("/slow.pem", slow(SOON));
    let call = UdpCall::new(world.kamailio.port, request.clone());
    call.send("INVITE");
    assert_eq!(call.next(TIMEOUT).expect("100 at once").status, 100);
    // The only worker is free meanwhile.
    assert_eq!(world.send(&Request::options()).status, 200);
    assert_eq!(world.checked(), 0, "{}", world.kamailio.log());
    let reply = call.last("INVITE");
    assert_eq!((reply.status, reply.number("X-Code")), (200, 1), "{reply:?}");
    assert_eq!(reply.header("X-Orig"), "12155551212");
    assert_eq!(reply.header("X-Fetched"), "", "the route alone has run");
    // From now on it is at hand, in the worker too.
    for _ in 0..3 {
        world.at_hand(&request, 1);
    }
    assert_eq!(world.http.count("/slow.pem"), 1);
    world.kamailio.assert_alive(&processes);
}

#[test]
fn what_needs_no_certificate_or_never_gets_one_does_not_wait() {
    let world = World::with(|cfg| cfg.param("timeout", 3));
    for (name, request) in [
        ("no Identity", Request::invite()),
        ("no token", Request::invite().header("Identity", "junk;info=<https://e.org/c.pem>")),
        ("no text", Request::invite().header("Identity", "\u{fffd}")),
    ] {
        let reply = world.send(&request);
        assert_eq!(reply.header("X-Fetched"), "1", "{name}: {reply:?}");
        assert!(reply.number("X-Code") < 0, "{name}: {reply:?}");
    }
    // One that is not there fails by what its server says; the second time that is known.
    let request = world.invite("/gone.pem", |_| Answer::Status(404));
    let reply = world.send(&request);
    assert_eq!((reply.number("X-Code"), reply.header("X-Fetched")), (-403, ""), "{reply:?}");
    world.at_hand(&request, -403);
    assert_eq!(world.http.count("/gone.pem"), 1);
    // One whose server says nothing fails when its time is over.
    let request = world.invite("/silent.pem", |_| Answer::Silent);
    let begun = Instant::now();
    let reply = world.send(&request);
    assert_eq!((reply.number("X-Code"), reply.header("X-Fetched")), (-402, ""), "{reply:?}");
    assert!(begun.elapsed() > TIMEOUT / 2 && begun.elapsed() < 2 * TIMEOUT);
    // Its failure is remembered: the next call may meet the end of the download, no more.
    let begun = Instant::now();
    world.at_hand(&request, -402);
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
}

#[test]
fn a_retransmission_runs_nothing_twice() {
    let mut world = World::new();
    let processes = world.kamailio.processes();
    let call = UdpCall::new(world.kamailio.port, world.invite("/slow.pem", slow(2 * SOON)));
    for _ in 0..3 {
        call.send("INVITE");
        assert_eq!(call.next(TIMEOUT).expect("100 for each").status, 100);
    }
    assert_eq!(call.last("INVITE").number("X-Code"), 1);
    call.send("ACK");
    assert_eq!(world.checked(), 1, "{}", world.kamailio.log());
    world.kamailio.assert_alive(&processes);
}

#[test]
fn a_call_may_be_canceled_while_it_waits() {
    let mut world = World::new();
    let processes = world.kamailio.processes();
    let request = world.invite("/slow.pem", slow(2 * SOON));
    let call = UdpCall::new(world.kamailio.port, request.clone());
    call.send("INVITE");
    assert_eq!(call.next(TIMEOUT).expect("100").status, 100);
    call.send("CANCEL");
    assert_eq!(call.last("CANCEL").status, 200);
    assert_eq!(call.last("INVITE").status, 487);
    call.send("ACK");
    world.at_hand(&request, 1);
    assert!(!world.kamailio.log().contains("CRITICAL"), "{}", world.kamailio.log());
    world.kamailio.assert_alive(&processes);
}

/// What was brought for a call before a flush is not used after it.
#[test]
fn a_flush_counts_for_a_call_that_goes_on() {
    let control = support::Folder::new();
    let socket = control.inside("ctl");
    // The route waits for us.
    let routes = ROUTES.replace(
        "route[CHECKED] {",
        r#"route[CHECKED] {
            xlog("L_NOTICE", "goes on in $pp\n");
            while ($shv(go) == 0) { usleep("50000"); }"#,
    );
    let cfg = Cfg::new(Module::Ours).tm().load("cfgutils").control(&socket);
    let cfg = cfg.line("modparam(\"pv\", \"shvset\", \"go=i:0\")");
    let cfg = cfg.param("timeout", 10).routes(&routes);
    let world = World { lab: Lab::new(), http: Http::start(), kamailio: Kamailio::start(&cfg) };
    // Both are ready at once: one goes on, the other is next.
    let request = world.invite("/c.pem", slow(2 * SOON));
    let calls = [(); 2].map(|()| UdpCall::new(world.kamailio.port, request.clone()));
    for call in &calls {
        call.send("INVITE");
        assert_eq!(call.next(TIMEOUT).expect("100").status, 100);
    }
    world.kamailio.wait_for_log("goes on in");
    world.http.on("/c.pem", Answer::Status(404));
    let shown = world.kamailio.kamcmd(&socket, &["secsipid.cache_flush"]);
    assert!(shown.contains("flushed: all"), "{shown}");
    world.kamailio.kamcmd(&socket, &["pv.shvSet", "go", "int", "1"]);
    for call in &calls {
        let reply = call.last("INVITE");
        assert_eq!((reply.number("X-Code"), reply.header("X-Fetched")), (-403, ""), "{reply:?}");
    }
}

#[test]
fn tm_may_give_up_before_the_certificate_comes() {
    let mut world = World::with(|cfg| cfg.line("modparam(\"tm\", \"fr_timer\", 300)"));
    let processes = world.kamailio.processes();
    let request = world.invite("/slow.pem", slow(2 * SOON));
    assert_eq!(world.send(&request).status, 408);
    world.at_hand(&request, 1);
    world.kamailio.assert_alive(&processes);
}

#[test]
fn kamailio_stops_while_calls_wait() {
    let world = World::new();
    let request = world.invite("/silent.pem", |_| Answer::Silent);
    let calls: Vec<_> =
        (0..50).map(|_| UdpCall::new(world.kamailio.port, request.clone())).collect();
    for call in &calls {
        call.send("INVITE");
        assert_eq!(call.next(TIMEOUT).expect("100").status, 100);
    }
    let begun = Instant::now();
    let log = world.kamailio.stop();
    assert!(begun.elapsed() < 10 * SOON, "it took {:?}", begun.elapsed());
    assert!(!log.contains("CRITICAL") && !log.contains("BUG"), "{log}");
}

/// The request at a called party, if there is one; it is answered with 200.
fn take_call(uas: &UdpSocket) -> Option<String> {
    let mut buffer = vec![0; 65_536];
    let (len, from) = uninterrupted(|| uas.recv_from(&mut buffer)).ok()?;
    let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let head = text.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
    let head: String = head.map(|line| format!("{line}\r\n")).collect();
    let answer = format!("SIP/2.0 200 OK\r\n{head}Content-Length: 0\r\n\r\n");
    uas.send_to(answer.as_bytes(), from).unwrap();
    Some(text)
}

/// With no room for another call that waits, the next one goes on at once, and as any other.
#[test]
fn a_call_that_can_not_be_handed_over_goes_on_and_gets_its_replies() {
    let uas = UdpSocket::bind("127.0.0.1:0").unwrap();
    uas.set_nonblocking(true).unwrap();
    let routes = format!(
        r#"
        request_route {{
            if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
            secsipid_fetch_async("CHECKED");
            $du = "sip:127.0.0.1:{}";
            t_relay();
        }}
        route[CHECKED] {{
            append_to_reply("X-Pid: $pp\r\n");
            send_reply("486", "Busy Here");
        }}
        "#,
        uas.local_addr().unwrap().port()
    );
    let cfg = Cfg::new(Module::Ours).tm().param("timeout", 3).routes(&routes);
    let mut world = World { lab: Lab::new(), http: Http::start(), kamailio: Kamailio::start(&cfg) };
    let processes = world.kamailio.processes();
    let reply = world.send(&world.invite("/gone.pem", |_| Answer::Status(404)));
    let async_worker = u32::try_from(reply.number("X-Pid")).unwrap();
    support::signal(async_worker, "STOP");
    let request = world.invite("/silent.pem", |_| Answer::Silent);
    let mut waiting = Vec::new();
    let call = loop {
        let call = UdpCall::new(world.kamailio.port, request.clone());
        call.send("INVITE");
        assert_eq!(call.next(TIMEOUT).expect("100").status, 100, "call {}", waiting.len());
        // The only worker is done with it then.
        assert_eq!(world.send(&Request::options()).status, 200);
        if take_call(&uas).is_some() {
            break call;
        }
        waiting.push(call);
        assert!(waiting.len() < 5000, "there is always room");
    };
    let reply = call.next(TIMEOUT);
    support::signal(async_worker, "CONT");
    assert_eq!(reply.expect("what the callee says").status, 200);
    world.kamailio.wait_for_log("too many calls wait already");
    world.kamailio.assert_alive(&processes);
}

/// 2 workers, 1,000 calls, each of which waits two seconds for its certificate: 50 certificates of
/// one host after the other's, so that none waits for another's place.
#[test]
fn a_thousand_calls_that_wait_cost_no_worker() {
    const CALLS: usize = 1000;
    const HOSTS: usize = 50;
    let wait = 2 * SOON;
    let mut world = World::with(|cfg| cfg.workers(2));
    let processes = world.kamailio.processes();
    let hosts: Vec<_> = (0..HOSTS).map(|_| Http::start()).collect();
    let requests: Vec<_> = hosts
        .into_iter()
        .map(|host| {
            let old = std::mem::replace(&mut world.http, host);
            let request = world.invite("/slow.pem", slow(wait));
            (request, std::mem::replace(&mut world.http, old))
        })
        .collect();
    let begun = Instant::now();
    let calls: Vec<_> = (0..CALLS)
        .map(|n| {
            let call = UdpCall::new(world.kamailio.port, requests[n % HOSTS].0.clone());
            call.send("INVITE");
            // Kamailio's socket takes no thousand messages at once.
            assert_eq!(call.next(TIMEOUT).expect("100").status, 100, "call {n}");
            call
        })
        .collect();
    let sent = begun.elapsed();
    for (n, call) in calls.iter().enumerate() {
        let reply = call.last("INVITE");
        assert_eq!(reply.number("X-Code"), 1, "call {n}: {reply:?}");
        call.send("ACK");
    }
    let took = begun.elapsed();
    println!("sent in {sent:?}, all answered in {took:?}");
    // Workers that waited, each for one host at a time, would take 50.
    let most = sent + Duration::from_secs(5);
    assert!(took > wait && took < most, "sent {sent:?}, answered {took:?}");
    for (_, host) in &requests {
        assert_eq!(host.count("/slow.pem"), 1);
    }
    world.kamailio.assert_alive(&processes);
}

const LUA: &str = r#"
function ksr_request_route()
    if KSR.is_method("OPTIONS") then KSR.sl.sl_send_reply(200, "OK") return end
    if KSR.secsipid.secsipid_fetch_async("ksr_checked") == 0 then return end
    KSR.hdr.append_to_reply("X-Fetched: 1\r\n")
    ksr_checked()
end
function ksr_checked()
    local code = KSR.secsipid.secsipid_check_identity("")
    KSR.hdr.append_to_reply("X-Code: " .. code .. "\r\n")
    KSR.sl.send_reply(200, "OK")
end
"#;

const PYTHON: &str = r#"
import KSR

def mod_init():
    return Script()

class Script:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        if KSR.is_method("OPTIONS"):
            KSR.sl.sl_send_reply(200, "OK")
            return 1
        if KSR.secsipid.secsipid_fetch_async("ksr_checked") == 0:
            return 1
        KSR.hdr.append_to_reply("X-Fetched: 1\r\n")
        return self.ksr_checked(msg)

    def ksr_checked(self, msg):
        code = KSR.secsipid.secsipid_check_identity("")
        KSR.hdr.append_to_reply(f"X-Code: {code}\r\n")
        KSR.sl.send_reply(200, "OK")
        return 1
"#;

#[test]
fn kemi_scripts_go_on_in_a_function() {
    for (module, engine, name, text) in
        [("app_lua", "lua", "stir.lua", LUA), ("app_python3", "python", "stir.py", PYTHON)]
    {
        let folder = support::Folder::new();
        let script = folder.write(name, text);
        let load = format!("modparam(\"{module}\", \"load\", \"{script}\")");
        let cfg = Cfg::new(Module::Ours).tm().load(module).line(&load);
        let cfg = cfg.param("timeout", 3).routes(&format!("cfgengine \"{engine}\"\n"));
        let mut world =
            World { lab: Lab::new(), http: Http::start(), kamailio: Kamailio::start(&cfg) };
        let processes = world.kamailio.processes();
        let request = world.invite("/slow.pem", slow(SOON / 2));
        let reply = world.send(&request);
        assert_eq!(reply.number("X-Code"), 1, "{engine}: {reply:?}");
        assert_eq!(reply.header("X-Fetched"), "", "{engine}: {reply:?}");
        world.at_hand(&request, 1);
        world.kamailio.assert_alive(&processes);
    }
}

const BRANCH: &str = r#"
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    t_on_branch("OUT");
    $du = "sip:127.0.0.1:PORT";
    t_relay();
}
branch_route[OUT] { route(WAIT); }
route[WAIT] {
    $var(fetched) = secsipid_fetch_async("CHECKED");
    append_hf("X-Fetched: $var(fetched)\r\n");
}
route[CHECKED] { exit; }
"#;

const LUA_BRANCH: &str = r#"
function ksr_request_route()
    if KSR.is_method("OPTIONS") then KSR.sl.sl_send_reply(200, "OK") return end
    KSR.tm.t_on_branch("ksr_out")
    KSR.pv.sets("$du", "sip:127.0.0.1:PORT")
    KSR.tm.t_relay()
end
function ksr_out()
    KSR.hdr.append("X-Fetched: " .. KSR.secsipid.secsipid_fetch_async("ksr_checked") .. "\r\n")
end
"#;

/// In a branch there is nothing to wait with: the call goes on, and the script is told.
#[test]
fn a_branch_can_not_wait() {
    let uas = UdpSocket::bind("127.0.0.1:0").unwrap();
    uas.set_read_timeout(Some(TIMEOUT)).unwrap();
    let port = uas.local_addr().unwrap().port().to_string();
    let folder = support::Folder::new();
    let script = folder.write("stir.lua", LUA_BRANCH.replace("PORT", &port));
    let lua = Cfg::new(Module::Ours).tm().load("app_lua");
    let lua = lua.line(&format!("modparam(\"app_lua\", \"load\", \"{script}\")"));
    let native = Cfg::new(Module::Ours).tm().routes(&BRANCH.replace("PORT", &port));
    for cfg in [native, lua.routes("cfgengine \"lua\"\n")] {
        let mut world =
            World { lab: Lab::new(), http: Http::start(), kamailio: Kamailio::start(&cfg) };
        let processes = world.kamailio.processes();
        let request = world.invite("/silent.pem", |_| Answer::Silent);
        let call = UdpCall::new(world.kamailio.port, request);
        call.send("INVITE");
        let arrived = take_call(&uas).expect("the call");
        assert!(arrived.contains("X-Fetched: -1\r\n"), "{arrived}");
        assert_eq!(call.last("INVITE").status, 200);
        world.kamailio.wait_for_log("works in request_route and failure_route");
        world.kamailio.assert_alive(&processes);
    }
}

#[test]
fn where_it_is_of_no_use_is_said_at_start() {
    for block in ["branch_route[X]", "onsend_route", "reply_route", "onreply_route[X]"] {
        let routes = format!("{ROUTES}\n{block} {{ secsipid_fetch_async(\"CHECKED\"); }}\n");
        let log = Kamailio::refused(&Cfg::new(Module::Ours).tm().routes(&routes));
        assert!(log.contains("Command cannot be used in the block"), "{block}: {log}");
    }
    let routes = format!("{ROUTES}\nfailure_route[X] {{ secsipid_fetch_async(\"CHECKED\"); }}\n");
    let (passes, said) = Kamailio::check(&Cfg::new(Module::Ours).tm().routes(&routes));
    assert!(passes, "{said}");
}

#[test]
fn what_it_needs_is_said_at_start() {
    let cfg = || Cfg::new(Module::Ours).routes(ROUTES);
    for (cfg, says) in [
        // Without tm nothing of tm is in the script either.
        (
            Cfg::new(Module::Ours)
                .routes("request_route { secsipid_fetch_async(\"X\"); }\nroute[X] { exit; }\n"),
            "needs the tm module",
        ),
        (cfg().tm().param("fetchers", 0), "needs modparam fetchers and async_workers"),
        (cfg().tm().param("async_workers", 0), "needs modparam fetchers and async_workers"),
        (cfg().tm().param("async_workers", 65), "async_workers 65 is not from 0 to 64"),
        (
            cfg().tm().routes("request_route { secsipid_fetch_async(\"ELSEWHERE\"); }\n"),
            "names a route that is not there: route[ELSEWHERE]",
        ),
    ] {
        let log = Kamailio::refused(&cfg);
        assert!(log.contains(says), "{says}: {log}");
    }
}
