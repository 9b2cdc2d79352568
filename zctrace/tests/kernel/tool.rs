//! Running zctrace, and reading what it says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use zctrace::sim::Rng;

pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_zctrace");

/// A directory that goes away.
pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("zctrace-test-").tempdir().unwrap()
}

pub(crate) fn dir_on_tmpfs() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("zctrace-test-").tempdir_in("/dev/shm").unwrap()
}

/// CLOCK_MONOTONIC, nanoseconds.
pub(crate) fn now() -> u64 {
    zctrace::source::monotonic_ns()
}

pub(crate) fn spin_until(at: u64) {
    while now() < at {
        std::hint::spin_loop();
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// Kills its process when dropped.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A zctrace that records.
pub(crate) struct Recorder {
    child: Guard,
    stderr: Receiver<String>,
    pub(crate) file: PathBuf,
    heard: String,
}

impl Recorder {
    /// Starts `zctrace record -o file ARGS` and waits until it is attached.
    pub(crate) fn start(file: &Path, args: &[&str]) -> Self {
        Self::with(file, args, |_| {})
    }

    /// Traces this very process.
    pub(crate) fn this(file: &Path) -> Self {
        Self::start(file, &["--pid", &std::process::id().to_string()])
    }

    pub(crate) fn with(file: &Path, args: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(BIN);
        command.arg("record").arg("-o").arg(file).args(args).env("ZCTRACE_STATS", "1");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        more(&mut command);
        let mut child = Guard(command.spawn().unwrap());
        let (send, stderr) = channel();
        let pipe = child.0.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut recorder = Self { child, stderr, file: file.into(), heard: String::new() };
        loop {
            match recorder.stderr.recv_timeout(Duration::from_secs(30)) {
                Ok(line) if line == "zctrace: ready" => return recorder,
                Ok(line) => recorder.heard.push_str(&format!("{line}\n")),
                Err(e) => panic!("zctrace did not get ready ({e}): {}", recorder.heard),
            }
        }
    }

    /// The command under `record -- CMD`.
    pub(crate) fn command_pid(&self) -> u32 {
        let id = self.child.0.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Stops it with SIGINT.
    pub(crate) fn stop(self) -> Trace {
        self.stop_by(Signal::INT)
    }

    /// As [`Self::stop`]; fails unless everything was released and no kernel map kept anything.
    pub(crate) fn stop_settled(self) -> Trace {
        let trace = self.stop();
        trace.expect_released(1.0);
        trace.expect_empty_maps();
        trace
    }

    pub(crate) fn stop_by(self, by: Signal) -> Trace {
        signal(&self.child.0, by);
        self.finish()
    }

    /// Ends it, and looks at nothing.
    pub(crate) fn end_by(mut self, by: Signal) {
        signal(&self.child.0, by);
        self.child.0.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn finish(mut self) -> Trace {
        let status = self.child.0.wait().unwrap();
        while let Ok(line) = self.stderr.recv() {
            self.heard.push_str(&format!("{line}\n"));
        }
        assert!(status.success(), "zctrace record: {status}: {}", self.heard);
        let mut trace = report(&self.file);
        trace.stderr = std::mem::take(&mut self.heard);
        trace
    }
}

/// What `report --json` said.
pub(crate) struct Trace {
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
}

pub(crate) fn report(file: &Path) -> Trace {
    let out = Command::new(BIN).arg("report").arg(file).arg("--json").output().unwrap();
    assert!(out.status.success(), "zctrace report: {}", String::from_utf8_lossy(&out.stderr));
    Trace { lines: parse(&out.stdout), stderr: String::new() }
}

pub(crate) fn parse(bytes: &[u8]) -> Vec<Value> {
    bytes
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

impl Trace {
    pub(crate) fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|l| l["type"] == kind).collect()
    }

    pub(crate) fn transfers(&self) -> Vec<&Value> {
        self.of_type("transfer")
    }

    pub(crate) fn summary(&self) -> &Value {
        self.lines.iter().find(|l| l["type"] == "summary").unwrap()
    }

    /// Transfers of one file.
    pub(crate) fn of_file(&self, path: &Path) -> Vec<&Value> {
        let path = path.to_str().unwrap();
        self.transfers().into_iter().filter(|t| t["file"]["path"] == path).collect()
    }

    /// Fails unless nothing was lost and at least `share` of the transfers are released.
    pub(crate) fn expect_released(&self, share: f64) {
        let s = self.summary();
        let (all, released) = (s["transfers"].as_u64().unwrap(), s["released"].as_u64().unwrap());
        assert_eq!(s["lost_records"], 0, "{s}");
        let others: Vec<_> =
            self.transfers().into_iter().filter(|t| t["outcome"] != "released").take(5).collect();
        assert!(released as f64 >= all as f64 * share, "{s}\nlosses {:?}\n{others:#?}", self.of_type("loss"));
    }

    /// Fails unless every kernel map was empty at the end.
    pub(crate) fn expect_empty_maps(&self) {
        let line = self.stderr.lines().find(|l| l.starts_with("zctrace: maps")).unwrap();
        assert_eq!(line, "zctrace: maps heads=0 socks=0 pipes=0 ops=0");
    }
}

/// Both ends: two connections may share a local port.
pub(crate) fn flow(socket: &TcpStream) -> String {
    format!("{}>{}", socket.local_addr().unwrap(), socket.peer_addr().unwrap())
}

/// The same of a transfer.
pub(crate) fn flow_of(transfer: &Value) -> String {
    let end = |name: &str| transfer["socket"][name].as_str().unwrap_or_default().to_owned();
    format!("{}>{}", end("local"), end("remote"))
}

pub(crate) fn u(v: &Value) -> u64 {
    v.as_u64().unwrap_or_else(|| panic!("not a number: {v}"))
}

/// Makes every CPU run its network softirq, which frees skbs parked there by
/// `skb_attempt_defer_free()`.
pub(crate) fn poke_cpus() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let all = sched_getaffinity(None).unwrap();
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let to = socket.local_addr().unwrap();
    for cpu in (0..CpuSet::MAX_CPU).filter(|c| all.is_set(*c)) {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).unwrap();
        for _ in 0..3 {
            socket.send_to(b"x", to).unwrap();
            socket.recv(&mut [0; 8]).unwrap();
        }
    }
    sched_setaffinity(None, &all).unwrap();
}

/// Random numbers; the seed is printed, so that a failure can be repeated.
pub(crate) fn rng(name: &str) -> Rng {
    let seed = std::env::var("ZCTRACE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(now);
    println!("{name}: seed {seed} (set ZCTRACE_SEED to repeat)");
    Rng::new(seed)
}

/// Everything a child writes to stdout and stderr, and how it ended.
pub(crate) fn output(command: &mut Command) -> (i32, String, String) {
    let mut child =
        Guard(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut err = child.0.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.read_to_end(&mut text);
        text
    });
    let mut out = Vec::new();
    child.0.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let status = child.0.wait().unwrap();
    let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
    (status.code().unwrap_or(-1), text(out), text(errors.join().unwrap()))
}
