//! The trace as a whole: where it came from and what it missed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zctrace_common::config::fingerprint;
use zctrace_common::user::loss;

/// Header of a trace, as stated by the machine that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceInfo {
    /// Which part of a merged recording; 0 in any other.
    #[serde(skip)]
    pub part: u16,
    /// `zctrace x.y.z`
    pub tool: String,
    /// `uname -n` of the machine that was traced, hostile; empty in recordings before it was kept.
    #[serde(default)]
    pub host: String,
    /// `uname -r`
    pub kernel: String,
    /// CLOCK_MONOTONIC at the start, nanoseconds. 0 in the recorded text; the frame carries it.
    #[serde(default)]
    pub start_ns: u64,
    /// CLOCK_REALTIME at the same moment, nanoseconds.
    #[serde(default)]
    pub start_realtime_ns: u64,
    /// Filters in words.
    pub filters: Vec<String>,
    /// Filters that are applied to finished transfers, so that a replay shows what live showed.
    #[serde(default)]
    pub shown: Shown,
    /// Which segment of a recording this is, where it is in several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Every probe the tool knows.
    pub probes: Vec<ProbeStatus>,
    /// How content was looked at.
    #[serde(default)]
    pub fingerprint: Fingerprints,
}

impl TraceInfo {
    /// CLOCK_MONOTONIC nanoseconds of the machine that made this trace, from CLOCK_REALTIME nanoseconds.
    #[must_use]
    pub fn monotonic_ns(&self, realtime_ns: u64) -> u64 {
        u64::try_from((i128::from(realtime_ns) - self.ahead_ns()).max(0)).unwrap_or(u64::MAX)
    }

    /// What CLOCK_REALTIME was ahead of CLOCK_MONOTONIC, nanoseconds.
    #[must_use]
    pub fn ahead_ns(&self) -> i128 {
        i128::from(self.start_realtime_ns) - i128::from(self.start_ns)
    }
}

/// A recording in several files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The same in all of them, and in no other.
    pub id: String,
    /// From 1.
    pub number: u64,
}

/// How the content of lent pages is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// How.
    pub mode: Mode,
    /// Why not as asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many pages are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None.
    #[default]
    Off,
    /// One in 16: a change may show, that there was none cannot.
    Sample,
    /// All.
    Full,
}

impl Mode {
    /// What `fingerprint::*` of a configuration says.
    #[must_use]
    pub fn of(number: u32) -> Self {
        match number {
            fingerprint::SAMPLE => Self::Sample,
            fingerprint::FULL => Self::Full,
            _ => Self::Off,
        }
    }

    /// What a configuration calls it: `fingerprint::*`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Off => fingerprint::OFF,
            Self::Sample => fingerprint::SAMPLE,
            Self::Full => fingerprint::FULL,
        }
    }
}

/// Which finished transfers are shown; empty shows all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Path globs, any of them.
    pub paths: Vec<String>,
    /// Remote address.
    pub peer: Option<IpAddr>,
    /// Shortest gap, nanoseconds; a transfer that is not released has none and is shown.
    pub min_gap_ns: Option<u64>,
    /// Only those whose bytes could have changed.
    pub only_mutated: bool,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// Tracepoint, `category:name`.
    pub name: String,
    /// Attached or not.
    pub state: ProbeState,
    /// Why not, or what was lost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a probe is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// Running.
    Attached,
    /// Not there; `reason` says why.
    Missing,
}

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossWhat {
    /// The ring was full.
    Ring,
    /// A learning program recursed and was skipped.
    LearnMiss,
    /// A free-watching program recursed and was skipped.
    FreeMiss,
    /// A program that watches for changes recursed and was skipped.
    WatchMiss,
    /// A kernel map was full.
    MapFull,
}

impl LossWhat {
    /// What `loss::*` of a frame says.
    #[must_use]
    pub fn of(what: u32) -> Self {
        match what {
            loss::LEARN_MISS => Self::LearnMiss,
            loss::FREE_MISS => Self::FreeMiss,
            loss::MAP_FULL => Self::MapFull,
            loss::WATCH_MISS => Self::WatchMiss,
            _ => Self::Ring,
        }
    }
}

/// Something the tracer could not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossLine {
    /// Which part of a merged recording it is of; 0 in any other.
    pub part: u16,
    /// What.
    pub what: LossWhat,
    /// CPU where known.
    pub cpu: Option<u32>,
    /// CLOCK_MONOTONIC nanoseconds.
    pub from_ns: u64,
    /// CLOCK_MONOTONIC nanoseconds.
    pub to_ns: u64,
    /// How many.
    pub records: u64,
}
