//! The lab's actors: a process of their own, because a tracer never traces itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use anyhow::{Context as _, bail};

use super::select;
use crate::cli::{LabCellsArgs, LabSelect};
use crate::cmd::Exit;
use crate::lab::{Observed, Stage, run};

/// The process, waiting to be told.
pub(super) struct Actors {
    dir: PathBuf,
    child: Child,
    observed: Receiver<anyhow::Result<Observed>>,
}

impl Actors {
    pub(super) fn start(which: &LabSelect) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("zctrace-lab-{}", std::process::id()));
        let me = std::env::current_exe().context("finding this program's own file")?;
        let mut child = Command::new(me)
            .arg("__lab-cells")
            .arg("--dir")
            .arg(&dir)
            .args(select::words(which))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the actors")?;
        let (send, observed) = channel();
        let lines = BufReader::new(child.stdout.take().context("the actors have no stdout")?).lines();
        std::thread::spawn(move || {
            for line in lines {
                let seen = line
                    .context("hearing from the actors")
                    .and_then(|l| serde_json::from_str(&l).context("what the actors say"));
                if send.send(seen).is_err() {
                    break;
                }
            }
        });
        Ok(Self { dir, child, observed })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets them begin. They end when this process does: their stdin ends with it.
    pub(super) fn go(&mut self) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("the actors have no stdin")?;
        stdin.write_all(b"go\n").context("telling the actors")
    }

    /// What they have observed since; `false`: they will say no more.
    pub(super) fn hear(&self, into: &mut Vec<Observed>) -> anyhow::Result<bool> {
        loop {
            match self.observed.try_recv() {
                Ok(seen) => into.push(seen?),
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Awaits their end.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        let status = self.child.wait().context("waiting for the actors")?;
        if !status.success() {
            bail!("the actors ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Actors {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A directory that goes away with the actors, also where their parent was killed.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0);
    }
}

/// The hidden verb: wait for a line, play the cells, print a line after each. The end of stdin ends it.
pub(crate) fn play(args: &LabCellsArgs) -> anyhow::Result<Exit> {
    let cells = select::select(&args.select)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.is_empty() {
        return Ok(Exit::Failed);
    }
    std::fs::create_dir(&args.dir).with_context(|| format!("making {}", args.dir.display()))?;
    let _removed = Removed(&args.dir);
    let alone = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&alone);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tell.store(true, Ordering::Relaxed);
    });
    let mut stage = Stage::new(args.dir.clone());
    let mut out = std::io::stdout();
    for cell in cells {
        if alone.load(Ordering::Relaxed) {
            return Ok(Exit::Failed);
        }
        let seen = serde_json::to_string(&run(cell, &mut stage))?;
        writeln!(out, "{seen}")?;
        out.flush()?;
    }
    Ok(Exit::Done)
}
