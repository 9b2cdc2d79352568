//! Real programs that this project did not write, or that use the interfaces in their own way: every
//! byte they send is in a transfer, with the right path and peer.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::load::{file, splice_through};
use crate::tool::{Guard, Recorder, Trace, dir, poke_cpus, rng, u};
use zctrace::sim::Rng;

/// Bytes that went from a file to a peer.
type Sent = BTreeMap<(String, String), u64>;

fn seen(trace: &Trace) -> Sent {
    let mut sent = Sent::new();
    for t in trace.transfers() {
        let path = t["file"]["path"].as_str().unwrap().to_owned();
        let peer = t["socket"]["remote"].as_str().unwrap().to_owned();
        *sent.entry((path, peer)).or_default() += u(&t["bytes"]);
    }
    sent
}

fn compare(name: &str, trace: &Trace, truth: &Sent, at_least: u64) {
    let s = trace.summary();
    println!("{name}: {s}");
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    for t in trace.transfers().into_iter().filter(|t| t["outcome"] != "released") {
        *why.entry(t["reasons"].to_string()).or_default() += 1;
    }
    if !why.is_empty() {
        println!("{name}: not released, by reason: {why:?}");
    }
    assert!(u(&s["transfers"]) >= at_least, "only {} transfers", s["transfers"]);
    trace.expect_released(0.999);
    let seen = seen(trace);
    for (key, bytes) in truth {
        assert_eq!(seen.get(key), Some(bytes), "{name}: {key:?}");
    }
    assert_eq!(seen.len(), truth.len(), "{name}: transfers that were not sent");
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    sized(dir, &[1, 100, 4096, 5000, 20_000, 65_536, 200_000])
}

fn sized(dir: &Path, sizes: &[usize]) -> Vec<(PathBuf, Vec<u8>)> {
    sizes.iter().map(|n| file(dir, &format!("file-{n}"), *n)).collect()
}

/// 1 byte to 1 MiB; each power of two is as likely as the next.
fn random_files(dir: &Path, rng: &mut Rng) -> Vec<(PathBuf, Vec<u8>)> {
    let mut sizes: Vec<usize> = (0..20).map(|bits| rng.within(1 << bits, (2 << bits) - 1) as usize).collect();
    sizes.extend([1, 1 << 20]);
    sizes.sort_unstable();
    sizes.dedup();
    sized(dir, &sizes)
}

// ---- nginx

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn nginx_conf(dir: &Path, port: u16) -> PathBuf {
    let conf = dir.join("nginx.conf");
    let d = dir.display();
    let text = format!(
        "worker_processes 1; daemon off; master_process off; pid {d}/pid; error_log {d}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; sendfile on; keepalive_requests 1000000;\n\
           client_body_temp_path {d}/a; proxy_temp_path {d}/b; fastcgi_temp_path {d}/c; uwsgi_temp_path {d}/d; scgi_temp_path {d}/e;\n\
           server {{ listen 127.0.0.1:{port}; root {d}; }} }}\n"
    );
    std::fs::write(&conf, text).unwrap();
    conf
}

fn connect(port: u16) -> TcpStream {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(s) => return s,
            Err(e) => assert!(Instant::now() < until, "nginx does not listen: {e}"),
        }
        std::thread::yield_now();
    }
}

/// GETs over one connection; answers what must have been sent to it.
fn gets(port: u16, files: &[(PathBuf, Vec<u8>)], n: usize, mut rng: Rng) -> Sent {
    let mut c = connect(port);
    let me = c.local_addr().unwrap().to_string();
    let mut sent = Sent::new();
    for _ in 0..n {
        let (path, content) = &files[rng.below(files.len() as u64) as usize];
        let name = path.file_name().unwrap().to_str().unwrap();
        // In one segment: in pieces, each would wait for a delayed ack.
        c.write_all(format!("GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            c.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let mut body = vec![0; content.len()];
        c.read_exact(&mut body).unwrap();
        assert!(body == *content);
        *sent.entry((path.to_str().unwrap().to_owned(), me.clone())).or_default() += content.len() as u64;
    }
    sent
}

fn load(port: u16, files: &[(PathBuf, Vec<u8>)], rng: &mut Rng) -> Sent {
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let (files, rng) = (files.to_vec(), rng.fork());
            std::thread::spawn(move || gets(port, &files, 1000, rng))
        })
        .collect();
    clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
}

fn need(program: &str) {
    let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "this test cannot run without {program}: apt-get install it");
}

/// Files and a configuration that serves them.
struct Site {
    dir: tempfile::TempDir,
    rng: Rng,
    files: Vec<(PathBuf, Vec<u8>)>,
    port: u16,
    conf: PathBuf,
}

impl Site {
    fn new(test: &str) -> Self {
        need("nginx");
        let (dir, mut rng, port) = (dir(), rng(test), free_port());
        let files = random_files(dir.path(), &mut rng);
        let conf = nginx_conf(dir.path(), port);
        Self { dir, rng, files, port, conf }
    }

    fn trace(&self) -> PathBuf {
        self.dir.path().join("t.zct")
    }

    fn load(&mut self) -> Sent {
        let truth = load(self.port, &self.files, &mut self.rng);
        poke_cpus();
        truth
    }
}

#[test]
fn nginx_by_pid() {
    let mut site = Site::new("nginx_by_pid");
    let nginx = Guard(Command::new("nginx").arg("-c").arg(&site.conf).spawn().unwrap());
    drop(connect(site.port));
    let recorder = Recorder::start(&site.trace(), &["--pid", &nginx.0.id().to_string()]);
    let truth = site.load();
    compare("nginx by --pid", &recorder.stop(), &truth, 5_000);
}

#[test]
fn nginx_as_command() {
    let mut site = Site::new("nginx_as_command");
    let recorder = Recorder::start(&site.trace(), &["--", "nginx", "-c", site.conf.to_str().unwrap()]);
    let truth = site.load();
    let pid = rustix::process::Pid::from_raw(recorder.command_pid() as i32).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    compare("nginx by record -- CMD", &recorder.finish(), &truth, 5_000);
}

// ---- Python's os.sendfile, and splice through a pipe

const PYTHON: &str = "
import os, socket, sys
sys.stdin.readline()
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
for n in range(int(sys.argv[2])):
    path = sys.argv[3 + n % (len(sys.argv) - 3)]
    with open(path, 'rb') as f:
        left, at = os.fstat(f.fileno()).st_size, 0
        while left:
            sent = os.sendfile(s.fileno(), f.fileno(), at, left)
            at, left = at + sent, left - sent
";

/// In a child process: the same with splice through a pipe.
#[test]
fn role_splicer() {
    let Ok(to) = std::env::var("ZCT_ROLE_SPLICER") else { return };
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", to.parse().unwrap())).unwrap();
    let files: Vec<String> = std::env::var("ZCT_ROLE_FILES").unwrap().split(':').map(Into::into).collect();
    let count: usize = std::env::var("ZCT_ROLE_COUNT").unwrap().parse().unwrap();
    for n in 0..count {
        let open = std::fs::File::open(&files[n % files.len()]).unwrap();
        let len = open.metadata().unwrap().len() as usize;
        splice_through(&socket, &open, 0, len);
    }
}

const EACH: usize = 5_500;

fn python(port: u16, files: &[(PathBuf, Vec<u8>)]) -> Command {
    let mut c = Command::new("python3");
    c.args(["-c", PYTHON, &port.to_string(), &EACH.to_string()]).args(files.iter().map(|(p, _)| p));
    c
}

fn splicer(port: u16, files: &[(PathBuf, Vec<u8>)]) -> Command {
    let mut c = Command::new(std::env::current_exe().unwrap());
    let list: Vec<&str> = files.iter().map(|(p, _)| p.to_str().unwrap()).collect();
    c.args(["--exact", "programs::role_splicer", "--nocapture"]);
    c.env("ZCT_ROLE_SPLICER", port.to_string());
    c.env("ZCT_ROLE_FILES", list.join(":"));
    c.env("ZCT_ROLE_COUNT", EACH.to_string());
    c
}

/// Takes one connection and everything it sends; answers the truth.
fn receive(listener: TcpListener, files: Vec<(PathBuf, Vec<u8>)>) -> Sent {
    let me = listener.local_addr().unwrap().to_string();
    let (mut from, _) = listener.accept().unwrap();
    let mut sent = Sent::new();
    for n in 0..EACH {
        let (path, content) = &files[n % files.len()];
        let mut body = vec![0; content.len()];
        from.read_exact(&mut body).unwrap();
        assert!(body == *content);
        *sent.entry((path.to_str().unwrap().to_owned(), me.clone())).or_default() += content.len() as u64;
    }
    assert_eq!(from.read(&mut [0]).unwrap(), 0);
    sent
}

/// How to start a sender to this port, of these files.
type Make = fn(u16, &[(PathBuf, Vec<u8>)]) -> Command;

fn both_ways(name: &str, make: Make) {
    let dir = dir();
    let files = files(dir.path());
    let trace_file = dir.path().join("t.zct");
    let listen = || TcpListener::bind(("127.0.0.1", 0)).unwrap();

    let listener = listen();
    let port = listener.local_addr().unwrap().port();
    let mut child = Guard(make(port, &files).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let recorder = Recorder::start(&trace_file, &["--pid", &child.0.id().to_string()]);
    let receiver = {
        let files = files.clone();
        std::thread::spawn(move || receive(listener, files))
    };
    child.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let truth = receiver.join().unwrap();
    child.0.wait().unwrap();
    poke_cpus();
    // The process is gone, so the recording ends by itself.
    compare(&format!("{name} by --pid"), &recorder.finish(), &truth, EACH as u64);

    let listener = listen();
    let port = listener.local_addr().unwrap().port();
    let command = make(port, &files);
    let mut args: Vec<String> = vec!["--".into(), command.get_program().to_str().unwrap().into()];
    args.extend(command.get_args().map(|a| a.to_str().unwrap().to_owned()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let receiver = {
        let files = files.clone();
        std::thread::spawn(move || receive(listener, files))
    };
    let recorder = Recorder::with(&trace_file, &args, |zctrace| {
        zctrace.envs(command.get_envs().filter_map(|(k, v)| v.map(|v| (k, v))));
        // An empty stdin is a line too: the command goes at once.
        zctrace.stdout(Stdio::null());
    });
    let truth = receiver.join().unwrap();
    poke_cpus();
    compare(&format!("{name} by record -- CMD"), &recorder.finish(), &truth, EACH as u64);
}

#[test]
fn python_sendfile() {
    both_ways("python", python);
}

#[test]
fn splice_through_a_pipe() {
    both_ways("splice", splicer);
}
