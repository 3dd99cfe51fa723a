//! Who calls and who is called.

use super::expected::*;
use super::rows_good::numbering;
use super::world::World;
use stir::{DestSource, OrigSource};

pub fn all() -> Vec<Row> {
    [callers(), called()].into_iter().flatten().collect()
}

fn from_first() -> World {
    let mut world = World::plain();
    world.config.shaken.orig_source = vec![OrigSource::From, OrigSource::Pai];
    world
}

fn from_alone() -> World {
    let mut world = World::plain();
    world.asserted.clear();
    world
}

fn pai_alone() -> World {
    let mut world = World::plain();
    world.config.shaken.orig_source = vec![OrigSource::Pai];
    world
}

fn from_source_alone() -> World {
    let mut world = World::plain();
    world.config.shaken.orig_source = vec![OrigSource::From];
    world
}

fn of_uris() -> World {
    let mut world = World::plain();
    world.claims(r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:alice@example.com"}"#);
    world.asserted = vec!["<sip:alice@example.com>".into()];
    world
}

/// A national number in PAI, in the plan of the US.
fn national() -> World {
    let mut world = World::plain();
    world.config.numbering = numbering("1", "1", "011", 15);
    world.asserted = vec!["<sip:2155551212@example.com>".into()];
    world
}

/// A number of New Zealand that looks like a national one of the US.
fn new_zealand() -> World {
    let mut world = World::plain();
    world.config.numbering = numbering("1", "1", "011", 15);
    world.claims("12155551212", "6463501234");
    world.asserted = vec!["<sip:+6463501234@example.com>".into()];
    world
}

/// A number of Japan that looks like a national one of Russia.
fn japan() -> World {
    let mut world = World::plain();
    world.config.numbering = numbering("7", "8", "810", 15);
    world.claims("12155551212", "81312345678");
    world.asserted = vec!["<sip:+81312345678@example.com>".into()];
    world
}

fn of_germany() -> World {
    let mut world = World::plain();
    world.claims("12155551212", "492155551212");
    world.asserted = vec!["<tel:2155551212;phone-context=+49>".into()];
    world
}

fn pai(base: fn() -> World, name: &'static str, value: &'static str) -> Row {
    bad(base, name, ORIG, move |w| w.asserted = vec![value.into()])
}

fn callers() -> Vec<Row> {
    let from =
        |base, name, value: &'static str| bad(base, name, ORIG, move |w| w.from = value.into());
    const OTHER: &str = "<sip:+12155551219@example.com>;tag=1";
    const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1";
    vec![
        pai(World::plain, "PAI is another", "<sip:+12155551219@example.com>").says("12155551219"),
        pai(World::plain, "PAI has a digit more", "<sip:+121555512120@example.com>"),
        pai(World::plain, "PAI has no country code", "<sip:2155551212@example.com>").says(
            "orig 12155551212 is not the caller, 2155551212; they differ by the country code",
        ),
        pai(World::plain, "PAI is of another country", "<sip:+2155551212@example.com>"),
        pai(World::plain, "PAI is anonymous", "<sip:anonymous@anonymous.invalid>"),
        pai(World::plain, "PAI has the number as its name", "\"+12155551212\" <sip:a@example.com>"),
        pai(World::plain, "PAI has the number as its host", "<sip:a@12155551212>"),
        pai(World::plain, "PAI of two others", "<sip:a@example.com>, <tel:+12155551219>"),
        from(from_first, "From is another", OTHER).says("12155551219"),
        from(from_first, "From is anonymous where it is asked first", ANONYMOUS),
        from(from_alone, "From is another, without PAI", OTHER),
        from(from_alone, "From is anonymous, without PAI", ANONYMOUS),
        pai(
            World::plain,
            "PAI of orig and another number",
            "<tel:+12155551212>, <tel:+12155551219>",
        ),
        pai(World::plain, "PAI that nobody can read", "<tel:+1215555121%39>")
            .says("cannot be read"),
        pai(
            World::plain,
            "PAI with one value that can't be read",
            "<tel:+12155551212>, <tel:+1%39>",
        ),
        from(from_alone, "From is no URI", "alice").says("cannot be read"),
        from(from_alone, "From is empty", "").says("no caller"),
        from(from_alone, "From is not closed", "\"Alice <sip:+12155551212@example.com>"),
        from(from_source_alone, "From is another where it alone is asked", OTHER),
        bad(pai_alone, "PAI is missing where it alone is asked", ORIG, |w| w.asserted.clear())
            .says("no caller"),
        pai(
            World::plain,
            "PAI of a user like a number and orig",
            "<sip:+12155551219_@a>, <tel:+12155551212>",
        )
        .says("two parties"),
        pai(
            World::plain,
            "PAI of a user of digits and orig",
            "<sip:12155551219x@a>, <tel:+12155551212>",
        ),
        pai(
            World::plain,
            "PAI of an escaped user like a number and orig",
            "<sip:%2B12155551219_@a>, <tel:+12155551212>",
        ),
        pai(
            World::plain,
            "PAI of a URI and orig that is not a telephone",
            "<sip:alice@a>, <sip:+12155551212@a>",
        ),
        pai(
            World::plain,
            "PAI of two URIs and orig",
            "<sip:alice@a>, <sip:bob@a>, <tel:+12155551212>",
        ),
        pai(
            World::plain,
            "PAI with two phone-context",
            "<tel:2155551212;phone-context=+49;phone-context=+1>",
        )
        .says("two phone-context"),
        pai(
            World::plain,
            "PAI with two phone-context and user=phone",
            "<sip:2155551212;phone-context=+49;phone-context=+1@a;user=phone>",
        ),
        pai(
            World::plain,
            "PAI with a phone-context that does not count",
            "<sip:2155551212;phone-context=+1@a>",
        ),
        bad(of_germany, "phone-context of a sip URI that is not a telephone", ORIG, |w| {
            w.asserted = vec!["<sip:2155551212;phone-context=+49@a>".into()];
        }),
        bad(from_alone, "From with orig in a parameter of a tel URI", ORIG, |w| {
            w.from = "tel:+12155551219;tag=1;x=\"<sip:+12155551212@a>\"".into();
        }),
        pai(
            World::plain,
            "PAI with orig in a quoted parameter",
            "sip:+12155551219@a;x=\"<sip:+12155551212@a>\"",
        ),
        pai(
            World::plain,
            "PAI with orig in a parameter",
            "sip:+12155551219@a;x=<sip:+12155551212@a>",
        ),
        pai(
            World::plain,
            "PAI with another value in quotes",
            "<sip:+12155551212@a>;x=\", <sip:+12155551219@a>\"",
        ),
        from(
            from_alone,
            "From with orig in a quoted parameter",
            "sip:+12155551219@a;tag=1;x=\"<sip:+12155551212@a>\"",
        ),
        from(
            from_alone,
            "From with orig in a parameter",
            "sip:+12155551219@a;tag=1;x=<sip:+12155551212@a>",
        ),
        from(
            from_alone,
            "From with orig in a quoted word",
            "foo \"<sip:+12155551212@a>\" <sip:+12155551219@a>",
        ),
        from(from_alone, "From of orig and another", "<sip:+12155551212@a> <sip:+12155551219@a>"),
        from(
            from_alone,
            "From of orig, a comma and another",
            "<sip:+12155551212@a>, <sip:+12155551219@a>",
        ),
        from(
            from_alone,
            "From with an escaped backslash in its name",
            "\"a\\\\\" <sip:+12155551212@a>\" <sip:+12155551219@a>",
        ),
        from(
            from_alone,
            "From with an escaped quote before its name",
            "\\\"<sip:+12155551212@a>\" <sip:+12155551219@a>",
        ),
        from(from_alone, "From is a tel URI with a host", "<tel:+12155551212@+12155551219>"),
        from(from_alone, "From with two hosts", "<sip:+12155551212@a@b>"),
        from(from_alone, "From is the number as a host", "<sip:+12155551212>"),
        bad(
            new_zealand,
            "orig of another country is our national number with its code",
            ORIG,
            |w| {
                w.asserted = vec!["<sip:+16463501234@a>".into()];
            },
        ),
        bad(new_zealand, "orig of another country is a number of eleven digits", ORIG, |w| {
            w.asserted = vec!["<sip:16463501234@a>".into()];
        }),
        bad(japan, "orig of another country begins with our national prefix", ORIG, |w| {
            w.asserted = vec!["<sip:+71312345678@a>".into()];
        }),
        bad(japan, "orig of another country as our national number", ORIG, |w| {
            w.asserted = vec!["<sip:81312345678@a>".into()];
        }),
        pai(of_uris, "PAI has another user", "<sip:bob@example.com>"),
        pai(of_uris, "PAI has another host", "<sip:alice@example.net>"),
        pai(of_uris, "PAI has another scheme", "<sips:alice@example.com>"),
        pai(national, "PAI is another national number", "<sip:2155551219@example.com>"),
        bad(national, "national number without its plan", ORIG, |w| {
            w.config.numbering = Default::default();
        }),
        bad(national, "national number in the plan of France", ORIG, |w| {
            w.config.numbering = numbering("33", "0", "00", 16);
        }),
        bad(World::plain, "orig is another", ORIG, |w| w.claims("12155551212", "12155551219"))
            .says("12155551219"),
        bad(World::plain, "orig is the called", ORIG, |w| w.claims("12155551212", "12155551213")),
        bad(World::plain, "orig is a URI of the number", ORIG, |w| {
            w.claims(r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:+12155551212@example.com"}"#);
        }),
    ]
}

fn to() -> World {
    let mut world = World::plain();
    world.config.shaken.dest_source = DestSource::To;
    world
}

fn ruri() -> World {
    let mut world = World::plain();
    world.config.shaken.dest_source = DestSource::Ruri;
    world
}

/// A ported number of France, as a proxy there writes it.
fn ported() -> World {
    let mut world = World::plain();
    world.config.numbering = numbering("33", "0", "00", 16);
    world.claims("12155551213", "3312345678901234");
    world.to = String::new();
    world.request_uri = "sip:+3312345678901234@192.0.2.7".into();
    world
}

fn called() -> Vec<Row> {
    let request_uri = |base, name, value: &'static str| {
        bad(base, name, DEST, move |w| w.request_uri = value.into())
    };
    vec![
        bad(World::plain, "neither To nor Request-URI is dest", DEST, |w| {
            w.claims("12155551213", "12155551219");
        })
        .says("12155551219"),
        bad(World::plain, "dest is the caller", DEST, |w| w.claims("12155551213", "12155551212")),
        bad(World::plain, "dest is a URI of the number", DEST, |w| {
            w.claims(r#"{"tn":["12155551213"]}"#, r#"{"uri":["sip:+12155551213@192.0.2.7"]}"#);
        }),
        bad(to, "To is another", DEST, |w| w.to = "<sip:+12155551219@example.com>".into())
            .says("12155551219"),
        bad(to, "To is empty", DEST, |w| w.to.clear()),
        bad(to, "To is a fax", DEST, |w| w.to = "<fax:+12155551213>".into()),
        bad(to, "To with dest in a quoted parameter", DEST, |w| {
            w.to = "sip:+12155551219@a;x=\"<sip:+12155551213@a>\"".into();
        })
        .says("cannot be read"),
        bad(to, "To with dest in a parameter", DEST, |w| {
            w.to = "sip:+12155551219@a;x=<sip:+12155551213@a>".into();
        }),
        bad(World::plain, "To cannot be read beside a good Request-URI", DEST, |w| {
            w.to = "<sip:+12155551213@a>, <sip:+12155551219@a>".into();
        }),
        bad(World::plain, "Request-URI cannot be read beside a good To", DEST, |w| {
            w.request_uri = "sip:+12155551213@a@b".into();
        }),
        bad(ruri, "dest is national where the Request-URI is not", DEST, |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.claims("12155551213", "2155551213");
        }),
        request_uri(ruri, "Request-URI is another", "sip:+12155551219@192.0.2.7"),
        request_uri(ruri, "Request-URI has a digit less", "sip:+1215555121@192.0.2.7"),
        request_uri(ruri, "Request-URI is national without a plan", "sip:2155551213@192.0.2.7"),
        bad(World::plain, "To and Request-URI are national without a plan", DEST, |w| {
            w.request_uri = "sip:2155551213@192.0.2.7".into();
            w.to = "<sip:215-555-1213@example.com>".into();
        })
        .says("dest 12155551213 is not the called number, 2155551213; they differ by the country code"),
        request_uri(ruri, "Request-URI is the host alone", "sip:192.0.2.7"),
        request_uri(ruri, "Request-URI is empty", ""),
        request_uri(
            ruri,
            "Request-URI has the number as a parameter",
            "sip:bob@192.0.2.7;x=12155551213",
        ),
        request_uri(ruri, "Request-URI is an emergency number", "sip:911@192.0.2.7"),
        bad(ported, "a ported number where 15 digits are the most", DEST, |w| {
            w.config.numbering.max_digits = 15;
        }),
        request_uri(ported, "another ported number", "sip:+3312345678901235@192.0.2.7"),
    ]
}
