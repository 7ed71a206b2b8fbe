//! Attestation records: whose word a manifest from a wire has for itself.
//!
//! A record says that an agent runs this code with this configuration, signed by a control plane. The package makes and
//! carries such records, and leaves out signing them: its own `signature` is the message itself in base64, which anybody
//! can write. Here the signature is Ed25519 over exactly that message, `agent_id:codebase_hash:config_hash:timestamp`,
//! as its documentation has it for production, by a key that the operator named.
//!
//! Two things that the message leaves open are closed here. `expires_at` is not signed, so a record counts for a bounded
//! time from its signed timestamp, and `expires_at` can only shorten it. And the manifest is not signed, so
//! `config_hash` must be the SHA-256 of the manifest itself: without its `attestation`, in JSON with sorted names and no
//! spaces. In Python:
//!
//! ```python
//! text = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
//! config_hash = hashlib.sha256(text.encode()).hexdigest()
//! ```

use super::read::MANIFEST_MAX_BYTES;
use core::fmt;
use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use hv_types::{Did, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

type Fields = Map<String, Value>;

/// How long a record counts from its timestamp on where nothing else is said: a day, as the package makes them.
pub const ATTESTATION_LIFE: Duration = Duration::from_secs(86_400);

/// How far ahead the clock of whoever signed may be.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(300);

/// Whose attestations count.
#[derive(Debug, Clone)]
pub struct Attesters {
    keys: BTreeMap<String, VerifyingKey>,
    codebases: BTreeMap<Did, String>,
    life: Duration,
}

/// A record that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Whom it speaks of, as the manifest names it.
    pub agent_id: String,
    /// The key that signed it, by its name.
    pub key: String,
    /// The SHA-256 of the agent's code, as 64 hexadecimal digits.
    pub codebase: String,
    /// Until when it counts.
    pub until: Timestamp,
}

/// Why a record does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAttested {
    /// There is no record.
    None,
    /// A field of the record is missing, or none that it may be.
    Malformed {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// It speaks of another agent than the manifest.
    OtherAgent {
        /// Of whom, at most 256 bytes.
        attested: String,
    },
    /// It was signed with a key that the operator did not name.
    UnknownKey {
        /// The key's name, at most 256 bytes.
        key: String,
    },
    /// Its signature is the message itself, as the package leaves it: nobody has signed it.
    Unsigned,
    /// The key did not sign this.
    BadSignature {
        /// The key's name.
        key: String,
    },
    /// It was signed later than now.
    NotYet,
    /// Its time is over.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// It attests another configuration than this manifest.
    OtherConfig,
    /// It attests other code than the operator expects of the agent.
    OtherCodebase {
        /// What it attests.
        attested: String,
    },
}

/// 32 bytes that are no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAKey;

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these 32 bytes are no Ed25519 public key that may sign")
    }
}

impl core::error::Error for NotAKey {}

impl fmt::Display for NotAttested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("the manifest has no attestation"),
            Self::Malformed { field, expected } => write!(f, "attestation: `{field}` must be {expected}"),
            Self::OtherAgent { attested } => {
                write!(f, "the attestation speaks of `{attested}`, and the manifest of somebody else")
            }
            Self::UnknownKey { key } => {
                write!(f, "the attestation is signed with the key `{key}`, which nobody here trusts; name it, or ask for another")
            }
            Self::Unsigned => f.write_str(
                "the attestation is not signed: its signature is its own text; have the control plane sign it with Ed25519",
            ),
            Self::BadSignature { key } => {
                write!(f, "the attestation was not signed like this by the key `{key}`; it was changed, or forged")
            }
            Self::NotYet => f.write_str("the attestation is dated later than now; check both clocks"),
            Self::Expired { since } => write!(f, "the attestation counted until {since}; ask for a new one"),
            Self::OtherConfig => f.write_str(
                "the attestation is for another configuration: its config_hash is not that of this manifest",
            ),
            Self::OtherCodebase { attested } => {
                write!(f, "the attestation is for other code than is expected of the agent: {attested}")
            }
        }
    }
}

impl core::error::Error for NotAttested {}

impl Default for Attesters {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), codebases: BTreeMap::new(), life: ATTESTATION_LIFE }
    }
}

impl Attesters {
    /// The same with an Ed25519 public key of a control plane, under the name that its records give it.
    ///
    /// # Errors
    /// [`NotAKey`] for bytes that are no such key, or one with which anything verifies.
    pub fn with_key(mut self, name: &str, key: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak()).ok_or(NotAKey)?;
        self.keys.insert(name.to_owned(), key);
        Ok(self)
    }

    /// The same where this agent has to run this code: its SHA-256 in 64 hexadecimal digits of lower case.
    #[must_use]
    pub fn with_codebase(mut self, agent: &Did, sha256: &str) -> Self {
        self.codebases.insert(agent.clone(), sha256.to_owned());
        self
    }

    /// The same where a record counts for so long.
    #[must_use]
    pub fn with_life(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// Whether there is any key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Holds the record in a manifest's `attestation` against the manifest, the keys, and the code that is expected of
    /// the agent that joins with it. Whether the manifest is that agent's is not asked here.
    ///
    /// Costs two readings of the text, one SHA-256 over it and one verification, some 50 µs.
    ///
    /// # Errors
    /// [`NotAttested`], with the first thing that is wrong.
    pub fn verify(
        &self,
        manifest: &str,
        joining: Option<&Did>,
        now: Timestamp,
    ) -> Result<Attested, NotAttested> {
        let (record, rest) = parted(manifest)?;
        let agent_id = text(&record, "agent_id")?;
        if rest.get("agent_id").and_then(Value::as_str) != Some(agent_id) {
            return Err(NotAttested::OtherAgent { attested: agent_id.to_owned() });
        }
        let (codebase, config) = (hash(&record, "codebase_hash")?, hash(&record, "config_hash")?);
        let (timestamp, signed_at) = moment(&record, "timestamp")?;
        let expires = match record.get("expires_at") {
            None | Some(Value::Null) => None,
            Some(_) => Some(moment(&record, "expires_at")?.1),
        };
        let name = text(&record, "signing_key_id")?;
        let key = self.keys.get(name).ok_or_else(|| NotAttested::UnknownKey { key: name.to_owned() })?;
        // Hashes of 64 digits and a timestamp of one form: no two records have one message.
        let message = format!("{agent_id}:{codebase}:{config}:{timestamp}");
        let signature = BASE64
            .decode(text(&record, "signature")?.as_bytes())
            .map_err(|_| NotAttested::Malformed { field: "signature", expected: "base64" })?;
        if signature == message.as_bytes() {
            return Err(NotAttested::Unsigned);
        }
        let forged = || NotAttested::BadSignature { key: name.to_owned() };
        let signature = Signature::from_slice(&signature).map_err(|_| forged())?;
        key.verify_strict(message.as_bytes(), &signature).map_err(|_| forged())?;
        if signed_at > now.after(CLOCK_AHEAD) {
            return Err(NotAttested::NotYet);
        }
        let until = expires.map_or(signed_at.after(self.life), |at| at.min(signed_at.after(self.life)));
        if now > until {
            return Err(NotAttested::Expired { since: until });
        }
        if config != digest(&rest) {
            return Err(NotAttested::OtherConfig);
        }
        match joining.and_then(|agent| self.codebases.get(agent)) {
            Some(expected) if expected != codebase => {
                Err(NotAttested::OtherCodebase { attested: codebase.to_owned() })
            }
            _ => Ok(Attested {
                agent_id: agent_id.to_owned(),
                key: name.to_owned(),
                codebase: codebase.to_owned(),
                until,
            }),
        }
    }
}

/// The SHA-256 of a manifest in JSON with sorted names and no spaces, without its `attestation`, as 64 hexadecimal
/// digits: what a record's `config_hash` has to be. Nothing where the text is no object.
#[must_use]
pub fn config_hash(manifest: &str) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(manifest) else { return None };
    fields.remove("attestation");
    Some(digest(&fields))
}

/// The record and what is left of the manifest without it.
fn parted(manifest: &str) -> Result<(Fields, Fields), NotAttested> {
    let malformed = || NotAttested::Malformed { field: "attestation", expected: "an object in a manifest" };
    if manifest.len() > MANIFEST_MAX_BYTES {
        return Err(malformed());
    }
    let Ok(Value::Object(mut rest)) = serde_json::from_str(manifest) else { return Err(malformed()) };
    match rest.remove("attestation") {
        None | Some(Value::Null) => Err(NotAttested::None),
        Some(Value::Object(record)) => Ok((record, rest)),
        Some(_) => Err(malformed()),
    }
}

fn text<'a>(record: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, NotAttested> {
    let text = record.get(field).and_then(Value::as_str).filter(|text| text.len() <= 2048);
    text.ok_or(NotAttested::Malformed { field, expected: "a text" })
}

fn hash<'a>(record: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, NotAttested> {
    let digits = text(record, field)?;
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() == 64 && digits.bytes().all(plain) {
        return Ok(digits);
    }
    Err(NotAttested::Malformed { field, expected: "a SHA-256 in 64 hexadecimal digits of lower case" })
}

fn moment<'a>(
    record: &'a Map<String, Value>,
    field: &'static str,
) -> Result<(&'a str, Timestamp), NotAttested> {
    let written = text(record, field)?;
    let read = instant(written).map(|at| (written, at));
    read.ok_or(NotAttested::Malformed { field, expected: "a time such as 2026-01-31T12:00:00Z" })
}

/// `2026-01-31T12:00:00`, up to nine places of a second, and `Z` or `+00:00`.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let shape = whole.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    if !shape.eq(*b"0000-00-00T00:00:00") || !(1..=9).contains(&places.len()) {
        return None;
    }
    let number = |at: core::ops::Range<usize>| whole.get(at)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let nanos = if places.bytes().all(|byte| byte.is_ascii_digit()) {
        places.parse::<u32>().ok()? * 10_u32.pow(9 - u32::try_from(places.len()).ok()?)
    } else {
        return None;
    };
    let whole = Timestamp::from_civil([year, month, day], [hour, minute, second])?;
    Some(whole.after(Duration::new(0, nanos)))
}

fn digest(fields: &Fields) -> String {
    let mut text = Vec::new();
    sorted(&mut text, fields);
    data_encoding::HEXLOWER.encode(&Sha256::digest(&text))
}

/// Sorted also where the map keeps the order in which it was read.
fn sorted(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b'{');
    let fields: BTreeMap<&String, &Value> = fields.iter().collect();
    for (n, (name, value)) in fields.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        canonical(out, value);
    }
    out.push(b'}');
}

/// A value in its one form. As deep as the reader lets it be.
fn canonical(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(fields) => sorted(out, fields),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                canonical(out, item);
            }
            out.push(b']');
        }
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};
    use serde_json::json;

    const NOW: &str = "2026-01-31T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        instant(text).unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn attesters() -> Attesters {
        Attesters::default().with_key("cp-1", key().verifying_key().as_bytes()).unwrap()
    }

    fn manifest() -> Value {
        json!({ "agent_id": "did:mesh:a", "trust_level": "trusted", "capabilities": { "idempotency": true },
                "privacy_contract": { "retention": "ephemeral", "storage_location": "é" }, "scopes": [] })
    }

    /// A record that counts until something of it is changed.
    fn record() -> Value {
        json!({ "agent_id": "did:mesh:a", "codebase_hash": "a".repeat(64),
                "config_hash": config_hash(&manifest().to_string()).unwrap(), "signing_key_id": "cp-1",
                "timestamp": "2026-01-31T11:00:00.25Z", "expires_at": "2026-01-31T13:00:00+00:00" })
    }

    fn message(record: &Value) -> String {
        ["agent_id", "codebase_hash", "config_hash", "timestamp"]
            .map(|field| record[field].as_str().unwrap())
            .join(":")
    }

    fn signed(mut record: Value) -> Value {
        record["signature"] = BASE64.encode(&key().sign(message(&record).as_bytes()).to_bytes()).into();
        record
    }

    fn carried(record: &Value) -> String {
        let mut manifest = manifest();
        manifest["attestation"] = record.clone();
        manifest.to_string()
    }

    fn changed(field: &str, to: impl Into<Value>) -> Value {
        let mut record = record();
        record[field] = to.into();
        record
    }

    fn refused(manifest: &str) -> NotAttested {
        attesters().verify(manifest, None, at(NOW)).unwrap_err()
    }

    #[test]
    fn what_is_signed_for_exactly_this_manifest_counts_and_as_long_as_both_times_let_it() {
        for (expires, until) in [
            (json!("2026-01-31T13:00:00+00:00"), "2026-01-31T13:00:00Z"),
            (json!(null), "2026-02-01T11:00:00.25Z"),
            // Nobody signed for this, so it lengthens nothing.
            (json!("2099-01-01T00:00:00Z"), "2026-02-01T11:00:00.25Z"),
        ] {
            let text = carried(&signed(changed("expires_at", expires)));
            let attested = attesters().verify(&text, None, at(NOW)).unwrap();
            assert_eq!((attested.key.as_str(), attested.until), ("cp-1", at(until)));
            assert!(attesters().verify(&text, None, at(until)).is_ok());
            let late = at(until).after(Duration::from_nanos(1));
            assert_eq!(attesters().verify(&text, None, late), Err(NotAttested::Expired { since: at(until) }));
        }
        let short = attesters().with_life(Duration::from_secs(60));
        assert!(short.verify(&carried(&signed(record())), None, at(NOW)).is_err());
    }

    #[test]
    fn what_does_not_count_is_refused_each_for_its_own_reason() {
        let malformed = |field| move |why: &NotAttested| matches!(why, NotAttested::Malformed { field: f, .. } if *f == field);
        assert_eq!(refused(&manifest().to_string()), NotAttested::None);
        assert_eq!(refused(&carried(&Value::Null)), NotAttested::None);
        let forged = NotAttested::BadSignature { key: "cp-1".into() };
        let mut tampered = signed(record());
        tampered["codebase_hash"] = "b".repeat(64).into();
        assert_eq!(refused(&carried(&tampered)), forged);
        let mut renewed = signed(record());
        renewed["timestamp"] = "2026-01-31T11:59:59Z".into();
        assert_eq!(refused(&carried(&renewed)), forged);
        let mut other_key = signed(record());
        other_key["signature"] = BASE64
            .encode(&SigningKey::from_bytes(&[8; 32]).sign(message(&record()).as_bytes()).to_bytes())
            .into();
        assert_eq!(refused(&carried(&other_key)), forged);
        // As the package leaves it.
        let unsigned = changed("signature", BASE64.encode(message(&record()).as_bytes()));
        assert_eq!(refused(&carried(&unsigned)), NotAttested::Unsigned);
        let foreign = signed(changed("agent_id", "did:mesh:b"));
        assert_eq!(refused(&carried(&foreign)), NotAttested::OtherAgent { attested: "did:mesh:b".into() });
        let unknown = signed(changed("signing_key_id", "cp-2"));
        assert_eq!(refused(&carried(&unknown)), NotAttested::UnknownKey { key: "cp-2".into() });
        let early = signed(changed("timestamp", "2026-01-31T12:05:01Z"));
        assert_eq!(refused(&carried(&early)), NotAttested::NotYet);
        let config = signed(changed("config_hash", "c".repeat(64)));
        assert_eq!(refused(&carried(&config)), NotAttested::OtherConfig);
        // A good record beside another manifest.
        let inflated = carried(&signed(record())).replace("trusted", "verified_partner");
        assert_eq!(refused(&inflated), NotAttested::OtherConfig);
        for (record, field) in [
            (signed(changed("codebase_hash", "A".repeat(64))), "codebase_hash"),
            (signed(changed("config_hash", "")), "config_hash"),
            (signed(changed("timestamp", "2026-02-30T11:00:00Z")), "timestamp"),
            (signed(changed("timestamp", "yesterday")), "timestamp"),
            (changed("signature", "no base64"), "signature"),
            (record(), "signature"),
            (signed(changed("expires_at", 7)), "expires_at"),
            (json!([]), "attestation"),
            (json!({}), "agent_id"),
        ] {
            let why = refused(&carried(&record));
            assert!(malformed(field)(&why), "{field}: {why:?}");
        }
    }

    #[test]
    fn code_that_is_not_expected_is_refused_of_whom_it_is_expected() {
        let (joining, text) = (Did::new("did:mesh:a").unwrap(), carried(&signed(record())));
        for (expected, counts) in [("a", true), ("b", false)] {
            let attesters = attesters().with_codebase(&joining, &expected.repeat(64));
            assert_eq!(attesters.verify(&text, Some(&joining), at(NOW)).is_ok(), counts);
        }
    }

    #[test]
    fn a_key_with_which_anything_verifies_is_no_key() {
        assert!(Attesters::default().with_key("zero", &[0; 32]).is_err());
        assert!(
            Attesters::default()
                .with_key("one", &{
                    let mut one = [0; 32];
                    one[0] = 1;
                    one
                })
                .is_err()
        );
    }

    #[test]
    fn a_time_has_one_form() {
        assert_eq!(at("1970-01-01T00:00:00Z"), Timestamp(0));
        assert_eq!(at("2026-01-31T12:00:00.000000001Z").to_string(), "2026-01-31T12:00:00.000Z");
        for text in [
            "",
            "Z",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-1-31T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2025-02-29T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.0000000001Z",
            "2026-01-31T12:00:00+01:00",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.-1Z",
            "9999-01-31T12:00:00Z",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    proptest::proptest! {
        /// No byte of what is signed can be changed, and nothing that is read panics.
        #[test]
        fn a_changed_byte_is_never_attested(at in 0..600usize, to in 0x20..0x7f_u8) {
            let mut record = signed(record());
            record.as_object_mut().unwrap().remove("expires_at");
            let text = carried(&record);
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let changed = String::from_utf8_lossy(&bytes).into_owned();
            if changed != text {
                proptest::prop_assert!(attesters().verify(&changed, None, instant(NOW).unwrap()).is_err());
            }
        }
    }
}
