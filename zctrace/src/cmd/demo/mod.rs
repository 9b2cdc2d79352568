//! `zctrace demo`: the main job with everything embedded. A real sender over loopback, a receiver
//! that stalls, a writer that changes the file meanwhile; traced live, told as a story. Where this
//! kernel or these privileges cannot, a bundled recording, labelled as one.

mod play;
mod story;

use std::io::Write as _;

pub(super) use play::send;

use super::capture::{live_failure, wind_down};
use super::{Exit, Failure, filters, record};
use crate::cli::{DemoArgs, Filters};
use crate::pipeline::Pipeline;
use crate::sink::Collect;
use crate::source::Live;

/// Made by `zctrace demo -o`.
static RECORDING: &[u8] = include_bytes!("../../../demo/demo.zct");

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    match live(args) {
        Ok(text) => {
            print!("{text}");
            std::io::stdout().flush()?;
            Ok(Exit::Done)
        }
        Err(e) => match e.downcast_ref::<Failure>() {
            Some(why) if why.exit == Exit::Cannot => {
                eprintln!("zctrace: {}", crate::text::harmless(why.message.as_bytes()));
                print!("{}", recorded()?);
                std::io::stdout().flush()?;
                Ok(Exit::Cannot)
            }
            _ => Err(e),
        },
    }
}

fn live(args: &DemoArgs) -> anyhow::Result<String> {
    eprintln!("zctrace demo: attaching to the kernel ...");
    let mut stage = play::Stage::new()?;
    let mut resolved = filters::resolve(&Filters { pid: vec![stage.sender_pid()], ..Filters::default() })?;
    resolved.asked.words = vec!["demo".into()];
    let tap = record::tap(args.output.as_deref())?;
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(tap, vec![Box::new(facts.clone())]);
    let mut consume = |b: &[u8]| pipeline.frame(b);
    let mut live = Live::start(&resolved.options, resolved.asked, &mut consume).map_err(live_failure)?;
    eprintln!(
        "zctrace demo: a sender sends a file; its receiver stalls for {} ...",
        humantime::format_duration(args.stall)
    );
    let running = stage.perform(args.stall)?;
    while !running.is_finished() {
        live.drain(&mut consume).map_err(live_failure)?;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let seen = running.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
    stage.end()?;
    wind_down(&mut live, &mut consume)?;
    pipeline.finish()?;
    let facts = facts.take();
    Ok(story::tell(&facts, Some(&seen)))
}

fn recorded() -> anyhow::Result<String> {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
    crate::pipeline::replay_from(RECORDING, &mut pipeline)?;
    pipeline.finish()?;
    let facts = facts.take();
    let mut text = String::from("\n*** This is a RECORDING that comes with zctrace, not this machine. ***\n");
    text.push_str(&story::tell(&facts, None));
    Ok(text)
}
