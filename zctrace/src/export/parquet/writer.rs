//! One Parquet file: rows in, row groups out.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::SerializedFileWriter;

use super::group::{Buffer, Texts, Values};
use super::{Layout, schema};
use crate::export::cell::Cell;
use crate::export::tables::Which;

pub(super) struct TableWriter {
    file: SerializedFileWriter<BufWriter<File>>,
    /// Where in a row, and what of it waits.
    columns: Vec<(usize, Buffer)>,
    texts: Texts,
    waiting: usize,
}

impl TableWriter {
    pub(super) fn new(to: BufWriter<File>, table: Which, layout: Layout) -> anyhow::Result<Self> {
        let heads = schema::heads(table, layout);
        let (types, properties) = (schema::schema(table, &heads)?, schema::properties(&heads));
        let file = SerializedFileWriter::new(to, Arc::new(types), Arc::new(properties))?;
        let columns = heads.iter().map(|(at, head)| (*at, Buffer::new(head))).collect();
        Ok(Self { file, columns, texts: Texts::default(), waiting: 0 })
    }

    /// Rows that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        for (at, buffer) in &mut self.columns {
            buffer.push(row.get(*at).unwrap_or(&Cell::Null), &mut self.texts);
        }
        self.waiting += 1;
    }

    /// Writes what waits.
    pub(super) fn write_group(&mut self) -> anyhow::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (_, buffer) in &mut self.columns {
            let Some(mut to) = group.next_column()? else { anyhow::bail!("a column too many") };
            let (defs, reps) = (buffer.defs.as_deref(), buffer.reps.as_deref());
            match &buffer.values {
                Values::Bool(v) => to.typed::<BoolType>().write_batch(v, defs, reps)?,
                Values::Int32(v) => to.typed::<Int32Type>().write_batch(v, defs, reps)?,
                Values::Int64(v) => to.typed::<Int64Type>().write_batch(v, defs, reps)?,
                Values::Text(v) => {
                    to.typed::<ByteArrayType>().write_batch(&self.texts.texts(v), defs, reps)?
                }
            };
            to.close()?;
            buffer.clear();
        }
        group.close()?;
        self.texts = Texts::default();
        self.waiting = 0;
        Ok(())
    }

    /// Writes what waits, and the end of the file.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.write_group()?;
        self.file.into_inner()?.flush()?;
        Ok(())
    }
}
