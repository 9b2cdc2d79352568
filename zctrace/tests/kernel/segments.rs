//! Recordings in segments, followed while they are written, and a recorder that is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::tool::{BIN, Guard, Recorder, dir, now};
use crate::{load, tool};

/// Sends a file of 20 000 bytes again and again.
fn send(dir: &Path, times: u64) {
    let (path, content) = load::file(dir, "f", 20_000);
    let (sender, mut receiver) = load::tcp(false);
    let open = std::fs::File::open(path).unwrap();
    let start = now();
    for n in 0..times {
        tool::spin_until(start + n * 1_000_000);
        load::sendfile(&sender, &open, 0, content.len());
        load::read(&mut receiver, content.len());
    }
}

fn follower(first: &Path, out: &Path) -> Guard {
    let child: Child = Command::new(BIN)
        .args(["report", "--follow", "--json"])
        .arg(first)
        .stdout(std::fs::File::create(out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Guard(child)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|p| p.to_string_lossy().ends_with(".zct")).collect();
    all.sort();
    all
}

/// What is said of transfers and changes.
fn rows(bytes: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines.filter(|l| !l.starts_with(r#"{"type":"trace""#)).map(Into::into).collect()
}

fn record(dir: &Path) -> Recorder {
    let me = std::process::id().to_string();
    let args = ["--pid", &me, "--json", "--rotate-size", "20KiB"];
    Recorder::with(&dir.join("t.zct"), &args, |c| {
        c.stdout(std::fs::File::create(dir.join("live.json")).unwrap());
    })
}

#[test]
fn live_followed_and_read_later_are_the_same() {
    let dir = dir();
    let recorder = record(dir.path());
    let mut follower = follower(&dir.path().join("t.0001.zct"), &dir.path().join("followed.json"));
    send(dir.path(), 600);
    recorder.end_by(rustix::process::Signal::INT);
    assert!(follower.0.wait().unwrap().success());
    let files = files(dir.path());
    assert!(files.len() > 2, "{files:?}");
    let later = Command::new(BIN).arg("report").args(&files).arg("--json").output().unwrap();
    assert!(later.status.success(), "{}", String::from_utf8_lossy(&later.stderr));
    let live = rows(&std::fs::read(dir.path().join("live.json")).unwrap());
    assert!(live.iter().filter(|l| l.starts_with(r#"{"type":"transfer""#)).count() == 600);
    assert_eq!(rows(&std::fs::read(dir.path().join("followed.json")).unwrap()), live);
    assert_eq!(rows(&later.stdout), live);
}

#[test]
fn a_recorder_that_is_killed() {
    let dir = dir();
    let recorder = record(dir.path());
    let mut follower = follower(&dir.path().join("t.0001.zct"), &dir.path().join("followed.json"));
    send(dir.path(), 600);
    recorder.end_by(rustix::process::Signal::KILL);
    // Nobody writes it any more: whoever follows it is told so.
    assert_eq!(follower.0.wait().unwrap().code(), Some(4));
    let later = Command::new(BIN).arg("report").args(files(dir.path())).arg("--json").output().unwrap();
    assert_eq!(later.status.code(), Some(4));
    let err = String::from_utf8_lossy(&later.stderr);
    assert!(err.contains("t.00") && err.contains("cut off"), "{err}");
    let (live, rows) = (rows(&std::fs::read(dir.path().join("live.json")).unwrap()), rows(&later.stdout));
    let released: Vec<&String> = rows.iter().filter(|l| l.contains(r#""outcome":"released""#)).collect();
    assert!(released.len() > 500, "all but the last moments are there: {}", released.len());
    // What was said live is a prefix: it may have died between the file and the line.
    assert!(
        live.iter()
            .filter(|l| l.ends_with('}'))
            .zip(&rows)
            .all(|(a, b)| a == b || b.contains("recording-cut"))
    );
}
