//! The one table of columns for each kind of row: title, meaning, width, cell, sort key, and which rows are
//! behind a number. Whoever lists rows reads it.

mod changes;
mod findings;
mod groups;
mod interfaces;
mod transfers;

use std::borrow::Cow;

pub use self::changes::CHANGES;
pub use self::findings::{FINDINGS, Finding, findings};
pub use self::groups::{FILES, PEERS, PROCESSES, SOCKETS, name as group_name, other_end, socket};
pub use self::interfaces::{INTERFACES, Interface, interfaces};
pub use self::transfers::{TRANSFERS, Waits, age_tone, told, verdict_of, waits_for};
use crate::board::Picture;
use crate::text;

/// What a piece of text says by its looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// A name of something.
    Title,
    /// As it should be.
    Good,
    /// Not certain, or getting worse.
    Warn,
    /// Lost, changed, stuck.
    Bad,
    /// Going on now.
    Live,
    /// A key to press.
    Key,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Text, harmless.
    pub text: Cow<'static, str>,
    /// How it is meant.
    pub tone: Tone,
    /// A bar of this part of the cell, 0 to 1, instead of the text.
    pub bar: Option<f64>,
    /// A sentence: where it is too long, its end can be left out. Of names that is the middle.
    pub prose: bool,
}

impl Cell {
    fn new(text: impl Into<Cow<'static, str>>, tone: Tone) -> Self {
        Self { text: text.into(), tone, bar: None, prose: false }
    }

    fn plain(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(text, Tone::Plain)
    }

    fn none() -> Self {
        Self::new("-", Tone::Dim)
    }

    /// A count; none is not worth a look.
    fn count(n: u64, tone: Tone) -> Self {
        if n == 0 { Self::none() } else { Self::new(n.to_string(), tone) }
    }

    fn ns(ns: Option<u64>) -> Self {
        ns.map_or_else(Self::none, |ns| Self::plain(text::ns(ns)))
    }

    fn bytes(n: u64) -> Self {
        if n == 0 { Self::none() } else { Self::plain(text::bytes(n)) }
    }
}

/// What rows are sorted by. What is not known comes last, or first the other way round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// Not known.
    None,
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl From<u64> for SortKey {
    fn from(n: u64) -> Self {
        Self::Number(n)
    }
}

impl From<Option<u64>> for SortKey {
    fn from(n: Option<u64>) -> Self {
        n.map_or(Self::None, Self::Number)
    }
}

impl From<&str> for SortKey {
    fn from(text: &str) -> Self {
        Self::Text(text.to_lowercase())
    }
}

/// Where rows can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Transfers.
    Transfers,
    /// Changes.
    Mutations,
}

/// The rows behind a number: of that kind, with that filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub rows: Rows,
    /// In the filter language.
    pub filter: String,
}

impl Behind {
    fn transfers(filter: impl Into<String>) -> Option<Self> {
        Some(Self { rows: Rows::Transfers, filter: filter.into() })
    }

    fn mutations(filter: impl Into<String>) -> Option<Self> {
        Some(Self { rows: Rows::Mutations, filter: filter.into() })
    }
}

/// What is said of a column.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// What stands above it.
    pub title: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Characters at least.
    pub width: u16,
    /// Its share of characters that are left over.
    pub flex: u16,
    /// Numbers stand at the right.
    pub right: bool,
    /// On a narrow terminal the largest go first.
    pub rank: u8,
}

/// One column of rows of kind `R`.
#[derive(Debug)]
pub struct Column<R: 'static> {
    /// What is said of it.
    pub head: Head,
    /// What stands in it.
    pub cell: fn(&R, &Picture) -> Cell,
    /// What it is sorted by.
    pub key: fn(&R, &Picture) -> SortKey,
    /// The rows behind it.
    pub behind: fn(&R, &Picture) -> Option<Behind>,
}

/// A column of numbers.
const fn number<R>(
    title: &'static str,
    help: &'static str,
    width: u16,
    rank: u8,
    cell: fn(&R, &Picture) -> Cell,
    key: fn(&R, &Picture) -> SortKey,
    behind: fn(&R, &Picture) -> Option<Behind>,
) -> Column<R> {
    let head = Head { title, help, width, flex: 0, right: true, rank };
    Column { head, cell, key, behind }
}

/// Quotes a value of a filter where that is needed.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-:@+~".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.into()
    } else {
        format!("\"{}\"", value.replace(['"', '\\'], "?"))
    }
}
