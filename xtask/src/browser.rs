//! Headless Chromium, spoken to in its DevTools protocol over two pipes: no port, no library.
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not have")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::sh;

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    next: u64,
    /// What the page said on the console, threw, was refused, or asked the network for.
    complaints: Vec<String>,
    loaded: bool,
}

/// As which `@media` a page is shown.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

impl Browser {
    /// Starts one that keeps everything it writes in `dir`.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let (input, output) = (dir.join("to"), dir.join("from"));
        for pipe in [&input, &output] {
            sh::run(Command::new("mkfifo").arg(pipe))?;
        }
        // The shell gives the pipes the numbers that the browser looks for them at.
        let mut command = Command::new("sh");
        command.arg("-c").arg("exec chromium \"$@\" 3<\"$PIPE_TO\" 4>\"$PIPE_FROM\"").arg("chromium");
        command.args([
            "--headless",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
        ]);
        if sh::is_root() {
            command.arg("--no-sandbox");
        }
        command.arg(format!("--user-data-dir={}", dir.join("profile").display()));
        command.env("PIPE_TO", &input).env("PIPE_FROM", &output).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("sh")?;
        let to = File::options().write(true).open(&input)?;
        let from = BufReader::new(File::open(&output)?);
        let mut browser =
            Self { child, to, from, session: None, next: 0, complaints: Vec::new(), loaded: false };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = target["targetId"].clone();
        let session =
            browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))?;
        browser.session = session["sessionId"].as_str().map(Into::into);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    fn receive(&mut self) -> anyhow::Result<Value> {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes)?;
        if bytes.pop() != Some(0) {
            bail!("chromium has gone away");
        }
        let message: Value = serde_json::from_slice(&bytes)?;
        let about = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.consoleAPICalled") => {
                self.complaints.push(format!("console: {}", about["args"]));
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(format!("threw: {about}")),
            Some("Log.entryAdded") => self.complaints.push(format!("log: {}", about["entry"])),
            Some("Network.requestWillBeSent") => {
                let url = about["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("file:") && !url.starts_with("data:") {
                    self.complaints.push(format!("asked for {url}"));
                }
            }
            _ => {}
        }
        Ok(message)
    }

    /// Calls a method and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(message.to_string().as_bytes())?;
        self.to.write_all(&[0])?;
        loop {
            let mut answer = self.receive()?;
            if answer["id"] == id {
                if !answer["error"].is_null() {
                    bail!("{method}: {}", answer["error"]);
                }
                return Ok(answer["result"].take());
            }
        }
    }

    /// Shows a page and waits until it is there.
    pub(crate) fn show(&mut self, page: &Path, look: Look) -> anyhow::Result<()> {
        let scheme = if look.dark { "dark" } else { "light" };
        let size =
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media)?;
        self.loaded = false;
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }))?;
        while !self.loaded {
            self.receive()?;
        }
        // A picture that follows has everything that the script draws.
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")?;
        Ok(())
    }

    /// The value of an expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> anyhow::Result<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", asked)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression}: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].take())
    }

    /// What the page complained of since it was asked last.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    fn save(&mut self, method: &str, params: Value, to: &Path) -> anyhow::Result<()> {
        let answer = self.call(method, params)?;
        let data = answer["data"].as_str().context("no data")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data)?;
        std::fs::write(to, bytes).with_context(|| to.display().to_string())
    }

    /// A picture of what is to be seen.
    pub(crate) fn picture(&mut self, to: &Path) -> anyhow::Result<()> {
        self.save("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false }), to)
    }

    /// As it is printed.
    pub(crate) fn print(&mut self, to: &Path) -> anyhow::Result<()> {
        self.save("Page.printToPDF", json!({ "printBackground": true }), to)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        if self.call("Browser.close", json!({})).is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
