//! A call that changes a watched file: what it says it will do, and what it did.

use aya_ebpf::helpers::bpf_get_current_comm;
use zctrace_common::kernel::{ChangeEnter, ChangeExit, change_flag, exit_flag, kind};

use crate::{
    emit,
    globals::off,
    kread,
    maps::{ChangeEnt, WatchEnt},
    watch,
};

/// All bytes that follow.
pub const ALL: u64 = u64::MAX;

/// A watched file behind a `struct file`.
#[derive(Clone, Copy, Default)]
pub struct Target {
    /// 0: named by a path, so not known yet.
    pub file: u64,
    pub inode: u64,
    pub ino: u64,
    pub dev: u32,
    pub generation: u32,
}

#[inline(always)]
pub fn target(file: u64) -> Option<Target> {
    if file == 0 {
        return None;
    }
    let known = watch::find(kread::host_of(file))?;
    Some(Target { file, inode: known.inode, ino: known.ino, dev: known.dev, generation: known.generation })
}

/// What a call says it will do.
#[derive(Clone, Copy)]
pub struct Plan {
    /// `change::*`
    pub what: u8,
    pub off: u64,
    pub len: u64,
    /// `place::*`
    pub place: u8,
}

impl Plan {
    #[inline(always)]
    pub fn whole(what: u8, off: u64, len: u64) -> Self {
        Self { what, off, len, place: place::WHOLE }
    }
}

/// How the changed range follows from the result.
pub mod place {
    /// `len` bytes at `off`, all or nothing.
    pub const WHOLE: u8 = 0;
    /// As many bytes as returned, at `off`.
    pub const FIXED: u8 = 1;
    /// As many bytes as returned, before the file's position.
    pub const POSITION: u8 = 2;
    /// As many bytes as returned, at the end.
    pub const APPEND: u8 = 3;
    /// A path, and the file is shorter afterwards: `truncate()`.
    pub const SHRUNK: u8 = 4;
}

impl ChangeEnt {
    /// Only now it is known which file it changes.
    #[inline(always)]
    pub fn of(&mut self, t: &Target) {
        (self.file, self.inode, self.ino) = (t.file, t.inode, t.ino);
        (self.dev, self.generation) = (t.dev, t.generation);
    }
}

/// States that it begins.
#[inline(always)]
pub fn begin(t: &Target, plan: &Plan, mut flags: u8) -> ChangeEnt {
    let stamp = emit::stamp();
    let mut size = 0;
    if t.file == 0 {
        flags |= change_flag::BY_PATH;
    } else {
        size = watch::size(t.inode);
        if kread::get::<u32>(t.file, off!(file_flags)) & off!(o_direct) != 0 {
            flags |= change_flag::DIRECT;
        }
    }
    let body = ChangeEnter {
        change: stamp.id(),
        ino: t.ino,
        off: plan.off,
        len: plan.len,
        size,
        dev: t.dev,
        what: plan.what,
        flags,
        pad: 0,
        generation: t.generation,
        pad2: 0,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    emit::put(kind::CHANGE_ENTER, stamp, body);
    ChangeEnt {
        id: stamp.id(),
        file: t.file,
        inode: t.inode,
        ino: t.ino,
        off: plan.off,
        len: plan.len,
        dev: t.dev,
        generation: t.generation,
        what: plan.what,
        place: plan.place,
        removed: 0,
        pad: [0; 5],
        touched: 0,
    }
}

/// A failed call may have changed bytes: an O_SYNC write that cannot be written back, a range
/// operation that stops halfway.
#[inline(always)]
fn halfway(place: u8, errno: i64) -> bool {
    const EINTR: i64 = 4;
    const EIO: i64 = 5;
    const ENOMEM: i64 = 12;
    const ENOSPC: i64 = 28;
    const EDQUOT: i64 = 122;
    const ERESTARTSYS: i64 = 512;
    const ERESTART_RESTARTBLOCK: i64 = 516;
    match errno {
        EIO => true,
        EINTR | ENOMEM | ENOSPC | EDQUOT => place == place::WHOLE,
        _ => place == place::WHOLE && errno >= ERESTARTSYS && errno <= ERESTART_RESTARTBLOCK,
    }
}

/// States one file's part in what is over. `more`: its end follows.
#[inline(always)]
pub fn part(ent: &ChangeEnt, t: &Target, plan: &Plan, ret: i64, more: bool) {
    let mut body = ChangeExit {
        change: ent.id,
        ino: t.ino,
        off: plan.off,
        len: 0,
        dev: t.dev,
        generation: t.generation,
        more: u16::from(more),
        flags: if ent.removed != 0 { exit_flag::REMOVED } else { 0 },
        errno: 0,
    };
    if ret >= 0 {
        body.len = ret as u64;
        match plan.place {
            place::FIXED => {}
            place::POSITION => {
                body.off = kread::get::<u64>(t.file, off!(file_pos)).wrapping_sub(body.len);
            }
            place::APPEND => body.off = watch::size(t.inode).wrapping_sub(body.len),
            _ => body.len = plan.len,
        }
    } else if halfway(plan.place, -ret) {
        body.len = plan.len;
        body.errno = ret as i32;
    }
    watch::changed(t.inode);
    emit::emit(kind::CHANGE_EXIT, body);
}

/// States that it is over. Its entry is removed afterwards: what is not in the map has been stated.
#[inline(always)]
pub fn end(ent: &ChangeEnt, ret: i64) {
    let t =
        Target { file: ent.file, inode: ent.inode, ino: ent.ino, dev: ent.dev, generation: ent.generation };
    if t.file != 0 {
        part(ent, &t, &Plan { what: ent.what, off: ent.off, len: ent.len, place: ent.place }, ret, false);
        return;
    }
    if ret >= 0 && ent.place == place::SHRUNK {
        if let Some(w) = watch::find(ent.touched) {
            let t = Target { file: 0, inode: w.inode, ino: w.ino, dev: w.dev, generation: w.generation };
            part(ent, &t, &Plan::whole(ent.what, ent.off, ALL), 0, true);
        } else {
            let named = Named { change: ent.id, size: ent.off };
            watch::each_shrunk(if_shrunk, (&raw const named).cast());
        }
    }
    emit::emit(kind::CHANGE_EXIT, ChangeExit { change: ent.id, ..ChangeExit::default() });
}

/// A call that named its file by a path, and left it this long.
#[repr(C)]
struct Named {
    change: u64,
    size: u64,
}

/// A watched file that became as short as the call said.
extern "C" fn if_shrunk(_map: u64, key: *const u64, ent: *mut WatchEnt, named: *const u64) -> u64 {
    let (inode, named) = unsafe { (*key, &*named.cast::<Named>()) };
    if watch::shrank_to(inode, ent, named.size) {
        let ent = unsafe { &*ent };
        let body = ChangeExit {
            change: named.change,
            ino: ent.ino,
            off: named.size,
            len: ALL,
            dev: ent.dev,
            generation: ent.generation,
            more: 1,
            flags: exit_flag::BY_SIZE,
            errno: 0,
        };
        emit::emit(kind::CHANGE_EXIT, body);
    }
    0
}
