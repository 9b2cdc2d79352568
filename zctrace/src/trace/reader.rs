//! Reading blocks, trusting nothing.
//!
//! A frame is handed on only from a block whose header, contents and frame count all check. No
//! allocation exceeds the block limit, and none happens before the header's CRC is checked.
//! Deliberately absent: looking for a good block behind a bad one. What lies between would be a
//! loss nobody counted.

use std::collections::BTreeMap;
use std::io::{self, Read};

use zctrace_common::frame::{self, Header};
use zctrace_common::user::kind;

use super::block::{BLOCK_HEADER, BlockHeader, FILE_HEADER, MAGIC, MAX_STATE, VERSION, codec, holds};

/// Not a recording this version can read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Reading failed.
    #[error("cannot read the recording")]
    Io(#[source] io::Error),
    /// A directory was named.
    #[error("this is a directory: name the file that `zctrace record -o FILE` wrote")]
    Directory,
    /// No byte in it.
    #[error("the file is empty: the recording was ended before it began, or it is another file")]
    Empty,
    /// Something else.
    #[error("not a zctrace recording (it does not begin with ZCTRACE)")]
    NotARecording,
    /// Made by a newer zctrace.
    #[error("recorded in format {0}, and this zctrace reads up to {VERSION}: use a newer zctrace")]
    Newer(u16),
}

/// How a recording ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: the trace was stopped.
    Complete,
    /// In order, as a segment: it goes on in the next one.
    Next,
    /// Of merged recordings, so many are cut off.
    Streams(usize),
    /// In the middle: everything up to byte `good` is there.
    Cut {
        /// Bytes that were read.
        good: u64,
    },
    /// With a damaged block at byte `at`; nothing after it was read.
    Damaged {
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Block {
    /// Its frames.
    pub fn frames(&self) -> impl Iterator<Item = (Header, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (header, _) = frame::split(rest)?;
            let (one, more) = rest.split_at_checked(usize::from(header.len))?;
            rest = more;
            Some((header, one))
        })
    }
}

impl From<io::Error> for TraceError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(e),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Complete => write!(f, "complete"),
            Self::Next => write!(f, "this is a segment of a recording, which goes on in the next one"),
            Self::Streams(cut) => write!(
                f,
                "of the recordings that were merged into it, {cut} were cut off: what came after is lost"
            ),
            Self::Cut { good } => write!(
                f,
                "the recording is cut off: its first {good} bytes are good and were read; what came after is lost"
            ),
            Self::Damaged { at, why } => write!(
                f,
                "the recording is damaged at byte {at} ({why}): everything before was read, nothing after it"
            ),
        }
    }
}

/// Reads frames, block by block. A clone goes on from the same place, if its input does.
#[derive(Clone, Debug)]
pub struct Reader<R: Read> {
    from: R,
    at: u64,
    version: u16,
    /// By stream: the kind of its last frame.
    last: BTreeMap<u16, u16>,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which stream of a merged recording; 0 in any other.
    pub stream: u16,
    /// Whole frames, one after another.
    pub bytes: Vec<u8>,
}

/// Fills `buf` as far as the input goes.
fn fill(from: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = buf.get_mut(n..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

impl<R: Read> Reader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// When it is not a recording, or of a newer format.
    pub fn new(mut from: R) -> Result<Self, TraceError> {
        let mut header = [0; FILE_HEADER];
        let n = fill(&mut from, &mut header)?;
        if n == 0 {
            return Err(TraceError::Empty);
        }
        if n < FILE_HEADER || !header.starts_with(&MAGIC) {
            return Err(TraceError::NotARecording);
        }
        let version = header.get(8..10).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes);
        match version {
            0 => return Err(TraceError::NotARecording),
            1..=VERSION => {}
            newer => return Err(TraceError::Newer(newer)),
        }
        Ok(Self { from, at: FILE_HEADER as u64, version, last: BTreeMap::new() })
    }

    /// Goes on at that byte of another input, which must be where a block begins.
    #[must_use]
    pub fn resume(self, from: R, at: u64) -> Self {
        Self { from, at, last: BTreeMap::new(), ..self }
    }

    /// Bytes before the next block.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Hands every frame to `take` until the recording or `take` ends.
    ///
    /// # Errors
    /// When reading fails, or `take` does.
    pub fn read<E: From<io::Error>>(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<End, E> {
        loop {
            if let Some(end) = self.read_block(take)? {
                return Ok(end);
            }
        }
    }

    /// Hands the frames of the next block to `take`. Answers how the recording ends if there is none; there is
    /// nothing more to read then.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_block<E: From<io::Error>>(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Option<End>, E> {
        let block = match self.block()? {
            Ok(block) => block,
            Err(end) => return Ok(Some(end)),
        };
        block.frames().try_for_each(|(_, frame)| take(frame))?;
        Ok(None)
    }

    /// The next block of frames, unpacked; saved states are passed over.
    ///
    /// # Errors
    /// When reading fails.
    pub fn block(&mut self) -> io::Result<Result<Block, End>> {
        loop {
            let (header, raw) = match self.next()? {
                Ok(next) => next,
                Err(end) => return Ok(Err(end)),
            };
            if header.holds != holds::FRAMES {
                continue;
            }
            let Some(last) = whole_frames(&raw, header.frames) else {
                let why = "it does not hold the frames it claims";
                return Ok(Err(End::Damaged { at: self.at, why }));
            };
            if header.frames > 0 {
                self.last.insert(header.stream, last);
            }
            self.pass(&header);
            return Ok(Ok(Block { stream: header.stream, bytes: raw }));
        }
    }

    /// The state that is saved here.
    ///
    /// # Errors
    /// When reading fails.
    pub fn state(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut state = Vec::new();
        loop {
            let Ok((header, raw)) = self.next()? else {
                return Ok(None);
            };
            if header.holds == holds::FRAMES || state.len().saturating_add(raw.len()) > MAX_STATE {
                return Ok(None);
            }
            state.extend_from_slice(&raw);
            if header.holds == holds::STATE_END {
                return Ok(Some(state));
            }
        }
    }

    /// How it ends, if it ends here in order.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let all = |kind| !self.last.is_empty() && self.last.values().all(|last| *last == kind);
        if all(kind::STOP) {
            Some(End::Complete)
        } else if all(kind::NEXT) {
            Some(End::Next)
        } else if self.last.len() > 1 {
            Some(End::Streams(self.last.values().filter(|last| **last != kind::STOP).count()))
        } else {
            None
        }
    }

    fn pass(&mut self, header: &BlockHeader) {
        self.at += BLOCK_HEADER as u64 + u64::from(header.stored_len);
    }

    /// The next block, unpacked. Its place is passed if it does not hold frames.
    fn next(&mut self) -> io::Result<Result<(BlockHeader, Vec<u8>), End>> {
        let at = self.at;
        let damaged = |why| Ok(Err(End::Damaged { at, why }));
        let mut bytes = [0; BLOCK_HEADER];
        let n = fill(&mut self.from, &mut bytes)?;
        if n == 0
            && let Some(end) = self.end()
        {
            return Ok(Err(end));
        }
        if n < BLOCK_HEADER {
            return Ok(Err(End::Cut { good: self.at }));
        }
        let Some(mut header) = BlockHeader::decode(&bytes) else {
            return damaged("its header does not check");
        };
        if self.version < 2 {
            (header.holds, header.stream) = (holds::FRAMES, 0);
        }
        if header.holds > holds::STATE_END {
            return damaged("it holds what this version does not know");
        }
        let mut stored = vec![0; header.stored_len as usize];
        if fill(&mut self.from, &mut stored)? < stored.len() {
            return Ok(Err(End::Cut { good: self.at }));
        }
        if crc32fast::hash(&stored) != header.payload_crc {
            return damaged("its contents do not check");
        }
        let raw_len = header.raw_len as usize;
        let raw = match header.codec {
            codec::RAW => stored,
            codec::LZ4 => match lz4_flex::block::decompress(&stored, raw_len) {
                Ok(raw) => raw,
                Err(_) => return damaged("it cannot be unpacked"),
            },
            _ => return damaged("it is packed in a way this version does not know"),
        };
        if raw.len() != raw_len {
            return damaged("it does not hold the bytes it claims");
        }
        if header.holds != holds::FRAMES {
            self.pass(&header);
        }
        Ok(Ok((header, raw)))
    }
}

/// The kind of the last of them; `None`: they are not so many whole frames.
fn whole_frames(mut bytes: &[u8], frames: u32) -> Option<u16> {
    let mut last = 0;
    for _ in 0..frames {
        let (header, _) = frame::split(bytes)?;
        last = header.kind;
        bytes = bytes.get(usize::from(header.len)..)?;
    }
    bytes.is_empty().then_some(last)
}
