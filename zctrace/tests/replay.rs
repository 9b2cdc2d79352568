//! How a replay fares with a long recording, which `KEEP=FILE` keeps. For people:
//! `TRANSFERS=2000000 FILES=100 SOCKETS=1000 cargo test --release -p zctrace --test replay -- --ignored --nocapture`
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod long;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zctrace::board::Picture;
use zctrace::board::link::{Command, Go, Sight, Viewer, link};
use zctrace::model::{TransferId, Verdict};
use zctrace::pipeline::{self, Pipeline};

use self::long::record;

fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("VmHWM: not known").to_owned()
}

fn await_picture(viewer: &Viewer, is: impl Fn(&Picture) -> bool) -> Arc<Picture> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(600) {
        viewer.want();
        if let Some(picture) = viewer.newest().ok().flatten().filter(|p| is(p)) {
            return picture;
        }
        // As often as a screen.
        std::thread::sleep(Duration::from_millis(size("POLL", 50)));
    }
    panic!("it does not come");
}

#[test]
#[ignore = "it takes a while"]
fn a_long_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("KEEP").map_or_else(|| dir.path().join("long.zct"), Into::into);
    let transfers = size("TRANSFERS", 2_000_000);
    record(&path, transfers, size("FILES", 100), size("SOCKETS", 1000));
    println!("written: {}", peak());
    if std::env::var_os("PLAIN").is_some() {
        let began = Instant::now();
        let mut pipeline = Pipeline::new(None, Vec::new());
        pipeline::replay(&path, &mut pipeline).unwrap();
        pipeline.finish().unwrap();
        println!("a report takes {:?}: {}", began.elapsed(), peak());
    }
    let (viewer, maker) = link();
    let began = Instant::now();
    let play = path.clone();
    let player =
        std::thread::spawn(move || zctrace::replay::run(&play, zctrace::replay::Place::default(), &maker));
    let first = await_picture(&viewer, |_| true);
    println!("first picture: {:?}, {:?}", began.elapsed(), first.cursor.as_ref().map(|c| c.span));
    let rest = |p: &Picture| p.cursor.as_ref().is_some_and(|c| !c.seeking);
    let last = await_picture(&viewer, rest);
    println!("the end: {:?}, {}", began.elapsed(), peak());
    assert_eq!(last.all.stats.transfers, transfers);
    assert_eq!(last.verdicts(Verdict::Mutated), last.mutations_seen);
    println!("{} mutated, {} unknown", last.verdicts(Verdict::Mutated), last.verdicts(Verdict::Unknown));
    for (n, go) in (1..).zip([
        Go::To(0.5),
        Go::To(0.49),
        Go::To(0.97),
        Go::To(0.0),
        Go::Next(Sight::Mutation),
        Go::To(1.0),
        Go::Previous(Sight::Mutation),
        Go::Previous(Sight::Mutation),
        Go::Previous(Sight::Anything),
    ]) {
        let began = Instant::now();
        viewer.send(Command::Go(go));
        // A picture that has this focus was made after the other command was taken.
        let focus = TransferId { cpu: u32::MAX, seq: n };
        viewer.send(Command::Focus(Some(focus)));
        await_picture(&viewer, |p| rest(p) && p.focus.as_ref().is_some_and(|f| f.id == focus));
        println!("{go:?}: {:?}, {}", began.elapsed(), peak());
    }
    viewer.send(Command::Quit);
    player.join().unwrap().unwrap();
}
