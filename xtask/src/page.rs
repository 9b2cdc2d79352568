//! `cargo xtask page`: the page of `zctrace report --html` in a real browser. Nothing may complain, nothing that was
//! recorded may run, and what the page does with its script has to work.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::browser::{Browser, Look};
use crate::{debian, sh};

const PACKAGES: [&str; 2] = ["chromium", "fonts-dejavu-core"];
/// Kinds of recordings whose every name is an attack.
const HOSTILE: [&str; 4] = ["hostile", "hostile0", "hostile1", "hostile2"];
/// Bytes of a picture in the documentation.
const LARGE: u64 = 300_000;

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Also write docs/img/report-light.png and report-dark.png
    #[arg(long)]
    pictures: bool,
    /// Keep the pages, a picture of each look and the printed page in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Look at the page of this recording instead
    recording: Option<PathBuf>,
}

/// What the page is made with, and where.
struct Pages {
    tool: PathBuf,
    maker: PathBuf,
    dir: PathBuf,
}

impl Pages {
    fn recording(&self, kind: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(format!("{kind}.zct"));
        sh::run(Command::new(&self.maker).arg(kind).arg(&path))?;
        Ok(path)
    }

    fn page(&self, recording: &Path) -> anyhow::Result<PathBuf> {
        let name = recording.file_stem().context("a name")?;
        let page = self.dir.join(name).with_extension("html");
        // By its name alone: what the page says to type is in the pictures.
        let (dir, name) = (recording.parent().context("a path")?, recording.file_name().context("a name")?);
        sh::output(
            Command::new(&self.tool).current_dir(dir).arg("report").arg(name).arg("--html").arg(&page),
        )
        .context("report --html failed")?;
        Ok(page)
    }

    /// Lines of `report --json`.
    fn lines(&self, recording: &Path) -> anyhow::Result<Vec<Value>> {
        let out = sh::output(Command::new(&self.tool).arg("report").arg(recording).arg("--json"));
        out.context("report --json failed")?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    debian::need(&PACKAGES)?;
    let build = ["build", "--locked", "--package", "zctrace", "--bin", "zctrace", "--example", "recording"];
    sh::run(sh::cargo().args(build))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh::root().join("target"), PathBuf::from);
    let work = std::env::temp_dir().join(format!("zctrace-page-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let dir = args.keep.clone().unwrap_or_else(|| work.clone());
    std::fs::create_dir_all(&dir)?;
    let pages = Pages {
        tool: target.join("debug/zctrace"),
        maker: target.join("debug/examples/recording"),
        dir: dir.canonicalize()?,
    };
    let result = look(args, &pages, &work);
    std::fs::remove_dir_all(&work)?;
    result
}

fn look(args: &Args, pages: &Pages, work: &Path) -> anyhow::Result<()> {
    let mut browser = Browser::start(work)?;
    let busy = match &args.recording {
        Some(path) => path.canonicalize()?,
        None => pages.recording("busy")?,
    };
    let page = pages.page(&busy)?;
    every_look(&mut browser, &page, args.keep.as_deref())?;
    rows(&mut browser, &page, &pages.lines(&busy)?)?;
    script(&mut browser)?;
    quiet(&mut browser, &page)?;
    for kind in HOSTILE {
        let recording = pages.recording(kind)?;
        let page = pages.page(&recording)?;
        every_look(&mut browser, &page, None)?;
        rows(&mut browser, &page, &pages.lines(&recording)?)?;
        harmless(&mut browser)?;
        script(&mut browser)?;
        harmless(&mut browser)?;
        quiet(&mut browser, &page)?;
    }
    if args.pictures {
        pictures(&mut browser, &page)?;
    }
    eprintln!("the page is as it should be");
    Ok(())
}

fn quiet(browser: &mut Browser, page: &Path) -> anyhow::Result<()> {
    let complaints = browser.complaints();
    ensure!(complaints.is_empty(), "{}: {complaints:#?}", page.display());
    Ok(())
}

/// It fits at every width: only tables may be wider, and they scroll by themselves.
fn every_look(browser: &mut Browser, page: &Path, keep: Option<&Path>) -> anyhow::Result<()> {
    for (width, dark) in [(400, false), (1000, true), (1600, false), (400, true), (1000, false), (1600, true)]
    {
        browser.show(page, Look { width, height: 1400, dark })?;
        let wide = browser.eval("document.documentElement.scrollWidth")?;
        ensure!(wide.as_u64() <= Some(width.into()), "{}: {wide} wide at {width}", page.display());
        if let Some(dir) = keep {
            let scheme = if dark { "dark" } else { "light" };
            let height = browser.eval("document.documentElement.scrollHeight")?.as_u64().unwrap_or(1400);
            let height = u32::try_from(height.min(9_000))?;
            browser.show(page, Look { width, height, dark })?;
            browser.picture(&dir.join(format!("{width}-{scheme}.png")))?;
            if (width, dark) == (1000, true) {
                browser.print(&dir.join("print.pdf"))?;
            }
        }
    }
    quiet(browser, page)
}

fn number(browser: &mut Browser, expression: &str) -> anyhow::Result<u64> {
    browser.eval(expression)?.as_u64().with_context(|| format!("{expression} is no number"))
}

/// The tables have what `report --json` says.
fn rows(browser: &mut Browser, page: &Path, lines: &[Value]) -> anyhow::Result<()> {
    browser.show(page, Look { width: 1200, height: 1400, dark: false })?;
    let of = |kind: &str| lines.iter().filter(|l| l["type"] == kind).count() as u64;
    let distinct = |what: &str| {
        let all = lines.iter().filter(|l| l["type"] == "transfer" && !l[what].is_null());
        all.map(|l| l[what].to_string()).collect::<std::collections::BTreeSet<_>>().len() as u64
    };
    let writers: std::collections::BTreeSet<_> =
        lines.iter().filter(|l| l["type"] == "mutation").map(|l| l["pid"].to_string()).collect();
    let mutated = lines.iter().filter(|l| l["verdict"] == "mutated").count() as u64;
    let transfers = number(browser, "document.getElementById('transfers').tBodies[0].rows.length")?;
    ensure!(transfers == number(browser, "data.transfers.length")?, "rows and details differ");
    ensure!(transfers == of("transfer").min(transfers.max(1_500)), "{transfers} transfers");
    for (table, expected) in [
        ("mutations", of("mutation")),
        ("writers", writers.len() as u64),
        ("files", distinct("file")),
        ("sockets", distinct("socket")),
        ("processes", distinct("pid") + writers.len() as u64),
    ] {
        let n = number(browser, &format!("document.getElementById('{table}').tBodies[0].rows.length"))?;
        ensure!(n == expected, "{table}: {n} rows, not {expected}");
    }
    let shown = number(
        browser,
        "[...document.querySelectorAll('#transfers .v.mutated')].filter((v) => v.textContent === 'mutated').length",
    )?;
    ensure!(shown == mutated, "{shown} mutated, not {mutated}");
    Ok(())
}

/// Sorting, filtering, details, timeline, colours.
fn script(browser: &mut Browser) -> anyhow::Result<()> {
    for (expression, what) in [
        (
            "(() => { const head = [...document.querySelectorAll('#transfers thead th')].findIndex((h) => h.textContent === 'gap'); \
             const click = () => document.querySelectorAll('#transfers thead th button')[head].click(); \
             const by = () => [...document.querySelectorAll('#transfers tbody tr')].map((r) => Number(r.cells[head].dataset.by)); \
             click(); const down = by(); click(); const up = by(); \
             return down.length > 1 && down[0] > up[0] && down.every((n, i) => !i || down[i - 1] >= n) && up.every((n, i) => !i || up[i - 1] <= n); })()",
            "sorting by gap",
        ),
        (
            "(() => { const head = document.querySelector('#files thead th'); head.firstChild.click(); \
             const names = [...document.querySelectorAll('#files tbody th')].map((h) => h.textContent); \
             return head.getAttribute('aria-sort') === 'ascending' && names.every((n, i) => !i || names[i - 1].localeCompare(n) <= 0); })()",
            "sorting by name",
        ),
        (
            "(() => { const filter = document.querySelector('input[data-filter=transfers]'); filter.value = 'Mutated'; \
             filter.dispatchEvent(new Event('input')); \
             const seen = [...document.querySelectorAll('#transfers tbody tr')].filter((r) => !r.hidden); \
             const right = seen.length > 0 && seen.every((r) => r.textContent.includes('mutated')); \
             filter.value = ''; filter.dispatchEvent(new Event('input')); \
             return right && [...document.querySelectorAll('#transfers tbody tr')].filter((r) => !r.hidden).length > seen.length; })()",
            "filtering",
        ),
        (
            "(() => { document.querySelector('button[data-more=transfers]').click(); \
             return [...document.querySelectorAll('#transfers tbody tr')].every((r) => !r.hidden); })()",
            "showing all",
        ),
        (
            "(() => { const t = data.transfers[0]; location.hash = ''; \
             document.querySelector('#transfers tbody .id button').click(); \
             const detail = document.getElementById('detail'); const open = !detail.hidden && location.hash.startsWith('#t-') && \
             detail.textContent.includes('zctrace explain') && detail.querySelectorAll('dd').length > 10 && detail.querySelector('svg.life') !== null; \
             dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' })); return open && detail.hidden && Boolean(t); })()",
            "details",
        ),
        (
            "(() => { const lanes = document.getElementById('lanes'); \
             const press = (key) => lanes.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); \
             const before = lanes.innerHTML; press('ArrowRight'); press('+'); const zoomed = lanes.innerHTML; press('Enter'); \
             const open = !document.getElementById('detail').hidden; dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' })); \
             press('Home'); return before !== zoomed && open && lanes.querySelectorAll('path.mutated').length === 1 && lanes.querySelectorAll('path.change').length > 0 \
             && document.getElementById('lane-says').textContent.length > 20; })()",
            "the timeline",
        ),
        (
            "(() => { const button = document.getElementById('theme'); const colour = () => getComputedStyle(document.body).backgroundColor; \
             button.click(); const light = colour(); button.click(); const dark = colour(); button.click(); \
             return light !== dark; })()",
            "colours",
        ),
        (
            "document.querySelectorAll('th:not([scope])').length === 0 && document.querySelectorAll('table:not(:has(caption))').length === 0 && \
             document.querySelectorAll('svg[role=img]:not([aria-label])').length === 0",
            "names for those who do not see",
        ),
    ] {
        ensure!(browser.eval(expression)? == true, "{what} does not work");
    }
    Ok(())
}

/// Nothing that was recorded became an element or ran.
fn harmless(browser: &mut Browser) -> anyhow::Result<()> {
    let expression = "document.title.startsWith('zctrace report: hostile') && document.scripts.length === 2 && \
        document.querySelectorAll('img, iframe, object, embed, a, link:not([rel=icon]), [onload], [onerror]').length === 0 && \
        document.querySelectorAll('main script').length === 1 && \
        document.getElementById('transfers').textContent.includes('document.title=')";
    ensure!(browser.eval(expression)? == true, "something that was recorded is not text");
    let acts = "/[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u2028-\\u202e\\u2066-\\u2069]/.test(document.body.innerText)";
    ensure!(browser.eval(acts)? == false, "a character that acts is on the page");
    Ok(())
}

fn pictures(browser: &mut Browser, page: &Path) -> anyhow::Result<()> {
    for (name, dark) in [("light", false), ("dark", true)] {
        let to = sh::root().join(format!("docs/img/report-{name}.png"));
        browser.show(page, Look { width: 1200, height: if dark { 1150 } else { 1500 }, dark })?;
        if dark {
            // The other half of the page, with one transfer that was mutated.
            browser.eval(
                "document.querySelector('.heats').scrollIntoView(); \
                 document.querySelector('#transfers tbody .id button').click(); \
                 new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            )?;
        }
        browser.picture(&to)?;
        let bytes = std::fs::metadata(&to)?.len();
        ensure!(bytes < LARGE, "{} has {bytes} bytes", to.display());
        eprintln!("{}", to.display());
    }
    Ok(())
}
