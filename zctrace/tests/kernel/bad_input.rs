//! What zctrace cannot do, it says clearly, with the documented exit code, and leaves nothing behind.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::load::{file, read, sendfile, tcp};
use crate::tool::{BIN, Guard, Recorder, Rng, dir, output, parse, report, signal};

const NOBODY: u32 = 65534;

fn zctrace(args: &[&str]) -> Command {
    let mut c = Command::new(BIN);
    c.args(args);
    c
}

/// A copy that any user may run.
fn public(dir: &Path) -> PathBuf {
    let bin = dir.join("zctrace");
    std::fs::copy(BIN, &bin).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&bin, std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

#[test]
fn an_unprivileged_user() {
    let dir = dir();
    let bin = public(dir.path());
    for args in [&["--duration", "1s"][..], &["doctor"], &["demo"]] {
        let (code, out, err) = output(Command::new(&bin).args(args).uid(NOBODY).gid(NOBODY));
        let said = format!("{out}{err}");
        assert_eq!(code, 3, "{args:?}: {said}");
        assert!(said.contains("CAP_BPF") && said.contains("sudo"), "{args:?}: {said}");
        if args == ["demo"] {
            assert!(out.contains("RECORDING") && out.contains("release"), "{out}");
        }
    }
}

#[test]
fn a_kernel_without_btf() {
    let (code, _, err) = output(zctrace(&["--duration", "1s"]).env("ZCTRACE_BTF", "/nonexistent/vmlinux"));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("/nonexistent/vmlinux") && err.contains("CONFIG_DEBUG_INFO_BTF"), "{err}");
    let dir = dir();
    let broken = dir.path().join("btf");
    std::fs::write(&broken, b"not BTF at all").unwrap();
    let (code, _, err) = output(zctrace(&["--duration", "1s"]).env("ZCTRACE_BTF", &broken));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("not BTF"), "{err}");
}

#[test]
fn wrong_usage() {
    let me = std::process::id().to_string();
    for (args, words) in [
        (&["--pid", "4194305"][..], "no process 4194305"),
        (&["--file", "/no/such/file"], "no such file"),
        (&["--comm", "a-name-that-is-far-too-long"], "15 bytes"),
        (&["--cgroup", "/no/such/cgroup"], "--cgroup"),
        (&["--duration", "soon"], "10s"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--pid", &me, "--min-gap", "1 parsec"], "min-gap"),
    ] {
        let (code, _, err) = output(&mut zctrace(args));
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

fn a_recording(dir: &Path) -> PathBuf {
    let (path, content) = file(dir, "f", 50_000);
    let recorder = Recorder::this(&dir.join("t.zct"));
    let (sender, mut receiver) = tcp(false);
    let open = std::fs::File::open(&path).unwrap();
    for _ in 0..3000 {
        sendfile(&sender, &open, 0, content.len());
        read(&mut receiver, content.len());
    }
    drop((sender, receiver));
    let file = recorder.file.clone();
    recorder.stop();
    file
}

#[test]
fn broken_recordings() {
    let dir = dir();
    let good = a_recording(dir.path());
    let bytes = std::fs::read(&good).unwrap();
    let (code, out, err) = output(&mut zctrace(&["report", good.to_str().unwrap()]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("3000 transfers"), "{out}");

    let bad = dir.path().join("bad.zct");
    let bad_name = bad.to_str().unwrap();
    std::fs::write(&bad, &bytes[..bytes.len() - 100]).unwrap();
    let (code, out, err) = output(&mut zctrace(&["report", bad_name, "--json"]));
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("cut off") && err.contains("bytes are good"), "{err}");
    // The good prefix is there, and nothing in it is claimed that the missing rest could change.
    assert!(out.lines().any(|l| l.contains("\"released\"") || l.contains("recording-cut")));

    for (content, words) in
        [(&b"garbage"[..], "not a zctrace recording"), (b"", "recording"), (&bytes[..20], "cut off")]
    {
        std::fs::write(&bad, content).unwrap();
        let (code, _, err) = output(&mut zctrace(&["report", bad_name]));
        assert_eq!(code, 4, "{err}");
        assert!(err.contains(words), "{err}");
    }
    for missing in ["/no/such/recording", "/tmp"] {
        let (code, _, err) = output(&mut zctrace(&["report", missing]));
        assert_eq!(code, 4, "{err}");
        assert!(err.contains(missing), "{err}");
    }
    let bin = public(dir.path());
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, _, err) = output(Command::new(&bin).arg("report").arg(&good).uid(NOBODY).gid(NOBODY));
    assert_eq!(code, 4, "{err}");
    assert!(err.to_lowercase().contains("permission denied"), "{err}");
}

/// A small file system, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, size: &str) -> Self {
        std::fs::create_dir(at).unwrap();
        let (code, _, err) = output(Command::new("mount").args(["-t", "tmpfs", "-o", size, "none"]).arg(at));
        assert_eq!(code, 0, "{err}");
        Self(at.into())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_while_recording() {
    let dir = dir();
    let small = Mount::new(&dir.path().join("small"), "size=512k");
    let (path, content) = file(dir.path(), "f", 4096);
    let file = small.0.join("t.zct");
    let mut child = Guard(
        zctrace(&["record", "-o", file.to_str().unwrap(), "--pid", &std::process::id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let (sender, mut receiver) = tcp(false);
    let open = std::fs::File::open(&path).unwrap();
    // Until it gives up.
    let status = loop {
        for _ in 0..500 {
            sendfile(&sender, &open, 0, content.len());
            read(&mut receiver, content.len());
        }
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
    };
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(status.code(), Some(4), "{err}");
    assert!(err.contains("No space left") && err.contains("bytes are good"), "{err}");
    let (code, out, err) = output(&mut zctrace(&["report", file.to_str().unwrap(), "--json"]));
    assert_eq!(code, 4, "{err}");
    // What was written before is there; how much of it was already certain depends on the moment.
    assert!(parse(out.as_bytes()).iter().filter(|l| l["type"] == "transfer").count() > 100);
}

/// BPF programs of zctrace that are loaded now.
fn loaded() -> usize {
    let (_, out, _) = output(
        Command::new("sh").args(["-c", "grep -l 'prog_type:' /proc/[0-9]*/fdinfo/* 2>/dev/null | wc -l"]),
    );
    out.trim().parse().unwrap()
}

#[test]
fn signals_at_any_moment() {
    let dir = dir();
    let mut rng = Rng::new("signals_at_any_moment");
    let before = loaded();
    let (path, content) = file(dir.path(), "f", 4096);
    let open = std::fs::File::open(&path).unwrap();
    for round in 0..24 {
        let out = dir.path().join(format!("{round}.zct"));
        let stop = if round % 2 == 0 { Signal::INT } else { Signal::TERM };
        let mut child = Guard(
            zctrace(&["record", "-o", out.to_str().unwrap(), "--pid", &std::process::id().to_string()])
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let (sender, mut receiver) = tcp(false);
        let until = crate::tool::now() + rng.below(400_000_000);
        while crate::tool::now() < until {
            sendfile(&sender, &open, 0, content.len());
            read(&mut receiver, content.len());
        }
        signal(&child.0, stop);
        let status = child.0.wait().unwrap();
        // Before it is attached there is nothing to keep: then the signal may end it as it ends any program.
        use std::os::unix::process::ExitStatusExt as _;
        assert!(status.success() || status.signal().is_some(), "{status}");
        if status.success() {
            report(&out);
        }
    }
    assert_eq!(loaded(), before, "BPF programs were left behind");
}

#[test]
fn killed_while_recording() {
    let dir = dir();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (path, content) = file(dir.path(), "f", 4096);
    let (sender, mut receiver) = tcp(false);
    let open = std::fs::File::open(&path).unwrap();
    let until = crate::tool::now() + 600_000_000;
    while crate::tool::now() < until {
        sendfile(&sender, &open, 0, content.len());
        read(&mut receiver, content.len());
    }
    let file = recorder.file.clone();
    drop(recorder);
    let (code, out, err) = output(&mut zctrace(&["report", file.to_str().unwrap(), "--json"]));
    assert_eq!(code, 4, "{err}");
    assert!(parse(out.as_bytes()).iter().filter(|l| l["outcome"] == "released").count() > 100);
}

#[test]
fn live_equals_replay() {
    let dir = dir();
    let out = dir.path().join("live.jsonl");
    let to = std::fs::File::create(&out).unwrap();
    let recorder = Recorder::with(
        &dir.path().join("t.zct"),
        &["--json", "--pid", &std::process::id().to_string()],
        |c| {
            c.stdout(to);
        },
    );
    let (path, content) = file(dir.path(), "f", 100_000);
    let flows: Vec<_> = (0..4)
        .map(|_| {
            let (path, content) = (path.clone(), content.clone());
            std::thread::spawn(move || {
                let (sender, mut receiver) = tcp(false);
                let open = std::fs::File::open(&path).unwrap();
                for n in 0..300 {
                    let len = 1 + (n * 331) % content.len();
                    sendfile(&sender, &open, 0, len);
                    read(&mut receiver, len);
                }
            })
        })
        .collect();
    flows.into_iter().for_each(|f| f.join().unwrap());
    let file = recorder.file.clone();
    recorder.stop();
    let (code, replayed, err) = output(&mut zctrace(&["report", file.to_str().unwrap(), "--json"]));
    assert_eq!(code, 0, "{err}");
    let live = std::fs::read_to_string(&out).unwrap();
    assert!(live.lines().count() > 1200);
    assert!(live == replayed, "live and replayed differ");
}
