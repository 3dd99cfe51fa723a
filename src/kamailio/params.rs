//! Module parameters: each is checked as the cfg is read, and a wrong one stops Kamailio.

use super::bindings::_str;
use super::guard;
use crate::state::{self, Settings};
use std::ffi::{c_int, c_void};
use stir::profile::{Policies, Profile};
use stir::{Code, Error, Policy, Replay};

/// Makes the functions that Kamailio calls with a parameter's value: `int` ones get a number that
/// is not negative, `text` ones a `&str`.
macro_rules! parameters {
    (int: $($int:ident => $set_int:expr),+; text: $($text:ident => $set:expr),+;) => {
        $(pub(super) unsafe extern "C" fn $int(_kind: u32, value: *mut c_void) -> c_int {
            // Kamailio passes an int parameter's value in the pointer.
            #[allow(clippy::cast_possible_truncation)]
            let value = value as isize as c_int;
            set(|settings| {
                let set: fn(&mut Settings, u32) -> Result<(), Error> = $set_int;
                set(settings, number(stringify!($int), value)?)
            })
        })+
        $(pub(super) unsafe extern "C" fn $text(_kind: u32, value: *mut c_void) -> c_int {
            set(|settings| {
                // SAFETY: Kamailio passes a str parameter as a pointer to a str that it keeps.
                let value = unsafe { guard::kemi_argument(value.cast::<_str>(), 1) }
                    .map_err(|e| Error::new(Code::Generic, format!("parameter {}: {}", stringify!($text), e.message())))?;
                let set: fn(&mut Settings, &str) -> Result<(), Error> = $set;
                set(settings, value)
            })
        })+
    };
}

parameters! {
    int:
        expire => |s, value| { s.core.expire = Some(value); Ok(()) },
        clock_skew => |s, value| { s.core.clock_skew = value; Ok(()) },
        timeout => |s, value| { s.core.timeout = value; Ok(()) },
        cache_expire => |s, value| { s.core.cache_expire = value; Ok(()) },
        cache_size => |s, value| { s.core.cache_size = value; Ok(()) },
        key_tables => |s, value| { s.core.key_tables = value; Ok(()) },
        max_identity => |s, value| { s.core.shaken.max_identity = usize::try_from(value).unwrap_or(usize::MAX); Ok(()) },
        max_dest => |s, value| { s.core.shaken.max_dest = usize::try_from(value).unwrap_or(usize::MAX); Ok(()) },
        div_expire => |s, value| { s.core.shaken.div_expire = value; Ok(()) },
        base_passport => |s, value| switch("base_passport", value, &mut s.core.shaken.base_passport),
        spc_match => |s, value| switch("spc_match", value, &mut s.core.shaken.spc_match),
        tn_authlist_match => |s, value| switch("tn_authlist_match", value, &mut s.core.shaken.tn_authlist_match),
        tn_max_digits => |s, value| { s.core.numbering.max_digits = usize::try_from(value).unwrap_or(usize::MAX); Ok(()) },
        trust_anchors_stale => |s, value| { s.core.trust_anchors_stale = value; Ok(()) },
        crl_required => |s, value| switch("crl_required", value, s.core.crl_required.insert(false)),
        fetchers => |s, value| { s.fetchers = value; Ok(()) },
        async_workers => |s, value| { s.async_workers = value; Ok(()) },
        cache_min => |s, value| { s.fetcher.cache_min = value; Ok(()) },
        cache_max => |s, value| { s.fetcher.cache_max = value; Ok(()) },
        stale_if_error => |s, value| { s.fetcher.stale_if_error = value; Ok(()) },
        negative_ttl => |s, value| { s.fetcher.negative_ttl = value; Ok(()) },
        add_date => |s, value| switch("add_date", value, s.add_date.insert(false));
    text:
        cache_dir => |s, value| { s.core.cache_dir = value.into(); Ok(()) },
        x5u => |s, value| { value.clone_into(&mut s.core.x5u); Ok(()) },
        http_ca_file => |s, value| { s.core.http_ca_file = value.into(); Ok(()) },
        http_proxy => |s, value| { value.clone_into(&mut s.core.http_proxy); Ok(()) },
        libopt => |s, value| s.core.set_option(value),
        policy => |s, value| { s.core.policy = Policy::named(value)?; Ok(()) },
        trust_anchors => |s, value| { s.core.trust_anchors = value.into(); Ok(()) },
        trust_anchors_key => |s, value| { s.core.trust_anchors_key = value.into(); Ok(()) },
        trust_intermediates => |s, value| { s.core.trust_intermediates = value.into(); Ok(()) },
        trust_intermediates_key => |s, value| { s.core.trust_intermediates_key = value.into(); Ok(()) },
        crl => |s, value| { s.core.crl = value.into(); Ok(()) },
        x5u_permit => |s, value| { add(&mut s.core.shaken.x5u_permit, value); Ok(()) },
        x5u_deny => |s, value| { add(&mut s.core.shaken.x5u_deny, value); Ok(()) },
        cert_profile => |s, value| { s.core.shaken.profile = Profile::named(value)?; Ok(()) },
        cert_policies => |s, value| { s.core.shaken.policies = Policies::named(value)?; Ok(()) },
        orig_source => |s, value| s.core.shaken.set_orig_source(value),
        dest_source => |s, value| s.core.shaken.set_dest_source(value),
        replay => |s, value| { s.core.shaken.replay = Replay::named(value)?; Ok(()) },
        country_code => |s, value| { value.clone_into(&mut s.core.numbering.country_code); Ok(()) },
        national_prefix => |s, value| { value.clone_into(&mut s.core.numbering.national_prefix); Ok(()) },
        international_prefix => |s, value| { value.clone_into(&mut s.core.numbering.international_prefix); Ok(()) },
        cert_path => |s, value| { s.core.cert_path = value.into(); Ok(()) },
        cache_url => |s, value| { value.clone_into(&mut s.fetcher.cache_url); Ok(()) },
        prefetch_file => |s, value| { s.fetcher.prefetch_file = value.into(); Ok(()) },
        rcd_nam => |s, value| { value.clone_into(&mut s.rcd_nam); Ok(()) },
        reason_protocol => |s, value| s.reason.set_protocol(value),
        ppi => |s, value| s.reason.set_ppi(value),
        // The stock module's second half, which is not needed here.
        modproc => |_, _| Ok(());
}

fn set(change: impl FnOnce(&mut Settings) -> Result<(), Error>) -> c_int {
    match guard::catch(|| state::configure(change)) {
        Some(Ok(())) => 0,
        Some(Err(error)) => {
            log::error!("{}", error.message());
            -1
        }
        None => -1,
    }
}

fn number(name: &str, value: c_int) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| {
        Error::new(Code::Generic, format!("parameter {name} is {value}: it can't be negative"))
    })
}

fn switch(name: &str, value: u32, setting: &mut bool) -> Result<(), Error> {
    *setting = match value {
        0 => false,
        1 => true,
        _ => return Err(Error::new(Code::Generic, format!("{name} {value} is neither 0 nor 1"))),
    };
    Ok(())
}

/// A list may be given in several parameters.
fn add(list: &mut String, more: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(more);
}
