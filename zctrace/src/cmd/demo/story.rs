//! The demo's ending: facts of the trace beside what the actors saw, as something to read.

use std::fmt::Write as _;

use super::play::{CHANGED, Seen};
use crate::model::{Fact, Mutation, Outcome, Transfer, Verdict};
use crate::text;

/// Characters from submit to the last mark.
const WIDTH: u128 = 48;

pub(super) fn tell(facts: &[Fact], seen: Option<&Seen>) -> String {
    let mut out = String::new();
    for fact in facts {
        match fact {
            Fact::Trace(info) => {
                let _ = writeln!(
                    out,
                    "\n{} on Linux {}",
                    text::harmless(info.tool.as_bytes()),
                    text::harmless(info.kernel.as_bytes())
                );
            }
            Fact::Transfer(t) => transfer(&mut out, t, &hitting(facts, t), seen),
            Fact::Mutation(_) | Fact::Loss(_) => {}
        }
    }
    if let Some(seen) = seen {
        judge(&mut out, facts, seen);
    }
    out
}

/// What changed the transfer's bytes in its window.
fn hitting<'a>(facts: &'a [Fact], t: &Transfer) -> Vec<&'a Mutation> {
    facts
        .iter()
        .filter_map(|f| if let Fact::Mutation(m) = f { Some(&**m) } else { None })
        .filter(|m| t.mutations.contains(&m.id))
        .collect()
}

/// One transfer as a line drawn to scale.
fn transfer(out: &mut String, t: &Transfer, mutations: &[&Mutation], seen: Option<&Seen>) {
    let _ =
        writeln!(out, "\nsendfile() of {} from {} by pid {}\n", text::bytes(t.bytes), text::source(t), t.pid);
    let end = t.release_ns.or(t.return_ns).unwrap_or(t.submit_ns);
    let span = end.saturating_sub(t.submit_ns).max(1);
    let mut marks: Vec<(u64, String)> =
        vec![(t.submit_ns, "submit      sendfile() entered: the pages are lent from now on".into())];
    let mut mark = |at: Option<u64>, what: &str| {
        if let Some(at) = at {
            marks.push((at, what.into()));
        }
    };
    mark(t.first_xmit_ns, "first xmit  first bytes handed to the network device");
    mark(t.return_ns, "return      sendfile() returned: the application believes it is done");
    mark(t.ack_ns, "ack         the peer's TCP acknowledged the last byte");
    for m in mutations {
        let who = text::writer(m);
        let much = m.len.map_or_else(|| "all that follows".into(), text::bytes);
        let kind = text::mutation(m.kind);
        mark(Some(m.at_ns), &format!("{kind:<11} {who} changed {much} at offset {} of the file", m.offset));
    }
    mark(seen.map(|s| s.read_ns), "read        the receiver has read everything");
    let by = t.released_by.map_or("", text::released_by);
    mark(t.release_ns, &format!("release     nothing will read the pages again ({by})"));
    marks.sort_by_key(|(at, _)| *at);
    for (at, what) in &marks {
        let offset = at.saturating_sub(t.submit_ns);
        let column = u128::from(offset.min(span)) * WIDTH / u128::from(span);
        let bar = "─".repeat(usize::try_from(column).unwrap_or(0));
        let _ = writeln!(out, "  {:>10}  {bar}●", text::ns(offset));
        let _ = writeln!(out, "              {what}");
    }
    verdict(out, t);
    match (t.outcome, t.gap_ns(), t.exposure_ns()) {
        (Outcome::Released, Some(gap), Some(exposure)) => {
            let _ = writeln!(
                out,
                "  gap       {:>10}   from submit to release: while it is open the bytes must not change\n  \
                 exposure  {:>10}   of it after the application was told that all is done",
                text::ns(gap),
                text::ns(exposure)
            );
        }
        _ => {
            let _ = writeln!(out, "  outcome   {:>10}", text::outcome(t.outcome));
        }
    }
}

fn verdict(out: &mut String, t: &Transfer) {
    let why: Vec<&str> =
        t.rules.iter().copied().chain(t.reasons.iter().map(|r| text::reason(*r).0)).collect();
    let why = if why.is_empty() { "no change in the window".into() } else { why.join(", ") };
    let _ = writeln!(out, "\n  verdict   {:>10}   {why}", text::verdict(t.verdict));
}

/// The receiver's bytes have the last word.
fn judge(out: &mut String, facts: &[Fact], seen: &Seen) {
    let mutated = facts.iter().any(|f| {
        matches!(f, Fact::Transfer(t) if t.verdict == Verdict::Mutated && t.release_ns > Some(seen.written_ns))
    });
    let _ = writeln!(
        out,
        "\nThe receiver got {}: {} of them carry the change made after sendfile() had returned.",
        text::bytes(seen.got as u64),
        text::bytes(seen.new_bytes as u64)
    );
    let expected = mutated && seen.new_bytes == CHANGED.len();
    if expected {
        let _ = writeln!(out, "The trace says why: the window was still open when the file was written.");
    } else {
        let _ = writeln!(out, "That does not fit what the trace says: please report this.");
    }
    let _ = writeln!(out, "\nNext: sudo zctrace --pid PID   or   sudo zctrace record -o out.zct -- CMD");
}
