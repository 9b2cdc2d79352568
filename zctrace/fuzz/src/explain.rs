//! Target `explain`: both passes over a file, and the stories told of it.

use std::fs::File;
use std::io::Write as _;

use zctrace::explain;
use zctrace::model::Fact;
use zctrace::sink::{self, Story, Style};
use zctrace::trace::Writer;

use super::judge::harmless;
use super::tale;

/// Transfers and changes that are told of.
const MOST: usize = 3;

/// A made-up trace in a file: what happened behind what it states can be told, harmlessly.
pub fn explain(bytes: &[u8]) {
    let Ok(file) = recorded(&tale::frames(bytes)) else {
        return;
    };
    let (mut ids, mut changes) = (Vec::new(), Vec::new());
    let read = explain::facts(&file, 0, &mut |fact| {
        match fact {
            Fact::Transfer(t) => ids.push(t),
            Fact::Mutation(m) => changes.push(m),
            _ => {}
        }
        Ok(())
    });
    assert!(read.is_ok());
    for t in ids.iter().take(MOST) {
        let (found, _) = explain::transfer(&file, t.id).unwrap_or((None, None));
        let Some(mut behind) = found else { unreachable!("{t:?} cannot be found again") };
        assert_eq!(behind.transfer, **t, "the story is of another transfer");
        let mut out = Vec::new();
        let told = Story::begin(&mut out, Style::Plain, &behind).is_ok_and(|mut story| {
            let all = explain::events(&file, 0, &mut |h, e| Ok(story.event(&mut behind, h, e)?));
            all.is_ok() && story.end(&behind).is_ok()
        });
        assert!(told);
        harmless(&out);
    }
    for m in changes.iter().take(MOST) {
        let mut out = Vec::new();
        assert!(sink::mutation(&mut out, Style::Plain, m, 0).is_ok());
        for t in ids.iter().filter(|t| t.mutations.contains(&m.id)).take(MOST) {
            assert!(sink::hit(&mut out, m, t).is_ok());
        }
        harmless(&out);
    }
}

fn recorded(frames: &[Vec<u8>]) -> std::io::Result<File> {
    let mut writer = Writer::new(Vec::new()).map_err(|e| e.source)?;
    for frame in frames {
        writer.push(frame).map_err(|e| e.source)?;
    }
    let bytes = writer.finish().map_err(|e| e.source)?;
    let mut file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile())?;
    file.write_all(&bytes)?;
    Ok(file)
}
