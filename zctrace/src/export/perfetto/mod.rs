//! A trace for ui.perfetto.dev, as native protobuf.
//!
//! What a person sees: for each host a group; in it every process that sends, with a line for each of its sockets
//! where windows are slices; `Changes` with a line for each writer, where mutations are instants; `Losses`. A flow
//! leads from a mutation to an instant on the line of each transfer that it hit, at that moment, and on to the
//! transfer's slice.
//!
//! A window is written when it is stated, begin and end, in whatever order; Perfetto sorts by time. A mutation is
//! stated after the transfers that it hit, so a flow's id follows from both ids. What must wait: windows that are
//! still open at the end with what hit them, and the lanes of transfers whose mutations are still to come.

mod notes;
mod packets;
mod proto;
#[cfg(test)]
mod tests;
mod tracks;

use std::collections::BTreeMap;
use std::io::{self, Write};

use self::packets::Packets;
use self::proto::{Clock, ClockSnapshot, DebugAnnotation, TracePacket, TrackDescriptor, TrackEvent};
use self::proto::{clock, event, ordering};
use self::tracks::{New, Of, Tracks};
use super::origin::{Origin, Origins};
use crate::model::{Fact, Hit, LossLine, Mutation, MutationId, MutationKind, Outcome, Transfer, TransferId};
use crate::sink::{Sink, Summary};
use crate::text;

/// Transfers whose mutations are awaited, at most; the engine's own bounds are below.
const AWAITED: usize = 1 << 20;

/// A transfer that mutations hit.
struct Awaited {
    lane: u64,
    /// In the trace's time.
    window: (u64, u64),
    /// Mutations that have not been stated.
    left: usize,
}

/// What is said where a mutation hit a transfer.
struct Change {
    id: MutationId,
    kind: MutationKind,
    writer: String,
    /// In the trace's time.
    at: u64,
    hit: Hit,
}

/// Writes a Perfetto trace.
pub struct Perfetto<W> {
    packets: Packets<W>,
    tracks: Tracks,
    origins: Origins,
    /// Whose CLOCK_MONOTONIC is the trace's.
    base: Option<Origin>,
    awaited: BTreeMap<TransferId, Awaited>,
    /// Still lent when the trace ends.
    held: BTreeMap<TransferId, Transfer>,
    /// What hit those.
    late: Vec<Change>,
    /// The latest moment that was stated, in the trace's time.
    last_ns: u64,
}

impl<W: Write> Perfetto<W> {
    /// To there.
    pub fn new(to: W) -> Self {
        Self {
            packets: Packets::new(to),
            tracks: Tracks::default(),
            origins: Origins::default(),
            base: None,
            awaited: BTreeMap::new(),
            held: BTreeMap::new(),
            late: Vec::new(),
            last_ns: 0,
        }
    }

    /// A moment of a part, in the trace's time.
    fn at(&mut self, part: u16, ns: u64) -> u64 {
        let at = self.base.as_ref().map_or(ns, |base| self.origins.of(part).on(base, ns));
        self.last_ns = self.last_ns.max(at);
        at
    }

    /// States the clocks, once.
    fn begin(&mut self, part: u16) -> io::Result<()> {
        if self.base.is_some() {
            return Ok(());
        }
        let origin = self.origins.of(part).clone();
        let (mono, real) = origin.clock().unzip();
        let clock = |id, timestamp| Clock { clock_id: Some(id), timestamp };
        let mut clocks = vec![clock(clock::MONOTONIC, Some(mono.unwrap_or(0)))];
        clocks.extend(real.map(|real| clock(clock::REALTIME, Some(real))));
        self.base = Some(origin);
        let snapshot = ClockSnapshot { clocks, primary_trace_clock: Some(clock::MONOTONIC) };
        self.packets.write(TracePacket { clock_snapshot: Some(snapshot), ..TracePacket::default() })
    }

    fn describe(&mut self, (number, new): (u64, Option<TrackDescriptor>)) -> io::Result<u64> {
        if new.is_some() {
            self.packets.write(TracePacket { track_descriptor: new, ..TracePacket::default() })?;
        }
        Ok(number)
    }

    fn host(&mut self, part: u16) -> io::Result<u64> {
        let origins = &self.origins;
        let track = self.tracks.plain(Of::Host(part), || {
            let host = origins.of(part).host.as_deref().unwrap_or("a host that is not known");
            New {
                name: format!("zctrace: {host}"),
                parent: None,
                rank: Some(part.into()),
                ordering: ordering::EXPLICIT,
            }
        });
        self.describe(track)
    }

    fn group(&mut self, part: u16, of: Of, name: &str, rank: i32) -> io::Result<u64> {
        let parent = self.host(part)?;
        let track = self.tracks.plain(of, || New { rank: Some(rank), ..New::under(parent, name.into()) });
        self.describe(track)
    }

    fn process(&mut self, t: &Transfer) -> io::Result<u64> {
        let part = t.id.part();
        self.group(part, Of::Process(part, t.pid), &notes::process(t), 2)
    }

    fn event(&mut self, at: u64, event: TrackEvent) -> io::Result<()> {
        self.packets.write(TracePacket {
            timestamp: Some(at),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    /// A window. `end`: when it was over, in the trace's time, and why that is not its release.
    fn window(&mut self, t: &Transfer, end: u64, open: Option<&'static str>) -> io::Result<()> {
        let part = t.id.part();
        let begin = self.at(part, t.submit_ns);
        let end = end.max(begin);
        let parent = self.process(t)?;
        let of = Of::Socket(part, t.pid, t.socket.as_ref().map(|s| s.id));
        let track = self.tracks.lane(of, (begin, end), || New::under(parent, notes::socket(t)));
        let lane = self.describe(track)?;
        self.packets.tidy();
        let name = format!("{} {}", text::api(t.api), notes::last(&text::source(t)));
        let slice = TrackEvent {
            r#type: Some(event::BEGIN),
            track_uuid: Some(lane),
            name_iid: Some(self.packets.name(&name)),
            category_iids: vec![self.packets.category(text::verdict(t.verdict))],
            debug_annotations: notes::transfer(&mut self.packets, t, open),
            ..TrackEvent::default()
        };
        self.event(begin, slice)?;
        let over = TrackEvent {
            r#type: Some(event::END),
            track_uuid: Some(lane),
            terminating_flow_ids: t.mutations.iter().map(|m| flow(*m, t.id)).collect(),
            ..TrackEvent::default()
        };
        self.event(end, over)?;
        if !t.mutations.is_empty() && self.awaited.len() < AWAITED {
            let awaited = Awaited { lane, window: (begin, end), left: t.mutations.len() };
            self.awaited.insert(t.id, awaited);
        }
        Ok(())
    }

    fn transfer(&mut self, t: &Transfer) -> io::Result<()> {
        self.begin(t.id.part())?;
        // Whatever is known of it counts as a moment of the trace.
        let seen = [t.return_ns, t.notify_ns, t.first_xmit_ns, t.ack_ns, t.release_ns];
        let last = seen.into_iter().flatten().max().unwrap_or(t.submit_ns);
        let last = self.at(t.id.part(), last);
        match (t.release_ns, t.outcome) {
            (Some(release), _) => {
                let release = self.at(t.id.part(), release);
                self.window(t, release, None)
            }
            (None, Outcome::Held) => {
                self.held.insert(t.id, t.clone());
                Ok(())
            }
            (None, _) => self.window(t, last, Some("not seen: it ends here with what was last seen of it")),
        }
    }

    fn mutation(&mut self, m: &Mutation) -> io::Result<()> {
        let part = m.id.part();
        self.begin(part)?;
        let at = self.at(part, m.at_ns);
        let changes = self.group(part, Of::Changes(part), "Changes", 1)?;
        let writer = text::writer(m);
        let track = self.tracks.plain(Of::Writer(part, writer.clone()), || New::under(changes, writer));
        let track = self.describe(track)?;
        self.packets.tidy();
        let name = format!("{} {}", text::mutation(m.kind), notes::last(&text::changed(m)));
        let instant = TrackEvent {
            r#type: Some(event::INSTANT),
            track_uuid: Some(track),
            name_iid: Some(self.packets.name(&name)),
            category_iids: vec![self.packets.category("mutation")],
            debug_annotations: notes::mutation(&mut self.packets, m),
            flow_ids: m.hits.iter().map(|h| flow(m.id, h.transfer)).collect(),
            ..TrackEvent::default()
        };
        self.event(at, instant)?;
        for hit in &m.hits {
            self.hit(Change { id: m.id, kind: m.kind, writer: text::writer(m), at, hit: *hit })?;
        }
        Ok(())
    }

    /// On the line of the transfer.
    fn hit(&mut self, change: Change) -> io::Result<()> {
        let transfer = change.hit.transfer;
        if self.held.contains_key(&transfer) {
            self.late.push(change);
            return Ok(());
        }
        let Some(awaited) = self.awaited.get_mut(&transfer) else { return Ok(()) };
        awaited.left -= 1;
        let (lane, (begin, end)) = (awaited.lane, awaited.window);
        if awaited.left == 0 {
            self.awaited.remove(&transfer);
        }
        self.packets.tidy();
        let name = format!("changed: {}", text::mutation(change.kind));
        let notes: Vec<DebugAnnotation> = vec![
            self.packets.text("mutation", change.id.to_string()),
            self.packets.word("writer", &change.writer),
            self.packets.word("phase", text::phase(change.hit.phase)),
        ];
        let instant = TrackEvent {
            r#type: Some(event::INSTANT),
            track_uuid: Some(lane),
            name_iid: Some(self.packets.name(&name)),
            category_iids: vec![self.packets.category("hit")],
            debug_annotations: notes,
            flow_ids: vec![flow(change.id, transfer)],
            ..TrackEvent::default()
        };
        // Inside of the slice, though the call may have begun before; at its very end it would be outside.
        self.event(change.at.min(end.saturating_sub(1)).max(begin), instant)
    }

    fn loss(&mut self, l: &LossLine) -> io::Result<()> {
        self.begin(l.part)?;
        let (at, _) = (self.at(l.part, l.from_ns), self.at(l.part, l.to_ns));
        let track = self.group(l.part, Of::Losses(l.part), "Losses", 0)?;
        self.packets.tidy();
        let instant = TrackEvent {
            r#type: Some(event::INSTANT),
            track_uuid: Some(track),
            name_iid: Some(self.packets.name(&text::loss_sentence(l.what, l.records))),
            category_iids: vec![self.packets.category("loss")],
            debug_annotations: notes::loss(&mut self.packets, l),
            ..TrackEvent::default()
        };
        self.event(at, instant)
    }
}

impl<W: Write> Sink for Perfetto<W> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        match fact {
            Fact::Trace(t) => {
                self.origins.add(t);
                self.begin(t.part)?;
                self.at(t.part, t.start_ns);
                self.host(t.part).map(drop)
            }
            Fact::Transfer(t) => self.transfer(t),
            Fact::Mutation(m) => self.mutation(m),
            Fact::Loss(l) => self.loss(l),
        }
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        for t in std::mem::take(&mut self.held).into_values() {
            self.window(&t, self.last_ns, Some("held: still lent when the trace ended"))?;
        }
        for change in std::mem::take(&mut self.late) {
            self.hit(change)?;
        }
        self.packets.flush()
    }
}

/// Of a mutation and one transfer that it hit: the same from both sides, and of no others (SplitMix64's mixer).
fn flow(m: MutationId, t: TransferId) -> u64 {
    let mut x = 0_u64;
    for part in [m.0, t.cpu.into(), t.seq] {
        x = x.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    x
}
