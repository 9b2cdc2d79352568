//! The full-screen view on a real terminal: it is always given back, and a recording can be walked through.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod pty;

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use self::pty::{Pty, gives_back, run};

const ZCTRACE: &str = env!("CARGO_BIN_EXE_zctrace");

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/demo.zct").display().to_string()
}

fn replay(size: (u16, u16)) -> Pty {
    let pty = run(Path::new(ZCTRACE), &["replay", &demo()], &[], size);
    pty.shows("REPLAY");
    pty
}

#[test]
fn a_recording_is_walked_through() {
    let mut pty = replay((80, 24));
    pty.shows("MUTATED");
    pty.keys("\r");
    pty.shows("write-in-window");
    pty.shows("since submit");
    // Before the change, nothing is known of it.
    pty.keys("\x1b");
    pty.shows("PEER");
    pty.keys("{");
    pty.until("its beginning", |s| s.contains("open 0") && s.contains("transfers 0"));
    pty.keys("n");
    pty.shows("mutated 1");
    pty.keys("{");
    pty.shows("transfers 0");
    pty.keys("}");
    pty.shows("transfers 1");
    pty.keys("{ ");
    pty.shows("PLAYING");
    pty.until("it plays to the end", |s| s.contains("transfers 1") && s.contains("REPLAY"));
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
    assert!(pty.is_restored());
    pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut pty = replay((80, 24));
        pty.signal(signal);
        pty.ends();
        assert!(pty.is_restored(), "{signal:?}");
        pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
    }
}

#[test]
fn it_stops_and_goes_on() {
    for stop in ["\x1a", ""] {
        let mut pty = replay((80, 24));
        if stop.is_empty() {
            pty.signal(Signal::TSTP);
        } else {
            pty.keys(stop);
        }
        pty.until("it stops", |_| pty.state() == 'T');
        assert!(pty.is_restored());
        pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
        pty.signal(Signal::CONT);
        pty.keys("2");
        pty.shows("LENT NOW");
        pty.keys("q");
        assert_eq!(pty.ends().code(), Some(0));
        assert!(pty.is_restored());
    }
}

#[test]
fn a_closed_terminal_ends_it() {
    let mut pty = replay((80, 24));
    pty.hang_up();
    pty.ends();
}

/// The user pressed Ctrl-S: the terminal takes nothing more.
#[test]
fn a_stopped_terminal_does_not_keep_it() {
    let mut pty = replay((160, 48));
    rustix::termios::tcflow(pty.slave(), rustix::termios::Action::OOff).unwrap();
    // It draws until the terminal is full.
    for _ in 0..2000 {
        pty.keys("\t");
    }
    pty.signal(Signal::TERM);
    pty.ends();
    assert!(pty.is_restored());
}

#[test]
fn a_storm_of_sizes() {
    let mut pty = replay((80, 24));
    for i in 0..300u16 {
        pty.resize(1 + i * 7 % 200, 1 + i * 5 % 70);
        pty.keys(["\t", "d", "\x1b", "?", "j", "6"][usize::from(i % 6)]);
    }
    pty.resize(100, 30);
    pty.keys("1");
    pty.shows("VERDICT");
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
    assert!(pty.is_restored());
    pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let me = std::env::current_exe().unwrap();
    let mut pty = run(&me, &["--ignored", "--exact", "child_that_panics", "--nocapture"], &[], (80, 24));
    pty.ends();
    assert!(pty.is_restored());
    pty.until("the bytes that give it back", |_| gives_back(&pty.raw()));
    // The message is on the screen that is left, not on the one that is gone.
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.rfind("on purpose") > raw.rfind("\x1b[?1049l"), "{raw}");
}

#[test]
#[ignore = "run by a_panic_gives_the_terminal_back"]
fn child_that_panics() {
    let mut term = zctrace::tui::term::Term::new(true).unwrap();
    term.screen().draw(|_| ()).unwrap();
    panic!("on purpose");
}

#[test]
fn a_damaged_recording_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.zct");
    let whole = std::fs::read(demo()).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let mut pty = run(Path::new(ZCTRACE), &["replay", path.to_str().unwrap()], &[], (120, 30));
    pty.shows("the recording is cut off");
    pty.keys("7");
    pty.until("its finding", |s| s.contains("cut ") && !s.contains("complete"));
    pty.keys("q");
    assert_eq!(pty.ends().code(), Some(0));
}

#[test]
fn without_a_terminal_it_says_so() {
    let out = std::process::Command::new(ZCTRACE).args(["replay", &demo()]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("needs a terminal"));
}

#[test]
fn what_is_no_recording_is_told_on_an_untouched_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, "no recording").unwrap();
    let mut pty = run(Path::new(ZCTRACE), &["replay", path.to_str().unwrap()], &[], (80, 24));
    assert_eq!(pty.ends().code(), Some(4));
    pty.shows("not a zctrace recording");
    assert!(!String::from_utf8_lossy(&pty.raw()).contains("\x1b[?1049h"));
}

/// Keys are answered at once.
#[test]
fn keys_are_answered_at_once() {
    let mut pty = replay((160, 48));
    let mut slowest = Duration::ZERO;
    for (key, then) in
        [("2", "LENT TO"), ("5", "EARLY BY"), ("6", "over time"), ("7", "MEANS"), ("1", "VERDICT")]
    {
        pty.keys(key);
        slowest = slowest.max(pty.shows(then));
    }
    // Other tests run at the same time.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    pty.keys("q");
    pty.ends();
}
