//! `raw_syscalls:sys_enter` and `sys_exit`: submit, return, and what happens to pipes.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_get_current_cgroup_id},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use aya_log_ebpf::debug;
use zctrace_common::{
    call,
    config::flag,
    counter::{self, gate},
    kernel::{OpEnter, OpExit, Pipe, end, family, full_map, kind, op, op_flag, pipe_why, proto},
};

use super::change;
use crate::{
    emit, filter,
    globals::{LAYOUT, cfg_get, load, off},
    kread::{self, End},
    maps::{CALLS, OPS, OpEnt, PIPES, RX_SPLICE, SOCKS},
    track, watch,
};

const O_NONBLOCK: u32 = 0o4000;
const SPLICE_F_NONBLOCK: u64 = 2;
const NETIF_F_SG: u64 = 1;
const F_SETPIPE_SZ: u64 = 1031;

/// A system call's arguments.
pub struct Regs {
    at: u64,
    /// Of a 32-bit program, or made like one (`int $0x80`): other numbers, other registers.
    pub compat: bool,
}

impl Regs {
    #[inline(always)]
    pub fn arg(&self, n: usize) -> u64 {
        if self.compat {
            let low: u32 = kread::get(self.at, load(&raw const LAYOUT.arg32[n]));
            return u64::from(low);
        }
        kread::get(self.at, load(&raw const LAYOUT.arg[n]))
    }

    /// Its arguments and class (`call::*`), if it is of interest.
    #[inline(always)]
    fn of(at: u64, nr: u32) -> Option<(Self, u8)> {
        if nr >= call::NUMBERS {
            return None;
        }
        let class = |index| CALLS.get(index).copied().unwrap_or(call::NONE);
        let (native, compat) = (class(nr), class(nr + call::NUMBERS));
        // Most calls end here: whose numbers they are costs a read.
        if native == call::NONE && compat == call::NONE {
            return None;
        }
        let regs = Self { at, compat: kread::is_compat(kread::task()) };
        let class = if regs.compat { compat } else { native };
        if class == call::NONE { None } else { Some((regs, class)) }
    }
}

struct Call {
    op: u8,
    fd_in: u64,
    off_in: u64,
    fd_out: u64,
    count: u64,
    flags: u64,
}

#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn zct_sys_enter(ctx: RawTracePointContext) -> i32 {
    let nr: u64 = ctx.arg(1);
    let Some((regs, class)) = Regs::of(ctx.arg(0), nr as u32) else {
        return 0;
    };
    match class {
        call::READ | call::FCNTL | call::MMAP => return 0,
        call::SENDFILE | call::SPLICE | call::TEE if !regs.compat => {
            if cfg_get!(flags) & flag::LOG != 0 {
                debug!(&ctx, "call {} of task {}", nr as u32, bpf_get_current_pid_tgid() as u32);
            }
            lend(class, &regs);
        }
        _ => {}
    }
    change::enter(class, &regs);
    0
}

/// A function of its own, as [`change::enter`] is: the verifier forgets how it went before it goes on.
#[inline(never)]
fn lend(class: u8, regs: &Regs) -> u64 {
    enter(match class {
        call::SENDFILE => Call {
            op: op::SENDFILE,
            fd_in: regs.arg(1),
            off_in: regs.arg(2),
            fd_out: regs.arg(0),
            count: regs.arg(3),
            flags: 0,
        },
        call::SPLICE => Call {
            op: op::SPLICE,
            fd_in: regs.arg(0),
            off_in: regs.arg(1),
            fd_out: regs.arg(2),
            count: regs.arg(4),
            flags: regs.arg(5),
        },
        _ => Call {
            op: op::TEE,
            fd_in: regs.arg(0),
            off_in: 0,
            fd_out: regs.arg(1),
            count: regs.arg(2),
            flags: regs.arg(3),
        },
    });
    0
}

#[inline(always)]
fn enter(call: Call) {
    let task = kread::task();
    let src = kread::end_of(kread::file_of(task, call.fd_in));
    let dst = kread::end_of(kread::file_of(task, call.fd_out));
    let to_pipe = dst.kind == end::PIPE;
    let opens = src.kind == end::FILE
        && (to_pipe || (dst.kind == end::SOCK && call.op == op::SENDFILE))
        && call.op != op::TEE
        && passes(call.op, src, dst);
    if src.kind == end::SOCK && to_pipe {
        // Frags may leave a receive queue for a pipe without their head.
        if RX_SPLICE.insert(&src.ptr, &1, 0).is_ok() {
            track::remember_slab(src.ptr);
            if !emit::gate(gate::RX_SPLICE) {
                emit::gate_add(gate::RX_SPLICE, 1);
            }
        }
    }

    // Who waits on an empty pipe may be the one to take the first lent pages out of it.
    let src_pipe = if src.kind == end::PIPE {
        let pos = kread::pipe_pos(src.ptr);
        track::pipe(src.ptr, pos.head == pos.tail)
    } else {
        None
    };
    // A pipe that takes lent pages from a file or from a tracked pipe is tracked from then on.
    let dst_pipe = if to_pipe { track::pipe(dst.ptr, opens || src_pipe.is_some()) } else { None };
    if !opens && src_pipe.is_none() && dst_pipe.is_none() {
        return;
    }
    submit(&call, src, dst, opens, src_pipe, dst_pipe);
}

#[inline(always)]
fn passes(op: u8, src: End, dst: End) -> bool {
    if cfg_get!(ops) & (1 << op) == 0 || !filter::task() {
        return false;
    }
    if dst.kind == end::SOCK && !filter::sock(dst.ptr) {
        return false;
    }
    let (dev, ino) = kread::identity(src.ptr);
    filter::file(dev, ino)
}

#[inline(always)]
fn submit(
    call: &Call,
    src: End,
    dst: End,
    opens: bool,
    src_pipe: Option<*mut crate::maps::PipeEnt>,
    dst_pipe: Option<*mut crate::maps::PipeEnt>,
) {
    let mut flags = if opens { op_flag::OPENS } else { 0 };
    if call.flags & SPLICE_F_NONBLOCK != 0 || kread::get::<u32>(dst.file, off!(file_flags)) & O_NONBLOCK != 0
    {
        flags |= op_flag::NONBLOCK;
    }
    let (mut dev, mut ino, mut src_pos, mut watch, mut generation) = (0, 0, 0, 0, 0);
    if src.kind == end::FILE {
        (dev, ino) = kread::identity(src.ptr);
        src_pos =
            if call.off_in != 0 { kread::user(call.off_in) } else { kread::get(src.file, off!(file_pos)) };
        if kread::get::<u32>(src.file, off!(file_flags)) & off!(o_direct) != 0 {
            flags |= op_flag::DIRECT;
        }
        let copy = cfg_get!(copy_splice_read);
        if copy != 0 {
            let fop: u64 = kread::get(src.file, off!(file_op));
            if kread::get::<u64>(fop, off!(fop_splice_read)) == copy {
                flags |= op_flag::COPY_READ;
            }
        }
        if opens {
            (watch, generation) = watch::start(src.file, dev, ino);
            track::path(src.file, generation);
        }
    }
    let (mut to, mut dst_pos) = (0, 0);
    if dst.kind == end::SOCK {
        to = track::sock(dst.ptr);
        if to == 0 {
            return;
        }
        if is_tcp(dst.ptr) {
            flags |= sock_state(dst.ptr);
            dst_pos = kread::get(dst.ptr, off!(tcp_write_seq));
        }
    }
    if let Some(ent) = dst_pipe {
        to = unsafe { (*ent).id };
        dst_pos = kread::pipe_pos(dst.ptr).head;
        if opens || src_pipe.is_some() {
            unsafe { (*ent).busy = (*ent).busy.wrapping_add(1) };
            track::pipe_watch(ent);
        }
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    let ent = OpEnt {
        src: if src_pipe.is_some() { src.ptr } else { 0 },
        dst: if dst_pipe.is_some() || dst.kind == end::SOCK { dst.ptr } else { 0 },
        src_kind: src.kind,
        dst_kind: dst.kind,
        opens: u8::from(opens || src_pipe.is_some()),
        pad: 0,
        dst_pos,
        mapping: if opens { kread::get(src.file, off!(file_mapping)) } else { 0 },
        off: src_pos,
        count: call.count,
    };
    if OPS.insert(&tid, &ent, 0).is_err() {
        emit::full(emit::stamp(), counter::OPS_FULL, full_map::OPS, to);
        return;
    }
    // Filled in place: older kernels allow 512 bytes of stack to a program and all that it calls.
    let Some(frame) = emit::reserve::<OpEnter>(kind::OP_ENTER, emit::stamp()) else {
        return;
    };
    if opens {
        watch |= watch::mapped(src.file);
    }
    let (mut from, mut src_off, mut src_head) = (0, 0, 0);
    if let Some(ent) = src_pipe {
        let pos = kread::pipe_pos(src.ptr);
        from = unsafe { (*ent).id };
        (src_pos, src_off, src_head) = (u64::from(pos.tail), pos.off, pos.head);
    }
    unsafe {
        let body = &raw mut (*frame).body;
        (*body).op = call.op;
        (*body).src_kind = src.kind;
        (*body).dst_kind = dst.kind;
        (*body).flags = flags;
        (*body).dev = dev;
        (*body).ino = ino;
        (*body).src = from;
        (*body).dst = to;
        (*body).src_pos = src_pos;
        (*body).dst_pos = u64::from(dst_pos);
        (*body).src_off = src_off;
        (*body).src_head = src_head;
        (*body).count = call.count;
        (*body).cgroup = bpf_get_current_cgroup_id();
        (*body).comm = bpf_get_current_comm().unwrap_or_default();
        (*body).generation = generation;
        (*body).watch = watch;
    }
    emit::submit(frame);
}

#[inline(always)]
fn is_tcp(sk: u64) -> bool {
    kread::get::<u16>(sk, off!(sk_proto)) == proto::TCP
        && kread::get::<u16>(sk, off!(sk_family)) != family::UNIX
}

/// Properties of a destination TCP socket.
#[inline(always)]
fn sock_state(sk: u64) -> u8 {
    let mut flags = 0;
    if kread::get::<u64>(sk, off!(sk_route_caps)) & NETIF_F_SG == 0 {
        flags |= op_flag::NO_SG;
    }
    if kread::opt::<u64>(sk, off!(icsk_ulp)).unwrap_or_default() != 0 {
        flags |= op_flag::ULP;
    }
    flags
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn zct_sys_exit(ctx: RawTracePointContext) -> i32 {
    let regs: u64 = ctx.arg(0);
    let ret: i64 = ctx.arg(1);
    let nr: u32 = kread::get(regs, off!(sysnr));
    let Some((regs, class)) = Regs::of(regs, nr) else {
        return 0;
    };
    match class {
        call::SENDFILE | call::SPLICE | call::TEE if !regs.compat => {
            // A call whose entry was not followed took from a pipe that is tracked by now: where
            // the slots went is not known.
            if !exit(ret) && class == call::SPLICE && ret > 0 && emit::gate(gate::PIPES) {
                sample(regs.arg(0), true);
            }
        }
        call::READ | call::FCNTL => {
            let resize = class == call::FCNTL;
            if ret > 0 && emit::gate(gate::PIPES) && !(resize && regs.arg(1) != F_SETPIPE_SZ) {
                sample(regs.arg(0), resize);
            }
            return 0;
        }
        call::MMAP => {
            change::mapped(&regs, ret);
            return 0;
        }
        _ => {}
    }
    change::exit(class, &regs, ret);
    0
}

#[inline(always)]
fn exit(ret: i64) -> bool {
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(ent) = (unsafe { OPS.get(&tid) }) else {
        return false;
    };
    let ent = *ent;
    let mut body = OpExit { ret, ..OpExit::default() };
    if ent.src != 0 {
        let pos = kread::pipe_pos(ent.src);
        body.src_pos = u64::from(pos.tail);
        body.src_off = pos.off;
        body.src_head = pos.head;
        if let Some(pipe) = PIPES.get_ptr_mut(&ent.src) {
            track::pipe_drained(pipe, pos.tail);
        }
    }
    let mut behind = None;
    if ent.dst_kind == end::SOCK && ent.dst != 0 {
        if let Some(sock) = unsafe { SOCKS.get(&ent.dst) }
            && sock.proto == proto::TCP
        {
            body.dst_pos = u64::from(kread::get::<u32>(ent.dst, off!(tcp_write_seq)));
        }
    } else if ent.dst_kind == end::PIPE && ent.dst != 0 {
        let pos = kread::pipe_pos(ent.dst);
        body.dst_pos = u64::from(pos.head);
        if let Some(pipe) = PIPES.get_ptr_mut(&ent.dst) {
            if ent.opens != 0 {
                unsafe {
                    (*pipe).busy = (*pipe).busy.wrapping_sub(1);
                    (*pipe).lent = pos.head;
                }
            }
            // Somebody drained it while the producer was inside.
            if (pos.tail.wrapping_sub(ent.dst_pos) as i32) > 0 {
                behind = Some(Pipe {
                    pipe: unsafe { (*pipe).id },
                    head: pos.head,
                    tail: pos.tail,
                    off: pos.off,
                    why: pipe_why::READ,
                });
            }
            track::pipe_drained(pipe, pos.tail);
        }
    }
    let _ = OPS.remove(&tid);
    emit::emit(kind::OP_EXIT, body);
    if let Some(pipe) = behind {
        emit::emit(kind::PIPE, pipe);
    }
    true
}

/// A call on `fd` that may have moved a tracked pipe's tail.
#[inline(always)]
fn sample(fd: u64, resize: bool) {
    let file = kread::end_of(kread::file_of(kread::task(), fd));
    if file.kind != end::PIPE {
        return;
    }
    let Some(ent) = PIPES.get_ptr_mut(&file.ptr) else {
        return;
    };
    if unsafe { (*ent).active } == 0 {
        return;
    }
    let pos = kread::pipe_pos(file.ptr);
    if resize {
        unsafe { (*ent).lent = pos.head };
    }
    let why = if resize { pipe_why::RESIZED } else { pipe_why::READ };
    emit::emit(
        kind::PIPE,
        Pipe { pipe: unsafe { (*ent).id }, head: pos.head, tail: pos.tail, off: pos.off, why },
    );
    track::pipe_drained(ent, pos.tail);
}
