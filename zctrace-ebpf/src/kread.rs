//! The only code that reads kernel memory. A failed read gives zero, which every caller treats as
//! "not there".

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel, bpf_probe_read_user};
use zctrace_common::{kernel::end, layout::MISSING};

use crate::globals::off;

/// Reads a `T` at `base + offset`.
#[inline(always)]
pub fn get<T: Copy + Default>(base: u64, offset: u32) -> T {
    at(base.wrapping_add(u64::from(offset)))
}

/// As [`get`], `None` where this kernel lacks the field.
#[inline(always)]
pub fn opt<T: Copy + Default>(base: u64, offset: u32) -> Option<T> {
    if offset == MISSING { None } else { Some(get(base, offset)) }
}

#[inline(always)]
pub fn at<T: Copy + Default>(addr: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let size = const { size_of::<T>() as u32 };
    // Filled with zeroes where the read fails (`bpf_probe_read_kernel_common()`): to look at the result
    // would double what the verifier goes through.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size, addr as *const core::ffi::c_void);
        value.assume_init()
    }
}

#[inline(always)]
pub fn user<T: Copy + Default>(addr: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let size = const { size_of::<T>() as u32 };
    // As above (`bpf_probe_read_user_common()`).
    unsafe {
        bpf_probe_read_user(value.as_mut_ptr().cast(), size, addr as *const core::ffi::c_void);
        value.assume_init()
    }
}

/// `compound_head()` of a page with this `compound_head`, or `compound_info`: since Linux 7.2 that may be
/// what to mask the page's address with.
#[inline(always)]
pub fn compound_head(page: u64, link: u64) -> u64 {
    // Of masks all upper bits are set, which of pointers they are not: no `struct page` lies there.
    const MASKS: u64 = (1 << 30) - 1;
    match link & 1 {
        0 => page,
        _ if link | MASKS == u64::MAX => page & (link - 1),
        _ => link - 1,
    }
}

/// `current`
#[inline(always)]
pub fn task() -> u64 {
    unsafe { bpf_get_current_task() }
}

/// x86: a 32-bit system call, whose numbers mean other calls.
#[inline(always)]
pub fn is_compat(task: u64) -> bool {
    const TS_COMPAT: u32 = 2;
    match opt::<u32>(task, off!(task_status)) {
        Some(status) => status & TS_COMPAT != 0,
        None => false,
    }
}

/// `current->files->fdt->fd[fd]`
#[inline(always)]
pub fn file_of(task: u64, fd: u64) -> u64 {
    let files: u64 = get(task, off!(task_files));
    let fdt: u64 = get(files, off!(files_fdt));
    let max: u32 = get(fdt, off!(fdt_max));
    let fd = fd as u32;
    if fd >= max {
        return 0;
    }
    let array: u64 = get(fdt, off!(fdt_fd));
    at(array.wrapping_add(u64::from(fd) << 3))
}

/// The inode whose page cache a file shows: `file->f_mapping->host`.
#[inline(always)]
pub fn host_of(file: u64) -> u64 {
    get(get(file, off!(file_mapping)), off!(mapping_host))
}

pub const S_IFIFO: u16 = 0o010000;
pub const S_IFBLK: u16 = 0o060000;
pub const S_IFREG: u16 = 0o100000;
pub const S_IFSOCK: u16 = 0o140000;

/// `S_IF*` of an inode.
#[inline(always)]
pub fn file_type(inode: u64) -> u16 {
    const S_IFMT: u16 = 0o170000;
    get::<u16>(inode, off!(inode_mode)) & S_IFMT
}

/// What a file is, for a sender.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct End {
    /// `end::*`
    pub kind: u8,
    /// `struct file *`
    pub file: u64,
    /// FILE: inode. PIPE: pipe_inode_info. SOCK: sock.
    pub ptr: u64,
}

#[inline(always)]
pub fn end_of(file: u64) -> End {
    let mut e = End { kind: end::OTHER, file, ptr: 0 };
    if file == 0 {
        return e;
    }
    let inode: u64 = get(file, off!(file_inode));
    match file_type(inode) {
        S_IFREG | S_IFBLK => {
            e.kind = end::FILE;
            e.ptr = inode;
        }
        S_IFIFO => {
            e.kind = end::PIPE;
            e.ptr = get(file, off!(file_private));
        }
        S_IFSOCK => {
            let socket: u64 = get(file, off!(file_private));
            e.kind = end::SOCK;
            e.ptr = get(socket, off!(socket_sk));
        }
        _ => {}
    }
    if e.ptr == 0 {
        e.kind = end::OTHER;
    }
    e
}

/// `(s_dev, i_ino)`
#[inline(always)]
pub fn identity(inode: u64) -> (u32, u64) {
    let sb: u64 = get(inode, off!(inode_sb));
    (get(sb, off!(sb_dev)), get(inode, off!(inode_ino)))
}

/// Where a pipe stands.
#[derive(Clone, Copy, Default)]
pub struct PipePos {
    pub head: u32,
    pub tail: u32,
    /// `offset` of the buffer at tail, 0 when empty.
    pub off: u32,
}

#[inline(always)]
pub fn pipe_pos(pipe: u64) -> PipePos {
    let head: u32 = get(pipe, off!(pipe_head));
    let tail: u32 = get(pipe, off!(pipe_tail));
    let mut off = 0;
    if head != tail {
        let ring: u32 = get(pipe, off!(pipe_ring));
        let bufs: u64 = get(pipe, off!(pipe_bufs));
        let slot = u64::from(tail & ring.wrapping_sub(1));
        let buf = bufs.wrapping_add(slot.wrapping_mul(u64::from(off!(pipe_buf_size))));
        off = get(buf, off!(buf_offset));
    }
    PipePos { head, tail, off }
}
