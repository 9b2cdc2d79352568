//! The `zctrace` program: parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    zctrace::cmd::run(zctrace::cli::Cli::parse())
}
