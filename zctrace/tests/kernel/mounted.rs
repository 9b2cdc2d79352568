//! File systems of their own, in files, gone when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Large enough for every file system.
const BYTES: u64 = 512 << 20;

pub(crate) struct Mounted {
    _dir: tempfile::TempDir,
    at: PathBuf,
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output();
    let out = out.unwrap_or_else(|e| panic!("this test cannot run without {program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Mounted {
    /// Makes one with `mkfs.KIND` and mounts it.
    pub(crate) fn new(kind: &str, args: &[&str]) -> Self {
        let dir = crate::tool::dir();
        let (image, at) = (dir.path().join("image"), dir.path().join(kind));
        std::fs::File::create(&image).unwrap().set_len(BYTES).unwrap();
        std::fs::create_dir(&at).unwrap();
        let (image, to) = (image.to_str().unwrap(), at.to_str().unwrap());
        run(&format!("mkfs.{kind}"), &[args, &[image]].concat());
        run("mount", &["-o", "loop", image, to]);
        Self { _dir: dir, at }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Whether a path lies on one of these.
    pub(crate) fn holds(path: &Path) -> bool {
        path.ends_with("xfs") || path.ends_with("btrfs")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}
