//! The live full-screen view: a thread that traces and makes pictures.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::capture::{Beat, Cause, DRAIN, Limits, capture, live_failure, runtime};
use super::filters::Resolved;
use super::{Exit, screen};
use crate::board::Picture;
use crate::board::link::{Command, Maker};
use crate::bpf::Options;
use crate::cli::LiveArgs;
use crate::invoker::create_new;
use crate::model::TransferId;
use crate::pipeline::Pipeline;
use crate::source::{Asked, Live, monotonic_ns};
use crate::text;
use crate::trace::Writer;

pub(super) fn run(args: &LiveArgs, resolved: Resolved) -> anyhow::Result<Exit> {
    let setup = screen::setup(&args.screen, source(&args.filters.pid), false);
    let limits = Limits {
        duration: args.duration,
        linger: Duration::from_secs(5),
        until_gone: !args.filters.pid.is_empty(),
    };
    screen::show(setup, move |maker| trace(resolved, limits, maker))
}

/// Names of the processes, which say more than their numbers.
fn source(pids: &[u32]) -> String {
    let name = |pid: &u32| std::fs::read(format!("/proc/{pid}/comm")).ok();
    let names: Vec<String> =
        pids.iter().filter_map(name).map(|n| text::harmless(n.trim_ascii_end()).into_owned()).collect();
    names.join(" ")
}

/// Of so much time, one part goes into pictures at most.
const REST: u32 = 20;

/// What the viewer has asked for.
struct Watch<'a> {
    maker: &'a Maker,
    focus: Option<TransferId>,
    beside: Option<Beside>,
    /// What became of the last recording.
    said: Option<Result<String, String>>,
    options: Options,
    asked: Asked,
    wanted: bool,
    quit: bool,
    /// Nothing is traced any more.
    over: bool,
    /// Not before: what is traced comes first.
    next: Instant,
}

impl Watch<'_> {
    fn command(&mut self, command: Command) {
        match command {
            Command::Quit => self.quit = true,
            Command::Focus(id) => self.focus = id,
            Command::Record(Some(path)) => {
                self.said = None;
                if self.beside.is_none() && !self.over {
                    self.beside = Some(Beside::start(self.options.clone(), self.asked.clone(), path));
                }
            }
            Command::Record(None) => {
                if let Some(beside) = &self.beside {
                    beside.enough.store(true, Ordering::Relaxed);
                }
            }
            Command::Go(_) => {}
        }
        self.wanted = true;
    }

    fn hear(&mut self) {
        // A viewer that is gone wants to quit, again and again.
        while !self.quit
            && let Some(command) = self.maker.command()
        {
            self.command(command);
        }
    }

    fn show(&mut self, picture: Option<Picture>, ended: Option<&str>) {
        if let Some(over) = self.beside.take_if(|b| b.is_over()) {
            self.said = Some(over.stop());
        }
        let Some(picture) = picture else {
            return;
        };
        let recording = self.beside.as_ref().map(Beside::what);
        let ended = ended.map(str::to_owned);
        self.maker.show(Picture { ended, recording, said: self.said.clone(), ..picture });
        self.wanted = false;
    }
}

fn trace(resolved: Resolved, limits: Limits, maker: &Maker) -> anyhow::Result<()> {
    let mut pipeline = Pipeline::watched();
    let mut watch = Watch {
        maker,
        focus: None,
        beside: None,
        said: None,
        options: resolved.options.clone(),
        asked: resolved.asked.clone(),
        wanted: false,
        quit: false,
        over: false,
        next: Instant::now(),
    };
    let mut live = Live::start(&resolved.options, resolved.asked, &mut |b: &[u8]| pipeline.frame(b))
        .map_err(live_failure)?;
    let mut enough = |pipeline: &mut Pipeline| {
        watch.hear();
        watch.wanted |= maker.is_wanted();
        if watch.wanted && Instant::now() >= watch.next {
            let began = Instant::now();
            let picture = pipeline.picture(monotonic_ns(), watch.focus);
            watch.show(picture, None);
            watch.next = began + began.elapsed() * REST;
        }
        watch.quit
    };
    let ended = runtime()?.block_on(capture(&mut live, &mut pipeline, None, limits, Some(&mut enough)));
    // Whatever happened: a signal may leave little time.
    watch.said = watch.beside.take().map(Beside::stop).or(watch.said.take());
    drop(live);
    watch.over = true;
    let ended = ended?;
    pipeline.finish()?;
    let now = monotonic_ns();
    let why = match ended.cause {
        Cause::Gone => "the traced processes have ended",
        Cause::Time => "the time is over",
        Cause::Asked => "a signal ended it",
    };
    watch.wanted = true;
    while !watch.quit {
        watch.wanted |= maker.is_wanted();
        if watch.wanted {
            let picture = pipeline.picture(now, watch.focus);
            watch.show(picture, Some(why));
        }
        if let Some(command) = maker.wait(Duration::from_millis(100)) {
            watch.command(command);
        }
    }
    if let Some(Ok(said) | Err(said)) = watch.said {
        eprintln!("zctrace: {said}");
    }
    Ok(())
}

/// A recording that was begun in the view: a second set of probes, so that it is complete from its first frame
/// on, as if `zctrace record` had been started then.
struct Beside {
    thread: Option<JoinHandle<anyhow::Result<u64>>>,
    enough: Arc<AtomicBool>,
    path: PathBuf,
    /// Bytes so far; 0: it is being attached.
    written: Arc<AtomicU64>,
}

impl Beside {
    fn start(options: Options, asked: Asked, path: PathBuf) -> Self {
        let (enough, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (flag, count, to) = (Arc::clone(&enough), Arc::clone(&written), path.clone());
        let thread = std::thread::Builder::new()
            .name("record".into())
            .spawn(move || record(&options, asked, &to, &flag, &count));
        Self { thread: thread.ok(), enough, path, written }
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// In words.
    fn what(&self) -> String {
        let so_far = match self.written.load(Ordering::Relaxed) {
            _ if self.enough.load(Ordering::Relaxed) => "ending".into(),
            0 => "attaching".into(),
            n => text::bytes(n),
        };
        text::harmless(format!("{} {so_far}", self.path.display()).as_bytes()).into_owned()
    }

    /// Ends it, and says what became of it, harmless.
    fn stop(mut self) -> Result<String, String> {
        self.enough.store(true, Ordering::Relaxed);
        let name = self.path.display();
        let said = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(bytes))) => Ok(format!("recorded {} to {name}", text::bytes(bytes))),
            Some(Ok(Err(e))) => Err(format!("recording to {name}: {e:#}")),
            _ => Err(format!("recording to {name} ended by a bug")),
        };
        let harmless = |said: String| text::harmless(said.as_bytes()).into_owned();
        said.map(harmless).map_err(harmless)
    }
}

fn record(
    options: &Options,
    asked: Asked,
    path: &Path,
    enough: &AtomicBool,
    written: &AtomicU64,
) -> anyhow::Result<u64> {
    let mut tap = Writer::new(create_new(path)?)?;
    let result = follow(options, asked, &mut tap, enough, written);
    // Whatever happened, what is in hand belongs in the file.
    tap.flush()?;
    result.map(|()| tap.written())
}

fn follow(
    options: &Options,
    asked: Asked,
    tap: &mut Writer<File>,
    enough: &AtomicBool,
    written: &AtomicU64,
) -> anyhow::Result<()> {
    let mut live = Live::start(options, asked, &mut |b: &[u8]| Ok(tap.push(b)?)).map_err(live_failure)?;
    let mut beat = Beat::default();
    while !enough.load(Ordering::Relaxed) {
        std::thread::sleep(DRAIN);
        if beat.look(&mut live, &mut |b: &[u8]| Ok(tap.push(b)?))? {
            tap.flush()?;
            written.store(tap.written(), Ordering::Relaxed);
        }
    }
    live.stop(&mut |b: &[u8]| Ok(tap.push(b)?)).map_err(live_failure)
}
