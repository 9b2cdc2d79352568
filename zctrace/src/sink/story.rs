//! One transfer or one change, told to a person: what became of it and why, then every record behind
//! it. Fits 80 columns.

use std::io::{self, Write};

use zctrace_common::frame::Header;
use zctrace_common::kernel::{ChangeExit, free_flag};

use super::record::{Place, Words};
use super::report::{Style, fold, wrapped};
use crate::engine::Clue;
use crate::engine::rules::{RULES, Rule, find};
use crate::event::Event;
use crate::explain::Behind;
use crate::model::{Memory, Mutation, Outcome, Phase, SeenBy, Transfer, TransferId, Verdict};
use crate::text;

/// Changes named in the head of a story.
const NAMED: usize = 8;
/// What was looked at before anything is called clean.
const WATCHED: &str = "Watched from submit to release: every call that writes, truncates, punches or \
    clones into this file (io_uring, aio, splice and copy_file_range too), every new shared writable mapping, \
    every page made dirty in any other way, and every page that left the page cache. Replacing the file by rename, \
    or unlinking it, is not a change to the lent bytes: what is lent stays as it was.";

/// Tells of a transfer, record by record.
#[derive(Debug)]
pub struct Story<W: Write> {
    to: W,
    style: Style,
    words: Words,
}

impl<W: Write> Story<W> {
    /// Begins with what became of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut to: W, style: Style, behind: &Behind) -> io::Result<Self> {
        head(&mut to, style, behind)?;
        let places = behind.clues.iter().filter_map(|clue| match *clue {
            Clue::Place { sock, seq, len, off } => Some(Place { sock, seq, len, off }),
            _ => None,
        });
        writeln!(to, "\n{}", style.bold("Time from the entry of the call, and what was recorded"))?;
        Ok(Self { to, style, words: Words::new(places.collect(), behind.transfer.file.is_none()) })
    }

    /// The next event in the order of time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn event(&mut self, behind: &mut Behind, h: &Header, e: &Event) -> io::Result<()> {
        if behind.has(h, e) {
            let (mark, red) = mark(behind, h, e);
            let mut text = self.words.say(h, e);
            self.words.lent(e);
            let t = &behind.transfer;
            let elsewhere = |x: &ChangeExit| {
                x.off.saturating_add(x.len) <= t.offset || t.offset.saturating_add(t.bytes) <= x.off
            };
            if let Event::ChangeExit(x) = e
                && x.ino != 0
                && x.len != 0
                && elsewhere(x)
            {
                text.push_str("; none of the lent bytes");
            }
            if mark.ends_with("RELEASE") {
                text.push_str("; nothing holds its bytes any more");
            }
            let at = since(h.ts, behind.entered);
            for line in fold(&format!("{at:>10}  {mark:<9} "), &text) {
                let line = match (red, mark.is_empty()) {
                    (true, _) => self.style.red(&line),
                    (_, false) => self.style.bold(&line),
                    _ => line,
                };
                writeln!(self.to, "{line}")?;
            }
        }
        self.words.learn(h, e);
        Ok(())
    }

    /// Says how it ends where no record does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&mut self, behind: &Behind) -> io::Result<()> {
        let text = match behind.transfer.outcome {
            Outcome::Released => "",
            Outcome::Held => "still lent when the trace ended",
            Outcome::Unknown => "its release is not known: see `not sure` above",
        };
        if !text.is_empty() {
            wrapped(&mut self.to, &format!("{:>10}  {:<9} ", "", "END"), text)?;
        }
        self.to.flush()
    }
}

/// `+1.23 ms`
fn since(at: u64, submit: u64) -> String {
    match at.checked_sub(submit) {
        Some(0) => "0 ns".into(),
        Some(after) => format!("+{}", text::ns(after)),
        None => format!("-{}", text::ns(submit - at)),
    }
}

/// Which of the transfer's moments this record is, and whether it is a bad one.
fn mark(behind: &Behind, h: &Header, e: &Event) -> (String, bool) {
    let t = &behind.transfer;
    let is = |at: Option<u64>| at == Some(h.ts);
    let acks = match e {
        Event::Ack(_) | Event::SockEnd(_) => true,
        Event::HeadFree(f) => f.flags & free_flag::UNA != 0,
        _ => false,
    };
    let id = TransferId { cpu: h.cpu, seq: h.seq };
    let submits = matches!(e, Event::OpEnter(_)) && id.of_part(t.id.part()) == t.id;
    let releases = matches!(
        e,
        Event::OpExit(_)
            | Event::HeadFree(_)
            | Event::Ack(_)
            | Event::RxRead(_)
            | Event::SockEnd(_)
            | Event::Pipe(_)
    );
    let mut marks: Vec<String> = [
        ("SUBMIT", submits),
        ("RETURN", matches!(e, Event::OpExit(_)) && is(t.return_ns)),
        ("XMIT", matches!(e, Event::Head(_)) && is(t.first_xmit_ns)),
        ("ACK", acks && is(t.ack_ns)),
        ("RELEASE", releases && is(t.release_ns)),
    ]
    .into_iter()
    .filter(|(_, is)| *is)
    .map(|(name, _)| name.to_owned())
    .collect();
    let moments = marks.len();
    match e {
        Event::Loss(_) | Event::MapFull(_) => marks.push("LOSS".into()),
        Event::ChangeEnter(_) => {
            marks.extend(behind.mutations.iter().filter(|m| m.at_ns == h.ts).map(change).next());
        }
        Event::Print(p) => {
            let end = p.off.saturating_add(u64::from(p.len));
            let seen = |m: &&Mutation| {
                m.seen_by == SeenBy::Fingerprint
                    && m.end_ns == Some(h.ts)
                    && m.offset < end
                    && p.off < m.offset.saturating_add(m.len.unwrap_or(u64::MAX))
            };
            marks.extend(behind.mutations.iter().find(seen).map(change));
        }
        Event::ChangeExit(_) | Event::Dirtied(_) | Event::Removed(_) => {
            let (off, len) = match e {
                Event::ChangeExit(x) => (x.off, x.len),
                Event::Dirtied(d) => (d.off, d.len),
                Event::Removed(r) => (r.off, r.len),
                _ => (0, 0),
            };
            let same =
                |m: &&Mutation| m.end_ns == Some(h.ts) && (m.offset, m.len.unwrap_or(u64::MAX)) == (off, len);
            marks.extend(behind.mutations.iter().find(same).map(change));
        }
        _ => {}
    }
    (marks.join("+"), marks.len() > moments)
}

fn change(m: &Mutation) -> String {
    format!("CHANGE {}", m.id)
}

fn head(to: &mut impl Write, style: Style, behind: &Behind) -> io::Result<()> {
    let t = &behind.transfer;
    let title = format!("Transfer {}: {} by {}", t.id, text::api(t.api), process(&t.comm, t.pid, t.tid));
    writeln!(to, "{}", style.bold(&title))?;
    let copied =
        t.copied.map_or_else(String::new, |by| format!("; the kernel copied them: {}", text::copied(by).1));
    row(to, if t.file.is_some() { "file" } else { "lent" }, &text::source(t))?;
    row(to, "bytes", &format!("{} of {} asked for{copied}", bytes(t), t.requested))?;
    if let Some(m) = &t.memory {
        row(to, "memory", &memory(m))?;
    }
    row(to, "to", &peer(t))?;
    if let Some(cgroup) = &t.cgroup {
        row(to, "cgroup", &text::harmless(cgroup.as_bytes()))?;
    }
    row(to, "outcome", &outcome(t))?;
    row(to, "verdict", &verdict(t))?;
    if let Some(content) = t.content {
        row(to, "content", &format!("{}: {}", text::content(content), text::content_sentence(content)))?;
    }
    for reason in &t.reasons {
        let (code, sentence) = text::reason(*reason);
        row(to, "not sure", &format!("{sentence} ({code})"))?;
    }
    if t.verdict == Verdict::Clean {
        row(to, "", WATCHED)?;
    }
    for rule in t.rules.iter().filter_map(|name| find(name)) {
        row(to, "rule", &format!("{}: {}", rule.name, rule.help))?;
    }
    Ok(())
}

fn bytes(t: &Transfer) -> String {
    text::span(t.file.as_ref(), t.offset, Some(t.bytes))
}

fn memory(m: &Memory) -> String {
    let registered = if m.registered { ", registered with the ring" } else { "" };
    let buffers =
        if m.buffers == 1 { String::new() } else { format!(", the first of {} buffers", m.buffers) };
    format!("{} at {:#x}{buffers}{registered}", text::memory(m.kind), m.address)
}

fn row(to: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    wrapped(to, &format!("  {name:<9} "), text)
}

fn process(comm: &[u8], pid: u32, tid: u32) -> String {
    let thread = if tid == pid { String::new() } else { format!(" (thread {tid})") };
    format!("{}/{pid}{thread}", text::harmless(comm))
}

fn peer(t: &Transfer) -> String {
    let Some(s) = &t.socket else {
        return "pipe, and no further".into();
    };
    let name = |a| text::addr(a).unwrap_or_else(|| "unnamed".into());
    let proto = text::proto(s.proto).unwrap_or_else(|| text::family(s.family));
    format!("{proto} socket, from {} to {}", name(&s.local), name(&s.remote))
}

fn outcome(t: &Transfer) -> String {
    let word = text::outcome(t.outcome);
    let (Some(gap), Some(by)) = (t.gap_ns(), t.released_by) else {
        return word.into();
    };
    let told = if t.notify_ns.is_some() { "its notification" } else { "the call had returned" };
    let exposure = t.exposure_ns().map_or_else(String::new, |ns| format!(", {} after {told}", text::ns(ns)));
    format!("{word} by {} after {}{exposure}", text::released_by(by), text::ns(gap))
}

fn verdict(t: &Transfer) -> String {
    let changes: Vec<String> = t.mutations.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if t.mutations.len() > NAMED { ", ..." } else { "" };
    let changes = format!("{}{more}", changes.join(", "));
    match t.verdict {
        Verdict::Clean => "clean: no change to its bytes while they were lent".into(),
        Verdict::Mutated => {
            format!("mutated: its bytes could have changed while they were lent, by {changes}")
        }
        Verdict::Unknown if !t.mutations.is_empty() => {
            format!("unknown: whether {changes} came before the release is not certain")
        }
        Verdict::Unknown => "unknown: whether its bytes changed is not certain".into(),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeXmit => "before its first byte was handed to a device",
        Phase::InFlight => "transmitted, not yet acknowledged",
        Phase::AfterAck => "acknowledged, and still lent",
    }
}

/// A change; the transfers it hit follow, each by [`hit`].
///
/// # Errors
/// When it cannot be written.
pub fn mutation(to: &mut impl Write, style: Style, m: &Mutation, start_ns: u64) -> io::Result<()> {
    let who = match (m.pid, m.tid) {
        (Some(pid), Some(tid)) => process(&m.comm, pid, tid),
        _ => "nobody on record".into(),
    };
    writeln!(to, "{}", style.bold(&format!("Change {}: {} by {who}", m.id, text::mutation(m.kind))))?;
    row(to, if m.file.is_some() { "file" } else { "in" }, &text::changed(m))?;
    row(to, "bytes", &text::span(m.file.as_ref(), m.offset, m.len))?;
    let took = text::ns(m.end_ns.map_or(0, |end| end.saturating_sub(m.at_ns)));
    let after = text::ns(m.at_ns.saturating_sub(start_ns));
    let took = match m.seen_by {
        SeenBy::Fingerprint => format!("or up to {took} later: between two looks at the bytes"),
        _ => format!("it took {took}"),
    };
    row(to, "when", &format!("{after} after the trace began; {took}"))?;
    row(to, "seen by", text::seen_by(m.seen_by))?;
    let hits = text::transfers(m.hits.len() as u64);
    writeln!(to, "\n{}", style.bold(&format!("It fell into the window of {hits}")))
}

/// One transfer that the change hit.
///
/// # Errors
/// When it cannot be written.
pub fn hit(to: &mut impl Write, m: &Mutation, t: &Transfer) -> io::Result<()> {
    for hit in m.hits.iter().filter(|hit| hit.transfer == t.id) {
        let at = since(m.at_ns, t.submit_ns);
        let first = format!("  {:<9} ", t.id.to_string());
        let what = format!(
            "{}: {}. It began {at} from the submit of a {} by {} of {} to a {}; that is {}, {}",
            text::phase(hit.phase),
            phase(hit.phase),
            text::api(t.api),
            process(&t.comm, t.pid, t.tid),
            bytes(t),
            peer(t),
            text::outcome(t.outcome),
            text::verdict(t.verdict),
        );
        wrapped(to, &first, &what)?;
    }
    Ok(())
}

/// What a rule means.
///
/// # Errors
/// When it cannot be written.
pub fn rule(to: &mut impl Write, style: Style, rule: &Rule) -> io::Result<()> {
    writeln!(to, "{}: {}", style.bold(rule.name), says(rule))?;
    wrapped(to, "", rule.help)
}

/// All rules, one on a line.
///
/// # Errors
/// When it cannot be written.
pub fn rules(to: &mut impl Write) -> io::Result<()> {
    for rule in RULES {
        writeln!(to, "{:<28} {}", rule.name, says(rule))?;
    }
    Ok(())
}

fn says(rule: &Rule) -> String {
    rule.verdict.map_or_else(
        || "points something out, whatever the verdict".into(),
        |v| format!("the verdict is {}", text::verdict(v)),
    )
}
