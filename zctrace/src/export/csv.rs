//! CSV: a file for each table, quoted as RFC 4180 says, by the `csv` crate.
//!
//! A spreadsheet takes a field that begins with one of `= + - @` for a formula, and where its separator is `;` it
//! sees fields that nobody wrote. So text is written in a way that is neither, which can be undone, and which
//! `docs/export.md` describes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use csv::{Terminator, Writer, WriterBuilder};

use super::Store;
use super::cell::Cell;
use super::files::{Existing, Files};
use super::origin::Origin;
use super::tables::Which;
use crate::invoker;

/// Between the texts of a list.
const BETWEEN: &str = "|";

/// A directory of CSV files.
pub struct Csv {
    files: Files,
    tables: BTreeMap<Which, Writer<BufWriter<File>>>,
}

impl Csv {
    /// In that directory, which is made where it is missing.
    ///
    /// # Errors
    /// When a file is there and is to be kept, or cannot be written.
    pub fn new(dir: &Path, existing: Existing) -> anyhow::Result<Self> {
        invoker::create_dir_all(dir)?;
        let (mut files, mut tables) = (Files::new(existing), BTreeMap::new());
        for table in Which::ALL {
            let mut to = writer(files.create(&dir.join(format!("{}.csv", table.name())))?);
            to.write_record(table.heads().iter().map(|h| h.name))?;
            tables.insert(table, to);
        }
        Ok(Self { files, tables })
    }
}

fn writer<W: Write>(to: W) -> Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to)
}

impl Store for Csv {
    fn row(&mut self, table: Which, _: &Origin, _: u64, row: &[Cell<'_>]) -> io::Result<()> {
        if let Some(to) = self.tables.get_mut(&table) {
            for cell in row {
                to.write_field(field(cell).as_bytes())?;
            }
            to.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        for to in self.tables.values_mut() {
            to.flush()?;
        }
        self.files.commit()
    }
}

/// Null is empty.
fn field<'a>(cell: &'a Cell<'_>) -> Cow<'a, str> {
    match cell {
        Cell::Null => "".into(),
        Cell::Bool(flag) => if *flag { "true" } else { "false" }.into(),
        Cell::Number(n) => n.to_string().into(),
        Cell::Time(ns) => time(*ns).into(),
        Cell::Text(text) => tame(text),
        Cell::List(texts) => {
            let joined: Vec<_> = texts.iter().map(|t| t.replace(BETWEEN, "\\x7c")).collect();
            tame(&joined.join(BETWEEN)).into_owned().into()
        }
    }
}

/// `2026-11-25T17:06:51.000000001Z`
pub(super) fn time(ns: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(ns);
    humantime::format_rfc3339_nanos(at).to_string()
}

/// Harmless text that no spreadsheet takes for a formula, or for several fields.
fn tame(text: &str) -> Cow<'_, str> {
    let text: Cow<'_, str> = if text.contains(';') { text.replace(';', "\\x3b").into() } else { text.into() };
    match text.chars().next() {
        // The last four are the same characters, full width.
        Some('=' | '+' | '-' | '@' | '\'' | '＝' | '＋' | '－' | '＠') => format!("'{text}").into(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_formula() {
        for (text, field) in [
            ("nginx", "nginx"),
            ("=cmd()", "'=cmd()"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("'x", "''x"),
            ("＝1", "'＝1"),
            ("a;=1", "a\\x3b=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(tame(text), field);
        }
        assert_eq!(field(&Cell::List(vec!["-a|b".into(), "c".into()])), "'-a\\x7cb|c");
        assert_eq!(field(&Cell::Time(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
    }
}
