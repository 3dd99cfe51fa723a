//! Commands for operators: `kamcmd secsipid.…`, or by JSON-RPC.

use crate::fetchers::Fetchers;
use crate::kamailio::{Field, Rpc, VERSION, counted, shared};
use crate::state;
use std::path::Path;
use stir::{Address, CheckOptions, Code, Error, Policy, PublicKey, Report, SipCall};

/// Certificates that are listed if nobody says how many: what a terminal shows, and what fits into
/// an answer of the module ctl as it is by default.
const LISTED: usize = 20;

type Done = Result<(), Error>;

pub(crate) fn version(rpc: &Rpc) -> Done {
    let settings = state::settings();
    let (fetchers, async_workers) = state::processes();
    let policy = match settings.core.policy {
        Policy::Compat => "compat",
        Policy::Shaken => "shaken",
    };
    rpc.record(&[
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("kamailio", text(VERSION.trim_end_matches('\0'))),
        ("policy", text(policy)),
        ("tables", text(settings.core.tables())),
        ("fetchers", Field::Number(fetchers.into())),
        ("async_workers", Field::Number(async_workers.into())),
    ]);
    Ok(())
}

pub(crate) fn stats(rpc: &Rpc) -> Done {
    let mut fields: Vec<_> =
        counted().into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    fields.push(("lists_ending".into(), state::lists_ending()));
    if let Some(fetchers) = state::fetchers() {
        let stats = fetchers.remote().stats()?.named();
        fields.extend(stats.into_iter().map(|(name, count)| (format!("fetcher_{name}"), count)));
    }
    let fields: Vec<_> =
        fields.iter().map(|(name, count)| (name.as_str(), Field::Number(*count))).collect();
    rpc.record(&fields);
    Ok(())
}

pub(crate) fn cache_list(rpc: &Rpc) -> Done {
    let count = match rpc.argument() {
        None => LISTED,
        Some(count) => count.parse().map_err(|_| {
            wrong(format!("\"{count}\" is no number of certificates: leave it out for {LISTED}"))
        })?,
    };
    for row in fetchers()?.remote().list()?.into_iter().take(count) {
        let time = |seconds: i64| Field::Number(u64::try_from(seconds).unwrap_or_default());
        let added = rpc.record(&[
            ("url", Field::Text(row.url)),
            ("spc", Field::Text(row.spc)),
            ("not_after", time(row.not_after)),
            ("until", time(row.until)),
            ("age", time(row.age)),
            ("hits", Field::Number(row.hits)),
            ("tier", Field::Text(row.tier)),
        ]);
        if !added {
            return Err(wrong(
                "the answer has no room for so many: ask for fewer, or set ctl's binrpc_max_body_size".into(),
            ));
        }
    }
    Ok(())
}

pub(crate) fn cache_flush(rpc: &Rpc) -> Done {
    let url = rpc.argument();
    let url = url.as_deref();
    // A tool's empty variable must not empty all caches.
    if let Some(url) = url {
        stir::fetch::parse_url(url)?;
    }
    // First where certificates come from, or a worker might take one back in between.
    let flushed = match state::fetchers() {
        Some(fetchers) => fetchers.remote().flush(url),
        None => state::verifier().forget_stored(url),
    };
    // Workers forget whatever came of that.
    if let Some(shared) = shared() {
        shared.forget(url);
    }
    flushed?;
    rpc.record(&[("flushed", text(url.unwrap_or("all")))]);
    Ok(())
}

pub(crate) fn prefetch(rpc: &Rpc) -> Done {
    let url = rpc.argument().ok_or_else(|| wrong("give the certificate's URL".into()))?;
    fetchers()?.remote().prefetch(&url)?;
    rpc.record(&[("fetching", Field::Text(url))]);
    Ok(())
}

/// All that is looked at here is good before other processes are told.
pub(crate) fn reload(rpc: &Rpc) -> Done {
    let shared = shared().ok_or_else(|| wrong("Kamailio has not started yet".into()))?;
    let is_gone = |path: &String| !Path::new(path).try_exists().unwrap_or(true);
    let (gone, keys): (Vec<_>, Vec<_>) = shared.keys().into_iter().partition(is_gone);
    for path in &gone {
        log::warn!(
            "secsipid.reload: key file \"{path}\" is gone since it signed: calls that name it are not signed"
        );
    }
    for path in &keys {
        state::signer().check_key(path).map_err(unchanged)?;
    }
    let reloaded = state::verifier().reload().map_err(unchanged)?;
    shared.reload();
    let number = |count: usize| Field::Number(u64::try_from(count).unwrap_or(u64::MAX));
    rpc.record(&[
        ("trust_anchors", number(reloaded.anchors)),
        ("intermediates", number(reloaded.intermediates)),
        ("crls", number(reloaded.crls)),
        ("keys", number(keys.len())),
        ("keys_gone", number(gone.len())),
    ]);
    Ok(())
}

pub(crate) fn check(rpc: &Rpc) -> Done {
    let identity =
        rpc.argument().ok_or_else(|| wrong("give the value of an Identity header".into()))?;
    let report = judge(&identity);
    let claims = report.claims.as_ref();
    let claim = |claim: Option<String>| Field::Text(claim.unwrap_or_default());
    let mut fields = vec![
        ("valid", text(if report.result.is_ok() { "yes" } else { "no" })),
        ("code", Field::Text(report.code().to_string())),
        ("error", claim(report.result.as_ref().err().map(|e| e.message().to_owned()))),
        ("step", text(report.step().map_or("", |step| step.name()))),
        ("verstat", text(report.verstat().value())),
        ("attest", claim(claims.map(|claims| claims.attest.clone()))),
        ("orig", claim(claims.map(|claims| claims.orig.clone()))),
        ("dest", claim(claims.map(|claims| claims.dest.join(",")))),
        ("iat", claim(claims.map(|claims| claims.iat.to_string()))),
        ("origid", claim(claims.map(|claims| claims.origid.clone()))),
        ("x5u", Field::Text(report.x5u.clone())),
        ("spc", claim(report.spc())),
    ];
    if let Some(response) = report.response() {
        fields.push(("response", text(&format!("{} {}", response.code(), response.phrase()))));
    }
    rpc.record(&fields);
    Ok(())
}

/// A call that is from whom and for whom the token says: all else is judged.
fn judge(identity: &str) -> Report {
    let verifier = state::verifier();
    let alone = || verifier.check([identity], PublicKey::Info, CheckOptions::default());
    if verifier.policy() == Policy::Compat {
        return alone();
    }
    // Read without its certificate, for its claims.
    let bare = verifier.check([identity], PublicKey::Pem(""), CheckOptions::default());
    let Some(claims) = &bare.claims else { return bare };
    let (from, to) = (uri(&claims.orig), claims.dest.first().map(|dest| uri(dest)));
    let to = to.unwrap_or_default();
    verifier.check_call(
        &SipCall {
            identities: vec![identity],
            asserted: Vec::new(),
            from: Address::of_uri(&from),
            to: Address::of_uri(&to),
            request_uri: Address::of_uri(&to),
            ..SipCall::default()
        },
        PublicKey::Info,
    )
}

/// A claim as a header field has it: numbers and URIs.
fn uri(claim: &str) -> String {
    if claim.contains(':') { claim.to_owned() } else { format!("tel:{claim}") }
}

fn fetchers() -> Result<&'static Fetchers, Error> {
    state::fetchers()
        .ok_or_else(|| wrong("fetchers is 0: certificates are in the workers' memories".into()))
}

fn unchanged(error: Error) -> Error {
    Error::new(error.code(), format!("nothing was changed: {}", error.message()))
}

fn text(text: &str) -> Field {
    Field::Text(text.to_owned())
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
