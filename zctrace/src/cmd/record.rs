//! `zctrace record`: frames to a file, verbatim.

use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;

use super::capture::{Limits, capture, live_failure, runtime};
use super::{Exit, child, filters};
use crate::cli::RecordArgs;
use crate::invoker::create;
use crate::pipeline::Pipeline;
use crate::recorder::{Recorder, Rotation};
use crate::sink::{JsonLines, Sink};
use crate::source::{Asked, Live};

/// A recording that is made beside the main job, where one was asked for.
pub(super) fn tap(path: Option<&Path>) -> anyhow::Result<Option<Recorder>> {
    path.map(|path| Recorder::single(create(path)?)).transpose()
}

pub(super) fn run(args: &RecordArgs) -> anyhow::Result<Exit> {
    let mut resolved = filters::resolve(&args.filters)?;
    let rotation = Rotation {
        bytes: args.rotate_size.map(|size| size.as_u64()),
        every: args.rotate_every,
        keep: args.keep,
    };
    let tap = if rotation == Rotation::default() {
        Recorder::single(create(&args.output)?)?
    } else {
        Recorder::rotating(&args.output, rotation)?
    };
    let command = if args.command.is_empty() { None } else { Some(child::spawn(&args.command)?) };
    if let Some(command) = &command {
        use zctrace_common::config::flag;
        resolved.options.config.flags |= flag::BY_PID | flag::FOLLOW;
        filters::leave_out_kernel(&mut resolved.options.config, &args.filters);
        resolved.options.pids.push(command.id());
        resolved
            .asked
            .words
            .push(format!("command={}", args.command.join(std::ffi::OsStr::new(" ")).to_string_lossy()));
    }
    let mut outputs: Vec<Box<dyn Sink>> = Vec::new();
    if args.json {
        outputs.push(Box::new(JsonLines::new(BufWriter::new(std::io::stdout()))));
    }
    let mut pipeline = Pipeline::new(Some(tap), outputs);
    let limits = Limits {
        duration: args.duration,
        linger: args.linger,
        until_gone: !resolved.options.pids.is_empty(),
    };
    let result = trace(&resolved.options, resolved.asked, &mut pipeline, command, limits);
    let files = pipeline.files();
    // Whatever happened, what is in hand belongs in the file.
    let finished = pipeline.finish();
    let ended = result.with_context(|| format!("recording to {}", args.output.display()))?;
    let summary = finished.with_context(|| format!("recording to {}", args.output.display()))?;
    if let Some(status) = ended.command.filter(|s| !s.success()) {
        eprintln!("zctrace: the command ended with {status}");
    }
    if std::env::var_os("ZCTRACE_STATS").is_some() {
        let e = ended.entries;
        eprintln!("zctrace: maps heads={} socks={} pipes={} ops={}", e.heads, e.socks, e.pipes, e.ops);
    }
    let name = match files.as_slice() {
        [] => args.output.display().to_string(),
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} to {}", first.display(), last.display()),
    };
    let name = crate::text::harmless(name.as_bytes());
    eprintln!("zctrace: {name}: {}", crate::sink::summary_line(&summary));
    Ok(Exit::Done)
}

fn trace(
    options: &crate::bpf::Options,
    asked: Asked,
    pipeline: &mut Pipeline,
    command: Option<std::process::Child>,
    limits: Limits,
) -> anyhow::Result<super::capture::Ended> {
    let started = Live::start(options, asked, &mut |b: &[u8]| pipeline.frame(b)).map_err(live_failure);
    let mut live = match (started, command.as_ref()) {
        (Ok(live), _) => live,
        (Err(e), Some(waiting)) => {
            // It is stopped before its exec: end it rather than leave it.
            child::terminate(waiting);
            let _ = child::go(waiting);
            return Err(e);
        }
        (Err(e), None) => return Err(e),
    };
    for missing in crate::text::missing(&live.info) {
        eprintln!("zctrace: {}", crate::text::shorten(&missing, 400));
    }
    runtime()?.block_on(capture(&mut live, pipeline, command, limits, None))
}
