//! Target `decode`: bytes to events.

use zctrace::event::{Decoded, Event, decode as decoded, pages};
use zctrace_common::frame::{HEADER, split};
use zctrace_common::kernel::Print;

/// Any bytes as a frame: an answer, the same each time, that looks at no byte behind the frame.
pub fn decode(bytes: &[u8]) {
    let all = decoded(bytes);
    assert_eq!(all, decoded(bytes));
    match (&all, split(bytes)) {
        (Decoded::Malformed, None) => {}
        (Decoded::Frame(h, _) | Decoded::Unknown(h), Some((header, body))) => {
            assert_eq!(*h, header);
            assert_eq!(body.len() + HEADER, usize::from(h.len));
            let alone = bytes.get(..usize::from(h.len)).unwrap_or_default();
            assert_eq!(all, decoded(alone));
        }
        other => unreachable!("{other:?}"),
    }
    if let Decoded::Frame(_, Event::Print(p)) = all {
        pages_hold(&p);
    }
}

/// A run's pages are the run, piece by piece, in order.
fn pages_hold(p: &Print) {
    let mut at = p.off;
    for (off, len, _) in pages(p) {
        assert!(off == at && (1..=4096).contains(&len) && off / 4096 == (off + (len - 1)) / 4096, "{p:?}");
        at = off.saturating_add(len);
    }
    assert!(at <= p.off.saturating_add(u64::from(p.len)), "{p:?}");
}

/// Cuts bytes into frames by what their headers say, as far as there are bytes.
pub fn pieces(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(len) = bytes.get(2..4).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes) {
        let n = usize::from(len).clamp(HEADER, bytes.len().max(HEADER));
        let (one, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
        let mut one = one.to_vec();
        // A frame that is cut is a whole one that is shorter.
        if let (Ok(n), Some(len)) = (u16::try_from(one.len()), one.get_mut(2..4)) {
            len.copy_from_slice(&n.to_le_bytes());
        }
        all.push(one);
        bytes = rest;
    }
    all
}
