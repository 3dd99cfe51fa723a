//! Module parameters: each is checked as the cfg is read, and a wrong one stops Kamailio.

use super::bindings::_str;
use super::guard;
use crate::state;
use std::ffi::{c_int, c_void};
use stir::{Code, Config, Error};

/// Makes the functions that Kamailio calls with a parameter's value: `int` ones get a number that
/// is not negative, `text` ones a `&str`.
macro_rules! parameters {
    (int: $($int:ident),+; text: $($text:ident => $set:expr),+;) => {
        $(pub(super) unsafe extern "C" fn $int(_kind: u32, value: *mut c_void) -> c_int {
            // Kamailio passes an int parameter's value in the pointer.
            #[allow(clippy::cast_possible_truncation)]
            let value = value as isize as c_int;
            set(|config| {
                config.$int = number(stringify!($int), value)?;
                Ok(())
            })
        })+
        $(pub(super) unsafe extern "C" fn $text(_kind: u32, value: *mut c_void) -> c_int {
            set(|config| {
                // SAFETY: Kamailio passes a str parameter as a pointer to a str that it keeps.
                let value = unsafe { guard::kemi_argument(value.cast::<_str>(), 1) }
                    .map_err(|e| Error::new(Code::Generic, format!("parameter {}: {}", stringify!($text), e.message())))?;
                let set: fn(&mut Config, &str) -> Result<(), Error> = $set;
                set(config, value)
            })
        })+
    };
}

parameters! {
    int: expire, clock_skew, timeout, cache_expire, cache_size;
    text:
        cache_dir => |config, value| { config.cache_dir = value.into(); Ok(()) },
        x5u => |config, value| { value.clone_into(&mut config.x5u); Ok(()) },
        http_ca_file => |config, value| { config.http_ca_file = value.into(); Ok(()) },
        http_proxy => |config, value| { value.clone_into(&mut config.http_proxy); Ok(()) },
        libopt => |config, value| config.set_option(value),
        // The stock module's second half, which is not needed here.
        modproc => |_, _| Ok(());
}

fn set(change: impl FnOnce(&mut Config) -> Result<(), Error>) -> c_int {
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
