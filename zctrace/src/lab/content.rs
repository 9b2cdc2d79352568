//! What the bytes are: what was sent, what was written later, and which of them arrived.

use std::ops::Range;

use super::Writer;

/// What a writer writes. No byte that is sent has this value.
const MARK: u8 = 0xee;

/// What is sent: never 0, so that a byte that a truncation cleared is known, and never [`MARK`].
pub(super) fn old(len: usize) -> Vec<u8> {
    (0..len).map(old_byte).collect()
}

fn old_byte(at: usize) -> u8 {
    u8::try_from((at / 4096 * 31 + at) % 0x7f + 1).unwrap_or(1)
}

/// What is overwritten: in the middle, and neither end is the edge of a page.
pub(super) fn changed(len: usize) -> Range<usize> {
    let middle = len / 2;
    middle - 1234..middle + 3766
}

/// What it is overwritten with.
pub(super) fn marks(len: usize) -> Vec<u8> {
    vec![MARK; changed(len).len()]
}

/// What a truncation leaves.
pub(super) fn left(len: usize) -> usize {
    len / 3
}

/// What of it arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Bytes as they became later.
    pub(super) new: u64,
    /// Bytes that nobody wrote there.
    pub(super) wrong: u64,
}

/// Judges what a receiver got of `len` bytes that were sent.
pub(super) fn judge(got: &[u8], len: usize, writer: Writer) -> Tally {
    let mut tally = Tally::default();
    for (at, byte) in got.iter().enumerate() {
        let new = match writer {
            Writer::None => false,
            Writer::Write | Writer::Mmap => *byte == MARK && changed(len).contains(&at),
            Writer::Truncate => *byte == 0 && at >= left(len),
        };
        if new {
            tally.new += 1;
        } else if at >= len || *byte != old_byte(at) {
            tally.wrong += 1;
        }
    }
    tally
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_one_meaning() {
        let len = 16 * 1024;
        let mut got = old(len);
        assert!(got.iter().all(|b| (1..0x80).contains(b)));
        assert_eq!(judge(&got, len, Writer::Write), Tally::default());
        got.splice(changed(len), marks(len));
        assert_eq!(judge(&got, len, Writer::Write), Tally { new: 5000, wrong: 0 });
        assert_eq!(judge(&got, len, Writer::None), Tally { new: 0, wrong: 5000 });
        let mut got = old(len);
        got.resize(len + 1, 0);
        assert_eq!(judge(&got, len, Writer::Write), Tally { new: 0, wrong: 1 });
        got.truncate(len);
        got[left(len)..].fill(0);
        assert_eq!(judge(&got, len, Writer::Truncate).new, (len - left(len)) as u64);
    }
}
