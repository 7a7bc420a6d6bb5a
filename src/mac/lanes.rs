//! HMAC-SHA-256 of one message under up to four keys at once.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroize;

use super::kernel::{self, Block, State};

/// The most keys that are tried together.
pub const MAX_LANES: usize = 4;

/// FIPS 180-4 §5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A key of HMAC-SHA-256 (RFC 2104), prepared: the two states after the padded
/// key block. Using it never keys again. Wiped on drop.
///
/// ```
/// use dualkey::mac::{HmacSha256, verify_any};
///
/// let old = HmacSha256::new(b"old-secret-2025-Nf0Vg6Jc3Ds8Pw1R");
/// let new = HmacSha256::new(b"new-secret-2026-kH7vQ2mXw9LrT4nZ");
///
/// let tag = old.mac(b"a message");
/// assert_eq!(verify_any(&[&new, &old], b"a message", &tag), Some(1));
/// assert_eq!(verify_any(&[&new, &old], b"another", &tag), None);
/// ```
#[derive(Clone)]
pub struct HmacSha256 {
    inner: State,
    outer: State,
}

impl HmacSha256 {
    /// Prepares `secret`, of any length: RFC 2104 pads a short one with zeros and
    /// hashes one of more than 64 bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mut padded: Block = [0; 64];
        match padded.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => padded[..32].copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(secret)),
        }
        let after = |pad: u8| {
            let mut block = padded.map(|byte| byte ^ pad);
            let mut state = [INITIAL];
            compress(&mut state, [&[block]]);
            block.zeroize();
            state[0]
        };
        let key = Self { inner: after(0x36), outer: after(0x5c) };
        padded.zeroize();
        key
    }

    /// The tag of `message`: 32 bytes.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut lanes = Lanes::new(&[self]);
        lanes.update(message);
        *lanes.finish().first()
    }
}

impl Drop for HmacSha256 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl std::fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSha256([REDACTED])")
    }
}

/// The index of the key of `keys` under which `tag` is the tag of `message`.
///
/// # Panics
/// Never: of more than [`MAX_LANES`] keys, those beyond are not tried.
///
/// # Security
/// All keys are computed and compared, always, in constant time: the duration
/// tells neither which key matched nor where a tag differs. It does depend on the
/// length of the message and on the number of keys.
#[must_use = "a message that no key verified must be refused"]
pub fn verify_any(keys: &[&HmacSha256], message: &[u8], tag: &[u8; 32]) -> Option<usize> {
    let mut lanes = Lanes::new(keys);
    lanes.update(message);
    lanes.finish().matching(tag)
}

/// A message on its way through up to four HMACs, fed in pieces of any size.
///
/// ```
/// use dualkey::mac::{HmacSha256, Lanes};
///
/// let key = HmacSha256::new(b"new-secret-2026-kH7vQ2mXw9LrT4nZ");
/// let mut lanes = Lanes::new(&[&key]);
/// lanes.update(b"in ");
/// lanes.update(b"pieces");
/// assert_eq!(lanes.finish().matching(&key.mac(b"in pieces")), Some(0));
/// ```
#[derive(Clone)]
pub struct Lanes {
    inner: [State; MAX_LANES],
    outer: [State; MAX_LANES],
    keys: usize,
    buffer: Block,
    buffered: usize,
    length: u64,
}

impl Lanes {
    /// Starts a message under `keys`, of which at most [`MAX_LANES`] count.
    #[must_use]
    pub fn new(keys: &[&HmacSha256]) -> Self {
        let mut lanes = Self {
            // A lane without a key is a dummy: computed, never compared.
            inner: [INITIAL; MAX_LANES],
            outer: [INITIAL; MAX_LANES],
            keys: keys.len().min(MAX_LANES),
            buffer: [0; 64],
            buffered: 0,
            length: 64,
        };
        for (lane, key) in keys.iter().take(MAX_LANES).enumerate() {
            lanes.inner[lane] = key.inner;
            lanes.outer[lane] = key.outer;
        }
        lanes
    }

    /// Feeds the next piece of the message.
    pub fn update(&mut self, mut piece: &[u8]) {
        self.length = self.length.wrapping_add(piece.len() as u64);
        if self.buffered > 0 {
            let (fill, rest) = piece.split_at(piece.len().min(64 - self.buffered));
            self.buffer[self.buffered..][..fill.len()].copy_from_slice(fill);
            self.buffered += fill.len();
            piece = rest;
            if self.buffered < 64 {
                return;
            }
            let block = self.buffer;
            self.compress(&[block]);
            self.buffered = 0;
        }
        let (blocks, tail) = piece.as_chunks::<64>();
        self.compress(blocks);
        self.buffer[..tail.len()].copy_from_slice(tail);
        self.buffered = tail.len();
    }

    /// Ends the message.
    #[must_use = "the tags are what is compared"]
    pub fn finish(mut self) -> Tags {
        // FIPS 180-4 §5.1.1: a one bit, zeros, the length in bits.
        let mut last = [[0; 64]; 2];
        last[0][..self.buffered].copy_from_slice(&self.buffer[..self.buffered]);
        last[0][self.buffered] = 0x80;
        let blocks = if self.buffered < 56 { 1 } else { 2 };
        last[blocks - 1][56..].copy_from_slice(&(self.length.wrapping_mul(8)).to_be_bytes());
        self.compress(&last[..blocks]);

        let tags = match self.keys {
            0 | 1 => widen(outer(&self.inner, &self.outer, [0])),
            2 => widen(outer(&self.inner, &self.outer, [0, 1])),
            _ => outer(&self.inner, &self.outer, [0, 1, 2, 3]),
        };
        Tags { tags, keys: self.keys }
    }

    fn compress(&mut self, blocks: &[Block]) {
        match self.keys {
            0 | 1 => {
                let [one, ..] = &mut self.inner;
                compress(std::array::from_mut(one), [blocks]);
            }
            2 => {
                let mut two = [self.inner[0], self.inner[1]];
                compress(&mut two, [blocks]);
                [self.inner[0], self.inner[1]] = two;
            }
            _ => compress(&mut self.inner, [blocks]),
        }
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// The tags of one message, one for each key.
#[derive(Clone)]
pub struct Tags {
    tags: [[u8; 32]; MAX_LANES],
    keys: usize,
}

impl Tags {
    /// The tag under the first key.
    pub(crate) fn first(&self) -> &[u8; 32] {
        &self.tags[0]
    }

    /// The index of the key whose tag is `tag`. All are compared, always, in
    /// constant time.
    #[must_use = "a message that no key verified must be refused"]
    pub fn matching(&self, tag: &[u8; 32]) -> Option<usize> {
        matching(self.tags[..self.keys].iter(), tag)
    }
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tags").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// The index of the tag that equals `tag`, found without a branch on any of them.
pub(crate) fn matching<'t, const N: usize>(
    tags: impl Iterator<Item = &'t [u8; N]>,
    tag: &[u8; N],
) -> Option<usize> {
    const NONE: u8 = u8::MAX;
    let mut found = NONE;
    for (index, own) in tags.enumerate() {
        found.conditional_assign(&(index as u8), equal(own, tag));
    }
    // Whether anything matched shows in the answer anyway.
    (found != NONE).then_some(usize::from(found))
}

/// All words are compared before anything is said of them. Deliberately not the slices'
/// `ct_eq`: that puts a barrier behind every byte, and takes as long as a compression.
fn equal<const N: usize>(one: &[u8; N], other: &[u8; N]) -> Choice {
    const { assert!(N.is_multiple_of(8)) }
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let difference = words.fold(0, |difference, (one, other)| {
        difference | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
    });
    difference.ct_eq(&0)
}

/// The outer hashes of the lanes `which`: one block each, their rounds interleaved.
fn outer<const N: usize>(
    inner: &[State; MAX_LANES],
    outer: &[State; MAX_LANES],
    which: [usize; N],
) -> [[u8; 32]; N] {
    let blocks = which.map(|lane| {
        let mut block: Block = [0; 64];
        block[..32].copy_from_slice(&bytes(&inner[lane]));
        block[32] = 0x80;
        block[56..].copy_from_slice(&((64 + 32) * 8_u64).to_be_bytes());
        [block]
    });
    let mut states = which.map(|lane| outer[lane]);
    compress(&mut states, blocks.each_ref().map(|block| block.as_slice()));
    states.each_ref().map(bytes)
}

fn widen<const N: usize>(tags: [[u8; 32]; N]) -> [[u8; 32]; MAX_LANES] {
    let mut wide = [[0; 32]; MAX_LANES];
    wide[..N].copy_from_slice(&tags);
    wide
}

fn bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    bytes
}

fn compress<const N: usize, const M: usize>(states: &mut [State; N], messages: [&[Block]; M]) {
    if !kernel::compress(states, messages) {
        compress_portable(states, messages);
    }
}

/// The twin of the kernel: lane by lane, through `sha2`.
pub(super) fn compress_portable<const N: usize, const M: usize>(
    states: &mut [State; N],
    messages: [&[Block]; M],
) {
    let blocks = messages.iter().map(|message| message.len()).min().unwrap_or(0);
    for (lane, state) in states.iter_mut().enumerate() {
        let message = messages[if M == 1 { 0 } else { lane }];
        sha2::block_api::compress256(state, &message[..blocks]);
    }
}
