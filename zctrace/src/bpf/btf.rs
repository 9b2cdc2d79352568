//! Just enough BTF: byte offsets of struct members, sizes, array lengths.
//!
//! aya keeps members private and the published parsers build every type of the kernel before they
//! answer one question; this walks the blob once and keeps offsets into it. Total: a broken blob
//! gives `None` or an error, never a panic.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;
/// typedef, volatile, const, restrict, type tag: names and qualifiers of another type.
const KINDS_THROUGH: [u32; 5] = [8, 9, 10, 11, 18];

/// Why a blob cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// It does not start like BTF.
    #[error("not BTF, or not of this machine's byte order")]
    Magic,
    /// It ends early.
    #[error("the BTF data ends in the middle of a type")]
    Short,
}

/// The types of a kernel.
pub struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where type `id` starts in `types`; id 0 is void.
    at: Vec<usize>,
    structs: HashMap<Vec<u8>, u32>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    size_or_type: u32,
    body: usize,
}

impl Type {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }
    fn vlen(self) -> usize {
        (self.info & 0xffff) as usize
    }
    fn bitfields(self) -> bool {
        self.info >> 31 != 0
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// Types and strings of a blob.
fn parts(blob: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let magic = blob.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    if magic != Some(MAGIC) {
        return Err(BtfError::Magic);
    }
    let word = |i: usize| u32_at(blob, i).map(|v| v as usize).ok_or(BtfError::Short);
    let header = word(4)?;
    let part = |off: usize, len: usize| -> Result<&[u8], BtfError> {
        let start = header.checked_add(off).ok_or(BtfError::Short)?;
        let end = start.checked_add(len).ok_or(BtfError::Short)?;
        blob.get(start..end).ok_or(BtfError::Short)
    };
    Ok((part(word(8)?, word(12)?)?, part(word(16)?, word(20)?)?))
}

impl Btf {
    /// Reads a blob such as `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When it is not BTF or ends early.
    pub fn parse(blob: &[u8]) -> Result<Self, BtfError> {
        let (types, strings) = parts(blob)?;
        let mut btf = Self {
            types: types.to_vec(),
            strings: strings.to_vec(),
            at: vec![usize::MAX],
            structs: HashMap::new(),
        };
        btf.index(0)?;
        Ok(btf)
    }

    /// Adds the types of a module: their ids and names go on where the kernel's end.
    ///
    /// # Errors
    /// As [`Self::parse`]; then only the kernel's types are there.
    pub fn add_module(&mut self, blob: &[u8]) -> Result<(), BtfError> {
        let (types, strings) = parts(blob)?;
        let (ids, from, names) = (self.at.len(), self.types.len(), self.strings.len());
        self.types.extend(types);
        self.strings.extend(strings);
        self.index(from).inspect_err(|_| {
            self.at.truncate(ids);
            self.types.truncate(from);
            self.strings.truncate(names);
            self.structs.retain(|_, id| (*id as usize) < ids);
        })
    }

    fn index(&mut self, from: usize) -> Result<(), BtfError> {
        let mut pos = from;
        while pos < self.types.len() {
            let t = self.type_at(pos).ok_or(BtfError::Short)?;
            let id = u32::try_from(self.at.len()).map_err(|_| BtfError::Short)?;
            self.at.push(pos);
            if matches!(t.kind(), KIND_STRUCT | KIND_UNION) && t.name != 0 {
                let name = self.string(t.name).to_vec();
                self.structs.entry(name).or_insert(id);
            }
            let more = match t.kind() {
                KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
                KIND_ARRAY => 12,
                KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * t.vlen(),
                KIND_ENUM | KIND_FUNC_PROTO => 8 * t.vlen(),
                _ => 0,
            };
            pos = t.body + more;
        }
        Ok(())
    }

    fn type_at(&self, pos: usize) -> Option<Type> {
        Some(Type {
            name: u32_at(&self.types, pos)?,
            info: u32_at(&self.types, pos + 4)?,
            size_or_type: u32_at(&self.types, pos + 8)?,
            body: pos + 12,
        })
    }

    fn get(&self, id: u32) -> Option<Type> {
        self.type_at(*self.at.get(id as usize)?)
    }

    fn string(&self, at: u32) -> &[u8] {
        let tail = self.strings.get(at as usize..).unwrap_or_default();
        tail.split(|b| *b == 0).next().unwrap_or_default()
    }

    /// The type behind typedefs and qualifiers.
    fn strip(&self, mut id: u32) -> Option<Type> {
        for _ in 0..32 {
            let t = self.get(id)?;
            if !KINDS_THROUGH.contains(&t.kind()) {
                return Some(t);
            }
            id = t.size_or_type;
        }
        None
    }

    /// Its offset in bits, and its type.
    fn member(&self, of: Type, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        if !matches!(of.kind(), KIND_STRUCT | KIND_UNION) || depth > 8 {
            return None;
        }
        for i in 0..of.vlen() {
            let at = of.body + 12 * i;
            let (named, id) = (u32_at(&self.types, at)?, u32_at(&self.types, at + 4)?);
            let raw = u32_at(&self.types, at + 8)?;
            let bits = if of.bitfields() { raw & 0x00ff_ffff } else { raw };
            if self.string(named) == name {
                return Some((bits, id));
            }
            if named == 0
                && let Some(inner) = self.strip(id)
                && let Some((off, id)) = self.member(inner, name, depth + 1)
            {
                return Some((bits + off, id));
            }
        }
        None
    }

    fn path(&self, structure: &str, path: &str) -> Option<(u32, u32)> {
        let mut of = self.get(*self.structs.get(structure.as_bytes())?)?;
        let (mut total, mut id) = (0, 0);
        for name in path.split('.') {
            let (off, member) = self.member(of, name.as_bytes(), 0)?;
            total += off;
            id = member;
            if let Some(next) = self.strip(member) {
                of = next;
            }
        }
        Some((total, id))
    }

    /// Byte offset of `path` (dotted, through anonymous members) in `structure`.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        self.path(structure, path).map(|(bits, _)| bits / 8)
    }

    /// The same of a bit field of one bit, and which bit of that byte it is.
    #[must_use]
    pub fn bit(&self, structure: &str, path: &str) -> Option<(u32, u32)> {
        self.path(structure, path).map(|(bits, _)| (bits / 8, bits % 8))
    }

    /// `sizeof(struct structure)`
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.get(*self.structs.get(structure.as_bytes())?).map(|t| t.size_or_type)
    }

    /// Value of the enumerator of this name, in whichever enum.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        let enums = self.at.iter().filter_map(|pos| self.type_at(*pos)).filter(|t| t.kind() == KIND_ENUM);
        for t in enums {
            for i in 0..t.vlen() {
                let at = t.body + 8 * i;
                if self.string(u32_at(&self.types, at)?) == name.as_bytes() {
                    return u32_at(&self.types, at + 4);
                }
            }
        }
        None
    }

    /// Number of elements of an array member.
    #[must_use]
    pub fn elements(&self, structure: &str, path: &str) -> Option<u32> {
        let (_, id) = self.path(structure, path)?;
        let t = self.strip(id)?;
        if t.kind() != KIND_ARRAY {
            return None;
        }
        u32_at(&self.types, t.body + 8)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn garbage_is_refused() {
        assert!(matches!(Btf::parse(b""), Err(BtfError::Magic)));
        assert!(matches!(Btf::parse(b"\x9f\xeb\x01\x00"), Err(BtfError::Short)));
    }

    #[test]
    fn the_running_kernel_is_understood() {
        let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln!("SKIPPED the_running_kernel_is_understood: no BTF here");
            return;
        };
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.size("list_head"), Some(16));
        assert_eq!(btf.offset("list_head", "prev"), Some(8));
        assert!(btf.offset("sk_buff", "head") < btf.size("sk_buff"));
        assert!(btf.elements("skb_shared_info", "frags").unwrap() >= 17);
        assert_eq!(btf.offset("sk_buff", "no_such_member"), None);
        // A cut blob is an error or an answer, never a panic.
        for cut in (0..blob.len()).step_by(blob.len() / 50) {
            let _ = Btf::parse(blob.get(..cut).unwrap());
        }
    }

    fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let [types_len, strings_len] = [4 * types.len(), strings.len()].map(|n| u32::try_from(n).unwrap());
        let head = [u32::from(MAGIC) | 1 << 16, 24, 0, types_len, types_len, strings_len];
        head.iter().chain(types).flat_map(|w| w.to_ne_bytes()).chain(strings.iter().copied()).collect()
    }

    /// `struct NAME { u32 MEMBER; }`, and the u32 before it where `int` says how it is called.
    fn types(int: Option<u32>, name: u32, member: (u32, u32, u32)) -> Vec<u32> {
        let int = int.map(|name| [name, KIND_INT << 24, 4, 32]);
        let structure = [name, KIND_STRUCT << 24 | 1, 12, member.0, member.1, member.2];
        int.into_iter().flatten().chain(structure).collect()
    }

    #[test]
    fn a_module_goes_on_where_the_kernel_ends() {
        let kernel = blob(&types(Some(1), 5, (7, 1, 32)), b"\0int\0s\0a\0");
        let mut btf = Btf::parse(&kernel).unwrap();
        assert_eq!((btf.offset("s", "a"), btf.offset("m", "b.a")), (Some(4), None));
        // Its member is the kernel's struct, type 2.
        let module = blob(&types(None, 9, (11, 2, 64)), b"m\0b\0");
        for cut in 0..module.len() {
            assert!(btf.add_module(module.get(..cut).unwrap()).is_err(), "{cut}");
            assert_eq!((btf.offset("s", "a"), btf.offset("m", "b.a")), (Some(4), None), "{cut}");
        }
        let broken = blob(types(None, 9, (11, 2, 64)).get(..2).unwrap(), b"m\0b\0");
        assert!(matches!(btf.add_module(&broken), Err(BtfError::Short)));
        btf.add_module(&module).unwrap();
        assert_eq!(
            (btf.offset("m", "b"), btf.offset("m", "b.a"), btf.size("m")),
            (Some(8), Some(12), Some(12))
        );
    }
}
