//! `zctrace report`: a recording through the same engine as a live trace.

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::{Exit, page};
use crate::cli::{FailOn, ReportArgs, Source};
use crate::input::Asked;
use crate::pipeline::{self, Pipeline};
use crate::sink::{self, JsonLines, Page, Sink};
use crate::trace::End;

/// What is read, for the pipeline.
pub(super) fn asked(source: &Source) -> Asked {
    Asked { files: source.files.clone(), follow: false, from: source.from, to: source.until }
}

/// What could be read has been shown; that it is not all must not go unnoticed.
///
/// # Errors
/// That.
pub(super) fn complain(source: &Source, end: Option<End>) -> anyhow::Result<()> {
    let last = source.files.last().map(|p| p.display().to_string()).unwrap_or_default();
    match end {
        None | Some(End::Complete) => Ok(()),
        // Whoever gave one segment knows that it is one.
        Some(End::Next) => {
            eprintln!("zctrace: {}: {}", crate::text::harmless(last.as_bytes()), End::Next);
            Ok(())
        }
        Some(problem) => anyhow::bail!("{last}: {problem}"),
    }
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Exit> {
    let mut outputs: Vec<Box<dyn Sink>> = Vec::new();
    if args.json {
        outputs.push(Box::new(JsonLines::new(BufWriter::new(std::io::stdout()))));
    }
    let page = Page::default();
    // Before a long recording is read: whether there can be a page at all.
    let to = args.html.as_deref().map(|path| page::open(path, &args.source.files)).transpose()?;
    if to.is_some() {
        outputs.push(Box::new(page.clone()));
    }
    let file = page::argument(&args.source);
    let mut pipeline = Pipeline::new(None, outputs);
    let read = Asked { follow: args.follow, ..asked(&args.source) };
    let mut screen = (args.follow && !args.json && std::io::stdout().is_terminal())
        .then(|| Screen { last: None, file: file.clone() });
    let end = pipeline::read(&read, &mut pipeline, &mut |pipeline| match &mut screen {
        Some(screen) => screen.look(pipeline),
        None => Ok(()),
    })?;
    if screen.is_some() {
        print!("{CLEAR}");
    }
    let mut summary = pipeline.finish()?;
    summary.cut = end.is_some();
    if !args.json {
        let mut out = BufWriter::new(std::io::stdout());
        sink::report(&mut out, &summary, colours(), &file)?;
        out.flush()?;
    }
    if let (Some(path), Some(to)) = (&args.html, to) {
        page::write(&page, &summary, &args.source, end.as_ref(), (path, to))?;
    }
    complain(&args.source, end)?;
    let found = args.fail_on.iter().any(|what| match what {
        FailOn::Mutated => summary.mutated() > 0,
        FailOn::Unknown => summary.unknown() > 0,
        FailOn::Held => summary.held() > 0,
    });
    Ok(if found { Exit::Found } else { Exit::Done })
}

/// Home, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// How often what there is so far is shown.
const SHOWN: Duration = Duration::from_secs(1);

/// A report that is made again and again.
#[derive(Debug)]
struct Screen {
    last: Option<Instant>,
    /// The recording, as other commands call it.
    file: String,
}

impl Screen {
    fn look(&mut self, pipeline: &Pipeline) -> anyhow::Result<()> {
        if self.last.is_some_and(|last| last.elapsed() < SHOWN) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let Some(summary) = pipeline.so_far() else {
            return Ok(());
        };
        let mut out = Vec::from(CLEAR);
        sink::report(&mut out, summary, colours(), &self.file)?;
        let open = crate::text::transfers(pipeline.open_windows() as u64);
        writeln!(
            out,
            "\nOpen now: {open}. It is still being recorded; Ctrl-C ends this view, not the recording."
        )?;
        std::io::stdout().write_all(&out)?;
        Ok(std::io::stdout().flush()?)
    }
}

pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
