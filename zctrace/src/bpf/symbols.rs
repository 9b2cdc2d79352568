//! Where the functions that free skb heads and pipes lie, from `/proc/kallsyms`: lets the
//! kfree programs turn away nearly every free on the machine with two compares.

use std::io::{BufRead, BufReader, Read};

use zctrace_common::config::{Config, Range};

/// Functions from which `skb->head` is freed; some are inlined into others on some kernels.
const HEAD: [&str; 6] = [
    "skb_free_head",
    "skb_release_data",
    "pskb_expand_head",
    "pskb_carve_inside_header",
    "pskb_carve_inside_nonlinear",
    "skb_kfree_head",
];
/// `free_pipe_info()` may end in a tail call to kfree, which then returns to one of its callers.
const PIPE: [&str; 4] = ["free_pipe_info", "pipe_release", "put_pipe_info", "fifo_open"];
const COPY: &str = "copy_splice_read";

/// Fills the ranges of `config`; answers what could not be found, in words.
pub fn fill(config: &mut Config, kallsyms: impl Read) -> Vec<String> {
    let mut found: Vec<(&'static str, Range)> = Vec::new();
    let mut open: Option<(&'static str, u64)> = None;
    for line in BufReader::new(kallsyms).lines().map_while(Result::ok) {
        let mut words = line.split_ascii_whitespace();
        let Some(at) = words.next().and_then(|w| u64::from_str_radix(w, 16).ok()) else { continue };
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let Some((of, start)) = open
            && at > start
        {
            found.push((of, Range { start, end: at }));
            open = None;
        }
        if at != 0 && matches!(kind, "t" | "T") {
            // GCC's clones (`.isra.0`, `.cold`) are parts of the same function.
            let base = name.split('.').next().unwrap_or_default();
            if let Some(want) = HEAD.iter().chain(&PIPE).chain([&COPY]).find(|w| **w == base) {
                open = Some((want, at));
            }
        }
    }
    let mut missing = Vec::new();
    let heads: Vec<Range> = found.iter().filter(|(n, _)| HEAD.contains(n)).map(|(_, r)| *r).take(6).collect();
    let known = |n: &str| found.iter().any(|(f, _)| *f == n);
    if known("skb_free_head") || known("skb_release_data") {
        for (slot, range) in config.free_head.iter_mut().zip(heads) {
            *slot = range;
        }
    } else {
        missing.push(
            "skb_free_head is not in /proc/kallsyms: every kfree is looked up, which costs more".into(),
        );
    }
    if known("free_pipe_info") {
        let pipes = found.iter().filter(|(n, _)| PIPE.contains(n)).map(|(_, r)| *r);
        for (slot, range) in config.free_pipe.iter_mut().zip(pipes) {
            *slot = range;
        }
    } else {
        missing.push(
            "free_pipe_info is not in /proc/kallsyms: pipes closed with data in them are not seen to end"
                .into(),
        );
    }
    match found.iter().find(|(n, _)| *n == COPY) {
        Some((_, range)) => config.copy_splice_read = range.start,
        None => missing.push(format!(
            "{COPY} is not in /proc/kallsyms: file systems that always copy are not told apart"
        )),
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_next_symbol() {
        let text = "ffff000000000100 T before\nffff000000000200 t skb_free_head\nffff000000000200 t alias\nffff000000000280 t other\n\
                    ffff000000000300 T free_pipe_info\nffff000000000380 t copy_splice_read.isra.0\nffff000000000400 t end\n";
        let mut config = Config::default();
        let missing = fill(&mut config, text.as_bytes());
        assert_eq!(config.free_head[0], Range { start: 0xffff_0000_0000_0200, end: 0xffff_0000_0000_0280 });
        assert_eq!(config.free_pipe[0].end, 0xffff_0000_0000_0380);
        assert_eq!(config.copy_splice_read, 0xffff_0000_0000_0380);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn hidden_addresses_mean_no_filter() {
        let mut config = Config::default();
        let missing =
            fill(&mut config, "0000000000000000 t skb_free_head\n0000000000000000 t x\n".as_bytes());
        assert_eq!(config.free_head[0], Range::default());
        assert_eq!(missing.len(), 3);
    }
}
