//! Where certificates may come from, and what comes from there.

use super::expected::*;
use super::world::{CALLER, World, pem};
use crate::pki;
use stir::{Code, Error};

/// A case that has its certificate at another URL, where a server has it.
fn x5u(name: &'static str, url: &'static str) -> Row {
    bad(World::plain, name, X5U, move |w| w.x5u(url))
}

fn answer(
    name: &'static str,
    refused: Refused,
    change: fn(&mut World) -> stir::Result<Vec<u8>>,
) -> Row {
    bad(World::plain, name, refused, move |w| {
        let answer = change(w);
        w.answer(answer);
    })
}

pub fn all() -> Vec<Row> {
    [urls(), lists(), downloads(), bodies()].into_iter().flatten().collect()
}

fn urls() -> Vec<Row> {
    vec![
        x5u("x5u http", "http://certs.example.com/0.pem").says("not https"),
        x5u("x5u ftp", "ftp://certs.example.com/0.pem").says("not https"),
        x5u("x5u file", "file:///etc/ssl/0.pem").says("not https"),
        x5u("x5u no URL", "certs.example.com/0.pem").says("no URL"),
        x5u("x5u without a host", "https:///").says("no URL"),
        x5u("x5u port 80", "https://certs.example.com:80/0.pem").says("port"),
        x5u("x5u port 444", "https://certs.example.com:444/0.pem").says("port"),
        x5u("x5u port 0", "https://certs.example.com:0/0.pem").says("port"),
        x5u("x5u with a user", "https://alice@certs.example.com/0.pem").says("user"),
        x5u("x5u with a password", "https://:secret@certs.example.com/0.pem").says("user"),
        x5u("x5u with a query", "https://certs.example.com/0.pem?a=b").says("query"),
        x5u("x5u with an empty query", "https://certs.example.com/0.pem?").says("query"),
        x5u("x5u with a fragment", "https://certs.example.com/0.pem#a").says("fragment"),
        x5u("x5u with an empty fragment", "https://certs.example.com/0.pem#").says("fragment"),
        x5u("x5u at loopback", "https://127.0.0.1/0.pem").says("special-purpose"),
        x5u("x5u at loopback as a number", "https://2130706433/0.pem").says("special-purpose"),
        x5u("x5u at a private address", "https://10.1.2.3/0.pem").says("special-purpose"),
        x5u("x5u at shared address space", "https://100.64.0.1/0.pem").says("special-purpose"),
        x5u("x5u at link-local", "https://169.254.169.254/0.pem").says("special-purpose"),
        x5u("x5u at IPv6 loopback", "https://[::1]/0.pem").says("special-purpose"),
        x5u("x5u at a unique local address", "https://[fd00::1]/0.pem").says("special-purpose"),
        x5u("x5u at a mapped private address", "https://[::ffff:10.0.0.1]/0.pem")
            .says("special-purpose"),
        x5u("x5u at NAT64 of a private address", "https://[64:ff9b::a00:1]/0.pem")
            .says("special-purpose"),
        x5u("x5u at 6to4 of a private address", "https://[2002:a00:1::]/0.pem")
            .says("special-purpose"),
    ]
}

fn lists() -> Vec<Row> {
    let denied = |name, deny: &'static str| {
        bad(World::plain, name, X5U, move |w| w.config.shaken.x5u_deny = deny.into())
            .says("x5u_deny")
    };
    let permitted = |name, permit: &'static str| {
        bad(World::plain, name, X5U, move |w| w.config.shaken.x5u_permit = permit.into())
            .says("x5u_permit")
    };
    vec![
        denied("x5u_deny names the host", "certs.example.com"),
        denied("x5u_deny names the host in another case", "CERTS.Example.com"),
        denied("x5u_deny names the domain", "other.example, *.example.com"),
        permitted("x5u_permit names another host", "certs.example.net"),
        permitted("x5u_permit names the hosts below", "*.certs.example.com"),
        bad(World::plain, "x5u_permit names hosts and x5u an address", X5U, |w| {
            w.config.shaken.x5u_permit = "*.example.com".into();
            w.x5u("https://93.184.216.34/0.pem");
        })
        .says("x5u_permit"),
        bad(World::plain, "x5u_deny outweighs x5u_permit", X5U, |w| {
            w.config.shaken.x5u_permit = "*.example.com".into();
            w.config.shaken.x5u_deny = "certs.example.com".into();
        })
        .says("x5u_deny"),
        bad(at_address, "x5u_deny names the network", X5U, |w| {
            w.config.shaken.x5u_deny = "8.8.0.0/16".into();
        })
        .says("x5u_deny"),
        bad(at_private_address, "x5u_permit names another network", X5U, |w| {
            w.config.shaken.x5u_permit = "10.2.0.0/16".into();
        })
        .says("special-purpose"),
    ]
}

fn at_address() -> World {
    let mut w = World::plain();
    w.x5u("https://8.8.8.8/0.pem");
    w
}

fn at_private_address() -> World {
    let mut w = World::plain();
    w.x5u("https://10.1.2.3/0.pem");
    w.config.shaken.x5u_permit = "10.1.0.0/16".into();
    w
}

fn downloads() -> Vec<Row> {
    let fails = |name, refused, code: Code| {
        bad(World::plain, name, refused, move |w| w.answer(Err(Error::new(code, "as told"))))
            .says("as told")
    };
    vec![
        fails("no server", HTTP_GET, Code::HttpGet),
        fails("server answers 503", HTTP_STATUS, Code::HttpStatus),
        fails("body breaks off", HTTP_BODY, Code::HttpBody),
        bad(World::plain, "no such certificate", HTTP_STATUS, |w| {
            w.x5u("https://certs.example.com/9.pem");
            w.answers.clear();
        }),
    ]
}

fn bodies() -> Vec<Row> {
    vec![
        answer("body empty", NO_CERTIFICATE, |_| Ok(Vec::new())),
        answer("body is a page", NO_CERTIFICATE, |_| Ok(b"<html>Not here</html>".to_vec())),
        answer("body is two certificates in DER", NO_CERTIFICATE, |w| {
            Ok(w.chain_of(CALLER).concat())
        }),
        answer("body is larger than 64 KiB", NO_CERTIFICATE, |w| {
            Ok([pem(w.chain_of(CALLER)), vec![b'\n'; 64 * 1024]].concat())
        }),
        answer("body has eleven certificates", NO_CERTIFICATE, |w| {
            Ok(pem(w.chain_of(CALLER).into_iter().cycle().take(11).collect()))
        }),
        answer("body is a bare public key", NO_CERTIFICATE, |w| {
            Ok(pki::pem("PUBLIC KEY", &[w.signers[CALLER].key.spki()]).into_bytes())
        })
        .says("bare public key"),
        answer("body is a private key", NOT_TRUSTED, |_| {
            Ok(pki::pem("PRIVATE KEY", &[vec![0x30, 0]]).into_bytes())
        }),
        answer("certificate is no DER", NOT_TRUSTED, |_| Ok(pem(vec![vec![0xff; 300]]))),
        answer("certificate is cut", NOT_TRUSTED, |w| {
            let mut chain = w.chain_of(CALLER);
            chain[0].truncate(100);
            Ok(pem(chain))
        }),
        answer("certificate with an octet behind it", NOT_TRUSTED, |w| {
            let mut chain = w.chain_of(CALLER);
            chain[0].push(0);
            Ok(pem(chain))
        }),
        answer("certificate larger than 16 KiB", NOT_TRUSTED, |w| {
            let large = pki::extension("1.3.6.1.4.1.99999.1", false, &[0; 17_000]);
            w.leaf().extensions.push(large);
            Ok(pem(w.chain_of(CALLER)))
        }),
        answer("certificate with an extension twice", NOT_TRUSTED, |w| {
            w.leaf().extensions.push(pki::key_usage(&[0]));
            Ok(pem(w.chain_of(CALLER)))
        }),
    ]
}
