//! Two sides, line by line, the gravest first.

use std::collections::BTreeSet;

use super::noise::{Count, Estimate, differ, estimate, ratio};
use super::side::{Kept, Key, Side, Sums};
use crate::model::{Mode, ProbeState, TraceInfo};
use crate::text;

/// How often all intervals together may be wrong.
pub(super) const ALPHA: f64 = 0.05;

/// Transfers below which counts say nothing.
const FEW_COUNTED: u64 = 100;

/// How a number changed from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// There are too few transfers to say.
    TooFew,
    /// By no more than chance explains.
    Noise,
    /// Shorter, or fewer.
    Better,
    /// Longer, or more.
    Worse,
}

/// One number.
#[derive(Clone, Debug)]
pub struct Line {
    /// `gap p50`
    pub what: &'static str,
    /// In A and in B; nanoseconds, or how many. `None`: there is none.
    pub values: [Option<u64>; 2],
    /// B/A with its interval; of counts there is none.
    pub ratio: Option<(f64, f64, f64)>,
    /// The largest shares that the counts leave possible.
    pub at_most: Option<[f64; 2]>,
    /// How it changed.
    pub change: Change,
}

/// Transfers of both sides that have something in common.
#[derive(Clone, Debug)]
pub struct Section {
    /// What.
    pub key: Key,
    /// In A and B.
    pub transfers: [u64; 2],
    /// Bytes in A and B.
    pub bytes: [u64; 2],
    /// Whose bytes could have changed.
    pub mutated: [u64; 2],
    /// Of which it is not known.
    pub unknown: [u64; 2],
    /// Still lent at the end.
    pub held: [u64; 2],
    /// Its numbers.
    pub lines: Vec<Line>,
}

impl Section {
    /// The gravest of its changes.
    #[must_use]
    pub fn change(&self) -> Change {
        self.lines.iter().map(|l| l.change).max().unwrap_or(Change::TooFew)
    }

    /// Only one side has it.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        self.transfers.contains(&0)
    }

    /// How far from the same, weighted by how many it concerns.
    fn weight(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an order")]
        let n = (self.transfers.iter().sum::<u64>() as f64).ln_1p();
        let far = self.lines.iter().filter(|l| l.change >= Change::Better).filter_map(|l| l.ratio);
        n * (1.0 + far.map(|(r, ..)| r.ln().abs()).fold(0.0, f64::max))
    }
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Diff {
    /// What of the two recordings differs or is missing: each alone can explain what follows. Harmless.
    pub warnings: Vec<String>,
    /// Where each came from, harmless.
    pub heads: [String; 2],
    /// Interfaces, files, processes; of each kind the gravest first.
    pub sections: Vec<Section>,
    /// Transfers of files beyond those that are told apart, in A and B.
    pub other_files: [u64; 2],
    /// Of processes.
    pub other_processes: [u64; 2],
    /// How many numbers were compared.
    pub compared: usize,
}

impl Diff {
    /// Something is longer or more than noise explains, or was mutated where nothing was.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let apis = self.sections.iter().filter(|s| matches!(s.key, Key::Api(_)));
        let mutated = apis.fold([0u64; 2], |[a, b], s| [a + s.mutated[0], b + s.mutated[1]]);
        self.sections.iter().any(|s| s.change() == Change::Worse) || (mutated[0] == 0 && mutated[1] > 0)
    }
}

/// What is compared of a group: filled once it is known how many comparisons there are.
struct Found {
    key: Key,
    times: Vec<Times>,
}

/// One quantile.
struct Times {
    what: &'static str,
    estimates: [Option<Estimate>; 2],
    plain: [Option<u64>; 2],
}

/// Compares; `cut`: what is wrong with the end of each.
#[must_use]
pub fn compare(a: &Side, b: &Side, cut: [Option<String>; 2]) -> Diff {
    let (a, b) = (a.0.borrow(), b.0.borrow());
    let keys: BTreeSet<&Key> = a.groups.keys().chain(b.groups.keys()).collect();
    let found: Vec<Found> = keys.iter().map(|key| found(key, a.groups.get(key), b.groups.get(key))).collect();
    // Interfaces share half of what may go wrong, files and processes a quarter each.
    let lines = |kind: fn(&Key) -> bool| {
        let of_kind = found.iter().filter(|f| kind(&f.key));
        of_kind
            .map(|f| 1 + f.times.iter().filter(|t| t.estimates.iter().all(Option::is_some)).count())
            .sum::<usize>()
    };
    let (apis, files, processes) = (lines(is_api), lines(is_file), lines(is_process));
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let alpha = |key: &Key| match key {
        Key::Api(_) => ALPHA / 2.0 / apis.max(1) as f64,
        Key::File(_) => ALPHA / 4.0 / files.max(1) as f64,
        Key::Process(_) => ALPHA / 4.0 / processes.max(1) as f64,
    };
    let mut sections: Vec<Section> =
        found.iter().map(|f| section(f, a.groups.get(&f.key), b.groups.get(&f.key), alpha(&f.key))).collect();
    sections.sort_by(|x, y| {
        let kind = |s: &Section| (is_file(&s.key), is_process(&s.key));
        let rank = |s: &Section| (s.change(), !s.is_of_one());
        kind(x)
            .cmp(&kind(y))
            .then(rank(y).cmp(&rank(x)))
            .then(y.weight().total_cmp(&x.weight()))
            .then(x.key.cmp(&y.key))
    });
    Diff {
        warnings: warnings(&a, &b, &cut),
        heads: [head(&a), head(&b)],
        sections,
        other_files: [a.others.0, b.others.0],
        other_processes: [a.others.1, b.others.1],
        compared: apis + files + processes,
    }
}

fn is_api(key: &Key) -> bool {
    matches!(key, Key::Api(_))
}

fn is_file(key: &Key) -> bool {
    matches!(key, Key::File(_))
}

fn is_process(key: &Key) -> bool {
    matches!(key, Key::Process(_))
}

fn found(key: &Key, a: Option<&Sums>, b: Option<&Sums>) -> Found {
    let points = [a, b].map(|s| s.map(|s| s.sample.points()).unwrap_or_default());
    let gaps = points.each_ref().map(|p| p.iter().map(|p| p.gap).collect::<Vec<_>>());
    let exposures = points
        .each_ref()
        .map(|p| p.iter().map(|p| p.exposure).filter(|ns| *ns != u64::MAX).collect::<Vec<_>>());
    let mut times = Vec::new();
    for (what, values, q) in [
        ("gap p50", &gaps, 0.5),
        ("gap p99", &gaps, 0.99),
        ("exposure p50", &exposures, 0.5),
        ("exposure p99", &exposures, 0.99),
    ] {
        let estimates = values.each_ref().map(|v| estimate(v, q));
        let [x, y] = values;
        let plain = [(x, estimates[0]), (y, estimates[1])]
            .map(|(values, estimate)| estimate.map_or_else(|| quantile(values, q), |e| Some(e.ns)));
        times.push(Times { what, estimates, plain });
    }
    Found { key: key.clone(), times }
}

/// Also of too few to compare.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn quantile(values: &[u64], q: f64) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * q).ceil() as usize).saturating_sub(1);
    sorted.get(at).copied()
}

fn section(f: &Found, a: Option<&Sums>, b: Option<&Sums>, alpha: f64) -> Section {
    let both = |of: fn(&Sums) -> u64| [a.map_or(0, of), b.map_or(0, of)];
    let mut lines: Vec<Line> = f
        .times
        .iter()
        .map(|Times { what, estimates, plain }| {
            let (ratio, change) = match estimates {
                [Some(a), Some(b)] => {
                    let r = ratio(*a, *b, alpha);
                    let change = if r.low > 1.0 {
                        Change::Worse
                    } else if r.high < 1.0 {
                        Change::Better
                    } else {
                        Change::Noise
                    };
                    (Some((r.ratio, r.low, r.high)), change)
                }
                _ => (None, Change::TooFew),
            };
            Line { what, values: *plain, ratio, at_most: None, change }
        })
        .collect();
    if let (Some(a), Some(b)) = (a, b) {
        let count = |s: &Sums| Count::of(s.transfers, s.mutated, s.slices.counts());
        let (x, y) = (count(a), count(b));
        let few = x.all.min(y.all) < FEW_COUNTED;
        let change = match differ(x, y, alpha) {
            _ if few => Change::TooFew,
            Some(true) => Change::Worse,
            Some(false) => Change::Better,
            None => Change::Noise,
        };
        lines.push(Line {
            what: "mutated",
            values: [Some(x.hit), Some(y.hit)],
            ratio: None,
            at_most: Some([x.at_most(), y.at_most()]),
            change,
        });
    }
    Section {
        key: f.key.clone(),
        transfers: both(|s| s.transfers),
        bytes: both(|s| s.bytes),
        mutated: both(|s| s.mutated),
        unknown: both(|s| s.unknown),
        held: both(|s| s.held),
        lines,
    }
}

fn head(k: &Kept) -> String {
    let Some(info) = k.infos.first() else {
        return "without a header".into();
    };
    let host = if info.host.is_empty() { String::new() } else { format!(" ({})", info.host) };
    let more = if k.infos.len() > 1 { format!(" and {} more", k.infos.len() - 1) } else { String::new() };
    let time = k.span.map_or(0, |(from, to)| to - from);
    let line = format!(
        "{} on Linux {}{host}{more}, {} in {}",
        info.tool,
        info.kernel,
        text::transfers(k.transfers),
        text::ns(time)
    );
    text::harmless(line.as_bytes()).into_owned()
}

/// Something of a header, in words.
type Of = fn(&TraceInfo) -> String;

/// What alone can explain a difference.
fn warnings(a: &Kept, b: &Kept, cut: &[Option<String>; 2]) -> Vec<String> {
    let mut all = Vec::new();
    for (name, side, cut) in [("A", a, &cut[0]), ("B", b, &cut[1])] {
        if let Some(problem) = cut {
            all.push(format!("{name} is not whole: {problem}"));
        }
        for (what, n) in &side.losses {
            all.push(format!("{name}: {}", text::loss_sentence(*what, *n)));
        }
        if side.transfers == 0 {
            all.push(format!("{name} has no transfers"));
        }
    }
    let of = |k: &Kept, of: Of| k.infos.iter().map(of).collect::<Vec<_>>().join(", ");
    let compared: [(&str, Of); 6] = [
        ("kernels", |i| i.kernel.clone()),
        ("hosts", |i| i.host.clone()),
        ("versions", |i| i.tool.clone()),
        ("filters", |i| if i.filters.is_empty() { "none".into() } else { i.filters.join(" ") }),
        ("fingerprints", |i| mode(i.fingerprint.mode).into()),
        ("missing probes", |i| {
            let missing = i.probes.iter().filter(|p| p.state == ProbeState::Missing);
            let names: Vec<_> = missing.map(|p| p.name.as_str()).collect();
            if names.is_empty() { "none".into() } else { names.join(" ") }
        }),
    ];
    for (what, value) in compared {
        let (x, y) = (of(a, value), of(b, value));
        if x != y {
            // What a host is called says less than what runs on it; a process id is another one each time.
            all.push(format!("{what} differ: A {}, B {}", or_none(&x), or_none(&y)));
        }
    }
    all.into_iter().map(|w| text::harmless(w.as_bytes()).into_owned()).collect()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "not recorded" } else { text }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Sample => "sample",
        Mode::Full => "full",
    }
}
