//! The fuzz targets on their committed corpus, and on what once was a finding. `cargo xtask fuzz` looks for more.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use zctrace::sim::{Delivery, Knobs, Rng, story};
use zctrace::trace::Reader;

#[path = "../fuzz/src/lib.rs"]
mod targets;

use targets::{TARGETS, Target};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.zct");

fn files(dir: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut all: Vec<PathBuf> = read.map(|f| f.unwrap().path()).collect();
    all.sort();
    all
}

fn replay(name: &str) {
    let target: Target = TARGETS.iter().find(|(n, _)| *n == name).expect("a target").1;
    let all = files(&Path::new(CORPUS).join(name));
    assert!(all.len() >= 3, "{name} has no corpus");
    for file in &all {
        let bytes = std::fs::read(file).unwrap();
        if let Err(e) = std::panic::catch_unwind(|| target(&bytes)) {
            println!("{}", file.display());
            std::panic::resume_unwind(e);
        }
    }
}

#[test]
fn decode() {
    replay("decode");
}

#[test]
fn reader() {
    replay("reader");
}

#[test]
fn engine() {
    replay("engine");
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn explain() {
    replay("explain");
}

#[test]
fn state() {
    replay("state");
}

#[test]
fn filter() {
    replay("filter");
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let found = |dir: &Path| -> Vec<String> {
        files(dir).iter().map(|f| f.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(Path::new(CORPUS)), names);
    assert_eq!(found(&Path::new(CORPUS).join("../fuzz_targets")), names);
}

/// Writes what a corpus can begin with: `SEEDS=DIR cargo test --test corpus seeds -- --ignored`.
#[test]
#[ignore = "for people"]
fn seeds() {
    let dir = PathBuf::from(std::env::var_os("SEEDS").expect("SEEDS=DIR"));
    let put = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(dir.join(target)).unwrap();
        std::fs::write(dir.join(target).join(name), bytes).unwrap();
    };
    let demo = std::fs::read(DEMO).unwrap();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut take = |f: &[u8]| {
        frames.push(f.to_vec());
        Ok::<(), std::io::Error>(())
    };
    Reader::new(demo.as_slice()).unwrap().read(&mut take).unwrap();
    put("frames", "demo", &frames.concat());
    put("reader", "demo", &[&[1], demo.as_slice()].concat());
    for (i, frame) in frames.iter().enumerate() {
        put("decode", &format!("demo-{i}"), frame);
    }
    for seed in 0..60 {
        let knobs = Knobs { steps: 40, races: seed % 2 == 0, wind_up: seed % 3 != 0 };
        let lose = if seed % 4 == 0 { 50 } else { 0 };
        let how = Delivery { seed, between: 20, shuffle: false, lose };
        let told = story(seed, knobs).deliver(&how).frames;
        put("frames", &format!("story-{seed}"), &told.concat());
        if seed < 10 {
            // Blocks of a few frames, as `blocks` reads them.
            let mut blocks = vec![0];
            for (how, some) in (0u8..).zip(told.chunks(9)) {
                let contents = some.concat();
                let n = u16::try_from(contents.len()).unwrap();
                blocks.push(if how % 2 == 0 { 0 } else { 2 });
                blocks.extend(n.to_be_bytes());
                blocks.extend(contents);
            }
            put("reader", &format!("story-{seed}"), &blocks);
        }
    }
    let mut rng = Rng::new(1);
    for seed in 0..40 {
        let bytes: Vec<u8> =
            (0..rng.within(50, 3000)).map(|_| rng.number().to_le_bytes()).map(|b| b[0]).collect();
        put("engine", &format!("noise-{seed}"), &bytes);
        put("explain", &format!("noise-{seed}"), &bytes);
        put("state", &format!("noise-{seed}"), &targets::seed(&bytes));
    }
    for (i, text) in [
        "",
        "nginx",
        "verdict:mutated",
        "-comm:nginx gap>1ms",
        "file:*.html,*.css",
        "gap>=1.5ms bytes<64K",
        "peer:10.0.0.1 port:80",
        "\"two words\"",
        "is:open age>2s",
        "api:sendfile,splice -is:clean",
    ]
    .iter()
    .enumerate()
    {
        put("filter", &format!("text-{i}"), text.as_bytes());
    }
    for field in zctrace::board::filter::FIELDS {
        put("filter", field.name, field.example.as_bytes());
    }
}
