//! A whole folder: mark, segments, keys, a snapshot and a payload, each with its length in front, of anything. Verification ends with a
//! verdict, and says of nothing but an ended log that it is complete.
#![no_main]

use hv_audit::disk::{Access, Disk, DiskFile, Listed, ListedKind};
use hv_audit::{Verdict, salvage_on, verify_on};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Files that are only read.
#[derive(Debug)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

#[derive(Debug)]
struct Held(Vec<u8>);

fn never<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Disk for Memory {
    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        never()
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn DiskFile>> {
        match self.0.get(path) {
            Some(bytes) => Ok(Box::new(Held(bytes.clone()))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        never()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        never()
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        never()
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        never()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        never()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut found = BTreeMap::new();
        for file in self.0.keys() {
            let Ok(rest) = file.strip_prefix(path) else { continue };
            let mut parts = rest.components();
            let Some(name) = parts.next() else { continue };
            let kind = if parts.next().is_some() { ListedKind::Folder } else { ListedKind::File };
            found.insert(name.as_os_str().to_string_lossy().into_owned(), kind);
        }
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(found.into_iter().map(|(name, kind)| Listed { name, kind }).collect())
    }
}

impl DiskFile for Held {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.0.get(from..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        never()
    }

    fn sync_data(&self) -> io::Result<()> {
        never()
    }

    fn sync_all(&self) -> io::Result<()> {
        never()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        never()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// The next file: two bytes of length, little endian, and so many bytes or what there is.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (file, behind) = behind.split_at(usize::from(u16::from_le_bytes(*length)).min(behind.len()));
    *rest = behind;
    Some(file)
}

fuzz_target!(|bytes: &[u8]| {
    let (mut rest, dir) = (bytes, Path::new("t"));
    let mut files = BTreeMap::new();
    for name in ["mark", "00000000.seg", "00000001.seg", "keys", "0000000000000002.snap"] {
        let Some(file) = next(&mut rest) else { break };
        if !file.is_empty() {
            files.insert(dir.join(name), file.to_vec());
        }
    }
    if let Some((id, content)) = rest.split_at_checked(32) {
        let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        files.insert(dir.join("payloads").join(name), content.to_vec());
    }
    let disk = Memory(files);
    let mut records = 0;
    if let Ok(report) = verify_on(&disk, dir, &mut |_| records += 1) {
        assert!(report.records >= records || matches!(report.verdict, Verdict::Tampered(_)));
        assert!(report.verdict != Verdict::Complete || report.level.ended);
    }
    let _ = salvage_on(&disk, dir, &mut |entry| entry.attachments.for_each(drop));
});
