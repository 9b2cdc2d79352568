//! The rows of a view: which pass the filter, in which order. One interface to five kinds of rows.

use std::sync::Arc;

use super::ui::View;
use crate::board::filter::Filter;
use crate::board::group::Key;
use crate::board::{Item, Picture, Row};
use crate::columns::{
    Behind, CHANGES, Cell, Column, FILES, FINDINGS, Finding, Head, INTERFACES, Interface, PEERS, PROCESSES,
    SOCKETS, SortKey, TRANSFERS, findings, interfaces,
};
use crate::model::{Api, Mutation, MutationId, TransferId};

/// What stays the same of a row when rows move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// A transfer.
    Transfer(TransferId),
    /// A file, peer, socket or process.
    Group(Key),
    /// A change; one without a number by its time and place.
    Mutation(MutationId, u64, u64),
    /// An interface, or all.
    Api(Option<Api>),
    /// A finding.
    Finding(&'static str, String),
}

/// Rows of some kind.
pub trait Table {
    /// Its columns.
    fn heads(&self) -> Vec<&'static Head>;
    /// How many rows there are, filtered or not.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What stays the same of it.
    fn id(&self, row: usize) -> Option<Id>;
    /// One cell.
    fn cell(&self, row: usize, column: usize) -> Cell;
    /// The rows behind it.
    fn behind(&self, row: usize, column: usize) -> Option<Behind>;
    /// Rows that pass, sorted by that column or as is natural.
    fn order(&self, filter: &Filter, sort: Option<usize>, inverted: bool) -> Vec<usize>;
}

struct Typed<'a, R: 'static> {
    picture: &'a Picture,
    rows: Vec<&'a R>,
    columns: &'static [Column<R>],
    id: fn(&R) -> Id,
    passes: fn(&Filter, &R, &Picture) -> bool,
    /// The smallest first.
    natural: fn(&R) -> (u8, u64),
}

impl<R> Table for Typed<'_, R> {
    fn heads(&self) -> Vec<&'static Head> {
        self.columns.iter().map(|c| &c.head).collect()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> Option<Id> {
        self.rows.get(row).map(|r| (self.id)(r))
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        match (self.rows.get(row), self.columns.get(column)) {
            (Some(r), Some(c)) => (c.cell)(r, self.picture),
            _ => Cell::default(),
        }
    }

    fn behind(&self, row: usize, column: usize) -> Option<Behind> {
        let (row, column) = (self.rows.get(row)?, self.columns.get(column)?);
        (column.behind)(row, self.picture)
    }

    fn order(&self, filter: &Filter, sort: Option<usize>, inverted: bool) -> Vec<usize> {
        let passes = |i: &usize| {
            filter.is_empty() || self.rows.get(*i).is_some_and(|r| (self.passes)(filter, r, self.picture))
        };
        let mut order: Vec<usize> = (0..self.rows.len()).filter(passes).collect();
        let natural = |i: &usize| self.rows.get(*i).map(|r| (self.natural)(r));
        order.sort_by_key(natural);
        if let Some(column) = sort.and_then(|c| self.columns.get(c)) {
            let key = |i: &usize| self.rows.get(*i).map_or(SortKey::None, |r| (column.key)(r, self.picture));
            // Of numbers the largest are of interest, of names the first.
            if column.head.right == inverted {
                order.sort_by_cached_key(key);
            } else {
                order.sort_by_cached_key(|i| std::cmp::Reverse(key(i)));
            }
        } else if inverted {
            order.reverse();
        }
        order
    }
}

/// Looks at the rows of a view.
pub fn with_table<T>(view: View, sockets: bool, p: &Picture, look: impl FnOnce(&dyn Table) -> T) -> T {
    match view {
        View::Transfers => look(&Typed {
            picture: p,
            rows: p.items().collect(),
            columns: TRANSFERS,
            id: |i: &Item| Id::Transfer(i.t.id),
            passes: Filter::item,
            natural: |i| {
                let ended = i.t.release_ns.or(i.t.return_ns).unwrap_or(i.t.submit_ns);
                if i.is_open() { (0, i.t.submit_ns) } else { (1, u64::MAX - ended) }
            },
        }),
        View::Files => look(&groups(p, &p.files, FILES)),
        View::Peers if sockets => look(&groups(p, &p.sockets, SOCKETS)),
        View::Peers => look(&groups(p, &p.peers, PEERS)),
        View::Processes => look(&groups(p, &p.processes, PROCESSES)),
        View::Mutations => look(&Typed {
            picture: p,
            rows: p.mutations.iter().collect(),
            columns: CHANGES,
            id: |m: &Arc<Mutation>| Id::Mutation(m.id, m.at_ns, m.offset),
            passes: |f, m, p| f.mutation(m, p),
            natural: |m| (0, u64::MAX - m.at_ns),
        }),
        View::Gap => {
            let rows = interfaces(p);
            look(&Typed {
                picture: p,
                rows: rows.iter().collect(),
                columns: INTERFACES,
                id: |i: &Interface| Id::Api(i.api),
                passes: |_, _, _| true,
                natural: |_| (0, 0),
            })
        }
        View::Findings => {
            let rows = findings(p);
            look(&Typed {
                picture: p,
                rows: rows.iter().collect(),
                columns: FINDINGS,
                id: |f: &Finding| Id::Finding(f.kind, f.name.clone()),
                passes: |f, finding, _| {
                    let text = f.text().to_lowercase();
                    [finding.kind, &finding.name, &finding.means]
                        .iter()
                        .any(|t| t.to_lowercase().contains(&text))
                },
                natural: |_| (0, 0),
            })
        }
    }
}

fn groups<'a>(p: &'a Picture, rows: &'a [Row], columns: &'static [Column<Row>]) -> Typed<'a, Row> {
    Typed {
        picture: p,
        rows: rows.iter().collect(),
        columns,
        id: |r| Id::Group(r.group.key.clone()),
        passes: Filter::row,
        natural: |r| {
            let open = r.lent.windows > 0;
            if open { (0, u64::MAX - r.lent.bytes) } else { (1, u64::MAX - r.group.stats.last_ns) }
        },
    }
}
