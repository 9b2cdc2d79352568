//! One file per verb. Here meet the command line, the stages and the exit codes.

#[cfg(feature = "live")]
mod capture;
#[cfg(feature = "live")]
mod child;
#[cfg(feature = "live")]
mod demo;
mod diff;
#[cfg(feature = "live")]
mod doctor;
mod explain;
mod export;
#[cfg(feature = "live")]
mod filters;
#[cfg(feature = "live")]
mod lab;
#[cfg(feature = "live")]
mod live;
mod merge;
mod page;
#[cfg(feature = "live")]
mod record;
#[cfg(feature = "tui")]
mod replay;
mod report;
#[cfg(feature = "tui")]
mod screen;
#[cfg(feature = "live")]
mod send;
#[cfg(all(feature = "live", feature = "tui"))]
mod watch;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Exit codes: documented in the help, tested, stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, nothing found.
    Done,
    /// What `--fail-on` asks for was found.
    Found,
    /// The command line makes no sense.
    Usage,
    /// The privileges or the kernel cannot do it.
    Cannot,
    /// Anything else.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Found => 1,
            Exit::Usage => 2,
            Exit::Cannot => 3,
            Exit::Failed => 4,
        })
    }
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Usage, message: message.into() }.into()
    }

    pub(crate) fn cannot(message: impl Into<String>) -> anyhow::Error {
        Self { exit: Exit::Cannot, message: message.into() }.into()
    }
}

/// Runs one command and says what to exit with; errors go to stderr.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let result = dispatch(cli);
    let exit = match result {
        Ok(exit) => exit,
        Err(e) => {
            // Whoever closed our stdout does not want to hear about it.
            if is_broken_pipe(&e) {
                Exit::Done
            } else {
                eprintln!("zctrace: {}", crate::text::harmless(format!("{e:#}").as_bytes()));
                e.downcast_ref::<Failure>().map_or(Exit::Failed, |f| f.exit)
            }
        }
    };
    exit.into()
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain().any(|c| {
        c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(feature = "live")]
fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        None => live::run(&cli.live),
        Some(Command::Record(args)) => record::run(&args),
        #[cfg(feature = "tui")]
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Send(args)) => send::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Exec(args)) => child::exec(&args),
        Some(Command::DemoSender(args)) => demo::send(&args),
        Some(Command::Lab(args)) => lab::run(&args),
        Some(Command::LabCells(args)) => lab::play(&args),
    }
}

#[cfg(not(feature = "live"))]
fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        #[cfg(feature = "tui")]
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        _ => Err(Failure::cannot("this zctrace was built without live tracing (cargo feature `live`)")),
    }
}
