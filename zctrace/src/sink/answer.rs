//! The one question a report is read for: did anything change while it was lent, who did it, what now. In
//! sentences, for whichever page they stand on; how they look is absent.

use std::path::Path;

use super::Summary;
use super::summary::Writer;
use crate::engine::rules::RULES;
use crate::model::{Reason, TransferId, Verdict};
use crate::text;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Something changed.
    Bad,
    /// Something may have.
    Unsure,
    /// Nothing did.
    Good,
    /// There is nothing to tell of.
    Empty,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// To be typed; harmless. Empty: it is only advice.
    pub(crate) command: String,
    /// What that is good for.
    pub(crate) why: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How bad it is.
    pub(crate) mood: Mood,
    /// In a word or two.
    pub(crate) short: &'static str,
    /// Harmless sentences.
    pub(crate) says: Vec<String>,
    /// What to do, the first thing first.
    pub(crate) next: Vec<Next>,
}

/// Longer ones would fill the line of a command.
const LONG: usize = 44;
/// Writers that are named.
const NAMED: usize = 3;

/// The recording as an argument of a shell, harmless; a word in its place where that cannot be.
#[must_use]
pub(crate) fn argument(file: &Path) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    match file.to_str() {
        Some(path) if path.len() > LONG || path.chars().any(text::acts) => "FILE".into(),
        Some(path) if !path.is_empty() && !path.starts_with('-') && path.chars().all(plain) => path.into(),
        Some(path) if !path.contains('\'') && !path.starts_with('-') => format!("'{path}'"),
        _ => "FILE".into(),
    }
}

/// What is the matter with this trace. `file`: what [`argument`] makes of its name.
#[must_use]
pub(crate) fn answer(s: &Summary, file: &str) -> Answer {
    let n = s.transfers();
    if n == 0 {
        let why = if s.cut {
            "What is left of this recording has no transfer that came to its end."
        } else {
            "Nothing that lends pages was seen. Was the traced process sending with sendfile(), splice(), \
             vmsplice(), MSG_ZEROCOPY or io_uring?"
        };
        return Answer {
            mood: Mood::Empty,
            short: "nothing was lent",
            says: vec![why.into()],
            next: Vec::new(),
        };
    }
    let (mutated, unsure) = (s.mutated(), s.unsure());
    let (mood, short, first) = match (mutated, unsure) {
        (0, 0) => {
            let says = if n == 1 {
                "The bytes of the one transfer did not change while they were lent.".into()
            } else {
                format!("The bytes of all {n} transfers stayed as they were while they were lent.")
            };
            (Mood::Good, "no", says)
        }
        (0, _) => {
            let says = format!("No change was seen, but in {} one could have gone unseen.", of(unsure, n));
            (Mood::Unsure, "not known", says)
        }
        _ => {
            let says = format!("The bytes of {} could have changed while they were lent.", of(mutated, n));
            (Mood::Bad, "yes", says)
        }
    };
    let mut says = vec![first];
    says.extend(writers(s).filter(|_| mood == Mood::Bad));
    if mood == Mood::Bad && unsure > 0 {
        says.push(format!("In {} more a change could have gone unseen.", text::transfers(unsure)));
    }
    if s.held() > 0 {
        says.push(format!("{} still lent when the trace ended.", were(s.held())));
    }
    let mut next = Vec::new();
    changed(s, file, &mut next);
    unseen(s, file, &mut next);
    open(s, file, &mut next);
    Answer { mood, short, says, next }
}

fn of(n: u64, all: u64) -> String {
    match n {
        _ if all == 1 => "the one transfer".into(),
        n if n == all => format!("all {all} transfers"),
        n => format!("{n} of {all} transfers"),
    }
}

fn were(n: u64) -> String {
    format!("{} {}", text::transfers(n), if n == 1 { "was" } else { "were" })
}

/// Who changed it.
fn writers(s: &Summary) -> impl Iterator<Item = String> {
    let all = Writer::sorted(&s.people);
    let named: Vec<String> = all
        .iter()
        .take(NAMED)
        .map(|((part, pid), w)| {
            let kinds: Vec<_> = w.kinds.keys().map(|k| text::mutation(*k)).collect();
            let on = s.host(*part).map_or_else(String::new, |host| format!(" on {host}"));
            let who = text::process(*pid, &w.comm);
            let changes =
                if w.mutations == 1 { "1 change".into() } else { format!("{} changes", w.mutations) };
            format!("{who}{on} ({}: {changes}, {})", kinds.join(", "), windows(w.hits))
        })
        .collect();
    let more = all.len().saturating_sub(NAMED);
    let more = match more {
        _ if s.people.other_writers.0 > 0 => " and many others".into(),
        0 => String::new(),
        1 => " and one other".into(),
        n => format!(" and {n} others"),
    };
    let says = (!named.is_empty()).then(|| format!("Changed by {}{more}.", named.join("; ")));
    says.into_iter()
}

/// `1 window`, `2 windows`
pub(crate) fn windows(n: u64) -> String {
    format!("{n} window{}", if n == 1 { "" } else { "s" })
}

fn explain(file: &str, id: Option<&TransferId>, why: &str) -> Option<Next> {
    id.map(|id| Next { command: format!("zctrace explain {file} {id}"), why: why.into() })
}

fn changed(s: &Summary, file: &str, next: &mut Vec<Next>) {
    if s.mutated() == 0 {
        return;
    }
    next.extend(explain(file, s.first.get(&Verdict::Mutated), "every record behind the first of them"));
    let rule = RULES.iter().find(|r| s.rules.contains_key(&(Verdict::Mutated, r.name)));
    next.extend(rule.map(|r| Next {
        command: format!("zctrace explain --rule {}", r.name),
        why: "what that means, and what to do".into(),
    }));
}

fn unseen(s: &Summary, file: &str, next: &mut Vec<Next>) {
    if s.unsure() == 0 {
        return;
    }
    let most = s.reasons.iter().max_by_key(|(reason, n)| (**n, std::cmp::Reverse(**reason)));
    next.extend(most.and_then(|(reason, _)| advice(*reason)));
    if s.mutated() == 0 {
        next.extend(explain(file, s.first.get(&Verdict::Unknown), "why the first of them is not certain"));
    }
}

fn open(s: &Summary, file: &str, next: &mut Vec<Next>) {
    let oldest = s.stuck.first().filter(|t| s.first.get(&Verdict::Unknown) != Some(&t.id) || s.mutated() > 0);
    next.extend(explain(file, oldest.map(|t| &t.id), "what the oldest that is still lent waits for"));
}

/// What would make it certain next time.
fn advice(reason: Reason) -> Option<Next> {
    let (command, why) = match reason {
        Reason::MutationsUnwatched | Reason::ProbeMissing => {
            ("sudo zctrace doctor", "which probes this kernel does not have, and why")
        }
        Reason::WritableMapping
        | Reason::MemoryUnwatched
        | Reason::MemoryScattered
        | Reason::FileBusy
        | Reason::FileStacked
        | Reason::FileUnwatched
        | Reason::ChangesFull
        | Reason::ContentChanged => {
            ("zctrace record --fingerprint full", "compares contents: finds changes that make no event")
        }
        Reason::Loss
        | Reason::MapFull
        | Reason::ProbeSkipped
        | Reason::WatchSkipped
        | Reason::FreeMissed
        | Reason::ChangeRunning => {
            ("zctrace record --pid N --file GLOB", "trace less, so that nothing is lost")
        }
        Reason::StillLent | Reason::RecordingCut => {
            ("zctrace record --linger 60s", "waits longer for windows to close")
        }
        _ => return None,
    };
    Some(Next { command: command.into(), why: why.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_can_be_typed() {
        for (name, expected) in [
            ("out.zct", "out.zct"),
            ("my trace.zct", "'my trace.zct'"),
            ("$(id).zct", "'$(id).zct'"),
            ("it's.zct", "FILE"),
            ("a\x1b[2J.zct", "FILE"),
            ("-rf", "FILE"),
            ("", "''"),
        ] {
            assert_eq!(argument(Path::new(name)), expected);
        }
        assert_eq!(argument(Path::new(&"d/".repeat(40))), "FILE");
    }
}
