//! Debian packages, installed when root and missing.

use std::process::Command;

use anyhow::bail;

use crate::sh;

fn installed(package: &str) -> bool {
    sh::output(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]))
        .is_some_and(|s| s.ends_with("ok installed"))
}

/// Makes sure that packages are there.
///
/// # Errors
/// When they are missing and cannot be installed.
pub(crate) fn need(packages: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if sh::output(Command::new("apt-get").arg("--version")).is_none() {
        bail!("these Debian packages, or what your system has in their place, are needed: {list}");
    }
    if !sh::is_root() {
        bail!("packages are missing; as root: apt-get install {list}");
    }
    sh::run(Command::new("apt-get").args(["update", "-qq"]))?;
    sh::run(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(missing)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // A server package must not start its server.
            .env("RUNLEVEL", "1"),
    )
}
