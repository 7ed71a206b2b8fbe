//! Two-level proofs: from any record of a trail to the root that is signed.

use crate::reduce::reduce;
use crate::sim::SimDisk;
use crate::trail::{DIR, finished, options, unfinished, work};
use hv_audit::{
    BadDelta, DeltaProof, FileLog, InclusionProof, Log, MemoryLog, NoProof, Rfc6962, StreamNo, Tier,
    Transcript, TreeHash, bundle_entries, node_entry, tiles,
};
use hv_types::Timestamp;
use std::path::Path;

fn read(image: &crate::sim::Image) -> Transcript {
    let disk = SimDisk::from_image(image);
    Transcript::read_on(&disk, Path::new(DIR), &mut |_| true).unwrap().1
}

#[test]
fn every_record_of_a_finished_trail_is_proven_to_the_signed_root() {
    let read = read(&finished());
    let (size, root) = (read.size(), read.root(read.size()).unwrap());
    let mut proven = 0;
    for stream in [0, 1, 2, 3].map(StreamNo) {
        for seq in 0..read.length(stream) {
            let proof = read.delta(stream, seq, size).unwrap();
            assert_eq!(DeltaProof::from_extra(&proof.to_extra()), Ok(proof.clone()));
            assert_eq!(proof.check(), Ok(seq));
            let (index, leaf) = proof.node_leaf().unwrap();
            let inclusion = read.inclusion(index, size).unwrap();
            assert_eq!(inclusion.check::<Rfc6962>(&leaf, &root), Ok(()));
            proven += 1;
        }
        assert_eq!(read.delta(stream, read.length(stream), size), Err(NoProof::Record));
    }
    assert!(proven >= 50, "{proven}");
    assert_eq!(read.delta(StreamNo(4), 0, size), Err(NoProof::Stream));
    assert_eq!(read.delta(StreamNo(2), 0, size + 1), Err(NoProof::Size));
}

#[test]
fn no_byte_of_a_proof_is_free() {
    let read = read(&finished());
    let size = read.size();
    let root = read.root(size).unwrap();
    let holds = |bytes: &[u8]| -> Option<DeltaProof> {
        let proof = DeltaProof::from_extra(bytes).ok()?;
        let (index, leaf) = proof.node_leaf().ok()?;
        read.inclusion(index, size).ok()?.check::<Rfc6962>(&leaf, &root).ok()?;
        Some(proof)
    };
    for (stream, seq) in [(0, 3), (1, 2), (2, 0), (2, 5), (3, read.length(StreamNo(3)) - 1)] {
        let proof = read.delta(StreamNo(stream), seq, size).unwrap();
        let bytes = proof.to_extra();
        assert_eq!(holds(&bytes).as_ref(), Some(&proof));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(holds(&changed), None, "bit {bit} of byte {at} of {stream}/{seq}");
            }
        }
    }
}

#[test]
fn what_nothing_commits_to_yet_is_not_proven() {
    let log = MemoryLog::new();
    let mut stream = None;
    log.append(&[], Timestamp(1), &mut |batch| {
        stream = Some(batch.genesis("s", |_| {})?.0);
        Ok(())
    })
    .unwrap();
    let stream = stream.unwrap();
    let push =
        || log.append(&[], Timestamp(2), &mut |b| b.push(stream, &[], |o| o.push(1)).map(drop)).unwrap();
    push();
    let read = || Transcript::of(&log, &mut |_| true).unwrap();
    assert!(read().delta(stream, 0, 1).is_ok(), "the opening holds the hash of record 0");
    assert_eq!(read().delta(stream, 1, 1), Err(NoProof::NotCommitted));
    log.append(&[], Timestamp(3), &mut |b| b.close(stream).map(drop)).unwrap();
    assert_eq!(read().delta(stream, 1, 1), Err(NoProof::NotCommitted), "not among the first");
    assert!((0..3).all(|seq| read().delta(stream, seq, 2).is_ok_and(|proof| proof.check() == Ok(seq))));
    let unkept = Transcript::of(&log, &mut |_| false).unwrap();
    assert_eq!(unkept.delta(stream, 1, 2), Err(NoProof::NotKept));
}

#[test]
fn a_record_is_found_at_its_place_where_others_are_gone_too() {
    for tier in [Tier::Leaves, Tier::Roots] {
        let disk = SimDisk::default();
        let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
        work(&log, 10).unwrap();
        let whole = Transcript::of(&log, &mut |_| false).unwrap();
        let lengths = [2, 3].map(|stream| whole.length(StreamNo(stream)));
        reduce(&log, &[StreamNo(2)], tier).unwrap();
        let mut places = vec![];
        let (report, read) = Transcript::read_on(&disk, Path::new(DIR), &mut |entry| {
            places.push((entry.hash, (entry.stream, entry.seq)));
            false
        })
        .unwrap();
        assert_eq!(report.gone.sessions, 1);
        assert_eq!([2, 3].map(|stream| read.length(StreamNo(stream))), lengths);
        for (hash, place) in places {
            assert_eq!(read.find(&hash), Some(place), "{tier}");
        }
    }
}

#[test]
fn a_proof_is_of_its_own_stream() {
    let read = read(&finished());
    let good = read.delta(StreamNo(2), 4, read.size()).unwrap();
    let other = read.delta(StreamNo(3), 4, read.size()).unwrap();
    assert_eq!(DeltaProof { stream: StreamNo(3), ..good.clone() }.check(), Err(BadDelta::NoCommitment));
    assert!(DeltaProof { record: other.record, ..good.clone() }.check().is_err());
    assert_eq!(DeltaProof { inner: None, ..good }.check(), Err(BadDelta::NoCommitment));
}

#[test]
fn proofs_and_tiles_of_an_open_trail_are_those_of_its_node_stream() {
    let read = read(&unfinished());
    let records = read.node_records();
    assert_eq!(records.len() as u64, read.size());
    for size in 0..=read.size() {
        let root = read.root(size).unwrap();
        for from in 0..=size {
            let proof = read.consistency(from, size).unwrap();
            assert_eq!(proof.check::<Rfc6962>(&read.root(from).unwrap(), &root), Ok(()));
        }
        for index in 0..size {
            let leaf = Rfc6962::leaf(&records[usize::try_from(index).unwrap()]);
            let InclusionProof { path, .. } = read.inclusion(index, size).unwrap();
            assert_eq!(InclusionProof { index, size, path }.check::<Rfc6962>(&leaf, &root), Ok(()));
        }
    }
    let files = tiles(records.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(
        bundle_entries(&files[0].bytes).unwrap(),
        records.iter().map(Vec::as_slice).collect::<Vec<_>>()
    );
    let hashes: Vec<u8> = read.node_leaves().iter().flat_map(|leaf| leaf.0).collect();
    assert_eq!(files[1].bytes, hashes);
}

#[test]
fn a_record_too_long_for_a_bundle_is_there_by_its_hash() {
    let (fits, long) = (vec![1; 65_535], vec![1; 65_536]);
    assert_eq!(node_entry(&fits).as_ref(), fits);
    assert_eq!(node_entry(&long).as_ref(), hv_audit::Blake3::leaf(&long).0);
}
