//! `cargo xtask shots`: the full-screen view under tmux, with nginx under load and a writer that changes files
//! in place; each screen as a picture in docs/img.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Pid, Signal, kill_process};

use crate::{debian, sh};

const PACKAGES: [&str; 2] = ["nginx-light", "tmux"];
/// How long a screen may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// Files of the server, and their bytes.
const FILES: [(&str, usize); 5] = [
    ("index.html", 4 << 10),
    ("app.js", 64 << 10),
    ("logo.svg", 16 << 10),
    ("video.mp4", 4 << 20),
    ("site.tar", 1 << 20),
];

/// A picture: its name, columns and lines, the keys that lead there, and what is then on it.
struct Shot {
    name: &'static str,
    size: (u16, u16),
    keys: &'static [&'static str],
    shows: &'static str,
}

const fn shot(name: &'static str, keys: &'static [&'static str], shows: &'static str) -> Shot {
    Shot { name, size: (120, 32), keys, shows }
}

const LIVE: &[Shot] = &[
    shot("transfers", &[], "VERDICT"),
    shot("files", &["2"], "CHANGES"),
    shot("peers", &["3"], "PEER"),
    shot("processes", &["4"], "PROCESS"),
    shot("mutations", &["5"], "EARLY BY"),
    shot("gap", &["6"], "over time"),
    shot("findings", &["7"], "MEANS"),
    shot("open", &["1", "o", "Enter"], "Still lent"),
    shot("help", &["Escape", "Escape", "?"], "Help"),
];

const NARROW: &[Shot] =
    &[Shot { name: "narrow", size: (80, 24), keys: &["{", "n", "Enter"], shows: "MUTATED" }];

const REPLAY: &[Shot] =
    &[shot("replay", &["{", "n"], "mutated 1"), shot("mutated", &["Enter"], "since submit")];

/// nginx with one worker.
struct Server {
    child: Child,
    address: SocketAddr,
    worker: u32,
}

impl Server {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        // Free a moment ago; whoever takes it meanwhile makes nginx say so.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let d = dir.display();
        let config = format!(
            "daemon off; worker_processes 1; pid {d}/pid; error_log {d}/errors; events {{ worker_connections 256; }}\n\
             http {{ access_log off; sendfile on; keepalive_requests 10000000; client_body_temp_path {d}/t; \
             proxy_temp_path {d}/t; fastcgi_temp_path {d}/t; uwsgi_temp_path {d}/t; scgi_temp_path {d}/t;\n\
             server {{ listen {address}; root {d}/www; }} }}\n"
        );
        let path = dir.join("nginx.conf");
        std::fs::write(&path, config)?;
        let child =
            Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn().context("nginx")?;
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let worker =
                std::fs::read_to_string(&children)?.split_whitespace().next().and_then(|n| n.parse().ok());
            if let (Some(worker), Ok(_)) = (worker, TcpStream::connect(address)) {
                return Ok(Self { child, address, worker });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("nginx does not start: {d}/errors")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The master ends its worker.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Numbers that look random and are the same every time.
fn random(state: &AtomicU64) -> u64 {
    let x = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 8
}

/// Asks for a file and reads it, at most `step` bytes at a time, with `pause` in between.
fn get(to: &mut TcpStream, name: &str, size: usize, step: usize, pause: Duration) -> std::io::Result<()> {
    write!(to, "GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut buf = vec![0u8; step];
    let (mut head, mut body) = (Vec::new(), None);
    while body.is_none_or(|n| n < size) {
        let n = to.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        match &mut body {
            Some(body) => *body += n,
            None => {
                head.extend_from_slice(buf.get(..n).unwrap_or_default());
                let end = head.windows(4).position(|w| w == b"\r\n\r\n");
                body = end.map(|at| head.len() - at - 4);
            }
        }
        std::thread::sleep(pause);
    }
    Ok(())
}

/// Clients that read at once, slowly, and not at all; and somebody who changes files in place.
fn load(server: &Server, dir: &Path, ends: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let (address, state) = (server.address, Arc::new(AtomicU64::new(1)));
    let spawn = |name: &str, mut work: Box<dyn FnMut() -> std::io::Result<()> + Send>| {
        let ends = Arc::clone(ends);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            // A connection that the server closed is made anew.
            while !ends.load(Ordering::Relaxed) {
                let _ = work();
            }
        })
    };
    for _ in 0..3 {
        let state = Arc::clone(&state);
        let mut to = TcpStream::connect(address)?;
        spawn(
            "browser",
            Box::new(move || {
                let (name, size) = FILES
                    .get(usize::try_from(random(&state) % 3).unwrap_or(0))
                    .copied()
                    .unwrap_or(("index.html", 4096));
                std::thread::sleep(Duration::from_micros(random(&state) % 8000));
                get(&mut to, name, size, 1 << 16, Duration::ZERO)
            }),
        )?;
    }
    for _ in 0..2 {
        let state = Arc::clone(&state);
        spawn(
            "phone",
            Box::new(move || {
                let mut to = TcpStream::connect(address)?;
                set_socket_recv_buffer_size(&to, 65_536)?;
                let (name, size) = if random(&state).is_multiple_of(2) {
                    ("video.mp4", 4 << 20)
                } else {
                    ("site.tar", 1 << 20)
                };
                get(&mut to, name, size, 16_384, Duration::from_millis(20 + random(&state) % 50))
            }),
        )?;
    }
    let mut stalled = TcpStream::connect(address)?;
    set_socket_recv_buffer_size(&stalled, 65_536)?;
    write!(stalled, "GET /site.tar HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let www = dir.join("www");
    spawn(
        "deploy.sh",
        Box::new(move || {
            let _keep = &stalled;
            std::thread::sleep(Duration::from_millis(700));
            let name = if random(&state).is_multiple_of(2) { "video.mp4" } else { "site.tar" };
            let mut file = OpenOptions::new().write(true).open(www.join(name))?;
            file.seek(SeekFrom::Start(random(&state) % (512 << 10)))?;
            file.write_all(&[7; 512])
        }),
    )?;
    Ok(())
}

/// A tmux server of its own; a new one for each size.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn call(&self, args: &[&str]) -> Option<String> {
        sh::output(Command::new("tmux").args(["-L", &self.socket, "-f", "/dev/null"]).args(args))
    }

    fn start(&self, (cols, rows): (u16, u16), command: &str) -> anyhow::Result<()> {
        let (cols, rows) = (cols.to_string(), rows.to_string());
        let env = "env TERM=xterm-256color LANG=C.UTF-8 COLORTERM=truecolor";
        self.call(&[
            "-u",
            "new-session",
            "-d",
            "-s",
            "z",
            "-x",
            &cols,
            "-y",
            &rows,
            &format!("{env} {command}"),
        ])
        .context("tmux does not start")?;
        Ok(())
    }

    fn until(&self, shows: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let screen = self.call(&["capture-pane", "-p", "-t", "z"]).unwrap_or_default();
            if screen.contains(shows) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("{shows:?} does not appear:\n{screen}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn take(&self, shot: &Shot, to: &Path) -> anyhow::Result<()> {
        for key in shot.keys {
            self.call(&["send-keys", "-t", "z", key]).context("send-keys")?;
            // One picture of the trace.
            std::thread::sleep(Duration::from_millis(400));
        }
        self.until(shot.shows)?;
        let screen = self.call(&["capture-pane", "-e", "-N", "-p", "-t", "z"]).context("capture-pane")?;
        let background = anstyle::RgbColor(0x16, 0x1b, 0x22).into();
        let svg = anstyle_svg::Term::new().bg_color(background).render_svg(&screen);
        let path = to.join(format!("{}.svg", shot.name));
        std::fs::write(&path, svg).with_context(|| path.display().to_string())?;
        eprintln!("{}", path.display());
        Ok(())
    }

    /// Pictures of one size, whose keys lead from one to the next.
    fn series(name: &str, shots: &[Shot], command: &str, warm: Duration, to: &Path) -> anyhow::Result<()> {
        let Some(first) = shots.first() else {
            return Ok(());
        };
        let tmux = Self { socket: format!("zctrace-{name}-{}", std::process::id()) };
        tmux.start(first.size, command)?;
        tmux.until("lent now")?;
        std::thread::sleep(warm);
        shots.iter().try_for_each(|shot| tmux.take(shot, to))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.call(&["kill-server"]);
    }
}

fn files(dir: &Path) -> anyhow::Result<()> {
    let www = dir.join("www");
    std::fs::create_dir_all(&www)?;
    for (name, size) in FILES {
        File::create(www.join(name))?.write_all(&vec![b'x'; size])?;
    }
    // nginx's worker has a user of its own.
    for path in [dir, &www] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

pub(crate) fn run() -> anyhow::Result<()> {
    if !sh::is_root() {
        bail!("the view is of a live trace: needs root");
    }
    debian::need(&PACKAGES)?;
    sh::run(sh::cargo().args(["build", "--locked", "--release", "--package", "zctrace"]))?;
    let tool = sh::root().join("target/release/zctrace");
    let dir = PathBuf::from(format!("/srv/shop-{}", std::process::id()));
    files(&dir)?;
    let result = take_all(&tool, &dir);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn take_all(tool: &Path, dir: &Path) -> anyhow::Result<()> {
    let to = sh::root().join("docs/img");
    std::fs::create_dir_all(&to)?;
    let server = Server::start(dir)?;
    let ends = Arc::new(AtomicBool::new(false));
    load(&server, dir, &ends)?;
    let (tool, recording) = (tool.display(), dir.join("nginx.zct"));
    let watch = format!("{tool} --pid {} --theme dark", server.worker);
    let warm = Duration::from_secs(25);
    Tmux::series("wide", LIVE, &watch, warm, &to)?;
    let record =
        ["record", "--pid", &server.worker.to_string(), "--duration", "20s", "-o"].map(str::to_owned);
    sh::run(Command::new(tool.to_string()).args(record).arg(&recording))?;
    ends.store(true, Ordering::Relaxed);
    let replay = format!("{tool} replay {} --theme dark", recording.display());
    Tmux::series("narrow", NARROW, &replay, Duration::from_secs(2), &to)?;
    Tmux::series("replay", REPLAY, &replay, Duration::from_secs(2), &to)
}
