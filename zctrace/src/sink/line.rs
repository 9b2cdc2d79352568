//! One line for each closed transfer.

use std::io::{self, Write};

use crate::model::{Fact, Outcome, ProbeState, Transfer};
use crate::text;

/// Writes lines under a header.
pub struct Lines<W: Write> {
    to: W,
    start_ns: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, start_ns: 0 }
    }

    /// Writes one fact.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        match fact {
            Fact::Trace(t) => {
                self.start_ns = t.start_ns;
                for p in t.probes.iter().filter(|p| p.state == ProbeState::Missing) {
                    writeln!(self.to, "MISSING PROBE {}: {}", p.name, p.reason.as_deref().unwrap_or_default())?;
                }
                writeln!(
                    self.to,
                    "{:>9}  {:<18} {:<8} {:<28} {:>9}  {:<21} {:>8} {:>8}  END",
                    "TIME", "PROCESS", "API", "FILE", "BYTES", "PEER", "GAP", "EXPOSURE"
                )
            }
            Fact::Transfer(t) => self.transfer(t),
            Fact::Loss(l) => writeln!(
                self.to,
                "LOST {} ({}) between {} and {}: transfers open then are unknown",
                l.records,
                text::loss(l.what),
                self.time(l.from_ns),
                self.time(l.to_ns)
            ),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds are shown")]
    fn time(&self, ns: u64) -> String {
        format!("{:.6}", ns.saturating_sub(self.start_ns) as f64 / 1e9)
    }

    fn transfer(&mut self, t: &Transfer) -> io::Result<()> {
        let path = t.file.path.as_deref().map_or_else(|| format!("ino {}", t.file.ino), |p| text::harmless(p).into_owned());
        let peer = match &t.socket {
            None => "(pipe)".to_owned(),
            Some(s) => text::addr(&s.remote).or_else(|| text::addr(&s.local)).unwrap_or_else(|| text::family(s.family).into_owned()),
        };
        let end = match t.outcome {
            Outcome::Released => t.released_by.map_or("released", text::released_by),
            other => text::outcome(other),
        };
        let some = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), text::ns);
        writeln!(
            self.to,
            "{:>9}  {:<18} {:<8} {:<28} {:>9}  {:<21} {:>8} {:>8}  {end}",
            self.time(t.submit_ns),
            text::shorten(&format!("{}/{}", text::harmless(&t.comm), t.pid), 18),
            text::api(t.api),
            text::shorten(&path, 28),
            text::bytes(t.bytes),
            text::shorten(&peer, 21),
            some(t.gap_ns()),
            some(t.exposure_ns()),
        )
    }

    /// Makes what was written visible.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
