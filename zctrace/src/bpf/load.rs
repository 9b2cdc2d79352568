//! Object + layout + filters -> attached programs. Everything is detached when [`Loaded`] is
//! dropped or the process ends, however it ends: raw tracepoint links live in file descriptors.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_log::EbpfLogger;
use zctrace_common::{
    call,
    config::{Config, flag},
    layout::KernelLayout,
    user::RunningChange,
};

use super::btf::{Btf, BtfError};
use super::calls;
use super::content;
use super::counters::{Counters, Reader, Watched};
use super::layout::{LayoutError, resolve};
use super::programs::{PROGRAMS, Program, SECONDS, earlier_name};
use super::symbols;
use crate::model::{Fingerprints, ProbeState, ProbeStatus};

const BTF: &str = "/sys/kernel/btf/vmlinux";
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/zctrace.bpf.o");

/// What to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Filters; call-site ranges are filled in here.
    pub config: Config,
    /// Bytes of the ring, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Processes for the pid filter.
    pub pids: Vec<u32>,
    /// `(dev, ino)` for the file filter, kernel encoding.
    pub files: Vec<(u32, u64)>,
    /// Whether this very process may be traced too; otherwise it never is.
    pub trace_self: bool,
}

/// Why the kernel half is not running.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The privileges are missing.
    #[error(
        "{what}: {source}. zctrace needs root, or CAP_BPF and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN); try: sudo zctrace ..."
    )]
    Privileges {
        /// What was attempted.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No BTF.
    #[error(
        "cannot read {path}: {source}. zctrace takes struct offsets from the running kernel's BTF; it needs a kernel built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// BTF that makes no sense.
    #[error("{path}: {source}")]
    BadBtf {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: BtfError,
    },
    /// A struct member is missing.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A program without which nothing can be traced.
    #[error("{probe} cannot be attached: {why}")]
    Required {
        /// The tracepoint.
        probe: String,
        /// What the kernel said.
        why: String,
    },
    /// Anything else aya reports.
    #[error("loading the BPF object: {0}")]
    Object(String),
}

/// Entries left in each map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapEntries {
    /// skb heads.
    pub heads: usize,
    /// Sockets that send, and sockets on this machine that receive from them.
    pub socks: usize,
    /// Pipes.
    pub pipes: usize,
    /// Calls.
    pub ops: usize,
}

/// The kernel half, attached.
pub struct Loaded {
    ebpf: Ebpf,
    /// Frames.
    pub ring: RingBuf<MapData>,
    counters: Reader,
    /// Every program and its fate.
    pub probes: Vec<ProbeStatus>,
    /// How content is looked at, or why it is not.
    pub fingerprint: Fingerprints,
    /// What this kernel lacks besides programs, in words.
    pub notes: Vec<String>,
    links: Vec<RawTracePointLink>,
    /// BPF-side diagnostics, where asked for.
    log: Option<EbpfLogger<&'static dyn log::Log>>,
}

fn btf_path() -> PathBuf {
    std::env::var_os("ZCTRACE_BTF").map_or_else(|| BTF.into(), PathBuf::from)
}

fn read_layout(notes: &mut Vec<String>) -> Result<KernelLayout, LoadError> {
    let path = btf_path();
    let blob = std::fs::read(&path).map_err(|source| LoadError::NoBtf { path: path.clone(), source })?;
    // Where kTLS is a module; where there is none no socket has it, or the kernel's own types say what it does.
    let module = std::fs::read(path.with_file_name("tls"));
    let mut btf = Btf::parse(&blob).map_err(|source| LoadError::BadBtf { path, source })?;
    if let Ok(module) = module
        && let Err(e) = btf.add_module(&module)
    {
        notes.push(format!("the types of the module tls: {e}: what kTLS sends is unknown"));
    }
    let resolved = resolve(&btf)?;
    notes.extend(resolved.missing.iter().map(|f| format!("this kernel has no {f}")));
    Ok(resolved.layout)
}

fn object() -> Result<Vec<u8>, LoadError> {
    match std::env::var_os("ZCTRACE_BPF_OBJECT") {
        None => Ok(OBJECT.to_vec()),
        Some(path) => std::fs::read(&path)
            .map_err(|e| LoadError::Object(format!("{}: {e}", PathBuf::from(path).display()))),
    }
}

/// The kernel's "no" behind aya's nested errors.
fn os_error(e: &(dyn std::error::Error + 'static)) -> Option<std::io::Error> {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return io.raw_os_error().map(std::io::Error::from_raw_os_error);
        }
        next = e.source();
    }
    None
}

pub(super) fn words(e: &(dyn std::error::Error + 'static)) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = e.source();
    }
    // The verifier's log can be megabytes; the line before its figures says why.
    match text.split_once("Verifier output:") {
        Some((what, log)) => {
            let why = log.lines().take_while(|l| !l.starts_with("verification time")).last();
            format!("{what}the verifier says: {}", why.unwrap_or_default().trim())
        }
        None => text,
    }
}

fn load_error(what: &str, e: &(dyn std::error::Error + 'static)) -> LoadError {
    match os_error(e) {
        Some(source) if matches!(source.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => {
            LoadError::Privileges { what: what.into(), source }
        }
        _ => LoadError::Object(words(e)),
    }
}

/// The verifier has said why: then no privilege is missing, whatever the number of the error.
fn is_refused(e: &ProgramError) -> bool {
    matches!(e, ProgramError::LoadError { verifier_log, .. } if !verifier_log.to_string().trim().is_empty())
}

impl Loaded {
    /// Loads the object, fills globals and filter maps, attaches every program.
    ///
    /// # Errors
    /// When privileges, BTF, or a program that everything needs are missing. A program that is not
    /// required only shows in `probes`.
    pub fn new(options: &Options) -> Result<Self, LoadError> {
        let mut notes = Vec::new();
        let layout = read_layout(&mut notes)?;
        let mut config = options.config;
        // No process has the number 0.
        config.self_tgid = if options.trace_self { 0 } else { std::process::id() };
        match File::open("/proc/kallsyms") {
            Ok(file) => notes.extend(symbols::fill(&mut config, file)),
            Err(e) => notes.push(format!("/proc/kallsyms: {e}: every kfree is looked up, which costs more")),
        }
        let bytes = object()?;
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("LAYOUT", bytemuck::bytes_of(&layout), true)
            .override_global("CONFIG", bytemuck::bytes_of(&config), true)
            .map_max_entries("RING", options.ring_bytes)
            .load(&bytes)
            .map_err(|e: EbpfError| load_error("loading BPF maps", &e))?;
        fill_calls(&mut ebpf).map_err(|e| load_error("writing BPF maps", &e))?;
        fill_filters(&mut ebpf, options).map_err(|e| load_error("writing BPF maps", &e))?;

        let mut fingerprint = content::start(&mut ebpf, config.fingerprint, layout.page_size_of);
        let log = if config.flags & flag::LOG == 0 { None } else { start_log(&mut ebpf, &mut notes) };
        let mut probes = Vec::new();
        let mut watched = Vec::new();
        let mut links = Vec::new();
        for program in PROGRAMS {
            fingerprint.attach(&mut ebpf, program, true, &mut links);
            match attach(&mut ebpf, program.name, program.tracepoint) {
                Ok((link, misses)) => {
                    links.push(link);
                    fingerprint.attach(&mut ebpf, program, false, &mut links);
                    let second = second(&mut ebpf, program, &mut links, &mut notes);
                    watched.extend(misses.map(|misses| Watched { role: program.role, misses, second }));
                    probes.push(ProbeStatus {
                        name: program.probe(),
                        state: ProbeState::Attached,
                        reason: None,
                    });
                }
                Err(e) if program.required => {
                    let refused = is_refused(&e);
                    return Err(match load_error("loading a BPF program", &e) {
                        LoadError::Privileges { .. } if refused => {
                            LoadError::Required { probe: program.probe(), why: words(&e) }
                        }
                        LoadError::Object(why) => LoadError::Required { probe: program.probe(), why },
                        privileges => privileges,
                    });
                }
                Err(e) => probes.push(ProbeStatus {
                    name: program.probe(),
                    state: ProbeState::Missing,
                    reason: Some(format!("{}; {}", words(&e), program.without)),
                }),
            }
        }
        let take = |ebpf: &mut Ebpf, name: &str| {
            ebpf.take_map(name).ok_or_else(|| LoadError::Object(format!("the object has no map {name}")))
        };
        let map_error = |e: MapError| LoadError::Object(words(&e));
        let ring = RingBuf::try_from(take(&mut ebpf, "RING")?).map_err(map_error)?;
        let map = PerCpuArray::try_from(take(&mut ebpf, "COUNTERS")?).map_err(map_error)?;
        Ok(Self {
            ebpf,
            ring,
            counters: Reader { map, watched },
            probes,
            fingerprint: fingerprint.told,
            notes,
            links,
            log,
        })
    }

    /// Reads every counter. `with_misses`: also the skipped runs, which costs a file read a program.
    ///
    /// # Errors
    /// When the kernel refuses a map read.
    pub fn counters(&mut self, with_misses: bool) -> Result<Counters, MapError> {
        self.counters.read(with_misses)
    }

    /// Entries in each map now.
    #[must_use]
    pub fn entries(&self) -> MapEntries {
        MapEntries {
            heads: self.keys::<u64, [u8; 72]>("HEADS"),
            socks: self.keys::<u64, [u8; 16]>("SOCKS")
                + self.keys::<u64, [u8; 16]>("RECEIVERS")
                + self.keys::<u64, u32>("RX_SPLICE"),
            pipes: self.keys::<u64, [u8; 24]>("PIPES"),
            ops: self.keys::<u32, [u8; 48]>("OPS"),
        }
    }

    /// Calls and requests that change watched files and are not over.
    #[must_use]
    pub fn running(&self) -> Vec<RunningChange> {
        let mut all = self.changes::<u32>("CHANGES");
        all.extend(self.changes::<u64>("URING"));
        all
    }

    fn changes<K: aya::Pod>(&self, name: &str) -> Vec<RunningChange> {
        // id, file, inode, ino, device and generation, the rest
        let map = self.ebpf.map(name).and_then(|m| HashMap::<_, K, [u64; 10]>::try_from(m).ok());
        #[expect(clippy::cast_possible_truncation, reason = "two 32-bit halves")]
        let running = |[change, _, _, ino, which, ..]: [u64; 10]| RunningChange {
            change,
            ino,
            dev: which as u32,
            generation: (which >> 32) as u32,
        };
        map.map_or_else(Vec::new, |m| m.iter().filter_map(Result::ok).map(|(_, ent)| running(ent)).collect())
    }

    fn keys<K: aya::Pod, V: aya::Pod>(&self, name: &str) -> usize {
        self.ebpf
            .map(name)
            .and_then(|m| HashMap::<_, K, V>::try_from(m).ok())
            .map_or(0, |m| m.keys().filter(Result::is_ok).count())
    }

    /// Adds a process to the pid filter.
    ///
    /// # Errors
    /// When the map is full.
    pub fn add_pid(&mut self, pid: u32) -> Result<(), LoadError> {
        insert(&mut self.ebpf, "PIDS", pid).map_err(|e| load_error("writing BPF maps", &e))
    }

    /// Prints BPF-side diagnostics that have come in.
    pub fn print_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Detaches every program; counters and ring can still be read.
    pub fn detach(&mut self) {
        // Seconds before firsts: alone, one would take every event for one that was skipped.
        while self.links.pop().is_some() {}
    }
}

/// Diagnostics go to stderr, for people who look for a bug in zctrace.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        eprintln!("zctrace: bpf: {}", record.args());
    }
    fn flush(&self) {}
}

fn start_log(ebpf: &mut Ebpf, notes: &mut Vec<String>) -> Option<EbpfLogger<&'static dyn log::Log>> {
    static STDERR: Stderr = Stderr;
    let logger: &'static dyn log::Log = &STDERR;
    EbpfLogger::init_with_logger(ebpf, logger).map_err(|e| notes.push(format!("no BPF log: {e}"))).ok()
}

fn insert(ebpf: &mut Ebpf, map: &str, pid: u32) -> Result<(), MapError> {
    if let Some(map) = ebpf.map_mut(map) {
        HashMap::<_, u32, u32>::try_from(map)?.insert(pid, 1, 0)?;
    }
    Ok(())
}

/// Tells the kernel half which system calls are which.
fn fill_calls(ebpf: &mut Ebpf) -> Result<(), MapError> {
    if let Some(map) = ebpf.map_mut("CALLS") {
        let mut map = Array::<_, u8>::try_from(map)?;
        for (number, class) in calls::native() {
            if let Ok(number) = u32::try_from(number)
                && number < call::NUMBERS
            {
                map.set(number, class, 0)?;
            }
        }
        for (number, class) in calls::compat() {
            map.set(call::NUMBERS + number, class, 0)?;
        }
    }
    Ok(())
}

fn fill_filters(ebpf: &mut Ebpf, options: &Options) -> Result<(), MapError> {
    for pid in &options.pids {
        insert(ebpf, "PIDS", *pid)?;
    }
    if let Some(map) = ebpf.map_mut("FILES") {
        let mut files = HashMap::<_, [u64; 2], u32>::try_from(map)?;
        for (dev, ino) in &options.files {
            files.insert([*ino, u64::from(*dev)], 1, 0)?;
        }
    }
    Ok(())
}

/// Attaches the second program, where there is one. Without it, what the kernel skips is a loss.
fn second(
    ebpf: &mut Ebpf,
    program: &Program,
    links: &mut Vec<RawTracePointLink>,
    notes: &mut Vec<String>,
) -> Option<(u32, File)> {
    let second = SECONDS.iter().find(|s| s.first == program.name)?;
    match attach(ebpf, second.name, program.tracepoint) {
        Ok((link, misses)) => {
            links.push(link);
            misses.map(|misses| (second.turn, misses))
        }
        Err(e) => {
            notes.push(format!("{}: what the kernel skips of it is lost: {}", program.probe(), words(&e)));
            None
        }
    }
}

/// Attaches a program whose skipped runs nobody counts: what it does not state, nobody claims.
pub(super) fn attach_look(
    ebpf: &mut Ebpf,
    name: &str,
    tracepoint: &str,
) -> Result<RawTracePointLink, ProgramError> {
    attach(ebpf, name, tracepoint).map(|(link, _)| link)
}

/// Attaches, and opens the program's fdinfo where the kernel counts skipped runs.
fn attach(
    ebpf: &mut Ebpf,
    name: &str,
    tracepoint: &str,
) -> Result<(RawTracePointLink, Option<File>), ProgramError> {
    let missing = || ProgramError::InvalidName { name: name.into() };
    let raw: &mut RawTracePoint = ebpf.program_mut(name).ok_or_else(missing)?.try_into()?;
    raw.load()?;
    let link = match (raw.attach(tracepoint), earlier_name(tracepoint)) {
        (Err(_), Some(earlier)) => raw.attach(earlier)?,
        (link, _) => link?,
    };
    let link = raw.take_link(link)?;
    let fd = raw.fd()?.as_fd().as_raw_fd();
    Ok((link, File::open(format!("/proc/self/fdinfo/{fd}")).ok()))
}
