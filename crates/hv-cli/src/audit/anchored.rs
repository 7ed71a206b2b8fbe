//! A trail beside its anchors: those that it names itself, and receipts that were kept outside.
//!
//! What a trail says about its anchors proves nothing: whoever can rewrite it can rewrite that. So an anchor gives a level
//! only where whoever verifies named the place to look at, and it is there. That the trail has the root of every anchor
//! that it names is checked in any case: an honest one has.

use super::{Failure, bad_input, failed, files};
use crate::output::counted;
use hv_core::anchor::evm::EvmChain;
use hv_core::anchor::tsa::{TsaAnchor, time_of};
use hv_core::anchor::{Anchor, AnchorFault, AnchorState, FileAnchor, GitAnchor, Look};
use hv_core::audit::{
    Checkpoint, CompactRange, Entry, Finding, Kind, Lsn, Outside, Rank, Reach, Rfc6962, StreamNo, TreeHash,
    What, node_entry, origin,
};
use hv_core::event::NodeEvent;
use hv_core::types::{Digest, Illegal, Timestamp};
use hv_core::{AnchorBook, AnchorEntry, TrailEvent, read_record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a trail says about its anchors, gathered while it is read.
#[derive(Debug, Default)]
pub(crate) struct OwnAnchors {
    book: AnchorBook,
    reach: Reach,
    nonce: Option<[u8; 16]>,
    illegal: Option<Illegal>,
}

impl OwnAnchors {
    /// Takes the next record of the trail.
    pub(crate) fn take(&mut self, entry: &Entry<'_>) {
        self.reach.note(entry);
        if let Kind::Started { nonce } = entry.kind {
            self.nonce = Some(nonce);
        }
        if entry.stream != StreamNo::NODE {
            return;
        }
        let events = read_record(entry).map(|record| record.events).unwrap_or_default();
        for event in events {
            if let TrailEvent::Node(
                event @ (NodeEvent::AnchorQueued { .. } | NodeEvent::AnchorMoved { .. }),
            ) = event
            {
                self.illegal = self.illegal.take().or(self.book.apply(&event).err());
            }
        }
    }

    /// All of them, or what does not follow from what was said before.
    pub(super) fn entries(&self) -> Result<&[AnchorEntry], &Illegal> {
        self.illegal.as_ref().map_or_else(|| Ok(self.book.entries()), Err)
    }

    /// What the trail is called in its checkpoints.
    pub(super) fn origin(&self) -> String {
        origin(&self.nonce.unwrap_or_default())
    }

    /// The last batch up to which a checkpoint of so many records speaks for everything.
    pub(super) fn reach(&self, size: u64) -> Lsn {
        self.reach.of(size)
    }

    /// In words, how far the trail is anchored by its own word; `None` where it names no anchor that is there.
    pub(crate) fn word(&self) -> Option<String> {
        let there = self.book.entries().iter().filter_map(|entry| {
            let rank = match entry.anchoring.state {
                AnchorState::Final => 1,
                AnchorState::Included => 0,
                _ => return None,
            };
            Some((rank, entry.size, entry))
        });
        let (.., entry) = there.max_by_key(|(rank, size, _)| (*rank, *size))?;
        let (state, up_to) = (entry.anchoring.state.name(), self.reach.of(entry.size));
        Some(format!("by its own word anchored up to batch {up_to} ({state}, {})", entry.target))
    }

    /// A level with what the trail says about its anchors behind it.
    pub(crate) fn beside(&self, level: &dyn fmt::Display) -> String {
        self.word().map_or_else(|| level.to_string(), |word| format!("{level}; {word}"))
    }
}

/// Where whoever verifies looks for anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file with a line for each.
    File(PathBuf),
    /// A repository with a note for each.
    Git(PathBuf),
    /// A node of an EVM chain.
    Evm(String),
    /// Certificates of a time-stamping authority.
    Rfc3161(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').filter(|(_, at)| !at.is_empty()) {
            Some(("file", at)) => Ok(Self::File(at.into())),
            Some(("git", at)) => Ok(Self::Git(at.into())),
            Some(("evm", at)) => Ok(Self::Evm(at.to_owned())),
            Some(("rfc3161", at)) => Ok(Self::Rfc3161(at.into())),
            _ => Err("a place is file:PATH, git:REPOSITORY, evm:URL or rfc3161:CERTIFICATES".to_owned()),
        }
    }
}

impl Place {
    /// Whether an anchor of this target can be there.
    fn is_of(&self, target: &str) -> bool {
        let kind = match self {
            Self::File(_) => "file:",
            Self::Git(_) => "git:",
            Self::Evm(_) => "evm:",
            Self::Rfc3161(_) => "rfc3161:",
        };
        target.starts_with(kind)
    }

    /// Looks for a digest; what is found, whether that counts, and since when it is there, as the place says.
    fn look(&self, digest: &Digest, receipt: &[u8], confirmations: u64) -> Result<Found, AnchorFault> {
        match self {
            Self::File(path) if !path.is_file() => {
                Err(AnchorFault::Unreachable { why: format!("{}: there is no such file", path.display()) })
            }
            Self::File(path) => Ok(Found::kept(&FileAnchor::new(path).look(digest, receipt)?)),
            Self::Git(path) => Ok(Found::kept(&GitAnchor::new(path).look(digest, receipt)?)),
            Self::Rfc3161(authority) => {
                let look = TsaAnchor::new("").with_authority(authority).look(digest, receipt)?;
                let counts = matches!(look, Look::Included { is_final: true, .. });
                let since = time_of(receipt, digest).filter(|_| counts);
                Ok(Found {
                    state: if counts { "final" } else { "not signed by this authority" },
                    counts,
                    since,
                })
            }
            Self::Evm(url) => {
                let chain = EvmChain::new(url).with_confirmations(confirmations);
                let Some(mined) = chain.mined(digest, receipt)? else { return Ok(Found::NOT_THERE) };
                let since =
                    mined.time.map(|seconds| Timestamp(seconds.saturating_mul(1_000_000_000)).to_string());
                let state = if mined.is_final { "final" } else { "included" };
                Ok(Found { state, counts: mined.is_final, since })
            }
        }
    }
}

/// What was found of an anchor at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    state: &'static str,
    /// Whether it gives a level.
    counts: bool,
    since: Option<String>,
}

impl Found {
    const NOT_THERE: Self = Self { state: "not there", counts: false, since: None };

    /// In what somebody keeps: it is there or it is not, and is worth what whoever keeps it is.
    fn kept(look: &Look) -> Self {
        match look {
            Look::Included { .. } => Self { state: "included", counts: true, since: None },
            Look::Pending | Look::Missing | Look::Lost => Self::NOT_THERE,
        }
    }
}

/// An anchor of a trail and what became of it, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    /// Its number on the trail; none of a receipt that was kept outside.
    anchor: Option<u32>,
    /// The file of a receipt that was kept outside.
    receipt_in: Option<PathBuf>,
    target: String,
    pub(super) size: u64,
    root: Digest,
    /// The last batch for which it would speak.
    up_to: u64,
    /// What the trail or the receipt says.
    said: String,
    /// What was found where whoever verifies looked; none where nobody named such a place.
    found: Option<String>,
    /// Whether it gives level L3.
    pub(super) counts: bool,
    /// Since when it is there, as its place says.
    since: Option<String>,
}

impl Seen {
    /// What it is to a verification, where it counts.
    pub(super) const fn outside(&self) -> Option<Outside<'static>> {
        if self.counts {
            Some(Outside { rank: Rank::Anchored, size: self.size, root: self.root, ends: None, prints: None })
        } else {
            None
        }
    }

    /// The root that the trail has to have because it says so itself, counted or not.
    const fn claim(&self) -> Option<(u64, Digest)> {
        if self.anchor.is_some() { Some((self.size, self.root)) } else { None }
    }
}

/// The trail's own roots at the sizes of the anchors that it names.
pub(super) struct Roots {
    tree: CompactRange<Rfc6962>,
    /// The sizes that are still to be reached, and the roots that there should be.
    expected: BTreeMap<u64, Digest>,
    wrong: Option<u64>,
}

impl Roots {
    pub(super) fn of(seen: &[Seen]) -> Self {
        let mut expected = BTreeMap::new();
        let mut wrong = None;
        for (size, root) in seen.iter().filter_map(Seen::claim) {
            if expected.insert(size, root).is_some_and(|before| before != root) {
                wrong = Some(size);
            }
        }
        let empty = expected.remove(&0);
        wrong = wrong.or_else(|| empty.filter(|root| *root != Rfc6962::empty()).map(|_| 0));
        Self { tree: CompactRange::new(), expected, wrong }
    }

    /// Takes the next record of the trail.
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        if entry.stream != StreamNo::NODE || self.expected.is_empty() {
            return;
        }
        self.tree.push(Rfc6962::leaf(&node_entry(entry.bytes)));
        let size = self.tree.size();
        if self.expected.remove(&size).is_some_and(|root| root != self.tree.root()) {
            self.wrong = self.wrong.or(Some(size));
        }
    }

    /// What is wrong, where the trail does not have the root of an anchor that it names.
    pub(super) fn finding(&self) -> Option<Finding> {
        let size = self.wrong.or_else(|| self.expected.keys().next().copied())?;
        let what = What::NotAsSigned { size };
        Some(Finding { file: PathBuf::new(), offset: 0, stream: None, record: None, lsn: None, what })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = crate::output::one_line(&self.target);
        match (self.anchor, &self.receipt_in) {
            (Some(number), _) => write!(f, "anchor {number}: ")?,
            (None, Some(path)) => write!(f, "receipt in {}: ", path.display())?,
            (None, None) => {}
        }
        let Self { size, up_to, said, .. } = self;
        write!(f, "{}, up to batch {up_to}, at {target}: ", counted(size, "node record"))?;
        match (&self.found, &self.since) {
            (Some(found), Some(since)) => write!(f, "{found}, since {since}"),
            (Some(found), None) => f.write_str(&crate::output::one_line(found)),
            (None, _) => write!(f, "{said} by its own word; not looked at (--anchor names where to look)"),
        }
    }
}

/// Where to look, and what else was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) places: &'a [Place],
    pub(super) receipts: &'a [PathBuf],
    pub(super) confirmations: u64,
}

impl Looking<'_> {
    /// Looks for every anchor that the trail names and every receipt that was given.
    pub(super) fn look(&self, own: &OwnAnchors) -> Result<Vec<Seen>, Failure> {
        let mut all = Vec::new();
        let entries = own.entries().map_err(|illegal| {
            failed(&format_args!("what the trail says about its anchors does not follow: {illegal}"))
        })?;
        let origin = own.origin();
        for AnchorEntry { number, target, size, root, anchoring } in entries {
            let digest = Checkpoint::new(&origin, *size, *root).map(|checkpoint| checkpoint.digest());
            // An anchor of something else says nothing about this trail, whatever is found.
            let places = if digest == Ok(anchoring.digest) { self.places } else { &[] };
            let said = anchoring.state.name();
            let seen = self.seen(places, target, (*size, *root), &anchoring.digest, &anchoring.receipt, said);
            all.push(Seen { anchor: Some(*number), up_to: own.reach(*size).0, ..seen });
        }
        for path in self.receipts {
            for Kept { target, state, size, root, digest, receipt } in read_receipts(path)? {
                let seen = self.seen(self.places, &target, (size, root), &digest, &receipt, &state);
                all.push(Seen { receipt_in: Some(path.clone()), up_to: own.reach(size).0, ..seen });
            }
        }
        Ok(all)
    }

    fn seen(
        &self,
        places: &[Place],
        target: &str,
        (size, root): (u64, Digest),
        digest: &Digest,
        receipt: &[u8],
        said: &str,
    ) -> Seen {
        let mut found: Option<Found> = None;
        let mut fault = None;
        for place in places.iter().filter(|place| place.is_of(target)) {
            match place.look(digest, receipt, self.confirmations) {
                Ok(now) if found.as_ref().is_none_or(|before| !before.counts) => found = Some(now),
                Ok(_) => {}
                Err(why) => fault = Some(why.to_string()),
            }
        }
        let found = found.ok_or(fault);
        let (counts, since) =
            found.as_ref().map_or((false, None), |found| (found.counts, found.since.clone()));
        let found = found.map_or_else(|fault| fault, |found| Some(found.state.to_owned()));
        let (target, said) = (target.to_owned(), said.to_owned());
        Seen { anchor: None, receipt_in: None, target, size, root, up_to: 0, said, found, counts, since }
    }
}

/// A receipt as it was kept outside.
struct Kept {
    target: String,
    state: String,
    size: u64,
    root: Digest,
    digest: Digest,
    receipt: Vec<u8>,
}

/// Receipts as `hv audit anchor --json` prints them; each is held against the checkpoint that it says.
fn read_receipts(path: &Path) -> Result<Vec<Kept>, Failure> {
    #[derive(Deserialize)]
    struct Printed {
        anchor: u32,
        origin: String,
        target: String,
        state: String,
        size: u64,
        root: String,
        digest: String,
        receipt: serde_json::Value,
    }

    let wrong = |why: &dyn fmt::Display| bad_input(&format_args!("{}: {why}", path.display()));
    let no_receipt = || wrong(&"no receipts as `hv audit anchor --json` prints them");
    let text = files::read_text(path).map_err(|error| bad_input(&error))?;
    let printed: Vec<Printed> = serde_json::from_str(&text).map_err(|_| no_receipt())?;
    let kept = printed.into_iter().map(|printed| {
        let Printed { anchor, origin, target, state, size, root, digest, receipt } = printed;
        let (root, digest): (Digest, Digest) =
            root.parse().ok().zip(digest.parse().ok()).ok_or_else(no_receipt)?;
        let checkpoint = Checkpoint::new(&origin, size, root).map_err(|bad| wrong(&bad))?;
        if checkpoint.digest() != digest {
            return Err(wrong(&format_args!("the digest of anchor {anchor} is not that of its checkpoint")));
        }
        let receipt = match receipt {
            serde_json::Value::String(digits) => unhex(&digits).ok_or_else(no_receipt)?,
            object => object.to_string().into_bytes(),
        };
        Ok(Kept { target, state, size, root, digest, receipt })
    });
    kept.collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair =
            core::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.starts_with('+'))?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_kind_and_where() {
        assert_eq!("file:/a:b".parse(), Ok(Place::File("/a:b".into())));
        assert_eq!("evm:http://127.0.0.1:1".parse(), Ok(Place::Evm("http://127.0.0.1:1".to_owned())));
        for bad in ["", "file", "file:", "ftp:x", "/a"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
        assert!(Place::Git("x".into()).is_of("git:/y") && !Place::Git("x".into()).is_of("file:/y"));
    }

    #[test]
    fn digits_are_pairs() {
        assert_eq!(unhex("00ff"), Some(vec![0, 255]));
        assert_eq!(unhex(""), Some(vec![]));
        for bad in ["0", "0x", "+1", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
