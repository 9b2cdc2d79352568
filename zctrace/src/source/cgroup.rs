//! cgroup id -> path. The id is the inode number of the cgroup's directory.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How many directories one look may visit: a hostile or huge tree must not stall the trace.
const LOOK: usize = 4096;

/// Remembers what it found, and what it did not.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: Option<PathBuf>,
    known: HashMap<u64, Option<String>>,
}

fn mount_point() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let at = words.nth(1)?;
        (words.next() == Some("cgroup2")).then(|| at.into())
    })
}

impl Cgroups {
    pub(super) fn new() -> Self {
        Self { root: mount_point(), known: HashMap::new() }
    }

    /// The path of `id` the first time it is asked for and found.
    pub(super) fn first(&mut self, id: u64) -> Option<String> {
        if self.known.contains_key(&id) {
            return None;
        }
        let found = self.root.as_deref().and_then(|root| find(root, id));
        self.known.insert(id, found.clone());
        found
    }
}

fn find(root: &Path, id: u64) -> Option<String> {
    let mut left = LOOK;
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&dir) else { continue };
        if meta.ino() == id {
            let inside = dir.strip_prefix(root).ok()?;
            return Some(format!("/{}", inside.display()));
        }
        left = left.checked_sub(1)?;
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        todo.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    None
}
