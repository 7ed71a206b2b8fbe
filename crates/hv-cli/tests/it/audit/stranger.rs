//! A verifier that somebody wrote who has only docs/FORMATS.md, sections 1 to 8: no line of hv is used here.
//!
//! It answers for finished trails. That it and `hv audit verify` agree shows that the page says what the bytes are.

use super::every::every;
use super::{Place, audit_json, trails};
use hv_core::event::NodeEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Hash = [u8; 32];

/// The length and the root of every stream of a complete trail.
fn stranger(dir: &Path) -> Result<BTreeMap<u64, (u64, Hash)>, String> {
    let mark = fs::read(dir.join("mark")).map_err(|error| error.to_string())?;
    require(mark.len() == 1024 && mark[..512] == mark[512..], "two equal slots")?;
    let slot = &mark[..512];
    require(slot[..16] == *b"hv-mark\n\x01\0\0\0\x02\0\0\0", "sealed, version 1")?;
    require(slot[480..] == keyed("hv 2026 audit mark v1", &slot[..480]), "check")?;
    require(slot[136..480].iter().all(|byte| *byte == 0) && slot[52..56] == [0; 4], "zeros")?;
    let mut trail = Trail { nonce: slot[24..40].to_vec(), ..Trail::default() };
    let mut previous = [0; 32];
    let mut names = vec!["mark".to_owned()];
    for index in 0u32.. {
        let name = format!("{index:08}.seg");
        let Ok(segment) = fs::read(dir.join(&name)) else { break };
        trail.segment(index, &segment, &previous)?;
        previous = *blake3::hash(&segment).as_bytes();
        names.push(name);
        let end = (u64::from(u32_at(slot, 48)), u64_at(slot, 56));
        let last = u64::from(index) == end.0;
        require(!last || segment.len() as u64 == end.1, "ends where the mark says")?;
        require(!last || slot[104..136] == previous, "digest of the last segment")?;
        require(u64::from(index) <= end.0, "no segment behind the end")?;
    }
    let node = &trail.streams[&0];
    require(u64_at(slot, 40) == trail.lsn, "the batch that the mark names")?;
    require(
        u64_at(slot, 64) == node.leaves.len() as u64 && slot[72..104] == node.tip,
        "the node stream's end",
    )?;
    require(trail.sealed, "sealed at the end")?;
    require(
        trail.streams.iter().all(|(number, stream)| *number < 2 || stream.closed),
        "sessions are closed",
    )?;
    require(trail.purging.is_empty(), "purges are done")?;
    let mut keys = BTreeMap::new();
    if let Ok(bytes) = fs::read(dir.join("keys")) {
        keys = self::keys(&bytes, &trail.nonce)?;
        require(!keys.is_empty(), "a key")?;
        names.push("keys".to_owned());
    }
    let there: BTreeMap<Hash, u64> =
        trail.payloads.iter().filter(|(id, _)| !trail.purged.contains(*id)).map(|(k, v)| (*k, *v)).collect();
    if let Ok(entries) = fs::read_dir(dir.join("payloads")) {
        let mut found = BTreeMap::new();
        for entry in entries {
            let path = entry.unwrap().path();
            let (slot, length, id) = payload(&fs::read(&path).unwrap(), &keys)?;
            require(path.file_name().unwrap().to_str() == Some(&hex(&id)), "a payload has its id as name")?;
            require(keys.get(&slot).is_some_and(|(named, _)| *named == id), "a key names its payload")?;
            found.insert(id, length);
        }
        require(!found.is_empty() && found == there, "the payloads that records name, and no others")?;
        names.push("payloads".to_owned());
    } else {
        require(there.is_empty(), "payloads")?;
    }
    for (name, (digest, length)) in &trail.snapshots {
        if let Ok(bytes) = fs::read(dir.join(name)) {
            let kept = bytes.len() as u64 == *length && keyed("hv 2026 audit snapshot v1", &bytes) == *digest;
            require(kept, "the snapshot that was kept")?;
            names.push(name.clone());
        }
    }
    let listed = |live: bool| -> BTreeSet<Hash> {
        keys.values().filter(|(_, key)| key.is_some() == live).map(|(id, _)| *id).collect()
    };
    require(listed(true) == there.keys().copied().collect(), "a key for each payload")?;
    require(listed(false) == trail.purged, "a destroyed key for each purged payload")?;
    for entry in fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        require(names.contains(&name), "nothing else lies there")?;
    }
    let streams = trail.streams.iter();
    Ok(streams.map(|(number, stream)| (*number, (stream.leaves.len() as u64, stream.root()))).collect())
}

#[derive(Default)]
struct Trail {
    nonce: Vec<u8>,
    lsn: u64,
    time: u64,
    sealed: bool,
    streams: BTreeMap<u64, Stream>,
    payloads: BTreeMap<Hash, u64>,
    purged: BTreeSet<Hash>,
    /// The places of purges that are not done.
    purging: BTreeSet<u64>,
    /// Digest and length of each snapshot, by the name of its file.
    snapshots: BTreeMap<String, (Hash, u64)>,
    /// What the node's stream must say next.
    owed: Option<Vec<u8>>,
}

struct Stream {
    tip: Hash,
    leaves: Vec<Hash>,
    closed: bool,
}

impl Stream {
    fn new(number: u64) -> Self {
        let mut tip = [0; 32];
        tip[28..].copy_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
        Self { tip, leaves: Vec::new(), closed: false }
    }

    /// Over the records before the close, where there is one.
    fn root(&self) -> Hash {
        let before = self.leaves.len() - usize::from(self.closed);
        root(&self.leaves[..before])
    }

    fn head(&self, number: u64) -> Vec<u8> {
        [&varint(number)[..], &varint(self.leaves.len() as u64), &self.tip, &self.root()].concat()
    }
}

impl Trail {
    fn segment(&mut self, index: u32, bytes: &[u8], previous: &Hash) -> Result<(), String> {
        require(bytes.len() >= 76 && bytes[..12] == *b"hv-trail\x01\0\0\0", "a segment of version 1")?;
        require(u32_at(bytes, 12) == index && bytes[16..32] == self.nonce, "index and nonce")?;
        require(u64_at(bytes, 32) == self.lsn + 1 && bytes[40..72] == *previous, "what came before")?;
        require(u32_at(bytes, 72) == crc(&bytes[..72]), "crc of the segment's header")?;
        let mut rest = &bytes[76..];
        while !rest.is_empty() {
            require(rest.len() > 20 && u32_at(rest, 16) == crc(&rest[..16]), "crc of a frame's header")?;
            let length = u32_at(rest, 0) as usize;
            require(length > 0 && length <= rest.len() - 20, "a whole frame")?;
            let (frame, behind) = rest.split_at(20 + length);
            require(u64_at(frame, 4) == self.lsn + 1, "the next batch")?;
            require(u32_at(frame, 12) == crc(&frame[20..]), "crc of a frame's payload")?;
            self.lsn += 1;
            let mut payload = &frame[20..];
            while !payload.is_empty() {
                let stream = take_varint(&mut payload)?;
                let length = take_varint(&mut payload)?;
                let record = take(&mut payload, usize::try_from(length).unwrap())?;
                self.record(stream, record)?;
            }
            require(self.owed.is_none(), "the node's stream says that a stream began or ended")?;
            rest = behind;
        }
        Ok(())
    }

    fn record(&mut self, number: u64, bytes: &[u8]) -> Result<(), String> {
        let hash = keyed("hv 2026 audit leaf v1", bytes);
        let rest = &mut &bytes[..];
        let parent = take(rest, 32)?;
        let kind = take(rest, 1)?[0];
        let (seq, lsn) = (take_varint(rest)?, take_varint(rest)?);
        let time = u64_at(take(rest, 8)?, 0);
        for _ in 0..take_varint(rest)? {
            let id: Hash = take(rest, 32)?.try_into().unwrap();
            let length = take_varint(rest)?;
            require(*self.payloads.entry(id).or_insert(length) == length, "a payload has one length")?;
        }
        require(lsn == self.lsn && time >= self.time, "batch and time")?;
        self.time = time;
        require(!self.sealed || kind == 5, "only a start behind the end")?;
        self.sealed = false;
        require(
            self.lsn > 1 || self.streams.contains_key(&0) || (kind, number) == (5, 0),
            "a start at the beginning",
        )?;
        if self.streams.is_empty() {
            self.streams.extend([0, 1].map(|number| (number, Stream::new(number))));
        }
        if kind == 1 {
            require(seq == 0 && number == self.streams.len() as u64, "sessions without a gap")?;
            self.streams.insert(number, Stream::new(number));
        }
        let stream = self.streams.get(&number).ok_or("a stream that began")?;
        require(!stream.closed && seq == stream.leaves.len() as u64, "the next record")?;
        require(parent == stream.tip, "the parent")?;
        let owed = self.owed.take();
        require(owed.is_some() == matches!(kind, 3 | 4), "commitments stand where they must")?;
        match kind {
            0 => {}
            1 => {
                let length = usize::try_from(take_varint(&mut &**rest)?).unwrap();
                let label = take(rest, varint(length as u64).len() + length)?;
                self.owed = Some([&[3][..], &varint(number), label, &hash].concat());
            }
            2 => {
                let end = [&varint(seq)[..], &stream.root()].concat();
                require(take(rest, end.len())? == end && number >= 2, "size and root")?;
                self.owed = Some([&[4][..], &varint(number), &end, &hash].concat());
            }
            3 | 4 => {
                let said = [&[kind][..], rest].concat();
                require(number == 0 && owed == Some(said), "the commitment")?;
            }
            5 => require(number == 0 && **rest == self.nonce[..], "the nonce")?,
            6 => {
                let open = self.streams.iter().filter(|(_, stream)| !stream.closed);
                let heads: Vec<u8> = open.flat_map(|(number, stream)| stream.head(*number)).collect();
                require(number == 0 && **rest == heads[..], "the ends of the streams")?;
                require(self.purging.is_empty(), "no purge under way")?;
                self.sealed = true;
            }
            7 => {
                let mut last = None;
                for _ in 0..take_varint(rest)? {
                    let id: Hash = take(rest, 32)?.try_into().unwrap();
                    require(last < Some(id), "ids in ascending order")?;
                    last = Some(id);
                    self.purged.insert(id);
                }
                require(number == 0 && last.is_some(), "a purge of something")?;
                self.purging.insert(seq);
            }
            8 => {
                let purge = take_varint(rest)?;
                let known = self.purging.remove(&purge);
                require(number == 0 && rest.is_empty() && known, "a purge that is under way")?;
            }
            9 => {
                let digest: Hash = take(rest, 32)?.try_into().unwrap();
                self.snapshots.insert(format!("{lsn:016}.snap"), (digest, take_varint(rest)?));
                require(number == 0 && rest.is_empty(), "a snapshot")?;
            }
            _ => return Err(format!("no kind {kind}")),
        }
        let stream = self.streams.get_mut(&number).unwrap();
        stream.leaves.push(hash);
        stream.tip = hash;
        stream.closed = kind == 2;
        Ok(())
    }
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => keyed("hv 2026 audit node v1", &[]),
        [leaf] => *leaf,
        more => {
            let left = (more.len() - 1).ilog2();
            let (left, right) = more.split_at(1 << left);
            keyed("hv 2026 audit node v1", &[root(left), root(right)].concat())
        }
    }
}

/// By slot, the id and the key, where it was not destroyed.
type Keys = BTreeMap<u64, (Hash, Option<Hash>)>;

fn keys(bytes: &[u8], nonce: &[u8]) -> Result<Keys, String> {
    require(bytes.len().is_multiple_of(128) && bytes.len() >= 128, "whole slots")?;
    let mut keys = Keys::new();
    for (at, slot) in bytes.chunks(128).enumerate() {
        require(u32_at(slot, 124) == crc(&slot[..124]), "crc of a slot")?;
        let Some(number) = at.checked_sub(1) else {
            require(slot[..12] == *b"hv-keys\n\x01\0\0\0" && slot[12..28] == *nonce, "the header of keys")?;
            require(slot[28..124].iter().all(|byte| *byte == 0), "zeros in the header of keys")?;
            continue;
        };
        let (id, key): (Hash, Hash) = (slot[4..36].try_into().unwrap(), slot[36..68].try_into().unwrap());
        require(slot[68..124].iter().all(|byte| *byte == 0), "zeros in a slot")?;
        let key = match u32_at(slot, 0) {
            1 => Some(key),
            2 if key == [0; 32] => None,
            _ => return Err("a key or none".to_owned()),
        };
        keys.insert(number as u64, (id, key));
    }
    Ok(keys)
}

/// The slot of its key, its length and its id.
fn payload(bytes: &[u8], keys: &Keys) -> Result<(u64, u64, Hash), String> {
    let (front, check) = bytes.split_last_chunk::<4>().ok_or("a payload")?;
    require(u32::from_le_bytes(*check) == crc(front), "crc of a payload")?;
    let rest = &mut &front[..];
    require(take(rest, 8)? == b"hv-load2", "a payload")?;
    let slot = u64_at(take(rest, 8)?, 0);
    let length = take_varint(rest)?;
    require(rest.len() as u64 == length, "the length of a payload")?;
    let key = keys.get(&slot).and_then(|(_, key)| *key).ok_or("a key that is there")?;
    let mut bits = vec![0; rest.len()];
    let stream = blake3::derive_key("hv 2026 audit payload stream v1", &key);
    blake3::Hasher::new_keyed(&stream).finalize_xof().fill(&mut bits);
    let content: Vec<u8> = rest.iter().zip(bits).map(|(byte, bits)| byte ^ bits).collect();
    let salt = blake3::derive_key("hv 2026 audit payload salt v1", &key);
    Ok((slot, length, *blake3::keyed_hash(&salt, &content).as_bytes()))
}

fn keyed(context: &str, bytes: &[u8]) -> Hash {
    *blake3::keyed_hash(&blake3::derive_key(context, &[]), bytes).as_bytes()
}

/// CRC-32C bit by bit: reflected, polynomial 0x1edc6f41.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (front, behind) = rest.split_at_checked(count).ok_or("more bytes")?;
    *rest = behind;
    Ok(front)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, String> {
    let end = rest.iter().position(|byte| byte & 0x80 == 0).ok_or("a number ends")?;
    let bytes = take(rest, end + 1)?;
    let value = bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    require(varint(value) == bytes, "the shortest form")?;
    Ok(value)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        out.push(byte | u8::from(value > 0) << 7);
        if value == 0 {
            return out;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn require(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it should hold: {rule}")) }
}

fn agree(dir: &Path) {
    let found = stranger(dir).unwrap();
    let (code, document) = audit_json("verify", dir, &["--sealed"]);
    assert_eq!(code, 0, "{document}");
    let streams = document["streams"].as_array().unwrap();
    assert_eq!(streams.len(), found.len());
    for stream in streams {
        let (length, root) = found[&stream["no"].as_u64().unwrap()];
        assert_eq!((stream["length"].as_u64(), stream["root"].as_str()), (Some(length), Some(&*hex(&root))));
    }
}

#[tokio::test]
async fn a_verifier_written_from_the_page_agrees() {
    let place = Place::finished().await;
    agree(&place.dir());
    let place = Place::new();
    // What a trail says of its own checkpoints, hv holds against the trail, and these were never made from it.
    let mut every = every();
    every
        .node
        .retain(|event| !matches!(event, NodeEvent::AnchorQueued { .. } | NodeEvent::AnchorMoved { .. }));
    trails::of_every_event(&place.dir(), &every);
    agree(&place.dir());
    let place = Place::new();
    trails::in_segments(&place.dir());
    agree(&place.dir());
}

/// The stranger is no rubber stamp: it refuses what hv refuses.
#[tokio::test]
async fn a_verifier_written_from_the_page_refuses_a_change_of_any_byte() {
    let place = Place::finished().await;
    for (name, bytes) in super::files(&place.dir()) {
        let path = place.dir().join(&name);
        for at in (0..bytes.len()).step_by(bytes.len() / 199 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            fs::write(&path, changed).unwrap();
            assert!(stranger(&place.dir()).is_err(), "{} at {at}", name.display());
        }
        fs::write(&path, &bytes).unwrap();
    }
    agree(&place.dir());
}
