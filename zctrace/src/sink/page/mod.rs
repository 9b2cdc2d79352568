//! `zctrace report --html`: a recording as one page that needs nothing else. Findings first, then how long bytes were
//! lent, when, and who; every table stands in it without a script, which adds sorting, a timeline and details.
//!
//! Owns what the page is made of and in which order it stands there. Memory is bounded whatever the recording ([`keep`]).

mod keep;
mod plot;
mod tables;
mod words;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;

use serde_json::json;

use self::keep::Keep;
use self::plot::Scale;
use self::words::Clock;
use super::answer::{Answer, Mood, answer};
use super::report::{headers, troubles};
use super::{Group, Sink, Summary};
use crate::board::group::Kind;
use crate::distribution::Distribution;
use crate::engine::rules;
use crate::html::{self, escaped};
use crate::model::{Fact, TraceInfo, Verdict};
use crate::text;

const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Keeps what the page will show; a clone is the same page.
#[derive(Clone, Debug, Default)]
pub struct Page(Rc<RefCell<Keep>>);

impl Sink for Page {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        self.0.borrow_mut().fact(fact);
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// What the page says beside facts.
#[derive(Clone, Debug)]
pub struct About {
    /// Name of the recording, hostile.
    pub name: String,
    /// The recording as an argument of a shell, harmless.
    pub argument: String,
    /// What is wrong with its end.
    pub problem: Option<String>,
}

impl Page {
    /// The page.
    #[must_use]
    pub fn html(&self, s: &Summary, about: &About) -> String {
        let keep = self.0.borrow();
        let info = s.infos.first();
        let clock = Clock { start_ns: keep.start_ns.unwrap_or(0), ahead_ns: info.map(TraceInfo::ahead_ns) };
        let a = answer(s, &about.argument);
        let mut out = String::new();
        head(&mut out, s, about, clock);
        findings(&mut out, s, about, &a);
        numbers(&mut out, s);
        if s.transfers() > 0 {
            distributions(&mut out, s);
            over_time(&mut out, &keep);
            timeline(&mut out);
            let kept = keep.transfers();
            tables::transfers(&mut out, s, &kept, clock);
            tables::mutations(&mut out, s, &keep, clock);
            tables::writers(&mut out, s);
            for kind in [Kind::Sources, Kind::Processes, Kind::Peers, Kind::Sockets] {
                tables::groups(&mut out, s, &keep, kind);
            }
            data(&mut out, s, about, &keep, &kept, clock);
        }
        foot(&mut out, s);
        html::page(&format!("zctrace report: {}", about.name), CSS, &out, SCRIPT)
    }
}

fn head(out: &mut String, s: &Summary, about: &About, clock: Clock) {
    let _ = write!(
        out,
        "<header>\n<button type=\"button\" class=\"tool js\" id=\"theme\" aria-label=\"Colours: as the system has them\">\u{25d0}</button>\n\
         <h1>{}</h1>\n",
        escaped(&about.name)
    );
    if s.infos.is_empty() {
        out.push_str("<p>This recording has no header: its first block is missing.</p>\n");
    }
    for line in headers(s).iter().take(100) {
        let _ = writeln!(out, "<p>{}</p>", escaped(line));
    }
    if let (Some(from), Some((_, last))) = (clock.wall(clock.start_ns), s.span) {
        let until = clock.wall(last).unwrap_or_default();
        let _ = writeln!(out, "<p>{} to {}</p>", escaped(&from), escaped(&until));
    }
    out.push_str("</header>\n<main>\n");
}

fn findings(out: &mut String, s: &Summary, about: &About, a: &Answer) {
    let class = match a.mood {
        Mood::Bad => "bad",
        Mood::Unsure => "doubt",
        Mood::Good => "good",
        Mood::Empty => "empty",
    };
    let _ = writeln!(out, "<section class=\"answer {class}\" aria-label=\"Findings\">");
    if a.mood == Mood::Empty {
        let _ = writeln!(out, "<h2>{}</h2>", escaped(a.short));
    } else {
        let _ = writeln!(
            out,
            "<h2>Did anything change while it was lent? <strong>{}</strong></h2>",
            escaped(&a.short.to_uppercase())
        );
    }
    for sentence in &a.says {
        let _ = writeln!(out, "<p>{}</p>", escaped(sentence));
    }
    for next in &a.next {
        let _ = writeln!(
            out,
            "<p class=\"next\"><code>{}</code> {}</p>",
            escaped(&next.command),
            escaped(&next.why)
        );
    }
    out.push_str("</section>\n");
    let troubles: Vec<String> = about.problem.iter().cloned().chain(troubles(s)).collect();
    if !troubles.is_empty() {
        out.push_str("<ul class=\"troubles\" aria-label=\"What is missing\">\n");
        for trouble in troubles.iter().take(100) {
            let _ = writeln!(out, "<li>{}</li>", escaped(trouble));
        }
        out.push_str("</ul>\n");
    }
    causes(out, s);
}

/// Rules, reasons and everything else that is counted by cause.
fn causes(out: &mut String, s: &Summary) {
    let mut all: Vec<(&str, &str, u64, &str)> = Vec::new();
    for ((verdict, name), n) in &s.rules {
        let class = if *verdict == Verdict::Mutated { "bad" } else { "doubt" };
        all.push((class, name, *n, rules::find(name).map_or("", |r| r.help)));
    }
    for (reason, n) in &s.reasons {
        let (code, sentence) = text::reason(*reason);
        all.push(("doubt", code, *n, sentence));
    }
    for (content, n) in &s.contents {
        all.push(("", text::content(*content), *n, text::content_sentence(*content)));
    }
    for (why, n) in &s.copied {
        let (code, sentence) = text::copied(*why);
        all.push(("", code, *n, sentence));
    }
    for (by, n) in &s.released_by {
        all.push(("", text::released_by(*by), *n, text::released_by_sentence(*by)));
    }
    if all.is_empty() {
        return;
    }
    out.push_str("<dl class=\"causes\">\n");
    for (class, name, n, means) in all {
        let _ = writeln!(
            out,
            "<div class=\"{class}\"><dt>{} <b>{n}</b></dt><dd>{}</dd></div>",
            escaped(name),
            escaped(means)
        );
    }
    out.push_str("</dl>\n");
}

fn numbers(out: &mut String, s: &Summary) {
    let q = |d: &Distribution, q: f64| d.quantile(q).map_or_else(|| "\u{2013}".into(), text::ns);
    let max = |d: &Distribution| d.max().map_or_else(|| "\u{2013}".into(), text::ns);
    let count = |n: u64, class| (if n == 0 { "" } else { class }, n.to_string());
    let (mutated, unsure, held) =
        (count(s.mutated(), "bad"), count(s.unsure(), "doubt"), count(s.held(), "doubt"));
    let all: [(&str, &str, String); 10] = [
        ("transfers", "", s.transfers().to_string()),
        ("lent", "", text::bytes(s.all.bytes)),
        ("mutated", mutated.0, mutated.1),
        ("not certain", unsure.0, unsure.1),
        ("still lent", held.0, held.1),
        ("gap p50", "", q(&s.all.gap, 0.5)),
        ("gap p99", "", q(&s.all.gap, 0.99)),
        ("gap max", "", max(&s.all.gap)),
        ("exposure p50", "", q(&s.all.exposure, 0.5)),
        ("exposure p99", "", q(&s.all.exposure, 0.99)),
    ];
    out.push_str("<dl class=\"numbers\" aria-label=\"Key numbers\">\n");
    for (name, class, value) in all {
        let _ = writeln!(out, "<div class=\"{class}\"><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    out.push_str("</dl>\n");
}

fn distributions(out: &mut String, s: &Summary) {
    out.push_str(
        "<section>\n<h2>How long bytes were lent</h2>\n\
         <p><b>Gap</b>: from submit to release; while it is open the bytes must not change. <b>Exposure</b>: the part of it after the \
         application was told that all is done. Bars count transfers, over time on a logarithmic scale.</p>\n<div class=\"dists\">\n",
    );
    let groups = s.apis.values();
    let scale = Scale::over(groups.flat_map(|g| [&g.gap, &g.exposure]));
    for (api, group) in &s.apis {
        let name = text::api(*api);
        let _ = writeln!(
            out,
            "<article>\n<h3>{} <span class=\"count\">{}, {}</span></h3>",
            escaped(name),
            escaped(&text::transfers(group.transfers)),
            escaped(&text::bytes(group.bytes))
        );
        quantiles(out, name, group);
        out.push_str("<div class=\"figures\">\n");
        for (what, d) in [("gap", &group.gap), ("exposure", &group.exposure)] {
            if d.count() > 0 {
                let _ = write!(out, "<figure><figcaption>{what}</figcaption>");
                plot::distribution(out, d, scale, &format!("{what} of {name}: histogram"));
                out.push_str("</figure>\n");
            }
        }
        out.push_str("</div>\n</article>\n");
    }
    out.push_str("</div>\n</section>\n");
}

fn quantiles(out: &mut String, name: &str, group: &Group) {
    let _ = write!(
        out,
        "<div class=\"wide\"><table>\n<caption>Quantiles of {}</caption>\n<thead><tr><td></td>",
        escaped(name)
    );
    for q in ["p50", "p90", "p99", "max"] {
        let _ = write!(out, "<th scope=\"col\" class=\"number\">{q}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (what, d) in [("gap", &group.gap), ("exposure", &group.exposure)] {
        let _ = write!(out, "<tr><th scope=\"row\">{what}</th>");
        for ns in [d.quantile(0.5), d.quantile(0.9), d.quantile(0.99), d.max()] {
            html::td(out, &html::time(ns));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn over_time(out: &mut String, keep: &Keep) {
    let Some(gaps) = &keep.gaps else {
        return;
    };
    out.push_str(
        "<section>\n<h2>Gap over time</h2>\n<p>Each cell counts the windows that ended then, and were that long: time since the trace \
         began to the right, duration upwards on a logarithmic scale. The stronger the colour, the more; point at a cell to see how many, click to see its windows below.</p>\n",
    );
    out.push_str("<div class=\"heats\">\n<figure data-heat=\"gaps\"><figcaption>gap</figcaption>\n");
    plot::heat(out, gaps, "Heat map of gaps over time");
    out.push_str("</figure>\n");
    if let Some(exposures) = &keep.exposures {
        out.push_str("<figure data-heat=\"exposures\"><figcaption>exposure</figcaption>\n");
        plot::heat(out, exposures, "Heat map of exposures over time");
        out.push_str("</figure>\n");
    }
    out.push_str(
        "</div>\n<p class=\"js says\" id=\"heat-says\" aria-live=\"polite\">\u{a0}</p>\n</section>\n",
    );
}

fn timeline(out: &mut String) {
    out.push_str(
        "<section>\n<h2>Windows</h2>\n<noscript><p>The timeline is drawn by the page's script; the table below has the same transfers.</p></noscript>\n\
         <div class=\"js\" id=\"timeline\">\n<p>Each bar is a window, from submit to release; the thin part is before the application was told that all is \
         done. <span class=\"key\"><i class=\"k clean\"></i>clean <i class=\"k mutated\"></i>mutated <i class=\"k unknown\"></i>not known \
         <i class=\"k change\"></i>a change to lent bytes</span></p>\n\
         <p class=\"tools\"><button type=\"button\" class=\"tool\" data-zoom=\"in\">Zoom in</button> \
         <button type=\"button\" class=\"tool\" data-zoom=\"out\">Zoom out</button> \
         <button type=\"button\" class=\"tool\" data-zoom=\"left\" aria-label=\"Earlier\">\u{2190}</button> \
         <button type=\"button\" class=\"tool\" data-zoom=\"right\" aria-label=\"Later\">\u{2192}</button> \
         <button type=\"button\" class=\"tool\" data-zoom=\"all\">Everything</button> \
         <span class=\"faint\">Drag over a stretch to look at it. Arrow keys go from window to window, Enter opens one, + and \u{2212} zoom.</span></p>\n\
         <div id=\"lanes\" tabindex=\"0\" role=\"application\" aria-label=\"Timeline of windows\"></div>\n\
         <p class=\"says\" id=\"lane-says\" aria-live=\"polite\">\u{a0}</p>\n</div>\n</section>\n",
    );
}

fn data(
    out: &mut String,
    s: &Summary,
    about: &About,
    keep: &Keep,
    kept: &[std::sync::Arc<keep::Kept<crate::model::Transfer>>],
    clock: Clock,
) {
    let transfers: Vec<_> = kept.iter().map(|k| words::transfer(k, clock, s.host(k.it.id.part()))).collect();
    let mutations: Vec<_> = keep.mutations.iter().map(|m| words::mutation(m, clock)).collect();
    let used: std::collections::BTreeSet<_> = kept.iter().flat_map(|k| &k.it.reasons).copied().collect();
    let reasons: serde_json::Map<_, _> = used
        .into_iter()
        .map(|r| {
            let (code, sentence) = text::reason(r);
            (code.to_owned(), sentence.into())
        })
        .collect();
    let rules: serde_json::Map<_, _> =
        rules::RULES.iter().map(|r| (r.name.to_owned(), r.help.into())).collect();
    let data = json!({
        "labels": words::LABELS,
        "explain": format!("zctrace explain {}", about.argument),
        "end": s.span.map_or(0, |(_, last)| last.saturating_sub(clock.start_ns)),
        "transfers": transfers,
        "mutations": mutations,
        "rules": rules,
        "reasons": reasons,
        "heat": {
            "gaps": keep.gaps.as_ref().map(plot::heat_data),
            "exposures": keep.exposures.as_ref().map(plot::heat_data),
        },
    });
    let _ = writeln!(out, "<script type=\"application/json\" id=\"data\">{}</script>", html::json(&data));
    out.push_str(
        "<aside id=\"detail\" hidden tabindex=\"-1\" role=\"dialog\" aria-label=\"One transfer\"></aside>\n",
    );
}

fn foot(out: &mut String, s: &Summary) {
    out.push_str("</main>\n<footer>\n");
    tables::probes(out, s);
    out.push_str(
        "<p>Made by <code>zctrace report --html</code>. A transfer lends pages to a socket or a pipe; it is released when the kernel will \
         not read them again. Nothing on this page was loaded from anywhere.</p>\n</footer>\n",
    );
}

#[cfg(test)]
mod tests;
