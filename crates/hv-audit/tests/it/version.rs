//! A log in another version of the format is named as such, is no log that was tampered with, and stays as it is.

use crate::reduce::reduce;
use crate::sim::{Image, SimDisk};
use crate::trail::{DIR, finished, options, unfinished, work};
use hv_audit::{FileLog, LogError, StreamNo, Tier, salvage_on, verify_on};
use hv_types::Timestamp;
use std::io;
use std::path::Path;

/// The same with another version in every segment.
fn of_version(image: &Image, version: u32) -> Image {
    let mut image = image.clone();
    for (_, bytes) in image.iter_mut().filter(|(path, _)| path.extension().is_some_and(|e| e == "seg")) {
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let end = if bytes.starts_with(b"hv-short") { 120 } else { 72 };
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    }
    image
}

fn reduced() -> Image {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    work(&log, 10).unwrap();
    reduce(&log, &[StreamNo::FIRST_SESSION], Tier::Roots).unwrap();
    drop(log);
    disk.image()
}

/// Its last segment holds a header and what a crash tore, or not even that.
fn torn(image: &Image, left: usize) -> Image {
    let mut image = of_version(image, 1);
    let last = image.iter_mut().rfind(|(path, _)| path.extension().is_some_and(|e| e == "seg"));
    last.unwrap().1[left..].fill(0);
    image
}

#[test]
fn a_log_in_another_version_is_named_as_such_and_stays_as_it_is() {
    let images = [finished(), unfinished(), reduced()];
    let images = images.iter().flat_map(|whole| {
        [of_version(whole, 1), of_version(whole, 3), torn(whole, 90), torn(whole, 76), torn(whole, 40)]
    });
    for (number, image) in images.enumerate() {
        let found = if number % 5 == 1 { 3 } else { 1 };
        let disk = SimDisk::from_image(&image);
        for said in [
            verify_on(&disk, Path::new(DIR), &mut |_| {}).err(),
            salvage_on(&disk, Path::new(DIR), &mut |_| {}).err(),
        ] {
            let said = said.unwrap();
            assert_eq!(said.kind(), io::ErrorKind::Unsupported, "{number}: {said}");
            assert!(said.to_string().contains(&format!("in version {found} of the format")), "{said}");
        }
        let opened = FileLog::open(Path::new(DIR), Timestamp(9000), options(&disk, 1500));
        assert_eq!(opened.err(), Some(LogError::Version { found }), "{number}");
        let begun = FileLog::create(Path::new(DIR), Timestamp(9000), options(&disk, 1500));
        assert!(matches!(begun, Err(LogError::NotEmpty { .. })), "{number}");
        assert_eq!(disk.image(), image, "{number}");
    }
}
