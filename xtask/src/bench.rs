//! `cargo xtask bench`: what tracing costs a sender, side by side in one run: each round runs every way of
//! tracing once, in another order, and only ratios within a round are used. Writes `docs/overhead.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::load::{self, Load};
use crate::sh;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds; each is one pair for every way of tracing
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Seconds of load each time
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only loads whose name contains this
    filter: Option<String>,
    /// Print, but do not write the page
    #[arg(long)]
    dry: bool,
}

/// What the others are compared with.
const UNTRACED: &str = "untraced";

/// Ways of tracing.
const WAYS: [(&str, &[&str]); 5] = [
    (UNTRACED, &[]),
    ("another process", &["--comm", "nobody"]),
    ("traced, no fingerprints", &["--fingerprint", "off"]),
    ("fingerprints: sample", &["--fingerprint", "sample"]),
    ("fingerprints: full", &["--fingerprint", "full"]),
];

/// What one run of a load gave.
#[derive(Clone, Copy)]
struct Run {
    /// Bytes, or exchanges, a second.
    rate: f64,
    /// Nanoseconds of CPU time for each of them.
    cpu: f64,
}

fn run(load: &Load, way: &[&str], seconds: f64) -> anyhow::Result<Run> {
    let me = std::env::current_exe()?;
    let zctrace = sh::root().join("target/release/zctrace");
    let mut command = if way.is_empty() {
        Command::new(&me)
    } else {
        let mut command = Command::new(zctrace);
        command.args(["record", "-o", "/dev/shm/zctrace-bench.zct"]).args(way).arg("--").arg(&me);
        command
    };
    let seconds = seconds.to_string();
    let out = command
        .args(["bench-load", load.name, &seconds])
        .stderr(Stdio::piped())
        .output()
        .context("a load")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let numbers: Vec<f64> =
        text.lines().next().unwrap_or_default().split(' ').filter_map(|w| w.parse().ok()).collect();
    let &[rate, cpu] = numbers.as_slice() else {
        bail!("{}: {text}{}", load.name, String::from_utf8_lossy(&out.stderr));
    };
    let lost = String::from_utf8_lossy(&out.stderr).contains("LOST");
    if lost {
        eprintln!("{}: records were lost", load.name);
    }
    Ok(Run { rate, cpu })
}

/// Lower quartile, median, upper quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() - 1) * share / 4).copied().unwrap_or(f64::NAN);
    [at(1), at(2), at(3)]
}

pub(crate) fn run_all(args: &Args) -> anyhow::Result<()> {
    if !sh::is_root() {
        bail!("tracing needs root");
    }
    sh::run(sh::cargo().args(["build", "--release", "--locked", "--package", "zctrace"]))?;
    let mut page = String::from(HEAD);
    for load in load::LOADS.iter().filter(|l| args.filter.as_ref().is_none_or(|f| l.name.contains(f))) {
        let mut ratios: Vec<(&str, Vec<(f64, f64)>)> =
            WAYS.iter().map(|(name, _)| (*name, Vec::new())).collect();
        for round in 0..args.rounds {
            let order = WAYS.iter().cycle().skip(round as usize % WAYS.len()).take(WAYS.len());
            let runs: BTreeMap<&str, Run> = order
                .map(|(name, way)| Ok((*name, run(load, way, args.seconds)?)))
                .collect::<anyhow::Result<_>>()?;
            let base = runs.get(UNTRACED).context("the untraced run")?;
            for (name, pairs) in &mut ratios {
                pairs.extend(runs.get(name).map(|run| (run.rate / base.rate, run.cpu / base.cpu)));
            }
            eprint!("\r{}: round {} of {} ", load.name, round + 1, args.rounds);
        }
        eprintln!();
        let _ = writeln!(page, "\n## {}\n\n{}\n", load.name, load.what);
        let _ =
            writeln!(page, "| | {} (quartiles) | CPU time for each (quartiles) |\n|---|---|---|", load.rate);
        for (name, pairs) in ratios.iter().filter(|(name, _)| *name != UNTRACED) {
            let [a, rate, b] = quartiles(pairs.iter().map(|p| p.0).collect());
            let [c, cpu, d] = quartiles(pairs.iter().map(|p| p.1).collect());
            let _ = writeln!(
                page,
                "| {name} | **{rate:.3}** ({a:.3} to {b:.3}) | **{cpu:.3}** ({c:.3} to {d:.3}) |"
            );
        }
    }
    println!("{page}");
    if !args.dry {
        std::fs::write(sh::root().join("docs/overhead.md"), page)?;
    }
    Ok(())
}

const HEAD: &str = "\
# Overhead

Written by `cargo xtask bench`. A sender and a receiver on one machine, over loopback, as fast as they can; `zctrace record`
beside them. Every round runs each way once, in another order; numbers are medians of the ratios to the untraced run of
the same round. Both ends share two CPUs with the tracer, so what the tracer takes the load lacks: on a machine with
a CPU to spare the ratios are better.
";
