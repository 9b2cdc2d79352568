//! `record -- CMD`: the command waits, stopped, until every probe is attached, then runs as the
//! user who called sudo.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::{Exit, Failure};
use crate::cli::ExecArgs;
use crate::invoker::invoker;

/// Starts the command, stopped before its exec.
pub(super) fn spawn(command: &[OsString]) -> anyhow::Result<std::process::Child> {
    let me = std::env::current_exe().context("finding this program's own file")?;
    let mut exec = Command::new(me);
    exec.arg("__exec");
    if let Some(user) = invoker() {
        exec.args(["--uid", &user.uid.to_string(), "--gid", &user.gid.to_string()]);
    }
    let child = exec.arg("--").args(command).spawn().context("starting the command")?;
    let pid = pid_of(&child)?;
    match waitpid(Some(pid), WaitOptions::UNTRACED) {
        Ok(Some((_, status))) if status.stopped() => Ok(child),
        Ok(_) => bail!("the command ended before it was started"),
        Err(e) => Err(e).context("waiting for the command"),
    }
}

fn pid_of(child: &std::process::Child) -> anyhow::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the child has no pid")
}

/// Lets the command go.
pub(super) fn go(child: &std::process::Child) -> anyhow::Result<()> {
    kill_process(pid_of(child)?, Signal::CONT).context("continuing the command")
}

/// Asks the command to end.
pub(super) fn terminate(child: &std::process::Child) {
    if let Ok(pid) = pid_of(child) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// The hidden verb: stop, then become the command.
pub(super) fn exec(args: &ExecArgs) -> anyhow::Result<Exit> {
    kill_process(getpid(), Signal::STOP).context("stopping")?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(Failure::usage("no command"));
    };
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(gid) = args.gid {
        command.gid(gid);
    }
    if let Some(uid) = args.uid {
        command.uid(uid);
    }
    // Only comes back when it failed.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}
