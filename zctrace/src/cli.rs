//! The command line as types. What the words mean is decided in `cmd`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::rules::{self, Rule};
use crate::input::Moment;
use crate::model::{Mode, MutationId, TransferId};

const AFTER: &str = "\
Examples:
  sudo zctrace --pid 1234                          watch a running server: ? lists the keys
  sudo zctrace --pid 1234 --lines                  one line for each transfer that is over
  sudo zctrace --comm nginx --json                 the same as JSON lines
  sudo zctrace record -o out.zct -- python3 s.py   trace one command, from before it starts
  zctrace report out.zct                           what happened, in ten seconds
  zctrace report out.zct --html out.html           also as a page with plots and tables
  zctrace diff before.zct after.zct                what changed, and whether it is more than noise
  zctrace replay out.zct                           the same view, of a recording
  zctrace explain out.zct 3-17                     every record behind one transfer
  zctrace export out.zct --to perfetto -o out.pftrace   for ui.perfetto.dev; also csv, parquet, jsonl
  sudo zctrace --pid 1234 --fingerprint full       which version of the bytes the peer got
  sudo zctrace send a.tar host:9000                send a file; ends when it may be changed
  sudo zctrace demo                                see it work
  sudo zctrace lab                                 when the bytes of each API may really be changed

Exit codes: 0 done and nothing found; 1 what --fail-on asks for was found; 2 usage;
3 the privileges or the kernel cannot do it; 4 anything else.";

#[cfg(feature = "tui")]
const REPLAY: &str = "\
Examples:
  zctrace replay out.zct                 Space plays, n goes to the next mutation, ? lists the keys
  zctrace replay out.zct --theme light   for a light background
  NO_COLOR=1 zctrace replay out.zct --ascii

Exit codes: 0 done; 2 usage; 4 anything else, such as a file that is no recording.";

const MERGE: &str = "\
Examples:
  zctrace merge -o service.zct web1.zct web2.zct web3.zct   one service, three hosts
  zctrace report service.zct                                all of them
  zctrace explain service.zct 2:3-17                        a transfer of the third

Each recording stays as it was; segments of one belong together. Clocks are not corrected: times of
different hosts compare as well as those hosts' clocks do.

Exit codes: 0 done; 2 usage; 4 anything else, such as a recording that is cut off: what is good of it is merged.";

const REPORT: &str = "\
Examples:
  zctrace report out.zct                       text, the answer first
  zctrace report out.zct --html out.html       the text, and a page: plots, timeline, tables, every detail
  zctrace report out.zct --json                JSON lines: every transfer, every change
  zctrace report out.zct --fail-on mutated     for CI: exits with 1 when lent bytes were changed

docs/report.md says what each part means.

Exit codes: 0 done; 1 what --fail-on asks for was found; 2 usage; 4 anything else, such as a recording
whose end is missing (what there is of it was told).";

const DIFF: &str = "\
Examples:
  zctrace diff before.zct after.zct                   what changed from A to B, beyond noise
  zctrace diff before.zct before2.zct                 first: how far apart two runs of the same are
  zctrace diff before.zct after.zct --json            one JSON object
  zctrace diff before.zct after.zct --fail-on worse   for CI: exits with 1 when B is worse

The intervals cover noise within the two recordings, not that from run to run. docs/report.md says how
to read them.

Exit codes: 0 done; 1 --fail-on worse, and B is; 2 usage; 4 anything else, such as a file that is no recording.";

const EXPLAIN: &str = "\
Examples:
  zctrace report out.zct --json             prints the ids: transfers are like 3-17, changes like m3
  zctrace explain out.zct 3-17              every record behind that transfer, and its verdict
  zctrace explain out.zct m3                who made that change, and the transfers it hit
  zctrace explain --rule write-in-window    what a rule means, and what to do
  zctrace explain --rules                   all rules

Exit codes: 0 done; 2 usage; 4 anything else, such as an id that the recording does not have.";

const EXPORT: &str = "\
Formats:
  jsonl      the objects of `report --json`, one a line
  csv        OUT is a directory: transfers.csv, mutations.csv, hits.csv, losses.csv, traces.csv
  parquet    the same tables with types, for DuckDB, pandas, Polars, Spark, DataFusion, ClickHouse
  perfetto   a trace for ui.perfetto.dev: windows by socket, changes by writer, and whom they hit

Examples:
  zctrace export out.zct --to perfetto -o out.pftrace
  zctrace export out.zct --to jsonl -o - | jq 'select(.verdict == \"mutated\")'
  zctrace export out.zct --to csv -o tables
  zctrace export out.zct --to parquet -o tables
  duckdb -c \"SELECT api, max(gap_ns) FROM 'tables/transfers.parquet' GROUP BY api\"
  zctrace export out.zct --to parquet --partition -o lake      many hosts and days: docs/fleet.md

docs/export.md has every column. Exit codes: 0 done; 2 usage; 4 anything else: OUT exists, or the recording is
cut or damaged (then what is good of it is exported).";

const LAB: &str = "\
Sends, changes and receives for real, every combination once, traced by zctrace itself, and compares
what the trace says with the bytes that arrived.

Examples:
  sudo zctrace lab                                      the table for this kernel
  sudo zctrace lab --api sendfile --transport tcp4      only these cells
  sudo zctrace lab --html lab.html                      also as a page

Exit codes: 0 done, and the trace agrees with the receivers in every cell; 1 they do not agree;
2 usage; 3 the privileges or the kernel cannot do it; 4 anything else.";

const SEND: &str = "\
ADDR is host:port for TCP, udp:host:port, or unix:/path (unix:@name: abstract).

Examples:
  sudo zctrace send site.tar peer:9000              done when site.tar may be changed, and nothing did
  zctrace send site.tar peer:9000 --timeout 30s     without privileges: what the kernel tells anybody
  zctrace send site.tar unix:/run/s --copy-if-unsure   never lends what it cannot follow
  sudo zctrace send a.bin h:9000 --fingerprint full --json   compares contents: which version went out

What is promised:
  traced (root, or CAP_BPF and CAP_PERFMON): it ends when the kernel has let go of every page and will
    not read it again; every change to the file meanwhile is found, and who made it.
  not traced (--no-trace, or no privileges): TCP: every byte is acknowledged, and, on this machine, read.
    AF_UNIX: read. UDP: nothing. That the file did not change is certain only while it has a lease:
    where you own the file and nobody has it open for writing.
  What the answer leaves open is part of it. docs/send.md has all of it.

Exit codes: 0 complete, and the peer's bytes are those of the file at submission; 1 complete, but they
may differ, or the time has passed; 2 usage; 3 --trace, or io_uring, is not possible here; 4 anything
else: the file was truncated, the connection was reset or refused.";

/// Shows what happens to page-cache pages between a zero-copy send and the moment the kernel is
/// really done with them.
#[derive(Debug, Parser)]
#[command(name = "zctrace", version, about, after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without a command: trace live.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Live tracing.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record to a file, until interrupted, for a time, or while a command runs
    Record(RecordArgs),
    /// Look at a recording in the full-screen view, and go to any moment of it
    #[cfg(feature = "tui")]
    #[command(after_help = REPLAY)]
    Replay(ReplayArgs),
    /// Say what happened in a recording
    #[command(after_help = REPORT)]
    Report(ReportArgs),
    /// Put recordings of several hosts into one file
    #[command(after_help = MERGE)]
    Merge(MergeArgs),
    /// Compare two recordings: gap, exposure and mutations by interface, file and process
    #[command(after_help = DIFF)]
    Diff(DiffArgs),
    /// Show every record behind one transfer or change, or what a rule means
    #[command(after_help = EXPLAIN)]
    Explain(ExplainArgs),
    /// Write what a recording says for other tools: JSON lines, CSV, Parquet, Perfetto
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
    /// Send a file without copying, and end when it may be changed
    #[command(after_help = SEND)]
    Send(SendArgs),
    /// Show what this kernel and these privileges allow
    Doctor(DoctorArgs),
    /// Trace a built-in sender whose receiver stalls, live
    Demo(DemoArgs),
    /// Try every zero-copy API on this kernel and say when its bytes may really be changed
    #[command(after_help = LAB)]
    Lab(LabArgs),
    /// Runs a command as another user, once told to
    #[command(name = "__exec", hide = true)]
    Exec(ExecArgs),
    /// The demo's sender
    #[command(name = "__demo-sender", hide = true)]
    DemoSender(DemoSenderArgs),
    /// The lab's actors
    #[command(name = "__lab-cells", hide = true)]
    LabCells(LabCellsArgs),
}

/// Which senders are traced. Writers and readers are never filtered.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Only this process and its threads; repeatable
    #[arg(long, value_name = "N")]
    pub pid: Vec<u32>,
    /// Also the children of traced processes
    #[arg(long, requires = "pid")]
    pub follow: bool,
    /// Only threads of this name (at most 15 bytes)
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Only this file, or files whose path matches this glob; repeatable
    #[arg(long, value_name = "PATH|GLOB")]
    pub file: Vec<String>,
    /// Only sockets with this port at either end
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Only sockets connected to this address
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<IpAddr>,
    /// Only tasks in this cgroup (v2), as a path under the cgroup mount
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Only this interface; repeatable
    #[arg(long, value_name = "NAME")]
    pub api: Vec<ApiName>,
    /// Only transfers whose gap is at least this long, such as 10ms
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub min_gap: Option<Duration>,
    /// Only transfers whose bytes could have changed while they were lent
    #[arg(long, value_name = "WHAT")]
    pub only: Option<Only>,
    /// How much of the lent content is compared between submit, transmit and release
    #[arg(long, value_name = "MODE", default_value = "off")]
    pub fingerprint: Fingerprint,
}

/// Interfaces that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ApiName {
    /// `sendfile(2)`
    Sendfile,
    /// `splice(2)`
    Splice,
    /// `vmsplice(2)` into a pipe
    Vmsplice,
    /// `send(2)` and its family with `MSG_ZEROCOPY`
    #[value(name = "msg_zerocopy")]
    MsgZerocopy,
    /// `IORING_OP_SPLICE`
    #[value(name = "io_uring_splice")]
    IoUringSplice,
    /// `IORING_OP_SEND_ZC`
    #[value(name = "io_uring_send_zc")]
    IoUringSendZc,
    /// `IORING_OP_SENDMSG_ZC`
    #[value(name = "io_uring_sendmsg_zc")]
    IoUringSendmsgZc,
    /// The kernel itself: a network block device, a network file system
    Kernel,
}

/// What can be asked for of finished transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// The verdict
    Mutated,
}

/// Content checking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fingerprint {
    /// Nothing: only changes that make an event are seen
    #[default]
    Off,
    /// One page in 16: finds a change all over a file, proves nothing; cheap
    Sample,
    /// All pages: says which version the peer got, clears files with writable mappings; costs throughput
    Full,
}

impl From<Fingerprint> for Mode {
    fn from(asked: Fingerprint) -> Self {
        match asked {
            Fingerprint::Off => Self::Off,
            Fingerprint::Sample => Self::Sample,
            Fingerprint::Full => Self::Full,
        }
    }
}

/// `zctrace [FILTERS]`
#[derive(Debug, Clone, Args)]
pub struct LiveArgs {
    /// Filters.
    #[command(flatten)]
    pub filters: Filters,
    /// JSON lines on stdout instead of the full-screen view
    #[arg(long)]
    pub json: bool,
    /// One line for each transfer that is over instead of the full-screen view; the default where stdout is no terminal
    #[arg(long, conflicts_with = "json")]
    pub lines: bool,
    /// Stop after this time, such as 10s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How the view looks.
    #[cfg(feature = "tui")]
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// How the full-screen view looks.
#[cfg(feature = "tui")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "View")]
pub struct ScreenArgs {
    /// Colours; NO_COLOR in the environment means `mono`
    #[arg(long, value_name = "NAME")]
    pub theme: Option<crate::tui::theme::Theme>,
    /// Nothing but ASCII on the screen; the default where the locale is not UTF-8
    #[arg(long)]
    pub ascii: bool,
    /// Take the mouse: click views, titles and rows, scroll
    #[arg(long)]
    pub mouse: bool,
}

/// `zctrace replay`
#[cfg(feature = "tui")]
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recording
    pub file: PathBuf,
    /// Which part of a merged recording, from 0
    #[arg(long, value_name = "N")]
    pub part: Option<u16>,
    /// Begin near that moment: a time since the start, such as 90s, or of the clock, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Moment>,
    /// How the view looks.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `zctrace record`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("rotates").args(["rotate_size", "rotate_every"]).multiple(true)))]
pub struct RecordArgs {
    /// Filters.
    #[command(flatten)]
    pub filters: Filters,
    /// The file to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Begin another file once this one has so many bytes, such as 100MiB: FILE.0001.zct, FILE.0002.zct, ...
    #[arg(long, value_name = "SIZE")]
    pub rotate_size: Option<bytesize::ByteSize>,
    /// Begin another file after this time, such as 1h
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub rotate_every: Option<Duration>,
    /// Remove the oldest once there are more files than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "rotates")]
    pub keep: Option<u64>,
    /// JSON lines on stdout as well, while recording
    #[arg(long)]
    pub json: bool,
    /// Stop after this time, such as 10s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How long to wait for windows to close once the traced processes are gone
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration)]
    pub linger: Duration,
    /// Trace this command from before it starts; it runs as the user who called sudo
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// A recording, or a part of it.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The recording; of one in several files, its segments
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only what was open then or later: a time since the start, such as 90s, or of the clock, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Moment>,
    /// Only what was open then or before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
}

/// `zctrace report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// What to read.
    #[command(flatten)]
    pub source: Source,
    /// Go on while it is being recorded, until that ends
    #[arg(long)]
    pub follow: bool,
    /// JSON lines instead of text
    #[arg(long)]
    pub json: bool,
    /// Write a page that needs nothing else: findings, plots, a timeline, tables; an existing file is replaced
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
    /// Exit with 1 when a transfer is one of these
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
}

/// `zctrace merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The recordings
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The file to write; an existing one is replaced
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
}

/// `zctrace export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to read.
    #[command(flatten)]
    pub source: Source,
    /// The format
    #[arg(long, value_name = "FORMAT")]
    pub to: Format,
    /// What to write: a file, or - for stdout; csv, parquet: a directory
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// parquet: a tree of files by host and day, which many exports share
    #[arg(long)]
    pub partition: bool,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
}

/// What can be exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON lines
    Jsonl,
    /// A CSV file for each table
    Csv,
    /// A Parquet file for each table, or a tree of them
    Parquet,
    /// Perfetto's protobuf
    Perfetto,
}

/// `zctrace diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The recording to compare with
    pub a: PathBuf,
    /// The recording that may have changed
    pub b: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 when B is worse
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<Worse>,
}

/// What can make a comparison fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Worse {
    /// A gap or an exposure is longer beyond noise, more transfers are mutated beyond noise, or some are and none were
    Worse,
}

/// `zctrace explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The recording
    #[arg(required_unless_present_any = ["rule", "rules"], conflicts_with_all = ["rule", "rules"])]
    pub file: Option<PathBuf>,
    /// A transfer such as 3-17, or a change such as m3
    #[arg(required_unless_present_any = ["rule", "rules"], value_parser = id)]
    pub id: Option<Id>,
    /// Say what this rule means, and what to do
    #[arg(long, value_name = "NAME", value_parser = rule)]
    pub rule: Option<&'static Rule>,
    /// List the rules
    #[arg(long, conflicts_with = "rule")]
    pub rules: bool,
}

/// What can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// A transfer.
    Transfer(TransferId),
    /// A change that hit transfers.
    Mutation(MutationId),
}

/// What can make a report fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Bytes could have changed while lent
    Mutated,
    /// Evidence is incomplete
    Unknown,
    /// Still lent at the end
    Held,
}

/// `zctrace send`
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to: host:port, udp:host:port or unix:/path
    #[arg(value_name = "ADDR")]
    pub to: String,
    /// Offset of the first byte
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u64,
    /// Bytes to send; otherwise all that follow
    #[arg(long, value_name = "N")]
    pub length: Option<u64>,
    /// Give up after this time, such as 30s
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Fail where it cannot be traced, instead of doing without
    #[arg(long)]
    pub trace: bool,
    /// Do not trace, whatever the privileges
    #[arg(long, conflicts_with_all = ["trace", "fingerprint"])]
    pub no_trace: bool,
    /// Where it is not traced: copy instead of lending
    #[arg(long, conflicts_with = "trace")]
    pub copy_if_unsure: bool,
    /// How much of the lent content is compared between submit, transmit and release
    #[arg(long, value_name = "MODE", default_value = "off")]
    pub fingerprint: Fingerprint,
    /// Bytes of each datagram, for udp:
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..=65507))]
    pub datagram: u32,
    /// One JSON object on stdout instead of a line
    #[arg(long)]
    pub json: bool,
}

/// `zctrace doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `zctrace demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How long the receiver stalls
    #[arg(long, value_name = "DUR", default_value = "1500ms", value_parser = duration)]
    pub stall: Duration,
    /// Keep the recording of the demo
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which cells of the lab; without any of these, all.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Only some cells; each repeatable")]
pub struct LabSelect {
    /// How the bytes are sent: copy, sendfile, splice, msg_zerocopy, io_uring_send_zc, ...
    #[arg(long, value_name = "NAME")]
    pub api: Vec<String>,
    /// Where they are: page_cache, anonymous, file_mapping, hugetlb
    #[arg(long, value_name = "NAME")]
    pub memory: Vec<String>,
    /// What they go over: tcp4, tcp6, udp4, udp6, unix, pipe
    #[arg(long, value_name = "NAME")]
    pub transport: Vec<String>,
    /// What the receiver does: fast, stalled, losing, closing, resetting
    #[arg(long, value_name = "NAME")]
    pub receiver: Vec<String>,
    /// What changes the bytes afterwards: none, write, mmap, truncate
    #[arg(long, value_name = "NAME")]
    pub writer: Vec<String>,
}

/// `zctrace lab`
#[derive(Debug, Args)]
pub struct LabArgs {
    /// JSON lines on stdout instead of the table
    #[arg(long)]
    pub json: bool,
    /// Write a page with the table, a map and all cells
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,
    /// Keep the recording, for `zctrace explain`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How much of the lent content is compared between submit, transmit and release
    #[arg(long, value_name = "MODE", default_value = "off")]
    pub fingerprint: Fingerprint,
    /// Which cells.
    #[command(flatten)]
    pub select: LabSelect,
}

/// Hidden: waits for a line, then plays cells and prints what was observed.
#[derive(Debug, Args)]
pub struct LabCellsArgs {
    /// Where files are made.
    #[arg(long)]
    pub dir: PathBuf,
    /// Which cells.
    #[command(flatten)]
    pub select: LabSelect,
}

/// Hidden: started stopped, continues as `uid`:`gid` with `command`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// User.
    #[arg(long)]
    pub uid: Option<u32>,
    /// Group.
    #[arg(long)]
    pub gid: Option<u32>,
    /// Command.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Hidden.
#[derive(Debug, Args)]
pub struct DemoSenderArgs {
    /// File to send.
    #[arg(long)]
    pub file: PathBuf,
    /// Where the receiver listens.
    #[arg(long)]
    pub to: std::net::SocketAddr,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write for example 500ms, 10s, 2m"))
}

fn moment(text: &str) -> Result<Moment, String> {
    let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).map_err(|_| "that is too far".to_owned());
    if let Ok(after) = humantime::parse_duration(text) {
        return nanoseconds(after).map(Moment::After);
    }
    let wall = humantime::parse_rfc3339_weak(text).map_err(|_| {
        "write a time since the start, such as 90s, or in UTC, such as 2026-01-31T12:00:00Z".to_owned()
    })?;
    let since = wall.duration_since(std::time::UNIX_EPOCH).map_err(|_| "that is before 1970".to_owned())?;
    nanoseconds(since).map(Moment::Wall)
}

fn id(text: &str) -> Result<Id, String> {
    // Of a merged recording, the part stands before.
    let (part, rest) = text.split_once(':').unwrap_or(("0", text));
    let part: u16 = part.parse().unwrap_or(u16::MAX);
    let mutation = || Some(Id::Mutation(MutationId(rest.strip_prefix('m')?.parse().ok()?).of_part(part)));
    let transfer = || {
        let (cpu, seq) = rest.split_once('-')?;
        let id = TransferId { cpu: cpu.parse::<u16>().ok()?.into(), seq: seq.parse().ok()? };
        Some(Id::Transfer(id.of_part(part)))
    };
    mutation().or_else(transfer).ok_or_else(|| {
        "a transfer is like 3-17, a change like m3; `zctrace report FILE --json` lists them".into()
    })
}

fn rule(name: &str) -> Result<&'static Rule, String> {
    rules::find(name).ok_or_else(|| {
        let names: Vec<_> = rules::RULES.iter().map(|r| r.name).collect();
        format!("there is no such rule; the rules are {}", names.join(", "))
    })
}
