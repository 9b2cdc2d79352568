//! The full-screen view of a live trace, on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::load;
use crate::pty::{self, Pty, gives_back};
use crate::tool::{BIN, dir};

fn watch(args: &[&str], size: (u16, u16)) -> Pty {
    let pid = std::process::id().to_string();
    let mut all = vec!["--pid", &pid];
    all.extend(args);
    let pty = pty::run(Path::new(BIN), &all, &[], size);
    pty.shows("LIVE");
    pty
}

/// Begins a recording in the view.
fn record_to(pty: &Pty, to: &Path) {
    pty.keys("r");
    pty.shows("record to:");
    // Ctrl-U empties the line.
    pty.keys("\x15");
    pty.keys(to.to_str().unwrap());
    pty.keys("\r");
    pty.until("it records", |s| s.contains("REC") && !s.contains("attaching"));
}

#[test]
fn a_change_shows_while_it_is_lent() {
    let dir = dir();
    let (path, _) = load::file(dir.path(), "lent.bin", 128 << 10);
    let (sender, mut receiver) = load::tcp(false);
    let mut pty = watch(&[], (100, 30));
    load::sendfile(&sender, &File::open(&path).unwrap(), 0, 128 << 10);
    pty.shows("open 1");
    File::options().write(true).open(&path).unwrap().write_all_at(&[0xff; 100], 64 << 10).unwrap();
    pty.shows("CHANGED");
    pty.keys("\r");
    pty.shows("65536+100 by");
    pty.shows("Still lent");
    let mut got = vec![0; 128 << 10];
    receiver.read_exact(&mut got).unwrap();
    assert_eq!(&got[64 << 10..][..100], &[0xff; 100], "the change reached the receiver");
    pty.shows("MUTATED");
    pty.shows("write-in-window");
    pty.keys("\x1b");
    // By itself, not as the first byte of another key.
    pty.shows("PEER");
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
    assert!(pty.is_restored());
    pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
}

#[test]
fn the_picture_stops_and_the_capture_goes_on() {
    let dir = dir();
    let (path, _) = load::file(dir.path(), "lent.bin", 4096);
    let file = File::open(&path).unwrap();
    let (sender, mut receiver) = load::tcp(true);
    let mut pty = watch(&[], (100, 30));
    let mut once = || {
        load::sendfile(&sender, &file, 0, 4096);
        receiver.read_exact(&mut [0; 4096]).unwrap();
    };
    once();
    pty.shows("transfers 1 ");
    pty.keys(" ");
    pty.shows("PAUSED");
    (0..99).for_each(|_| once());
    pty.keys(" ");
    pty.shows("transfers 100 ");
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
}

#[test]
fn a_recording_begun_in_the_view_is_complete() {
    let dir = dir();
    let (path, _) = load::file(dir.path(), "lent.bin", 4096);
    let file = File::open(&path).unwrap();
    let (sender, mut receiver) = load::tcp(false);
    let mut once = || {
        load::sendfile(&sender, &file, 0, 4096);
        receiver.read_exact(&mut [0; 4096]).unwrap();
    };
    let mut pty = watch(&[], (120, 30));
    (0..10).for_each(|_| once());
    pty.shows("transfers 10 ");
    let to = dir.path().join("x.zct");
    record_to(&pty, &to);
    (0..20).for_each(|_| once());
    pty.shows("transfers 30 ");
    pty.keys("r");
    pty.shows("recorded ");
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
    let out = std::process::Command::new(BIN).arg("report").arg(&to).arg("--json").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).unwrap();
    let summary = lines.lines().last().unwrap();
    assert!(summary.contains("\"transfers\":20,\"released\":20,"), "{summary}");
}

/// A signal ends it while it records, and the terminal takes no more bytes: the recording is whole.
#[test]
fn a_recording_ends_in_order_with_the_view() {
    let dir = dir();
    let (path, _) = load::file(dir.path(), "lent.bin", 4096);
    let (sender, mut receiver) = load::tcp(false);
    let mut pty = watch(&[], (120, 30));
    let to = dir.path().join("x.zct");
    record_to(&pty, &to);
    load::sendfile(&sender, &File::open(&path).unwrap(), 0, 4096);
    receiver.read_exact(&mut [0; 4096]).unwrap();
    pty.shows("transfers 1 ");
    rustix::termios::tcflow(pty.slave(), rustix::termios::Action::OOff).unwrap();
    (0..500).for_each(|_| pty.keys("\t"));
    pty.signal(rustix::process::Signal::TERM);
    pty.ends();
    assert!(pty.is_restored());
    let out = std::process::Command::new(BIN).arg("report").arg(&to).arg("--json").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn it_stays_when_what_it_traces_is_over() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let mut pty = pty::run(Path::new(BIN), &["--pid", &child.id().to_string()], &[], (100, 30));
    pty.shows("LIVE");
    child.kill().unwrap();
    child.wait().unwrap();
    pty.shows("ENDED");
    pty.shows("the traced processes have ended");
    pty.keys("2q");
    assert_eq!(pty.ends().code(), Some(0));
}

/// utime and stime of a process, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// 10 000 transfers a second; `ZCTRACE_SCREEN_SECONDS` for how long.
#[test]
fn it_keeps_up_with_ten_thousand_transfers_a_second() {
    let seconds = std::env::var("ZCTRACE_SCREEN_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8);
    let dir = dir();
    let (path, _) = load::file(dir.path(), "lent.bin", 1 << 20);
    let (sender, mut receiver) = load::tcp(false);
    sender.set_nodelay(true).unwrap();
    let ends = AtomicBool::new(false);
    /// Whatever fails, the load ends.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|s| {
        let _ends = Ends(&ends);
        s.spawn(move || {
            let mut buf = vec![0; 1 << 20];
            while receiver.read(&mut buf).is_ok_and(|n| n > 0) {}
        });
        s.spawn(|| {
            let (file, began, mut n) = (File::open(&path).unwrap(), Instant::now(), 0u64);
            while !ends.load(Ordering::Relaxed) {
                let due = began.elapsed().as_micros() as u64 / 100;
                while n < due {
                    load::sendfile(&sender, &file, n % 256 * 4096, 4096);
                    n += 1;
                }
                // Between two bursts, so that the load itself leaves the CPU to others.
                std::thread::sleep(Duration::from_millis(1));
            }
            sender.shutdown(std::net::Shutdown::Both).unwrap();
        });
        let mut pty = watch(&[], (160, 48));
        pty.until("the load", |s| {
            let rate = s
                .lines()
                .find_map(|l| l.split_once(" transfers/s")?.0.rsplit(' ').next()?.parse::<f64>().ok());
            rate.is_some_and(|r| r > 9_000.0)
        });
        let (began, before, memory) = (Instant::now(), ticks(pty.pid()), resident_kib(pty.pid()));
        let mut slowest = Duration::ZERO;
        while began.elapsed() < Duration::from_secs(seconds) {
            for (key, then) in [
                ("2", "LENT TO"),
                ("5", "EARLY BY"),
                ("6", "over time"),
                ("7", "MEANS"),
                ("1", "VERDICT"),
                ("d", "since submit"),
                ("\x1b", "VERDICT"),
            ] {
                pty.keys(key);
                slowest = slowest.max(pty.shows(then));
            }
            // A person does not press keys all the time.
            std::thread::sleep(Duration::from_millis(500));
        }
        let cpu = (ticks(pty.pid()) - before) as f64 / 100.0 / began.elapsed().as_secs_f64();
        let grown = resident_kib(pty.pid()).saturating_sub(memory);
        println!("cpu {:.1} %, slowest key {slowest:?}, {memory} KiB and {grown} KiB more", cpu * 100.0);
        let screen = pty.text();
        pty.keys("q");
        assert_eq!(pty.ends().code(), Some(0));
        assert!(screen.contains("lost 0"), "{screen}");
        // 0.08 on two idle cores; what else runs there counts too.
        assert!(cpu < 0.2, "{cpu}");
        assert!(slowest < Duration::from_millis(100), "{slowest:?}");
        assert!(grown < 8 << 10, "{grown} KiB");
    });
    std::io::stdout().flush().unwrap();
}
