//! Where the page of a report goes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Failure;
use crate::cli::Source;
use crate::sink::{self, About, Page, Summary};
use crate::text;
use crate::trace::End;

/// What other commands call the recording; segments are given to those one by one.
pub(super) fn argument(source: &Source) -> String {
    match source.files.as_slice() {
        [file] => sink::argument(file),
        _ => "FILE".into(),
    }
}

/// Opens it. What is there is kept until there is a page.
pub(super) fn open(path: &Path, recordings: &[PathBuf]) -> anyhow::Result<File> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    if let Some(there) = id(path)
        && recordings.iter().any(|r| id(r) == Some(there))
    {
        return Err(Failure::usage("the page would replace the recording"));
    }
    crate::invoker::open(path)
}

/// Writes it, and says where.
pub(super) fn write(
    page: &Page,
    summary: &Summary,
    source: &Source,
    end: Option<&End>,
    (path, mut file): (&Path, File),
) -> anyhow::Result<()> {
    let first = source.files.first().map(|p| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy());
    let more = source.files.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let name = format!("{}{more}", first.unwrap_or_default());
    let problem = end.map(ToString::to_string);
    let html = page.html(summary, &About { name, argument: argument(source), problem });
    let mut write = || {
        // A pipe or a device has no length.
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        file.write_all(html.as_bytes())
    };
    write().with_context(|| path.display().to_string())?;
    eprintln!("zctrace: the page is {}", text::harmless(path.display().to_string().as_bytes()));
    Ok(())
}
