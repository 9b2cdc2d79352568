//! The bytes of file and block headers.

/// First bytes of a recording.
pub const MAGIC: [u8; 8] = *b"ZCTRACE\0";
/// Major version of the format: readers refuse a newer one, and read every older one.
pub const VERSION: u16 = 2;

/// Bytes of the file header.
pub(super) const FILE_HEADER: usize = 16;
/// Bytes of a block header.
pub(super) const BLOCK_HEADER: usize = 48;
/// First bytes of a block.
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"ZBLK";
/// No block holds more: a header that claims more is broken or hostile.
pub(super) const MAX_RAW: u32 = 4 << 20;

/// No saved state is longer.
pub(super) const MAX_STATE: usize = 64 << 20;

/// How a payload is stored.
pub(super) mod codec {
    pub(crate) const RAW: u32 = 0;
    pub(crate) const LZ4: u32 = 1;
}

/// What a block holds. Version 1 knew only frames.
pub(super) mod holds {
    pub(crate) const FRAMES: u16 = 0;
    /// A saved state, of which more follows.
    pub(crate) const STATE: u16 = 1;
    /// A saved state, or the rest of one.
    pub(crate) const STATE_END: u16 = 2;
}

/// What a block header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) codec: u32,
    pub(super) frames: u32,
    pub(super) raw_len: u32,
    pub(super) stored_len: u32,
    pub(super) payload_crc: u32,
    pub(super) first_ts: u64,
    pub(super) last_ts: u64,
    /// `holds::*`
    pub(super) holds: u16,
    /// Which stream of a merged recording; 0 in any other.
    pub(super) stream: u16,
}

pub(super) fn file_header() -> [u8; FILE_HEADER] {
    let mut bytes = [0; FILE_HEADER];
    let (magic, rest) = bytes.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    if let Some(version) = rest.first_chunk_mut() {
        *version = VERSION.to_le_bytes();
    }
    bytes
}

impl BlockHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_HEADER);
        bytes.extend_from_slice(&BLOCK_MAGIC);
        for word in [self.codec, self.frames, self.raw_len, self.stored_len, self.payload_crc] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.first_ts.to_le_bytes());
        bytes.extend_from_slice(&self.last_ts.to_le_bytes());
        bytes.extend_from_slice(&self.holds.to_le_bytes());
        bytes.extend_from_slice(&self.stream.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None`: not a block header, or a damaged one.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEADER]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if bytes.first_chunk() != Some(&BLOCK_MAGIC) || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let u16_at = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
        let u32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let u64_at = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let header = Self {
            codec: u32_at(4)?,
            frames: u32_at(8)?,
            raw_len: u32_at(12)?,
            stored_len: u32_at(16)?,
            payload_crc: u32_at(20)?,
            first_ts: u64_at(24)?,
            last_ts: u64_at(32)?,
            holds: u16_at(40)?,
            stream: u16_at(42)?,
        };
        (header.raw_len <= MAX_RAW && header.stored_len <= MAX_RAW).then_some(header)
    }
}
