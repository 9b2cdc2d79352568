//! Reading blocks, trusting nothing.
//!
//! A frame is handed on only from a block whose header, contents and frame count all check, and that goes on
//! where the one before it ended. No allocation exceeds the block limit, and none happens before the header's CRC is checked.
//! Deliberately absent: looking for a good block behind a bad one. What lies between would be a
//! loss nobody counted.

use std::collections::BTreeMap;
use std::io::{self, Read};

use zctrace_common::frame::{self, Header};
use zctrace_common::user::kind;

use super::block::{BLOCK_HEADER, BlockHeader, FILE_HEADER, MAGIC, MAX_STATE, VERSION, codec, holds};
use super::end::{End, Rest};
use super::tally::Tally;

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

/// Reads frames, block by block. A clone goes on from the same place, if its input does.
#[derive(Clone, Debug)]
pub struct Reader<R: Read> {
    from: R,
    at: u64,
    version: u16,
    /// By stream: what has come of it.
    streams: BTreeMap<u16, Tally>,
    /// From its first byte on.
    whole: bool,
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
        Ok(Self { from, at: FILE_HEADER as u64, version, streams: BTreeMap::new(), whole: true })
    }

    /// Goes on at that byte of another input, which must be where a block begins.
    #[must_use]
    pub fn resume(self, from: R, at: u64) -> Self {
        Self { from, at, streams: BTreeMap::new(), whole: false, ..self }
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
            let tally = self.streams.get(&header.stream).copied();
            let tally = tally.unwrap_or_else(|| Tally::new(self.whole));
            let read = BLOCK_HEADER as u64 + u64::from(header.stored_len);
            return Ok(match tally.with(&raw, header.frames) {
                Some(Ok(tally)) => {
                    self.streams.insert(header.stream, tally);
                    self.pass(&header);
                    Ok(Block { stream: header.stream, bytes: raw })
                }
                Some(Err(())) => Err(End::Disordered { at: self.at, rest: self.rest(read, &[]) }),
                None => Err(self.damaged("it does not hold the frames it claims", read, &[])),
            });
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
        let all = |kind| !self.streams.is_empty() && self.streams.values().all(|s| s.last == Some(kind));
        if all(kind::STOP) {
            Some(End::Complete)
        } else if all(kind::NEXT) {
            Some(End::Next)
        } else if self.streams.len() > 1 {
            Some(End::Streams(self.streams.values().filter(|s| s.last != Some(kind::STOP)).count()))
        } else {
            None
        }
    }

    /// What follows the good part, of which so much was read already.
    fn rest(&mut self, sound: u64, read: &[&[u8]]) -> Rest {
        let known = self.streams.values().map(Tally::known).min().unwrap_or_default();
        Rest::look(sound, read, &mut self.from, known)
    }

    fn cut(&mut self, read: &[&[u8]]) -> End {
        End::Cut { good: self.at, rest: self.rest(0, read) }
    }

    fn damaged(&mut self, why: &'static str, sound: u64, read: &[&[u8]]) -> End {
        End::Damaged { at: self.at, why, rest: self.rest(sound, read) }
    }

    fn pass(&mut self, header: &BlockHeader) {
        self.at += BLOCK_HEADER as u64 + u64::from(header.stored_len);
    }

    /// The next block, unpacked. Its place is passed if it does not hold frames.
    fn next(&mut self) -> io::Result<Result<(BlockHeader, Vec<u8>), End>> {
        let mut bytes = [0; BLOCK_HEADER];
        let n = fill(&mut self.from, &mut bytes)?;
        if n == 0
            && let Some(end) = self.end()
        {
            return Ok(Err(end));
        }
        if n < BLOCK_HEADER {
            return Ok(Err(self.cut(&[bytes.get(..n).unwrap_or_default()])));
        }
        let Some(mut header) = BlockHeader::decode(&bytes) else {
            return Ok(Err(self.damaged("its header does not check", 0, &[&bytes])));
        };
        if self.version < 2 {
            (header.holds, header.stream) = (holds::FRAMES, 0);
        }
        let mut stored = vec![0; header.stored_len as usize];
        let n = fill(&mut self.from, &mut stored)?;
        if n < stored.len() {
            return Ok(Err(self.cut(&[&bytes, stored.get(..n).unwrap_or_default()])));
        }
        let raw = match unpacked(&header, &stored) {
            Ok(raw) => raw.unwrap_or(stored),
            Err(why) => return Ok(Err(self.damaged(why, 0, &[&bytes, &stored]))),
        };
        if header.holds != holds::FRAMES {
            self.pass(&header);
        }
        Ok(Ok((header, raw)))
    }
}

/// The contents, where they are not what is stored; or what is wrong with them.
fn unpacked(header: &BlockHeader, stored: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if header.holds > holds::STATE_END {
        return Err("it holds what this version does not know");
    }
    if crc32fast::hash(stored) != header.payload_crc {
        return Err("its contents do not check");
    }
    let raw_len = header.raw_len as usize;
    let raw = match header.codec {
        codec::RAW => None,
        codec::LZ4 => {
            Some(lz4_flex::block::decompress(stored, raw_len).map_err(|_| "it cannot be unpacked")?)
        }
        _ => return Err("it is packed in a way this version does not know"),
    };
    if raw.as_deref().unwrap_or(stored).len() == raw_len {
        Ok(raw)
    } else {
        Err("it does not hold the bytes it claims")
    }
}
