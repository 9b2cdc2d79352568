//! JSON lines, schema 1: mirror types of the model, kept apart from it.
//!
//! What is not known is `null`, never 0.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{Sink, Summary};
use crate::distribution::Distribution;
use crate::model::{
    Fact, FileRef, Fingerprints, LossLine, Memory, Mutation, ProbeStatus, SockRef, TraceInfo, Transfer,
};
use crate::text;

/// JSON leaves DEL, C1 and bidi controls as they are; a terminal would act on them. The escapes
/// lose nothing.
struct Escapes;

impl Formatter for Escapes {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| text::acts(*c)) {
            let (plain, from) = rest.split_at(at);
            to.write_all(plain.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(to, "\\u{unit:04x}")?;
            }
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        to.write_all(rest.as_bytes())
    }
}

/// Writes one JSON object a line. A reader that has gone away is `ErrorKind::BrokenPipe`.
pub struct JsonLines<W: Write> {
    to: W,
}

#[derive(Serialize)]
struct Trace<'a> {
    r#type: &'static str,
    schema: u32,
    tool: &'a str,
    /// `null`: it was not recorded.
    host: Option<&'a str>,
    kernel: &'a str,
    start_ns: u64,
    start_realtime_ns: u64,
    filters: &'a [String],
    probes: &'a [ProbeStatus],
    fingerprint: &'a Fingerprints,
}

#[derive(Serialize)]
struct File<'a> {
    dev: String,
    ino: u64,
    path: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Socket {
    cookie: Option<u64>,
    id: String,
    family: Cow<'static, str>,
    proto: Option<Cow<'static, str>>,
    local: Option<String>,
    remote: Option<String>,
}

#[derive(Serialize)]
struct MemoryObject {
    kind: &'static str,
    address: u64,
    buffers: u16,
    registered: bool,
}

#[derive(Serialize)]
struct TransferLine<'a> {
    r#type: &'static str,
    id: String,
    api: &'static str,
    pid: u32,
    tid: u32,
    comm: Cow<'a, str>,
    cgroup: Option<Cow<'a, str>>,
    file: Option<File<'a>>,
    memory: Option<MemoryObject>,
    offset: Option<u64>,
    requested: u64,
    bytes: Option<u64>,
    socket: Option<Socket>,
    zero_copy: bool,
    copied_because: Option<&'static str>,
    submit_ns: u64,
    return_ns: Option<u64>,
    notify_ns: Option<u64>,
    notify_copied: Option<bool>,
    first_xmit_ns: Option<u64>,
    ack_ns: Option<u64>,
    release_ns: Option<u64>,
    gap_ns: Option<u64>,
    exposure_ns: Option<u64>,
    retransmits: u32,
    released_by: Option<&'static str>,
    outcome: &'static str,
    verdict: &'static str,
    content: Option<&'static str>,
    reasons: Vec<&'static str>,
    rules: &'a [&'static str],
    mutations: Vec<String>,
}

#[derive(Serialize)]
struct HitObject {
    transfer: String,
    phase: &'static str,
}

#[derive(Serialize)]
struct MutationLine<'a> {
    r#type: &'static str,
    id: String,
    kind: &'static str,
    pid: Option<u32>,
    tid: Option<u32>,
    comm: Option<Cow<'a, str>>,
    /// `null`: memory of the process that lent it.
    file: Option<File<'a>>,
    /// Without a file, an address.
    offset: u64,
    /// `null`: all that follows.
    len: Option<u64>,
    at_ns: u64,
    end_ns: Option<u64>,
    seen_by: &'static str,
    hits: Vec<HitObject>,
}

#[derive(Serialize)]
struct LossObject {
    r#type: &'static str,
    what: &'static str,
    cpu: Option<u32>,
    from_ns: u64,
    to_ns: u64,
    records: u64,
}

#[derive(Serialize)]
struct Quantiles {
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

#[derive(Serialize)]
struct SummaryLine {
    r#type: &'static str,
    transfers: u64,
    released: u64,
    held: u64,
    unknown: u64,
    mutated: u64,
    lost_records: u64,
    gap: Quantiles,
    exposure: Quantiles,
}

fn trace(t: &TraceInfo) -> Trace<'_> {
    Trace {
        r#type: "trace",
        schema: 1,
        tool: &t.tool,
        host: (!t.host.is_empty()).then_some(t.host.as_str()),
        kernel: &t.kernel,
        start_ns: t.start_ns,
        start_realtime_ns: t.start_realtime_ns,
        filters: &t.filters,
        probes: &t.probes,
        fingerprint: &t.fingerprint,
    }
}

fn file(f: &FileRef) -> File<'_> {
    File { dev: text::dev(f.id.dev), ino: f.id.ino, path: f.path.as_deref().map(raw) }
}

/// Valid UTF-8 as it is (serde escapes what JSON must); anything else visibly.
fn raw(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| text::harmless(bytes), Into::into)
}

fn socket(s: &SockRef) -> Socket {
    Socket {
        cookie: s.cookie,
        id: s.id.to_string(),
        family: text::family(s.family),
        proto: text::proto(s.proto),
        local: text::addr(&s.local),
        remote: text::addr(&s.remote),
    }
}

fn memory(m: Memory) -> MemoryObject {
    MemoryObject {
        kind: text::memory(m.kind),
        address: m.address,
        buffers: m.buffers,
        registered: m.registered,
    }
}

fn transfer(t: &Transfer) -> TransferLine<'_> {
    TransferLine {
        r#type: "transfer",
        id: t.id.to_string(),
        api: text::api(t.api),
        pid: t.pid,
        tid: t.tid,
        comm: raw(&t.comm),
        cgroup: t.cgroup.as_deref().map(Into::into),
        file: t.file.as_ref().map(file),
        memory: t.memory.map(memory),
        offset: t.file.as_ref().map(|_| t.offset),
        requested: t.requested,
        // A call that has not returned has not said.
        bytes: t.moved(),
        socket: t.socket.as_deref().map(socket),
        zero_copy: t.copied.is_none(),
        copied_because: t.copied.map(|by| text::copied(by).0),
        submit_ns: t.submit_ns,
        return_ns: t.return_ns,
        notify_ns: t.notify_ns,
        notify_copied: t.notify_copied,
        first_xmit_ns: t.first_xmit_ns,
        ack_ns: t.ack_ns,
        release_ns: t.release_ns,
        gap_ns: t.gap_ns(),
        exposure_ns: t.exposure_ns(),
        retransmits: t.retransmits,
        released_by: t.released_by.map(text::released_by),
        outcome: text::outcome(t.outcome),
        verdict: text::verdict(t.verdict),
        content: t.content.map(text::content),
        reasons: t.reasons.iter().map(|r| text::reason(*r).0).collect(),
        rules: &t.rules,
        mutations: t.mutations.iter().map(ToString::to_string).collect(),
    }
}

fn mutation(m: &Mutation) -> MutationLine<'_> {
    MutationLine {
        r#type: "mutation",
        id: m.id.to_string(),
        kind: text::mutation(m.kind),
        pid: m.pid,
        tid: m.tid,
        comm: m.pid.map(|_| raw(&m.comm)),
        file: m.file.as_ref().map(file),
        offset: m.offset,
        len: m.len,
        at_ns: m.at_ns,
        end_ns: m.end_ns,
        seen_by: text::seen_by(m.seen_by),
        hits: m
            .hits
            .iter()
            .map(|h| HitObject { transfer: h.transfer.to_string(), phase: text::phase(h.phase) })
            .collect(),
    }
}

fn loss(l: &LossLine) -> LossObject {
    LossObject {
        r#type: "loss",
        what: text::loss(l.what),
        cpu: l.cpu,
        from_ns: l.from_ns,
        to_ns: l.to_ns,
        records: l.records,
    }
}

fn quantiles(d: &Distribution) -> Quantiles {
    Quantiles { p50: d.quantile(0.5), p90: d.quantile(0.9), p99: d.quantile(0.99), max: d.max() }
}

impl<W: Write> JsonLines<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to }
    }

    #[cfg(test)]
    pub(crate) fn into_inner(self) -> W {
        self.to
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        // One write a line: a reader never sees half of one.
        let mut bytes = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut bytes, Escapes))?;
        bytes.push(b'\n');
        self.to.write_all(&bytes)
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        match fact {
            Fact::Trace(t) => self.line(&trace(t)),
            Fact::Transfer(t) => self.line(&transfer(t)),
            Fact::Mutation(m) => self.line(&mutation(m)),
            Fact::Loss(l) => self.line(&loss(l)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn finish(&mut self, s: &Summary) -> io::Result<()> {
        self.line(&SummaryLine {
            r#type: "summary",
            transfers: s.transfers(),
            released: s.released(),
            held: s.held(),
            unknown: s.unknown(),
            mutated: s.mutated(),
            lost_records: s.lost_records(),
            gap: quantiles(&s.all.gap),
            exposure: quantiles(&s.all.exposure),
        })?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests;
