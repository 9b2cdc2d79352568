//! Rows to a file, as the JSON lines that every other command writes.

use std::collections::BTreeSet;
use std::io::BufWriter;
use std::path::Path;

use crate::board::Picture;
use crate::invoker::create_new;
use crate::model::{Fact, LossLine, TransferId};
use crate::sink::{JsonLines, Sink as _, Summary};

/// Every loss that is kept, and the others together.
fn losses(p: &Picture) -> Vec<LossLine> {
    let mut lines = p.loss_log.clone();
    for (what, total) in &p.losses {
        let kept =
            p.loss_log.iter().filter(|l| l.what == *what).fold(0u64, |sum, l| sum.saturating_add(l.records));
        if *total > kept {
            let (from_ns, to_ns) = (p.start_ns(), p.now_ns);
            lines.push(LossLine { part: 0, what: *what, cpu: None, from_ns, to_ns, records: total - kept });
        }
    }
    lines
}

/// Writes these transfers and what changed them. Answers how many lines.
///
/// # Errors
/// When the file exists, or cannot be written.
pub fn export(p: &Picture, path: &Path, ids: &[TransferId]) -> anyhow::Result<u64> {
    let mut json = JsonLines::new(BufWriter::new(create_new(path)?));
    let mut summary = Summary::default();
    let mut n = 0;
    let mut mutations = BTreeSet::new();
    let mut say = |fact: Fact| -> anyhow::Result<()> {
        summary.add(&fact);
        n += 1;
        Ok(json.fact(&fact)?)
    };
    if let Some(info) = &p.info {
        say(Fact::Trace(Box::new((**info).clone())))?;
    }
    for loss in losses(p) {
        say(Fact::Loss(loss))?;
    }
    // What is open has no fate to tell.
    for item in ids.iter().filter_map(|id| p.item(*id)).filter(|i| i.stage.is_none()) {
        mutations.extend(item.t.mutations.iter().copied());
        say(Fact::Transfer(Box::new((*item.t).clone())))?;
    }
    for mutation in mutations.into_iter().filter_map(|id| p.mutation(id)) {
        say(Fact::Mutation(Box::new((**mutation).clone())))?;
    }
    json.finish(&summary)?;
    json.flush()?;
    Ok(n + 1)
}
