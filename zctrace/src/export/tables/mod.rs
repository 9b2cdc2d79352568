//! The tables: what CSV and Parquet have, and what `docs/export.md` says of it.

mod mutations;
mod traces;
mod transfers;

pub use mutations::{HITS, MUTATIONS, OneHit};
pub use traces::{LOSSES, TRACES};
pub use transfers::TRANSFERS;

use super::cell::{Cell, Column, Head, Kind, Null};
use super::origin::Origin;
use crate::model::FileRef;
use crate::text;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// [`TRACES`]
    Traces,
    /// [`TRANSFERS`]
    Transfers,
    /// [`MUTATIONS`]
    Mutations,
    /// [`HITS`]
    Hits,
    /// [`LOSSES`]
    Losses,
}

impl Which {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Traces, Self::Transfers, Self::Mutations, Self::Hits, Self::Losses];

    /// Its name, which is that of its file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Transfers => "transfers",
            Self::Mutations => "mutations",
            Self::Hits => "hits",
            Self::Losses => "losses",
        }
    }

    /// What a row of it is, and by what time it is put into a day.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Traces => {
                "one trace, that is: one header; a merged recording has several. Day: `start_time`."
            }
            Self::Transfers => "one transfer. Day: `submit_time`.",
            Self::Mutations => "one change that fell into at least one window. Day: `at_time`.",
            Self::Hits => "one transfer that one mutation hit. Day: `at_time`.",
            Self::Losses => "records that could not be delivered. Day: `from_time`.",
        }
    }

    /// What is said of its columns.
    #[must_use]
    pub fn heads(self) -> Vec<Head> {
        match self {
            Self::Traces => TRACES.heads(),
            Self::Transfers => TRANSFERS.heads(),
            Self::Mutations => MUTATIONS.heads(),
            Self::Hits => HITS.heads(),
            Self::Losses => LOSSES.heads(),
        }
    }
}

const fn column<T>(
    name: &'static str,
    kind: Kind,
    null: Null,
    meaning: &'static str,
    of: for<'a> fn(&'a Origin, &'a T) -> Cell<'a>,
) -> Column<T> {
    Column { head: Head { name, kind, null, meaning }, of }
}

/// What may be about a file.
trait OfFile {
    fn file(&self) -> Option<&FileRef>;
}

const fn file_dev<T: OfFile>(meaning: &'static str) -> Column<T> {
    column("file_dev", Kind::Text, Null::Unknown, meaning, |_, t| {
        Cell::word(t.file().map(|f| text::dev(f.id.dev)))
    })
}

const fn file_ino<T: OfFile>() -> Column<T> {
    column("file_ino", Kind::U64, Null::Unknown, "its inode number", |_, t| {
        Cell::number(t.file().map(|f| f.id.ino))
    })
}

const fn file_path<T: OfFile>() -> Column<T> {
    column("file_path", Kind::Text, Null::Unknown, "where it was found", |_, t| {
        Cell::hostile(t.file().and_then(|f| f.path.as_deref()))
    })
}

/// Which trace a row is of: first in every table.
const fn trace<T>() -> Column<T> {
    const MEANING: &str = "names the trace: the nanosecond of its start by the clock on the wall, and its host. Ids are unique in one trace, so tables are joined by this and the id";
    column("trace", Kind::Text, Null::Never, MEANING, |o, _| Cell::word(Some(o.trace.as_str())))
}

/// Which host: second in every table.
const fn host<T>() -> Column<T> {
    const MEANING: &str = "host name of the machine that was traced; null in recordings before it was kept";
    column("host", Kind::Text, Null::Unknown, MEANING, |o, _| Cell::word(o.host.as_deref()))
}
