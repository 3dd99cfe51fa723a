//! `secsipidx`: STIR/SHAKEN on the command line and over HTTP.
//!
//! The first argument decides: a subcommand ([`cli`]), or else the flags of the stock tool of this
//! name ([`stock`]).
#![forbid(unsafe_code)]
// They panic where nobody reads: `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cli;
mod commands;
mod doctor;
mod input;
mod inspect;
mod keys;
mod lab;
mod names;
mod output;
mod pki;
mod serve;
mod source;
mod sti;
mod stock;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    // -V and -h are no subcommands: the stock tool knows -h, and has its own exit status for it.
    let flags = args.first().is_none_or(|first| first.starts_with('-') && first != "--help");
    if flags { stock::run(args) } else { run(&Cli::parse().command) }
}

fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Sign(args) => commands::sign(args),
        Command::Check(args) => commands::check(args),
        Command::Inspect(args) => commands::inspect(args),
        Command::Keygen(args) => commands::keygen(args),
        Command::Csr(args) => lab::csr(args),
        Command::Ca(args) => lab::ca(args),
        Command::Lab(args) => lab::serve(args),
        Command::Enroll(args) => sti::enroll(args),
        Command::Renew(args) => sti::renew(args),
        Command::Trust(args) => sti::trust(args),
        Command::Keep(args) => sti::keep(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Fetch(args) => commands::fetch(args),
        Command::Serve(args) => serve::serve(args),
        Command::Bench(args) => bench::bench(args),
        Command::Completions { shell } => Ok(commands::completions(*shell)),
        Command::Man { folder } => commands::man(folder.as_deref()),
    };
    done.unwrap_or_else(|e| output::failed(&e))
}
