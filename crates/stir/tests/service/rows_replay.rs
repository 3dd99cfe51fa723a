//! A token that comes again.

use super::rows_div::diverted_once;
use super::world::World;
use stir::{Address, Replay, SipCall};

/// A call, a second one with the same token, and whether that is a replay.
pub struct Row {
    pub name: &'static str,
    pub base: fn() -> World,
    pub first: fn(&mut SipCall<'_>),
    pub second: fn(&mut SipCall<'_>),
    pub is_replay: bool,
}

fn row(name: &'static str, is_replay: bool, second: fn(&mut SipCall<'_>)) -> Row {
    Row { name, base: World::plain, first: |_| (), second, is_replay }
}

pub fn all() -> Vec<Row> {
    vec![
        row("a retransmission, or a fork to the same number", false, |call| {
            call.request_uri = Address::of_uri("sip:+12155551213@198.51.100.9;transport=tcp");
        }),
        row("another Call-ID", true, |call| call.call_id = Some("2@example.com")),
        row("no Call-ID", true, |call| call.call_id = Some("")),
        row("a token without a message", false, |call| call.call_id = None),
        row("another Request-URI, called by To", true, |call| {
            call.request_uri = Address::of_uri("sip:+12155550000@192.0.2.7");
        }),
        row("a Request-URI that is not a number, called by To", true, |call| {
            call.request_uri = Address::of_uri("sip:192.0.2.7");
        }),
        Row {
            first: |call| call.asserted = Address::of_list("<sip:+12155550000@example.com>"),
            ..row("after a call that did not pass", false, |call| {
                call.call_id = Some("2@example.com");
            })
        },
        Row {
            base: diverted_once,
            ..row("a diversion in another call", true, |call| {
                call.call_id = Some("2@example.com");
            })
        },
        // A PBX may divert to a number of the same carrier's, in a call of its own.
        Row {
            base: diverted_once,
            first: |call| {
                call.identities.truncate(1);
                call.request_uri = Address::of_uri("sip:+12155551213@192.0.2.7");
            },
            ..row("the call before it was diverted", false, |call| {
                call.call_id = Some("2@example.com");
            })
        },
    ]
}

/// What comes of a row with a setting of `replay`.
pub fn codes(row: &Row, replay: Replay) -> [i32; 2] {
    let mut world = (row.base)();
    world.config.shaken.replay = replay;
    let reports = world.again(&format!("replay {} {replay:?}", row.name), &[row.first, row.second]);
    [reports[0].code(), reports[1].code()]
}
