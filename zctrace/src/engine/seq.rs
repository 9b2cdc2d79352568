//! 32-bit numbers of the kernel that wrap (TCP sequence numbers, pipe slots) as 64-bit ones.

use serde::{Deserialize, Serialize};

/// Follows a wrapping counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unwrap {
    at: u64,
}

impl Unwrap {
    pub(super) fn new(first: u32) -> Self {
        // One lap of room below, so that older numbers stay positive.
        Self { at: (1 << 32) + u64::from(first) }
    }

    /// The number nearest to the last one that ends in these 32 bits.
    pub(super) fn get(&mut self, low: u32) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the distance is meant modulo 2^32"
        )]
        let distance = low.wrapping_sub(self.at as u32) as i32;
        let full = self.at.saturating_add_signed(i64::from(distance));
        self.at = self.at.max(full);
        full
    }
}

/// The low half of a position that the wire widened.
#[expect(clippy::cast_possible_truncation, reason = "the kernel's number has 32 bits")]
pub(super) fn low(position: u64) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wraps_both_ways() {
        let mut u = Unwrap::new(u32::MAX - 1);
        let a = u.get(u32::MAX);
        assert_eq!(u.get(5), a + 6);
        assert_eq!(u.get(u32::MAX), a);
        assert_eq!(u.get(6), a + 7);
    }
}
