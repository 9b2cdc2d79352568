#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zctrace_fuzz::explain(bytes));
