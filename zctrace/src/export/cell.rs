//! What a table is: columns with a name, a type, a meaning, and the way from a fact to the cell.
//!
//! Owns the one notion of a column that CSV, Parquet and `docs/export.md` share. Absent: any format.

use std::borrow::Cow;

use super::origin::Origin;
use crate::text;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// Up to 32 bits, never negative.
    U32,
    /// Up to 64 bits, never negative.
    U64,
    /// Nanoseconds: of CLOCK_MONOTONIC, or how long. Signed, so that differences can be.
    Ns,
    /// A moment by the clock on the wall, to the nanosecond, UTC.
    Time,
    /// Harmless text.
    Text,
    /// Any number of harmless texts, in order.
    List,
}

/// Whether a column can be without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// It always has one.
    Never,
    /// What is not known is null, never 0.
    Unknown,
}

/// What is said of a column.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Name; that of JSON, where it has one.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Nullable or not.
    pub null: Null,
    /// Meaning, for the docs.
    pub meaning: &'static str,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Not known.
    Null,
    /// [`Kind::Bool`]
    Bool(bool),
    /// [`Kind::U32`], [`Kind::U64`], [`Kind::Ns`]
    Number(u64),
    /// [`Kind::Time`]: nanoseconds since 1970, at most `i64::MAX`.
    Time(u64),
    /// [`Kind::Text`]
    Text(Cow<'a, str>),
    /// [`Kind::List`]
    List(Vec<Cow<'a, str>>),
}

/// The largest time that signed columns hold.
pub(super) const MAX_NS: u64 = i64::MAX.unsigned_abs();

impl<'a> Cell<'a> {
    /// A number, where it is known.
    pub(super) fn number(n: Option<impl Into<u64>>) -> Self {
        n.map_or(Self::Null, |n| Self::Number(n.into()))
    }

    /// Nanoseconds. What only a damaged recording can say stands as the largest.
    pub(super) fn ns(ns: Option<u64>) -> Self {
        ns.map_or(Self::Null, |ns| Self::Number(ns.min(MAX_NS)))
    }

    /// A moment, where the clock on the wall is known.
    pub(super) fn time(ns: Option<u64>) -> Self {
        ns.map_or(Self::Null, Self::Time)
    }

    /// What is known to be harmless: a code, or what `text` made of an address.
    pub(super) fn word(word: Option<impl Into<Cow<'a, str>>>) -> Self {
        word.map_or(Self::Null, |word| Self::Text(word.into()))
    }

    /// What was recorded, made harmless.
    pub(super) fn hostile(raw: Option<&'a (impl AsRef<[u8]> + ?Sized)>) -> Self {
        raw.map_or(Self::Null, |raw| Self::Text(text::harmless(raw.as_ref())))
    }

    /// Yes or no, where it is known.
    pub(super) fn flag(flag: Option<bool>) -> Self {
        flag.map_or(Self::Null, Self::Bool)
    }

    /// Codes or ids.
    pub(super) fn list(words: impl IntoIterator<Item = impl Into<Cow<'a, str>>>) -> Self {
        Self::List(words.into_iter().map(Into::into).collect())
    }
}

/// A column of facts of one kind.
pub struct Column<T: 'static> {
    /// What is said of it.
    pub head: Head,
    /// Its value.
    pub of: for<'a> fn(&'a Origin, &'a T) -> Cell<'a>,
}

/// Columns of facts of one kind.
pub struct Table<T: 'static> {
    /// In order.
    pub columns: &'static [Column<T>],
}

impl<T> Table<T> {
    /// One row.
    #[must_use]
    pub fn row<'a>(&self, origin: &'a Origin, fact: &'a T) -> Vec<Cell<'a>> {
        self.columns.iter().map(|c| (c.of)(origin, fact)).collect()
    }

    /// What is said of its columns.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        self.columns.iter().map(|c| c.head).collect()
    }
}
