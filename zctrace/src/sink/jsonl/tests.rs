#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::model::{LossWhat, MutationKind, SeenBy, SockAddr};
use crate::sink::fixture;

fn json(fact: &Fact) -> String {
    let mut lines = JsonLines::new(Vec::new());
    lines.fact(fact).unwrap();
    let text = String::from_utf8(lines.to).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    text
}

#[test]
fn the_trace() {
    assert_eq!(
        json(&Fact::Trace(Box::new(fixture::info()))),
        concat!(
            r#"{"type":"trace","schema":1,"tool":"zctrace 0.1.0","host":"fileserver","kernel":"6.12.1","start_ns":5000000000,"#,
            r#""start_realtime_ns":1700000000000000000,"filters":["pid=4242"],"probes":["#,
            r#"{"name":"kmem:kfree","state":"attached"},"#,
            r#"{"name":"tcp:tcp_probe","state":"missing","reason":"not in this kernel"}],"#,
            r#""fingerprint":{"mode":"off"}}"#,
            "\n"
        )
    );
}

#[test]
fn a_transfer() {
    assert_eq!(
        json(&Fact::Transfer(Box::new(fixture::transfer(2)))),
        concat!(
            r#"{"type":"transfer","id":"3-17","api":"sendfile","pid":4242,"tid":4243,"comm":"nginx","#,
            r#""cgroup":"/system.slice/nginx.service","file":{"dev":"8:1","ino":12,"path":"/srv/www/site.tar"},"#,
            r#""memory":null,"offset":4096,"requested":1048576,"bytes":65536,"socket":{"cookie":77,"id":"844424930131984","#,
            r#""family":"inet","proto":"tcp","local":"127.0.0.1:80","remote":"192.168.1.7:54321"},"zero_copy":true,"copied_because":null,"#,
            r#""submit_ns":6234567890,"return_ns":6235067890,"notify_ns":null,"notify_copied":null,"first_xmit_ns":6234587890,"#,
            r#""ack_ns":6234967890,"release_ns":6236567890,"gap_ns":2000000,"exposure_ns":1500000,"retransmits":0,"#,
            r#""released_by":"receiver_read","outcome":"released","verdict":"unknown","#,
            r#""content":null,"reasons":["mutations-unwatched"],"rules":[],"mutations":[]}"#,
            "\n"
        )
    );
}

#[test]
fn a_mutation() {
    assert_eq!(
        json(&Fact::Mutation(Box::new(fixture::mutation()))),
        concat!(
            r#"{"type":"mutation","id":"m1","kind":"write","pid":7,"tid":8,"comm":"e\\x1b[2J\\xff","#,
            r#""file":{"dev":"8:1","ino":12,"path":"/srv/www/site.tar"},"offset":5000,"len":100,"#,
            r#""at_ns":6234667890,"end_ns":6234668890,"seen_by":"syscall","#,
            r#""hits":[{"transfer":"3-17","phase":"in_flight"}]}"#,
            "\n"
        )
    );
}

#[test]
fn a_mutation_by_nobody_on_record() {
    let mut m = fixture::mutation();
    (m.kind, m.seen_by) = (MutationKind::Unattributed, SeenBy::Fingerprint);
    (m.pid, m.tid, m.len, m.end_ns) = (None, None, None, None);
    assert_eq!(
        json(&Fact::Mutation(Box::new(m))),
        concat!(
            r#"{"type":"mutation","id":"m1","kind":"unattributed","pid":null,"tid":null,"comm":null,"#,
            r#""file":{"dev":"8:1","ino":12,"path":"/srv/www/site.tar"},"offset":5000,"len":null,"#,
            r#""at_ns":6234667890,"end_ns":null,"seen_by":"fingerprint","#,
            r#""hits":[{"transfer":"3-17","phase":"in_flight"}]}"#,
            "\n"
        )
    );
}

#[test]
fn what_is_not_known_is_null() {
    let mut t = fixture::held();
    t.return_ns = None;
    assert_eq!(
        json(&Fact::Transfer(Box::new(t))),
        concat!(
            r#"{"type":"transfer","id":"3-17","api":"splice","pid":4242,"tid":4243,"comm":"e\\x1b[2J\\xff","#,
            r#""cgroup":null,"file":{"dev":"0:27","ino":99,"path":null},"#,
            r#""memory":null,"offset":4096,"requested":1048576,"bytes":null,"socket":null,"zero_copy":true,"copied_because":null,"#,
            r#""submit_ns":6234567890,"return_ns":null,"notify_ns":null,"notify_copied":null,"first_xmit_ns":null,"#,
            r#""ack_ns":null,"release_ns":null,"gap_ns":null,"exposure_ns":null,"retransmits":0,"#,
            r#""released_by":null,"outcome":"held","verdict":"unknown","#,
            r#""content":null,"reasons":["mutations-unwatched"],"rules":[],"mutations":[]}"#,
            "\n"
        )
    );
}

#[test]
fn a_unix_socket_has_no_proto() {
    let s = SockRef {
        id: 1,
        cookie: None,
        family: 1,
        proto: 0,
        local: SockAddr::Unix(b"\0x".as_slice().into()),
        remote: SockAddr::None,
    };
    assert_eq!(
        serde_json::to_string(&socket(&s)).unwrap(),
        r#"{"cookie":null,"id":"1","family":"unix","proto":null,"local":"@x","remote":null}"#
    );
}

#[test]
fn hostile_names_are_kept_but_cannot_act() {
    let name = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\n\"\u{e0041}日本";
    let mut t = fixture::transfer(1);
    t.comm = name.as_bytes().into();
    let line = json(&Fact::Transfer(Box::new(t)));
    assert!(line.contains(r#""comm":"a\u001b[2J\u007f\u009b31m\u202e\n\"\udb40\udc41日本""#), "{line}");
    let back: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(back.get("comm").and_then(|c| c.as_str()), Some(name));
    assert!(!line.trim_end().chars().any(text::acts));
}

#[test]
fn a_loss() {
    let line = r#"{"type":"loss","what":"ring","cpu":1,"from_ns":5000000000,"to_ns":5040000000,"records":3}"#;
    assert_eq!(json(&fixture::loss(LossWhat::Ring, 3)), format!("{line}\n"));
}

fn finish(s: &Summary) -> String {
    let mut lines = JsonLines::new(Vec::new());
    lines.finish(s).unwrap();
    String::from_utf8(lines.to).unwrap()
}

#[test]
fn a_summary() {
    let mut s = Summary::default();
    for ms in 1..=4 {
        s.add(&Fact::Transfer(Box::new(fixture::transfer(ms))));
    }
    s.add(&Fact::Transfer(Box::new(fixture::held())));
    s.add(&fixture::loss(LossWhat::Ring, 3));
    assert_eq!(
        finish(&s),
        concat!(
            r#"{"type":"summary","transfers":5,"released":4,"held":1,"unknown":0,"mutated":0,"lost_records":3,"#,
            r#""gap":{"p50":2000895,"p90":4000000,"p99":4000000,"max":4000000},"#,
            r#""exposure":{"p50":1500159,"p90":3500000,"p99":3500000,"max":3500000}}"#,
            "\n"
        )
    );
    let nothing = r#""gap":{"p50":null,"p90":null,"p99":null,"max":null}"#;
    assert!(finish(&Summary::default()).contains(nothing));
}

#[test]
fn a_reader_that_left() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let e = JsonLines::new(Closed).fact(&fixture::loss(LossWhat::Ring, 1)).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::BrokenPipe);
}
