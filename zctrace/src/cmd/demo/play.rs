//! The demo's actors: a sender process, a receiver that stalls, a writer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::super::Exit;
use crate::cli::DemoSenderArgs;
use crate::source::monotonic_ns;

/// Bytes sent: what a loopback connection takes without blocking the sender.
pub(super) const BYTES: usize = 256 * 1024;
/// The byte the writer puts into the file while it is lent.
const NEW: u8 = b'N';
const OLD: u8 = b'o';
/// What the writer overwrites.
pub(super) const CHANGED: std::ops::Range<usize> = 128 * 1024..132 * 1024;

/// What the actors know themselves; the trace must agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When the writer's pwrite returned, CLOCK_MONOTONIC ns.
    pub(super) written_ns: u64,
    /// When the receiver had read everything.
    pub(super) read_ns: u64,
    /// Bytes the receiver got that were written after the send.
    pub(super) new_bytes: usize,
    /// Bytes the receiver got.
    pub(super) got: usize,
}

/// Everything is set up; the sender waits to be told.
pub(super) struct Stage {
    dir: PathBuf,
    listener: Option<TcpListener>,
    sender: Child,
}

impl Stage {
    pub(super) fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("zctrace-demo-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        let file = dir.join("video.mp4");
        std::fs::write(&file, vec![OLD; BYTES]).context("writing the demo's file")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listening on loopback")?;
        let to = listener.local_addr()?;
        let me = std::env::current_exe().context("finding this program's own file")?;
        let sender = Command::new(me)
            .args(["__demo-sender", "--file"])
            .arg(&file)
            .args(["--to", &to.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the sender")?;
        Ok(Self { dir, listener: Some(listener), sender })
    }

    pub(super) fn sender_pid(&self) -> u32 {
        self.sender.id()
    }

    /// Sender sends, writer writes, receiver stalls and then reads.
    pub(super) fn perform(&mut self, stall: Duration) -> anyhow::Result<JoinHandle<anyhow::Result<Seen>>> {
        let listener = self.listener.take().context("the demo plays once")?;
        let mut told = self.sender.stdin.take().context("the sender has no stdin")?;
        let mut done = self.sender.stdout.take().context("the sender has no stdout")?;
        let file = File::options().write(true).open(self.dir.join("video.mp4"))?;
        Ok(std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().context("accepting")?;
            told.write_all(b"go\n").context("telling the sender")?;
            // One byte comes back when sendfile() has returned.
            done.read_exact(&mut [0]).context("waiting for the sender")?;
            std::thread::sleep(stall / 3);
            file.write_all_at(&vec![NEW; CHANGED.len()], CHANGED.start as u64).context("writing")?;
            let written_ns = monotonic_ns();
            std::thread::sleep(stall - stall / 3);
            let mut got = vec![0; BYTES];
            peer.read_exact(&mut got).context("receiving")?;
            let read_ns = monotonic_ns();
            drop(told);
            let new_bytes = got.iter().filter(|b| **b == NEW).count();
            Ok(Seen { written_ns, read_ns, new_bytes, got: got.len() })
        }))
    }

    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        let status = self.sender.wait().context("waiting for the sender")?;
        if !status.success() {
            bail!("the sender ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.sender.kill();
        let _ = self.sender.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The hidden verb: connect, wait for a line, send, say so, wait for the end of stdin.
pub(crate) fn send(args: &DemoSenderArgs) -> anyhow::Result<Exit> {
    let file = File::open(&args.file)?;
    let socket = TcpStream::connect(args.to)?;
    // Room for all of it: the call must return although nobody reads.
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, 4 * BYTES)?;
    let mut stdin = std::io::stdin();
    let mut line = String::new();
    stdin.read_line(&mut line)?;
    if line.is_empty() {
        return Ok(Exit::Failed);
    }
    let mut offset = 0u64;
    let mut left = BYTES;
    while left > 0 {
        let n = rustix::fs::sendfile(&socket, &file, Some(&mut offset), left)?;
        left -= n;
        if n == 0 {
            bail!("the file became shorter");
        }
    }
    std::io::stdout().write_all(b"d")?;
    std::io::stdout().flush()?;
    stdin.read_to_string(&mut line)?;
    Ok(Exit::Done)
}
