//! Which files have been lent: changes to them are stated, whoever makes them.

use aya_ebpf::helpers::generated::bpf_for_each_map_elem;
use zctrace_common::{
    counter::{self, gate},
    kernel::watch,
};

use crate::{
    emit,
    globals::off,
    kread,
    maps::{WATCHED, WatchEnt},
    pending,
};

/// A watched file.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Watched {
    /// The `struct file *` a call names it by; 0: none, or not known yet.
    pub file: u64,
    /// `struct inode *` of its pages.
    pub inode: u64,
    pub ino: u64,
    pub dev: u32,
    pub generation: u32,
}

/// The watched file whose pages this inode has.
#[inline(always)]
pub fn find(inode: u64) -> Option<Watched> {
    let known = unsafe { WATCHED.get(&inode) }?;
    if !is_same(inode, known) {
        return None;
    }
    Some(Watched { file: 0, inode, ino: known.ino, dev: known.dev, generation: known.generation })
}

/// The watched file behind a `struct file`.
#[inline(always)]
pub fn behind(file: u64) -> Option<Watched> {
    if file == 0 {
        return None;
    }
    Some(Watched { file, ..find(kread::host_of(file))? })
}

/// Whether the memory still is the inode that was lent.
#[inline(always)]
fn is_same(inode: u64, known: &WatchEnt) -> bool {
    kread::get::<u64>(inode, off!(inode_ino)) == known.host
        && kread::get::<u64>(inode, off!(inode_sb)) == known.sb
        && generation(inode) == known.generation
        && kread::get::<u32>(inode, off!(inode_state)) & off!(i_clear) == 0
}

/// The inode is on its way out: nobody can reach the file any more.
#[inline(always)]
pub fn is_going(inode: u64) -> bool {
    kread::get::<u32>(inode, off!(inode_state)) & (off!(i_freeing) | off!(i_clear)) != 0
}

/// `inode->i_generation`
#[inline(always)]
fn generation(inode: u64) -> u32 {
    kread::get(inode, off!(inode_generation))
}

/// Changes to the file are stated from now on. Answers `watch::*` and its generation.
#[inline(always)]
pub fn start(file: u64) -> (u32, u32) {
    let answer = zct_fn_watch(kread::host_of(file), kread::get(file, off!(file_inode)));
    (answer as u32, (answer >> 32) as u32)
}

/// The same by the inode of its pages, and the one by which it was opened; the generation is in the upper
/// half.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_watch(inode: u64, opened: u64) -> u64 {
    let (dev, ino) = kread::identity(opened);
    let size = size(inode);
    let mut known = false;
    let generation = generation(inode);
    if let Some(ent) = WATCHED.get_ptr_mut(&inode) {
        let ent = unsafe { &mut *ent };
        known = is_same(inode, ent);
        if known {
            // A truncation under way must still show as one.
            ent.size = ent.size.max(size);
        }
    }
    let sb: u64 = kread::get(inode, off!(inode_sb));
    let mut flags = 0;
    if !known {
        let host: u64 = kread::get(inode, off!(inode_ino));
        let ent = WatchEnt { ino, size, host, sb, dev, generation, idle: 0 };
        if WATCHED.insert(&inode, &ent, 0).is_err() {
            emit::count(counter::FILES_FULL);
            flags |= watch::FULL;
        } else if !emit::gate(gate::FILES) {
            emit::gate_add(gate::FILES, 1);
        }
    }
    // Only now: whoever begins a change from here on finds the file watched.
    if !is_idle(inode) {
        flags |= watch::BUSY;
    }
    if is_below(inode, opened) {
        flags |= watch::BELOW;
    }
    u64::from(flags) | u64::from(generation) << 32
}

/// Whether no change is under way that began before the file was watched. Once true, it stays so.
#[inline(always)]
fn is_idle(inode: u64) -> bool {
    let Some(ent) = WATCHED.get_ptr_mut(&inode) else {
        return false;
    };
    let ent = unsafe { &mut *ent };
    if ent.idle == 0 {
        let locked = kread::opt::<u64>(inode, off!(inode_rwsem)).unwrap_or_default() & 1 != 0;
        ent.idle = u64::from(!locked && !pending::any(inode));
    }
    ent.idle != 0
}

/// `watch::*` and the generation of the file behind a `struct address_space *` that is watched by now.
#[inline(always)]
pub fn known(mapping: u64) -> (u32, u32) {
    let inode: u64 = kread::get(mapping, off!(mapping_host));
    let mut flags = is_mapped(mapping);
    match unsafe { WATCHED.get(&inode) } {
        Some(known) if known.idle == 0 => flags |= watch::BUSY,
        Some(_) => {}
        None => flags |= watch::FULL,
    }
    if is_below(inode, inode) {
        flags |= watch::BELOW;
    }
    (flags, generation(inode))
}

/// Its pages change below it.
#[inline(always)]
fn is_below(inode: u64, opened: u64) -> bool {
    let sb: u64 = kread::get(inode, off!(inode_sb));
    kread::get::<u32>(sb, off!(sb_depth)) > 0 || kread::file_type(opened) == kread::S_IFBLK
}

/// `watch::MAPPED` if somebody can store to the file without a call. To be asked once the submit has its
/// time: a mapping made later is stated with a later one.
#[inline(always)]
pub fn mapped(file: u64) -> u32 {
    is_mapped(kread::get(file, off!(file_mapping)))
}

/// The same by its `struct address_space *`.
#[inline(always)]
pub fn is_mapped(mapping: u64) -> u32 {
    if kread::get::<i32>(mapping, off!(mmap_writable)) > 0 { watch::MAPPED } else { 0 }
}

/// A change to the file is over.
#[inline(always)]
pub fn changed(inode: u64) {
    if let Some(ent) = WATCHED.get_ptr_mut(&inode) {
        unsafe { (*ent).size = size(inode) };
    }
}

/// `inode->i_size`
#[inline(always)]
pub fn size(inode: u64) -> u64 {
    kread::get(inode, off!(inode_size))
}

/// Calls back for every watched file that is shorter than it was: `truncate()` names its file by
/// path only.
#[inline(always)]
pub fn each_shrunk(
    call: extern "C" fn(u64, *const u64, *mut WatchEnt, *const u64) -> u64,
    context: *const u64,
) {
    unsafe {
        bpf_for_each_map_elem(
            (&raw const WATCHED).cast_mut().cast(),
            call as *mut core::ffi::c_void,
            context.cast_mut().cast(),
            0,
        );
    }
}

/// Whether it became that short since it was last looked at.
#[inline(always)]
pub fn shrank_to(inode: u64, ent: *mut WatchEnt, size: u64) -> bool {
    let ent = unsafe { &mut *ent };
    if self::size(inode) != size || size >= ent.size || !is_same(inode, ent) || is_going(inode) {
        return false;
    }
    ent.size = size;
    true
}
