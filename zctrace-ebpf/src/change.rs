//! A call that changes a watched file: what it says it will do, and what it did.

use aya_ebpf::helpers::bpf_get_current_comm;
use zctrace_common::kernel::{ChangeEnter, ChangeExit, change, change_flag, exit_flag, kind};

use crate::{
    emit,
    globals::off,
    kread,
    maps::{ChangeEnt, WatchEnt},
    watch::{self, Watched},
};

/// All bytes that follow.
pub const ALL: u64 = u64::MAX;

/// What a call says it will do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Plan {
    pub off: u64,
    pub len: u64,
    /// `change::*`
    pub what: u8,
    /// `place::*`
    pub place: u8,
    pub pad: [u8; 6],
}

impl Plan {
    #[inline(always)]
    pub fn new(what: u8, off: u64, len: u64, place: u8) -> Self {
        Self { off, len, what, place, pad: [0; 6] }
    }

    #[inline(always)]
    pub fn whole(what: u8, off: u64, len: u64) -> Self {
        Self::new(what, off, len, place::WHOLE)
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

/// States that it begins.
#[inline(always)]
pub fn begin(t: &Watched, plan: &Plan, mut flags: u8) -> ChangeEnt {
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
    ChangeEnt { id: stamp.id(), of: *t, plan: *plan, removed: 0, touched: 0 }
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

/// What a change of a range does to pages that are lent, beyond what it says: the page cache is cut where
/// pages begin and end, and of a large folio that lies across a cut the part inside is zeroed in place
/// (`truncate_inode_partial_folio()`), whether the file changes there or not.
#[inline(always)]
fn spread(inode: u64, plan: &Plan) -> Plan {
    const XFS_SUPER_MAGIC: u64 = 0x5846_5342;
    let mut wide = *plan;
    if plan.place != place::WHOLE || !matches!(plan.what, change::PUNCH..=change::INSERT | change::COPY) {
        return wide;
    }
    let sb: u64 = kread::get(inode, off!(inode_sb));
    let xfs = kread::get::<u64>(sb, off!(sb_magic)) == XFS_SUPER_MAGIC;
    let exact = matches!(plan.what, change::PUNCH | change::ZERO);
    if exact && !xfs {
        return wide;
    }
    let block: u64 = kread::get(sb, off!(sb_blocksize));
    let round = if block > 4096 { block } else { 4096 } - 1;
    if xfs && matches!(plan.what, change::COLLAPSE | change::INSERT) {
        // xfs_prepare_shift(): from the block before.
        wide.off = wide.off.saturating_sub(block);
    }
    // xfs_flush_unmap_range()
    let end = plan.off.saturating_add(plan.len);
    wide.off &= !round;
    wide.len =
        if plan.len == ALL { ALL } else { (end.saturating_add(round) & !round).wrapping_sub(wide.off) };
    wide
}

/// States one file's part in what is over. `more`: its end follows.
#[inline(always)]
pub fn part(ent: &ChangeEnt, t: &Watched, plan: &Plan, ret: i64, more: bool) {
    let plan = &spread(t.inode, plan);
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
    if ent.of.file != 0 {
        part(ent, &ent.of, &ent.plan, ret, false);
        return;
    }
    if ret >= 0 && ent.plan.place == place::SHRUNK {
        if let Some(t) = watch::find(ent.touched) {
            part(ent, &t, &Plan::whole(ent.plan.what, ent.plan.off, ALL), 0, true);
        } else {
            let named = Named { change: ent.id, size: ent.plan.off };
            watch::each_shrunk(if_shrunk, (&raw const named).cast());
        }
    }
    emit::emit(kind::CHANGE_EXIT, ChangeExit { change: ent.id, ..ChangeExit::default() });
}

/// States that it is over, nobody knows how: it may have done all it said.
#[inline(always)]
pub fn end_unseen(ent: &ChangeEnt) {
    let plan = Plan { place: place::WHOLE, ..ent.plan };
    end(&ChangeEnt { plan, ..*ent }, 0);
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
