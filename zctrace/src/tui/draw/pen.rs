//! Text on the screen: never wider than its place, whatever characters it has.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::columns::Tone;
use crate::tui::theme::Theme;

/// Characters that draw into a cell of their own; others (combining marks) are shown by their number.
fn visible(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().all(|c| c.width().is_some_and(|w| w > 0)) {
        return text.into();
    }
    let mut out = String::new();
    for c in text.chars() {
        match c.width() {
            Some(1..) => out.push(c),
            _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    out.into()
}

/// Its last names, if one of them has room.
fn tail(path: &str, width: usize) -> Option<String> {
    let mut ends = path.char_indices().filter(|(_, c)| *c == '/').filter_map(|(at, _)| path.get(at..));
    ends.find(|end| end.width() < width && end.len() > 1).map(|end| format!("…{end}"))
}

/// At most `width` columns, the middle left out where it is longer; of a path, the beginning.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.width() <= width {
        return text.into_owned();
    }
    if text.starts_with('/')
        && let Some(end) = tail(&text, width)
    {
        return end;
    }
    if width < 4 {
        return text
            .chars()
            .scan(0, |w, c| {
                *w += c.width().unwrap_or(0);
                (*w <= width).then_some(c)
            })
            .collect();
    }
    let (head, tail) = ((width - 1) / 3, width - 1 - (width - 1) / 3);
    let take = |chars: &mut dyn Iterator<Item = char>, most: usize| -> Vec<char> {
        chars
            .scan(0, |w, c| {
                *w += c.width().unwrap_or(0);
                (*w <= most).then_some(c)
            })
            .collect()
    };
    let start: String = take(&mut text.chars(), head).into_iter().collect();
    let end: String = take(&mut text.chars().rev(), tail).into_iter().rev().collect();
    format!("{start}…{end}")
}

/// At most `width` columns, the end left out where it is longer.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.width() <= width {
        return text.into_owned();
    }
    let most = width.saturating_sub(1);
    let start: String = text
        .chars()
        .scan(0, |w, c| {
            *w += c.width().unwrap_or(0);
            (*w <= most).then_some(c)
        })
        .collect();
    if width == 0 { start } else { start + "…" }
}

/// Exactly `width` columns.
#[must_use]
pub fn padded(text: &str, width: usize, right: bool) -> String {
    let text = fit(text, width);
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right { space + &text } else { text + &space }
}

/// How many columns it takes.
#[must_use]
pub fn width(text: &str) -> usize {
    visible(text).width()
}

/// Words of a text in lines of at most `width` columns.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word = fit(word, width);
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Builds lines in the colours of a theme.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    /// Colours.
    pub theme: Theme,
}

impl Pen {
    /// A piece of text.
    #[must_use]
    pub fn span(self, text: impl Into<String>, tone: Tone) -> Span<'static> {
        let text: String = text.into();
        Span::styled(visible(&text).into_owned(), self.theme.tone(tone))
    }

    /// A line of pieces.
    #[must_use]
    pub fn line<const N: usize>(self, parts: [(String, Tone); N]) -> Line<'static> {
        Line::from(parts.map(|(text, tone)| self.span(text, tone)).to_vec())
    }

    /// Puts a line at the top of an area, cut at its end.
    pub fn put(self, buf: &mut Buffer, area: Rect, line: &Line<'_>) {
        if area.height > 0 && area.width > 0 {
            buf.set_line(area.x, area.y, line, area.width);
        }
    }
}

/// A bar of `share` of `width` columns, in eighths of a column.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a few columns"
)]
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    if let Some(rest) = EIGHTHS.get(eighths % 8).filter(|_| !eighths.is_multiple_of(8)) {
        out.push(*rest);
    }
    out
}

/// One sign for each number, as high as it is.
#[must_use]
pub fn sparkline(numbers: impl Iterator<Item = u32> + Clone) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = u64::from(numbers.clone().max().unwrap_or(0)).max(1);
    let sign = |n: u32| {
        let step = usize::try_from(u64::from(n) * 7 / most).unwrap_or(0);
        if n == 0 { ' ' } else { STEPS.get(step).copied().unwrap_or('█') }
    };
    numbers.map(sign).collect()
}

/// Paints the background of an area.
pub fn fill(buf: &mut Buffer, area: Rect, style: Style) {
    buf.set_style(area, style);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_its_place() {
        for text in [
            "short",
            "a/long/path/to/some/file.tar",
            "日本語のとても長い名前",
            "e\u{301}\u{301}\u{301}xplode",
            "",
        ] {
            for w in 0..30 {
                assert!(width(&fit(text, w)) <= w, "{text} in {w}");
                assert_eq!(width(&padded(text, w, true)), w, "{text} in {w}");
            }
        }
    }

    #[test]
    fn of_a_path_the_last_names_stay() {
        assert_eq!(fit("/srv/www/video.mp4", 16), "…/www/video.mp4");
        assert_eq!(fit("/srv/www/video.mp4", 12), "…/video.mp4");
        assert_eq!(fit("/srv/www/video.mp4", 8), "/s…o.mp4");
        assert_eq!(fit("kworker/4242", 8), "kw…/4242");
    }

    #[test]
    fn marks_that_stack_are_told_by_number() {
        assert_eq!(fit("e\u{301}", 20), "e\\u{301}");
    }

    #[test]
    fn bars_and_sparklines() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.03125, 4), "▏");
        assert_eq!((bar(0.0, 4), bar(9.0, 2)), (String::new(), "██".into()));
        assert_eq!(sparkline([0, 1, 8].into_iter()), " ▁█");
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
    }
}
