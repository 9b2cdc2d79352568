//! What is worth knowing about a trace as a whole: what was lost or is missing, which rules apply, why
//! something is not certain, what was copied, what ended windows. Each with the transfers behind it.

use super::{Behind, Cell, Column, Head, SortKey, Tone};
use crate::board::Picture;
use crate::engine::rules;
use crate::model::{LossWhat, Verdict};
use crate::text;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How often; `None`: that is not a number.
    pub count: Option<u64>,
    /// How it is meant.
    pub tone: Tone,
    /// What it means, a sentence.
    pub means: String,
    /// The transfers behind it.
    pub filter: Option<String>,
}

/// All of them, the gravest first.
#[must_use]
pub fn findings(p: &Picture) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(problem) = p.cursor.as_ref().and_then(|c| c.problem.as_deref()) {
        let means = text::harmless(problem.as_bytes()).into_owned();
        all.push(Finding {
            kind: "cut",
            name: String::new(),
            count: None,
            tone: Tone::Bad,
            means,
            filter: None,
        });
    }
    if p.unseen {
        let means =
            "there were too many changes and open windows to look at all of them: more may be CHANGED".into();
        all.push(Finding {
            kind: "partial",
            name: String::new(),
            count: None,
            tone: Tone::Warn,
            means,
            filter: None,
        });
    }
    for (what, n) in &p.losses {
        let tone = if *what == LossWhat::FreeMiss { Tone::Warn } else { Tone::Bad };
        let means = text::loss_sentence(*what, *n);
        all.push(Finding {
            kind: "lost",
            name: text::loss(*what).into(),
            count: Some(*n),
            tone,
            means,
            filter: Some("verdict:unknown".into()),
        });
    }
    for missing in p.info.iter().flat_map(|i| text::missing(i)) {
        all.push(Finding {
            kind: "missing",
            name: String::new(),
            count: None,
            tone: Tone::Bad,
            means: missing,
            filter: None,
        });
    }
    for ((rule, verdict), n) in &p.rules {
        let tone = match verdict {
            Verdict::Mutated => Tone::Bad,
            Verdict::Unknown => Tone::Warn,
            Verdict::Clean => Tone::Plain,
        };
        let means = rules::find(rule).map_or_else(String::new, |r| r.help.into());
        let filter = Some(format!("rule:{rule} verdict:{}", text::verdict(*verdict)));
        all.push(Finding { kind: "rule", name: (*rule).into(), count: Some(*n), tone, means, filter });
    }
    for (reason, n) in &p.reasons {
        let (code, sentence) = text::reason(*reason);
        all.push(Finding {
            kind: "unknown",
            name: code.into(),
            count: Some(*n),
            tone: Tone::Warn,
            means: sentence.into(),
            filter: Some(format!("reason:{code}")),
        });
    }
    for (content, n) in &p.contents {
        let name = text::content(*content);
        all.push(Finding {
            kind: "content",
            name: name.into(),
            count: Some(*n),
            tone: Tone::Plain,
            means: text::content_sentence(*content).into(),
            filter: Some(format!("content:{name}")),
        });
    }
    if p.all.copied.is_empty() && p.all.stats.transfers > 0 {
        all.push(Finding {
            kind: "copied",
            name: "none".into(),
            count: None,
            tone: Tone::Good,
            means: "every transfer was zero-copy".into(),
            filter: Some("zerocopy:yes".into()),
        });
    }
    for (why, n) in &p.all.copied {
        let (code, sentence) = text::copied(*why);
        all.push(Finding {
            kind: "copied",
            name: code.into(),
            count: Some(*n),
            tone: Tone::Warn,
            means: format!("no zero-copy: {sentence}"),
            filter: Some(format!("copied:{code}")),
        });
    }
    if p.all.stats.held > 0 {
        all.push(Finding {
            kind: "ended by",
            name: "held".into(),
            count: Some(p.all.stats.held),
            tone: Tone::Warn,
            means: "still lent when the trace ended".into(),
            filter: Some("outcome:held".into()),
        });
    }
    for (by, n) in &p.all.released_by {
        let name = text::released_by(*by);
        all.push(Finding {
            kind: "ended by",
            name: name.into(),
            count: Some(*n),
            tone: Tone::Plain,
            means: text::released_by_sentence(*by).into(),
            filter: Some(format!("by:{name}")),
        });
    }
    let whole = p.cursor.as_ref().is_none_or(|c| c.problem.is_none());
    if whole && p.losses.is_empty() && p.info.as_ref().is_some_and(|i| text::missing(i).next().is_none()) {
        let means = "nothing was lost, and no probe is missing. Windows that were opened before the trace began are not seen";
        all.insert(
            0,
            Finding {
                kind: "complete",
                name: String::new(),
                count: None,
                tone: Tone::Good,
                means: means.into(),
                filter: None,
            },
        );
    }
    all
}

type Cells = Column<Finding>;

/// Every column of a finding.
pub static FINDINGS: &[Cells] = &[
    Cells {
        head: Head {
            title: "KIND",
            help: "what sort of finding it is",
            width: 8,
            flex: 0,
            right: false,
            rank: 1,
        },
        cell: |f, _| Cell::new(f.kind, f.tone),
        key: |f, _| f.kind.into(),
        behind: |f, _| f.filter.clone().and_then(Behind::transfers),
    },
    Cells {
        head: Head {
            title: "NAME",
            help: "as in the JSON output and the filter language",
            width: 26,
            flex: 1,
            right: false,
            rank: 0,
        },
        cell: |f, _| Cell::new(f.name.clone(), Tone::Title),
        key: |f, _| SortKey::Text(f.name.clone()),
        behind: |f, _| f.filter.clone().and_then(Behind::transfers),
    },
    Cells {
        head: Head {
            title: "TRANSFERS",
            help: "how many; of what was lost, how many records",
            width: 9,
            flex: 0,
            right: true,
            rank: 0,
        },
        cell: |f, _| f.count.map_or_else(Cell::none, |n| Cell::count(n, f.tone)),
        key: |f, _| f.count.into(),
        behind: |f, _| f.filter.clone().and_then(Behind::transfers),
    },
    Cells {
        head: Head {
            title: "MEANS",
            help: "what follows from it",
            width: 30,
            flex: 6,
            right: false,
            rank: 0,
        },
        cell: |f, _| Cell { prose: true, ..Cell::plain(f.means.clone()) },
        key: |f, _| SortKey::Text(f.means.clone()),
        behind: |f, _| f.filter.clone().and_then(Behind::transfers),
    },
];
