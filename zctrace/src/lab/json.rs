//! JSON lines of the lab, schema 1: a line for each cell, a line for each conclusion, the total.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::conclude::{Atlas, Reached, Row, Share};
use super::judge::Judged;
use super::words;
use crate::text;

#[derive(Serialize)]
struct CellLine<'a> {
    r#type: &'static str,
    api: &'static str,
    memory: &'static str,
    transport: &'static str,
    receiver: &'static str,
    writer: &'static str,
    /// Why it could not be played; then nothing that follows counts.
    skipped: Option<&'a str>,
    submit_ns: Option<u64>,
    return_ns: Option<u64>,
    notify_ns: Option<u64>,
    notify_copied: Option<bool>,
    changed_ns: Option<(u64, u64)>,
    read_ns: Option<u64>,
    got: u64,
    new_bytes: u64,
    done: &'static str,
    done_ns: Option<u64>,
    safe: &'static str,
    safe_ns: Option<u64>,
    exposure_ns: Option<u64>,
    reached: bool,
    traced_return_ns: Option<u64>,
    traced_notify_ns: Option<u64>,
    return_off_ns: Option<u64>,
    notify_off_ns: Option<u64>,
    zero_copy: Option<bool>,
    copied_because: Vec<&'static str>,
    released_by: Vec<&'static str>,
    outcome: Option<&'static str>,
    verdict: Option<&'static str>,
    content: Vec<&'static str>,
    reasons: Vec<&'static str>,
    transfers: Vec<String>,
    contradictions: Vec<String>,
}

fn cell(c: &Judged) -> CellLine<'_> {
    let (cell, said) = (c.cell(), c.seen.said);
    let lends = !c.transfers.is_empty();
    CellLine {
        r#type: "lab_cell",
        api: cell.api.name(),
        memory: cell.memory.name(),
        transport: cell.transport.name(),
        receiver: cell.receiver.name(),
        writer: cell.writer.name(),
        skipped: c.seen.skipped.as_deref(),
        submit_ns: said.map(|s| s.submit_ns),
        return_ns: said.map(|s| s.return_ns),
        notify_ns: said.and_then(|s| s.notify).map(|n| n.at_ns),
        notify_copied: said.and_then(|s| s.notify).and_then(|n| n.copied),
        changed_ns: c.seen.changed_ns,
        read_ns: c.seen.read_ns,
        got: c.seen.got,
        new_bytes: c.seen.new_bytes,
        done: c.done().name(),
        done_ns: c.done_ns(),
        safe: c.safe().name(),
        safe_ns: c.safe_ns(),
        exposure_ns: c.exposure_ns(),
        reached: c.reached(),
        traced_return_ns: c.traced_return_ns(),
        traced_notify_ns: c.traced_notify_ns(),
        return_off_ns: c.return_off_ns(),
        notify_off_ns: c.notify_off_ns(),
        zero_copy: lends.then(|| c.transfers.iter().any(|t| t.copied.is_none())),
        copied_because: c.copied().into_iter().map(|by| text::copied(by).0).collect(),
        released_by: c.released_by().into_iter().map(text::released_by).collect(),
        outcome: c.outcome().map(text::outcome),
        verdict: c.verdict().map(text::verdict),
        content: c.content().into_iter().map(text::content).collect(),
        reasons: c.reasons().into_iter().map(|r| text::reason(r).0).collect(),
        transfers: c.transfers.iter().map(|t| t.id.to_string()).collect(),
        contradictions: c.contradictions.iter().map(ToString::to_string).collect(),
    }
}

/// All else of a row is the same in every run.
#[derive(Serialize)]
struct Times {
    done_after_ns: Option<u64>,
    exposure: Option<Spread>,
    /// The same in words: median time until done, median exposure, largest exposure.
    words: [String; 3],
}

#[derive(Serialize)]
struct Spread {
    p50: u64,
    max: u64,
}

#[derive(Serialize)]
struct ReachedObject {
    /// `all`, `some`, `none`, `untried`.
    share: &'static str,
    cells: usize,
    of: usize,
    receivers: Vec<&'static str>,
}

#[derive(Serialize)]
struct RowLine {
    r#type: &'static str,
    api: &'static str,
    memory: Vec<&'static str>,
    transport: Vec<&'static str>,
    skipped: Option<String>,
    done: &'static str,
    times: Times,
    safe: Vec<&'static str>,
    pages: &'static str,
    copied_because: Vec<&'static str>,
    reached_after_done: ReachedObject,
    reached_before_done: ReachedObject,
    /// The same in words.
    words: Words,
}

#[derive(Serialize)]
struct Words {
    memory: String,
    transport: String,
    safe: String,
    reached: String,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    r#type: &'static str,
    schema: u32,
    tool: &'a str,
    kernel: &'a str,
    cells: usize,
    skipped: usize,
    agreements: usize,
    contradictions: usize,
    unknown: usize,
    transfers: usize,
    released: usize,
    verdicts: BTreeMap<&'static str, usize>,
    reasons: BTreeMap<&'static str, usize>,
    lent_after_notice: usize,
    /// Cells whose release is called `receiver_read` although nobody read.
    misnamed: usize,
    returns: usize,
    returns_within_1ms: usize,
    notifications: usize,
    notifications_within_1ms: usize,
    seconds: f64,
    words: Vec<String>,
}

fn reached(r: &Reached, share: Share) -> ReachedObject {
    ReachedObject {
        share: words::share(share),
        cells: r.cells,
        of: r.of,
        receivers: r.receivers.iter().map(|r| r.name()).collect(),
    }
}

fn row(r: &Row) -> RowLine {
    let c = &r.conclusion;
    RowLine {
        r#type: "lab_row",
        api: r.api.name(),
        memory: r.memory.iter().map(|m| m.name()).collect(),
        transport: r.transports.iter().map(|t| t.name()).collect(),
        skipped: c.skipped.clone(),
        done: c.done.name(),
        times: Times {
            done_after_ns: r.took_ns,
            exposure: r.exposure_ns.map(|(p50, max)| Spread { p50, max }),
            words: [r.took_ns, r.exposure_ns.map(|e| e.0), r.exposure_ns.map(|e| e.1)].map(words::time),
        },
        safe: c.safe.iter().map(|s| s.name()).collect(),
        pages: words::pages(c.pages),
        copied_because: c.copied.iter().map(|by| text::copied(*by).0).collect(),
        reached_after_done: reached(&r.after, c.after),
        reached_before_done: reached(&r.before, c.before),
        words: Words {
            memory: words::memory(r),
            transport: words::transports(&r.transports),
            safe: words::really_safe(c),
            reached: words::reached(&r.after, c.after),
            notes: words::notes(r),
        },
    }
}

fn summary(a: &Atlas) -> SummaryLine<'_> {
    let t = &a.total;
    SummaryLine {
        r#type: "lab_summary",
        schema: 1,
        tool: &a.tool,
        kernel: &a.kernel,
        cells: t.cells,
        skipped: t.skipped,
        agreements: t.agree,
        contradictions: t.contradict,
        unknown: t.unknown,
        transfers: t.transfers,
        released: t.released,
        verdicts: t.verdicts.iter().map(|(v, n)| (text::verdict(*v), *n)).collect(),
        reasons: t.reasons.iter().map(|(r, n)| (text::reason(*r).0, *n)).collect(),
        lent_after_notice: t.lent_after_notice,
        misnamed: t.misnamed,
        returns: t.returns.1,
        returns_within_1ms: t.returns.0,
        notifications: t.notifications.1,
        notifications_within_1ms: t.notifications.0,
        seconds: t.took.as_secs_f64(),
        words: words::totals(a),
    }
}

/// Writes a line for each cell, then for each row, then the total.
///
/// # Errors
/// When they cannot be written.
pub fn json_lines(to: &mut impl Write, atlas: &Atlas) -> io::Result<()> {
    fn line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
        // Nothing in it comes from outside but the kernel's name and the system's error messages.
        writeln!(to, "{}", serde_json::to_string(value)?)
    }
    for c in &atlas.cells {
        line(to, &cell(c))?;
    }
    for r in &atlas.rows {
        line(to, &row(r))?;
    }
    line(to, &summary(atlas))
}
