//! The recording format: what was written comes back, and from a broken file only what is good.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed; sizes are small"
)]

use std::io::{self, Write};

use proptest::prelude::*;
use zctrace::trace::{End, Known, MAGIC, Reader, Rest, TraceError, VERSION, Writer};
use zctrace_common::frame::{HEADER, Header, USER_CPU};
use zctrace_common::user::kind;

const FILE_HEADER: usize = 16;
/// Not a kind this version knows: the format does not care.
const UNKNOWN: u16 = 0x7777;

fn frame(kind: u16, ts: u64, payload: &[u8]) -> Vec<u8> {
    let len = (HEADER + payload.len()) as u16;
    let header = Header { kind, len, cpu: USER_CPU, seq: ts, ts, task: 0 };
    [bytemuck::bytes_of(&header), payload].concat()
}

fn stop(ts: u64) -> Vec<u8> {
    frame(kind::STOP, ts, &[0; 24])
}

/// A recording, and where each block of it ends.
struct Recording {
    bytes: Vec<u8>,
    /// Bytes and frames up to the end of each block; first the file header with none.
    ends: Vec<(usize, usize)>,
}

fn record(blocks: &[Vec<Vec<u8>>]) -> Recording {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut frames = 0;
    let mut ends = vec![(writer.written() as usize, 0)];
    for block in blocks {
        for frame in block {
            writer.push(frame).unwrap();
        }
        writer.flush().unwrap();
        frames += block.len();
        ends.push((writer.written() as usize, frames));
    }
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len(), ends.last().unwrap().0);
    Recording { bytes, ends }
}

fn read(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, End), TraceError> {
    let mut frames = Vec::new();
    let end = Reader::new(bytes)?.read::<TraceError>(&mut |frame| {
        frames.push(frame.to_vec());
        Ok(())
    })?;
    Ok((frames, end))
}

/// It is cut there, and so many bytes follow.
fn cut_off(end: &End, good: usize, rest: usize) -> bool {
    matches!(end, End::Cut { good: at, rest: r } if (*at, r.bytes) == (good as u64, rest as u64))
}

fn three_blocks() -> Vec<Vec<Vec<u8>>> {
    // Nothing repeats in it, not even in its header: it is stored as it is.
    let mut noise = frame(UNKNOWN, 30, &(0..=255).collect::<Vec<u8>>());
    for (byte, n) in noise[4..HEADER].iter_mut().zip((0..=255).rev()) {
        *byte = n;
    }
    vec![
        vec![frame(1, 10, b"first"), frame(2, 20, &[7; 600])],
        vec![noise],
        vec![frame(3, 40, b""), stop(50)],
    ]
}

#[test]
fn cut_at_every_byte() {
    let blocks = three_blocks();
    let all = blocks.concat();
    let recording = record(&blocks);
    let codecs: Vec<u8> = recording.ends[..3].iter().map(|(at, _)| recording.bytes[at + 4]).collect();
    assert_eq!(codecs, [1, 0, 1], "both codecs are tried");
    for cut in FILE_HEADER..recording.bytes.len() {
        let (good, frames) = *recording.ends.iter().rfind(|(end, _)| *end <= cut).unwrap();
        let (got, end) = read(&recording.bytes[..cut]).unwrap();
        assert_eq!(got, all[..frames], "cut at {cut}");
        assert!(cut_off(&end, good, cut - good), "cut at {cut}: {end:?}");
    }
    assert_eq!(read(&recording.bytes).unwrap(), (all, End::Complete));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let blocks = three_blocks();
    let all = blocks.concat();
    let recording = record(&blocks);
    for bit in FILE_HEADER * 8..recording.bytes.len() * 8 {
        let mut bytes = recording.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (good, frames) = *recording.ends.iter().rfind(|(end, _)| *end <= bit / 8).unwrap();
        let (got, end) = read(&bytes).unwrap();
        assert_eq!(got, all[..frames], "bit {bit}");
        assert!(matches!(end, End::Damaged { at, .. } if at == good as u64), "bit {bit}: {end}");
    }
}

#[test]
fn without_a_stop_it_is_cut() {
    let recording = record(&[vec![frame(1, 10, b"x")], vec![stop(20), frame(1, 30, b"late")]]);
    let (frames, end) = read(&recording.bytes).unwrap();
    assert_eq!(frames.len(), 3);
    assert!(cut_off(&end, recording.bytes.len(), 0), "{end:?}");
}

/// Made by hand from `docs/format.md`, not by the writer: one stored block, one lz4 block. It must
/// open for as long as version 1 is read.
const VERSION_1: &str = "\
5a4354524143450001000000000000005a424c4b000000000100000025000000250000008f4f85a00a000000\
000000000a00000000000000000000004cec825e01002500ffffffff0a000000000000000a00000000000000\
000000000000000068656c6c6f5a424c4b0100000002000000b0020000620000009fd9420614000000000000\
001e00000000000000000000003a08064bff1202007802ffffffff1400000000000000140000000000000000\
00000000000000070100ffff46f02904013800ffffffff1e000000000000001e000000000000000000000000\
000000000000000000000000000000000000000000000000000000";

#[test]
fn version_1_opens() {
    let digits = VERSION_1.as_bytes().chunks(2);
    let bytes: Vec<u8> =
        digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
    let (frames, end) = read(&bytes).unwrap();
    let by_hand = [frame(1, 10, b"hello"), frame(2, 20, &[7; 600]), stop(30)];
    assert_eq!(frames, by_hand);
    assert_eq!(end, End::Complete);
}

#[test]
fn the_writer_keeps_to_the_table() {
    let frames = vec![frame(1, 30, &[7; 600]), frame(1, 10, b""), stop(20)];
    let raw = frames.concat();
    let bytes = record(&[frames]).bytes;
    assert_eq!(bytes[..16], *b"ZCTRACE\0\x02\0\0\0\0\0\0\0");
    let word = |at: usize| u32::from_le_bytes(bytes[16 + at..][..4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(bytes[16 + at..][..8].try_into().unwrap());
    let stored = &bytes[16 + 48..];
    assert_eq!(bytes[16..20], *b"ZBLK");
    assert_eq!((word(4), word(8)), (1, 3), "lz4, frames");
    assert_eq!((word(12), word(16)), (raw.len() as u32, stored.len() as u32));
    assert_eq!(word(20), crc32fast::hash(stored));
    assert_eq!((long(24), long(32)), (10, 30), "earliest, latest");
    assert_eq!(word(40), 0);
    assert_eq!(word(44), crc32fast::hash(&bytes[16..16 + 44]));
}

fn error(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn not_a_recording() {
    assert_eq!(
        error(b""),
        "the file is empty: the recording was ended before it began, or it is another file"
    );
    let not = "not a zctrace recording (it does not begin with ZCTRACE)";
    assert_eq!(error(b"#!/bin/sh\necho this is no recording\n"), not);
    assert_eq!(error(&MAGIC), not);
    assert_eq!(error(&[0; 64]), not);
}

#[test]
fn a_newer_version() {
    let mut bytes = record(&three_blocks()).bytes;
    bytes[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
    assert_eq!(error(&bytes), "recorded in format 3, and this zctrace reads up to 2: use a newer zctrace");
}

#[test]
fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let error = Reader::new(std::fs::File::open(dir.path()).unwrap()).err().unwrap();
    assert_eq!(error.to_string(), "this is a directory: name the file that `zctrace record -o FILE` wrote");
}

#[test]
fn how_an_end_reads() {
    let known = Known::Until(1_204_000_000);
    let rest = Rest { bytes: 100, known, ..Rest::default() };
    let zeros = Rest { zeros: 100, ..rest };
    for (end, says) in [
        (
            End::Cut { good: 900, rest },
            "the recording is cut off: its first 900 bytes are good and were read, the last 100 are not a whole \
             block. What happened is known up to 1.20 s after its start. Is it still being written, was the disk \
             full, or was zctrace killed?",
        ),
        (
            End::Disordered { at: 900, rest },
            "the recording is damaged at byte 900 (blocks before it are missing, doubled or in another order): \
             everything before was read, the 100 bytes from there on, of 1000, were not. What happened is known up to \
             1.20 s after its start. If this is a copy, compare it with the original",
        ),
        (
            End::Cut { good: 16, rest: Rest::default() },
            "the recording is cut off: its first 16 bytes are good and were read, and no end was written. What \
             happened is not known for certain of any moment. Is it still being written, was the disk full, or was \
             zctrace killed?",
        ),
        (
            End::Damaged { at: 900, why: "its contents do not check", rest },
            "the recording is damaged at byte 900 (its contents do not check): everything before was read, the \
             100 bytes from there on, of 1000, were not. What happened is known up to 1.20 s after its start. If \
             this is a copy, compare it with the original",
        ),
        (
            End::Damaged { at: 900, why: "its header does not check", rest: zeros },
            "the recording ends in 100 zero bytes: its first 900 bytes are good and were read. What happened is known \
             up to 1.20 s after its start. That is how files end that were being written when the machine lost power",
        ),
        (
            End::Damaged {
                at: 900,
                why: "its contents do not check",
                rest: Rest { bytes: 9000, zeros: 512, more: true, known: Known::Unsaid },
            },
            "the recording is damaged at byte 900 (its contents do not check): everything before was read, the \
             more than 9000 bytes from there on, of more than 9900, were not. Its last 512 bytes are zeros: that is \
             how files end that were being written when the machine lost power",
        ),
    ] {
        assert_eq!(end.to_string(), says);
    }
}

/// A valid header in front of whatever `stored` is.
fn hostile(codec: u32, frames: u32, raw_len: u32, stored: &[u8], stored_len: u32) -> Vec<u8> {
    let mut block = b"ZBLK".to_vec();
    for word in [codec, frames, raw_len, stored_len, crc32fast::hash(stored)] {
        block.extend_from_slice(&word.to_le_bytes());
    }
    block.extend_from_slice(&[0; 20]);
    block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
    [&record(&[]).bytes, block.as_slice(), stored].concat()
}

#[test]
fn claims_that_check_but_are_lies() {
    let good = frame(1, 1, b"x");
    let n = good.len() as u32;
    let mut overlong = good.clone();
    overlong[2..4].copy_from_slice(&u16::MAX.to_le_bytes());
    let mut short = good.clone();
    short[2..4].copy_from_slice(&1u16.to_le_bytes());
    for (name, bytes) in [
        ("more than a block may hold", hostile(0, 1, (4 << 20) + 1, &good, n)),
        ("stores more than a block may hold", hostile(0, 1, n, &good, u32::MAX)),
        ("unknown codec", hostile(9, 1, n, &good, n)),
        ("raw is longer than stored", hostile(0, 1, n + 1, &good, n)),
        ("too few frames", hostile(0, 0, n, &good, n)),
        ("too many frames", hostile(0, u32::MAX, n, &good, n)),
        ("a frame longer than its block", hostile(0, 1, n, &overlong, n)),
        ("a frame shorter than its header", hostile(0, 1, n, &short, n)),
        ("lz4 of nothing", hostile(1, 1, 4 << 20, &[], 0)),
        ("lz4 of noise", hostile(1, 1, n, &[0xff; 40], 40)),
    ] {
        let (frames, end) = read(&bytes).unwrap();
        assert!(frames.is_empty(), "{name}");
        assert!(matches!(end, End::Damaged { at: 16, .. }), "{name}: {end}");
    }
    assert!(matches!(read(&hostile(0, 1, n, &good, n)), Ok((frames, End::Cut { .. })) if frames == [good]));
}

/// A disk with room for so many bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&buf[..n]);
        if n == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(n) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_at_every_byte() {
    let blocks = three_blocks();
    let whole = record(&blocks);
    for room in FILE_HEADER..whole.bytes.len() {
        let mut disk = Disk { bytes: Vec::new(), room };
        let mut writer = Writer::new(&mut disk).unwrap();
        let mut failures = Vec::new();
        for block in &blocks {
            for frame in block {
                failures.extend(writer.push(frame).err());
            }
            failures.extend(writer.flush().err());
        }
        let (good, frames) = *whole.ends.iter().rfind(|(end, _)| *end <= room).unwrap();
        let first = failures.first().unwrap();
        assert_eq!(first.source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            first.to_string(),
            format!("the recording stops here: its first {good} bytes are good and can be read")
        );
        assert!(failures.iter().skip(1).all(|e| e.written == good as u64));
        assert!(writer.finish().is_err());
        let (got, end) = read(&disk.bytes).unwrap();
        assert_eq!(got, blocks.concat()[..frames]);
        assert!(cut_off(&end, good, room - good), "{end:?}");
    }
}

#[test]
fn read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.zct");
    let mut writer = Writer::new(std::fs::File::create(&path).unwrap()).unwrap();
    for n in 0..3u64 {
        writer.push(&frame(1, n, b"x")).unwrap();
        writer.flush().unwrap();
        writer.push(&frame(1, n, b"not yet visible")).unwrap();
        let (frames, end) = read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(frames.len() as u64, 2 * n + 1);
        assert!(cut_off(&end, writer.written() as usize, 0), "{end:?}");
    }
}

#[test]
fn blocks_close_by_themselves() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let biggest = frame(1, 1, &vec![1; usize::from(u16::MAX) - HEADER]);
    for _ in 0..40 {
        writer.push(&biggest).unwrap();
    }
    assert!(writer.written() > FILE_HEADER as u64, "a block is closed when it is full");
    let (frames, _) = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(frames, vec![biggest; 40]);
}

#[test]
fn what_is_no_frame_is_not_recorded() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let good = frame(1, 1, b"payload");
    writer.push(&good[..good.len() - 1]).unwrap();
    writer.push(b"").unwrap();
    writer.push(&[good.as_slice(), b"padding"].concat()).unwrap();
    let (frames, _) = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(frames, [good]);
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        (any::<u8>(), 0..5000usize).prop_map(|(byte, n)| vec![byte; n]),
    ];
    // What a barrier says is believed.
    let kind = any::<u16>().prop_map(|kind| if kind >> 8 == kind::START >> 8 { UNKNOWN } else { kind });
    (kind, any::<u64>(), payload).prop_map(|(kind, ts, payload)| frame(kind, ts, &payload))
}

fn any_blocks() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    prop::collection::vec(prop::collection::vec(any_frame(), 1..12), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(mut blocks in any_blocks()) {
        blocks.push(vec![stop(u64::MAX)]);
        let recording = record(&blocks);
        prop_assert_eq!(read(&recording.bytes).unwrap(), (blocks.concat(), End::Complete));
    }

    /// Overwrite, remove and insert anywhere behind the file header.
    #[test]
    fn never_a_wrong_frame(blocks in any_blocks(), hurts in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, prop::collection::vec(any::<u8>(), 1..9)), 1..6)) {
        let all = blocks.concat();
        let mut bytes = record(&blocks).bytes;
        for (at, how, with) in hurts {
            let body = bytes.len() - FILE_HEADER;
            if body == 0 { break }
            let at = FILE_HEADER + at.index(body);
            let to = bytes.len().min(at + with.len());
            match how {
                0 => bytes[at..to].copy_from_slice(&with[..to - at]),
                1 => drop(bytes.drain(at..to)),
                _ => drop(bytes.splice(at..at, with)),
            }
        }
        let (got, _) = read(&bytes).unwrap();
        prop_assert!(all.starts_with(&got));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read(&noise);
        let mut bytes = record(&[]).bytes;
        bytes.extend_from_slice(&noise);
        prop_assert!(read(&bytes).unwrap().0.is_empty());
    }
}
