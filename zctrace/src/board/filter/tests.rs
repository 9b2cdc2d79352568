#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::board::Lent;
use crate::board::group::{Groups, Kind};
use crate::engine::Stage;
use crate::model::{
    Content, Copied, FileId, FileRef, Hit, Memory, MemoryKind, MutationId, MutationKind, Outcome, Phase,
    Reason, ReleasedBy, SeenBy, SockAddr, SockRef, Transfer, TransferId, Verdict,
};
use crate::sink::fixture;

fn socket(id: u64, local: SockAddr, remote: SockAddr) -> Option<Arc<SockRef>> {
    Some(Arc::new(SockRef { id, cookie: Some(77), family: 2, proto: 6, local, remote }))
}

fn unix(name: &[u8]) -> SockAddr {
    SockAddr::Unix(name.into())
}

fn ip(text: &str, port: u16) -> SockAddr {
    SockAddr::Inet(text.parse().unwrap(), port)
}

/// Has nearly everything that a transfer can have.
fn full() -> Transfer {
    Transfer {
        id: TransferId { cpu: 3, seq: 17 },
        socket: socket(16, ip("127.0.0.1", 80), ip("192.168.1.7", 54_321)),
        copied: Some(Copied::Loopback),
        retransmits: 2,
        released_by: Some(ReleasedBy::Ack),
        verdict: Verdict::Mutated,
        content: Some(Content::Mixed),
        rules: vec!["write-in-window"],
        mutations: vec![MutationId(3)],
        ..fixture::transfer(2000)
    }
}

/// Anonymous memory over IPv6, nothing else known.
fn memory() -> Transfer {
    Transfer {
        id: TransferId { cpu: 0, seq: 170 },
        pid: 1,
        tid: 1,
        comm: b"Stra\xc3\x9fe".as_slice().into(),
        cgroup: None,
        api: crate::model::Api::MsgZerocopy,
        file: None,
        memory: Some(Memory {
            kind: MemoryKind::Anonymous,
            address: 0x7f00_0000,
            buffers: 1,
            registered: false,
        }),
        offset: 0x7f00_0000,
        bytes: 10,
        socket: socket(17, ip("fe80::1", 443), ip("2001:db8::1", 99)),
        release_ns: None,
        released_by: None,
        outcome: Outcome::Held,
        verdict: Verdict::Clean,
        reasons: vec![Reason::StillLent],
        ..fixture::transfer(0)
    }
}

fn item(t: Transfer, stage: Option<Stage>, so_far: &[Mutation]) -> Item {
    Item { t: Arc::new(t), stage, so_far: so_far.into() }
}

fn closed(t: Transfer) -> Item {
    item(t, None, &[])
}

fn items() -> Vec<Item> {
    let open = Transfer { bytes: 5, return_ns: None, ..fixture::held() };
    vec![closed(full()), closed(memory()), item(open, Some(Stage::Open), &[])]
}

/// Cut from 5000 on, by the fingerprints.
fn cut() -> Mutation {
    let hit = |seq| Hit { transfer: TransferId { cpu: 3, seq }, phase: Phase::InFlight };
    Mutation {
        id: MutationId(3),
        kind: MutationKind::Truncate,
        pid: Some(4242),
        tid: Some(4243),
        comm: b"nginx: cp".as_slice().into(),
        seen_by: SeenBy::Fingerprint,
        hits: vec![hit(17), hit(18)],
        ..fixture::mutation()
    }
}

fn mutations() -> Vec<Mutation> {
    let nobody = Mutation {
        id: MutationId(0),
        pid: None,
        tid: None,
        comm: Arc::default(),
        file: None,
        offset: 2 << 20,
        len: None,
        hits: vec![Hit { transfer: TransferId::MIN, phase: Phase::AfterAck }],
        ..fixture::mutation()
    };
    vec![fixture::mutation(), cut(), nobody]
}

fn rows() -> Vec<Row> {
    let kinds = [Kind::Sources, Kind::Peers, Kind::Sockets, Kind::Processes];
    let mut rows = Vec::new();
    for mut groups in kinds.map(Groups::new) {
        (0..101).for_each(|_| groups.add(&full()));
        groups.add(&Transfer { verdict: Verdict::Unknown, ..full() });
        groups.add(&memory());
        groups.changed(&cut());
        let lent = |pages| Lent { windows: pages, bytes: pages << 21, pages, ..Lent::default() };
        rows.extend((0..).zip(groups.iter()).map(|(i, g)| Row { group: Arc::clone(g), lent: lent(i) }));
    }
    rows
}

fn picture() -> Picture {
    let mutations = mutations().into_iter().rev().map(Arc::new).collect();
    Picture { now_ns: fixture::START + 10_000_000_000, mutations, ..Picture::empty() }
}

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e} at {:?}", e.at))
}

/// Of each subject whether the filter holds.
fn of_items(text: &str) -> Vec<bool> {
    let (filter, picture) = (filter(text), picture());
    items().iter().map(|i| filter.item(i, &picture)).collect()
}

fn of_mutations(text: &str) -> Vec<bool> {
    let (filter, picture) = (filter(text), picture());
    mutations().iter().map(|m| filter.mutation(m, &picture)).collect()
}

fn of_rows(text: &str) -> Vec<bool> {
    let (filter, picture) = (filter(text), picture());
    rows().iter().map(|r| filter.row(r, &picture)).collect()
}

fn holds(text: &str, t: Transfer) -> bool {
    filter(text).item(&closed(t), &picture())
}

fn wrong(text: &str) -> (&str, String) {
    let e = Filter::parse(text).unwrap_err();
    (&text[e.at], e.message)
}

#[test]
fn every_example_holds_of_some_and_not_of_others() {
    for f in FIELDS {
        for (subject, held) in [
            (Subject::Transfer, of_items(f.example)),
            (Subject::Change, of_mutations(f.example)),
            (Subject::Group, of_rows(f.example)),
        ] {
            if f.on(subject) {
                assert!(held.contains(&true) && held.contains(&false), "{} {subject:?} {held:?}", f.example);
            } else {
                assert!(!held.contains(&true), "{} {subject:?}", f.example);
            }
        }
        let on = [Subject::Transfer, Subject::Change, Subject::Group].map(|s| f.on(s));
        assert_ne!(on, [false; 3], "{}", f.name);
        assert!(f.example.starts_with(f.name) && !f.meaning.is_empty());
        assert_eq!(FIELDS.iter().filter(|other| other.name == f.name).count(), 1, "{}", f.name);
    }
}

#[test]
fn every_word_can_be_written() {
    for f in FIELDS {
        for word in f.words() {
            filter(&format!("{}:{word}", f.name));
            filter(&format!("-{}:{}", f.name.to_uppercase(), word.to_uppercase()));
        }
    }
    let words = |name| field::find(name).unwrap().words();
    assert_eq!(words("state"), ["open", "closing", "closed"]);
    assert_eq!((words("copied")[0], words("copied")[2]), ("yes", "direct-io"));
    assert_eq!(words("rule").len(), crate::engine::rules::RULES.len());
    assert!(words("pid").is_empty());
}

#[test]
fn nothing_asked_holds_of_everything() {
    for text in ["", "   \t\n"] {
        assert_eq!(filter(text), Filter::default());
        assert!(filter(text).is_empty());
        assert!([of_items(text), of_mutations(text), of_rows(text)].concat().iter().all(|held| *held));
    }
    assert!(!filter("a").is_empty());
    assert_eq!(filter("  a  pid:1 ").text(), "a  pid:1");
}

#[test]
fn bare_words_are_part_of_what_is_shown() {
    for (text, held) in [
        ("NGINX", [true, false, false]),
        ("nginx/4242", [true, false, false]),
        ("srv/www", [true, false, false]),
        ("SendFile", [true, false, false]),
        ("192.168.1", [true, false, false]),
        ("127.0.0.1:80", [true, false, false]),
        ("[fe80::1]:443", [false, true, false]),
        ("2001:db8::1", [false, true, false]),
        ("::1", [false, true, false]),
        ("system.slice", [true, false, false]),
        ("3-17", [true, false, true]),
        ("anonymous", [false, true, false]),
        ("strasse", [false, false, false]),
        ("STRAßE", [false, true, false]),
        ("pipe", [false, false, true]),
        ("ino 99", [false, false, true]),
        ("\"99 ino\"", [false, false, false]),
        ("\"ino 99 on 0:27\"", [false, false, true]),
        ("nginx site sendfile", [true, false, false]),
        ("nginx splice", [false, false, false]),
        // Not a glob.
        ("site*", [false, false, false]),
        ("open", [false, false, false]),
    ] {
        assert_eq!(of_items(text), held, "{text}");
    }
    for (text, held) in [
        ("truncate", [false, true, false]),
        ("m3", [false, true, false]),
        ("m0", [false, false, false]),
        ("cp/4242", [false, true, false]),
        ("nobody", [false, false, true]),
        ("memory", [false, false, true]),
        ("site.tar", [true, true, false]),
    ] {
        assert_eq!(of_mutations(text), held, "{text}");
    }
    // Each kind of group has the full one and the one of memory.
    let count = |text| of_rows(text).iter().filter(|held| **held).count();
    assert_eq!(of_rows("").len(), 8);
    for (text, n) in [
        ("site.tar", 1),
        ("192.168.1.7", 2),
        ("127.0.0.1:80", 1),
        ("nginx", 1),
        ("nginx.service", 1),
        ("straße/1", 2),
        ("memory", 1),
    ] {
        assert_eq!(count(text), n, "{text}");
    }
}

#[test]
fn terms_can_be_negated() {
    for (text, not) in [("nginx", "!nginx"), ("gap>10ms", "-gap>10ms"), ("kind:write", "!kind:write")] {
        let held: Vec<bool> = of_items(text).iter().map(|held| !held).collect();
        assert_eq!(of_items(not), held, "{not}");
    }
    // They have none, so it does not hold; nor does it of what is not known yet.
    assert_eq!(of_items("-kind:write"), [true; 3]);
    assert_eq!(of_items("-verdict:clean"), [true, false, true]);
    assert_eq!(of_items("nginx -verdict:clean"), [true, false, false]);
    let dash = Transfer { comm: b"-verdict:clean".as_slice().into(), ..full() };
    assert!(holds("\"-verdict:clean\"", dash.clone()));
    assert!(!holds("-\"-verdict:clean\"", dash));
    // What has a dash or a bang elsewhere.
    assert_eq!(of_items("3-17"), [true, false, true]);
}

#[test]
fn numbers() {
    for (text, held) in [
        ("pid:4242", true),
        ("pid=4242", true),
        ("pid:1,4242", true),
        ("pid=1,4242", true),
        ("pid>4241", true),
        ("pid>4242", false),
        ("pid>=4242", true),
        ("pid>=4243", false),
        ("pid<4243", true),
        ("pid<4242", false),
        ("pid<=4242", true),
        ("pid<=4241", false),
        ("pid:0x1092", true),
        ("pid:\"4242\"", true),
        ("port:54321", true),
        ("port:80", true),
        ("port:5432", false),
        ("retransmits=2", true),
        ("mutations=1", true),
        ("sock:16", true),
        ("cookie:0x4d", true),
        ("ino:12", true),
        ("dev:8:1", true),
        ("dev:8:2,8:1", true),
        ("dev:8:17", false),
    ] {
        assert_eq!(holds(text, full()), held, "{text}");
    }
}

#[test]
fn durations_and_sizes() {
    for (text, held) in [
        ("gap=2s", true),
        ("gap=2000ms", true),
        ("gap:2.0s", true),
        ("gap>1.999999999s", true),
        ("gap>=2000000001ns", false),
        ("gap<3m", true),
        ("gap<1h", true),
        ("gap>2000000us", false),
        ("gap>=2000000µs", true),
        ("gap>0", true),
        ("gap=\"2.00 s\"", true),
        ("exposure=1999.5ms", true),
        ("age=2s", true),
        ("bytes=64K", true),
        ("bytes:64kib", true),
        ("bytes=\"64.0 KiB\"", true),
        ("bytes=65536", true),
        ("bytes<1M", true),
        ("bytes<2G", true),
        ("bytes>0.0625M", false),
        ("bytes>=0.0625M", true),
        ("offset=4K", true),
        ("offset:0x1000", true),
    ] {
        assert_eq!(holds(text, full()), held, "{text}");
    }
    // A window that is open: what it lends, and until now.
    assert_eq!(of_items("state:open bytes=1M age>8s"), [false, false, true]);
    assert_eq!(of_items("gap>=0"), [true, false, false]);
    // All that follow.
    assert_eq!(of_mutations("len>1T"), [false, false, true]);
}

#[test]
fn names_are_parts_or_globs() {
    for (text, held) in [
        ("comm:GIN", true),
        ("comm:apache,nginx", true),
        ("comm:apache", false),
        ("comm:n*", true),
        ("comm:g*", false),
        ("comm:ngin?", true),
        ("comm:N*", false),
        ("file:www", true),
        ("file:*.tar", true),
        ("file:/srv/*", true),
        ("file:/srv/???/site.tar", true),
        ("file:site.*", false),
        ("file:*.zip,*.tar", true),
        ("file:\"*.{zip,tar}\"", true),
        ("cgroup:/system.slice/*.service", true),
        ("peer:192.168.1.7", true),
        ("peer:192.168.1", true),
        ("peer:192.168.1.*", true),
        ("peer:92.168.1.7", false),
        ("peer:::ffff:192.168.1.7", true),
        ("peer:10.0.0.1,192.168.1.7", true),
        ("peer:54321", false),
        ("local:127.0.0.1", true),
        ("local:::1", false),
        ("writer:cp", true),
        ("writer:cp/4242", true),
        ("writer:4242", true),
        ("writer:424", false),
        ("writer:nginx*", true),
        ("hit:m3", true),
        ("hit:m4", false),
        ("id:3-17", true),
        ("id:3-1", false),
        ("id:m3", false),
        ("copied:yes", true),
        ("copied:loopback", true),
        ("copied:no", false),
        ("copied:mptcp", false),
        ("copied>0", false),
        ("zerocopy:no", true),
        ("PID:4242", true),
    ] {
        assert_eq!(holds(text, full()), held, "{text}");
    }
}

#[test]
fn addresses_in_all_their_forms() {
    let mapped: IpAddr = Ipv6Addr::from_bits(0xffff_0a00_0001).into();
    let to = |remote| Transfer { socket: socket(1, unix(b"/run/x y.sock"), remote), ..full() };
    assert!(holds("peer:10.0.0.1", to(SockAddr::Inet(mapped, 1))));
    assert!(holds("peer:10.0.", to(SockAddr::Inet(mapped, 1))));
    assert!(!holds("peer:10.0.0.10", to(SockAddr::Inet(mapped, 1))));
    assert!(holds("peer:[2001:DB8::0:1]", to(ip("2001:db8::1", 1))));
    // A server's end of a socket pair: the name is here.
    assert!(holds("peer:/run/x", to(SockAddr::None)));
    assert!(holds("peer:\"x y.sock\" local:/run/*", to(SockAddr::None)));
    let hidden = to(unix(b"\0hidden"));
    assert!(holds("peer:@hidden", hidden.clone()) && holds("peer:@h*", hidden.clone()));
    assert!(holds("@hid", hidden));
    assert!(holds("peer:pipe", Transfer { socket: None, ..full() }));
    assert!(holds("peer:inet", Transfer { socket: socket(1, SockAddr::None, SockAddr::None), ..full() }));
    // A group by peer is found by what its transfers are found by.
    for end in [SockAddr::None, unix(b"\0a"), ip("::1", 3), SockAddr::Inet(mapped, 1)] {
        let t = to(end);
        for text in ["peer:/run", "peer:@a", "peer:::1", "peer:10.0.0.1"] {
            let mut groups = [Groups::new(Kind::Peers), Groups::new(Kind::Sockets)];
            groups.iter_mut().for_each(|g| g.add(&t));
            for group in groups.iter().flat_map(Groups::iter) {
                let row = Row { group: Arc::clone(group), lent: Lent::default() };
                assert_eq!(filter(text).row(&row, &picture()), holds(text, t.clone()), "{text} {group:?}");
            }
        }
    }
}

#[test]
fn a_verdict_is_one_once_it_is_known() {
    let with = |stage, so_far: &[Mutation]| {
        item(Transfer { mutations: Vec::new(), verdict: Verdict::Unknown, ..full() }, stage, so_far)
    };
    for (stage, word) in [(Some(Stage::Open), "open"), (Some(Stage::Closing), "closing"), (None, "closed")] {
        let i = with(stage, &[]);
        assert!(filter(&format!("state:{word}")).item(&i, &picture()));
        for text in ["verdict:unknown", "outcome:released"] {
            assert_eq!(filter(text).item(&i, &picture()), stage.is_none(), "{text} {word}");
        }
        assert!(filter("changed:no mutations=0").item(&i, &picture()));
    }
    let changed = with(Some(Stage::Open), &[fixture::mutation()]);
    assert!(filter("changed:yes mutations=1 writer:7").item(&changed, &picture()));
    assert!(!filter("writer:cp").item(&changed, &picture()));
}

#[test]
fn groups() {
    // Of each kind the one of memory is first or last; what was sent a hundred times is the other.
    assert_eq!(of_rows("transfers:102").iter().filter(|held| **held).count(), 4);
    assert_eq!(of_rows("bytes=10 transfers<=1").iter().filter(|held| **held).count(), 4);
    for text in ["mutated=101", "unknown=1", "retransmits=204", "copied=102", "gap>=1.9s", "exposure>1.9s"] {
        let text = format!("{text} transfers:102");
        assert_eq!(of_rows(&text).iter().filter(|held| **held).count(), 4, "{text}");
    }
    assert_eq!(of_rows("changes=1 hits=2").iter().filter(|held| **held).count(), 2);
    assert_eq!(of_rows("open=1 lent=2M").iter().filter(|held| **held).count(), 4);
    // Nothing of it was released.
    assert!(!of_rows("gap>=0 transfers:1").contains(&true));
}

#[test]
fn quotes() {
    let t = Transfer { comm: b"a b, \"c\" \\x:y>1".as_slice().into(), ..full() };
    for text in [
        r#""a b""#,
        r#"a" "b"#,
        r#"comm:"a b""#,
        r#"comm:"b, ""#,
        r#"comm:z,"b, ""#,
        r#""\"c\"""#,
        r#"comm:"\"c\" \x""#,
        r#"comm:"\\x""#,
        r#"comm:\x"#,
        r#""x:y>1""#,
        r#"x":"y"#,
        r#"comm:x:y>1"#,
        r#"comm:"a *""#,
    ] {
        assert!(holds(text, t.clone()), "{text}");
    }
    assert!(!holds("comm:a,b,d", full()));
}

#[test]
fn a_colon_may_be_a_part_of_text() {
    for text in
        ["fe80::1", "[::1]:80", "/srv/a:b", "10.0.0.1:80", "::", ":a", "\"comm\":x", "a-b:c", "é:1", "<"]
    {
        assert!(Filter::parse(text).unwrap().terms[0].field.is_none(), "{text}");
    }
}

#[test]
fn errors_say_where_and_what_to_write() {
    for (text, at, message) in [
        ("nginx foo:1", "foo", "there is no field `foo`: if it is text, put it in quotes"),
        ("pdi:1", "pdi", "there is no field `pdi`: write pid, or, if it is text, put it in quotes"),
        (
            "retrans>1",
            "retrans",
            "there is no field `retrans`: write retransmits, or, if it is text, put it in quotes",
        ),
        (
            "-verdikt:clean",
            "verdikt",
            "there is no field `verdikt`: write verdict, or, if it is text, put it in quotes",
        ),
        ("é verdict:bad", "bad", "no verdict is called `bad`: write one of clean, mutated, unknown"),
        ("verdict:clean,muta", "muta", "no verdict is called `muta`: write one of clean, mutated, unknown"),
        ("pid:nginx", "nginx", "`nginx` is no number: write for example pid:4242"),
        ("pid:", "pid:", "a value is missing: write for example pid:4242"),
        ("!pid:1,,2", "!pid:1,,2", "a value is missing: write for example pid:4242"),
        ("comm:\"\"", "comm:\"\"", "a value is missing: write for example comm:nginx"),
        ("pid>1,2", "1,2", "write one value: there can be several only after `pid:`"),
        ("pid!=1", "pid!=1", "the `!` comes first: write for example !pid:4242"),
        ("gap>10", "10", "`10` is no duration with ns, us, ms, s, m or h: write for example gap>10ms"),
        ("bytes>1X", "1X", "`1X` is no size in bytes, K, M, G or T: write for example bytes>=64K"),
        (
            "bytes>1.2.3K",
            "1.2.3K",
            "`1.2.3K` is no size in bytes, K, M, G or T: write for example bytes>=64K",
        ),
        (
            "age>999999999h",
            "999999999h",
            "`999999999h` is no duration with ns, us, ms, s, m or h: write for example age>1s",
        ),
        ("comm>a", "comm>a", "`comm` is neither more nor less: write for example comm:nginx"),
        ("comm=a", "comm=a", "`comm` is text: write for example comm:nginx"),
        (
            "api<=sendfile",
            "api<=sendfile",
            "`api` is neither more nor less: write for example api:sendfile,splice",
        ),
        ("copied>loopback", "loopback", "`loopback` is no number: write for example copied>0"),
        ("dev:8", "8", "`8` is no device number: write for example dev:8:1"),
        ("hit:3", "3", "`3` is no change: write for example hit:m3"),
        ("transfer:m3", "m3", "`m3` is no transfer: write for example transfer:3-17"),
        ("id:x", "x", "`x` is no transfer or change: write for example id:3-17,m3"),
        ("peer:10.0.0.1:80", "10.0.0.1:80", "an address has no port: write peer:10.0.0.1 port:80"),
        ("local:[::1]:80", "[::1]:80", "an address has no port: write local:::1 port:80"),
        ("a \"b c", "\"b c", "the quotes are not closed: write another \" at the end"),
        ("a \"\"", "\"\"", "there is nothing between the quotes: write some text"),
        (
            "a - b",
            "-",
            "write what must not hold, for example -verdict:clean; \"-\" and \"!\" in quotes are text",
        ),
        ("pid:\u{1b}", "\u{1b}", "`\\x1b` is no number: write for example pid:4242"),
    ] {
        assert_eq!(wrong(text), (at, message.into()), "{text}");
    }
    for text in ["file:*[", "file:*{"] {
        let (at, message) = wrong(text);
        assert_eq!(at, &text[5..]);
        assert!(message.starts_with("no glob: "), "{message}");
    }
    assert!(wrong(&format!("file:*{}", "a".repeat(2000))).1.contains("at most 1024 bytes"));
    assert_eq!(
        Filter::parse("pid:x").unwrap_err().to_string(),
        "`x` is no number: write for example pid:4242"
    );
}

#[test]
fn large_globs_are_no_danger() {
    for text in
        ["?".repeat(1000), "*?".repeat(500), "{".repeat(500) + "*" + &"}".repeat(500), "[*]".repeat(300)]
    {
        if let Ok(filter) = Filter::parse(&format!("file:{text}")) {
            assert!(!filter.item(&closed(full()), &picture()));
        }
    }
}

#[test]
fn hostile_names_are_found_as_they_are_shown() {
    let t = Transfer {
        comm: b"e\x1b[2J\xff\n\xe2\x80\xae".as_slice().into(),
        file: Some(FileRef { id: FileId::default(), path: Some(b"/\xff\x1b".as_slice().into()) }),
        ..full()
    };
    for text in [
        "comm:\\x1b[2j",
        "comm:\\XFF\\n",
        "\\u{202e}",
        "e\\x1b[2J\\xff\\n\\u{202e}/4242",
        // Pasted from elsewhere.
        "comm:\u{1b}[2J",
        "\u{202e}",
        "file:/\\xff\\x1b",
        // Raw bytes.
        "file:/??",
        "comm:\"e*\"",
    ] {
        assert!(holds(text, t.clone()), "{text:?}");
    }
    assert!(!holds("file:*x1b", t.clone()) && !holds("file:/?", t));
    // The fixture's writer, as it is shown.
    assert_eq!(of_mutations("e\\x1b[2j\\xff/7"), [true, false, false]);
    // Lower case does not depend on the place.
    let t = Transfer { comm: "ΟΔΟΣ".as_bytes().into(), ..full() };
    assert!(holds("οδοσ", t.clone()) && holds("ΟΔΟΣ", t.clone()) && holds("comm:Σ", t));
}

#[test]
fn it_can_be_told_what_a_view_does_not_have() {
    let f = filter("nginx gap>1s -kind:write verdict:clean");
    let names = |s| f.foreign(s).map(|f| f.name).collect::<Vec<_>>();
    assert_eq!(names(Subject::Transfer), ["kind"]);
    assert_eq!(names(Subject::Change), ["gap", "verdict"]);
    assert_eq!(names(Subject::Group), ["kind", "verdict"]);
}

fn try_all(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text) {
        Ok(f) => {
            prop_assert_eq!(f.text(), text.trim());
            let again = Filter::parse(f.text());
            prop_assert_eq!(again.as_ref(), Ok(&f));
            let again = again.unwrap();
            prop_assert_eq!(format!("{:?}", again.terms), format!("{:?}", f.terms));
            let picture = picture();
            for i in items() {
                prop_assert_eq!(f.item(&i, &picture), again.item(&i, &picture));
            }
            for m in mutations() {
                prop_assert_eq!(f.mutation(&m, &picture), again.mutation(&m, &picture));
            }
            for r in rows() {
                prop_assert_eq!(f.row(&r, &picture), again.row(&r, &picture));
            }
        }
        Err(e) => {
            prop_assert!(text.get(e.at.clone()).is_some_and(|part| !part.is_empty()), "{:?}", e);
            prop_assert!(!e.message.is_empty() && !e.message.contains(crate::text::acts));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_a_meaning_or_an_error(text in any::<String>()) {
        try_all(&text)?;
    }

    #[test]
    fn what_nearly_is_a_filter_has_a_meaning_or_an_error(
        terms in proptest::collection::vec(
            (
                "[-!]?\"?",
                0..FIELDS.len(),
                "(:|<|>|=|<=|>=|!=|)",
                "[a-z0-9.:\\[\\]{}*?,\"\\\\ -]{0,12}|[0-9]{1,20}(\\.[0-9]{0,30})?(ms|s|m|h|K|T|)|0x[0-9a-f]{1,17}",
            ),
            0..4,
        ),
    ) {
        let term = |(not, field, op, value): (String, usize, String, String)| {
            format!("{not}{}{op}{value}", FIELDS[field].name)
        };
        try_all(&terms.into_iter().map(term).collect::<Vec<_>>().join(" "))?;
    }
}
