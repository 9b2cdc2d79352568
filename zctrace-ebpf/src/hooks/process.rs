//! `sched:sched_process_fork` and `sched_process_exit`: whom the pid filter follows.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::{
    config::flag,
    kernel::{Proc, kind, proc_what},
};

use super::change;
use crate::{
    emit,
    globals::{cfg_get, off},
    kread,
    maps::{OPS, PIDS},
};

#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn zct_fork(ctx: RawTracePointContext) -> i32 {
    if cfg_get!(flags) & flag::FOLLOW == 0 {
        return 0;
    }
    let parent: u32 = kread::get(ctx.arg(0), off!(task_tgid));
    let child: u32 = kread::get(ctx.arg(1), off!(task_tgid));
    if parent == child || unsafe { PIDS.get(&parent) }.is_none() {
        return 0;
    }
    let _ = PIDS.insert(&child, &1, 0);
    emit::emit(kind::PROC, Proc { pid: child, what: proc_what::FORK });
    0
}

/// A killed task leaves its call before it comes here; what is left in OPS is a call whose exit
/// the tracer missed, and so is what is left in CHANGES.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn zct_exit(ctx: RawTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    let pid_tgid = aya_ebpf::helpers::bpf_get_current_pid_tgid();
    let tid = pid_tgid as u32;
    let _ = OPS.remove(&tid);
    change::missed(tid);
    let tgid = (pid_tgid >> 32) as u32;
    let signal: u64 = kread::get(task, off!(task_signal));
    // The pid may be somebody else's soon: forget it with its last thread.
    if kread::get::<u32>(signal, off!(signal_live)) == 0 && unsafe { PIDS.get(&tgid) }.is_some() {
        let _ = PIDS.remove(&tgid);
        emit::emit(kind::PROC, Proc { pid: tgid, what: proc_what::EXIT });
    }
    0
}
