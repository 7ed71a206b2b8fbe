//! The node's stream as files that any web server can serve and any client of tiled logs can check (C2SP tlog-tiles).

use crate::hash::Rfc6962;
use crate::tree::{CompactRange, TreeHash};
use core::fmt;
use hv_types::Digest;

/// The number of hashes of a full tile, and of entries of a full bundle.
pub const TILE_WIDTH: usize = 256;

/// A file of a tiled log: its path below the log's prefix, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Such as `tile/0/x001/234` or `tile/entries/000.p/17`.
    pub path: String,
    /// Hashes of 32 bytes each, or entries with their lengths in front.
    pub bytes: Vec<u8>,
}

/// An entry is longer than a bundle can hold: 65 535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTooLong {
    /// Its place in the log.
    pub index: u64,
}

/// All files of a log but its checkpoint: tiles of every level, and bundles of entries.
///
/// Costs one hash per leaf and per level above.
///
/// # Errors
/// [`EntryTooLong`]; [`node_entry`](crate::node_entry) makes none that is.
pub fn tiles<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Result<Vec<TileFile>, EntryTooLong> {
    let (mut files, mut hashes, mut bundle, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| EntryTooLong { index: count as u64 })?;
        hashes.push(Rfc6962::leaf(entry));
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
        count += 1;
        if count.is_multiple_of(TILE_WIDTH) {
            let path = path("entries", count / TILE_WIDTH - 1, TILE_WIDTH);
            files.push(TileFile { path, bytes: core::mem::take(&mut bundle) });
        }
    }
    if !bundle.is_empty() {
        let path = path("entries", count / TILE_WIDTH, count % TILE_WIDTH);
        files.push(TileFile { path, bytes: bundle });
    }
    let mut level = 0;
    while !hashes.is_empty() {
        let mut above = Vec::with_capacity(hashes.len() / TILE_WIDTH);
        for (index, tile) in hashes.chunks(TILE_WIDTH).enumerate() {
            let bytes = tile.iter().flat_map(|hash| hash.0).collect();
            files.push(TileFile { path: path(&level.to_string(), index, tile.len()), bytes });
            if tile.len() == TILE_WIDTH {
                above.push(root(tile));
            }
        }
        hashes = above;
        level += 1;
    }
    Ok(files)
}

/// The entries of a bundle; `None` where the bytes are not whole entries.
#[must_use]
pub fn bundle_entries(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut entries) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk()?;
        let (entry, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = behind;
    }
    Some(entries)
}

/// Where a tile lies: its number in groups of three digits, all but the last with an `x` in front, and the width where
/// it is not full.
fn path(level: &str, index: usize, width: usize) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let partial = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", groups.join("/"))
}

fn root(leaves: &[Digest]) -> Digest {
    let mut range = CompactRange::<Rfc6962>::new();
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root()
}

impl fmt::Display for EntryTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} is longer than the 65535 bytes that a bundle can hold", self.index)
    }
}

impl core::error::Error for EntryTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path("0", 1_234_067, TILE_WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path("2", 0, 1), "tile/2/000.p/1");
        assert_eq!(path("entries", 999, 255), "tile/entries/999.p/255");
        assert_eq!(path("entries", 1000, TILE_WIDTH), "tile/entries/x001/000");
    }

    /// The numbers that the specification gives for a tree of 70 000 entries, and for one of 256.
    #[test]
    fn tiles_are_those_of_the_specification() {
        let count = |size: usize, level: &str| {
            let entries = vec![&b""[..]; size];
            let files = tiles(entries).unwrap();
            let of_level = files.iter().filter(|file| file.path.starts_with(&format!("tile/{level}/")));
            let (partial, full): (Vec<_>, Vec<_>) = of_level.partition(|file| file.path.contains(".p/"));
            (full.len(), partial.iter().map(|file| file.bytes.len() / 32).collect::<Vec<_>>())
        };
        assert_eq!(count(70_000, "0"), (273, vec![112]));
        assert_eq!(count(70_000, "1"), (1, vec![17]));
        assert_eq!(count(70_000, "2"), (0, vec![1]));
        assert_eq!(count(70_000, "3"), (0, vec![]));
        assert_eq!((count(256, "0"), count(256, "1")), ((1, vec![]), (0, vec![1])));
        assert_eq!(tiles([]).unwrap(), []);
    }

    #[test]
    fn a_bundle_holds_its_entries() {
        let long = vec![7; 65_535];
        let entries: [&[u8]; 3] = [b"", b"ab", &long];
        let files = tiles(entries).unwrap();
        assert_eq!(bundle_entries(&files[0].bytes), Some(entries.to_vec()));
        assert_eq!(bundle_entries(&files[0].bytes[..files[0].bytes.len() - 1]), None);
        assert_eq!(bundle_entries(&[0]), None);
        assert_eq!(tiles([&vec![0; 65_536][..]]), Err(EntryTooLong { index: 0 }));
    }
}
