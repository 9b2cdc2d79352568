//! The user behind sudo: what is written under it belongs to them.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::Context as _;

/// Ids of that user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoker {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `SUDO_UID`/`SUDO_GID`, believed only by root.
#[must_use]
pub fn invoker() -> Option<Invoker> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |name: &str| std::env::var(name).ok()?.parse().ok();
    Some(Invoker { uid: id("SUDO_UID")?, gid: id("SUDO_GID")? })
}

/// Makes a file that belongs to the user; an existing one is replaced.
///
/// # Errors
/// When it cannot be written, or given away.
pub fn create(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    give(file, path)
}

/// As [`create`]; an existing one is an error.
///
/// # Errors
/// When it exists, cannot be written, or given away.
pub fn create_new(path: &Path) -> anyhow::Result<File> {
    let file = File::create_new(path).with_context(|| format!("cannot write {}", path.display()))?;
    give(file, path)
}

/// Makes a directory and those above it; the ones that were missing belong to the user.
///
/// # Errors
/// When one cannot be made, or given away.
pub fn create_dir_all(path: &Path) -> anyhow::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        create_dir_all(above)?;
    }
    match std::fs::create_dir(path) {
        // Somebody else was faster, for instance another export into the same tree.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made.with_context(|| format!("cannot make {}", path.display()))?,
    }
    if let Some(user) = invoker() {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
            .with_context(|| format!("giving {} to user {}", path.display(), user.uid))?;
    }
    Ok(())
}

/// As [`create`]; what is in an existing one stays there for now.
///
/// # Errors
/// When it cannot be written, or given away.
pub fn open(path: &Path) -> anyhow::Result<File> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    give(open.with_context(|| format!("cannot write {}", path.display()))?, path)
}

fn give(file: File, path: &Path) -> anyhow::Result<File> {
    if let Some(user) = invoker() {
        std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))
            .with_context(|| format!("giving {} to user {}", path.display(), user.uid))?;
    }
    Ok(file)
}
