//! The manifest as JSON: version 1 of the document, and nothing else.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::bounds::{MAX_BYTES, is_date};
use super::recogniser::Recogniser;
use super::revocations::UNREAD;
use super::{Entry, Manifest, Override};
use crate::encoding::{from_base64, from_hex};
use crate::error::Error;
use crate::key::{Revocation, Signs};
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::ring::admit::{Rules, check, is_below_floor};
use crate::ring::policy::MAX_DAYS;
use crate::ring::{EarlierEnd, EarlierWindow, Life, Policy, Schedule};
use crate::secret::Secret;

pub(crate) use super::bounds::MAX_REVISION;

pub(super) const FORMAT: &str = "dualkey manifest";
const VERSION: u32 = 1;
/// What stands for a secret that is elsewhere.
const MARK: &str = "mark:";

/// The revision of the next change.
pub(super) fn next_revision(revision: u64) -> Result<u64, Error> {
    let next = revision.checked_add(1).filter(|next| *next <= MAX_REVISION);
    next.ok_or(Error::RevisionLimit)
}

/// What a document says of itself, read before the rest: a later version may hold anything.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    ring: String,
    purpose: String,
    environment: String,
    revision: u64,
    changed_at: Time,
    policy: Terms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier_window: Option<Window>,
    keys: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    seconds: u64,
    until: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    longest_life_seconds: u64,
    rollout_window_seconds: u64,
    skew_seconds: u64,
    observation_seconds: u64,
    enough_traffic: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_secret_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dangerous_min_secret_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<When>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum When {
    Days(u16),
    Quarterly,
    SemiAnnual,
    Annual,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    kid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    added_at: Time,
    sequence: u64,
    signs: Begins,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retire_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept_until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier_end: Option<Earlier>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "revoked")]
    revoked: Option<Revoked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<Overridden>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recogniser: Option<Recognised>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recognised {
    salt: String,
    tag: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Begins {
    Never,
    Unscheduled,
    From(Time),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    at: Time,
    until: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoked {
    at: Time,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overridden {
    at: Time,
    action: String,
    reason: String,
}

/// V8: whatever stands there revokes the key, if it cannot be read as well.
fn revoked<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Revoked>, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    let read = Revoked::deserialize(value).ok().filter(|own| is_date(own.at.0));
    Ok(Some(read.unwrap_or_else(|| Revoked {
        at: Time(SystemTime::UNIX_EPOCH),
        reason: UNREAD.to_owned(),
    })))
}

/// RFC 3339, to the nanosecond.
#[derive(Clone, Copy)]
pub(crate) struct Time(SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(self.0).map_err(serde::ser::Error::custom)?;
        output.collect_str(&time)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as in 2026-01-15T10:00:00Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                let time = text.parse::<Timestamp>().and_then(SystemTime::try_from);
                time.map(Time).map_err(|_| E::custom("a time is not as in 2026-01-15T10:00:00Z"))
            }
        }
        input.deserialize_str(Rfc3339)
    }
}

impl TryFrom<SystemTime> for Time {
    type Error = Error;

    fn try_from(moment: SystemTime) -> Result<Self, Error> {
        match is_date(moment) {
            true => Ok(Self(moment)),
            false => Err(Error::manifest("a moment is not from 1970 to 9999")),
        }
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> Self {
        time.0
    }
}

/// A secret in its text form, wiped when it is dropped.
struct Text(Zeroizing<String>);

impl Text {
    fn of(secret: &Secret) -> Self {
        const PREFIX: &str = "base64:";
        let bytes = secret.expose();
        let mut text = String::with_capacity(PREFIX.len() + bytes.len().div_ceil(3) * 4);
        text.push_str(PREFIX);
        base64_simd::STANDARD.encode_append(bytes, &mut text);
        Self(Zeroizing::new(text))
    }

    fn secret(&self) -> Option<Secret> {
        let text = &*self.0;
        if let Some(base64) = text.strip_prefix("base64:") {
            return from_base64(base64).map(Secret::from);
        }
        if let Some(digits) = text.strip_prefix("hex:") {
            return from_hex(digits).map(Secret::from);
        }
        text.strip_prefix("text:").map(Secret::from)
    }
}

/// What stands for the secret of the key `kid` in a document without secrets: enough to find it
/// among those of a `.env` file, and of one that can be guessed not enough to confirm a guess.
fn mark(kid: &Kid, secret: &Secret, purpose: Purpose) -> String {
    let length = if purpose.is_guessable(secret.expose().len()) { 2 } else { 8 };
    let label = [b"dualkey mark v1\0", kid.as_bytes()].concat();
    let tag = HmacSha256::new(secret.expose()).mac(&label);
    let digits = tag[..length].iter().map(|byte| format!("{byte:02x}"));
    digits.fold(MARK.to_owned(), |text, own| text + &own)
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    /// Deliberately not through a visitor of strings: where a text holds an escape, the parser puts
    /// it together in memory that is not wiped.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(input)?;
        // Said without the value.
        let text = unescaped(raw.get());
        text.map(Self).ok_or_else(|| serde::de::Error::custom("a secret must be text"))
    }
}

/// The text that `raw` is as a string of JSON, which is valid but for its surrogates; `None`, if it is
/// no string. It is put together in memory that is wiped, and has its room from the start: no escape
/// is shorter than its character.
pub(crate) fn unescaped(raw: &str) -> Option<Zeroizing<String>> {
    let mut rest = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((plain, escape)) = rest.split_once('\\') {
        let (character, after) = escaped(escape)?;
        text.push_str(plain);
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// The character whose escape begins `text`, without its backslash, and what follows it.
fn escaped(text: &str) -> Option<(char, &str)> {
    let mut rest = text.chars();
    let character = match rest.next()? {
        'u' => {
            let (unit, after) = unit(rest.as_str())?;
            let low = after.strip_prefix("\\u").and_then(self::unit);
            let units = [unit, low.map_or(0, |(low, _)| low)];
            let mut decoded = char::decode_utf16(units);
            return match (decoded.next()?, low) {
                (Ok(character), Some((_, after))) if character.len_utf16() == 2 => {
                    Some((character, after))
                }
                (Ok(character), _) => Some((character, after)),
                (Err(_), _) => None,
            };
        }
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        own @ ('"' | '\\' | '/') => own,
        _ => return None,
    };
    Some((character, rest.as_str()))
}

/// The unit of UTF-16 of which the four digits begin `text`, and what follows them.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|own| own.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, rest))
}

pub(super) fn write(manifest: &Manifest) -> Result<Secret, Error> {
    document(manifest, false)
}

/// The document, in which marks stand for the secrets; those of revoked keys are gone, and
/// recognisers are left.
pub(super) fn write_marked(manifest: &Manifest) -> Result<Secret, Error> {
    document(manifest, true)
}

fn document(manifest: &Manifest, is_marked: bool) -> Result<Secret, Error> {
    let policy = &manifest.policy;
    let document = Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        ring: manifest.ring.clone(),
        purpose: manifest.purpose.to_string(),
        environment: manifest.environment.clone(),
        revision: manifest.revision,
        changed_at: manifest.changed_at.try_into()?,
        policy: Terms {
            longest_life_seconds: policy.longest_life.as_secs(),
            rollout_window_seconds: policy.rollout_window.as_secs(),
            skew_seconds: policy.skew.as_secs(),
            observation_seconds: policy.observation.as_secs(),
            enough_traffic: policy.enough_traffic,
            min_secret_bytes: policy.min_secret_bytes,
            dangerous_min_secret_bytes: policy.dangerous_min_secret_bytes,
            schedule: policy.schedule.map(|schedule| match schedule {
                Schedule::Days(days) => When::Days(days),
                Schedule::Quarterly => When::Quarterly,
                Schedule::SemiAnnual => When::SemiAnnual,
                Schedule::Annual => When::Annual,
            }),
        },
        earlier_window: match manifest.earlier_window {
            Some(EarlierWindow { length, until }) => {
                Some(Window { seconds: length.as_secs(), until: until.try_into()? })
            }
            None => None,
        },
        keys: manifest
            .keys
            .iter()
            .map(|key| written(key, manifest, is_marked))
            .collect::<Result<_, _>>()?,
    };
    let text = to_wiped(&document)?;
    // What is stored must be readable again.
    match text.expose().len() > MAX_BYTES {
        true => Err(Error::manifest("it has more than 1 MiB")),
        false => Ok(text),
    }
}

/// Serializes into memory that is wiped, and never moved while it grows.
pub(crate) fn to_wiped(document: &impl Serialize) -> Result<Secret, Error> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let failed = |_| Error::manifest("it cannot be written as JSON");
    let mut count = Count(0);
    serde_json::to_writer_pretty(&mut count, document).map_err(failed)?;
    let mut text = Vec::with_capacity(count.0 + 1);
    serde_json::to_writer_pretty(&mut text, document).map_err(failed)?;
    text.push(b'\n');
    Ok(Secret::from(text))
}

fn written(key: &Entry, manifest: &Manifest, is_marked: bool) -> Result<Key, Error> {
    let secret = key.secret.as_ref().filter(|_| !is_marked || key.life.revoked.is_none());
    let gone = (secret.is_none() && is_marked).then_some(manifest.changed_at);
    let recogniser = match (&key.secret, &key.recogniser) {
        (Some(own), _) if secret.is_none() => Some(Recogniser::new(own, manifest.purpose)?),
        (Some(_), _) => None,
        (None, kept) => kept.clone(),
    };
    let text = |secret: &Secret| match is_marked {
        true => Text(Zeroizing::new(mark(&key.life.kid, secret, manifest.purpose))),
        false => Text::of(secret),
    };
    let time = |moment: Option<SystemTime>| moment.map(Time::try_from).transpose();
    let life = &key.life;
    Ok(Key {
        kid: life.kid.to_string(),
        aliases: key.aliases.iter().map(Kid::to_string).collect(),
        algorithm: key.algorithm.clone(),
        added_at: life.added_at.try_into()?,
        sequence: life.sequence,
        signs: match life.signs {
            Signs::Never => Begins::Never,
            Signs::Unscheduled => Begins::Unscheduled,
            Signs::From(moment) => Begins::From(moment.try_into()?),
        },
        superseded_at: time(life.superseded_at)?,
        retire_at: time(life.retire_at)?,
        kept_until: time(life.kept_until)?,
        earlier_end: match life.earlier_end {
            Some(EarlierEnd { at, until }) => {
                Some(Earlier { at: at.try_into()?, until: until.try_into()? })
            }
            None => None,
        },
        revoked: match &life.revoked {
            Some(Revocation { at, reason }) => {
                Some(Revoked { at: (*at).try_into()?, reason: reason.clone() })
            }
            None => None,
        },
        destroyed_at: time(life.destroyed_at.or(gone))?,
        overrides: key
            .overrides
            .iter()
            .map(|Override { at, action, reason }| {
                let (action, reason) = (action.clone(), reason.clone());
                Ok(Overridden { at: (*at).try_into()?, action, reason })
            })
            .collect::<Result<_, Error>>()?,
        secret: secret.map(text),
        recogniser: recogniser.map(|own| {
            let (salt, tag) = own.write();
            Recognised { salt, tag }
        }),
    })
}

pub(super) fn read(text: &[u8]) -> Result<Manifest, Error> {
    read_any(text, None).map(|(manifest, _)| manifest)
}

/// Reads what [`write_marked`] wrote, with the secrets from among `found`. A key whose secret is
/// not there is left out, and that is said; so it is yet to be checked as a whole.
pub(super) fn read_marked(text: &[u8], found: &[&Secret]) -> Result<(Manifest, bool), Error> {
    read_any(text, Some(found))
}

fn read_any(text: &[u8], found: Option<&[&Secret]>) -> Result<(Manifest, bool), Error> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::manifest("it is empty"));
    }
    if text.len() > MAX_BYTES {
        return Err(Error::manifest("it has more than 1 MiB"));
    }
    let text = std::str::from_utf8(text).map_err(|_| Error::manifest("it is not UTF-8"))?;
    let head: Head<'_> = serde_json::from_str(text).map_err(|error| unread(&error))?;
    if head.format != FORMAT {
        return Err(Error::manifest(format!("its `format` is not `{FORMAT}`")));
    }
    if head.version != VERSION {
        let found = head.version;
        return Err(Error::manifest(format!(
            "its version is {found}, and this release reads version {VERSION}"
        )));
    }
    let document: Document = serde_json::from_str(text).map_err(|error| unread(&error))?;
    let purpose = Purpose::named(&document.purpose)
        .ok_or_else(|| Error::manifest("its `purpose` is none that this release knows"))?;
    if document.revision == 0 {
        return Err(Error::manifest("its `revision` is 0, and the first is 1"));
    }
    if document.revision > MAX_REVISION {
        return Err(Error::manifest("its `revision` is more than 2^53 - 1"));
    }
    let terms = document.policy;
    let earlier_window = document.earlier_window;
    for (field, seconds) in [
        ("earlier_window", earlier_window.as_ref().map_or(0, |own| own.seconds / 2)),
        ("longest_life_seconds", terms.longest_life_seconds),
        ("rollout_window_seconds", terms.rollout_window_seconds),
        ("skew_seconds", terms.skew_seconds),
        ("observation_seconds", terms.observation_seconds),
    ] {
        if seconds > u64::from(MAX_DAYS) * 24 * 60 * 60 {
            let problem = format!("`{field}` is more than {MAX_DAYS} days; set it to less");
            return Err(Error::manifest(problem));
        }
    }
    let policy = Policy {
        longest_life: Duration::from_secs(terms.longest_life_seconds),
        rollout_window: Duration::from_secs(terms.rollout_window_seconds),
        skew: Duration::from_secs(terms.skew_seconds),
        observation: Duration::from_secs(terms.observation_seconds),
        enough_traffic: terms.enough_traffic,
        min_secret_bytes: terms.min_secret_bytes,
        dangerous_min_secret_bytes: terms.dangerous_min_secret_bytes,
        schedule: terms.schedule.map(|schedule| match schedule {
            When::Days(days) => Schedule::Days(days),
            When::Quarterly => Schedule::Quarterly,
            When::SemiAnnual => Schedule::SemiAnnual,
            When::Annual => Schedule::Annual,
        }),
    };
    let mut keys = document.keys;
    let count = keys.len();
    if let Some(found) = found {
        keys.retain_mut(|key| unmarked(key, purpose, found));
    }
    let is_less = keys.len() < count;
    let keys = keys.into_iter().map(|key| entry(key, purpose, &policy));
    let manifest = Manifest {
        ring: document.ring,
        purpose,
        environment: document.environment,
        revision: document.revision,
        changed_at: document.changed_at.into(),
        policy,
        earlier_window: earlier_window.map(|own| EarlierWindow {
            length: Duration::from_secs(own.seconds),
            until: own.until.into(),
        }),
        keys: keys.collect::<Result<_, _>>()?,
        trusts_clock: false,
        warnings: Vec::new(),
    };
    Ok((manifest, is_less))
}

/// Puts the secret from among `found` in the place of its mark; whether it is there, or none is
/// needed.
fn unmarked(key: &mut Key, purpose: Purpose, found: &[&Secret]) -> bool {
    let Some(text) = &mut key.secret else { return true };
    let Ok(kid) = Kid::new(&key.kid) else { return true };
    match found.iter().find(|own| mark(&kid, own, purpose) == *text.0) {
        Some(own) => {
            *text = Text::of(own);
            true
        }
        None => !text.0.starts_with(MARK),
    }
}

fn entry(key: Key, purpose: Purpose, policy: &Policy) -> Result<Entry, Error> {
    let kid = Kid::new(&key.kid)?;
    let label = format!("the key `{kid}`");
    let secret = key.secret.map(|text| {
        let expected = "`base64:`, `hex:` or `text:` and what it says";
        text.secret().ok_or_else(|| Error::Encoding { key: label.clone(), expected })
    });
    let secret = secret.transpose()?;
    let mut life = Life::new(kid, key.added_at.into());
    if let Some(secret) = &secret {
        // A ring asks for more, by its own rules.
        let rules = Rules {
            allow_short_fallbacks: true,
            allow_placeholders: true,
            ..Rules::of_policy(policy)
        };
        let algorithm = key.algorithm.as_deref();
        life.is_short = check(secret, &label, true, purpose, algorithm, &rules)?;
        life.is_guessable = life.is_short || is_below_floor(secret, purpose, algorithm);
    }
    if key.sequence > MAX_REVISION {
        let problem = format!("`sequence` of the key `{kid}` is more than 2^53 - 1");
        return Err(Error::manifest(problem));
    }
    life.sequence = key.sequence;
    life.signs = match key.signs {
        Begins::Never => Signs::Never,
        Begins::Unscheduled => Signs::Unscheduled,
        Begins::From(moment) => Signs::From(moment.into()),
    };
    life.superseded_at = key.superseded_at.map(SystemTime::from);
    life.retire_at = key.retire_at.map(SystemTime::from);
    life.kept_until = key.kept_until.map(SystemTime::from);
    life.earlier_end =
        key.earlier_end.map(|own| EarlierEnd { at: own.at.into(), until: own.until.into() });
    life.revoked = key.revoked.map(|own| Revocation { at: own.at.into(), reason: own.reason });
    life.destroyed_at = key.destroyed_at.map(SystemTime::from);
    let recogniser = key.recogniser.map(|own| {
        let problem = || Error::manifest(format!("{label}: its recogniser cannot be read"));
        Recogniser::read(purpose, &own.salt, &own.tag).ok_or_else(problem)
    });
    let aliases = key.aliases.iter().map(|alias| Kid::new(alias));
    let overrides = key.overrides.into_iter().map(|own| Override {
        at: own.at.into(),
        action: own.action,
        reason: own.reason,
    });
    Ok(Entry {
        life,
        aliases: aliases.collect::<Result<_, _>>()?,
        algorithm: key.algorithm,
        secret,
        recogniser: recogniser.transpose()?,
        overrides: overrides.collect(),
        variable: None,
    })
}

/// Where it cannot be read. Deliberately not the parser's own words: they may hold what
/// stands there.
fn unread(error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    Error::manifest(match error.classify() {
        Category::Eof => format!("it ends in the middle, at line {line} column {column}"),
        Category::Syntax => format!("it is no JSON at line {line} column {column}"),
        Category::Data | Category::Io => {
            format!("it is not of the form of a manifest at line {line} column {column}")
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_unescaped_as_the_parser_does() {
        for raw in [
            r#""""#,
            r#""plain""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u0041\u00e9\u20aC\ud83e\udd80""#,
            r#""\\u0041""#,
            r#""é\\é""#,
            r#""\ud83e\ud83e\udd80""#,
            r#""\ud83e""#,
            r#""\udd80\ud83e""#,
            r#""\ud83e\u0041""#,
            r#""\ud83ex""#,
            "17",
            "null",
            "[\"a\"]",
            "true",
        ] {
            let parsed = serde_json::from_str::<String>(raw).ok();
            assert_eq!(unescaped(raw).map(|own| own.to_string()), parsed, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_unescaped_as_the_parser_does(text in any::<String>(), is_ascii: bool) {
            let mut raw = serde_json::to_string(&text).unwrap();
            if is_ascii {
                let units = raw.encode_utf16().map(|unit| match u8::try_from(unit) {
                    Ok(own) if own.is_ascii() => char::from(own).to_string(),
                    _ => format!("\\u{unit:04X}"),
                });
                raw = units.collect();
            }
            let own = unescaped(&raw).unwrap();
            prop_assert_eq!(&*own, &text);
            prop_assert!(own.capacity() <= raw.len(), "it never grew");
        }
    }
}
