//! What changes the content once the API has said that it is done.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;

use super::raw::Mapping;
use super::{Writer, content};
use crate::source::monotonic_ns;

/// A change with all that it needs, so that carrying it out is one call.
pub(super) enum Change {
    Nothing,
    Write(File),
    Store(Rc<Mapping>),
    Truncate(File),
}

impl Change {
    /// Of the file at `path`; of `memory` if there is none.
    pub(super) fn new(
        writer: Writer,
        path: Option<&Path>,
        memory: Option<&Rc<Mapping>>,
        len: usize,
    ) -> io::Result<Self> {
        let file = path.map(|path| File::options().read(true).write(true).open(path)).transpose()?;
        Ok(match (writer, file, memory) {
            (Writer::None, _, _) => Self::Nothing,
            (Writer::Write, Some(file), _) => Self::Write(file),
            (Writer::Mmap, Some(file), _) => Self::Store(Rc::new(Mapping::shared(&file, len)?)),
            (Writer::Truncate, Some(file), _) => Self::Truncate(file),
            (Writer::Write, None, Some(memory)) => Self::Store(Rc::clone(memory)),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    /// Carries it out; answers when it began and ended.
    pub(super) fn perform(&self, len: usize) -> io::Result<Option<(u64, u64)>> {
        let (at, marks) = (content::changed(len).start, content::marks(len));
        let began = monotonic_ns();
        match self {
            Self::Nothing => return Ok(None),
            Self::Write(file) => file.write_all_at(&marks, at as u64)?,
            Self::Store(memory) => memory.store(at, &marks)?,
            Self::Truncate(file) => file.set_len(content::left(len) as u64)?,
        }
        Ok(Some((began, monotonic_ns())))
    }
}
