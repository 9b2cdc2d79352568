//! What a subject has, and what is asked for: whether one is the other.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;

use globset::GlobSet;

use crate::model::{MutationId, TransferId};
use crate::text;

/// One thing that a subject has.
pub(super) enum Value<'a> {
    /// A name, raw bytes, hostile.
    Raw(&'a [u8]),
    /// Harmless text that is no name.
    Shown(&'a dyn fmt::Display),
    /// One of the words of a field.
    Word(&'static str),
    /// Whatever the field counts in.
    Number(u64),
    /// An address, in the form that is shown.
    Ip(IpAddr),
    Transfer(TransferId),
    Change(MutationId),
}

/// How a number stands to the one that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Order {
    fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Equal => a == b,
            Self::AtLeast => a >= b,
            Self::More => a > b,
        }
    }
}

/// One thing that is asked for.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// Text that is part of what is shown; in lower case.
    Part(String),
    /// All of a name, its raw bytes.
    Glob(GlobSet),
    Word(&'static str),
    Number(Order, u64),
    Ip(IpAddr),
    Transfer(TransferId),
    Change(MutationId),
}

impl Pattern {
    /// What is shown has that part, in any case.
    pub(super) fn part(part: &str) -> Self {
        let mut lower = String::new();
        // Pasted: it is then what is shown.
        push_lower(&mut lower, &text::harmless(part.as_bytes()));
        Self::Part(lower)
    }

    fn holds(&self, value: &Value<'_>, scratch: &mut String) -> bool {
        match (self, value) {
            (Self::Part(part), Value::Raw(raw)) => has(&text::harmless(raw), part, scratch),
            (Self::Part(part), Value::Word(word)) => has(word, part, scratch),
            (Self::Part(part), Value::Shown(text)) => shows(text, part, scratch),
            (Self::Part(part), Value::Ip(ip)) => shows(ip, part, scratch),
            (Self::Part(part), Value::Transfer(id)) => shows(id, part, scratch),
            (Self::Part(part), Value::Change(id)) => shows(id, part, scratch),
            (Self::Glob(glob), Value::Raw(raw)) => glob.is_match(OsStr::from_bytes(raw)),
            (Self::Glob(glob), Value::Ip(ip)) => {
                scratch.clear();
                let _ = write!(scratch, "{ip}");
                glob.is_match(scratch.as_str())
            }
            (Self::Word(want), Value::Word(word)) => want == word,
            (Self::Number(order, than), Value::Number(n)) => order.holds(*n, *than),
            (Self::Ip(want), Value::Ip(ip)) => want == ip,
            (Self::Transfer(want), Value::Transfer(id)) => want == id,
            (Self::Change(want), Value::Change(id)) => want == id,
            _ => false,
        }
    }
}

/// Looks at what a subject has, one thing after the other.
pub(super) struct Matcher<'f> {
    any: &'f [Pattern],
    scratch: &'f mut String,
}

impl<'f> Matcher<'f> {
    pub(super) fn new(any: &'f [Pattern], scratch: &'f mut String) -> Self {
        Self { any, scratch }
    }

    /// Whether that is asked for.
    pub(super) fn see(&mut self, value: &Value<'_>) -> bool {
        self.any.iter().any(|p| p.holds(value, self.scratch))
    }

    pub(super) fn raw(&mut self, name: &[u8]) -> bool {
        self.see(&Value::Raw(name))
    }

    pub(super) fn shown(&mut self, text: &dyn fmt::Display) -> bool {
        self.see(&Value::Shown(text))
    }

    pub(super) fn word(&mut self, word: &'static str) -> bool {
        self.see(&Value::Word(word))
    }

    pub(super) fn number(&mut self, n: impl Into<u64>) -> bool {
        self.see(&Value::Number(n.into()))
    }

    pub(super) fn count(&mut self, n: usize) -> bool {
        self.number(n as u64)
    }

    /// Holds not where it is not known.
    pub(super) fn maybe(&mut self, n: Option<impl Into<u64>>) -> bool {
        n.is_some_and(|n| self.number(n))
    }
}

/// Whether the text has that part, which is in lower case.
fn has(text: &str, part: &str, scratch: &mut String) -> bool {
    scratch.clear();
    push_lower(scratch, text);
    scratch.contains(part)
}

/// As [`has`], for what has to be written first.
fn shows(text: &dyn fmt::Display, part: &str, scratch: &mut String) -> bool {
    scratch.clear();
    let _ = write!(Lower(scratch), "{text}");
    scratch.contains(part)
}

/// A character's lower case must not depend on its place, as that of a Greek sigma in a string does.
fn push_lower(to: &mut String, text: &str) {
    if text.is_ascii() {
        let from = to.len();
        to.push_str(text);
        to.get_mut(from..).into_iter().for_each(str::make_ascii_lowercase);
    } else {
        to.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// Writes in lower case.
struct Lower<'s>(&'s mut String);

impl fmt::Write for Lower<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_lower(self.0, text);
        Ok(())
    }
}
