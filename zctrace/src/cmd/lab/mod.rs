//! `zctrace lab`: every API for real, traced live, and judged by the bytes that arrived.

mod actors;
mod select;

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

pub(super) use actors::play;

use super::capture::{Beat, DRAIN, live_failure, runtime, wind_down};
use super::{Exit, filters, record, report};
use crate::cli::{Filters, LabArgs};
use crate::lab::{Atlas, Observed, json_lines, judge, page, table};
use crate::pipeline::Pipeline;
use crate::sink::Collect;
use crate::source::Live;
use actors::Actors;

pub(super) fn run(args: &LabArgs) -> anyhow::Result<Exit> {
    let all = select::select(&args.select)?.len();
    // What cannot be written is found out before the work.
    let html = args.html.as_deref().map(crate::invoker::create).transpose()?;
    let mut actors = Actors::start(&args.select)?;
    let pid = actors.pid();
    let asked = Filters { pid: vec![pid], fingerprint: args.fingerprint, ..Filters::default() };
    let mut resolved = filters::resolve(&asked)?;
    resolved.asked.words = vec!["lab".into()];
    let tap = record::tap(args.output.as_deref())?;
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(tap, vec![Box::new(facts.clone())]);
    let mut consume = |b: &[u8]| pipeline.frame(b);
    let mut live = Live::start(&resolved.options, resolved.asked, &mut consume).map_err(live_failure)?;
    let began = Instant::now();
    let seen = runtime()?.block_on(watch(&mut live, &mut pipeline, &mut actors, all))?;
    pipeline.finish()?;
    let facts = facts.take();
    let atlas = Atlas::new(judge(seen, &facts, pid), &facts, began.elapsed());
    if let Some(mut to) = html {
        to.write_all(page(&atlas).as_bytes()).context("writing the page")?;
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.json {
        json_lines(&mut out, &atlas)?;
    } else {
        table(&mut out, &atlas, report::colours())?;
    }
    out.flush()?;
    Ok(if atlas.total.contradict > 0 { Exit::Found } else { Exit::Done })
}

/// Traces while the actors play.
async fn watch(
    live: &mut Live,
    pipeline: &mut Pipeline,
    actors: &mut Actors,
    all: usize,
) -> anyhow::Result<Vec<Observed>> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut tick = tokio::time::interval(DRAIN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut consume = |b: &[u8]| pipeline.frame(b);
    let progress = Progress::new(all);
    let mut seen = Vec::new();
    let mut beat = Beat::default();
    actors.go()?;
    while actors.hear(&mut seen)? {
        tokio::select! {
            _ = tick.tick() => {}
            _ = int.recv() => bail!("interrupted"),
            _ = term.recv() => bail!("terminated"),
            _ = hup.recv() => bail!("hung up"),
        }
        if beat.look(live, &mut consume)? {
            progress.show(seen.len());
        }
    }
    progress.end();
    actors.end()?;
    if seen.len() != all {
        bail!("the actors ended after {} of {all} cells", seen.len());
    }
    wind_down(live, &mut consume)?;
    Ok(seen)
}

/// One line on a terminal, nothing elsewhere.
struct Progress {
    all: usize,
    began: Instant,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        Self { all, began: Instant::now(), shown: std::io::stderr().is_terminal() }
    }

    fn show(&self, done: usize) {
        if self.shown {
            eprint!("\rzctrace lab: {done} of {} cells, {} s ", self.all, self.began.elapsed().as_secs());
        }
    }

    fn end(&self) {
        if self.shown {
            // Nothing of it stays.
            eprint!("\r\x1b[K");
        }
    }
}
