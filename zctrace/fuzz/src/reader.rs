//! Target `reader`: the recording as bytes.

use std::io;

use zctrace::pipeline::{self, Pipeline};
use zctrace::trace::{End, Reader};
use zctrace_common::frame::split;
use zctrace_common::user::kind;

use super::pick::Pick;

const FILE_HEADER: usize = 16;
const BLOCK_HEADER: usize = 48;

/// Any bytes as a recording; where the first is even, blocks are made of the rest whose sums check.
pub fn reader(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 0 => reads(&blocks(rest)),
        Some((_, rest)) => reads(rest),
        None => reads(bytes),
    }
}

/// A recording of version 1 with valid sums, around any contents and claims.
fn blocks(bytes: &[u8]) -> Vec<u8> {
    let mut pick = Pick::new(bytes);
    let mut out = b"ZCTRACE\0\x01\0\0\0\0\0\0\0".to_vec();
    while !pick.is_over() {
        let how = pick.byte();
        let n = pick.short();
        let contents = pick.take(n);
        let (codec, stored) = match how % 4 {
            0 => (0, contents.to_vec()),
            1 => (1, contents.to_vec()),
            2 => (1, lz4_flex::block::compress(contents)),
            _ => (u32::from(pick.byte()), contents.to_vec()),
        };
        let mut frames = 0u32;
        let mut rest = contents;
        while let Some((header, _)) = split(rest) {
            frames += 1;
            rest = rest.get(usize::from(header.len)..).unwrap_or_default();
        }
        let length = |n: usize| u32::try_from(n).unwrap_or_default();
        let mut raw_len = length(contents.len());
        // Claims that are lies.
        if how & 0x40 != 0 {
            frames = frames.wrapping_add(u32::from(pick.byte()));
        }
        if how & 0x80 != 0 {
            raw_len = u32::try_from(pick.number() & 0xffff_ffff).unwrap_or_default();
        }
        let mut block = b"ZBLK".to_vec();
        for word in [codec, frames, raw_len, length(stored.len()), crc32fast::hash(&stored)] {
            block.extend_from_slice(&word.to_le_bytes());
        }
        block.extend_from_slice(&[0; 20]);
        block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
        out.extend_from_slice(&block);
        out.extend_from_slice(&stored);
    }
    out
}

/// At once and block by block it is the same; the end is where it says; a report can be made.
fn reads(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else {
        return;
    };
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut take = |f: &[u8]| {
        frames.push(f.to_vec());
        Ok(())
    };
    let Ok(end) = reader.read::<io::Error>(&mut take) else { unreachable!("bytes can be read") };
    let good = reader.at();
    assert!(good >= FILE_HEADER as u64 && good <= bytes.len() as u64);
    for f in &frames {
        assert!(split(f).is_some_and(|(h, _)| usize::from(h.len) == f.len()));
    }
    let stopped = frames.last().and_then(|f| split(f)).is_some_and(|(h, _)| h.kind == kind::STOP);
    if end == End::Complete {
        assert!(stopped && good == bytes.len() as u64);
    }
    let said = end.to_string();
    assert!(!said.chars().any(zctrace::text::acts));
    let mut one = Reader::new(bytes).ok();
    let mut again: Vec<Vec<u8>> = Vec::new();
    let mut last = FILE_HEADER as u64;
    while let Some(r) = &mut one {
        let mut take = |f: &[u8]| {
            again.push(f.to_vec());
            Ok(())
        };
        let next = r.read_block::<io::Error>(&mut take);
        if let Ok(Some(at)) = next {
            assert_eq!(at, end);
            break;
        }
        assert!(next.is_ok() && r.at() >= last + BLOCK_HEADER as u64);
        last = r.at();
    }
    assert_eq!(frames, again);
    let mut pipeline = Pipeline::new(None, Vec::new());
    assert!(pipeline::replay_from(bytes, &mut pipeline).is_ok());
    assert!(pipeline.finish().is_ok());
}
