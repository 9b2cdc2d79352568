//! `cargo xtask fuzz`: looks for bytes that break decoder, reader, engine and what else reads a recording.
//!
//! The targets are in `zctrace/fuzz`, what they found is in its corpus, which `cargo test` runs too. Works with the
//! stable compiler: `RUSTC_BOOTSTRAP` lets it instrument, and no sanitizer is needed where nothing is unsafe.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::{debian, sh};

const CARGO_FUZZ: &str = "0.13.2";
/// The fuzzer's own half is C++.
const PACKAGES: [&str; 1] = ["g++"];
/// One input that takes longer is a finding, seconds.
const SLOW: u32 = 20;
/// Megabytes that one process may take.
const MEMORY: u32 = 2048;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Keep what was learned: add the smallest inputs that reach something new to the committed corpus
    #[arg(long)]
    keep: bool,
    /// Only these targets
    targets: Vec<String>,
}

impl Args {
    /// Short: the corpus, and a look around it.
    pub(crate) fn ci() -> Self {
        Self { seconds: 20, keep: false, targets: Vec::new() }
    }
}

fn dir() -> PathBuf {
    sh::root().join("zctrace/fuzz")
}

/// By its programs.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(dir().join("fuzz_targets"))? {
        let name = file?.path().file_stem().map(|s| s.to_string_lossy().into_owned());
        all.extend(name);
    }
    all.sort();
    Ok(all)
}

fn tool() -> anyhow::Result<()> {
    debian::need(&PACKAGES)?;
    let have = sh::output(sh::cargo().args(["fuzz", "--version"])).unwrap_or_default();
    if have.ends_with(CARGO_FUZZ) {
        return Ok(());
    }
    let mut install = sh::cargo();
    install.args(["install", "--quiet", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--force"]);
    sh::run(install.env_remove("CARGO_TARGET_DIR")).context("cargo-fuzz is needed, and cannot be installed")
}

/// `cargo fuzz WHAT`, which wants to be run beside the crate that is fuzzed.
fn cargo_fuzz(what: &str) -> std::process::Command {
    let mut cargo = sh::cargo();
    cargo.current_dir(sh::root().join("zctrace")).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTFLAGS");
    cargo.args(["fuzz", what, "--sanitizer", "none"]);
    cargo
}

/// The corpus, and a folder of its own for what is learned meanwhile.
fn corpora(target: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    let learned = sh::root().join("target/fuzz/corpus").join(target);
    std::fs::create_dir_all(&learned)?;
    Ok((learned, dir().join("corpus").join(target)))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    tool()?;
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|t| !all.contains(t)) {
        bail!("no target {unknown}: there are {}", all.join(", "));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    for target in chosen {
        let (learned, corpus) = corpora(target)?;
        let mut fuzz = cargo_fuzz("run");
        fuzz.arg(target).args([&learned, &corpus]).arg("--");
        fuzz.arg(format!("-max_total_time={}", args.seconds));
        fuzz.args([format!("-timeout={SLOW}"), format!("-rss_limit_mb={MEMORY}"), "-verbosity=0".into()]);
        fuzz.args(["-print_final_stats=1", "-reload=0"]);
        sh::run(&mut fuzz).with_context(|| {
            format!(
                "{target}: fix it, and put the input into {} with a name that says what it was",
                corpus.display()
            )
        })?;
        if args.keep {
            merge(target, &learned, &corpus)?;
        }
    }
    Ok(())
}

fn merge(target: &str, learned: &Path, corpus: &Path) -> anyhow::Result<()> {
    sh::run(cargo_fuzz("run").arg(target).args([corpus, learned]).args(["--", "-merge=1", "-verbosity=0"]))
}
