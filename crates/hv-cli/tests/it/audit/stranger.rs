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
        let now = *blake3::hash(&segment).as_bytes();
        previous = trail.segment(index, &segment, &previous)?.unwrap_or(now);
        names.push(name);
        let end = (u64::from(u32_at(slot, 48)), u64_at(slot, 56));
        let last = u64::from(index) == end.0;
        require(!last || segment.len() as u64 == end.1, "ends where the mark says")?;
        require(!last || slot[104..136] == previous, "digest of the last segment")?;
        require(u64::from(index) <= end.0, "no segment behind the end")?;
    }
    let node = &trail.streams[&0];
    require(u64_at(slot, 40) == trail.lsn, "the batch that the mark names")?;
    require(u64_at(slot, 64) == node.size() && slot[72..104] == node.tip, "the node stream's end")?;
    require(trail.sealed, "sealed at the end")?;
    require(
        trail.streams.iter().all(|(number, stream)| *number < 2 || stream.closed),
        "sessions are closed",
    )?;
    require(trail.purging.is_empty(), "purges are done")?;
    trail.reductions()?;
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
    Ok(streams.map(|(number, stream)| (*number, (stream.size(), stream.root()))).collect())
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
    /// A single record that is gone, right before: its stream, the place, the root before it, its hash.
    gone: Option<(u64, u64, Hash, Hash)>,
    /// Reductions by their places: stream, tier, size and root, and whether they are done.
    reduced: BTreeMap<u64, (u64, u8, (u64, Hash), bool)>,
    /// The digests of the segments without records that are gone, as they are, and as records say.
    short: BTreeMap<u64, Hash>,
    said: BTreeMap<u64, Hash>,
}

struct Stream {
    tip: Hash,
    /// Roots of subtrees with their levels; a leaf has level 0.
    nodes: Vec<(u32, Hash)>,
    closed: bool,
    /// Size and root that the stream was closed with.
    end: Option<(u64, Hash)>,
    whole: bool,
    /// What is gone of it: 0 nothing, 1 but for hashes, 2 but for roots.
    tier: u8,
}

impl Stream {
    fn new(number: u64) -> Self {
        let mut tip = [0; 32];
        tip[28..].copy_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
        Self { tip, nodes: Vec::new(), closed: false, end: None, whole: false, tier: 0 }
    }

    fn size(&self) -> u64 {
        self.nodes.iter().map(|(level, _)| 1 << level).sum()
    }

    /// Over the records before the close, where there is one.
    fn root(&self) -> Hash {
        let before = self.nodes.len() - usize::from(self.closed);
        root(&self.nodes[..before])
    }

    fn head(&self, number: u64) -> Vec<u8> {
        [&varint(number)[..], &varint(self.size()), &self.tip, &self.root()].concat()
    }
}

impl Trail {
    /// Gives what the digest of the segment was, where records of it are gone.
    fn segment(&mut self, index: u32, bytes: &[u8], previous: &Hash) -> Result<Option<Hash>, String> {
        let short = bytes.len() >= 124 && bytes[..12] == *b"hv-short\x02\0\0\0";
        let whole = bytes.len() >= 76 && bytes[..12] == *b"hv-trail\x02\0\0\0";
        require(short || whole, "a segment of version 2")?;
        let header = if short { 124 } else { 76 };
        let last = if short { u64_at(bytes, 72) } else { u64::MAX };
        require(u32_at(bytes, 12) == index && bytes[16..32] == self.nonce, "index and nonce")?;
        require(u64_at(bytes, 32) == self.lsn + 1 && bytes[40..72] == *previous, "what came before")?;
        require(u32_at(bytes, header - 4) == crc(&bytes[..header - 4]), "crc of the segment's header")?;
        let mut rest = &bytes[header..];
        while !rest.is_empty() {
            require(rest.len() > 20 && u32_at(rest, 16) == crc(&rest[..16]), "crc of a frame's header")?;
            let length = u32_at(rest, 0) as usize;
            require(length > 0 && length <= rest.len() - 20, "a whole frame")?;
            let (frame, behind) = rest.split_at(20 + length);
            let next = u64_at(frame, 4);
            let gap = short && next > self.lsn && next <= last;
            require(next == self.lsn + 1 || gap, "the next batch")?;
            require(u32_at(frame, 12) == crc(&frame[20..]), "crc of a frame's payload")?;
            self.lsn = next;
            let mut payload = &frame[20..];
            while !payload.is_empty() {
                let stream = take_varint(&mut payload)?;
                let length = take_varint(&mut payload)?;
                if short && length == 0 {
                    self.gone(stream, &mut payload)?;
                    continue;
                }
                let record = take(&mut payload, usize::try_from(length).unwrap())?;
                self.record(stream, record)?;
            }
            let begun = self.gone.take().is_some_and(|(_, place, ..)| place == 0);
            require(self.owed.is_none() && !begun, "the node's stream says that a stream began or ended")?;
            rest = behind;
        }
        if !short {
            return Ok(None);
        }
        self.lsn = last;
        self.short.insert(index.into(), *blake3::hash(bytes).as_bytes());
        Ok(Some(bytes[80..112].try_into().unwrap()))
    }

    /// What stands for records that are gone.
    fn gone(&mut self, number: u64, payload: &mut &[u8]) -> Result<(), String> {
        let begun = self.gone.take().is_some_and(|(_, place, ..)| place == 0);
        require(number >= 2 && self.owed.is_none() && !self.sealed && !begun, "records of a session")?;
        if number == self.streams.len() as u64 {
            self.streams.insert(number, Stream::new(number));
        }
        let stream = self.streams.get_mut(&number).ok_or("a stream that began")?;
        require(!stream.closed, "a stream that is open")?;
        let (place, before) = (stream.size(), stream.root());
        let count = take_varint(payload)?;
        require(count > 0 && (place > 0 || count == 1), "the first record stands alone")?;
        let (mut at, end) = (place, place + count);
        while at < end {
            // As large as it can be where it begins, and no larger than what is left.
            let fits = (end - at).ilog2();
            let level = if at == 0 { fits } else { fits.min(at.trailing_zeros()) };
            stream.nodes.push((level, take(payload, 32)?.try_into().unwrap()));
            at += 1 << level;
        }
        stream.tip = match count {
            1 => stream.nodes.last().unwrap().1,
            _ => take(payload, 32)?.try_into().unwrap(),
        };
        stream.tier = stream.tier.max(if count == 1 { 1 } else { 2 });
        if count == 1 {
            self.gone = Some((number, place, before, stream.tip));
        }
        Ok(())
    }

    /// What is gone is what records say, and nothing else.
    fn reductions(&self) -> Result<(), String> {
        for (stream, tier, end, done) in self.reduced.values() {
            let stream = self.streams.get(stream).ok_or("a stream that is reduced")?;
            require(*done && stream.end == Some(*end), "a reduction of a closed stream, done")?;
            require(!stream.whole && stream.tier >= 1 && *tier >= 1, "its records are gone")?;
        }
        for (number, stream) in &self.streams {
            let allowed =
                self.reduced.values().filter(|(of, ..)| of == number).map(|(_, tier, ..)| *tier).max();
            require(stream.tier <= allowed.unwrap_or(0), "no more is gone than was purged")?;
        }
        require(self.short == self.said, "the segments that records say")
    }

    fn record(&mut self, number: u64, bytes: &[u8]) -> Result<(), String> {
        let rest = &mut &bytes[..];
        let parent = take(rest, 32)?;
        let hash = *blake3::keyed_hash(parent.try_into().unwrap(), rest).as_bytes();
        let kind = take(rest, 1)?[0];
        let (seq, lsn) = (take_varint(rest)?, take_varint(rest)?);
        let time = u64_at(take(rest, 8)?, 0);
        for _ in 0..take_varint(rest)? {
            let id: Hash = take(rest, 32)?.try_into().unwrap();
            let length = take_varint(rest)?;
            require(*self.payloads.entry(id).or_insert(length) == length, "a payload has one length")?;
        }
        let whole = rest.len();
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
        require(!stream.closed && seq == stream.size(), "the next record")?;
        require(parent == stream.tip, "the parent")?;
        let gone = self.gone.take();
        require(kind == 3 || gone.is_none_or(|(_, place, ..)| place > 0), "the first record is told of")?;
        let mut owed = self.owed.take();
        if let (Some((stream, place, before, leaf)), 3 | 4) = (gone, kind) {
            // The label is told by the commitment alone.
            let rest = &mut &rest[..];
            require(take_varint(rest)? == stream && number == 0 && owed.is_none(), "its own stream")?;
            let end = [&varint(place)[..], &before, &leaf].concat();
            let label = if kind == 3 { usize::try_from(take_varint(rest)?).unwrap() } else { 0 };
            take(rest, label)?;
            require(
                if kind == 3 { place == 0 && **rest == leaf } else { **rest == end[..] },
                "what is gone",
            )?;
            owed = Some([&[kind][..], &bytes[bytes.len() - whole..]].concat());
        }
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
                let stream = self.streams.get_mut(&take_varint(rest)?).unwrap();
                if kind == 4 {
                    stream.end = Some((take_varint(rest)?, take(rest, 32)?.try_into().unwrap()));
                    stream.closed = true;
                }
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
            10 => {
                let (stream, tier) = (take_varint(rest)?, take(rest, 1)?[0]);
                let size = take_varint(rest)?;
                let told: Hash = take(rest, 32)?.try_into().unwrap();
                let mut peaks = Vec::new();
                for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
                    peaks.push((level, take(rest, 32)?.try_into().unwrap()));
                }
                require(root(&peaks) == told && number == 0 && matches!(tier, 1 | 2), "a reduction")?;
                let (first, last, checkpoint) = (take_varint(rest)?, take_varint(rest)?, take_varint(rest)?);
                take(rest, 32)?;
                require(first <= last && last < lsn && checkpoint <= seq, "what came before")?;
                self.reduced.insert(seq, (stream, tier, (size, told), false));
            }
            11 => {
                for _ in 0..take_varint(rest)? {
                    let known = self.reduced.get_mut(&take_varint(rest)?).ok_or("a reduction")?;
                    require(!std::mem::replace(&mut known.3, true), "a reduction that is under way")?;
                }
                for _ in 0..take_varint(rest)? {
                    let segment = take_varint(rest)?;
                    self.said.insert(segment, take(rest, 32)?.try_into().unwrap());
                }
                require(number == 0 && rest.is_empty(), "what the segments are")?;
            }
            _ => return Err(format!("no kind {kind}")),
        }
        let stream = self.streams.get_mut(&number).unwrap();
        stream.nodes.push((0, hash));
        stream.tip = hash;
        stream.whole = true;
        stream.closed = kind == 2;
        Ok(())
    }
}

/// Over subtrees that follow each other, none of which crosses the place where the tree is split.
fn root(nodes: &[(u32, Hash)]) -> Hash {
    match nodes {
        [] => *blake3::hash(&[]).as_bytes(),
        [(_, root)] => *root,
        more => {
            let size: u64 = more.iter().map(|(level, _)| 1 << level).sum();
            let (half, mut left) = (1 << (size - 1).ilog2(), 0);
            let split = more.iter().position(|(level, _)| {
                left += 1u64 << level;
                left == half
            });
            let (left, right) = more.split_at(split.unwrap() + 1);
            *blake3::hash(&[root(left), root(right)].concat()).as_bytes()
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
pub(super) fn crc(bytes: &[u8]) -> u32 {
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
    let place = Place::new();
    trails::reduced(&place.dir());
    agree(&place.dir());
}

/// The stranger is no rubber stamp: it refuses what hv refuses.
#[tokio::test]
async fn a_verifier_written_from_the_page_refuses_a_change_of_any_byte() {
    refuses_any_change(&Place::finished().await);
    let place = Place::new();
    trails::reduced(&place.dir());
    refuses_any_change(&place);
}

fn refuses_any_change(place: &Place) {
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
