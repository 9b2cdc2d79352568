//! Huge pages: few machines have any set aside. Those that are added are given back at the end; a
//! process that is killed leaves them.

use std::io;
use std::time::Instant;

use super::DEADLINE;
use super::raw::Mapping;

const POOL: &str = "/proc/sys/vm/nr_hugepages";
/// One is used at a time; a buffer that was registered is given back a little later.
const WANTED: u64 = 4;

/// Takes huge pages, and gives back those that the machine did not have before.
#[derive(Debug, Default)]
pub(super) struct HugePages {
    added: u64,
    /// Why there are none: it is not tried again.
    refused: Option<String>,
}

impl HugePages {
    /// One huge page.
    pub(super) fn take(&mut self) -> io::Result<Mapping> {
        if let Some(refused) = &self.refused {
            return Err(io::Error::other(refused.clone()));
        }
        let size = size()?;
        let started = Instant::now();
        loop {
            match Mapping::huge(size) {
                Err(e) if e.kind() == io::ErrorKind::OutOfMemory && self.added == 0 => {
                    if let Err(e) = self.add() {
                        let refused = format!("there are no huge pages, and setting {POOL} failed: {e}");
                        self.refused = Some(refused.clone());
                        return Err(io::Error::other(refused));
                    }
                }
                // The page of the cell before this one is on its way back.
                Err(e) if e.kind() == io::ErrorKind::OutOfMemory && started.elapsed() < DEADLINE => {
                    std::thread::yield_now();
                }
                other => return other,
            }
        }
    }

    fn add(&mut self) -> io::Result<()> {
        let before = pages()?;
        std::fs::write(POOL, (before + WANTED).to_string())?;
        self.added = pages()?.saturating_sub(before);
        if self.added == 0 { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // By difference: somebody else may have changed it meanwhile.
        if let (1.., Ok(now)) = (self.added, pages()) {
            let _ = std::fs::write(POOL, now.saturating_sub(self.added).to_string());
        }
    }
}

fn pages() -> io::Result<u64> {
    std::fs::read_to_string(POOL)?.trim().parse().map_err(io::Error::other)
}

/// Bytes of a huge page.
fn size() -> io::Result<usize> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|l| l.strip_prefix("Hugepagesize:"));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<usize>().ok());
    kib.map(|n| n * 1024).ok_or_else(|| io::ErrorKind::Unsupported.into())
}
