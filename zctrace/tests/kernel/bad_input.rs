//! What zctrace cannot do, it says clearly, with the documented exit code, and leaves nothing behind.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::load::{file, read, sendfile, tcp};
use crate::tool::{BIN, Guard, Recorder, dir, output, parse, report, rng, signal};

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
    let record = ["record", "-o", "/dev/null", "--duration", "1s"];
    for args in [&["--duration", "1s"][..], &record, &["doctor"], &["demo"], &["lab"]] {
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
    // Over many checkpoints: what comes before one is certain even where the rest is cut off.
    let start = crate::tool::now();
    for n in 0..3000 {
        while crate::tool::now() < start + n * 200_000 {
            std::hint::spin_loop();
        }
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
    let (code, whole, _) = output(&mut zctrace(&["report", good.to_str().unwrap(), "--json"]));
    assert_eq!(code, 0);

    let bad = dir.path().join("bad.zct");
    let bad_name = bad.to_str().unwrap();
    let truth: BTreeSet<&str> = whole.lines().collect();
    let mut rng = rng("broken_recordings");
    for round in 0..6 {
        // The last block, then anywhere.
        let cut =
            if round == 0 { bytes.len() - 100 } else { rng.within(1_000, bytes.len() as u64 - 1) as usize };
        std::fs::write(&bad, &bytes[..cut]).unwrap();
        let (code, out, err) = output(&mut zctrace(&["report", bad_name, "--json"]));
        assert_eq!(code, 4, "{err}");
        assert!(err.contains("cut off") && err.contains("bytes are good"), "{err}");
        // The good prefix is there, and nothing is claimed from it that the missing rest changes.
        let kept: Vec<&str> = out.lines().filter(|l| l.contains("\"outcome\":\"released\"")).collect();
        println!("broken_recordings: cut at {cut} of {}: {} released of 3000", bytes.len(), kept.len());
        for line in &kept {
            assert!(truth.contains(line), "not what the whole recording says: {line}");
        }
        if round == 0 {
            assert!(kept.len() > 2_000, "of 600 ms only the last block is missing: {} kept", kept.len());
        }
    }

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

/// zctrace's BPF programs in the kernel, by id. Asked of the kernel: a program that stayed attached
/// after its loader died is in no process's descriptors.
fn loaded() -> BTreeSet<u32> {
    // A program may go between its listing and its opening.
    let programs = aya::programs::loaded_programs().filter_map(Result::ok);
    programs.filter(|p| p.name().starts_with(b"zct_")).map(|p| p.id()).collect()
}

/// Those that some living process holds: another zctrace on this machine is none of our business.
fn held() -> BTreeSet<u32> {
    let fdinfo = |process: std::fs::DirEntry| std::fs::read_dir(process.path().join("fdinfo")).ok();
    let descriptors = std::fs::read_dir("/proc").unwrap().flatten().filter_map(fdinfo).flatten().flatten();
    descriptors
        .filter_map(|d| std::fs::read_to_string(d.path()).ok())
        .flat_map(|text| {
            let ids = text.lines().filter_map(|l| l.strip_prefix("prog_id:")?.trim().parse().ok());
            ids.collect::<Vec<u32>>()
        })
        .collect()
}

/// Fails unless every program loaded since `before` goes away; the kernel frees them a little later.
fn expect_nothing_attached(before: &BTreeSet<u32>) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        // Listed before the holders are: a zctrace that ends in between is looked at again.
        let now = loaded();
        let left: Vec<_> = now.difference(before).copied().collect();
        let held = held();
        if left.iter().all(|id| held.contains(id)) {
            return;
        }
        assert!(Instant::now() < until, "BPF programs were left behind: {left:?}");
        std::thread::yield_now();
    }
}

/// Sends and reads until then.
fn busy(path: &Path, until: u64) {
    let open = std::fs::File::open(path).unwrap();
    let (sender, mut receiver) = tcp(false);
    while crate::tool::now() < until {
        sendfile(&sender, &open, 0, 4096);
        read(&mut receiver, 4096);
    }
}

#[test]
fn signals_at_any_moment() {
    use std::os::unix::process::ExitStatusExt as _;
    let dir = dir();
    let mut rng = rng("signals_at_any_moment");
    let before = loaded();
    let (path, _) = file(dir.path(), "f", 4096);
    // How long attaching takes depends on the machine.
    let started = Instant::now();
    drop(Recorder::this(&dir.path().join("first.zct")));
    let attach = started.elapsed().as_nanos() as u64;
    let mut early = [0, 0];
    for round in 0..24 {
        let out = dir.path().join(format!("{round}.zct"));
        let stop = if round % 2 == 0 { Signal::INT } else { Signal::TERM };
        // Whoever runs this in the background may have it ignore SIGINT, and children inherit that.
        let mut child = Guard(
            Command::new("env")
                .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_zctrace"), "record", "-o"])
                .args([out.to_str().unwrap(), "--pid", &std::process::id().to_string()])
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        busy(&path, crate::tool::now() + rng.below(2 * attach));
        signal(&child.0, stop);
        let status = child.0.wait().unwrap();
        // Before it is attached there is nothing to keep: then the signal may end it as it ends any program.
        assert!(status.success() || status.signal().is_some(), "{status}");
        early[usize::from(status.success())] += 1;
        if status.success() {
            report(&out);
        }
    }
    // These are attached for certain.
    let mut transfers = 0;
    for round in 0..24 {
        let out = dir.path().join(format!("attached-{round}.zct"));
        let recorder = Recorder::this(&out);
        busy(&path, crate::tool::now() + rng.below(100_000_000));
        let stop = if round % 2 == 0 { Signal::INT } else { Signal::TERM };
        let trace = recorder.stop_by(stop);
        transfers += trace.transfers().len();
        for t in trace.transfers() {
            assert!(t["outcome"] == "released", "{t}");
        }
    }
    println!(
        "signals_at_any_moment: from the start, {} ended by the signal and {} with exit 0; attached: 24 of 24 with exit 0, {transfers} transfers",
        early[0], early[1]
    );
    assert!(early[0] > 0 && early[1] > 0, "all signals came on the same side of the attach: {early:?}");
    assert!(transfers > 1000, "nothing was recorded");
    expect_nothing_attached(&before);
}

#[test]
fn killed_while_recording() {
    let dir = dir();
    let before = loaded();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    // Otherwise that nothing is left below would prove nothing.
    assert!(loaded().difference(&before).count() > 5, "an attached zctrace is not seen in the kernel");
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
    expect_nothing_attached(&before);
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
