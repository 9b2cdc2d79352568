//! One line for each closed transfer: live use, when stdout is not JSON. Fits 120 columns.

use std::io::{self, Write};

use super::{Sink, Summary};
use crate::model::{Fact, LossLine, Mutation, Outcome, Transfer, Verdict};
use crate::text;

/// Of a line, its end included.
const WIDTH: usize = 120;
const PROCESS: usize = 14;
const FILE: usize = 19;
const RANGE: usize = 15;
const PEER: usize = 20;

/// Writes lines under a header.
pub struct Lines<W: Write> {
    to: W,
    start_ns: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, start_ns: 0 }
    }

    fn row(&mut self, cells: [&str; 9]) -> io::Result<()> {
        let [time, process, api, file, range, peer, gap, exposure, end] = cells;
        writeln!(
            self.to,
            "{time:>9} {process:<PROCESS$} {api:<8} {file:<FILE$} {range:>RANGE$} {peer:<PEER$} {gap:>7} {exposure:>7} {end}",
        )
    }

    fn transfer(&mut self, t: &Transfer) -> io::Result<()> {
        let peer = match &t.socket {
            None => "(pipe)".to_owned(),
            Some(s) => text::addr(&s.remote)
                .or_else(|| text::addr(&s.local))
                .unwrap_or_else(|| text::family(s.family).into_owned()),
        };
        let end = match t.outcome {
            _ if t.verdict == Verdict::Mutated => "MUTATED",
            Outcome::Released => t.released_by.map_or("released", text::released_by),
            other => text::outcome(other),
        };
        let some = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), text::ns);
        self.row([
            &self.time(t.submit_ns),
            &text::shorten(&format!("{}/{}", text::harmless(&t.comm), t.pid), PROCESS),
            text::api(t.api),
            &text::shorten(&text::source(t), FILE),
            &text::shorten(&range(t), RANGE),
            &text::shorten(&peer, PEER),
            &some(t.gap_ns()),
            &some(t.exposure_ns()),
            end,
        ])
    }

    /// After the transfers it hit.
    fn mutation(&mut self, m: &Mutation) -> io::Result<()> {
        let who = text::writer(m);
        let hits = text::transfers(m.hits.len() as u64);
        let head = format!("{:>9} {} {} by {who}: ", self.time(m.at_ns), m.id, text::mutation(m.kind));
        let tail = format!(" {}, hit {hits}", text::span(m.file.as_ref(), m.offset, m.len));
        let room = WIDTH.saturating_sub(head.chars().count() + tail.chars().count());
        writeln!(self.to, "{head}{}{tail}", text::shorten(&text::changed(m), room.max(8)))
    }

    fn loss(&mut self, l: &LossLine) -> io::Result<()> {
        let (from, to) = (self.time(l.from_ns), self.time(l.to_ns));
        writeln!(self.to, "{to:>9} {} (since {from})", text::loss_sentence(l.what, l.records))
    }

    /// Seconds since the trace began: microseconds where nine characters have room for them.
    fn time(&self, ns: u64) -> String {
        let ns = ns.saturating_sub(self.start_ns);
        let mut text = format!("{}.{:06}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000);
        let seconds = text.find('.').unwrap_or_default();
        text.truncate(seconds.max(9));
        text.trim_end_matches('.').into()
    }
}

impl<W: Write> Sink for Lines<W> {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        match fact {
            Fact::Trace(t) => {
                self.start_ns = t.start_ns;
                for missing in text::missing(t) {
                    writeln!(self.to, "{}", text::shorten(&missing, WIDTH))?;
                }
                self.row(["TIME", "PROCESS", "API", "FILE", "OFFSET+BYTES", "PEER", "GAP", "EXPOSED", "END"])
            }
            Fact::Transfer(t) => self.transfer(t),
            Fact::Mutation(m) => self.mutation(m),
            Fact::Loss(l) => self.loss(l),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.to.flush()
    }
}

/// Exact where there is room for it.
fn range(t: &Transfer) -> String {
    // A call that has not returned has not said how many.
    let exact = match t.moved() {
        Some(bytes) => text::span(t.file.as_ref(), t.offset, Some(bytes)),
        None if t.file.is_none() => format!("{:#x}+?", t.offset),
        None => format!("{}+?", t.offset),
    };
    if t.file.is_none() || exact.len() <= RANGE {
        return exact;
    }
    let bytes = t.moved().map_or_else(|| "?".into(), text::bytes);
    format!("{}+{bytes}", text::bytes(t.offset)).replace(' ', "")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::net::Ipv6Addr;
    use std::sync::Arc;

    use super::*;
    use crate::model::{LossWhat, SockAddr, SockRef};
    use crate::sink::fixture::{START, held, info, loss, mutation, transfer};

    fn lines(facts: &[Fact]) -> String {
        let mut lines = Lines::new(Vec::new());
        for fact in facts {
            lines.fact(fact).unwrap();
        }
        lines.flush().unwrap();
        let text = String::from_utf8(lines.to).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.chars().any(text::acts), "{line:?}");
        }
        text
    }

    /// As wide as it gets.
    fn wide() -> Transfer {
        let mut t = transfer(999);
        t.comm = b"kworker-of-note".as_slice().into();
        t.pid = 4_194_304;
        t.offset = u64::MAX >> 1;
        t.bytes = 1_047_552;
        t.submit_ns = START + 123_456_789_012_345;
        t.return_ns = Some(t.submit_ns + 100_000);
        t.release_ns = Some(t.submit_ns + 999_000);
        if let Some(file) = &mut t.file {
            file.path = Some(b"/srv/www/releases/2026/site-1.2.3.tar".as_slice().into());
        }
        t.socket = t.socket.map(|s| {
            let remote = SockAddr::Inet(
                Ipv6Addr::from([0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).into(),
                443,
            );
            Arc::new(SockRef { remote, ..(*s).clone() })
        });
        t
    }

    #[test]
    fn a_header_and_aligned_lines() {
        let facts = [
            Fact::Trace(Box::new(info())),
            Fact::Transfer(Box::new(transfer(2))),
            Fact::Transfer(Box::new(wide())),
            Fact::Transfer(Box::new(held())),
            Fact::Transfer(Box::new(Transfer { verdict: Verdict::Mutated, ..transfer(2) })),
            Fact::Mutation(Box::new(mutation())),
            loss(LossWhat::Ring, 3),
        ];
        assert_eq!(lines(&facts), "\
MISSING probe tcp:tcp_probe: not in this kernel
     TIME PROCESS        API      FILE                   OFFSET+BYTES PEER                     GAP EXPOSED END
 1.234567 nginx/4242     sendfile /srv/www/site.tar        4096+65536 192.168.1.7:54321    2.00 ms 1.50 ms receiver_read
123456.78 kwor…e/4194304 sendfile /srv/w…te-1.2.3.tar 8388…iB+1023KiB [2001:…:90a:b0c]:443  999 µs  899 µs receiver_read
 1.234567 e\\x1…\\xff/4242 splice   ino 99 on 0:27           4096+65536 (pipe)                     -       - held
 1.234567 nginx/4242     sendfile /srv/www/site.tar        4096+65536 192.168.1.7:54321    2.00 ms 1.50 ms MUTATED
 1.234667 m1 write by e\\x1b[2J\\xff/7: /srv/www/site.tar 5000+100, hit 1 transfer
 0.040000 LOST 3 records: transfers open at that time are `unknown` (since 0.000000)
");
    }

    #[test]
    fn a_call_that_has_not_returned() {
        let mut t = held();
        t.return_ns = None;
        assert_eq!(range(&t), "4096+?");
        t.offset = 1 << 60;
        assert_eq!(range(&t), "1048576TiB+?");
    }
}
