//! System calls that change files: whoever calls, watched files only.
//!
//! A file is watched from its first transfer on. Which bytes changed is best known when the call has
//! returned; that it began is stated at once, because a transfer may be over before the call is.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_loop};
use zctrace_common::{
    call,
    counter::{self, gate},
    kernel::{Mapped, change, change_flag, kind},
};

use super::syscall::Regs;
use crate::{
    change::{ALL, Plan, begin, end, end_unseen, part, place},
    emit,
    globals::off,
    kread,
    maps::{CHANGES, ChangeEnt},
    pending,
    watch::{self, Watched},
};

pub const O_TRUNC: u64 = 0o1000;
const O_APPEND: u32 = 0o2000;
const RWF_APPEND: u64 = 0x10;
const FICLONE: u64 = 0x4004_9409;
const FICLONERANGE: u64 = 0x4020_940d;
const FS_IOC_UNRESVSP: u64 = 0x4030_5829;
const FS_IOC_UNRESVSP64: u64 = 0x4030_582b;
const FS_IOC_ZERO_RANGE: u64 = 0x4030_5839;

/// `fallocate()` in this mode; `None`: it changes no bytes.
#[inline(always)]
pub fn fallocate(mode: u64, off: u64, len: u64) -> Option<Plan> {
    const PUNCH_HOLE: u64 = 2;
    const COLLAPSE_RANGE: u64 = 8;
    const ZERO_RANGE: u64 = 16;
    const INSERT_RANGE: u64 = 32;
    match () {
        () if mode & PUNCH_HOLE != 0 => Some(Plan::whole(change::PUNCH, off, len)),
        () if mode & ZERO_RANGE != 0 => Some(Plan::whole(change::ZERO, off, len)),
        () if mode & COLLAPSE_RANGE != 0 => Some(Plan::whole(change::COLLAPSE, off, ALL)),
        () if mode & INSERT_RANGE != 0 => Some(Plan::whole(change::INSERT, off, ALL)),
        () => None,
    }
}

/// A write of up to `len` bytes, at `fixed` or at the file's position.
#[inline(always)]
pub fn write(t: &Watched, what: u8, fixed: Option<u64>, len: u64, append: bool) -> Plan {
    let (off, place) = match (append, fixed) {
        (true, _) => (watch::size(t.inode), place::APPEND),
        (_, Some(off)) => (off, place::FIXED),
        _ => (kread::get(t.file, off!(file_pos)), place::POSITION),
    };
    Plan::new(what, off, len, place)
}

#[inline(always)]
pub fn appends(t: &Watched) -> bool {
    kread::get::<u32>(t.file, off!(file_flags)) & O_APPEND != 0
}

#[inline(always)]
fn plan(class: u8, regs: &Regs, t: &Watched) -> Option<Plan> {
    if regs.compat {
        // Arguments are laid out in other ways: anything may change.
        let what = if class == call::FTRUNCATE { change::TRUNCATE } else { change::WRITE };
        return Some(Plan::whole(what, 0, ALL));
    }
    match class {
        call::FTRUNCATE => return Some(Plan::whole(change::TRUNCATE, regs.arg(1), ALL)),
        call::FALLOCATE => return fallocate(regs.arg(1), regs.arg(2), regs.arg(3)),
        call::IOCTL => return Some(ioctl(regs.arg(1), regs.arg(2))),
        _ => {}
    }
    let mut append = appends(t);
    let (mut what, mut fixed, mut len) = (change::WRITE, None, ALL);
    match class {
        call::WRITE => len = regs.arg(2),
        call::PWRITE => (fixed, len) = (Some(regs.arg(3)), regs.arg(2)),
        call::PWRITEV => {
            append |= regs.arg(5) & RWF_APPEND != 0;
            let pos = regs.arg(3);
            fixed = if pos == ALL { None } else { Some(pos) };
        }
        call::COPY_RANGE => {
            let at = regs.arg(3);
            what = change::COPY;
            (fixed, len) = (if at == 0 { None } else { Some(kread::user(at)) }, regs.arg(4));
        }
        call::SPLICE => {
            let at = regs.arg(3);
            what = change::SPLICE;
            (fixed, len) = (if at == 0 { None } else { Some(kread::user(at)) }, regs.arg(4));
        }
        call::SENDFILE => (what, len) = (change::SPLICE, regs.arg(3)),
        _ => {}
    }
    Some(write(t, what, fixed, len, append))
}

#[inline(always)]
fn ioctl(command: u64, arg: u64) -> Plan {
    match command {
        FICLONE => Plan::whole(change::COPY, 0, ALL),
        FICLONERANGE => {
            let len: u64 = kread::user(arg.wrapping_add(16));
            let off: u64 = kread::user(arg.wrapping_add(24));
            Plan::whole(change::COPY, off, if len == 0 { ALL } else { len })
        }
        // Their offset may count from the position or the end.
        FS_IOC_ZERO_RANGE => Plan::whole(change::ZERO, 0, ALL),
        _ => Plan::whole(change::PUNCH, 0, ALL),
    }
}

/// Which argument is the descriptor of the file that changes.
#[inline(always)]
fn descriptor(class: u8) -> usize {
    if class == call::COPY_RANGE || class == call::SPLICE { 2 } else { 0 }
}

/// The call names its file by a path, and may change it.
#[inline(always)]
fn by_path(class: u8, regs: &Regs) -> bool {
    match class {
        call::TRUNCATE | call::CREAT => true,
        call::OPEN => regs.arg(1) & O_TRUNC != 0,
        call::OPENAT => regs.arg(2) & O_TRUNC != 0,
        call::OPENAT2 => kread::user::<u64>(regs.arg(2)) & O_TRUNC != 0,
        _ => false,
    }
}

/// A call on a descriptor that changes its file.
#[inline(always)]
fn on_file(class: u8, regs: &Regs) -> bool {
    match class {
        call::WRITE | call::PWRITE | call::WRITEV | call::PWRITEV | call::FTRUNCATE => true,
        call::FALLOCATE | call::COPY_RANGE | call::SPLICE | call::SENDFILE => true,
        call::IOCTL => matches!(
            regs.arg(1),
            FICLONE | FICLONERANGE | FS_IOC_UNRESVSP | FS_IOC_UNRESVSP64 | FS_IOC_ZERO_RANGE
        ),
        _ => false,
    }
}

/// It may wait for what it is to write, with no lock on the file that it writes to.
#[inline(always)]
fn awaits_input(class: u8) -> bool {
    matches!(class, call::COPY_RANGE | call::SPLICE | call::SENDFILE)
}

/// The file of a call, where changes to it are stated.
#[inline(always)]
fn watched(class: u8, regs: &Regs) -> Option<Watched> {
    let file = kread::file_of(kread::task(), regs.arg(descriptor(class)));
    if !awaits_input(class) {
        return watch::behind(file);
    }
    let tid = u64::from(bpf_get_current_pid_tgid() as u32);
    pending::over(tid);
    pending::watched(tid, file)
}

/// A call of this class is entered.
#[inline(never)]
pub fn enter(class: u8, regs: &Regs) -> u64 {
    if !emit::gate(gate::FILES) && !awaits_input(class) {
        return 0;
    }
    let (t, plan) = if on_file(class, regs) {
        let Some(t) = watched(class, regs) else {
            return 0;
        };
        let Some(plan) = plan(class, regs, &t) else {
            return 0;
        };
        (t, plan)
    } else if by_path(class, regs) {
        let mut plan = Plan::whole(change::TRUNCATE, 0, ALL);
        if class == call::TRUNCATE {
            plan.off = regs.arg(1);
            plan.place = place::SHRUNK;
        }
        (Watched::default(), plan)
    } else if class == call::IO_SUBMIT && aio_writes(regs) {
        (Watched::default(), Plan::whole(change::WRITE, 0, ALL))
    } else {
        return 0;
    };
    let tid = bpf_get_current_pid_tgid() as u32;
    missed(tid);
    let ent = begin(&t, &plan, 0);
    if CHANGES.insert(&tid, &ent, 0).is_err() {
        // A loss; what is known when it returns is stated then.
        emit::count(counter::CHANGES_FULL);
    }
    0
}

/// A call whose return was not seen is over, and may have done all it said.
#[inline(always)]
pub fn missed(tid: u32) {
    pending::over(u64::from(tid));
    if let Some(ent) = unsafe { CHANGES.get(&tid) } {
        end_unseen(ent);
        let _ = CHANGES.remove(&tid);
    }
}

/// A call of this class returned.
#[inline(always)]
pub fn exit(class: u8, regs: &Regs, ret: i64) {
    let tid = bpf_get_current_pid_tgid() as u32;
    if emit::gate(gate::FILES) {
        returned(tid, class, regs, ret);
    }
    if awaits_input(class) {
        pending::over(u64::from(tid));
    }
}

#[inline(always)]
fn returned(tid: u32, class: u8, regs: &Regs, ret: i64) {
    let Some(ent) = (unsafe { CHANGES.get(&tid) }) else {
        late(class, regs, ret);
        return;
    };
    let mut ent = *ent;
    if ent.of.file == 0 && ret >= 0 {
        if class == call::IO_SUBMIT {
            aio(regs, &ent);
        } else if class != call::TRUNCATE
            && let Some(t) = watch::behind(kread::file_of(kread::task(), ret as u64))
        {
            ent.of = t;
        }
    }
    end(&ent, ret);
    let _ = CHANGES.remove(&tid);
}

/// The file was not watched yet when the call began.
#[inline(always)]
fn late(class: u8, regs: &Regs, ret: i64) {
    if !on_file(class, regs) {
        return;
    }
    let file = kread::file_of(kread::task(), regs.arg(descriptor(class)));
    let Some(t) = watch::behind(file) else {
        return;
    };
    let Some(mut plan) = plan(class, regs, &t) else {
        return;
    };
    if plan.place == place::FIXED && (class == call::COPY_RANGE || class == call::SPLICE) {
        // The caller's offset has moved on.
        plan.off = plan.off.wrapping_sub(if ret > 0 { ret as u64 } else { 0 });
    }
    let ent = begin(&t, &plan, change_flag::LATE);
    part(&ent, &t, &plan, ret, false);
}

/// Requests of one `io_submit()` that are looked at.
const BATCH: u64 = 64;

/// Whether one of an `io_submit()`'s requests writes to a watched file.
#[inline(always)]
fn aio_writes(regs: &Regs) -> bool {
    let n = regs.arg(1);
    if regs.compat {
        return false;
    }
    if n > BATCH {
        emit::count(counter::CHANGES_FULL);
    }
    let mut batch = Batch { list: regs.arg(2), task: kread::task(), found: 0 };
    each(n, finds, (&raw mut batch).cast());
    batch.found != 0
}

/// States each of its writes as a part of the change.
#[inline(always)]
fn aio(regs: &Regs, ent: &ChangeEnt) {
    let batch = Batch { list: regs.arg(2), task: kread::task(), found: 0 };
    let mut parts = Parts { batch, ent: *ent };
    each(regs.arg(1), states, (&raw mut parts).cast());
}

#[inline(always)]
fn each(n: u64, call: extern "C" fn(u64, *mut u64) -> u64, context: *mut core::ffi::c_void) {
    let n = if n > BATCH { BATCH } else { n };
    unsafe { bpf_loop(n as u32, call as *mut core::ffi::c_void, context, 0) };
}

#[repr(C)]
struct Batch {
    /// `struct iocb **`
    list: u64,
    task: u64,
    found: u64,
}

#[repr(C)]
struct Parts {
    batch: Batch,
    ent: ChangeEnt,
}

/// The file that the request of this number writes to, if it is watched; its `struct iocb *`; whether
/// it is a vector.
#[inline(always)]
fn write_of(batch: &Batch, i: u64) -> Option<(Watched, u64, bool)> {
    const PWRITE: u16 = 1;
    const PWRITEV: u16 = 8;
    let iocb: u64 = kread::user(batch.list.wrapping_add(8 * i));
    let opcode: u16 = kread::user(iocb.wrapping_add(16));
    if opcode != PWRITE && opcode != PWRITEV {
        return None;
    }
    let fd = u64::from(kread::user::<u32>(iocb.wrapping_add(20)));
    let t = watch::behind(kread::file_of(batch.task, fd))?;
    Some((t, iocb, opcode == PWRITEV))
}

extern "C" fn finds(i: u64, batch: *mut u64) -> u64 {
    let batch = unsafe { &mut *batch.cast::<Batch>() };
    batch.found |= u64::from(write_of(batch, i).is_some());
    batch.found
}

extern "C" fn states(i: u64, parts: *mut u64) -> u64 {
    let parts = unsafe { &*parts.cast::<Parts>() };
    if let Some((t, iocb, vector)) = write_of(&parts.batch, i) {
        let off: u64 = kread::user(iocb.wrapping_add(40));
        let len = if vector { ALL } else { kread::user(iocb.wrapping_add(32)) };
        let (off, len) = if appends(&t) { (0, ALL) } else { (off, len) };
        part(&parts.ent, &t, &Plan::whole(change::WRITE, off, len), 0, true);
    }
    0
}

/// `mmap()` returned: from now on stores to the file may be seen by no event.
#[inline(always)]
pub fn mapped(regs: &Regs, ret: i64) {
    const MAP_SHARED: u64 = 1;
    const FMODE_WRITE: u32 = 2;
    const LAST_ERRNO: i64 = -4095;
    if regs.arg(3) & MAP_SHARED == 0 || (ret < 0 && ret >= LAST_ERRNO) {
        return;
    }
    let file = kread::file_of(kread::task(), regs.arg(4));
    let Some(t) = watch::behind(file) else {
        return;
    };
    if kread::get::<u32>(file, off!(file_mode)) & FMODE_WRITE != 0 {
        emit::emit(kind::MAPPED, Mapped { ino: t.ino, dev: t.dev, generation: t.generation });
    }
}
