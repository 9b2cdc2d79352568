//! Names in a tree by host and day. A host names itself, so its name is hostile; a name in the tree says nothing
//! but letters, digits, `.`, `_`, `-` and `%xx`, and leads nowhere else.

use std::fmt::Write as _;

use crate::export::csv::time;
use crate::export::origin::Origin;

/// What Hive calls the partition of null: engines know it.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// Bytes of a name, at most; file systems allow 255.
const LONGEST: usize = 120;

const DAY: u64 = 86_400 * 1_000_000_000;

/// Days since 1970; `None`: not known.
pub(super) fn day(origin: &Origin, at_ns: u64) -> Option<u64> {
    Some(origin.wall(at_ns)? / DAY)
}

/// `host=NAME/day=2026-11-25`
pub(super) fn partition(origin: &Origin, at_ns: u64) -> String {
    let host = origin.host.as_deref().map_or_else(|| NULL.into(), encode);
    let day = origin.wall(at_ns).map(time);
    let day = day.as_deref().and_then(|time| time.get(..10)).unwrap_or(NULL);
    format!("host={host}/day={day}")
}

/// The same for the same recording, so that a second export of it finds the first; another for any other: pieces of
/// one trace in several files begin with other rows.
pub(super) fn file(origin: &Origin, first_ns: u64, nth: u32) -> String {
    let trace = if origin.trace.is_empty() { "unknown".into() } else { encode(&origin.trace) };
    let more = if nth > 1 { format!("-{nth}") } else { String::new() };
    format!("{trace}-{first_ns}{more}.parquet")
}

/// As in a URL, `%2F`; what is too long is cut and told apart by a checksum.
fn encode(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if out.bytes().all(|b| b == b'.') {
        // `.` and `..` lead elsewhere.
        out = out.replace('.', "%2E");
    }
    if out.len() > LONGEST {
        out.truncate(LONGEST);
        let _ = write!(out, "-{:08x}", crc32fast::hash(name.as_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TraceInfo;

    fn of(host: &str) -> Origin {
        let start_realtime_ns = 1_700_000_000_000_000_000;
        Origin::new(&TraceInfo { host: host.into(), start_realtime_ns, ..TraceInfo::default() })
    }

    #[test]
    fn a_host_leads_nowhere_else() {
        for (host, name) in [
            ("web-1.example.org", "host=web-1.example.org/day=2023-11-14"),
            ("..", "host=%2E%2E/day=2023-11-14"),
            ("", "host=__HIVE_DEFAULT_PARTITION__/day=2023-11-14"),
            ("../../etc/passwd", "host=..%2F..%2Fetc%2Fpasswd/day=2023-11-14"),
            ("a\n\x1b[2J=%", "host=a%5Cn%5Cx1b%5B2J%3D%25/day=2023-11-14"),
            ("hé", "host=h%C3%A9/day=2023-11-14"),
        ] {
            assert_eq!(partition(&of(host), 0), name);
        }
        let long = partition(&of(&"/".repeat(1000)), 0);
        assert!(long.len() < 200, "{long}");
        assert_ne!(long, partition(&of(&"/".repeat(1001)), 0));
        assert_eq!(file(&of("x"), 7, 1), "1700000000000000000-x-7.parquet");
        assert_eq!(file(&of("x"), 7, 2), "1700000000000000000-x-7-2.parquet");
    }

    #[test]
    fn days_end_at_midnight_utc() {
        let to_midnight = 6400 * 1_000_000_000;
        assert_eq!(partition(&of("x"), to_midnight - 1), "host=x/day=2023-11-14");
        assert_eq!(partition(&of("x"), to_midnight), "host=x/day=2023-11-15");
        assert_eq!(partition(&of("x"), u64::MAX), "host=x/day=__HIVE_DEFAULT_PARTITION__");
    }
}
