//! The SHA-256 compression of one, two or four lanes, with the SHA extensions.
//!
//! `sha256rnds2` has a latency of 4 cycles and one hash is a single chain of
//! them, so one hash leaves most of the unit idle. Here the rounds of several
//! states are interleaved. HMACs of one message under several keys differ in their
//! states alone, so the schedule of a block is computed once for all of them; only
//! the outer hashes have a message each, which never leaves the registers.
//!
//! This is the one file of the crate that may say `unsafe`, and it says it once:
//! to enter a function compiled for instructions that were just detected.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_set_epi8, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

/// The state of a SHA-256: eight words, FIPS 180-4 §6.2.
pub(super) type HashState = [u32; 8];

/// What is hashed: 64 bytes at a time.
pub(super) type Block = [u8; 64];

/// The end of an HMAC: what follows the whole blocks.
#[derive(Clone, Copy)]
pub(super) struct End<'a, const N: usize> {
    /// The last one or two blocks of the message, padded.
    pub(super) last: &'a [Block],
    /// The state of each lane after its outer key block.
    pub(super) outer: [&'a HashState; N],
}

/// What becomes of `states` once `blocks` are compressed into all of them, and with an `end`
/// the tags of the HMACs; `None` if the processor lacks the instructions.
///
/// The states are read where they are: of a copy that was just made, a processor may wait
/// for the last byte to be written, longer than for a compression.
#[inline]
pub(super) fn compress<const N: usize>(
    states: [&HashState; N],
    blocks: &[Block],
    end: Option<End<'_, N>>,
) -> Option<[HashState; N]> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3")
    {
        // SAFETY: `compress_sha` is safe code but for the target features it is
        // compiled with, and the line above has just detected all of them.
        return Some(unsafe { compress_sha(states, blocks, end) });
    }
    let _ = (states, blocks, end);
    None
}

/// FIPS 180-4 §4.2.2.
#[cfg(target_arch = "x86_64")]
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// The states of `N` lanes, in the order of words that the instructions want.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Lanes<const N: usize> {
    abef: [__m128i; N],
    cdgh: [__m128i; N],
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress_sha<const N: usize>(
    states: [&HashState; N],
    blocks: &[Block],
    end: Option<End<'_, N>>,
) -> [HashState; N] {
    let mut lanes = enter(states);
    for block in blocks {
        lanes = rounds(lanes, [load(block)]);
    }
    if let Some(end) = end {
        for block in end.last {
            lanes = rounds(lanes, [load(block)]);
        }
        // The inner hash is the message of the outer one: 32 bytes, a one bit, zeros, and
        // the length in bits of a key block and these.
        let one = _mm_set_epi32(0, 0, 0, i32::MIN);
        let length = _mm_set_epi32((64 + 32) * 8, 0, 0, 0);
        let mut messages = [[_mm_setzero_si128(); 4]; N];
        for (lane, message) in messages.iter_mut().enumerate() {
            let (dcba, hgfe) = leave(lanes, lane);
            *message = [dcba, hgfe, one, length];
        }
        lanes = rounds(enter(end.outer), messages);
    }
    let mut states = [[0; 8]; N];
    for (lane, state) in states.iter_mut().enumerate() {
        let (dcba, hgfe) = leave(lanes, lane);
        store(state, 0, dcba);
        store(state, 4, hgfe);
    }
    states
}

/// The 64 rounds of one block: of one message for all lanes, or of one for each.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
// Several arrays are walked in step, by lane or by message.
#[allow(clippy::needless_range_loop)]
fn rounds<const N: usize, const M: usize>(
    before: Lanes<N>,
    mut schedule: [[__m128i; 4]; M],
) -> Lanes<N> {
    const { assert!(M == 1 || M == N, "one message for all lanes, or one for each") }
    let Lanes { mut abef, mut cdgh } = before;
    // Sixteen times four rounds. Written out, so that every index is a
    // constant and the schedule stays in registers.
    macro_rules! four_rounds {
        ($group:literal) => {{
            let k = _mm_set_epi32(
                K[$group][3] as i32,
                K[$group][2] as i32,
                K[$group][1] as i32,
                K[$group][0] as i32,
            );
            let mut w = [_mm_setzero_si128(); M];
            for message in 0..M {
                let words = &mut schedule[message];
                if $group >= 4 {
                    words[$group % 4] = next_words(
                        words[$group % 4],
                        words[($group + 1) % 4],
                        words[($group + 2) % 4],
                        words[($group + 3) % 4],
                    );
                }
                w[message] = _mm_add_epi32(words[$group % 4], k);
            }
            for lane in 0..N {
                let w = w[if M == 1 { 0 } else { lane }];
                cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], w);
            }
            for lane in 0..N {
                let w = _mm_shuffle_epi32(w[if M == 1 { 0 } else { lane }], 0x0E);
                abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], w);
            }
        }};
    }
    four_rounds!(0);
    four_rounds!(1);
    four_rounds!(2);
    four_rounds!(3);
    four_rounds!(4);
    four_rounds!(5);
    four_rounds!(6);
    four_rounds!(7);
    four_rounds!(8);
    four_rounds!(9);
    four_rounds!(10);
    four_rounds!(11);
    four_rounds!(12);
    four_rounds!(13);
    four_rounds!(14);
    four_rounds!(15);
    for lane in 0..N {
        abef[lane] = _mm_add_epi32(abef[lane], before.abef[lane]);
        cdgh[lane] = _mm_add_epi32(cdgh[lane], before.cdgh[lane]);
    }
    Lanes { abef, cdgh }
}

/// Four words of the message schedule from the sixteen before them, FIPS 180-4 §6.2.2.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn next_words(w16: __m128i, w12: __m128i, w8: __m128i, w4: __m128i) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w16, w12), _mm_alignr_epi8(w4, w8, 4));
    _mm_sha256msg2_epu32(sum, w4)
}

/// The words of the standard, in the order of the instructions.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn enter<const N: usize>(states: [&HashState; N]) -> Lanes<N> {
    let zero = [_mm_setzero_si128(); N];
    let mut lanes = Lanes { abef: zero, cdgh: zero };
    for (lane, state) in states.into_iter().enumerate() {
        let cdab = _mm_shuffle_epi32(words(state, 0), 0xB1);
        let efgh = _mm_shuffle_epi32(words(state, 4), 0x1B);
        lanes.abef[lane] = _mm_alignr_epi8(cdab, efgh, 8);
        lanes.cdgh[lane] = _mm_blend_epi16(efgh, cdab, 0xF0);
    }
    lanes
}

/// The state of a lane, in the order of the standard.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn leave<const N: usize>(lanes: Lanes<N>, lane: usize) -> (__m128i, __m128i) {
    let feba = _mm_shuffle_epi32(lanes.abef[lane], 0x1B);
    let dchg = _mm_shuffle_epi32(lanes.cdgh[lane], 0xB1);
    (_mm_blend_epi16(feba, dchg, 0xF0), _mm_alignr_epi8(dchg, feba, 8))
}

/// The sixteen big-endian words of a block. `set` and not `load`: that one takes
/// a raw pointer; the compiler makes a load of it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load(block: &Block) -> [__m128i; 4] {
    let swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut words = [_mm_setzero_si128(); 4];
    let (parts, _) = block.as_chunks::<16>();
    for (word, part) in words.iter_mut().zip(parts) {
        let part = u128::from_le_bytes(*part);
        *word = _mm_shuffle_epi8(_mm_set_epi64x((part >> 64) as i64, part as i64), swap);
    }
    words
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn words(state: &HashState, at: usize) -> __m128i {
    _mm_set_epi32(
        state[at + 3] as i32,
        state[at + 2] as i32,
        state[at + 1] as i32,
        state[at] as i32,
    )
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn store(state: &mut HashState, at: usize, words: __m128i) {
    use std::arch::x86_64::_mm_extract_epi32;
    state[at] = _mm_extract_epi32(words, 0) as u32;
    state[at + 1] = _mm_extract_epi32(words, 1) as u32;
    state[at + 2] = _mm_extract_epi32(words, 2) as u32;
    state[at + 3] = _mm_extract_epi32(words, 3) as u32;
}
