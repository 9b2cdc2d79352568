//! Finds where content is. The loader runs this by itself (`BPF_PROG_TEST_RUN`), before anything is
//! attached, on a memfd of its own that it has filled with random bytes.

use aya_ebpf::{helpers::generated::bpf_loop, macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    globals::off,
    kread,
    maps::{ANSWER, CONTENT},
    print,
};

/// KASLR moves the direct map by whole gigabytes.
const STEP: u64 = 1 << 30;
/// As far as memory may be from what this looks at, either way.
const TRIES: u32 = 8192;

/// A `struct page` whose first word is known.
#[repr(C)]
struct Search {
    /// 64 times its address.
    scaled: u64,
    /// Somewhere in the direct map.
    near: u64,
    word: u64,
    direct: u64,
}

/// `(0, fd, word)`: finds the one page of the file, which begins with that word.
/// `(1, fd, file offset, length)`: answers the sum over bytes of one page.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn zct_calibrate(ctx: RawTracePointContext) -> i32 {
    let file = kread::file_of(kread::task(), ctx.arg(1));
    let mapping: u64 = kread::get(file, off!(file_mapping));
    if ctx.arg::<u64>(0) == 0 {
        let page: u64 = kread::get(mapping, off!(mapping_pages));
        if page == 0 || page & 3 != 0 {
            return 1;
        }
        let mut search = Search { scaled: page << 6, near: file, word: ctx.arg(2), direct: 0 };
        unsafe {
            bpf_loop(TRIES, attempt as *mut core::ffi::c_void, (&raw mut search).cast(), 0);
        }
        if let Some(content) = CONTENT.get_ptr_mut(0) {
            unsafe { (*content).direct = search.direct };
        }
        return i32::from(search.direct == 0);
    }
    let (off, len): (u64, u64) = (ctx.arg(2), ctx.arg(3));
    let sum = print::one(mapping, off, len as u32);
    if let (Some(answer), Some(sum)) = (ANSWER.get_ptr_mut(0), sum) {
        unsafe { *answer = sum };
        return 0;
    }
    1
}

/// Looks at one address that the page may be mapped at.
extern "C" fn attempt(n: u64, search: *mut Search) -> u64 {
    let s = unsafe { &mut *search };
    let away = (n >> 1).wrapping_add(n & 1).wrapping_mul(STEP);
    let near = s.near & !(STEP - 1);
    let base = if n & 1 != 0 { near.wrapping_add(away) } else { near.wrapping_sub(away) };
    let at = base.wrapping_add(s.scaled & (STEP - 1));
    if kread::at::<u64>(at) != s.word {
        return 0;
    }
    s.direct = at.wrapping_sub(s.scaled);
    1
}
