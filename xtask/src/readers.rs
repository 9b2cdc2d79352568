//! `cargo xtask readers`: other programs read what `zctrace export` writes, and must find what `zctrace report` says.
//! They are Python packages, in an environment of their own under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{debian, sh};

pub(crate) fn run() -> anyhow::Result<()> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh::root().join("target"), PathBuf::from);
    let readers = target.join("readers");
    let recordings = readers.join("recordings");
    std::fs::create_dir_all(&recordings)?;
    // This builds the program as well.
    let test = ["test", "--locked", "--package", "zctrace", "--test", "export", "--", "--ignored"];
    sh::run(sh::cargo().args(test).env("ZCTRACE_RECORDINGS", &recordings))?;
    let python = environment(&readers)?;
    let mut check = Command::new(python);
    check.arg(sh::root().join("xtask/readers/check.py"));
    check.arg(target.join("debug/zctrace")).arg(sh::root().join("docs"));
    check.arg(sh::root().join("zctrace/demo/demo.zct"));
    check.args((1..=3).map(|n| recordings.join(format!("{n}.zct"))));
    sh::run(&mut check)
}

/// The Python that has the packages of `requirements.txt`.
fn environment(dir: &Path) -> anyhow::Result<PathBuf> {
    let wanted = sh::root().join("xtask/readers/requirements.txt");
    let (venv, installed) = (dir.join("venv"), dir.join("requirements.txt"));
    let python = venv.join("bin/python");
    if python.exists() && std::fs::read(&installed).ok() == std::fs::read(&wanted).ok() {
        return Ok(python);
    }
    if sh::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
        debian::need(&["python3", "python3-venv"])?;
    }
    sh::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    sh::run(Command::new(&python).args(pip).arg(&wanted))?;
    std::fs::copy(&wanted, &installed)?;
    Ok(python)
}
