//! Command-line filters -> what the kernel half evaluates, what is left for [`Shown`], and the
//! words for the recording's header.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;
use zctrace_common::config::{Config, flag};
use zctrace_common::kernel::op;

use super::Failure;
use crate::bpf::Options;
use crate::cli::{ApiName, Filters, Only};
use crate::model::{Mode, Shown};
use crate::select;
use crate::source::Asked;

/// Bytes of the ring unless `ZCTRACE_RING_BYTES` says otherwise.
const RING: u32 = 16 << 20;

/// Filters in all their forms.
pub(super) struct Resolved {
    pub(super) options: Options,
    pub(super) asked: Asked,
}

pub(super) fn resolve(filters: &Filters) -> anyhow::Result<Resolved> {
    let mut config = Config { ops: ops(&filters.api), ..Config::default() };
    let mut words = Vec::new();
    for pid in &filters.pid {
        if !Path::new("/proc").join(pid.to_string()).exists() {
            return Err(Failure::usage(format!("there is no process {pid}")));
        }
        words.push(format!("pid={pid}"));
    }
    if !filters.pid.is_empty() {
        config.flags |= flag::BY_PID;
    }
    if filters.follow {
        config.flags |= flag::FOLLOW;
        words.push("follow".into());
    }
    if let Some(comm) = &filters.comm {
        config.flags |= flag::BY_COMM;
        let slot = config.comm.get_mut(..comm.len()).filter(|s| s.len() < 16);
        slot.ok_or_else(|| {
            Failure::usage(format!("--comm {comm:?}: the kernel keeps at most 15 bytes of a name"))
        })?
        .copy_from_slice(comm.as_bytes());
        words.push(format!("comm={comm}"));
    }
    if let Some(port) = filters.port {
        config.flags |= flag::BY_PORT;
        config.port = port;
        words.push(format!("port={port}"));
    }
    if let Some(path) = &filters.cgroup {
        config.flags |= flag::BY_CGROUP;
        config.cgroup = cgroup_id(path)?;
        words.push(format!("cgroup={}", path.display()));
    }
    for api in &filters.api {
        let name = api.to_possible_value().map(|v| v.get_name().to_owned());
        words.push(format!("api={}", name.unwrap_or_default()));
    }
    let mut shown = Shown {
        peer: filters.peer.map(|ip| ip.to_canonical()),
        min_gap_ns: filters.min_gap.map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
        only_mutated: filters.only == Some(Only::Mutated),
        ..Shown::default()
    };
    if shown.only_mutated {
        words.push("only=mutated".into());
    }
    if let Some(peer) = filters.peer {
        words.push(format!("peer={peer}"));
    }
    if let Some(gap) = filters.min_gap {
        words.push(format!("min-gap={}", humantime::format_duration(gap)));
    }
    let files = files(&filters.file, &mut shown, &mut words)?;
    if !files.is_empty() {
        config.flags |= flag::BY_FILE;
    }
    config.fingerprint = Mode::from(filters.fingerprint).number();
    if std::env::var_os("ZCTRACE_BPF_LOG").is_some() {
        config.flags |= flag::LOG;
    }
    leave_out_kernel(&mut config, filters);
    let options =
        Options { config, ring_bytes: ring_bytes()?, pids: filters.pid.clone(), files, trace_self: false };
    Ok(Resolved { options, asked: Asked { words, shown } })
}

/// What the kernel sends is no process's.
pub(super) fn leave_out_kernel(config: &mut Config, filters: &Filters) {
    let by_process = flag::BY_PID | flag::BY_COMM | flag::BY_CGROUP;
    if config.flags & by_process != 0 && filters.api.is_empty() {
        config.ops &= !(1 << op::KERNEL);
    }
}

fn ops(apis: &[ApiName]) -> u32 {
    let bit = |api: &ApiName| match api {
        ApiName::Sendfile => 1 << op::SENDFILE,
        ApiName::Splice => 1 << op::SPLICE,
        ApiName::Vmsplice => 1 << op::VMSPLICE,
        ApiName::MsgZerocopy => 1 << op::MSG_ZEROCOPY,
        ApiName::IoUringSplice => 1 << op::URING_SPLICE,
        ApiName::IoUringSendZc => 1 << op::URING_SEND_ZC,
        ApiName::IoUringSendmsgZc => 1 << op::URING_SENDMSG_ZC,
        ApiName::Kernel => 1 << op::KERNEL,
    };
    if apis.is_empty() { u32::MAX } else { apis.iter().map(bit).fold(0, |a, b| a | b) }
}

fn ring_bytes() -> anyhow::Result<u32> {
    match std::env::var("ZCTRACE_RING_BYTES") {
        Err(_) => Ok(RING),
        Ok(text) => text.parse::<u32>().ok().filter(|n| n.is_power_of_two() && *n >= 4096).ok_or_else(|| {
            Failure::usage(format!("ZCTRACE_RING_BYTES={text}: must be a power of two of at least 4096"))
        }),
    }
}

fn cgroup_id(path: &Path) -> anyhow::Result<u64> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let mount = mounts
        .lines()
        .map(|l| l.split(' ').collect::<Vec<_>>())
        .find_map(|w| if w.get(2) == Some(&"cgroup2") { w.get(1).map(PathBuf::from) } else { None })
        .ok_or_else(|| Failure::cannot("--cgroup needs a mounted cgroup v2 hierarchy, and there is none"))?;
    let full = if path.starts_with(&mount) { path.to_path_buf() } else { mount.join(inside) };
    let meta =
        std::fs::metadata(&full).map_err(|e| Failure::usage(format!("--cgroup {}: {e}", full.display())))?;
    Ok(meta.ino())
}

/// Files that exist are matched by identity in the kernel; globs by path afterwards. Both kinds at
/// once are matched by path, or a kernel-side match would hide what a glob asks for.
fn files(patterns: &[String], shown: &mut Shown, words: &mut Vec<String>) -> anyhow::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    let mut globs = Vec::new();
    let mut any_glob = false;
    for pattern in patterns {
        words.push(format!("file={pattern}"));
        if let Ok(meta) = std::fs::metadata(pattern) {
            let dev = meta.dev();
            let kernel_dev = (rustix::fs::major(dev) << 20) | rustix::fs::minor(dev);
            found.push((kernel_dev, meta.ino()));
            let whole = std::fs::canonicalize(pattern).unwrap_or_else(|_| pattern.into());
            globs.push(globset::escape(&whole.to_string_lossy()));
        } else if pattern.contains(['*', '?', '[']) {
            any_glob = true;
            select::globs(std::slice::from_ref(pattern))
                .map_err(|e| Failure::usage(format!("--file {pattern}: {e}")))?;
            globs.push(pattern.clone());
        } else {
            return Err(Failure::usage(format!("--file {pattern}: no such file, and not a glob")));
        }
    }
    if any_glob {
        shown.paths = globs;
        found.clear();
    }
    Ok(found)
}
