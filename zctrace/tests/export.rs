//! `zctrace export` of whole recordings, hostile ones among them. What other programs make of the files is
//! tested by `cargo xtask readers`, which has this write the recordings.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use zctrace::event::{frame, user_frame};
use zctrace::model::{ProbeState, ProbeStatus, TraceInfo};
use zctrace::sim::{Delivery, Knobs, story};
use zctrace::trace::Writer;
use zctrace_common::frame::{read, split};
use zctrace_common::kernel::{self, ChangeEnter, OpEnter, kind};
use zctrace_common::user::{self, Cgroup, Start};

const HOSTILE: [&[u8]; 12] = [
    b"=cmd()",
    b"+1",
    b"-1",
    b"@x",
    b"\t=1",
    b"\r=1",
    b"a\nb",
    b"e\x1b[2J\xff",
    b"<b>x</b>",
    b"\"q\",x",
    b"a;=1",
    "\u{202e}\u{9b}31m".as_bytes(),
];

/// Some of the names in a frame become hostile; which, follows from its number.
fn hostile(bytes: &[u8]) -> Vec<u8> {
    let Some((h, body)) = split(bytes) else { return bytes.to_vec() };
    let text = usize::try_from(h.seq).ok().and_then(|n| HOSTILE.get(n % (HOSTILE.len() * 2)));
    let Some(text) = text else { return bytes.to_vec() };
    let again = |body: &[u8]| {
        // All that is read of it is bytes.
        let mut whole = bytes.to_vec();
        whole.splice(bytes.len() - body.len().., body.iter().copied());
        whole
    };
    let mut comm = [0; 16];
    comm.get_mut(..text.len()).unwrap().copy_from_slice(text);
    match h.kind {
        kind::OP_ENTER => {
            let enter = OpEnter { comm, ..read(body) };
            frame(h.kind, h.cpu, h.seq, h.ts, h.task, &enter, &[])
        }
        kind::CHANGE_ENTER => {
            let enter = ChangeEnter { comm, ..read(body) };
            frame(h.kind, h.cpu, h.seq, h.ts, h.task, &enter, &[])
        }
        kind::PATH => {
            let mut path: kernel::Path = read(body);
            path.text.get_mut(..text.len()).unwrap().copy_from_slice(text);
            path.text.get_mut(text.len()..=text.len()).unwrap().fill(0);
            path.used = u32::try_from(text.len() + 1).unwrap();
            frame(h.kind, h.cpu, h.seq, h.ts, h.task, &path, &[])
        }
        _ => again(body),
    }
}

/// A story with losses, mutations and windows that stay open, of which half is told before midnight.
fn record(path: &Path, seed: u64, host: &str) {
    let told = story(seed, Knobs { steps: 3000, races: true, wind_up: false });
    let frames = told
        .deliver(&Delivery { seed, between: 60, shuffle: false, lose: if seed == 1 { 6 } else { 1 } })
        .frames;
    let (first, last) = (told.said.first().unwrap().ts, told.said.last().unwrap().ts);
    let midnight = 1_800_057_600_000_000_000;
    let mut writer = Writer::new(std::fs::File::create(path).unwrap()).unwrap();
    for bytes in &frames {
        let (h, body) = split(bytes).unwrap();
        if h.kind == user::kind::START {
            let start: Start = read(body);
            let start = Start { real_ns: midnight - (first + last) / 2 + start.mono_ns, ..start };
            let text = body.get(size_of::<Start>()..).unwrap();
            let mut info: TraceInfo = serde_json::from_slice(text).unwrap();
            (info.host, info.filters) = (host.into(), vec!["command==x|y;z".into()]);
            let reason = Some("=not\nhere".into());
            info.probes.push(ProbeStatus { name: "x:=y".into(), state: ProbeState::Missing, reason });
            let text = serde_json::to_vec(&info).unwrap();
            writer.push(&user_frame(h.kind, h.seq, h.ts, &start, &text)).unwrap();
            let cgroup = user_frame(user::kind::CGROUP, 0, h.ts, &Cgroup { id: 1 }, b"=/\x1b[2J<b>;\n");
            writer.push(&cgroup).unwrap();
        } else {
            writer.push(&hostile(bytes)).unwrap();
        }
    }
    writer.finish().unwrap();
}

fn zctrace(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zctrace")).args(args).output().unwrap()
}

fn export(file: &Path, to: &str, out: &Path, more: &[&str]) -> Output {
    let args = ["export", file.to_str().unwrap(), "--to", to, "-o", out.to_str().unwrap()];
    zctrace(&[&args[..], more].concat())
}

#[test]
#[ignore = "for `cargo xtask readers`: it writes recordings into $ZCTRACE_RECORDINGS"]
fn recordings() {
    let dir = std::env::var_os("ZCTRACE_RECORDINGS").unwrap();
    for (seed, host) in [(1, "web-1"), (2, "web-2"), (3, "../=h\n\x1b[2J")] {
        record(&Path::new(&dir).join(format!("{seed}.zct")), seed, host);
    }
}

#[test]
fn json_lines_are_those_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("a.zct"), dir.path().join("a.jsonl"));
    record(&file, 1, "web-1");
    let report = zctrace(&["report", file.to_str().unwrap(), "--json"]).stdout;
    assert!(report.len() > 10_000);
    assert!(export(&file, "jsonl", &out, &[]).status.success());
    assert_eq!(std::fs::read(&out).unwrap(), report);
    assert_eq!(export(&file, "jsonl", Path::new("-"), &[]).stdout, report);
    let again = export(&file, "jsonl", &out, &[]);
    assert_eq!(again.status.code(), Some(4));
    assert!(String::from_utf8(again.stderr).unwrap().contains("a.jsonl exists: --force replaces it"));
    assert!(export(&file, "jsonl", &out, &["--force"]).status.success());
}

#[test]
fn nothing_acts_and_the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.zct");
    record(&file, 3, "../=h\n\x1b[2J");
    for to in ["csv", "perfetto"] {
        let out = dir.path().join(to);
        assert!(export(&file, to, &out, &[]).status.success());
        let files: Vec<_> = if to == "csv" {
            let all = std::fs::read_dir(&out).unwrap();
            all.map(|e| e.unwrap().path()).collect()
        } else {
            vec![out.clone()]
        };
        for path in &files {
            let before = std::fs::read(path).unwrap();
            assert!(!String::from_utf8_lossy(&before).contains("\x1b["), "{}", path.display());
            assert!(export(&file, to, &out, &["--force"]).status.success());
            assert_eq!(std::fs::read(path).unwrap(), before);
        }
    }
}

#[test]
fn a_cut_recording_is_exported_as_far_as_it_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let (file, cut) = (dir.path().join("a.zct"), dir.path().join("cut.zct"));
    record(&file, 1, "web-1");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&cut, bytes.get(..bytes.len() - 100).unwrap()).unwrap();
    let report = zctrace(&["report", cut.to_str().unwrap(), "--json"]);
    for to in ["jsonl", "csv", "perfetto", "parquet"] {
        let out = dir.path().join(to);
        let done = export(&cut, to, &out, &[]);
        if to == "parquet" && !cfg!(feature = "parquet") {
            assert_eq!(done.status.code(), Some(3));
            continue;
        }
        assert_eq!(done.status.code(), Some(4), "{to}");
        assert!(String::from_utf8(done.stderr).unwrap().contains("cut.zct: "), "{to}");
        assert!(out.exists(), "{to}");
    }
    assert_eq!(std::fs::read(dir.path().join("jsonl")).unwrap(), report.stdout);
}

#[test]
fn what_makes_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("a.zct"), dir.path().join("out"));
    std::fs::write(&file, b"no recording").unwrap();
    for to in ["jsonl", "csv", "perfetto"] {
        assert_eq!(export(&file, to, &out, &[]).status.code(), Some(4));
        let left = std::fs::read_dir(&out).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing is left behind");
    }
    for args in [["csv", "-", "--force"], ["jsonl", "x", "--partition"]] {
        let [to, out, more] = args;
        assert_eq!(export(&file, to, Path::new(out), &[more]).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(export(&dir.path().join("none.zct"), "jsonl", &out, &[]).status.code(), Some(4));
}
