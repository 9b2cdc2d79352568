//! Every field: what it takes, what it means, and where the kinds of subject have it.

use super::subject as of;
use super::value::{Matcher, Value};
use super::words;
use crate::board::{Item, Picture, Row};
use crate::model::Mutation;
use crate::text;

/// What a filter is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A transfer.
    Transfer,
    /// A change.
    Change,
    /// A file, a peer, a socket or a process.
    Group,
}

/// What may be written after a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    /// Part of a name, or a glob.
    Text,
    /// An IP address; else as text.
    Address,
    /// A process by number; else as text.
    Who,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// One of these words, or a number.
    WordOrNumber(fn() -> Vec<&'static str>),
    Number,
    Duration,
    Size,
    Device,
    /// `3-17`
    Transfer,
    /// `m3`
    Change,
    /// One or the other.
    Id,
}

/// Where a subject of some kind has it; `None`: nowhere.
type In<S> = Option<fn(&S, &Picture, &mut Matcher<'_>) -> bool>;

/// One field of the language.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// A term with it.
    pub example: &'static str,
    /// What it means.
    pub meaning: &'static str,
    pub(super) takes: Takes,
    in_item: In<Item>,
    in_mutation: In<Mutation>,
    in_row: In<Row>,
}

impl Field {
    /// Whether subjects of that kind have it. Of others no term with it holds, but its negation does.
    #[must_use]
    pub fn on(&self, subject: Subject) -> bool {
        match subject {
            Subject::Transfer => self.in_item.is_some(),
            Subject::Change => self.in_mutation.is_some(),
            Subject::Group => self.in_row.is_some(),
        }
    }

    /// The words that it takes; none: it takes something else.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        match self.takes {
            Takes::Word(words) | Takes::WordOrNumber(words) => words(),
            _ => Vec::new(),
        }
    }

    pub(super) fn of_item(&self, item: &Item, picture: &Picture, m: &mut Matcher<'_>) -> bool {
        self.in_item.is_some_and(|look| look(item, picture, m))
    }

    pub(super) fn of_mutation(&self, mutation: &Mutation, picture: &Picture, m: &mut Matcher<'_>) -> bool {
        self.in_mutation.is_some_and(|look| look(mutation, picture, m))
    }

    pub(super) fn of_row(&self, row: &Row, picture: &Picture, m: &mut Matcher<'_>) -> bool {
        self.in_row.is_some_and(|look| look(row, picture, m))
    }

    const fn item(mut self, look: fn(&Item, &Picture, &mut Matcher<'_>) -> bool) -> Self {
        self.in_item = Some(look);
        self
    }

    const fn mutation(mut self, look: fn(&Mutation, &Picture, &mut Matcher<'_>) -> bool) -> Self {
        self.in_mutation = Some(look);
        self
    }

    const fn row(mut self, look: fn(&Row, &Picture, &mut Matcher<'_>) -> bool) -> Self {
        self.in_row = Some(look);
        self
    }
}

const fn field(name: &'static str, takes: Takes, example: &'static str, meaning: &'static str) -> Field {
    Field { name, example, meaning, takes, in_item: None, in_mutation: None, in_row: None }
}

/// The field of that name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.name.eq_ignore_ascii_case(name))
}

/// Every field. Every example holds of something.
pub const FIELDS: &[Field] = &[
    // Who.
    field("pid", Takes::Number, "pid:4242", "process")
        .item(|i, _, m| m.number(i.t.pid))
        .mutation(|c, _, m| m.maybe(c.pid))
        .row(|r, _, m| m.maybe(of::row_process(r).map(|(pid, _)| pid))),
    field("tid", Takes::Number, "tid:4243", "thread")
        .item(|i, _, m| m.number(i.t.tid))
        .mutation(|c, _, m| m.maybe(c.tid)),
    field("comm", Takes::Text, "comm:nginx", "name of the process")
        .item(|i, _, m| m.raw(&i.t.comm))
        .mutation(|c, _, m| m.raw(&c.comm))
        .row(|r, _, m| of::row_process(r).is_some_and(|(_, comm)| m.raw(comm))),
    field("cgroup", Takes::Text, "cgroup:nginx.service", "cgroup v2 path")
        .item(|i, _, m| of::cgroup(i.t.cgroup.as_deref(), m))
        .row(|r, _, m| of::cgroup(of::row_cgroup(r), m)),
    field("writer", Takes::Who, "writer:cp", "who changed the bytes: process or name")
        .item(of::writers)
        .mutation(|c, _, m| of::writer(c, m)),
    // What.
    field("file", Takes::Text, "file:*.tar", "path of the file")
        .item(|i, _, m| i.t.file.as_ref().is_some_and(|f| of::file(f, m)))
        .mutation(|c, _, m| c.file.as_ref().is_some_and(|f| of::file(f, m)))
        .row(|r, _, m| of::row_file(r).is_some_and(|f| of::file(f, m))),
    field("ino", Takes::Number, "ino:12", "inode number of the file")
        .item(|i, _, m| m.maybe(i.t.file.as_ref().map(|f| f.id.ino)))
        .mutation(|c, _, m| m.maybe(c.file.as_ref().map(|f| f.id.ino)))
        .row(|r, _, m| m.maybe(of::row_file(r).map(|f| f.id.ino))),
    field("dev", Takes::Device, "dev:8:1", "device of the file, major:minor")
        .item(|i, _, m| m.maybe(i.t.file.as_ref().map(|f| f.id.dev)))
        .mutation(|c, _, m| m.maybe(c.file.as_ref().map(|f| f.id.dev)))
        .row(|r, _, m| m.maybe(of::row_file(r).map(|f| f.id.dev))),
    field("mem", Takes::Word(words::memories), "mem:anonymous", "kind of memory that was lent")
        .item(|i, _, m| i.t.memory.is_some_and(|of| m.word(text::memory(of.kind)))),
    field("offset", Takes::Size, "offset<1M", "first byte in the file; in memory, its address")
        .item(|i, _, m| m.number(i.t.offset))
        .mutation(|c, _, m| m.number(c.offset)),
    field("bytes", Takes::Size, "bytes>=64K", "bytes that were moved; of an open window, that are lent")
        .item(|i, _, m| m.number(of::bytes(i)))
        .row(|r, _, m| m.number(r.group.stats.bytes)),
    // Everything that follows is longer than anything.
    field("len", Takes::Size, "len<4K", "bytes that were changed")
        .mutation(|c, _, m| m.number(c.len.unwrap_or(u64::MAX))),
    // Where to.
    field(
        "peer",
        Takes::Address,
        "peer:192.168.1.7",
        "the other end: address, or name of its AF_UNIX socket",
    )
    .item(|i, _, m| of::peer(&crate::board::group::Peer::of(&i.t), m))
    .row(|r, _, m| of::row_peer(r, m)),
    field("local", Takes::Address, "local:127.0.0.1", "this end: address, or name of its AF_UNIX socket")
        .item(|i, _, m| i.t.socket.as_ref().is_some_and(|s| of::local(s, m)))
        .row(|r, _, m| of::row_socket(r).is_some_and(|s| of::local(s, m))),
    field("port", Takes::Number, "port:80", "port of either end")
        .item(|i, _, m| i.t.socket.as_ref().is_some_and(|s| of::port(s, m)))
        .row(|r, _, m| of::row_socket(r).is_some_and(|s| of::port(s, m))),
    field("sock", Takes::Number, "sock:16", "the trace's number of the socket")
        .item(|i, _, m| m.maybe(i.t.socket.as_ref().map(|s| s.id)))
        .row(|r, _, m| m.maybe(of::row_socket(r).map(|s| s.id))),
    field(
        "cookie",
        Takes::Number,
        "cookie:77",
        "the kernel's cookie of the socket; `ss -e` shows it in hexadecimal: 0x4d",
    )
    .item(|i, _, m| m.maybe(i.t.socket.as_ref().and_then(|s| s.cookie)))
    .row(|r, _, m| m.maybe(of::row_socket(r).and_then(|s| s.cookie))),
    // How, and what came of it.
    field("id", Takes::Id, "id:3-17,m3", "the transfer, or the change")
        .item(|i, _, m| m.see(&Value::Transfer(i.t.id)))
        .mutation(|c, _, m| of::change(c.id, m)),
    field("api", Takes::Word(words::apis), "api:sendfile,splice", "interface that lent the pages")
        .item(|i, _, m| m.word(text::api(i.t.api))),
    field("state", Takes::Word(words::states), "state:open", "whether the pages are lent now")
        .item(|i, _, m| m.word(words::state(i.stage))),
    field("verdict", Takes::Word(words::verdicts), "verdict:mutated,unknown", "whether the bytes changed")
        .item(|i, _, m| of::concluded(i).is_some_and(|t| m.word(text::verdict(t.verdict)))),
    field("outcome", Takes::Word(words::outcomes), "outcome:held", "whether the release was seen")
        .item(|i, _, m| of::concluded(i).is_some_and(|t| m.word(text::outcome(t.outcome)))),
    field("content", Takes::Word(words::contents), "content:mixed", "which version of the bytes went out")
        .item(|i, _, m| i.t.content.is_some_and(|c| m.word(text::content(c)))),
    field("by", Takes::Word(words::releases), "by:ack", "what released the pages")
        .item(|i, _, m| i.t.released_by.is_some_and(|by| m.word(text::released_by(by)))),
    field("reason", Takes::Word(words::reasons), "reason:still-lent", "why it is not certain")
        .item(|i, _, m| i.t.reasons.iter().any(|why| m.word(text::reason(*why).0))),
    field("rule", Takes::Word(words::rules), "rule:write-in-window", "rule that applies")
        .item(|i, _, m| i.t.rules.iter().any(|rule| m.word(rule))),
    field(
        "copied",
        Takes::WordOrNumber(words::copies),
        "copied:yes",
        "why the kernel copied, or whether; of a group, how often",
    )
    .item(|i, _, m| {
        m.word(words::yes(i.t.copied.is_some())) || i.t.copied.is_some_and(|by| m.word(text::copied(by).0))
    })
    .row(|r, _, m| {
        let n = r.group.stats.copied;
        m.number(n) || m.word(words::yes(n > 0))
    }),
    field("zerocopy", Takes::Word(words::yes_no), "zerocopy:yes", "whether the kernel did without a copy")
        .item(|i, _, m| m.word(words::yes(i.t.copied.is_none()))),
    field("retransmits", Takes::Number, "retransmits>0", "retransmissions")
        .item(|i, _, m| m.number(i.t.retransmits))
        .row(|r, _, m| m.number(r.group.stats.retransmits)),
    // How long.
    field("gap", Takes::Duration, "gap>10ms", "submit to release; of a group, what 99 in 100 stay below")
        .item(|i, _, m| m.maybe(i.t.gap_ns()))
        .row(|r, _, m| m.maybe(of::p99(&r.group.stats.gap))),
    field(
        "exposure",
        Takes::Duration,
        "exposure>1ms",
        "told to release; of a group, what 99 in 100 stay below",
    )
    .item(|i, _, m| m.maybe(i.t.exposure_ns()))
    .row(|r, _, m| m.maybe(of::p99(&r.group.stats.exposure))),
    field("age", Takes::Duration, "age>1s", "how long the pages have been lent, or were")
        .item(|i, p, m| m.maybe(i.age_ns(p.now_ns))),
    // Changes.
    field("changed", Takes::Word(words::yes_no), "changed:yes", "whether changes are on record, so far")
        .item(|i, _, m| m.word(words::yes(of::changes(i) > 0))),
    field("mutations", Takes::Number, "mutations>0", "changes on record, so far")
        .item(|i, _, m| m.count(of::changes(i))),
    field("hit", Takes::Change, "hit:m3", "a change that fell into its window")
        .item(|i, _, m| i.t.mutations.iter().any(|id| of::change(*id, m))),
    field("kind", Takes::Word(words::kinds), "kind:truncate", "how the bytes were changed")
        .mutation(|c, _, m| m.word(text::mutation(c.kind))),
    field("seen", Takes::Word(words::seers), "seen:fingerprint", "what showed the change")
        .mutation(|c, _, m| m.word(text::seen_by(c.seen_by))),
    field("transfer", Takes::Transfer, "transfer:3-17", "a transfer that the change fell into")
        .mutation(|c, _, m| c.hits.iter().any(|hit| m.see(&Value::Transfer(hit.transfer)))),
    field(
        "phase",
        Takes::Word(words::phases),
        "phase:in_flight",
        "how far a transfer was when the change fell into it",
    )
    .mutation(|c, _, m| c.hits.iter().any(|hit| m.word(text::phase(hit.phase)))),
    field("hits", Takes::Number, "hits>1", "windows that changes fell into")
        .mutation(|c, _, m| m.count(c.hits.len()))
        .row(|r, _, m| m.number(r.group.stats.hits)),
    field("changes", Takes::Number, "changes>0", "changes of the file, or by the process")
        .row(|r, _, m| m.number(r.group.stats.changes)),
    // Groups.
    field("transfers", Takes::Number, "transfers>100", "transfers whose fate is known")
        .row(|r, _, m| m.number(r.group.stats.transfers)),
    field("mutated", Takes::Number, "mutated>0", "transfers whose bytes could have changed")
        .row(|r, _, m| m.number(r.group.stats.mutated)),
    field("unknown", Takes::Number, "unknown>0", "transfers of which it is not known whether they did")
        .row(|r, _, m| m.number(r.group.stats.unknown)),
    field("open", Takes::Number, "open>0", "open windows").row(|r, _, m| m.number(r.lent.windows)),
    field("lent", Takes::Size, "lent>1M", "bytes that are lent now").row(|r, _, m| m.number(r.lent.bytes)),
];
