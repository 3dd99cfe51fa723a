//! Calls that wait for certificates while no process waits with them.
#![allow(clippy::unwrap_used)]

mod support;

use fetcher::{Address, Handover, RemoteFetcher, Resumed, Suspended, Waiting};
use std::time::{Duration, Instant};
use stir::Fetch;
use support::{Answer, DAY, Http, Service, certificate, signal};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(50);

fn call(number: usize, urls: &[&str]) -> Suspended {
    let number = u32::try_from(number).unwrap();
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    Suspended { transaction: (number, !number), route: "CHECK".into(), urls }
}

/// What became of each URL: 0, or the code.
fn codes(resumed: &Resumed) -> Vec<i32> {
    let code = |result: &stir::Result<_>| result.as_ref().map_or_else(|e| e.code().value(), |_| 0);
    resumed.results.iter().map(|(_, result)| code(result)).collect()
}

fn waiting(services: &[&Service], timeout: Duration) -> (Handover, Waiting) {
    let (handover, inbox) = Handover::pair(10 * SECOND).unwrap();
    let addresses = services.iter().map(|service| Address::new(&service.address));
    (handover, Waiting::new(inbox, addresses, timeout).unwrap())
}

#[test]
fn many_calls_wait_at_once_and_each_gets_what_it_waits_for() {
    const CALLS: usize = 400;
    let http = Http::start();
    let services = [Service::start(&[]), Service::start(&[])];
    let (handover, mut waiting) = waiting(&[&services[0], &services[1]], 5 * SECOND);
    let body = certificate(30 * DAY);
    let urls: Vec<String> = (0..8)
        .map(|n| http.on(&format!("/{n}.pem"), Answer::Slow(SECOND / 2, body.clone())))
        .collect();
    let gone = http.on("/gone.pem", Answer::Status(404));
    let begun = Instant::now();
    let calls: Vec<Suspended> =
        (0..CALLS).map(|n| call(n, &[&urls[n % 8], &gone, "no URL", &urls[n / 8 % 8]])).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| calls.iter().for_each(|call| handover.send(call).expect("room")));
        let mut back: Vec<Suspended> = (0..CALLS)
            .map(|_| {
                let resumed = waiting.next().expect("all of them");
                assert_eq!(codes(&resumed), [0, -403, -401, 0]);
                assert!(resumed.results[3].1.as_ref().is_ok_and(|f| f.body == body));
                assert!(resumed.results.iter().map(|(url, _)| url).eq(&resumed.call.urls));
                resumed.call
            })
            .collect();
        back.sort_by_key(|call| call.transaction);
        assert_eq!(back, calls);
    });
    let took = begun.elapsed();
    assert!(took > SECOND / 2 && took < 10 * SECOND, "{took:?} for {CALLS} calls");
    assert!((0..8).all(|n| http.count(&format!("/{n}.pem")) == 1));
    // What is at hand is known without waiting, failures too.
    let client = services[0].client(5 * SECOND);
    let mut seen = [0; 3];
    for service in &services {
        let client = service.client(5 * SECOND);
        for url in urls.iter().chain([&gone]) {
            seen[match client.peek(url, 5 * SECOND).expect("an answer") {
                Some(Ok(fetched)) if fetched.body == body => 0,
                Some(_) => 1,
                None => 2,
            }] += 1;
        }
    }
    assert_eq!(seen, [8, 1, 9], "each URL is one service's");
    let new = http.on("/new.pem", Answer::Ok("", body.clone()));
    assert!(client.peek(&new, 5 * SECOND).expect("an answer").is_none());
    assert_eq!(http.count("/new.pem"), 0, "nothing is fetched for who only looks");
    client.fetch(&new).expect("fetched");
    assert!(client.peek(&new, 5 * SECOND).expect("an answer").is_some());
}

#[test]
fn a_service_that_hangs_or_is_gone_holds_up_no_call_for_longer_than_its_time() {
    let http = Http::start();
    let url = http.on("/c.pem", Answer::Ok("", certificate(30 * DAY)));
    let mut service = Service::start(&[]);
    let (handover, mut waiting) = waiting(&[&service], 3 * SECOND);
    let mut ask = |number| {
        handover.send(&call(number, &[&url])).expect("room");
        let begun = Instant::now();
        let resumed = waiting.next().expect("it comes back");
        (codes(&resumed), begun.elapsed())
    };
    assert_eq!(ask(1).0, [0]);
    signal(&service.process, "STOP");
    let (codes, took) = ask(2);
    assert_eq!(codes, [-402]);
    assert!(took > 3 * SECOND / 2 && took < 6 * SECOND, "{took:?}");
    let peeked = service.client(SECOND).peek(&url, LIMIT);
    assert!(peeked.is_err_and(|e| e.message().contains("does not answer in 50 ms")));
    signal(&service.process, "CONT");
    assert_eq!(ask(3).0, [0], "on the same connection");
    service.stop();
    let (codes, took) = ask(4);
    assert_eq!(codes, [-402]);
    assert!(took < 2 * SECOND, "{took:?}: nobody is there");
    let _again = service.again();
    assert_eq!(ask(5).0, [0], "on a new one");
}

#[test]
fn services_that_hang_cost_an_operator_a_second_in_all() {
    let services = [(); 6].map(|()| Service::start(&[]));
    let addresses = services.iter().map(|service| Address::new(&service.address));
    let client = RemoteFetcher::new(addresses, 10 * SECOND);
    client.stats().expect("their counters");
    services.iter().for_each(|service| signal(&service.process, "STOP"));
    let begun = Instant::now();
    assert!(client.stats().is_err());
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
}

/// Calls that are ready, and gone on with one after the other, hold up none that come in.
#[test]
fn calls_are_taken_in_while_others_are_ready() {
    let (handover, inbox) = Handover::pair(LIMIT).unwrap();
    let mut waiting = Waiting::new(inbox, [], SECOND).unwrap();
    (0..100).for_each(|n| handover.send(&call(n, &["https://h/"])).expect("room"));
    waiting.next().expect("the first");
    let sent = (100..).find(|n| handover.send(&call(*n, &["https://h/"])).is_err()).unwrap();
    (0..20).for_each(|_| drop(waiting.next().expect("another")));
    handover.send(&call(sent, &["https://h/"])).expect("room again");
}

#[test]
fn a_calls_time_begins_when_it_is_handed_over() {
    let http = Http::start();
    let silent = http.on("/silent.pem", Answer::Silent);
    let service = Service::start(&[]);
    let (handover, mut waiting) = waiting(&[&service], 3 * SECOND);
    handover.send(&call(1, &[&silent])).expect("room");
    // Its time passes while nobody takes it.
    std::thread::sleep(3 * SECOND);
    let begun = Instant::now();
    let resumed = waiting.next().expect("it comes back");
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
    let why = resumed.results[0].1.as_ref().unwrap_err();
    assert_eq!(why.code().value(), -402);
    assert!(why.message().contains("taken up too late"), "{why}");
}

#[test]
fn who_hands_over_more_than_is_taken_is_told() {
    let (handover, inbox) = Handover::pair(LIMIT).unwrap();
    let begun = Instant::now();
    let sent = (0..).find(|n| handover.send(&call(*n, &["https://h/"])).is_err()).unwrap();
    assert!(sent >= 100 && begun.elapsed() >= LIMIT / 2, "{sent} in {:?}", begun.elapsed());
    // They are all there still.
    let mut waiting = Waiting::new(inbox, [], SECOND).unwrap();
    for n in 0..sent {
        let resumed = waiting.next().expect("taken");
        assert_eq!(resumed.call.transaction.0, u32::try_from(n).unwrap());
        assert_eq!(codes(&resumed), [-402], "there is no service");
    }
    assert!(handover.send(&call(0, &["x"; 40_000])).is_err(), "too large for a message");
    drop(handover);
    assert!(waiting.next().is_none(), "no more can come");
}
