//! Pages that need nothing else: one file, opened from disk, no network. Owns the frame around a page, its looks,
//! sortable tables, and the two ways in which a recorded string may get into it: [`escaped`] and [`json`].
//!
//! Whatever gets in otherwise is no script: the page's policy runs only what has the hash of our own.
//! Deliberately absent: what a page says.

mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

pub(crate) use self::table::{Head, Td, head, number, row, td, time};
use crate::text;

const CSS: &str = include_str!("base.css");
const SCRIPT: &str = include_str!("table.js");

/// Text that is only text, in HTML and in its attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text::harmless(text.as_bytes()).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Data for a page's script: JSON that no HTML parser sees an end of an element in.
pub(crate) fn json(data: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in data.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\'' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            // Only strings have those.
            c if text::acts(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// A whole page. `title` is text; `body` is HTML; `css` and `script` are ours.
pub(crate) fn page(title: &str, css: &str, body: &str, script: &str) -> String {
    let css = format!("{CSS}{css}");
    let script = format!("\"use strict\";\n{SCRIPT}{script}");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{css}</style>\n</head>\n<body>\n\
         {body}<script>{script}</script>\n</body>\n</html>\n",
        hash(&css),
        hash(&script),
        escaped(title),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        assert_eq!(escaped("<b a='\"'>&\u{202e}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\\u{202e}");
    }

    #[test]
    fn data_stays_data_and_loses_nothing() {
        let hostile = "</script><!--<script>\u{2028}\u{202e}\u{7f}\u{9b}'\"&\u{1f600}\n";
        let data = serde_json::json!({ hostile: [hostile, 1, null] });
        let text = json(&data);
        assert!(!text.contains(['<', '>', '&', '\'']) && !text.chars().any(text::acts), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), data);
    }

    #[test]
    fn only_our_own_script_may_run() {
        let page = page("<t>", "p { color: red }", "<p>\n", "run();");
        assert!(page.contains("<title>&lt;t&gt;</title>"));
        // What the hashes are of is what stands between the tags.
        for (open, close, name) in
            [("<style>", "</style>", "style-src"), ("<script>", "</script>", "script-src")]
        {
            let (_, rest) = page.split_once(open).unwrap();
            let (text, _) = rest.split_once(close).unwrap();
            assert!(page.contains(&format!("{name} 'sha256-{}'", hash(text))));
        }
        assert_eq!(hash("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
