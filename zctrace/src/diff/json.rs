//! The comparison for a program: one object. What is not known is `null`.

use serde_json::{Value, json as object};

use super::compare::{ALPHA, Change, Diff, Section};
use super::noise::STRETCHES;
use super::side::Key;

/// One JSON object; `names` as they are to be called, harmless.
#[must_use]
pub fn json(d: &Diff, names: &[String; 2]) -> Value {
    object!({
        "type": "diff",
        "schema": 1,
        "a": { "file": names[0], "about": d.heads[0] },
        "b": { "file": names[1], "about": d.heads[1] },
        "warnings": d.warnings,
        "noise": {
            "confidence": 1.0 - ALPHA,
            "stretches": STRETCHES,
            "compared": d.compared,
            "covers": "within these recordings, all intervals at once; not from run to run",
        },
        "worse": d.is_worse(),
        "groups": d.sections.iter().map(section).collect::<Vec<_>>(),
        "other_files": { "a": d.other_files[0], "b": d.other_files[1] },
        "other_processes": { "a": d.other_processes[0], "b": d.other_processes[1] },
    })
}

fn section(s: &Section) -> Value {
    let kind = match s.key {
        Key::Api(_) => "api",
        Key::File(_) => "file",
        Key::Process(_) => "process",
    };
    let pair = |[a, b]: [u64; 2]| object!({ "a": a, "b": b });
    let lines: serde_json::Map<String, Value> = s
        .lines
        .iter()
        .map(|l| {
            let change = match l.change {
                Change::TooFew => "too_few",
                Change::Noise => "noise",
                Change::Better => "better",
                Change::Worse => "worse",
            };
            let [a, b] = l.values;
            let line = match (l.at_most, l.ratio) {
                (Some([most_a, most_b]), _) => {
                    object!({ "a": a, "b": b, "at_most": { "a": most_a, "b": most_b }, "change": change })
                }
                (None, ratio) => object!({
                    "a": a,
                    "b": b,
                    "ratio": ratio.map(|(ratio, ..)| ratio),
                    "interval": ratio.map(|(_, low, high)| [low, high]),
                    "change": change,
                }),
            };
            let key = if l.what == "mutated" { "mutated".into() } else { l.what.replace(' ', "_") + "_ns" };
            (key, line)
        })
        .collect();
    object!({
        "kind": kind,
        "name": s.key.name(),
        "transfers": pair(s.transfers),
        "bytes": pair(s.bytes),
        "unknown": pair(s.unknown),
        "held": pair(s.held),
        "lines": lines,
    })
}
