//! The two read-only globals the loader fills: where things are, and what to trace.

use zctrace_common::{config::Config, layout::KernelLayout};

#[unsafe(no_mangle)]
pub static LAYOUT: KernelLayout = unsafe { core::mem::zeroed() };

#[unsafe(no_mangle)]
pub static CONFIG: Config = unsafe { core::mem::zeroed() };

/// Volatile, or the compiler would fold the zeroes it sees.
#[inline(always)]
pub fn load<T>(field: *const T) -> T {
    // SAFETY: only called through the macros below, on fields of the two globals.
    unsafe { core::ptr::read_volatile(field) }
}

/// A field of [`LAYOUT`].
macro_rules! off {
    ($field:ident) => {
        $crate::globals::load(&raw const $crate::globals::LAYOUT.$field)
    };
}
pub(crate) use off;

/// A field of [`CONFIG`].
macro_rules! cfg_get {
    ($($field:tt)+) => {
        $crate::globals::load(&raw const $crate::globals::CONFIG.$($field)+)
    };
}
pub(crate) use cfg_get;
