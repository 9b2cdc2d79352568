//! Drawing some of many transfers so that each has the same chance, and every replay draws the same ones.

use crate::model::TransferId;

/// A number that looks drawn at random. Those with the largest, or the smallest, are a fair sample.
pub(crate) fn chance(id: TransferId) -> u64 {
    let mut x = (u64::from(id.cpu) << 40).wrapping_add(id.seq).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
