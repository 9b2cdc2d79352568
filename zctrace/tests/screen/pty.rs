//! A program on a terminal of its own, and what stands on that terminal.
#![allow(dead_code, clippy::allow_attributes, reason = "two test programs use it, neither all of it")]

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A program and its terminal.
pub struct Pty {
    master: Option<Arc<OwnedFd>>,
    /// Keeps the terminal alive, as a shell would.
    slave: File,
    child: Child,
    screen: Arc<Mutex<Screen>>,
    before: Termios,
}

struct Screen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

/// Runs it on a terminal of that size: columns, lines.
pub fn run(program: &Path, args: &[&str], env: &[(&str, &str)], (cols, rows): (u16, u16)) -> Pty {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let slave = OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let before = tcgetattr(&slave).unwrap();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program).args(args).stdin(end()).stdout(end()).stderr(end());
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("NO_COLOR").env_remove("LC_ALL");
    let child = command.envs(env.iter().copied()).spawn().unwrap();
    let master = Arc::new(master);
    let screen = Arc::new(Mutex::new(Screen { parser: vt100::Parser::new(rows, cols, 0), raw: Vec::new() }));
    Pty { master: Some(master), slave, child, screen, before }.reading()
}

impl Pty {
    fn reading(self) -> Self {
        let from = Arc::downgrade(self.master.as_ref().unwrap());
        let screen = Arc::clone(&self.screen);
        std::thread::spawn(move || {
            let mut buf = [0u8; 1 << 16];
            while let Some(master) = from.upgrade() {
                let mut fds = [rustix::event::PollFd::new(&*master, rustix::event::PollFlags::IN)];
                let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                match rustix::event::poll(&mut fds, Some(&wait)) {
                    Ok(0) => continue,
                    Ok(_) => {}
                    Err(_) => return,
                }
                match rustix::io::read(&*master, &mut buf) {
                    Ok(0) => return,
                    Ok(n) => {
                        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
                        screen.parser.process(&buf[..n]);
                        screen.raw.extend_from_slice(&buf[..n]);
                    }
                    // Every end of the other side is closed for now.
                    Err(rustix::io::Errno::IO) => std::thread::sleep(Duration::from_millis(5)),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(_) => return,
                }
            }
        });
        self
    }

    /// What stands on the screen.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).parser.screen().contents()
    }

    /// Every byte so far.
    pub fn raw(&self) -> Vec<u8> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).raw.clone()
    }

    /// Waits until `holds` holds of the screen; answers how long that took.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let text = self.text();
            if holds(&text) {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "{what}: not on the screen\n{text}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until that text is on the screen.
    pub fn shows(&self, text: &str) -> Duration {
        self.until(text, |screen| screen.contains(text))
    }

    /// Types.
    pub fn keys(&self, keys: &str) {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            let n = rustix::io::write(self.master.as_ref().unwrap(), rest).unwrap();
            rest = &rest[n..];
        }
    }

    /// Another size: columns, lines.
    pub fn resize(&self, cols: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.master.as_ref().unwrap(), size).unwrap();
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        // Everything is drawn anew; and the emulator is not what is tested at sizes that nothing fits on.
        screen.parser = vt100::Parser::new(rows.max(10), cols.max(40), 0);
    }

    /// The program's end of it.
    pub fn slave(&self) -> &File {
        &self.slave
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As `/proc` has it: `T` stopped.
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Nobody reads what it writes any more, and nobody types.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// What the terminal does with keys is as it was before the program.
    pub fn is_restored(&self) -> bool {
        let now = tcgetattr(&self.slave).unwrap();
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes
    }

    /// Waits for its end.
    pub fn ends(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether these bytes leave the other screen and show the cursor, after all else.
pub fn gives_back(raw: &[u8]) -> bool {
    let text = String::from_utf8_lossy(raw);
    let last = |what: &str| text.rfind(what);
    last("\x1b[?1049l") > last("\x1b[?1049h") && last("\x1b[?25h") > last("\x1b[?25l")
}
