//! The words of which a field takes one exactly: those that are shown.

use crate::engine::Stage;
use crate::engine::rules::RULES;
use crate::model::{
    Api, Content, Copied, MemoryKind, MutationKind, Outcome, Phase, Reason, ReleasedBy, SeenBy, Verdict,
};
use crate::text;

/// The function gives the word of each of the values; one that is left out does not compile.
macro_rules! words {
    ($name:ident = $word:expr, $kind:ident { $($value:ident),* $(,)? }) => {
        pub(super) fn $name() -> Vec<&'static str> {
            const fn _all(one: $kind) {
                match one { $($kind::$value)|* => () }
            }
            [$($kind::$value),*].map($word).into()
        }
    };
}

words!(
    apis = text::api,
    Api { Sendfile, Splice, Vmsplice, MsgZerocopy, IoUringSplice, IoUringSendZc, IoUringSendmsgZc, Kernel }
);
words!(
    codes = |by| text::copied(by).0,
    Copied { DirectIo, SpliceRead, NoScatterGather, NotAsked, Mptcp, Tls, Loopback, Notified }
);
words!(memories = text::memory, MemoryKind { Anonymous, SharedFile, PrivateFile, Huge, Unknown });
words!(
    releases = text::released_by,
    ReleasedBy { Ack, TxComplete, ReceiverRead, Copied, PipeDrained, Close, Reset, Drop }
);
words!(outcomes = text::outcome, Outcome { Released, Held, Unknown });
words!(verdicts = text::verdict, Verdict { Clean, Mutated, Unknown });
words!(contents = text::content, Content { SentOld, SentNew, Mixed });
words!(
    kinds = text::mutation,
    MutationKind {
        Write,
        IoUringWrite,
        MmapStore,
        DirectWrite,
        Truncate,
        Punch,
        Collapse,
        Insert,
        ZeroRange,
        CopyRange,
        SpliceWrite,
        Removed,
        Unattributed,
    }
);
words!(phases = text::phase, Phase { BeforeXmit, InFlight, AfterAck });
words!(seers = text::seen_by, SeenBy { Syscall, Tracepoint, Fingerprint });
words!(
    reasons = |why| text::reason(why).0,
    Reason {
        Loss,
        MapFull,
        ProbeSkipped,
        FreeMissed,
        RecordingCut,
        OutOfOrder,
        ReceiverSpliced,
        FragsMoved,
        PipeChanged,
        UpperLayer,
        MutationsUnwatched,
        WatchSkipped,
        WritableMapping,
        FileUnwatched,
        FileBusy,
        FileStacked,
        ChangesFull,
        ChangeRunning,
        ContentChanged,
        StillLent,
        ProbeMissing,
        ReturnMissed,
        MemoryUnwatched,
        SendsAtOnce,
        NotConnected,
        MemoryScattered,
        SubmitUnseen,
    }
);

pub(super) fn rules() -> Vec<&'static str> {
    RULES.iter().map(|r| r.name).collect()
}

pub(super) fn yes_no() -> Vec<&'static str> {
    [true, false].map(yes).into()
}

/// Why it was copied, or whether.
pub(super) fn copies() -> Vec<&'static str> {
    [yes_no(), codes()].concat()
}

pub(super) fn states() -> Vec<&'static str> {
    [Some(Stage::Open), Some(Stage::Closing), None].map(state).into()
}

pub(super) fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// How far a transfer has come.
pub(super) fn state(stage: Option<Stage>) -> &'static str {
    match stage {
        Some(Stage::Open) => "open",
        Some(Stage::Closing) => "closing",
        None => "closed",
    }
}
