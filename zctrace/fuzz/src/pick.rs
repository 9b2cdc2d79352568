//! Choices made by bytes. When they run out, every choice is the first.

/// Bytes that decide.
pub(super) struct Pick<'a> {
    rest: &'a [u8],
}

impl<'a> Pick<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    pub(super) fn below(&mut self, n: u8) -> u8 {
        self.byte() % n.max(1)
    }

    pub(super) fn word(&mut self) -> u64 {
        (0..8).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    pub(super) fn short(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    pub(super) fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(n).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// A size, a place or a number: mostly small and round, now and then at an edge.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            n @ 0..192 => u64::from(n) * 512,
            n @ 192..248 => u64::from(n - 192),
            248 => 0xffff_ffff,
            249 => 0xffff_fe00,
            250 => u64::MAX,
            251 => 1 << 63,
            252 => 0x8000_0000,
            253 => 4095,
            254 => 4097,
            255 => self.word(),
        }
    }
}
