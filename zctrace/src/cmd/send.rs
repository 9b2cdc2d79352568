//! `zctrace send`: a file to a socket, complete at step 2.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::capture::live_failure;
use super::{Exit, Failure};
use crate::cli::SendArgs;
use crate::send::{
    Certainty, Completion, Evidence, Pending, Progress, SendError, Traced, Tracer, Transmission,
};
use crate::text;

/// Between two lines of progress.
const TELL: Duration = Duration::from_millis(100);

pub(super) fn run(args: &SendArgs) -> anyhow::Result<Exit> {
    let shown = args.file.display();
    let file = File::open(&args.file).with_context(|| format!("opening {shown}"))?;
    let size = file.metadata().with_context(|| format!("{shown}"))?.len();
    let rest = size.checked_sub(args.offset);
    let rest =
        rest.ok_or_else(|| Failure::usage(format!("--offset {}: {shown} has {size} bytes", args.offset)))?;
    let len = args.length.unwrap_or(rest);
    if len > rest {
        return Err(Failure::usage(format!("--length {len}: {shown} has {rest} bytes from there on")));
    }
    let target = Target::parse(&args.to)?;
    let tracer = tracer(args)?;
    let socket = target.connect().with_context(|| format!("connecting to {}", args.to))?;
    let how = tracer.as_ref().map_or_else(Transmission::new, Transmission::traced);
    let how = how.copy_if_unsure(args.copy_if_unsure).datagram(args.datagram);
    let began = Instant::now();
    let sent = how.submit(&file, args.offset, len, &socket).and_then(|mut pending| {
        let done = wait(&mut pending, args, began)?;
        Ok((done, pending.progress()))
    });
    let (done, progress) = sent.map_err(|e| failure(&args.file, e))?;
    let Some(done) = done else {
        timed_out(args, &progress)?;
        return Ok(Exit::Found);
    };
    // A peer that reads until the end need not wait for what is printed.
    drop(socket);
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", completed(args, &done))?;
    } else {
        writeln!(out, "{}", line(args, &done))?;
        explain(&done);
    }
    out.flush()?;
    Ok(if done.bytes_are == Certainty::Certain { Exit::Done } else { Exit::Found })
}

/// Where to.
enum Target<'a> {
    Tcp(&'a str),
    Udp(&'a str),
    Unix(SocketAddr),
}

impl<'a> Target<'a> {
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        let usage = |e: &dyn std::fmt::Display| Failure::usage(format!("{text}: {e}"));
        if let Some(path) = text.strip_prefix("unix:") {
            let addr = match path.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(path),
            };
            return addr.map(Self::Unix).map_err(|e| usage(&e));
        }
        let (udp, inet) = text.strip_prefix("udp:").map_or((false, text), |rest| (true, rest));
        let port = inet.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(_))) if !host.is_empty() => {}
            _ => return Err(usage(&"is neither host:port, udp:host:port nor unix:/path")),
        }
        Ok(if udp { Self::Udp(inet) } else { Self::Tcp(inet) })
    }

    fn connect(&self) -> std::io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(to) => {
                let socket = TcpStream::connect(to)?;
                // The end of the file need not wait for an acknowledgement.
                socket.set_nodelay(true)?;
                socket.into()
            }
            Self::Udp(to) => {
                let to = to.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                socket.into()
            }
            Self::Unix(to) => UnixStream::connect_addr(to)?.into(),
        })
    }
}

fn tracer(args: &SendArgs) -> anyhow::Result<Option<Tracer>> {
    if args.no_trace {
        return Ok(None);
    }
    match Tracer::start(args.fingerprint.into()) {
        Ok(tracer) => Ok(Some(tracer)),
        Err(e) if args.trace => Err(live_failure(e)),
        Err(e) => {
            eprintln!("zctrace: not traced: {}", text::harmless(e.to_string().as_bytes()));
            Ok(None)
        }
    }
}

fn wait(pending: &mut Pending, args: &SendArgs, began: Instant) -> Result<Option<Completion>, SendError> {
    let terminal = std::io::stderr().is_terminal();
    let mut told = Instant::now();
    let left = args.timeout.map(|t| t.saturating_sub(began.elapsed()));
    let done = pending.wait_with(left, |progress| {
        if terminal && told.elapsed() >= TELL {
            told = Instant::now();
            eprint!("\r\x1b[K{}", told_of(progress));
        }
    });
    if terminal {
        eprint!("\r\x1b[K");
    }
    done
}

fn told_of(p: &Progress) -> String {
    let mut text = format!("{} of {} in the socket", text::bytes(p.moved), text::bytes(p.bytes));
    if let Some(queued) = p.queued {
        text.push_str(&format!(", {} of its queue left", text::bytes(queued)));
    }
    if let Some(lent) = p.lent {
        text.push_str(&format!(", {} lent", text::bytes(lent)));
    }
    text
}

fn failure(file: &std::path::Path, e: SendError) -> anyhow::Error {
    match e {
        SendError::Ring(_) => Failure::cannot(format!("{e}; zctrace send needs io_uring and pipes")),
        e => anyhow::Error::from(e).context(file.display().to_string()),
    }
}

fn timed_out(args: &SendArgs, p: &Progress) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if args.json {
        let result = json!({
            "type": "send", "file": args.file.to_string_lossy(), "to": args.to, "offset": args.offset,
            "state": "timed_out", "bytes": p.bytes, "moved": p.moved, "queued": p.queued, "lent": p.lent,
        });
        writeln!(out, "{result}")?;
    } else {
        let file = text::harmless(args.file.as_os_str().as_encoded_bytes());
        writeln!(out, "{file}: the time has passed: {}", told_of(p))?;
    }
    out.flush()
}

fn line(args: &SendArgs, done: &Completion) -> String {
    let after = |ns: u64| text::ns(ns.saturating_sub(done.submit_ns));
    let file = text::harmless(args.file.as_os_str().as_encoded_bytes());
    let step2 = done.released_ns.map_or_else(
        || "when its pages are free cannot be known".to_owned(),
        |at| format!("free after {}", after(at)),
    );
    let bytes_are = match &done.bytes_are {
        Certainty::Certain => "the peer's bytes are those of the file at submission".to_owned(),
        Certainty::MayDiffer(why) => {
            let mut text = format!("THE PEER'S BYTES MAY DIFFER: {}", why.sentence());
            if let Evidence::Traced(t) = &done.evidence {
                text.push_str(&details(t));
            }
            text
        }
    };
    format!(
        "{file}: {} in the socket after {}, {step2} ({}): {bytes_are}",
        text::bytes(done.bytes),
        after(done.return_ns),
        done.evidence
    )
}

fn details(t: &Traced) -> String {
    let mut all = t.changes();
    let reason = |r: &crate::model::Reason| text::reason(*r).1.to_owned();
    all.extend(t.reasons.iter().map(reason));
    all.extend(t.content.map(|c| text::content_sentence(c).to_owned()));
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

fn explain(done: &Completion) {
    if let Some(why) = &done.instead {
        eprintln!("zctrace: {}", text::harmless(why.as_bytes()));
    }
    for what in &done.not_promised {
        eprintln!("zctrace: not promised: {}", what.sentence());
    }
}

fn completed(args: &SendArgs, done: &Completion) -> Value {
    let said = |code: &str, sentence: &str| json!({"code": code, "sentence": sentence});
    let not_promised: Vec<_> = done.not_promised.iter().map(|n| said(n.code(), n.sentence())).collect();
    let may_differ = match &done.bytes_are {
        Certainty::Certain => Value::Null,
        Certainty::MayDiffer(why) => said(why.code(), why.sentence()),
    };
    json!({
        "type": "send", "file": args.file.to_string_lossy(), "to": args.to, "offset": args.offset,
        "state": "complete", "bytes": done.bytes,
        "submit_ns": done.submit_ns, "taken_ns": done.taken_ns, "return_ns": done.return_ns,
        "release_ns": done.released_ns,
        "evidence": done.evidence.code(),
        "traced": match &done.evidence { Evidence::Traced(t) => traced(t), _ => Value::Null },
        "certain": done.bytes_are == Certainty::Certain, "may_differ": may_differ,
        "not_promised": not_promised, "instead": done.instead,
    })
}

fn traced(t: &Traced) -> Value {
    let by: Vec<_> = t.released_by.iter().map(|by| text::released_by(*by)).collect();
    let reasons: Vec<_> = t.reasons.iter().map(|r| text::reason(*r).0).collect();
    let mutations: Vec<_> = t
        .mutations
        .iter()
        .map(|m| {
            json!({
                "kind": text::mutation(m.kind), "pid": m.pid, "comm": text::harmless(&m.comm),
                "offset": m.offset, "len": m.len, "at_ns": m.at_ns,
            })
        })
        .collect();
    json!({
        "transfers": t.transfers, "released_by": by, "verdict": t.verdict.map(text::verdict),
        "content": t.content.map(text::content), "reasons": reasons, "mutations": mutations,
    })
}
