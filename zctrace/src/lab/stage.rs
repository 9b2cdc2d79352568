//! One cell after the other: everything is made for it, used once and gone afterwards.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::huge::HugePages;
use super::raw::Mapping;
use super::send::{Follower, Pending, Said, Source, send};
use super::wire::Wire;
use super::writer::Change;
use super::{Api, Cell, DEADLINE, Memory, Receiver, content};
use crate::source::monotonic_ns;

/// How long a notification may take that comes without the receiver's help. An acknowledgement may be
/// put off for 200 ms.
const UNAIDED: Duration = Duration::from_millis(300);

/// What the actors of one cell observed. Times are ns of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// What was tried.
    pub cell: Cell,
    /// Before anything was made for it.
    pub began_ns: u64,
    /// After everything was closed.
    pub ended_ns: u64,
    /// What the API said; a notification that came before the change came without the receiver's help.
    pub said: Option<Said>,
    /// When the change began and ended.
    pub changed_ns: Option<(u64, u64)>,
    /// Bytes that the receiver got.
    pub got: u64,
    /// Of those: bytes that were written after the API had said that it was done. Zeroes where the file
    /// was cut off are among them.
    pub new_bytes: u64,
    /// Of those: bytes that are neither old nor new. There should be none.
    pub stale_or_wrong: u64,
    /// When the receiver had read all.
    pub read_ns: Option<u64>,
    /// The sender's own address; empty where there is none.
    pub local: String,
    /// The address that it sends to; empty where there is none.
    pub remote: String,
    /// Why the cell could not be played, or not to its end.
    pub skipped: Option<String>,
}

/// Where the cells are played.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    cells: u64,
    huge: HugePages,
    follower: Follower,
}

/// What failed, and why.
fn at(step: &str) -> impl FnOnce(io::Error) -> String {
    move |e| format!("{step}: {e}")
}

impl Stage {
    /// Files are made in `dir`, which is there already.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, cells: 0, huge: HugePages::default(), follower: Follower::default() }
    }

    fn play(&mut self, cell: Cell, seen: &mut Observed) -> Result<(), String> {
        let len = cell.transport.bytes();
        self.cells += 1;
        let path = cell.memory.is_file().then(|| self.dir.join(format!("{}.bytes", self.cells)));
        let _removed = path.as_deref().map(Removed);
        let source = self.source(cell, path.as_deref(), len).map_err(at("making the memory"))?;
        let change = Change::new(cell.writer, path.as_deref(), source.memory.as_ref(), len);
        let change = change.map_err(at("preparing the change"))?;
        let wire = Wire::new(cell.transport).map_err(at("connecting"))?;
        (seen.local, seen.remote) = (wire.local.clone(), wire.remote.clone());
        if cell.receiver == Receiver::Losing {
            wire.lose().map_err(at("losing packets"))?;
        }
        let mut pending = send(cell.api, &source, &wire, &mut self.follower).map_err(at("sending"))?;
        seen.said = Some(pending.said());
        let played = act(cell, len, &change, wire, &mut pending, seen);
        seen.said = Some(pending.said());
        played
    }

    fn source(&mut self, cell: Cell, path: Option<&Path>, len: usize) -> io::Result<Source> {
        let old = content::old(len);
        let file = match path {
            Some(path) => {
                std::fs::write(path, &old)?;
                Some(File::options().read(true).write(true).open(path)?)
            }
            None => None,
        };
        let memory = match (cell.memory, &file) {
            (Memory::Anonymous, _) => Some(Mapping::anonymous(len)?),
            (Memory::Hugetlb, _) => Some(self.huge.take()?),
            (Memory::FileMapping, Some(file)) => Some(Mapping::shared(file, len)?),
            _ => None,
        };
        if let (Some(memory), None) = (&memory, &file) {
            memory.store(0, &old)?;
        }
        Ok(Source { memory: memory.map(Rc::new), file, len })
    }
}

/// Plays one cell.
pub fn run(cell: Cell, stage: &mut Stage) -> Observed {
    let began_ns = monotonic_ns();
    let mut seen = Observed {
        cell,
        began_ns,
        ended_ns: began_ns,
        said: None,
        changed_ns: None,
        got: 0,
        new_bytes: 0,
        stale_or_wrong: 0,
        read_ns: None,
        local: String::new(),
        remote: String::new(),
        skipped: None,
    };
    seen.skipped = stage.play(cell, &mut seen).err();
    seen.ended_ns = monotonic_ns();
    seen
}

/// What happens after the bytes were sent.
fn act(
    cell: Cell,
    len: usize,
    change: &Change,
    wire: Wire,
    pending: &mut Pending,
    seen: &mut Observed,
) -> Result<(), String> {
    let mut got = Vec::new();
    match cell.receiver {
        // The change is below, after all has been read.
        Receiver::Fast => {
            got = read(&wire, pending, seen)?;
            pending.wait(DEADLINE).map_err(at("awaiting the notification"))?;
        }
        Receiver::Stalled | Receiver::Closing | Receiver::Resetting => {
            pending.wait(UNAIDED).map_err(at("awaiting the notification"))?;
        }
        Receiver::Losing => {
            let poll = || pending.poll().map(drop);
            wire.lost_again(poll).map_err(at("awaiting a retransmission"))?;
        }
    }
    seen.changed_ns = change.perform(len).map_err(at("changing"))?;
    // Its end is open until the API has said the last.
    let _sender = match cell.receiver {
        Receiver::Fast => wire.close(),
        Receiver::Closing => wire.close(),
        Receiver::Resetting => wire.reset().map_err(at("resetting"))?,
        Receiver::Stalled | Receiver::Losing => {
            if cell.receiver == Receiver::Losing {
                wire.lose_no_more().map_err(at("losing no more"))?;
            }
            got = read(&wire, pending, seen)?;
            wire.close()
        }
    };
    let last = pending.wait(DEADLINE);
    // This takes long: no time is taken after it.
    let tally = content::judge(&got, len, cell.writer);
    (seen.got, seen.new_bytes, seen.stale_or_wrong) = (got.len() as u64, tally.new, tally.wrong);
    if last.map_err(at("awaiting the notification"))? {
        Ok(())
    } else {
        Err("the notification never came".to_owned())
    }
}

/// The receiver reads all.
fn read(wire: &Wire, pending: &mut Pending, seen: &mut Observed) -> Result<Vec<u8>, String> {
    let want = pending.said().bytes;
    let got = wire.receive(want, || pending.poll().map(drop)).map_err(at("receiving"))?;
    seen.read_ns = Some(monotonic_ns());
    if seen.cell.api == Api::Send && seen.cell.transport.is_udp() {
        wire.wake_cpus().map_err(at("waking the CPUs"))?;
    }
    Ok(got)
}

/// A file that is deleted in the end.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}
