//! `cargo xtask demo`: the main job, from a fresh clone.

use std::process::Command;

use anyhow::bail;

use crate::{debian, sh};

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    if sh::output(Command::new("cc").arg("--version")).is_none() {
        // Rust itself links with it.
        debian::need(&["gcc", "libc6-dev"])?;
    }
    sh::run(sh::cargo().args(["build", "--release", "--locked", "--package", "zctrace"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh::root().join("target"), Into::into);
    let zctrace = target.join("release/zctrace");
    let mut demo = if sh::is_root() || sh::output(Command::new("sudo").arg("--version")).is_none() {
        Command::new(zctrace)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(zctrace);
        sudo
    };
    let status = sh::status(demo.arg("demo").args(args))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => std::process::exit(code),
        None => bail!("the demo ended with {status}"),
    }
}
