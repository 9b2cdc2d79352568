//! From what was typed to terms. Whatever it is: it has a meaning, or an error says where it has none.

use std::ops::Range;

use super::field::{FIELDS, Field, find};
use super::pattern::{Operator, check, pattern};
use super::value::{Order, Pattern};
use super::{FilterError, Term};
use crate::text;

/// One character of a term.
#[derive(Clone, Copy)]
struct Char {
    c: char,
    /// It stands for itself.
    quoted: bool,
    from: usize,
    to: usize,
}

impl Char {
    fn is(self, c: char) -> bool {
        !self.quoted && self.c == c
    }

    fn is_operator(self) -> bool {
        !self.quoted && matches!(self.c, ':' | '<' | '>' | '=')
    }
}

/// What stands between spaces, without its quotes.
struct Word {
    chars: Vec<Char>,
    at: Range<usize>,
}

/// Terms of the text.
pub(super) fn terms(text: &str) -> Result<Vec<Term>, FilterError> {
    words(text)?.iter().map(term).collect()
}

fn words(text: &str) -> Result<Vec<Word>, FilterError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut rest = text.char_indices().peekable();
    while let Some((from, mut c)) = rest.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let mut to = from + c.len_utf8();
        let is_quote = c == '"';
        if is_quote {
            quote = if quote.is_some() { None } else { Some(from) };
        } else if quote.is_some()
            && c == '\\'
            && let Some((at, next)) = rest.next_if(|(_, next)| matches!(next, '"' | '\\'))
        {
            c = next;
            to = at + next.len_utf8();
        }
        let word = word.get_or_insert_with(|| Word { chars: Vec::new(), at: from..to });
        word.at.end = to;
        if !is_quote {
            word.chars.push(Char { c, quoted: quote.is_some(), from, to });
        }
    }
    words.extend(word);
    match quote {
        Some(at) => Err(error(at..text.len(), "the quotes are not closed: write another \" at the end")),
        None => Ok(words),
    }
}

fn term(word: &Word) -> Result<Term, FilterError> {
    let (not, chars) = match word.chars.split_first() {
        Some((first, rest)) if first.is('!') || first.is('-') => (true, rest),
        _ => (false, word.chars.as_slice()),
    };
    if chars.is_empty() {
        let message = if not {
            "write what must not hold, for example -verdict:clean; \"-\" and \"!\" in quotes are text"
        } else {
            "there is nothing between the quotes: write some text"
        };
        return Err(error(word.at.clone(), message));
    }
    let operator = chars.iter().position(|c| c.is_operator()).unwrap_or(chars.len());
    let (name, rest) = chars.split_at(operator);
    let (field, any) = if !rest.is_empty() && is_name(name) {
        let field = named(name)?;
        (Some(field), values(field, rest, word)?)
    } else {
        not_equal(name, rest, word)?;
        (None, vec![Pattern::part(&string(chars))])
    };
    Ok(Term { not, field, any })
}

/// Whether this can be a field; else its colon is a part of an address or a path.
fn is_name(chars: &[Char]) -> bool {
    !chars.is_empty() && chars.iter().all(|c| !c.quoted && (c.c.is_ascii_alphabetic() || c.c == '_'))
}

/// `field!=value` would be a text that nothing has.
fn not_equal(name: &[Char], rest: &[Char], word: &Word) -> Result<(), FilterError> {
    match (name.split_last(), rest.first()) {
        (Some((last, name)), Some(first)) if last.is('!') && first.is('=') && is_name(name) => {
            match find(&string(name)) {
                Some(f) => Err(error(
                    word.at.clone(),
                    format!("the `!` comes first: write for example !{}", f.example),
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn named(chars: &[Char]) -> Result<&'static Field, FilterError> {
    let name = string(chars);
    find(&name).ok_or_else(|| {
        let near = near(&name);
        let instead =
            if near.is_empty() { String::new() } else { format!(" write {}, or,", near.join(" or ")) };
        error(range(chars), format!("there is no field `{name}`:{instead} if it is text, put it in quotes"))
    })
}

/// What follows the name.
fn values(field: &Field, chars: &[Char], word: &Word) -> Result<Vec<Pattern>, FilterError> {
    let name = field.name;
    let (operator, rest) = operator(chars);
    check(field, operator).map_err(|message| error(word.at.clone(), message))?;
    let values: Vec<&[Char]> = rest.split(|c| c.is(',')).collect();
    if values.len() > 1 && matches!(operator, Operator::Is(order) if order != Order::Equal) {
        return Err(error(
            range(rest),
            format!("write one value: there can be several only after `{name}:`"),
        ));
    }
    let one = |value: &&[Char]| {
        if value.is_empty() {
            let message = format!("a value is missing: write for example {}", field.example);
            return Err(error(word.at.clone(), message));
        }
        pattern(field, operator, &string(value)).map_err(|message| error(range(value), message))
    };
    values.iter().map(one).collect()
}

fn operator(chars: &[Char]) -> (Operator, &[Char]) {
    let equal = |rest: &[Char]| rest.first().is_some_and(|c| c.is('='));
    match chars.split_first() {
        Some((c, rest)) if c.is('<') && equal(rest) => (Operator::Is(Order::AtMost), after(rest)),
        Some((c, rest)) if c.is('>') && equal(rest) => (Operator::Is(Order::AtLeast), after(rest)),
        Some((c, rest)) if c.is('<') => (Operator::Is(Order::Less), rest),
        Some((c, rest)) if c.is('>') => (Operator::Is(Order::More), rest),
        Some((c, rest)) if c.is('=') => (Operator::Is(Order::Equal), rest),
        _ => (Operator::Has, after(chars)),
    }
}

fn after(chars: &[Char]) -> &[Char] {
    chars.split_first().map_or(&[], |(_, rest)| rest)
}

fn string(chars: &[Char]) -> String {
    chars.iter().map(|c| c.c).collect()
}

fn range(chars: &[Char]) -> Range<usize> {
    chars.first().map_or(0, |c| c.from)..chars.last().map_or(0, |c| c.to)
}

fn error(at: Range<usize>, message: impl Into<String>) -> FilterError {
    FilterError { at, message: text::harmless(message.into().as_bytes()).into_owned() }
}

/// Fields with nearly that name, the nearest first.
fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let most = if name.len() < 5 { 1 } else { 2 };
    let begins = |f: &&Field| name.len() > 1 && (f.name.starts_with(&name) || name.starts_with(f.name));
    let mut found: Vec<(usize, &'static str)> = FIELDS
        .iter()
        .filter_map(|f| {
            let edits = edits(name.as_bytes(), f.name.as_bytes(), most);
            Some((edits.or_else(|| begins(&f).then_some(most + 1))?, f.name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many keys were wrong, missing, too many, or swapped with the next; `None`: more than `most`.
fn edits(a: &[u8], b: &[u8], most: usize) -> Option<usize> {
    let (Some((x, a_rest)), Some((y, b_rest))) = (a.split_first(), b.split_first()) else {
        let left = a.len() + b.len();
        return (left <= most).then_some(left);
    };
    if x == y {
        return edits(a_rest, b_rest, most);
    }
    let most = most.checked_sub(1)?;
    let swapped = match (a, b) {
        ([p, q, a @ ..], [r, s, b @ ..]) if p == s && q == r => edits(a, b, most),
        _ => None,
    };
    let ways = [edits(a_rest, b, most), edits(a, b_rest, most), edits(a_rest, b_rest, most), swapped];
    ways.into_iter().flatten().min().map(|n| n + 1)
}
