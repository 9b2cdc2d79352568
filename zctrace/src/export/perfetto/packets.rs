//! Packets to bytes, and the numbers of texts that were said before: each is said once, until there are too many
//! and all are forgotten, so memory is bounded.

use std::collections::BTreeMap;
use std::io::{self, Write};

use prost::Message as _;

use super::proto::{
    DebugAnnotation, Interned, InternedData, TracePacket, TracePacketDefaults, clock, sequence,
};

/// Bytes of texts that are remembered.
const REMEMBERED: usize = 4 << 20;
/// Of the one who writes; any number but 0.
const SEQUENCE: u32 = 1;
/// Field 1 of `Trace`, with a length.
const PACKET: u8 = 1 << 3 | 2;

/// What a text is: numbers are for one kind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Category,
    Name,
    Key,
    Value,
}

/// Writes packets.
pub(super) struct Packets<W> {
    to: W,
    numbers: BTreeMap<(Use, String), u64>,
    bytes: usize,
    /// Said with the next packet.
    news: InternedData,
    is_fresh: bool,
}

impl<W: Write> Packets<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, numbers: BTreeMap::new(), bytes: 0, news: InternedData::default(), is_fresh: true }
    }

    /// Before the texts of a packet are asked for: the numbers of one packet must not be forgotten halfway.
    pub(super) fn tidy(&mut self) {
        if self.bytes > REMEMBERED {
            self.numbers.clear();
            (self.bytes, self.is_fresh) = (0, true);
        }
    }

    fn number(&mut self, of: Use, text: &str) -> u64 {
        let next = u64::try_from(self.numbers.len()).unwrap_or(u64::MAX).saturating_add(1);
        let key = (of, text.to_owned());
        if let Some(n) = self.numbers.get(&key) {
            return *n;
        }
        self.bytes += text.len() + size_of::<(Use, String, u64)>();
        let list = match of {
            Use::Category => &mut self.news.event_categories,
            Use::Name => &mut self.news.event_names,
            Use::Key => &mut self.news.debug_annotation_names,
            Use::Value => &mut self.news.debug_annotation_string_values,
        };
        list.push(Interned { iid: Some(next), text: Some(text.into()) });
        self.numbers.insert(key, next);
        next
    }

    pub(super) fn category(&mut self, text: &str) -> u64 {
        self.number(Use::Category, text)
    }

    pub(super) fn name(&mut self, text: &str) -> u64 {
        self.number(Use::Name, text)
    }

    /// A note whose text comes again and again.
    pub(super) fn word(&mut self, key: &str, text: &str) -> DebugAnnotation {
        let (name_iid, value) = (Some(self.number(Use::Key, key)), self.number(Use::Value, text));
        DebugAnnotation { name_iid, string_value_iid: Some(value), ..DebugAnnotation::default() }
    }

    /// A note whose text comes once.
    pub(super) fn text(&mut self, key: &str, text: String) -> DebugAnnotation {
        let name_iid = Some(self.number(Use::Key, key));
        DebugAnnotation { name_iid, string_value: Some(text), ..DebugAnnotation::default() }
    }

    pub(super) fn number_of(&mut self, key: &str, n: u64) -> DebugAnnotation {
        let name_iid = Some(self.number(Use::Key, key));
        DebugAnnotation { name_iid, uint_value: Some(n), ..DebugAnnotation::default() }
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) -> DebugAnnotation {
        let name_iid = Some(self.number(Use::Key, key));
        DebugAnnotation { name_iid, bool_value: Some(flag), ..DebugAnnotation::default() }
    }

    /// Writes one, with the texts that it is the first to use.
    pub(super) fn write(&mut self, mut packet: TracePacket) -> io::Result<()> {
        let news = std::mem::take(&mut self.news);
        packet.interned_data = (news != InternedData::default()).then_some(news);
        packet.trusted_packet_sequence_id = Some(SEQUENCE);
        packet.sequence_flags = Some(sequence::NEEDS);
        if std::mem::take(&mut self.is_fresh) {
            packet.sequence_flags = Some(sequence::CLEARED | sequence::NEEDS);
            packet.trace_packet_defaults =
                Some(TracePacketDefaults { timestamp_clock_id: Some(clock::MONOTONIC) });
        }
        let mut bytes = vec![PACKET];
        packet.encode_length_delimited(&mut bytes).map_err(io::Error::other)?;
        self.to.write_all(&bytes)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.to
    }
}
