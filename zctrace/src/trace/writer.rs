//! Appending blocks.
//!
//! A block goes out in one `write_all`; a torn one is a tail that the reader drops. Deliberately
//! absent: seeking, truncating, rewriting anything that was written.

use std::io::{self, Write};

use zctrace_common::frame;

use super::block::{BlockHeader, MAX_RAW, MAX_STATE, codec, file_header, holds};

/// Raw bytes after which a block is closed.
const FULL: usize = 256 << 10;
/// Bytes of frames between two saved states, at least.
const STATE_EVERY: usize = 32 << 20;
/// Bytes of a saved state in one block.
const STATE_CHUNK: usize = 1 << 20;

/// The recording could not be continued.
#[derive(Debug, thiserror::Error)]
#[error("the recording stops here: its first {written} bytes are good and can be read")]
pub struct WriteError {
    /// Bytes up to the last complete block.
    pub written: u64,
    /// What the system said.
    pub source: io::Error,
}

/// Writes a recording. A failed write ends it: what was complete before stays readable.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
    raw: Vec<u8>,
    header: BlockHeader,
    written: u64,
    failed: bool,
    /// Raw bytes of frames since the last state, and bytes of that state.
    since: usize,
    state: usize,
    state_every: usize,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(mut to: W) -> Result<Self, WriteError> {
        let header = file_header();
        to.write_all(&header).map_err(|source| WriteError { written: 0, source })?;
        let written = header.len() as u64;
        Ok(Self {
            to,
            raw: Vec::with_capacity(FULL * 2),
            header: BlockHeader::default(),
            written,
            failed: false,
            since: 0,
            state: 0,
            state_every: STATE_EVERY,
        })
    }

    /// Bytes in complete blocks so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends one frame. Bytes that are not one whole frame are not recorded.
    ///
    /// # Errors
    /// When a block cannot be written; after that, always.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.failed {
            return Err(self.refusal());
        }
        let Some((header, _)) = frame::split(bytes) else {
            return Ok(());
        };
        let Some(bytes) = bytes.get(..usize::from(header.len)) else {
            return Ok(());
        };
        if self.header.frames == 0 {
            self.header.first_ts = header.ts;
        }
        self.header.first_ts = self.header.first_ts.min(header.ts);
        self.header.last_ts = self.header.last_ts.max(header.ts);
        self.header.frames += 1;
        self.raw.extend_from_slice(bytes);
        if self.raw.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Closes the block in hand, so that a reader sees every frame so far.
    ///
    /// # Errors
    /// When it cannot be written; after that, always.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.failed {
            return Err(self.refusal());
        }
        if self.header.frames == 0 {
            return Ok(());
        }
        let header = std::mem::take(&mut self.header);
        let raw = std::mem::take(&mut self.raw);
        self.since = self.since.saturating_add(raw.len());
        let result = self.block(header, &raw);
        self.raw = raw;
        self.raw.clear();
        result
    }

    /// States are to be saved after so many bytes of frames.
    #[must_use]
    pub fn state_every(self, bytes: usize) -> Self {
        Self { state_every: bytes, ..self }
    }

    /// So much was written since the last state that another is worth its room.
    #[must_use]
    pub fn wants_state(&self) -> bool {
        self.since >= self.state_every.max(self.state.saturating_mul(8))
    }

    /// Writes down what whoever begins to read here must know. `ts`: everything up to then is part of it.
    /// One that is too long is left out: then nobody can begin here.
    ///
    /// # Errors
    /// When it cannot be written; after that, always.
    pub fn state(&mut self, ts: u64, bytes: &[u8]) -> Result<(), WriteError> {
        self.flush()?;
        (self.since, self.state) = (0, bytes.len());
        if bytes.len() > MAX_STATE {
            return Ok(());
        }
        let mut chunks = bytes.chunks(STATE_CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            let holds = if chunks.peek().is_some() { holds::STATE } else { holds::STATE_END };
            self.block(BlockHeader { holds, first_ts: ts, last_ts: ts, ..BlockHeader::default() }, chunk)?;
        }
        Ok(())
    }

    /// Writes frames of a stream as a block of their own. Bytes that are not whole frames are left out.
    ///
    /// # Errors
    /// When it cannot be written; after that, always.
    pub fn block_of(&mut self, stream: u16, frames: &[u8]) -> Result<(), WriteError> {
        self.flush()?;
        let mut header = BlockHeader { stream, first_ts: u64::MAX, ..BlockHeader::default() };
        let mut whole = 0;
        while let Some((frame, _)) = frames.get(whole..).and_then(frame::split) {
            header.first_ts = header.first_ts.min(frame.ts);
            header.last_ts = header.last_ts.max(frame.ts);
            header.frames += 1;
            whole += usize::from(frame.len);
        }
        self.block(header, frames.get(..whole).unwrap_or_default())
    }

    fn block(&mut self, mut header: BlockHeader, raw: &[u8]) -> Result<(), WriteError> {
        if self.failed {
            return Err(self.refusal());
        }
        let packed = lz4_flex::block::compress(raw);
        let (codec, stored) =
            if packed.len() < raw.len() { (codec::LZ4, packed.as_slice()) } else { (codec::RAW, raw) };
        let length = |n: usize| u32::try_from(n).unwrap_or(MAX_RAW);
        header.codec = codec;
        header.raw_len = length(raw.len());
        header.stored_len = length(stored.len());
        header.payload_crc = crc32fast::hash(stored);
        let mut block = header.encode();
        block.extend_from_slice(stored);
        let result = self.to.write_all(&block).and_then(|()| self.to.flush());
        if let Err(source) = result {
            self.failed = true;
            return Err(self.error(source));
        }
        self.written += block.len() as u64;
        Ok(())
    }

    /// Closes the last block and hands the output back.
    ///
    /// # Errors
    /// When it cannot be written, or an earlier write failed.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.flush()?;
        Ok(self.to)
    }

    /// After a failed write nothing more may follow: a block behind a torn one is out of reach.
    fn refusal(&self) -> WriteError {
        self.error(io::Error::other("an earlier write failed"))
    }

    fn error(&self, source: io::Error) -> WriteError {
        WriteError { written: self.written, source }
    }
}
