//! Loads for `bench`: a sender and a receiver over loopback, as fast as they can.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::sendfile;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// What its rate counts.
    pub(crate) rate: &'static str,
    chunk: u64,
    reader: Reader,
}

#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Copies,
    Discards,
    /// Asks for each chunk, and waits for it.
    Asks,
}

pub(crate) const LOADS: [Load; 4] = [
    Load {
        name: "64 KiB calls",
        what: "`sendfile` of 64 KiB at a time from a 16 MiB file in the page cache; the receiver copies what it reads.",
        rate: "bytes/s",
        chunk: 64 << 10,
        reader: Reader::Copies,
    },
    Load {
        name: "1 MiB calls",
        what: "The same with 1 MiB at a time.",
        rate: "bytes/s",
        chunk: 1 << 20,
        reader: Reader::Copies,
    },
    Load {
        name: "64 KiB calls, discarded",
        what: "The receiver throws away what comes (`MSG_TRUNC`): nothing is copied at all. The worst case.",
        rate: "bytes/s",
        chunk: 64 << 10,
        reader: Reader::Discards,
    },
    Load {
        name: "4 KiB exchanges",
        what: "One byte asks, `sendfile` of 4 KiB answers, one at a time: a small file over a kept connection.",
        rate: "exchanges/s",
        chunk: 4 << 10,
        reader: Reader::Asks,
    },
];

const FILE: u64 = 16 << 20;

fn cpu_ns() -> i64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Answers how much was received: bytes, or answers.
fn receive(mut from: TcpStream, load: &Load) -> anyhow::Result<u64> {
    let mut buf =
        vec![0u8; if load.reader == Reader::Asks { usize::try_from(load.chunk)? } else { 256 << 10 }];
    let flags = if load.reader == Reader::Discards { RecvFlags::TRUNC } else { RecvFlags::empty() };
    let mut n = 0;
    loop {
        if load.reader == Reader::Asks {
            // The sender leaves when the time is over.
            if from.write_all(b"?").is_err() || from.read_exact(&mut buf).is_err() {
                return Ok(n);
            }
            n += 1;
            continue;
        }
        let (_, got) = recv(&from, buf.as_mut_slice(), flags).context("recv")?;
        if got == 0 {
            return Ok(n);
        }
        n += got as u64;
    }
}

fn send(mut to: TcpStream, file: &File, load: &Load, until: Instant) -> anyhow::Result<()> {
    let mut at = 0u64;
    while Instant::now() < until {
        if load.reader == Reader::Asks {
            to.read_exact(&mut [0])?;
        }
        if at + load.chunk > FILE {
            at = 0;
        }
        let end = at + load.chunk;
        while at < end {
            let left = usize::try_from(end - at)?;
            if sendfile(&to, file, Some(&mut at), left)? == 0 {
                bail!("the file is shorter than it was");
            }
        }
    }
    Ok(())
}

/// Runs a load, and prints its rate and the CPU nanoseconds that each took, both ends together.
pub(crate) fn run(name: &str, seconds: f64) -> anyhow::Result<()> {
    let load = LOADS.iter().find(|l| l.name == name).context("no such load")?;
    let path = format!("/dev/shm/zctrace-load-{}", std::process::id());
    std::fs::write(&path, (0..=250u8).cycle().take(usize::try_from(FILE)?).collect::<Vec<_>>())?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let from = TcpStream::connect(listener.local_addr()?)?;
    let (to, _) = listener.accept()?;
    for end in [&to, &from] {
        end.set_nodelay(true)?;
    }
    let (began, cpu) = (Instant::now(), cpu_ns());
    let until = began + Duration::from_secs_f64(seconds);
    let received = std::thread::scope(|s| {
        let receiver = s.spawn(|| receive(from, load));
        let sent = send(to, &file, load, until);
        let received = receiver.join().unwrap_or_else(|_| bail!("the receiver panicked"));
        sent.and(received)
    })?;
    let took = began.elapsed().as_secs_f64();
    println!("{} {}", received as f64 / took, (cpu_ns() - cpu) as f64 / received as f64);
    Ok(())
}
