//! What a process's memory is, as its mappings say.

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_get_current_task_btf, bpf_loop};
use zctrace_common::{kernel::memory, layout::MISSING};

use crate::{globals::off, kread};

const VM_MAYSHARE: u64 = 0x80;
const VM_HUGETLB: u64 = 0x40_0000;

/// The mapping at an address.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Area {
    pub addr: u64,
    /// `struct file *` of a shared mapping of a file, else 0.
    pub file: u64,
    /// Where in it the address is; while it is looked for, how many bytes.
    pub off: u64,
    /// `memory::*`
    pub kind: u64,
}

/// The mapping of the current process that has `len` bytes from `addr` on.
#[inline(always)]
pub fn area(addr: u64, len: u64) -> Area {
    let mut area = Area { addr, file: 0, off: len, kind: u64::from(memory::UNKNOWN) };
    if off!(vma_flags) != MISSING {
        unsafe {
            let task = bpf_get_current_task_btf();
            bpf_find_vma(task, addr, look as *mut core::ffi::c_void, (&raw mut area).cast(), 0);
        }
    }
    area
}

extern "C" fn look(_task: u64, vma: u64, area: *mut Area) -> u64 {
    let a = unsafe { &mut *area };
    let len = a.off;
    a.off = 0;
    // The rest is in the next mapping, which may be anything.
    if a.addr.wrapping_add(len) > kread::get::<u64>(vma, off!(vma_end)) {
        return 0;
    }
    let flags: u64 = kread::get(vma, off!(vma_flags));
    let file: u64 = kread::get(vma, off!(vma_file));
    let shared = file != 0 && flags & VM_MAYSHARE != 0;
    a.kind = u64::from(match () {
        () if flags & VM_HUGETLB != 0 => memory::HUGE,
        () if shared => memory::SHARED,
        () if file != 0 => memory::PRIVATE,
        () => memory::ANONYMOUS,
    });
    if shared {
        let start: u64 = kread::get(vma, off!(vma_start));
        let pgoff: u64 = kread::get(vma, off!(vma_pgoff));
        a.file = file;
        a.off = a.addr.wrapping_sub(start).wrapping_add(pgoff << 12);
    }
    0
}

/// Buffers of a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffers {
    iov: u64,
    /// Bytes in all of them.
    pub total: u64,
    /// Address of the first that is not empty.
    pub addr: u64,
    /// How many are not empty.
    pub count: u64,
}

impl Buffers {
    /// One.
    #[inline(always)]
    pub fn one(addr: u64, total: u64) -> Self {
        Self { iov: 0, total, addr, count: 1 }
    }

    /// An array of `struct iovec`.
    #[inline(always)]
    pub fn of(iov: u64, n: u64) -> Self {
        const UIO_MAXIOV: u64 = 1024;
        let n = if n > UIO_MAXIOV { UIO_MAXIOV } else { n };
        let mut all = Self { iov, total: 0, addr: 0, count: 0 };
        unsafe { bpf_loop(n as u32, add as *mut core::ffi::c_void, (&raw mut all).cast(), 0) };
        all
    }

    /// Those of a `struct user_msghdr`.
    #[inline(always)]
    pub fn of_message(message: u64) -> Self {
        Self::of(kread::user(message.wrapping_add(16)), kread::user(message.wrapping_add(24)))
    }
}

extern "C" fn add(i: u64, all: *mut Buffers) -> u64 {
    let all = unsafe { &mut *all };
    let at = all.iov.wrapping_add(16 * i);
    let len: u64 = kread::user(at.wrapping_add(8));
    if len != 0 {
        if all.count == 0 {
            all.addr = kread::user(at);
        }
        all.total = all.total.wrapping_add(len);
        all.count += 1;
    }
    0
}
