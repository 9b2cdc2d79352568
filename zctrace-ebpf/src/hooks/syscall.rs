//! `raw_syscalls:sys_enter` and `sys_exit`: submit, return, and what happens to pipes.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::raw_tracepoint, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use zctrace_common::{
    call,
    config::flag,
    counter::gate,
    kernel::{Pipe, end, kind, op, pipe_why},
};

use super::change;
use crate::{
    emit,
    globals::{LAYOUT, cfg_get, load, off},
    kread,
    lend::{self, Call},
    maps::{CALLS, OPS, PIPES},
    memory::Buffers,
    track,
};

const SPLICE_F_NONBLOCK: u64 = 2;
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

#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn zct_sys_enter(ctx: RawTracePointContext) -> i32 {
    let nr: u64 = ctx.arg(1);
    let Some((regs, class)) = Regs::of(ctx.arg(0), nr as u32) else {
        return 0;
    };
    match class {
        call::READ | call::FCNTL | call::MMAP => return 0,
        call::SENDTO | call::SENDMSG | call::VMSPLICE => {
            if !regs.compat && lends_memory(class, &regs) && lend(class, &regs) != 0 {
                lend::enter(lend::SYSCALL);
            }
            return 0;
        }
        call::SENDFILE | call::SPLICE | call::TEE if !regs.compat => {
            if cfg_get!(flags) & flag::LOG != 0 {
                debug!(&ctx, "call {} of task {}", nr as u32, bpf_get_current_pid_tgid() as u32);
            }
            if lend(class, &regs) != 0 {
                lend::enter(lend::SYSCALL);
            }
        }
        _ => {}
    }
    change::enter(class, &regs);
    0
}

/// Fills the room; 0: there is none. A function of its own, as [`change::enter`] is: the verifier forgets
/// how it went before it goes on.
#[inline(never)]
fn lend(class: u8, regs: &Regs) -> u64 {
    let task = kread::task();
    let file = |n| kread::file_of(task, regs.arg(n));
    let Some(call) = lend::room(lend::SYSCALL) else {
        return 0;
    };
    *call = Call { dst: file(0), op: op::MSG_ZEROCOPY, ..Call::default() };
    match class {
        call::SENDFILE => {
            call.op = op::SENDFILE;
            call.src = file(1);
            call.pos = position(call.src, regs.arg(2));
            call.count = regs.arg(3);
        }
        call::SPLICE => {
            call.op = op::SPLICE;
            (call.src, call.dst) = (call.dst, file(2));
            call.pos = position(call.src, regs.arg(1));
            call.count = regs.arg(4);
            call.nonblock = u8::from(regs.arg(5) & SPLICE_F_NONBLOCK != 0);
        }
        call::TEE => {
            call.op = op::TEE;
            (call.src, call.dst) = (call.dst, file(1));
            call.count = regs.arg(2);
            call.nonblock = u8::from(regs.arg(3) & SPLICE_F_NONBLOCK != 0);
        }
        _ => {
            let buffers = match class {
                call::SENDTO => Buffers::one(regs.arg(1), regs.arg(2)),
                call::SENDMSG => Buffers::of_message(regs.arg(1)),
                _ => {
                    call.op = op::VMSPLICE;
                    call.nonblock = u8::from(regs.arg(3) & SPLICE_F_NONBLOCK != 0);
                    Buffers::of(regs.arg(1), regs.arg(2))
                }
            };
            (call.pos, call.count, call.segments) = (buffers.addr, buffers.total, buffers.count as u16);
        }
    }
    1
}

/// Where in its file a call begins: at the offset that it points to, or at the file's own.
#[inline(always)]
fn position(file: u64, at: u64) -> u64 {
    if at != 0 { kread::user(at) } else { kread::get(file, off!(file_pos)) }
}

/// The call lends memory, if it lends at all.
#[inline(always)]
fn lends_memory(class: u8, regs: &Regs) -> bool {
    const MSG_ZEROCOPY: u64 = 0x400_0000;
    const FMODE_WRITE: u32 = 2;
    match class {
        call::SENDTO => regs.arg(3) & MSG_ZEROCOPY != 0,
        call::SENDMSG => regs.arg(2) & MSG_ZEROCOPY != 0,
        // Out of a pipe it copies.
        _ => {
            let file = kread::file_of(kread::task(), regs.arg(0));
            kread::get::<u32>(file, off!(file_mode)) & FMODE_WRITE != 0
        }
    }
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
        call::SENDTO | call::SENDMSG | call::VMSPLICE => {
            if !regs.compat && lends_memory(class, &regs) {
                exit(ret);
            } else if class == call::VMSPLICE && ret > 0 && emit::gate(gate::PIPES) {
                sample(regs.arg(0), false);
            }
            return 0;
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
    let _ = OPS.remove(&tid);
    lend::leave(&ent, ret, 0);
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
