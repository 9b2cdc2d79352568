//! What a file says of itself: size and times.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// Differs where the file was changed; where it is the same the file may have been changed all the same:
/// by stores through a mapping, or, before Linux 6.13, within one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { size: meta.size(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}
