//! What the kernel half counts: frames stated and lost, full maps, programs the kernel skipped.

use std::fs::File;
use std::io::{Read as _, Seek as _};

use aya::maps::{MapData, MapError, PerCpuArray};
use zctrace_common::counter;

use super::programs::Role;

/// Counters of the kernel half at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames stated, per CPU.
    pub produced: Vec<u64>,
    /// Frames the ring had no room for, per CPU.
    pub lost: Vec<u64>,
    /// Entries maps had no room for.
    pub map_full: u64,
    /// Skipped runs of each program whose role is [`Role::Learns`].
    pub learn: Vec<Skips>,
    /// Skipped runs of each program whose role is [`Role::Frees`].
    pub free: Vec<Skips>,
    /// Skipped runs of each program whose role is [`Role::Watches`].
    pub watch: Vec<Skips>,
}

/// Skipped runs of a program, and what its second program made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// `recursion_misses` of the program.
    pub missed: u64,
    /// `recursion_misses` of the second.
    pub missed_second: u64,
    /// Events the second ran instead.
    pub rescued: u64,
    /// Events the second ran that the first may have run too.
    pub unsure: u64,
}

impl Skips {
    /// Events that no program ran since `before`; at most that many.
    #[must_use]
    pub fn lost_since(&self, before: &Self) -> u64 {
        let missed = self.missed.saturating_sub(before.missed);
        let missed_second = self.missed_second.saturating_sub(before.missed_second);
        let rescued = self.rescued.saturating_sub(before.rescued);
        let unsure = self.unsure.saturating_sub(before.unsure);
        // The second runs what the first ran only after it was skipped itself in between.
        missed.saturating_add(unsure.min(missed_second)).saturating_sub(rescued.saturating_add(unsure))
    }
}

/// Events that no program of these ran since `before`.
#[must_use]
pub fn lost_since(now: &[Skips], before: &[Skips]) -> u64 {
    let none = Skips::default();
    now.iter().enumerate().map(|(i, s)| s.lost_since(before.get(i).unwrap_or(&none))).sum()
}

/// Reads [`Counters`].
pub(super) struct Reader {
    pub(super) map: PerCpuArray<MapData, u64>,
    pub(super) watched: Vec<Watched>,
}

/// Where the kernel counts a program's skipped runs.
pub(super) struct Watched {
    pub(super) role: Role,
    pub(super) misses: File,
    /// `counter::turn::*` of its second program, and where that one's are counted.
    pub(super) second: Option<(u32, File)>,
}

impl Reader {
    pub(super) fn read(&mut self, with_misses: bool) -> Result<Counters, MapError> {
        let map = &self.map;
        let mut c = Counters {
            produced: map.get(&counter::PRODUCED, 0)?.to_vec(),
            lost: map.get(&counter::LOST, 0)?.to_vec(),
            ..Counters::default()
        };
        for full in [
            counter::HEADS_FULL,
            counter::SOCKS_FULL,
            counter::PIPES_FULL,
            counter::OPS_FULL,
            counter::CHANGES_FULL,
        ] {
            c.map_full += sum(map, full)?;
        }
        if with_misses {
            for watched in &mut self.watched {
                match watched.role {
                    Role::Frees => c.free.push(watched.skips(map)?),
                    Role::Watches => c.watch.push(watched.skips(map)?),
                    Role::Adds => {}
                    Role::Learns => c.learn.push(watched.skips(map)?),
                }
            }
        }
        Ok(c)
    }
}

fn sum(map: &PerCpuArray<MapData, u64>, index: u32) -> Result<u64, MapError> {
    Ok(map.get(&index, 0)?.iter().sum())
}

impl Watched {
    fn skips(&mut self, map: &PerCpuArray<MapData, u64>) -> Result<Skips, MapError> {
        let Some((turn, second)) = &mut self.second else {
            return Ok(Skips { missed: read_misses(&mut self.misses), ..Skips::default() });
        };
        let made_good = || -> Result<(u64, u64), MapError> {
            Ok((sum(map, counter::RESCUED + *turn)?, sum(map, counter::RESCUED_UNSURE + *turn)?))
        };
        // A skip and its rescue must be seen together.
        let mut before = made_good()?;
        loop {
            let (missed, missed_second) = (read_misses(&mut self.misses), read_misses(second));
            let now = made_good()?;
            if now == before {
                return Ok(Skips { missed, missed_second, rescued: now.0, unsure: now.1 });
            }
            before = now;
        }
    }
}

fn read_misses(file: &mut File) -> u64 {
    let mut text = String::new();
    if file.rewind().is_err() || file.read_to_string(&mut text).is_err() {
        return 0;
    }
    text.lines()
        .find_map(|l| l.strip_prefix("recursion_misses:"))
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Skips;

    #[test]
    fn what_neither_program_ran() {
        let start = Skips { missed: 7, missed_second: 3, rescued: 5, unsure: 2 };
        let lost = |missed, missed_second, rescued, unsure| {
            let now = Skips {
                missed: start.missed + missed,
                missed_second: start.missed_second + missed_second,
                rescued: start.rescued + rescued,
                unsure: start.unsure + unsure,
            };
            now.lost_since(&start)
        };
        assert_eq!(lost(0, 0, 0, 0), 0);
        // An interrupt inside the first; at its edge; inside the second.
        assert_eq!(lost(18, 0, 18, 0), 0);
        assert_eq!(lost(18, 0, 0, 18), 0);
        assert_eq!(lost(0, 18, 0, 1), 0);
        // An interrupt inside an interrupt, and no second program.
        assert_eq!(lost(3, 1, 2, 0), 1);
        assert_eq!(lost(3, 0, 0, 0), 3);
        // Not told apart: then it is a loss.
        assert_eq!(lost(4, 2, 2, 2), 2);
    }
}
