//! Fills [`KernelLayout`] from BTF.

use zctrace_common::layout::{FIELDS, KernelLayout, MISSING, TlsLayout};

use super::btf::Btf;

/// A layout, and what this kernel lacks.
#[derive(Debug)]
pub struct Resolved {
    /// For the BPF side.
    pub layout: KernelLayout,
    /// Optional fields this kernel does not have.
    pub missing: Vec<&'static str>,
}

/// A field without which nothing can be traced.
#[derive(Debug, thiserror::Error)]
#[error("this kernel's BTF has no `{0}`, which tracing needs")]
pub struct LayoutError(String);

/// Looks up every field.
///
/// # Errors
/// When a field that is not optional is missing: tracing with a guess would make up data.
pub fn resolve(btf: &Btf) -> Result<Resolved, LayoutError> {
    let mut layout: KernelLayout = bytemuck::Zeroable::zeroed();
    let mut missing = Vec::new();
    for field in FIELDS {
        let found = field.candidates.iter().find_map(|(s, m)| btf.offset(s, m));
        if found.is_none() {
            if !field.optional {
                let (s, m) = field.candidates.first().copied().unwrap_or_default();
                return Err(LayoutError(format!("{s}.{m}")));
            }
            missing.push(field.name);
        }
        let bytes = bytemuck::bytes_of_mut(&mut layout);
        if let Some(slot) = bytes.get_mut(field.at..field.at + 4) {
            slot.copy_from_slice(&found.unwrap_or(MISSING).to_ne_bytes());
        }
    }
    let size = |name: &str| btf.size(name).ok_or_else(|| LayoutError(format!("sizeof {name}")));
    layout.page_size_of = size("page")?;
    layout.pipe_buf_size = size("pipe_buffer")?;
    layout.max_frags = btf
        .elements("skb_shared_info", "frags")
        .ok_or_else(|| LayoutError("skb_shared_info.frags[]".into()))?;
    // Macros with these values until they became an enum.
    layout.i_freeing = btf.enumerator("I_FREEING").unwrap_or(1 << 5);
    layout.i_clear = btf.enumerator("I_CLEAR").unwrap_or(1 << 6);
    layout.pg_uptodate =
        btf.enumerator("PG_uptodate").ok_or_else(|| LayoutError("enum pageflags PG_uptodate".into()))?;
    layout.sock_zerocopy =
        btf.enumerator("SOCK_ZEROCOPY").ok_or_else(|| LayoutError("enum sock_flags SOCK_ZEROCOPY".into()))?;
    (layout.sk_kern, layout.sk_kern_bit) = btf.bit("sock", "sk_kern_sock").unwrap_or((MISSING, 0));
    layout.tls = tls(btf).unwrap_or(TlsLayout::MISSING);
    registers(btf, &mut layout)?;
    Ok(Resolved { layout, missing })
}

/// Where kTLS keeps its state: all of it or nothing.
fn tls(btf: &Btf) -> Option<TlsLayout> {
    let (tx_conf, tx_conf_bit) = btf.bit("tls_context", "tx_conf")?;
    Some(TlsLayout {
        tx_conf,
        tx_conf_bit,
        tx: btf.offset("tls_context", "priv_ctx_tx")?,
        open: btf.offset("tls_sw_context_tx", "open_rec")?,
        list: btf.offset("tls_sw_context_tx", "tx_list")?,
        rec_list: btf.offset("tls_rec", "list")?,
        rec_ready: btf.offset("tls_rec", "tx_ready")?,
        rec_size: btf.offset("tls_rec", "msg_plaintext.sg.size")?,
    })
}

/// Where `struct pt_regs` keeps arguments.
fn registers(btf: &Btf, layout: &mut KernelLayout) -> Result<(), LayoutError> {
    layout.o_direct = u32::try_from(libc::O_DIRECT).unwrap_or(0);
    let reg = |name: &str| btf.offset("pt_regs", name).ok_or_else(|| LayoutError(format!("pt_regs.{name}")));
    if cfg!(target_arch = "x86_64") {
        for (slot, name) in layout.arg.iter_mut().zip(["di", "si", "dx", "r10", "r8", "r9"]) {
            *slot = reg(name)?;
        }
        for (slot, name) in layout.arg32.iter_mut().zip(["bx", "cx", "dx", "si", "di", "bp"]) {
            *slot = reg(name)?;
        }
        layout.sysnr = reg("orig_ax")?;
    } else {
        let first = reg("regs")?;
        for (i, slot) in (0u32..).zip(layout.arg.iter_mut()) {
            *slot = first + 8 * i;
        }
        layout.sysnr = reg("syscallno")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_field_of_the_running_kernel() {
        let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln!("SKIPPED every_field_of_the_running_kernel: no BTF here");
            return;
        };
        let resolved = resolve(&Btf::parse(&blob).unwrap()).unwrap();
        let l = resolved.layout;
        assert_ne!(l.skb_head, l.skb_data);
        assert!(l.page_size_of >= 32 && l.pipe_buf_size >= 24);
        assert_eq!(resolved.missing, Vec::<&str>::new());
    }
}
