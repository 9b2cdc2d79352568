//! `writeback:writeback_dirty_folio` and `filemap:mm_filemap_delete_from_page_cache`: what happens
//! to folios of watched files outside of calls that say so.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use zctrace_common::{
    counter::gate,
    kernel::{Dirtied, Removed, kind},
};

use crate::{emit, globals::off, kread, maps::CHANGES, watch};

/// The call the current task is in says itself that it changes this file.
#[inline(always)]
fn said(inode: u64, removes: bool) -> bool {
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(ent) = CHANGES.get_ptr_mut(&tid) else {
        return false;
    };
    let ent = unsafe { &mut *ent };
    // Without an inode, it says when it returns which file it was.
    let said = ent.of.inode == inode || ent.of.inode == 0;
    if said && removes {
        ent.removed = 1;
    }
    if ent.of.inode == 0 && ent.touched == 0 {
        ent.touched = inode;
    }
    said
}

/// The folio's place in the file: offset and length in bytes.
#[inline(always)]
fn range(folio: u64) -> (u64, u64) {
    let index: u64 = kread::get(folio, off!(folio_index));
    (index << 12, bytes(folio))
}

#[inline(always)]
fn bytes(folio: u64) -> u64 {
    // Of a large folio, the second page says whose tail it is.
    let second = folio.wrapping_add(u64::from(off!(page_size_of)));
    let link: u64 = kread::get(second, off!(page_head));
    if kread::compound_head(second, link) != folio {
        return 4096;
    }
    let order: Option<u8> = kread::opt(folio, off!(folio_order));
    4096u64 << (order.unwrap_or(9) & 31)
}

#[raw_tracepoint(tracepoint = "writeback_dirty_folio")]
pub fn zct_dirty(ctx: RawTracePointContext) -> i32 {
    if !emit::gate(gate::FILES) {
        return 0;
    }
    let (folio, mapping): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let inode: u64 = kread::get(mapping, off!(mapping_host));
    let Some(known) = watch::find(inode) else {
        return 0;
    };
    if said(inode, false) {
        return 0;
    }
    let (off, len) = range(folio);
    let body = Dirtied {
        ino: known.ino,
        off,
        len,
        dev: known.dev,
        generation: known.generation,
        mapped: u32::from(kread::get::<i32>(mapping, off!(mmap_writable)) > 0),
        pad: 0,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    emit::emit(kind::DIRTIED, body);
    0
}

#[raw_tracepoint(tracepoint = "mm_filemap_delete_from_page_cache")]
pub fn zct_removed(ctx: RawTracePointContext) -> i32 {
    if !emit::gate(gate::FILES) {
        return 0;
    }
    let folio: u64 = ctx.arg(0);
    // Reclaim and POSIX_FADV_DONTNEED take only what nobody else holds: folio_ref_freeze().
    if kread::get::<u32>(folio, off!(folio_refs)) == 0 {
        return 0;
    }
    let mapping: u64 = kread::get(folio, off!(folio_mapping));
    let inode: u64 = kread::get(mapping, off!(mapping_host));
    let Some(known) = watch::find(inode) else {
        return 0;
    };
    // A deleted file is gone for everybody: nobody can change what is lent.
    if said(inode, true) || watch::is_going(inode) {
        return 0;
    }
    let (off, len) = range(folio);
    let body = Removed {
        ino: known.ino,
        off,
        len,
        dev: known.dev,
        generation: known.generation,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    emit::emit(kind::REMOVED, body);
    0
}
