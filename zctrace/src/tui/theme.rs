//! How each tone looks. The default takes the terminal's own sixteen colours, so that it fits a dark and a
//! light one; without colour, weight and reversal say the same.

use clap::ValueEnum;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::columns::Tone;

/// A set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// The terminal's own colours
    #[default]
    Terminal,
    /// Fixed colours for a dark background
    Dark,
    /// Fixed colours for a light background
    Light,
    /// No colours at all
    Mono,
}

impl Theme {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Terminal => Self::Dark,
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Mono => Self::Terminal,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }

    /// Of what is not said otherwise.
    #[must_use]
    pub fn base(self) -> Style {
        match self {
            Self::Terminal | Self::Mono => Style::new(),
            Self::Dark => Style::new().fg(Color::Rgb(0xd8, 0xde, 0xe9)).bg(Color::Rgb(0x16, 0x1b, 0x22)),
            Self::Light => Style::new().fg(Color::Rgb(0x24, 0x29, 0x2f)).bg(Color::Rgb(0xfb, 0xfb, 0xfa)),
        }
    }

    /// Of a tone.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Style {
        let bold = Modifier::BOLD;
        let fg = |c: Color| Style::new().fg(c);
        let rgb = |r, g, b| fg(Color::Rgb(r, g, b));
        match (self, tone) {
            (_, Tone::Plain) => Style::new(),
            (Self::Mono, Tone::Bad) => Style::new().add_modifier(bold | Modifier::REVERSED),
            (Self::Mono, Tone::Warn) => Style::new().add_modifier(bold | Modifier::UNDERLINED),
            (Self::Mono, Tone::Title | Tone::Live | Tone::Key) => Style::new().add_modifier(bold),
            (Self::Mono | Self::Terminal, Tone::Dim) => Style::new().add_modifier(Modifier::DIM),
            (Self::Mono, Tone::Good) => Style::new(),
            (Self::Terminal, Tone::Title) => Style::new().add_modifier(bold),
            (Self::Terminal, Tone::Good) => fg(Color::Green),
            (Self::Terminal, Tone::Warn) => fg(Color::Yellow),
            (Self::Terminal, Tone::Bad) => fg(Color::Red).add_modifier(bold),
            (Self::Terminal, Tone::Live) => fg(Color::Cyan),
            (Self::Terminal, Tone::Key) => fg(Color::Magenta).add_modifier(bold),
            (Self::Dark, Tone::Dim) => rgb(0x8b, 0x94, 0x9e),
            (Self::Dark, Tone::Title) => rgb(0xff, 0xff, 0xff).add_modifier(bold),
            (Self::Dark, Tone::Good) => rgb(0x7e, 0xe7, 0x87),
            (Self::Dark, Tone::Warn) => rgb(0xf2, 0xcc, 0x60),
            (Self::Dark, Tone::Bad) => rgb(0xff, 0x7b, 0x72).add_modifier(bold),
            (Self::Dark, Tone::Live) => rgb(0x79, 0xc0, 0xff),
            (Self::Dark, Tone::Key) => rgb(0xd2, 0xa8, 0xff).add_modifier(bold),
            (Self::Light, Tone::Dim) => rgb(0x6e, 0x77, 0x81),
            (Self::Light, Tone::Title) => rgb(0x00, 0x00, 0x00).add_modifier(bold),
            (Self::Light, Tone::Good) => rgb(0x11, 0x63, 0x29),
            (Self::Light, Tone::Warn) => rgb(0x8a, 0x5a, 0x00),
            (Self::Light, Tone::Bad) => rgb(0xb3, 0x1d, 0x28).add_modifier(bold),
            (Self::Light, Tone::Live) => rgb(0x05, 0x50, 0xae),
            (Self::Light, Tone::Key) => rgb(0x82, 0x50, 0xdf).add_modifier(bold),
        }
    }

    /// Of the selected row.
    #[must_use]
    pub fn selected(self) -> Style {
        match self {
            // One colour all over: every other one would turn into a background of its own.
            Self::Terminal | Self::Mono => {
                Style::new().fg(Color::Reset).add_modifier(Modifier::REVERSED).remove_modifier(Modifier::DIM)
            }
            Self::Dark => Style::new().bg(Color::Rgb(0x2d, 0x3f, 0x5a)),
            Self::Light => Style::new().bg(Color::Rgb(0xcf, 0xe3, 0xff)),
        }
    }

    /// Of how many there are, 0 to 1: from hardly any to most.
    #[must_use]
    pub fn heat(self, share: f64) -> Style {
        let step = |steps: [(u8, u8, u8); 5]| {
            let i = if share > 0.6 {
                4
            } else if share > 0.3 {
                3
            } else if share > 0.1 {
                2
            } else {
                usize::from(share > 0.02)
            };
            let (r, g, b) = steps.get(i).copied().unwrap_or_default();
            Style::new().fg(Color::Rgb(r, g, b))
        };
        match self {
            Self::Mono => Style::new(),
            Self::Terminal if share > 0.6 => Style::new().fg(Color::Yellow),
            Self::Terminal if share > 0.3 => Style::new().fg(Color::Green),
            Self::Terminal if share > 0.1 => Style::new().fg(Color::Cyan),
            Self::Terminal => Style::new().fg(Color::Blue),
            Self::Dark => step([
                (0x3b, 0x52, 0x8b),
                (0x21, 0x91, 0x8c),
                (0x5e, 0xc9, 0x62),
                (0xc8, 0xe0, 0x20),
                (0xfd, 0xe7, 0x25),
            ]),
            Self::Light => step([
                (0xa6, 0xbd, 0xdb),
                (0x67, 0xa9, 0xcf),
                (0x36, 0x90, 0xc0),
                (0x02, 0x81, 0x8a),
                (0x01, 0x46, 0x36),
            ]),
        }
    }
}

/// Leaves nothing but ASCII on the screen: frames and bars as the nearest sign, a letter that has none as `?`.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let sign = match cell.symbol().chars().next().unwrap_or(' ') {
            '─' | '━' | '╌' | '┄' | '–' => "-",
            '│' | '┃' | '╎' | '┊' => "|",
            '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╯' | '╰' => {
                "+"
            }
            '█' | '▉' | '▊' | '▋' | '▓' | '▇' | '▆' => "#",
            '▌' | '▍' | '▎' | '▏' | '▒' | '▅' | '▄' => "=",
            '░' | '▃' | '▂' | '▁' => ".",
            '●' | '◆' | '■' => "*",
            '○' | '◇' | '□' => "o",
            '▲' | '↑' => "^",
            '▼' | '↓' => "v",
            '▶' | '→' | '›' => ">",
            '◀' | '←' | '‹' => "<",
            '⏸' => "=",
            '…' => "~",
            'µ' => "u",
            '·' | '•' => ".",
            '×' => "x",
            '≥' => ">",
            '≤' => "<",
            _ => "?",
        };
        cell.set_symbol(sign);
    }
}
