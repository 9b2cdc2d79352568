//! Rows that wait for their row group, by column: Parquet is written one column after the other.

use std::collections::HashMap;

use parquet::data_type::ByteArray;

use crate::export::cell::{Cell, Head, Kind, Null};

/// Texts that are the same are kept once.
#[derive(Default)]
pub(super) struct Texts {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<ByteArray>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(n) = self.numbers.get(text) {
            return *n;
        }
        let n = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.into(), n);
        self.texts.push(text.into());
        n
    }

    /// The texts of these numbers.
    pub(super) fn texts(&self, numbers: &[u32]) -> Vec<ByteArray> {
        let text = |n: &u32| usize::try_from(*n).ok().and_then(|n| self.texts.get(n)).cloned();
        numbers.iter().map(|n| text(n).unwrap_or_default()).collect()
    }
}

/// Values of a column, without nulls.
pub(super) enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Vec<u32>),
}

/// A column.
pub(super) struct Buffer {
    pub(super) values: Values,
    /// 1: there is a value. `None`: there always is.
    pub(super) defs: Option<Vec<i16>>,
    /// 1: it belongs to the list before. `None`: not a list.
    pub(super) reps: Option<Vec<i16>>,
}

impl Buffer {
    pub(super) fn new(head: &Head) -> Self {
        let values = match head.kind {
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::U32 => Values::Int32(Vec::new()),
            Kind::U64 | Kind::Ns | Kind::Time => Values::Int64(Vec::new()),
            Kind::Text | Kind::List => Values::Text(Vec::new()),
        };
        let is_list = head.kind == Kind::List;
        let defs = (is_list || head.null == Null::Unknown).then(Vec::new);
        Self { values, defs, reps: is_list.then(Vec::new) }
    }

    pub(super) fn push(&mut self, cell: &Cell<'_>, texts: &mut Texts) {
        if let Cell::List(items) = cell {
            for (n, item) in items.iter().enumerate() {
                self.level(1, i16::from(n > 0));
                self.text(item, texts);
            }
            if items.is_empty() {
                self.level(0, 0);
            }
            return;
        }
        let is_there = *cell != Cell::Null;
        self.level(i16::from(is_there), 0);
        match (&mut self.values, cell) {
            (Values::Bool(to), Cell::Bool(flag)) => to.push(*flag),
            (Values::Int32(to), Cell::Number(n)) => {
                to.push(u32::try_from(*n).unwrap_or(u32::MAX).cast_signed());
            }
            (Values::Int64(to), Cell::Number(n) | Cell::Time(n)) => to.push(n.cast_signed()),
            (Values::Text(_), Cell::Text(text)) => self.text(text, texts),
            _ => debug_assert!(!is_there, "a cell of another kind than its column"),
        }
    }

    fn level(&mut self, def: i16, rep: i16) {
        if let Some(defs) = &mut self.defs {
            defs.push(def);
        }
        if let Some(reps) = &mut self.reps {
            reps.push(rep);
        }
    }

    fn text(&mut self, text: &str, texts: &mut Texts) {
        if let Values::Text(to) = &mut self.values {
            to.push(texts.number(text));
        }
    }

    /// For the next row group.
    pub(super) fn clear(&mut self) {
        match &mut self.values {
            Values::Bool(v) => v.clear(),
            Values::Int32(v) => v.clear(),
            Values::Int64(v) => v.clear(),
            Values::Text(v) => v.clear(),
        }
        for levels in [&mut self.defs, &mut self.reps].into_iter().flatten() {
            levels.clear();
        }
    }
}
