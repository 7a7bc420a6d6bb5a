//! HMAC-SHA-256 of one message under up to four keys at once.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroize;

use super::kernel::{self, Block, End, HashState};
use crate::purpose::MAX_TRIED_KEYS;

/// The most keys that are tried together.
pub const MAX_LANES: usize = 4;

// All keys that are tried for one value fit into the lanes.
const _: () = assert!(MAX_LANES == MAX_TRIED_KEYS);

/// FIPS 180-4 §5.3.3.
const INITIAL: HashState = [
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
    inner: HashState,
    outer: HashState,
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
            let [state] = compress([&INITIAL], &[block], None);
            block.zeroize();
            state
        };
        let key = Self { inner: after(0x36), outer: after(0x5c) };
        padded.zeroize();
        key
    }

    /// The tag of `message`: 32 bytes.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        bytes(&self.mac_words(message))
    }

    /// The tag of `message`, as the words that it is compared by.
    #[inline]
    pub(crate) fn mac_words(&self, message: &[u8]) -> HashState {
        let [tag] = tags([self], message, compress);
        tag
    }

    /// Whether it verifies its own tag, in every number of lanes and without the SHA
    /// extensions, and no other.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "the adapters use it, each behind a feature")
    )]
    pub(crate) fn self_test(&self) -> bool {
        let message: [u8; 150] = std::array::from_fn(|place| place as u8);
        let tag = self.mac(&message);
        [1, 2, 3, MAX_LANES].into_iter().all(|lanes| {
            let keys = &[self; MAX_LANES][..lanes];
            verify_any(keys, &message, &tag).is_some()
                && verify_any_portable(keys, &message, &tag).is_some()
                && verify_any(keys, &message[1..], &tag).is_none()
        })
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
/// does not depend on which key matched or where a tag differs. It does depend on the
/// length of the message and on the number of keys.
#[must_use = "a message that no key verified must be refused"]
#[inline]
pub fn verify_any(keys: &[&HmacSha256], message: &[u8], tag: &[u8; 32]) -> Option<usize> {
    Tags::for_message(keys, message).matching(tag)
}

/// [`verify_any`] as it is without the SHA extensions: for tests and benches.
#[doc(hidden)]
#[must_use]
pub fn verify_any_portable(keys: &[&HmacSha256], message: &[u8], tag: &[u8; 32]) -> Option<usize> {
    let tags: Vec<_> =
        keys.iter().take(MAX_LANES).map(|key| tags([key], message, compress_portable)[0]).collect();
    matching(&tags, &words(tag))
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
    states: [HashState; MAX_LANES],
    outer: [HashState; MAX_LANES],
    keys: usize,
    buffer: Block,
    buffered: usize,
    /// Of the message, with the key block before it.
    length: u64,
}

impl Lanes {
    /// Starts a message under `keys`, of which at most [`MAX_LANES`] count.
    #[must_use]
    pub fn new(keys: &[&HmacSha256]) -> Self {
        let mut lanes = Self {
            // A lane without a key is a dummy: computed, never compared.
            states: [INITIAL; MAX_LANES],
            outer: [INITIAL; MAX_LANES],
            keys: keys.len().min(MAX_LANES),
            buffer: [0; 64],
            buffered: 0,
            length: 64,
        };
        for (lane, key) in keys.iter().take(MAX_LANES).enumerate() {
            lanes.states[lane] = key.inner;
            lanes.outer[lane] = key.outer;
        }
        lanes
    }

    /// Feeds the next piece of the message. Whole blocks of it are hashed in place;
    /// what is left is kept for the next piece.
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
            self.compress(&[block], None);
        }
        let (blocks, tail) = piece.as_chunks::<64>();
        if !blocks.is_empty() {
            self.compress(blocks, None);
        }
        self.buffer[..tail.len()].copy_from_slice(tail);
        self.buffered = tail.len();
    }

    /// Ends the message.
    #[must_use = "the tags are what is compared"]
    pub fn finish(mut self) -> Tags {
        let mut room = [[0; 64]; 2];
        let last = pad(&mut room, &self.buffer[..self.buffered], self.length);
        self.compress(&[], Some(last));
        Tags { tags: self.states, keys: self.keys }
    }

    fn compress(&mut self, blocks: &[Block], last: Option<&[Block]>) {
        match self.keys {
            0 | 1 => self.compress_lanes::<1>(blocks, last),
            2 => self.compress_lanes::<2>(blocks, last),
            _ => self.compress_lanes::<MAX_LANES>(blocks, last),
        }
    }

    fn compress_lanes<const N: usize>(&mut self, blocks: &[Block], last: Option<&[Block]>) {
        let states = self.states.first_chunk_mut::<N>().expect("N is MAX_LANES at most");
        let outer = self.outer.first_chunk::<N>().expect("N is MAX_LANES at most").each_ref();
        *states = compress(states.each_ref(), blocks, last.map(|last| End { last, outer }));
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
    tags: [HashState; MAX_LANES],
    keys: usize,
}

impl Tags {
    /// The tags of a whole message under `keys`, of which at most [`MAX_LANES`] count.
    #[inline]
    pub(crate) fn for_message(keys: &[&HmacSha256], message: &[u8]) -> Self {
        let mut all = Self { tags: [INITIAL; MAX_LANES], keys: keys.len().min(MAX_LANES) };
        match *keys {
            [] => {}
            [one] => all.fill([one], message),
            [one, two] => all.fill([one, two], message),
            // The fourth lane of three keys is a dummy: computed, never compared.
            [one, two, three] => all.fill([one, two, three, three], message),
            [one, two, three, four, ..] => all.fill([one, two, three, four], message),
        }
        all
    }

    #[inline]
    fn fill<const N: usize>(&mut self, keys: [&HmacSha256; N], message: &[u8]) {
        let room = self.tags.first_chunk_mut().expect("N is MAX_LANES at most");
        *room = tags(keys, message, compress);
    }

    /// The tag under the first key.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "the adapters use it, each behind a feature")
    )]
    pub(crate) fn first(&self) -> HashState {
        self.tags[0]
    }

    /// The index of the key whose tag is `tag`. All are compared, always, in
    /// constant time.
    #[must_use = "a message that no key verified must be refused"]
    #[inline]
    pub fn matching(&self, tag: &[u8; 32]) -> Option<usize> {
        matching(&self.tags[..self.keys], &words(tag))
    }
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tags").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// The index of the tag that equals `tag`, found without a branch on any of them.
#[inline]
pub(crate) fn matching<const N: usize>(tags: &[[u32; N]], tag: &[u32; N]) -> Option<usize> {
    const NONE: u8 = u8::MAX;
    let mut found = NONE;
    for (index, candidate) in tags.iter().enumerate() {
        found.conditional_assign(&(index as u8), equal(candidate, tag));
    }
    // Whether anything matched shows in the answer anyway.
    (found != NONE).then_some(usize::from(found))
}

/// All words are compared before anything is said of them. Deliberately not the slices'
/// `ct_eq`: that puts a barrier behind every byte, and takes as long as a compression.
#[inline]
fn equal<const N: usize>(one: &[u32; N], other: &[u32; N]) -> Choice {
    #[cfg(test)]
    super::count::count_compared();
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)).ct_eq(&0)
}

/// A tag as the words that a hash is made of, FIPS 180-4 §3.1.
#[inline]
pub(crate) fn words<const BYTES: usize, const WORDS: usize>(tag: &[u8; BYTES]) -> [u32; WORDS] {
    const { assert!(BYTES == WORDS * 4) }
    let mut words = [0; WORDS];
    for (word, four) in words.iter_mut().zip(tag.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*four);
    }
    words
}

/// The other way round.
#[inline]
pub(crate) fn bytes(state: &HashState) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    bytes
}

/// The tags of a whole message: nothing of it is copied but what follows its last block.
#[inline]
fn tags<const N: usize>(
    keys: [&HmacSha256; N],
    message: &[u8],
    compress: impl Fn([&HashState; N], &[Block], Option<End<'_, N>>) -> [HashState; N],
) -> [HashState; N] {
    let (blocks, tail) = message.as_chunks::<64>();
    let mut room = [[0; 64]; 2];
    let last = pad(&mut room, tail, 64 + message.len() as u64);
    let outer = keys.map(|key| &key.outer);
    compress(keys.map(|key| &key.inner), blocks, Some(End { last, outer }))
}

/// Puts the end of a message into `room`, with what follows it: a one bit, zeros, the length
/// in bits (FIPS 180-4 §5.1.1). One or two blocks of the room, all zeros before, are that.
#[inline]
fn pad<'r>(room: &'r mut [Block; 2], tail: &[u8], length: u64) -> &'r [Block] {
    let count = if tail.len() < 56 { 1 } else { 2 };
    room[0][..tail.len()].copy_from_slice(tail);
    room[0][tail.len()] = 0x80;
    room[count - 1][56..].copy_from_slice(&(length.wrapping_mul(8)).to_be_bytes());
    &room[..count]
}

#[inline]
fn compress<const N: usize>(
    states: [&HashState; N],
    blocks: &[Block],
    end: Option<End<'_, N>>,
) -> [HashState; N] {
    #[cfg(test)]
    super::count::count_computed(if end.is_some() { N } else { 0 });
    kernel::compress(states, blocks, end).unwrap_or_else(|| compress_portable(states, blocks, end))
}

/// The twin of the kernel: lane by lane, through `sha2`.
pub(super) fn compress_portable<const N: usize>(
    states: [&HashState; N],
    blocks: &[Block],
    end: Option<End<'_, N>>,
) -> [HashState; N] {
    let mut states = states.map(|state| *state);
    for (lane, state) in states.iter_mut().enumerate() {
        sha2::block_api::compress256(state, blocks);
        if let Some(end) = end {
            sha2::block_api::compress256(state, end.last);
            let mut block: Block = [0; 64];
            block[..32].copy_from_slice(&bytes(state));
            block[32] = 0x80;
            block[56..].copy_from_slice(&((64 + 32) * 8_u64).to_be_bytes());
            *state = *end.outer[lane];
            sha2::block_api::compress256(state, &[block]);
        }
    }
    states
}
