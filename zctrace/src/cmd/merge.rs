//! `zctrace merge`: recordings of several hosts in one file.

use anyhow::{Context as _, ensure};

use super::Exit;
use crate::cli::MergeArgs;
use crate::invoker::create;
use crate::{merge, text};

pub(super) fn run(args: &MergeArgs) -> anyhow::Result<Exit> {
    let out = args.output.canonicalize().ok();
    for path in &args.files {
        let same = out.is_some() && path.canonicalize().ok() == out;
        ensure!(!same, "{} would be overwritten while it is read: write to another file", path.display());
        // What is no recording is found out before anything is replaced.
        crate::input::info(path)?;
    }
    let ended = merge::merge(&args.files, create(&args.output)?)
        .with_context(|| format!("merging into {}", args.output.display()))?;
    let mut whole = true;
    for (n, stream) in ended.iter().enumerate() {
        let host = if stream.host.is_empty() { "an unnamed host" } else { &stream.host };
        let line = match &stream.problem {
            None => format!("{n}: {host}, {}", stream.name),
            Some(problem) => format!("{n}: {host}, {}: {problem}", stream.name),
        };
        eprintln!("zctrace: {}", text::harmless(line.as_bytes()));
        whole &= stream.problem.is_none();
    }
    Ok(if whole { Exit::Done } else { Exit::Failed })
}
