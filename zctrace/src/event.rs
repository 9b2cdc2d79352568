//! Bytes of a frame -> [`Event`], and back for the kinds user space states. Total: any bytes give an
//! answer. Kernel bytes are copied out, never reinterpreted as Rust enums.

use bytemuck::{Pod, bytes_of};
use zctrace_common::frame::{HEADER, Header, USER_CPU, read, split};
use zctrace_common::kernel::{
    self, Ack, ChangeEnter, ChangeExit, Dirtied, Extent, Head, HeadFree, HeadLen, MapFull, Mapped, Notify,
    OpAt, OpEnter, OpExit, Path, Pipe, Print, Proc, Removed, Retransmit, RxRead, Sock, SockEnd,
};
use zctrace_common::user::{self, Cgroup, Checkpoint, Loss, Running, RunningChange, Start, Stop};

use crate::model::TraceInfo;

/// One frame, decoded.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the frame of that name in zctrace-common")]
pub enum Event {
    OpEnter(OpEnter),
    OpExit(OpExit),
    OpAt(OpAt),
    Notify(Notify),
    Sock(Box<Sock>),
    SockEnd(SockEnd),
    Head(Head),
    HeadLen(HeadLen),
    HeadFree(HeadFree),
    Ack(Ack),
    Retransmit(Retransmit),
    Extent(Extent),
    Pipe(Pipe),
    Path(Box<Path>),
    Proc(Proc),
    MapFull(MapFull),
    RxRead(RxRead),
    ChangeEnter(ChangeEnter),
    ChangeExit(ChangeExit),
    Dirtied(Dirtied),
    Removed(Removed),
    Mapped(Mapped),
    Print(Box<Print>),
    Start(Box<TraceInfo>),
    Checkpoint(Checkpoint),
    Loss(Loss),
    Cgroup(u64, String),
    Stop(Stop),
    /// Calls that were running after a loss, and whether more of the list follow.
    Running(Vec<RunningChange>, bool),
}

/// What bytes turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// A frame.
    Frame(Header, Event),
    /// A frame of a kind this version does not know: counted and skipped.
    Unknown(Header),
    /// Not a frame.
    Malformed,
}

/// Decodes the frame at the start of `bytes`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Decoded {
    let Some((header, body)) = split(bytes) else {
        return Decoded::Malformed;
    };
    let text = |fixed: usize| body.get(fixed..).unwrap_or_default();
    let event = match header.kind {
        kernel::kind::OP_ENTER => Event::OpEnter(read(body)),
        kernel::kind::OP_EXIT => Event::OpExit(read(body)),
        kernel::kind::OP_AT => Event::OpAt(read(body)),
        kernel::kind::NOTIFY => Event::Notify(read(body)),
        kernel::kind::SOCK => Event::Sock(Box::new(read(body))),
        kernel::kind::SOCK_END => Event::SockEnd(read(body)),
        kernel::kind::HEAD => Event::Head(read(body)),
        kernel::kind::HEAD_LEN => Event::HeadLen(read(body)),
        kernel::kind::HEAD_FREE => Event::HeadFree(read(body)),
        kernel::kind::ACK => Event::Ack(read(body)),
        kernel::kind::RETRANSMIT => Event::Retransmit(read(body)),
        kernel::kind::EXTENT => Event::Extent(read(body)),
        kernel::kind::PIPE => Event::Pipe(read(body)),
        kernel::kind::PATH => Event::Path(Box::new(read(body))),
        kernel::kind::PROC => Event::Proc(read(body)),
        kernel::kind::MAP_FULL => Event::MapFull(read(body)),
        kernel::kind::RX_READ => Event::RxRead(read(body)),
        kernel::kind::CHANGE_ENTER => Event::ChangeEnter(read(body)),
        kernel::kind::CHANGE_EXIT => Event::ChangeExit(read(body)),
        kernel::kind::DIRTIED => Event::Dirtied(read(body)),
        kernel::kind::REMOVED => Event::Removed(read(body)),
        kernel::kind::MAPPED => Event::Mapped(read(body)),
        kernel::kind::PRINT => Event::Print(Box::new(read(body))),
        user::kind::START => {
            let start: Start = read(body);
            let mut info: TraceInfo = serde_json::from_slice(text(size_of::<Start>())).unwrap_or_default();
            info.start_ns = start.mono_ns;
            info.start_realtime_ns = start.real_ns;
            Event::Start(Box::new(info))
        }
        user::kind::CHECKPOINT => Event::Checkpoint(read(body)),
        user::kind::LOSS => Event::Loss(read(body)),
        user::kind::CGROUP => {
            let cgroup: Cgroup = read(body);
            Event::Cgroup(cgroup.id, String::from_utf8_lossy(text(size_of::<Cgroup>())).into_owned())
        }
        user::kind::STOP => Event::Stop(read(body)),
        user::kind::RUNNING => {
            let list: Running = read(body);
            let all = text(size_of::<Running>()).chunks_exact(size_of::<RunningChange>()).map(read).collect();
            Event::Running(all, list.more != 0)
        }
        _ => return Decoded::Unknown(header),
    };
    Decoded::Frame(header, event)
}

fn again(h: &Header, body: &impl Pod, text: &[u8]) -> Vec<u8> {
    frame(h.kind, h.cpu, h.seq, h.ts, h.task, body, text)
}

/// A frame as [`decode`] read it: what this version does not know of it is gone.
#[must_use]
pub fn encode(h: &Header, event: &Event) -> Vec<u8> {
    match event {
        Event::OpEnter(x) => again(h, x, &[]),
        Event::OpExit(x) => again(h, x, &[]),
        Event::OpAt(x) => again(h, x, &[]),
        Event::Notify(x) => again(h, x, &[]),
        Event::Sock(x) => again(h, &**x, &[]),
        Event::SockEnd(x) => again(h, x, &[]),
        Event::Head(x) => again(h, x, &[]),
        Event::HeadLen(x) => again(h, x, &[]),
        Event::HeadFree(x) => again(h, x, &[]),
        Event::Ack(x) => again(h, x, &[]),
        Event::Retransmit(x) => again(h, x, &[]),
        Event::Extent(x) => again(h, x, &[]),
        Event::Pipe(x) => again(h, x, &[]),
        Event::Path(x) => again(h, &**x, &[]),
        Event::Proc(x) => again(h, x, &[]),
        Event::MapFull(x) => again(h, x, &[]),
        Event::RxRead(x) => again(h, x, &[]),
        Event::ChangeEnter(x) => again(h, x, &[]),
        Event::ChangeExit(x) => again(h, x, &[]),
        Event::Dirtied(x) => again(h, x, &[]),
        Event::Removed(x) => again(h, x, &[]),
        Event::Mapped(x) => again(h, x, &[]),
        Event::Print(x) => again(h, &**x, &[]),
        Event::Start(info) => {
            let start = Start { mono_ns: info.start_ns, real_ns: info.start_realtime_ns };
            again(h, &start, &serde_json::to_vec(info).unwrap_or_default())
        }
        Event::Checkpoint(x) => again(h, x, &[]),
        Event::Loss(x) => again(h, x, &[]),
        Event::Cgroup(id, path) => again(h, &Cgroup { id: *id }, path.as_bytes()),
        Event::Stop(x) => again(h, x, &[]),
        Event::Running(all, more) => {
            let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let list = Running { count, more: u32::from(*more) };
            again(h, &list, bytemuck::cast_slice(all))
        }
    }
}

/// Where a run's part in each page begins in the file, its bytes, and their sum.
pub fn pages(p: &Print) -> impl Iterator<Item = (u64, u64, u64)> {
    const PAGE: u64 = 4096;
    let end = p.off.saturating_add(u64::from(p.len));
    let mut from = p.off;
    p.sums.iter().take(usize::from(p.count)).map_while(move |sum| {
        let to = (from / PAGE).saturating_add(1).saturating_mul(PAGE).min(end);
        let page = (from, to.saturating_sub(from), *sum);
        from = to;
        (page.1 > 0).then_some(page)
    })
}

/// A frame: `body`, then `text`, cut to what `len` can say.
#[must_use]
pub fn frame(kind: u16, cpu: u32, seq: u64, ts: u64, task: u64, body: &impl Pod, text: &[u8]) -> Vec<u8> {
    let body = bytes_of(body);
    let room = usize::from(u16::MAX).saturating_sub(HEADER + body.len());
    let text = text.get(..text.len().min(room)).unwrap_or_default();
    let len = u16::try_from(HEADER + body.len() + text.len()).unwrap_or(u16::MAX);
    let header = Header { kind, len, cpu, seq, ts, task };
    [bytes_of(&header), body, text].concat()
}

/// A frame stated by user space.
#[must_use]
pub fn user_frame(kind: u16, seq: u64, ts: u64, body: &impl Pod, text: &[u8]) -> Vec<u8> {
    frame(kind, USER_CPU, seq, ts, 0, body, text)
}
