//! What is written after a field, as what is asked for: names, words, numbers with their units.

use std::net::{IpAddr, SocketAddr};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::field::{Field, Takes};
use super::value::{Order, Pattern};
use crate::model::{MutationId, TransferId};
use crate::text;

/// Bytes of a glob: longer ones take long to compile.
const GLOB: usize = 1024;

const DURATIONS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    // Two characters look like this.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
];

/// What stands between a field and what is written after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Has,
    /// The others.
    Is(Order),
}

impl Operator {
    fn order(self) -> Order {
        match self {
            Self::Has => Order::Equal,
            Self::Is(order) => order,
        }
    }
}

/// Whether the field can be asked with that operator; else what to write.
pub(super) fn check(field: &Field, operator: Operator) -> Result<(), String> {
    use Takes::{Address, Duration, Number, Size, Text, Who, WordOrNumber};
    let (name, example) = (field.name, field.example);
    match (field.takes, operator) {
        (_, Operator::Has) | (Number | Duration | Size | WordOrNumber(_), _) => Ok(()),
        (Text | Address | Who, Operator::Is(Order::Equal)) => {
            Err(format!("`{name}` is text: write for example {example}"))
        }
        (_, Operator::Is(Order::Equal)) => Ok(()),
        _ => Err(format!("`{name}` is neither more nor less: write for example {example}")),
    }
}

/// What one value asks for; else what to write.
pub(super) fn pattern(field: &Field, operator: Operator, value: &str) -> Result<Pattern, String> {
    let wrong = |what: &str| {
        format!("`{}` is no {what}: write for example {}", text::harmless(value.as_bytes()), field.example)
    };
    let number = |n: Option<u64>, what: &str| {
        n.map(|n| Pattern::Number(operator.order(), n)).ok_or_else(|| wrong(what))
    };
    match field.takes {
        Takes::Text => name(value),
        Takes::Address => address(field, value),
        Takes::Who => match value.parse() {
            Ok(pid) => Ok(Pattern::Number(Order::Equal, pid)),
            Err(_) => name(value),
        },
        Takes::Word(words) => word(field, &words(), value),
        Takes::WordOrNumber(words) => match value.parse() {
            Ok(n) => Ok(Pattern::Number(operator.order(), n)),
            Err(_) if operator.order() != Order::Equal => Err(format!(
                "`{}` is no number: write for example {}>0",
                text::harmless(value.as_bytes()),
                field.name
            )),
            Err(_) => word(field, &words(), value),
        },
        Takes::Number => number(hex(value).or_else(|| value.parse().ok()), "number"),
        Takes::Duration => number(duration(value), "duration with ns, us, ms, s, m or h"),
        Takes::Size => number(size(value), "size in bytes, K, M, G or T"),
        Takes::Device => number(device(value), "device number"),
        Takes::Transfer => transfer(value).ok_or_else(|| wrong("transfer")),
        Takes::Change => change(value).ok_or_else(|| wrong("change")),
        Takes::Id => transfer(value).or_else(|| change(value)).ok_or_else(|| wrong("transfer or change")),
    }
}

/// Part of a name, or all of it as a glob.
fn name(value: &str) -> Result<Pattern, String> {
    if value.contains(['*', '?']) { glob(value).map(Pattern::Glob) } else { Ok(Pattern::part(value)) }
}

/// As `--path` takes it.
fn glob(value: &str) -> Result<GlobSet, String> {
    if value.len() > GLOB {
        return Err(format!("a glob has at most {GLOB} bytes: leave some of it out with `*`"));
    }
    // A set, because a single glob panics where its regex becomes too large.
    let compiled = Glob::new(value).and_then(|glob| GlobSetBuilder::new().add(glob).build());
    compiled.map_err(|e| {
        let why = e.kind().to_string();
        format!("no glob: {}; write [*] for a `*` that means itself", text::harmless(why.as_bytes()))
    })
}

fn address(field: &Field, value: &str) -> Result<Pattern, String> {
    let bare = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Pattern::Ip(ip.to_canonical()));
    }
    match value.parse::<SocketAddr>() {
        Ok(a) => Err(format!("an address has no port: write {}:{} port:{}", field.name, a.ip(), a.port())),
        Err(_) => name(value),
    }
}

fn word(field: &Field, words: &[&'static str], value: &str) -> Result<Pattern, String> {
    let found = words.iter().find(|w| w.eq_ignore_ascii_case(value));
    found.map(|w| Pattern::Word(w)).ok_or_else(|| {
        let (name, value) = (field.name, text::harmless(value.as_bytes()));
        format!("no {name} is called `{value}`: write one of {}", words.join(", "))
    })
}

fn duration(value: &str) -> Option<u64> {
    if value == "0" { Some(0) } else { scaled(value, DURATIONS) }
}

fn size(value: &str) -> Option<u64> {
    hex(value).or_else(|| scaled(value, SIZES))
}

/// As addresses in memory are shown, and cookies elsewhere.
fn hex(value: &str) -> Option<u64> {
    u64::from_str_radix(value.strip_prefix("0x")?, 16).ok()
}

/// `1.5` and a unit, in any case; there may be a space between, as in what is shown. A part of the smallest
/// unit is dropped.
fn scaled(value: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit = unit.trim_start();
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    // More digits say nothing, and would not fit.
    let part = part.get(..18).unwrap_or(part);
    let of = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let scale = u128::from(*scale);
    let whole = u128::from(whole.parse::<u64>().ok()?) * scale;
    u64::try_from(whole + u128::from(part.parse::<u64>().ok()?) * scale / of).ok()
}

/// `8:1`, as [`text::dev`] writes it.
fn device(value: &str) -> Option<u64> {
    let (major, minor) = value.split_once(':')?;
    let (major, minor): (u64, u64) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 1 << 12 && minor < 1 << 20).then_some(major << 20 | minor)
}

/// `3-17`
fn transfer(value: &str) -> Option<Pattern> {
    let (cpu, seq) = value.split_once('-')?;
    Some(Pattern::Transfer(TransferId { cpu: cpu.parse().ok()?, seq: seq.parse().ok()? }))
}

/// `m3`
fn change(value: &str) -> Option<Pattern> {
    Some(Pattern::Change(MutationId(value.strip_prefix(['m', 'M'])?.parse().ok()?)))
}
