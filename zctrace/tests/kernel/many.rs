//! Many of everything at once, and the awkward ways to use a descriptor.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::load::{PAGE, file, read, sendfile, splice_through, tcp};
use crate::tool::{Recorder, dir, flow, flow_of, now, poke_cpus, rng, u};

#[test]
fn many_flows_on_one_file() {
    let dir = dir();
    let (path, content) = file(dir.path(), "shared", 300_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let mut rng = rng("many_flows_on_one_file");
    let flows: Vec<_> = (0..32)
        .map(|i| {
            let (path, content, mut rng) = (path.clone(), content.clone(), rng.fork());
            std::thread::spawn(move || {
                let (sender, mut receiver) = tcp(i % 2 == 0);
                let mut total = 0;
                let reader = {
                    let plan: Vec<(usize, usize)> = (0..40)
                        .map(|_| {
                            let at = rng.below(content.len() as u64 - 1) as usize;
                            (at, rng.within(1, (content.len() - at) as u64) as usize)
                        })
                        .collect();
                    let wanted = plan.clone();
                    let reader = std::thread::spawn(move || {
                        for (at, len) in wanted {
                            assert!(read(&mut receiver, len) == content[at..at + len]);
                        }
                    });
                    let open = File::open(&path).unwrap();
                    for (n, (at, len)) in plan.into_iter().enumerate() {
                        if n % 3 == 0 {
                            splice_through(&sender, &open, at as u64, len);
                        } else {
                            sendfile(&sender, &open, at as u64, len);
                        }
                        total += len;
                    }
                    reader
                };
                reader.join().unwrap();
                (flow(&sender), total)
            })
        })
        .collect();
    let sent: Vec<_> = flows.into_iter().map(|f| f.join().unwrap()).collect();
    poke_cpus();
    let trace = recorder.stop_settled();
    for (flow, total) in sent {
        let mine: u64 =
            trace.of_file(&path).iter().filter(|t| flow_of(t) == flow).map(|t| u(&t["bytes"])).sum();
        assert_eq!(mine, total as u64, "bytes of {flow}");
    }
}

#[test]
fn the_same_page_lent_many_times() {
    let dir = dir();
    let (path, content) = file(dir.path(), "page", PAGE);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let open = File::open(&path).unwrap();
    let mut pairs: Vec<_> = (0..64).map(|_| tcp(false)).collect();
    for (sender, _) in &pairs {
        sendfile(sender, &open, 0, PAGE);
    }
    // Read in another order than sent.
    let mut reads = Vec::new();
    for i in (0..64).map(|i| (i * 37) % 64) {
        let before = now();
        assert!(read(&mut pairs[i].1, PAGE) == content);
        reads.push((flow(&pairs[i].0), before, now()));
    }
    drop(pairs);
    poke_cpus();
    let trace = recorder.stop_settled();
    assert_eq!(trace.of_file(&path).len(), 64);
    for (flow, before, after) in reads {
        let t = trace.transfers().into_iter().find(|t| flow_of(t) == flow).unwrap();
        let release = u(&t["release_ns"]);
        assert!(release >= before && release <= after + 2_000_000, "{before} {release} {after}: {t}");
    }
}

#[test]
fn many_files_on_one_socket_keep_their_order() {
    let dir = dir();
    // Large enough that no receiver copies them into the tail room of the skb before.
    let files: Vec<_> = (0..50).map(|i| file(dir.path(), &format!("f{i}"), 20_000 + i * 77)).collect();
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tcp(false);
    set_socket_send_buffer_size(&sender, 4 << 20).unwrap();
    for (path, content) in &files {
        use std::io::Write as _;
        (&sender).write_all(b"header").unwrap();
        sendfile(&sender, &File::open(path).unwrap(), 0, content.len());
    }
    let mut reads = Vec::new();
    for (_, content) in &files {
        assert!(read(&mut receiver, 6) == b"header");
        let before = now();
        assert!(read(&mut receiver, content.len()) == *content);
        reads.push(before);
    }
    drop((sender, receiver));
    poke_cpus();
    let trace = recorder.stop();
    trace.expect_released(1.0);
    for ((path, _), before) in files.iter().zip(reads) {
        let found = trace.of_file(path);
        assert_eq!(found.len(), 1);
        assert!(u(&found[0]["release_ns"]) >= before, "released before it was read: {}", found[0]);
    }
}

#[test]
fn a_descriptor_reused_in_flight() {
    let dir = dir();
    let (a, first) = file(dir.path(), "a", 20_000);
    let (b, second) = file(dir.path(), "b", 20_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (s1, mut r1) = tcp(false);
    let (s2, mut r2) = tcp(false);
    let (one, two) = (flow(&s1), flow(&s2));
    let mut fd = std::os::fd::OwnedFd::from(s1);
    sendfile(&fd, &File::open(&a).unwrap(), 0, 20_000);
    // The same number, another socket; the first is closed with its data still unread.
    rustix::io::dup2(&s2, &mut fd).unwrap();
    sendfile(&fd, &File::open(&b).unwrap(), 0, 20_000);
    let before = now();
    assert!(read(&mut r2, 20_000) == second);
    assert!(read(&mut r1, 20_000) == first);
    drop((fd, s2, r1, r2));
    poke_cpus();
    let trace = recorder.stop_settled();
    for (path, flow) in [(&a, one), (&b, two)] {
        let found = trace.of_file(path);
        assert_eq!(found.len(), 1);
        assert_eq!(flow_of(found[0]), flow);
        assert!(u(&found[0]["release_ns"]) >= before);
    }
}

#[test]
fn partial_results_without_blocking() {
    let dir = dir();
    let (path, content) = file(dir.path(), "big", 4 << 20);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tcp(false);
    sender.set_nonblocking(true).unwrap();
    let open = File::open(&path).unwrap();
    let reader = std::thread::spawn(move || read(&mut receiver, 4 << 20));
    let (mut at, mut refused) = (0u64, 0);
    while at < content.len() as u64 {
        let left = content.len() - at as usize;
        match rustix::fs::sendfile(&sender, &open, Some(&mut at), left) {
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => {
                refused += 1;
                std::thread::yield_now();
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(reader.join().unwrap() == content);
    drop(sender);
    poke_cpus();
    let trace = recorder.stop_settled();
    let found = trace.of_file(&path);
    println!("partial: {} transfers, {refused} calls refused", found.len());
    assert_eq!(found.iter().map(|t| u(&t["bytes"])).sum::<u64>(), content.len() as u64);
    // Together they are the file, each byte once.
    let mut ranges: Vec<(u64, u64)> = found.iter().map(|t| (u(&t["offset"]), u(&t["bytes"]))).collect();
    ranges.sort_unstable();
    let mut next = 0;
    for (offset, bytes) in ranges {
        assert_eq!(offset, next);
        next += bytes;
    }
}

#[test]
fn one_call_of_many_megabytes() {
    let dir = dir();
    let (path, content) = file(dir.path(), "big", 16 << 20);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tcp(true);
    let reader = std::thread::spawn(move || read(&mut receiver, 16 << 20));
    sendfile(&sender, &File::open(&path).unwrap(), 0, content.len());
    assert!(reader.join().unwrap() == content);
    drop(sender);
    poke_cpus();
    recorder.stop_settled();
}

#[test]
fn another_process_drains_the_pipe() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 200_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    // Without CLOEXEC `cat` would hold the write end open itself.
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    // `cat` is not traced; its reads are what releases.
    let mut cat =
        std::process::Command::new("cat").stdin(reader).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdout = cat.stdout.take().unwrap();
    let output = std::thread::spawn(move || read(&mut stdout, 200_000));
    let open = File::open(&path).unwrap();
    let mut at = 0u64;
    while at < content.len() as u64 {
        let left = content.len() - at as usize;
        rustix::pipe::splice(&open, Some(&mut at), &writer, None, left, rustix::pipe::SpliceFlags::empty())
            .unwrap();
    }
    drop(writer);
    assert!(output.join().unwrap() == content);
    assert!(cat.wait().unwrap().success());
    recorder.stop_settled();
}

#[test]
fn filters_in_the_kernel() {
    let dir = dir();
    let (a, content) = file(dir.path(), "a.bin", 5_000);
    let (b, _) = file(dir.path(), "b.txt", 5_000);
    let send_both = || {
        let (s, mut r) = tcp(false);
        for path in [&a, &b] {
            sendfile(&s, &File::open(path).unwrap(), 0, content.len());
        }
        read(&mut r, 10_000);
        (s.local_addr().unwrap().port().to_string(), r)
    };
    let paths = |args: &[&str]| {
        let recorder = Recorder::start(&dir.path().join("t.zct"), args);
        send_both();
        let trace = recorder.stop();
        let mut found: Vec<String> = trace
            .transfers()
            .iter()
            .map(|t| t["file"]["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect();
        found.sort();
        found
    };
    let me = std::process::id().to_string();
    assert_eq!(paths(&["--pid", &me]), ["a.bin", "b.txt"]);
    assert_eq!(paths(&["--pid", &me, "--file", a.to_str().unwrap()]), ["a.bin"]);
    assert_eq!(paths(&["--pid", &me, "--api", "splice"]), Vec::<String>::new());
    assert_eq!(paths(&["--pid", &me, "--port", "1"]), Vec::<String>::new());
    assert_eq!(paths(&["--pid", &me, "--peer", "127.0.0.1"]), ["a.bin", "b.txt"]);
    assert_eq!(paths(&["--pid", &me, "--peer", "10.1.2.3"]), Vec::<String>::new());
    let glob = format!("{}/*.txt", dir.path().display());
    assert_eq!(paths(&["--pid", &me, "--file", &glob]), ["b.txt"]);
    assert_eq!(paths(&["--pid", &me, "--min-gap", "1h"]), Vec::<String>::new());
    assert_eq!(paths(&["--comm", "no-such-task"]), Vec::<String>::new());
    // libtest names its threads after the test: 15 bytes are kept.
    assert_eq!(paths(&["--comm", "many::filters_i"]), ["a.bin", "b.txt"]);
    let _ = File::options().read(true).custom_flags(0).open(&a);
}
