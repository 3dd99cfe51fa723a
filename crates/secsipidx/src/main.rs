//! `secsipidx`: STIR/SHAKEN on the command line and over HTTP.
//!
//! Without a subcommand it takes the flags of the stock tool of this name ([`stock`]).
#![forbid(unsafe_code)]

mod input;
mod keys;
mod output;
mod stock;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    stock::run(args)
}
