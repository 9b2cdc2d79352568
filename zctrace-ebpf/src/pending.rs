//! Changes that were asked for while nobody watched their file. Nothing shows one before it takes the inode's
//! lock: a request may wait for a worker, a splice for its input. Whoever lends the file meanwhile must not
//! take it for idle.

use crate::{
    emit,
    globals::off,
    kread,
    maps::{PENDING, WAITING, WAITING_SLOTS},
    watch,
};
use zctrace_common::counter;

/// Of files of this hash, how many are pending. Others that share it are doubted too, none is forgotten.
#[inline(always)]
fn waiting(inode: u64) -> Option<*mut u64> {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    const BITS: u32 = WAITING_SLOTS.trailing_zeros();
    WAITING.get_ptr_mut(((inode >> 6).wrapping_mul(SPREAD) >> (64 - BITS)) as u32)
}

/// A call (by its task) or a request (by its `struct io_kiocb *`) may change the file. `false`: that is
/// watched by now, and the change can be stated.
#[inline(always)]
pub fn begins(key: u64, file: u64) -> bool {
    const S_IFMT: u16 = 0o170000;
    const S_IFREG: u16 = 0o100000;
    let inode = kread::host_of(file);
    if kread::get::<u16>(inode, off!(inode_mode)) & S_IFMT != S_IFREG {
        return true;
    }
    let Some(count) = waiting(inode) else {
        return true;
    };
    // Before the file is looked for: whoever watches it looks here afterwards.
    emit::add(count, 1);
    if watch::find(inode).is_some() {
        emit::add(count, u64::MAX);
        return false;
    }
    if PENDING.insert(&key, &inode, 0).is_err() {
        emit::add(count, u64::MAX);
        emit::count(counter::CHANGES_FULL);
    }
    true
}

/// It is over, if it was pending.
#[inline(always)]
pub fn over(key: u64) {
    if let Some(inode) = unsafe { PENDING.get(&key) } {
        let inode = *inode;
        let _ = PENDING.remove(&key);
        if let Some(count) = waiting(inode) {
            emit::add(count, u64::MAX);
        }
    }
}

/// Whether one of this file may be.
#[inline(always)]
pub fn any(inode: u64) -> bool {
    waiting(inode).is_some_and(|count| unsafe { core::ptr::read_volatile(count) } != 0)
}
