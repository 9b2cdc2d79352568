//! Positions that wrap: TCP sequence numbers and slots of a pipe.

/// `before()` of the kernel: `a` comes before `b`.
#[inline(always)]
pub fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// `a` comes after `b`.
#[inline(always)]
pub fn after(a: u32, b: u32) -> bool {
    before(b, a)
}
