//! kTLS in software, on both ends: what it sends is a copy once it is encrypted, and not before.
//!
//! For kernels that have it (`modprobe tls`): `--ignored`.
#![expect(unsafe_code, reason = "setsockopt")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::pipe::{SpliceFlags, pipe, splice};
use serde_json::Value;

use crate::copied::{each_way_was_copied, is_copied, nothing_arrives_late, overwrite};
use crate::load::{PAGE, file, read, sendfile, tcp};
use crate::tool::{Recorder, Trace, dir, u};

const BECAUSE: &str = "ktls-software";

fn option<T>(socket: &TcpStream, level: i32, name: i32, value: &T) {
    let (at, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as u32);
    let rc = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, len) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

fn protocol(socket: &TcpStream) {
    option(socket, libc::SOL_TCP, libc::TCP_ULP, b"tls");
}

/// One direction is encrypted from here on.
fn key(socket: &TcpStream, direction: i32) {
    let info = libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info {
            version: libc::TLS_1_2_VERSION,
            cipher_type: libc::TLS_CIPHER_AES_GCM_128,
        },
        iv: [1; 8],
        key: [2; 16],
        salt: [3; 4],
        rec_seq: [0; 8],
    };
    option(socket, libc::SOL_TLS, direction, &info);
}

fn tls() -> (TcpStream, TcpStream) {
    let (sender, receiver) = tcp(false);
    for socket in [&sender, &receiver] {
        protocol(socket);
        key(socket, libc::TLS_TX);
        key(socket, libc::TLS_RX);
    }
    (sender, receiver)
}

fn is_unknown(t: &Value) {
    assert_eq!((&t["verdict"], &t["outcome"]), (&"unknown".into(), &"unknown".into()), "{t}");
    assert!(t["reasons"].as_array().unwrap().contains(&"upper-layer".into()), "{t}");
}

fn found<'a>(trace: &'a Trace, path: &Path) -> Vec<&'a Value> {
    let found = trace.of_file(path);
    assert!(!found.is_empty());
    found
}

#[test]
#[ignore = "needs a kernel with kTLS"]
fn a_closed_record_is_a_copy() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 48_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tls();
    nothing_arrives_late(&sender, &mut receiver, &path, &content);
    drop((sender, receiver));
    let trace = recorder.stop();
    each_way_was_copied(&trace, &path, BECAUSE);
}

/// "More follows": the record stays open, and is encrypted when something does.
#[test]
#[ignore = "needs a kernel with kTLS"]
fn an_open_record_is_not() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 2 * PAGE);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tls();
    let (from, into): (OwnedFd, OwnedFd) = pipe().unwrap();
    let open = File::open(&path).unwrap();
    let n = splice(&open, Some(&mut 0), &into, None, PAGE, SpliceFlags::empty()).unwrap();
    assert_eq!(splice(&from, None, &sender, None, n, SpliceFlags::MORE).unwrap(), n);
    overwrite(&path, PAGE);
    sendfile(&sender, &open, PAGE as u64, PAGE);
    let got = read(&mut receiver, 2 * PAGE);
    let was_open = got[..PAGE] == [0xee; PAGE];
    assert!((was_open || got[..PAGE] == content[..PAGE]) && got[PAGE..] == content[PAGE..]);
    drop((sender, receiver));
    let trace = recorder.stop();
    let [first, second] = found(&trace, &path)[..] else { panic!("{:#?}", trace.of_file(&path)) };
    // Before Linux 6.5 the end of what a pipe has closes a record, whatever follows.
    if was_open {
        is_unknown(first)
    } else {
        is_copied(first, BECAUSE)
    }
    is_copied(second, BECAUSE);
}

/// A socket that is full takes part of what it is offered; records that are encrypted wait behind it.
#[test]
#[ignore = "needs a kernel with kTLS"]
fn a_full_socket() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 1 << 20);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tls();
    sender.set_nonblocking(true).unwrap();
    let open = File::open(&path).unwrap();
    let (mut at, mut calls) = (0, 0);
    loop {
        let offset = at;
        let left = content.len() - at as usize;
        match rustix::fs::sendfile(&sender, &open, Some(&mut at), left.min(100_000)) {
            Ok(n) if n > 0 => calls += 1,
            Ok(_) => at = 0,
            Err(rustix::io::Errno::AGAIN) => {
                assert_eq!(at, offset);
                break;
            }
            Err(e) => panic!("{e}"),
        }
    }
    overwrite(&path, content.len());
    sender.set_nonblocking(false).unwrap();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        receiver.read_to_end(&mut got).unwrap();
        got
    });
    // What waits goes out, and what was open is closed.
    (&sender).write_all(b"x").unwrap();
    drop(sender);
    let got = reader.join().unwrap();
    let trace = recorder.stop();
    let found = found(&trace, &path);
    assert_eq!(found.len(), calls);
    let mut from = 0;
    for t in found {
        let (offset, n) = (u(&t["offset"]) as usize, u(&t["bytes"]) as usize);
        let arrived = &got[from.min(got.len())..(from + n).min(got.len())];
        from += n;
        if t["outcome"] == "unknown" {
            is_unknown(t);
        } else {
            is_copied(t, BECAUSE);
            assert!(content[offset..].starts_with(arrived), "a change after the release arrived");
        }
    }
    let copied = trace.of_file(&path).iter().filter(|t| t["zero_copy"] == false).count();
    assert!(copied >= calls - 1, "{copied} of {calls}");
}

/// The protocol without a key: the pages are lent as ever.
#[test]
#[ignore = "needs a kernel with kTLS"]
fn no_key_yet() {
    let dir = dir();
    let (path, content) = file(dir.path(), "f", 48_000);
    let recorder = Recorder::this(&dir.path().join("t.zct"));
    let (sender, mut receiver) = tcp(false);
    protocol(&sender);
    sendfile(&sender, &File::open(&path).unwrap(), 0, content.len());
    overwrite(&path, content.len());
    assert!(read(&mut receiver, content.len()) == vec![0xee; content.len()], "it was copied");
    drop((sender, receiver));
    let trace = recorder.stop();
    for t in found(&trace, &path) {
        assert_eq!((&t["zero_copy"], &t["outcome"]), (&true.into(), &"released".into()), "{t}");
        assert_eq!(t["verdict"], "mutated", "{t}");
    }
}
