//! Files that have their name only once they are whole: whoever reads a directory of exports while one is made,
//! or after one was interrupted, never sees half a file.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::invoker;

/// What is done to files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They are an error.
    Keep,
    /// They are replaced.
    Replace,
}

/// Files being written. Those that are not committed are removed.
#[derive(Debug)]
pub struct Files {
    existing: Existing,
    /// Where it is now, and where it will be.
    pending: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    /// None yet.
    #[must_use]
    pub fn new(existing: Existing) -> Self {
        Self { existing, pending: Vec::new() }
    }

    /// A file that will have this name. It belongs to the user behind sudo.
    ///
    /// # Errors
    /// When there is one and it is to be kept, or it cannot be written.
    pub fn create(&mut self, path: &Path) -> anyhow::Result<BufWriter<File>> {
        let is_there = match fs::metadata(path) {
            // A pipe or a device is written to; a name cannot be given to what went through it.
            Ok(there) if !there.is_file() => {
                let file = File::options().write(true).open(path);
                return Ok(BufWriter::new(file.with_context(|| format!("cannot write {}", path.display()))?));
            }
            Ok(_) => true,
            Err(_) => false,
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        if self.existing == Existing::Replace {
            // One that is not there is what is wanted.
            let _ = fs::remove_file(&part);
        } else if let Some(there) =
            [(is_there, path), (part.exists(), &part)].iter().find_map(|(there, path)| there.then_some(path))
        {
            bail!("{} exists: --force replaces it", there.display());
        }
        let file = invoker::create_new(&part)?;
        self.pending.push((part, path.to_owned()));
        Ok(BufWriter::with_capacity(1 << 16, file))
    }

    /// Gives every file its name. Whoever wrote to them has flushed.
    ///
    /// # Errors
    /// When a name cannot be given.
    pub fn commit(&mut self) -> io::Result<()> {
        for (part, path) in std::mem::take(&mut self.pending) {
            fs::rename(&part, &path)?;
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for (part, _) in &self.pending {
            // Nobody is left to be told.
            let _ = fs::remove_file(part);
        }
    }
}
