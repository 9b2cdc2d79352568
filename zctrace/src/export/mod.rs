//! Facts for other tools: CSV, Parquet, Perfetto. (JSON lines are a sink of their own.)
//!
//! Owns the tables and their columns, which CSV, Parquet and `docs/export.md` share; how a hostile string
//! becomes harmless in each format; and files that are there only when they are whole. Everything streams:
//! memory does not grow with the recording.
//!
//! Absent: conclusions, and any query. What outgrows one machine is for engines that exist.

pub mod cell;
mod csv;
mod files;
pub mod origin;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
pub mod tables;
#[cfg(test)]
mod tests;

use std::io;

pub use self::csv::Csv;
pub use self::files::{Existing, Files};
#[cfg(feature = "parquet")]
pub use self::parquet::{Layout, Parquet};
pub use self::perfetto::Perfetto;

use self::cell::Cell;
use self::origin::{Origin, Origins};
use self::tables::{HITS, LOSSES, MUTATIONS, OneHit, TRACES, TRANSFERS, Which};
use crate::model::Fact;
use crate::sink::{Sink, Summary};

/// Where rows go.
pub trait Store {
    /// Takes one. `at_ns`: the moment that puts it into a day, nanoseconds of its trace's CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// When it cannot be written.
    fn row(&mut self, table: Which, origin: &Origin, at_ns: u64, row: &[Cell<'_>]) -> io::Result<()>;

    /// No more rows will come: everything becomes visible.
    ///
    /// # Errors
    /// When the rest cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Facts as rows of tables.
pub struct Tables<S> {
    origins: Origins,
    store: S,
}

impl<S: Store> Tables<S> {
    /// Into this store.
    pub fn new(store: S) -> Self {
        Self { origins: Origins::default(), store }
    }
}

impl<S: Store> Sink for Tables<S> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        let Self { origins, store } = self;
        match fact {
            Fact::Trace(t) => {
                origins.add(t);
                let origin = origins.of(t.part);
                store.row(Which::Traces, origin, t.start_ns, &TRACES.row(origin, t))
            }
            Fact::Transfer(t) => {
                let origin = origins.of(t.id.part());
                store.row(Which::Transfers, origin, t.submit_ns, &TRANSFERS.row(origin, t))
            }
            Fact::Mutation(m) => {
                let origin = origins.of(m.id.part());
                store.row(Which::Mutations, origin, m.at_ns, &MUTATIONS.row(origin, m))?;
                for hit in &m.hits {
                    let hit = OneHit { mutation: m.id, at_ns: m.at_ns, hit: *hit };
                    store.row(Which::Hits, origin, m.at_ns, &HITS.row(origin, &hit))?;
                }
                Ok(())
            }
            Fact::Loss(l) => {
                let origin = origins.of(l.part);
                store.row(Which::Losses, origin, l.from_ns, &LOSSES.row(origin, l))
            }
        }
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.store.finish()
    }
}

impl Sink for Box<dyn Sink> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        (**self).fact(fact)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn finish(&mut self, totals: &Summary) -> io::Result<()> {
        (**self).finish(totals)
    }
}

/// A sink whose files become visible when it has finished.
pub struct Whole<S> {
    sink: S,
    files: Files,
}

impl<S: Sink> Whole<S> {
    /// `files`: those that `sink` writes to.
    pub fn new(sink: S, files: Files) -> Self {
        Self { sink, files }
    }
}

impl<S: Sink> Sink for Whole<S> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        self.sink.fact(fact)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn finish(&mut self, totals: &Summary) -> io::Result<()> {
        self.sink.finish(totals)?;
        self.files.commit()
    }
}
