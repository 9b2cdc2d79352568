//! Parquet: a file for each table, or a tree of files by host and day.
//!
//! Owns the layout, and how much is in memory: rows wait for their row group, a bounded number of them over all
//! files, and a bounded number of files is open. The schema is that of the tables, see `docs/export.md`.

mod group;
mod names;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use self::writer::TableWriter;
use super::Store;
use super::cell::Cell;
use super::files::{Existing, Files};
use super::origin::Origin;
use super::tables::Which;
use crate::invoker;

/// Rows of a row group at most: what engines read at once.
const GROUP: usize = 1 << 16;
/// Rows that wait in memory, over all files: some 450 bytes each.
const WAITING: usize = 1 << 17;
/// Files that are open at once.
const OPEN: usize = if cfg!(test) { 8 } else { 256 };

/// Where files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `transfers.parquet`, ...
    Flat,
    /// `transfers/host=NAME/day=2026-11-25/NAME.parquet`, ...: many exports in one tree.
    Partitioned,
}

/// Which file: table, and in a tree, trace and day.
type Key = (Which, Option<(String, Option<u64>)>);

struct Open {
    to: TableWriter,
    used: u64,
}

/// A directory of Parquet files.
pub struct Parquet {
    dir: PathBuf,
    layout: Layout,
    files: Files,
    open: BTreeMap<Key, Open>,
    /// How many files a key has had: one that was closed for want of room goes on in another.
    had: BTreeMap<Key, u32>,
    waiting: usize,
    clock: u64,
    /// Of each trace, where its first row was: an empty file of each table it has no rows for goes there.
    traces: BTreeMap<String, (Origin, u64)>,
}

impl Parquet {
    /// In that directory, which is made where it is missing.
    ///
    /// # Errors
    /// When a file is there and is to be kept, or cannot be written.
    pub fn new(dir: &Path, layout: Layout, existing: Existing) -> anyhow::Result<Self> {
        invoker::create_dir_all(dir)?;
        let mut this = Self {
            dir: dir.to_owned(),
            layout,
            files: Files::new(existing),
            open: BTreeMap::new(),
            had: BTreeMap::new(),
            waiting: 0,
            clock: 0,
            traces: BTreeMap::new(),
        };
        if layout == Layout::Flat {
            for table in Which::ALL {
                this.writer((table, None), &Origin::default(), 0)?;
            }
        }
        Ok(this)
    }

    fn key(&self, table: Which, origin: &Origin, at_ns: u64) -> Key {
        let of = match self.layout {
            Layout::Flat => None,
            Layout::Partitioned => Some((origin.trace.clone(), names::day(origin, at_ns))),
        };
        (table, of)
    }

    /// The open file of this key.
    fn writer(&mut self, key: Key, origin: &Origin, at_ns: u64) -> anyhow::Result<&mut TableWriter> {
        self.clock += 1;
        if !self.open.contains_key(&key) {
            self.make_room()?;
            let path = match &key.1 {
                None => self.dir.join(format!("{}.parquet", key.0.name())),
                Some(_) => {
                    let dir = self.dir.join(key.0.name()).join(names::partition(origin, at_ns));
                    invoker::create_dir_all(&dir)?;
                    let n = self.had.entry(key.clone()).or_default();
                    *n += 1;
                    dir.join(names::file(origin, at_ns, *n))
                }
            };
            let to = TableWriter::new(self.files.create(&path)?, key.0, self.layout)?;
            self.open.insert(key.clone(), Open { to, used: 0 });
        }
        let open = self.open.entry(key);
        let std::collections::btree_map::Entry::Occupied(open) = open else {
            anyhow::bail!("a file that was opened is not open");
        };
        let open = open.into_mut();
        open.used = self.clock;
        Ok(&mut open.to)
    }

    fn make_room(&mut self) -> anyhow::Result<()> {
        if self.open.len() >= OPEN
            && let Some(key) = self.open.iter().min_by_key(|(_, o)| o.used).map(|(key, _)| key.clone())
            && let Some(old) = self.open.remove(&key)
        {
            self.waiting -= old.to.waiting();
            old.to.close()?;
        }
        Ok(())
    }

    fn put(&mut self, table: Which, origin: &Origin, at_ns: u64, row: &[Cell<'_>]) -> anyhow::Result<()> {
        if self.layout == Layout::Partitioned && !self.traces.contains_key(&origin.trace) {
            self.traces.insert(origin.trace.clone(), (origin.clone(), at_ns));
        }
        let to = self.writer(self.key(table, origin, at_ns), origin, at_ns)?;
        to.push(row);
        let waiting = to.waiting();
        if waiting >= GROUP {
            to.write_group()?;
            // All but this row are among those that wait.
            self.waiting -= waiting - 1;
            return Ok(());
        }
        self.waiting += 1;
        if self.waiting >= WAITING
            && let Some(most) = self.open.values_mut().max_by_key(|o| o.to.waiting())
        {
            self.waiting -= most.to.waiting();
            most.to.write_group()?;
        }
        Ok(())
    }

    /// So that a query of a tree finds every table, whatever its traces had to say.
    fn put_empty(&mut self) -> anyhow::Result<()> {
        for (origin, at_ns) in std::mem::take(&mut self.traces).into_values() {
            for table in Which::ALL {
                let has = |key: &Key| key.0 == table && key.1.as_ref().is_some_and(|of| of.0 == origin.trace);
                if !self.had.keys().any(has) {
                    self.writer(self.key(table, &origin, at_ns), &origin, at_ns)?;
                }
            }
        }
        Ok(())
    }
}

impl Store for Parquet {
    fn row(&mut self, table: Which, origin: &Origin, at_ns: u64, row: &[Cell<'_>]) -> io::Result<()> {
        self.put(table, origin, at_ns, row).map_err(io_error)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.put_empty().map_err(io_error)?;
        for open in std::mem::take(&mut self.open).into_values() {
            open.to.close().map_err(io_error)?;
        }
        self.files.commit()
    }
}

/// A [`Store`] speaks of `io`.
fn io_error(e: anyhow::Error) -> io::Error {
    io::Error::other(format!("{e:#}"))
}
