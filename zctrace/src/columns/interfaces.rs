//! Columns of interfaces: how long pages are lent, by what lent them.

use std::sync::Arc;

use super::{Behind, Cell, Column, Head, SortKey, Tone, number};
use crate::board::Picture;
use crate::board::picture::ApiStats;
use crate::distribution::Distribution;
use crate::model::Api;
use crate::text;

/// One interface, or all together.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Which; `None`: all.
    pub api: Option<Api>,
    /// Numbers.
    pub stats: Arc<ApiStats>,
}

/// All together, then each.
#[must_use]
pub fn interfaces(p: &Picture) -> Vec<Interface> {
    let each = p.apis.iter().map(|(api, stats)| Interface { api: Some(*api), stats: Arc::clone(stats) });
    std::iter::once(Interface { api: None, stats: Arc::clone(&p.all) }).chain(each).collect()
}

type Cells = Column<Interface>;

const fn quantile(
    title: &'static str,
    help: &'static str,
    rank: u8,
    cell: fn(&Interface, &Picture) -> Cell,
    key: fn(&Interface, &Picture) -> SortKey,
) -> Cells {
    number(title, help, 9, rank, cell, key, |i, _| all(i))
}

fn at(d: &Distribution, q: f64) -> Cell {
    Cell::ns(d.quantile(q))
}

/// Every column of an interface.
pub static INTERFACES: &[Cells] = &[
    Cells {
        head: Head {
            title: "API",
            help: "the interface that lent the pages",
            width: 10,
            flex: 1,
            right: false,
            rank: 0,
        },
        cell: |i, _| Cell::new(name(i), Tone::Title),
        key: |i, _| name(i).into(),
        behind: |i, _| all(i),
    },
    number(
        "TRANSFERS",
        "transfers whose fate is known",
        9,
        1,
        |i, _| Cell::count(i.stats.stats.transfers, Tone::Plain),
        |i, _| i.stats.stats.transfers.into(),
        |i, _| all(i),
    ),
    quantile(
        "GAP p50",
        "half of the gaps are no longer",
        1,
        |i, _| at(&i.stats.stats.gap, 0.5),
        |i, _| i.stats.stats.gap.quantile(0.5).into(),
    ),
    quantile(
        "p90",
        "nine of ten gaps are no longer",
        5,
        |i, _| at(&i.stats.stats.gap, 0.9),
        |i, _| i.stats.stats.gap.quantile(0.9).into(),
    ),
    quantile(
        "p99",
        "99 of 100 gaps are no longer",
        1,
        |i, _| at(&i.stats.stats.gap, 0.99),
        |i, _| i.stats.stats.gap.quantile(0.99).into(),
    ),
    quantile(
        "max",
        "the longest gap",
        2,
        |i, _| Cell::ns(i.stats.stats.gap.max()),
        |i, _| i.stats.stats.gap.max().into(),
    ),
    quantile(
        "EXP. p50",
        "half of the exposures are no longer",
        4,
        |i, _| at(&i.stats.stats.exposure, 0.5),
        |i, _| i.stats.stats.exposure.quantile(0.5).into(),
    ),
    quantile(
        "p99",
        "99 of 100 exposures are no longer",
        3,
        |i, _| at(&i.stats.stats.exposure, 0.99),
        |i, _| i.stats.stats.exposure.quantile(0.99).into(),
    ),
    quantile(
        "max",
        "the longest exposure",
        6,
        |i, _| Cell::ns(i.stats.stats.exposure.max()),
        |i, _| i.stats.stats.exposure.max().into(),
    ),
    Cells {
        head: Head {
            title: "COPIED",
            help: "transfers that were no zero-copy, and the most frequent cause",
            width: 8,
            flex: 1,
            right: true,
            rank: 4,
        },
        cell: |i, _| match i.stats.copied.iter().max_by_key(|(_, n)| **n) {
            Some((why, _)) => {
                Cell::new(format!("{} {}", i.stats.stats.copied, text::copied(*why).0), Tone::Warn)
            }
            None => Cell::none(),
        },
        key: |i, _| i.stats.stats.copied.into(),
        behind: |i, _| with(i, "zerocopy:no"),
    },
    Cells {
        head: Head {
            title: "ENDED BY",
            help: "what ended the windows, the most frequent first",
            width: 18,
            flex: 2,
            right: false,
            rank: 7,
        },
        cell: |i, _| Cell { prose: true, ..Cell::plain(ended(i)) },
        key: |i, _| SortKey::Text(ended(i)),
        behind: |i, _| all(i),
    },
    number(
        "MUTATED",
        "transfers whose bytes could have changed while they were lent",
        7,
        8,
        |i, _| Cell::count(i.stats.stats.mutated, Tone::Bad),
        |i, _| i.stats.stats.mutated.into(),
        |i, _| with(i, "verdict:mutated"),
    ),
];

fn name(i: &Interface) -> &'static str {
    i.api.map_or("all", text::api)
}

fn ended(i: &Interface) -> String {
    let mut ways: Vec<_> = i.stats.released_by.iter().map(|(by, n)| (*n, text::released_by(*by))).collect();
    ways.sort_by_key(|(n, name)| (u64::MAX - n, *name));
    let total: u64 = ways.iter().map(|(n, _)| n).sum::<u64>().max(1);
    let share = |(n, name): &(u64, &str)| match (n * 100 + total / 2) / total {
        0 => format!("{name} <1%"),
        percent => format!("{name} {percent}%"),
    };
    let parts: Vec<String> = ways.iter().map(share).collect();
    parts.join(" ")
}

fn all(i: &Interface) -> Option<Behind> {
    Behind::transfers(i.api.map_or_else(String::new, |api| format!("api:{}", text::api(api))))
}

fn with(i: &Interface, more: &str) -> Option<Behind> {
    all(i).map(|b| Behind { filter: format!("{} {more}", b.filter).trim().into(), ..b })
}
