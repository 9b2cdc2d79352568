//! Which trace a fact is of: its host, and the clock pair that leads from its times to the clock on the wall.
//! In a merged recording there are several, one for each part.

use std::collections::BTreeMap;

use super::cell::MAX_NS;
use crate::model::TraceInfo;
use crate::text;

/// One trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Names the trace wherever its facts are: when it began, by the clock on the wall, and where.
    pub trace: String,
    /// Host, harmless; `None`: it was not recorded.
    pub host: Option<String>,
    /// CLOCK_MONOTONIC and CLOCK_REALTIME at one moment, nanoseconds.
    clock: Option<(u64, u64)>,
}

impl Origin {
    /// As its header says.
    #[must_use]
    pub fn new(info: &TraceInfo) -> Self {
        let host = (!info.host.is_empty()).then(|| text::harmless(info.host.as_bytes()).into_owned());
        let clock = (info.start_realtime_ns != 0).then_some((info.start_ns, info.start_realtime_ns));
        let at = info.start_realtime_ns;
        let trace = host.as_ref().map_or_else(|| at.to_string(), |host| format!("{at}-{host}"));
        Self { trace, host, clock }
    }

    /// Nanoseconds since 1970 at that nanosecond of CLOCK_MONOTONIC; `None`: the clock pair does not say.
    #[must_use]
    pub fn wall(&self, ns: u64) -> Option<u64> {
        let (mono, real) = self.clock?;
        let wall = i128::from(real) + i128::from(ns) - i128::from(mono);
        u64::try_from(wall).ok().filter(|wall| *wall <= MAX_NS)
    }

    /// That nanosecond of this trace's CLOCK_MONOTONIC on the CLOCK_MONOTONIC of another.
    #[must_use]
    pub fn on(&self, other: &Self, ns: u64) -> u64 {
        let (Some((mono, real)), Some((to_mono, to_real))) = (self.clock, other.clock) else {
            return ns;
        };
        let there = i128::from(ns) - i128::from(mono) + i128::from(real) - i128::from(to_real);
        u64::try_from(there + i128::from(to_mono)).unwrap_or(0)
    }

    /// The clock pair.
    #[must_use]
    pub fn clock(&self) -> Option<(u64, u64)> {
        self.clock
    }
}

/// The traces of a recording.
#[derive(Debug, Default)]
pub struct Origins {
    parts: BTreeMap<u16, Origin>,
    /// Of what comes before any header.
    nowhere: Origin,
}

impl Origins {
    /// A header was stated.
    pub fn add(&mut self, info: &TraceInfo) {
        self.parts.insert(info.part, Origin::new(info));
    }

    /// That of a part.
    #[must_use]
    pub fn of(&self, part: u16) -> &Origin {
        self.parts.get(&part).unwrap_or(&self.nowhere)
    }

    /// All, by part.
    pub fn all(&self) -> impl Iterator<Item = &Origin> {
        self.parts.values()
    }
}
