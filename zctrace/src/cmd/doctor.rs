//! `zctrace doctor`: what this kernel and these privileges allow, probe by probe.

use serde::Serialize;
use zctrace_common::config::{Config, fingerprint};

use super::Exit;
use crate::bpf::{Loaded, Options, PROGRAMS};
use crate::cli::DoctorArgs;
use crate::model::{ProbeState, ProbeStatus};

#[derive(Serialize)]
struct Report {
    r#type: &'static str,
    tool: &'static str,
    kernel: String,
    can_trace: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    attach_ms: Option<u64>,
    probes: Vec<Probe>,
    fingerprints: Content,
    notes: Vec<String>,
}

/// Whether what lent pages hold can be looked at.
#[derive(Serialize)]
struct Content {
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Probe {
    #[serde(flatten)]
    status: ProbeStatus,
    gives: &'static str,
    without: &'static str,
}

fn options(fingerprint: u32) -> Options {
    // All that may be asked for, so that nothing is left out of what is loaded.
    let config = Config { fingerprint, ops: u32::MAX, ..Config::default() };
    Options { config, ring_bytes: 4096, pids: Vec::new(), files: Vec::new(), trace_self: false }
}

fn content() -> Content {
    match Loaded::new(&options(fingerprint::FULL)) {
        Ok(loaded) => Content {
            available: loaded.fingerprint.reason.is_none(),
            reason: loaded.fingerprint.reason.clone(),
        },
        Err(e) => Content { available: false, reason: Some(e.to_string()) },
    }
}

fn examine() -> Report {
    let began = std::time::Instant::now();
    let (statuses, notes, reason) = match Loaded::new(&options(fingerprint::OFF)) {
        Ok(loaded) => (loaded.probes.clone(), loaded.notes.clone(), None),
        Err(e) => (Vec::new(), Vec::new(), Some(e.to_string())),
    };
    let attach_ms = reason.is_none().then(|| u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let probes = PROGRAMS
        .iter()
        .map(|p| Probe {
            status: statuses.iter().find(|s| s.name == p.probe()).cloned().unwrap_or_else(|| ProbeStatus {
                name: p.probe(),
                state: ProbeState::Missing,
                reason: Some("not tried: see the reason above".into()),
            }),
            gives: p.gives,
            without: p.without,
        })
        .collect();
    Report {
        r#type: "doctor",
        tool: concat!("zctrace ", env!("CARGO_PKG_VERSION")),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        can_trace: reason.is_none(),
        reason,
        attach_ms,
        probes,
        fingerprints: content(),
        notes,
    }
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let report = examine();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(if report.can_trace { Exit::Done } else { Exit::Cannot })
}

fn text(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = writeln!(out, "{} on Linux {}", report.tool, report.kernel);
    match (&report.reason, report.attach_ms) {
        (Some(reason), _) => {
            let _ = writeln!(out, "CANNOT trace live: {}", crate::text::harmless(reason.as_bytes()));
        }
        (None, Some(ms)) => {
            let _ = writeln!(out, "can trace live (loaded and attached in {ms} ms)");
        }
        (None, None) => {}
    }
    let wide = report.probes.iter().map(|p| p.status.name.len()).max().unwrap_or(0);
    let _ = writeln!(out, "\n{:<wide$} {:<9} gives", "probe", "state");
    for p in &report.probes {
        let state = match p.status.state {
            ProbeState::Attached => "attached",
            ProbeState::Missing => "MISSING",
        };
        let _ = writeln!(out, "{:<wide$} {state:<9} {}", p.status.name, p.gives);
        if p.status.state == ProbeState::Missing {
            let why = p.status.reason.as_deref().unwrap_or_default();
            let _ = writeln!(
                out,
                "    why: {}\n    without it: {}",
                crate::text::harmless(why.as_bytes()),
                p.without
            );
        }
    }
    let _ = match &report.fingerprints.reason {
        None => writeln!(out, "fingerprints available: --fingerprint compares what lent pages hold"),
        Some(why) => writeln!(out, "fingerprints MISSING: {}", crate::text::harmless(why.as_bytes())),
    };
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let _ = writeln!(
        out,
        "\nNot traced in this version: sendmmsg with MSG_ZEROCOPY, and servers of the kernel on sockets of a program\n\
         (nfsd). Stores that make no event (through a writable shared mapping, or to memory that is lent) are seen\n\
         with --fingerprint only; without it the verdict is `unknown`."
    );
    out
}
