//! The tables that Kamailio reads when it loads the module.

use super::bindings::{
    _str, KS_ANY_ROUTE, KS_PARAM_USE_FUNC, KS_WAITING_ROUTES, MODULE_INTERFACE_VER, PARAM_INT,
    PARAM_STR, SR_KEMIP_INT, SR_KEMIP_NONE, SR_KEMIP_STR, SR_KEMIP_XVAL, cmd_export_t,
    cmd_function, fixup_free_spve_all, fixup_free_spve_null, fixup_free_spve_pvar,
    fixup_free_spve_spve, fixup_function, fixup_spve_all, fixup_spve_null, fixup_spve_pvar,
    fixup_spve_spve, free_fixup_function, module_exports, param_export_t, pv_export_t, sip_msg,
    sr_kemi_modules_add, sr_kemi_t,
};
use super::guard::{self, functions};
use super::message::Message;
use super::{counters, memory, params, processes, rpc, transactions, variables};
use crate::functions as run;
use crate::state;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

/// A value that C reads by its symbol or through a pointer in a table.
#[repr(transparent)]
pub struct Shared<T>(T);

impl<T> Shared<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }
}

// SAFETY: Kamailio reads these while it loads modules, before it forks and on its only thread.
unsafe impl<T> Sync for Shared<T> {}

functions! {
    check_identity, kemi_check_identity => run::check_identity, (key_path), _unused;
    check_identity_pubkey, kemi_check_identity_pubkey => run::check_identity_pubkey, (key), _unused;
    check, kemi_check => run::check, (identity key_path);
    verify, kemi_verify => run::verify, (identity key opts);
    add_identity, kemi_add_identity => run::add_identity, (orig dest attest origid x5u key_path);
    build_identity, kemi_build_identity => run::build_identity, (orig dest attest origid x5u key_path);
    build_identity_prvkey, kemi_build_identity_prvkey => run::build_identity_prvkey, (orig dest attest origid x5u key);
    sign, kemi_sign => run::sign, (headers payload key_path);
    sign_prvkey, kemi_sign_prvkey => run::sign_prvkey, (headers payload key);
    fetch_async, kemi_fetch_async => run::fetch_async, (route), _unused;
    add_div, kemi_add_div => run::add_div, (orig dest div x5u key_path);
}

/// secsipid_set_verstat has no arguments.
unsafe extern "C" fn set_verstat(msg: *mut sip_msg, _: *mut c_char, _: *mut c_char) -> c_int {
    // SAFETY: Kamailio calls with the message at hand.
    guard::call(|| Ok(run::set_verstat(&unsafe { Message::new(msg) })))
}

unsafe extern "C" fn kemi_set_verstat(msg: *mut sip_msg) -> c_int {
    // SAFETY: KEMI calls with the message at hand.
    guard::call(|| Ok(run::set_verstat(&unsafe { Message::new(msg) })))
}

/// secsipid_get_url writes into a variable, which no other function does.
unsafe extern "C" fn get_url(msg: *mut sip_msg, url: *mut c_char, variable: *mut c_char) -> c_int {
    guard::call(|| {
        // SAFETY: Kamailio calls with the message and the arguments as fixed up.
        let url = unsafe { guard::argument(msg, url, 1) }?;
        let (outcome, body) = run::get_url(url);
        if let Some(body) = body {
            // SAFETY: as above.
            unsafe { guard::set_variable(msg, variable, &body) }?;
        }
        Ok(outcome)
    })
}

/// A function's row. Kamailio calls with as many arguments as `params` says, whatever the type of
/// the pointer: the casts below only change that type.
const fn command(
    name: &'static CStr,
    function: cmd_function,
    params: c_int,
    fixup: fixup_function,
    free: free_fixup_function,
) -> cmd_export_t {
    cmd_export_t {
        name: name.as_ptr().cast_mut(),
        function,
        param_no: params,
        fixup,
        free_fixup: free,
        flags: KS_ANY_ROUTE,
    }
}

const COMMANDS_END: cmd_export_t = cmd_export_t {
    name: null_mut(),
    function: None,
    param_no: 0,
    fixup: None,
    free_fixup: None,
    flags: 0,
};

/// A function of three or six arguments, as a table wants it.
macro_rules! cast {
    ($function:path: ($($arg:ty),+)) => {
        // SAFETY: Kamailio casts back to the type with the row's number of arguments.
        unsafe {
            std::mem::transmute::<unsafe extern "C" fn(*mut sip_msg, $($arg),+) -> c_int, cmd_function>($function)
        }
    };
}

type P = *mut c_char;

static COMMANDS: Shared<[cmd_export_t; 14]> = Shared([
    command(
        c"secsipid_check_identity",
        Some(check_identity),
        1,
        Some(fixup_spve_null),
        Some(fixup_free_spve_null),
    ),
    command(
        c"secsipid_check_identity_pubkey",
        Some(check_identity_pubkey),
        1,
        Some(fixup_spve_null),
        Some(fixup_free_spve_null),
    ),
    command(c"secsipid_check", Some(check), 2, Some(fixup_spve_spve), Some(fixup_free_spve_spve)),
    command(
        c"secsipid_get_url",
        Some(get_url),
        2,
        Some(fixup_spve_pvar),
        Some(fixup_free_spve_pvar),
    ),
    command(
        c"secsipid_verify",
        cast!(verify: (P, P, P)),
        3,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_sign",
        cast!(sign: (P, P, P)),
        3,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_sign_prvkey",
        cast!(sign_prvkey: (P, P, P)),
        3,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_add_identity",
        cast!(add_identity: (P, P, P, P, P, P)),
        6,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_build_identity",
        cast!(build_identity: (P, P, P, P, P, P)),
        6,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_build_identity_prvkey",
        cast!(build_identity_prvkey: (P, P, P, P, P, P)),
        6,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    command(
        c"secsipid_add_div",
        cast!(add_div: (P, P, P, P, P)),
        5,
        Some(fixup_spve_all),
        Some(fixup_free_spve_all),
    ),
    cmd_export_t {
        flags: KS_WAITING_ROUTES,
        ..command(
            c"secsipid_fetch_async",
            Some(fetch_async),
            1,
            Some(transactions::fixup),
            Some(fixup_free_spve_null),
        )
    },
    command(c"secsipid_set_verstat", Some(set_verstat), 0, None, None),
    COMMANDS_END,
]);

type Parameter = unsafe extern "C" fn(u32, *mut c_void) -> c_int;

const fn parameter(name: &'static CStr, kind: u32, set: Parameter) -> param_export_t {
    param_export_t {
        name: name.as_ptr().cast_mut(),
        type_: kind | KS_PARAM_USE_FUNC,
        param_pointer: set as *mut c_void,
    }
}

const PARAMETERS_END: param_export_t =
    param_export_t { name: null_mut(), type_: 0, param_pointer: null_mut() };

static PARAMETERS: Shared<[param_export_t; 51]> = Shared([
    parameter(c"expire", PARAM_INT, params::expire),
    parameter(c"clock_skew", PARAM_INT, params::clock_skew),
    parameter(c"timeout", PARAM_INT, params::timeout),
    parameter(c"cache_expire", PARAM_INT, params::cache_expire),
    parameter(c"cache_size", PARAM_INT, params::cache_size),
    parameter(c"key_tables", PARAM_INT, params::key_tables),
    parameter(c"cache_dir", PARAM_STR, params::cache_dir),
    parameter(c"x5u", PARAM_STR, params::x5u),
    parameter(c"http_ca_file", PARAM_STR, params::http_ca_file),
    parameter(c"http_proxy", PARAM_STR, params::http_proxy),
    parameter(c"libopt", PARAM_STR, params::libopt),
    parameter(c"modproc", PARAM_STR, params::modproc),
    parameter(c"max_identity", PARAM_INT, params::max_identity),
    parameter(c"max_dest", PARAM_INT, params::max_dest),
    parameter(c"base_passport", PARAM_INT, params::base_passport),
    parameter(c"div_expire", PARAM_INT, params::div_expire),
    parameter(c"spc_match", PARAM_INT, params::spc_match),
    parameter(c"tn_authlist_match", PARAM_INT, params::tn_authlist_match),
    parameter(c"tn_max_digits", PARAM_INT, params::tn_max_digits),
    parameter(c"add_date", PARAM_INT, params::add_date),
    parameter(c"policy", PARAM_STR, params::policy),
    parameter(c"trust_anchors", PARAM_STR, params::trust_anchors),
    parameter(c"trust_anchors_key", PARAM_STR, params::trust_anchors_key),
    parameter(c"trust_anchors_stale", PARAM_INT, params::trust_anchors_stale),
    parameter(c"trust_intermediates", PARAM_STR, params::trust_intermediates),
    parameter(c"trust_intermediates_key", PARAM_STR, params::trust_intermediates_key),
    parameter(c"crl", PARAM_STR, params::crl),
    parameter(c"crl_required", PARAM_INT, params::crl_required),
    parameter(c"x5u_permit", PARAM_STR, params::x5u_permit),
    parameter(c"x5u_deny", PARAM_STR, params::x5u_deny),
    parameter(c"cert_profile", PARAM_STR, params::cert_profile),
    parameter(c"cert_policies", PARAM_STR, params::cert_policies),
    parameter(c"orig_source", PARAM_STR, params::orig_source),
    parameter(c"dest_source", PARAM_STR, params::dest_source),
    parameter(c"replay", PARAM_STR, params::replay),
    parameter(c"country_code", PARAM_STR, params::country_code),
    parameter(c"national_prefix", PARAM_STR, params::national_prefix),
    parameter(c"international_prefix", PARAM_STR, params::international_prefix),
    parameter(c"cert_path", PARAM_STR, params::cert_path),
    parameter(c"rcd_nam", PARAM_STR, params::rcd_nam),
    parameter(c"reason_protocol", PARAM_STR, params::reason_protocol),
    parameter(c"ppi", PARAM_STR, params::ppi),
    parameter(c"fetchers", PARAM_INT, params::fetchers),
    parameter(c"async_workers", PARAM_INT, params::async_workers),
    parameter(c"cache_min", PARAM_INT, params::cache_min),
    parameter(c"cache_max", PARAM_INT, params::cache_max),
    parameter(c"stale_if_error", PARAM_INT, params::stale_if_error),
    parameter(c"negative_ttl", PARAM_INT, params::negative_ttl),
    parameter(c"cache_url", PARAM_STR, params::cache_url),
    parameter(c"prefetch_file", PARAM_STR, params::prefetch_file),
    PARAMETERS_END,
]);

// SAFETY: all zeros is a value of this C struct: the one that ends the table.
const VARIABLES_END: pv_export_t = unsafe { std::mem::zeroed() };

static VARIABLES: Shared<[pv_export_t; 2]> = Shared([
    pv_export_t {
        name: string(c"secsipid"),
        // PVT_OTHER; its number differs between Kamailio's series.
        type_: super::bindings::_pv_type_PVT_OTHER,
        getf: Some(variables::get),
        setf: None,
        parse_name: Some(variables::parse_name),
        parse_index: None,
        init_param: None,
        iparam: 0,
    },
    VARIABLES_END,
]);

const fn string(text: &'static CStr) -> _str {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "names are short"
    )]
    let len = text.count_bytes() as c_int;
    _str { s: text.as_ptr().cast_mut(), len }
}

const fn kemi(
    name: &'static CStr,
    returns: u32,
    function: *mut c_void,
    params: usize,
) -> sr_kemi_t {
    let mut ptypes = [SR_KEMIP_NONE as c_int; 6];
    let mut n = 0;
    while n < params {
        ptypes[n] = SR_KEMIP_STR as c_int;
        n += 1;
    }
    sr_kemi_t {
        mname: string(c"secsipid"),
        fname: string(name),
        rtype: returns as c_int,
        func: function,
        ptypes,
    }
}

// SAFETY: all zeros is a value of this C struct: the one that ends the table.
const KEMI_END: sr_kemi_t = unsafe { std::mem::zeroed() };

static KEMI: Shared<[sr_kemi_t; 15]> = Shared([
    kemi(c"secsipid_check_identity", SR_KEMIP_INT, kemi_check_identity as *mut c_void, 1),
    kemi(
        c"secsipid_check_identity_pubkey",
        SR_KEMIP_INT,
        kemi_check_identity_pubkey as *mut c_void,
        1,
    ),
    kemi(c"secsipid_check", SR_KEMIP_INT, kemi_check as *mut c_void, 2),
    kemi(c"secsipid_verify", SR_KEMIP_INT, kemi_verify as *mut c_void, 3),
    kemi(c"secsipid_get_url", SR_KEMIP_XVAL, variables::kemi_get_url as *mut c_void, 1),
    kemi(c"secsipid_add_identity", SR_KEMIP_INT, kemi_add_identity as *mut c_void, 6),
    kemi(c"secsipid_build_identity", SR_KEMIP_INT, kemi_build_identity as *mut c_void, 6),
    kemi(
        c"secsipid_build_identity_prvkey",
        SR_KEMIP_INT,
        kemi_build_identity_prvkey as *mut c_void,
        6,
    ),
    kemi(c"secsipid_sign", SR_KEMIP_INT, kemi_sign as *mut c_void, 3),
    kemi(c"secsipid_sign_prvkey", SR_KEMIP_INT, kemi_sign_prvkey as *mut c_void, 3),
    kemi(c"secsipid_get_val", SR_KEMIP_XVAL, variables::kemi_get_val as *mut c_void, 0),
    kemi(c"secsipid_add_div", SR_KEMIP_INT, kemi_add_div as *mut c_void, 5),
    kemi(c"secsipid_fetch_async", SR_KEMIP_INT, kemi_fetch_async as *mut c_void, 1),
    kemi(c"secsipid_set_verstat", SR_KEMIP_INT, kemi_set_verstat as *mut c_void, 0),
    KEMI_END,
]);

/// The Kamailio that this was built for; with a NUL behind it, as C reads it.
pub(crate) static VERSION: &str = concat!(env!("KAMAILIO_MODULE_VERSION"), "\0");

/// What Kamailio looks up by name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, missing_docs)]
pub static module_version: Shared<*const c_char> = Shared(VERSION.as_ptr().cast());

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, missing_docs)]
pub static module_flags: Shared<*const c_char> =
    Shared(concat!(env!("KAMAILIO_MODULE_FLAGS"), "\0").as_ptr().cast());

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, missing_docs)]
pub static module_interface_ver: u32 = MODULE_INTERFACE_VER;

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, missing_docs)]
pub static exports: Shared<module_exports> = Shared(module_exports {
    name: c"secsipid".as_ptr().cast_mut(),
    dlflags: 0,
    cmds: (&raw const COMMANDS).cast_mut().cast(),
    params: (&raw const PARAMETERS).cast_mut().cast(),
    rpc_methods: (&raw const rpc::COMMANDS).cast_mut().cast(),
    pv_items: (&raw const VARIABLES).cast_mut().cast(),
    response_f: None,
    init_mod_f: Some(mod_init),
    init_child_f: Some(processes::child_init),
    destroy_mod_f: None,
});

/// Called as the module is loaded, before parameters are read.
#[unsafe(no_mangle)]
unsafe extern "C" fn mod_register(
    _path: *mut c_char,
    _dlflags: *mut c_int,
    _reserved1: *mut c_void,
    _reserved2: *mut c_void,
) -> c_int {
    super::log::start();
    guard::log_panics();
    // SAFETY: Kamailio keeps the table's address and only reads; the module is never unmapped.
    unsafe { sr_kemi_modules_add((&raw const KEMI).cast_mut().cast()) }
}

/// Called once before Kamailio forks, after all parameters are read.
unsafe extern "C" fn mod_init() -> c_int {
    if !memory::take() {
        log::error!("no shared memory is left for it: give Kamailio more (-m)");
        return -1;
    }
    match guard::catch(|| state::init(transactions::load())) {
        Some(Ok(())) => match counters::register() {
            0 => processes::announce(),
            failed => failed,
        },
        Some(Err(error)) => {
            log::error!("{}", error.message());
            -1
        }
        None => -1,
    }
}
