//! What roots and proofs cost: nanoseconds a call, the smallest of several rounds.
//!
//! `cargo run --release -p hv-audit --example roots`

use hv_audit::{Blake3, CompactRange, InclusionProof, Log, LogError, MemoryLog, Rfc6962, StreamNo, TreeHash};
use hv_types::{Digest, Timestamp};
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut out = std::io::stdout().lock();
    let small = running(1 << 10, 200)?;
    let large = running((1 << 20) - 1, 20)?;
    writeln!(out, "append and running root, 2^10 records     {small:9.1}")?;
    writeln!(out, "append and running root, 2^20 - 1 records {large:9.1}  {:.2} times", large / small)?;

    let log = MemoryLog::new();
    for n in 0..10_000u32 {
        push(&log, n)?;
    }
    let asked = best(20, 1000, || log.head(StreamNo::LEDGER));
    writeln!(out, "root of a log of 10^4 records             {asked:9.1}")?;
    let leaves: Vec<Digest> = (0..10_000u32).map(|n| Blake3::leaf(&n.to_le_bytes())).collect();
    let anew = best(20, 5, || root::<Blake3>(&leaves));
    writeln!(out, "the same from its leaves anew             {anew:9.1}")?;

    for size in [10_000, 1_000_000u32] {
        let leaves: Vec<Digest> = (0..size).map(|n| Rfc6962::leaf(&n.to_le_bytes())).collect();
        let proof = InclusionProof::make::<Rfc6962>(&leaves, u64::from(size / 3)).ok_or("no such leaf")?;
        let (leaf, root) = (Rfc6962::leaf(&(size / 3).to_le_bytes()), root::<Rfc6962>(&leaves));
        let check = best(20, 1000, || proof.check::<Rfc6962>(&leaf, &root).is_ok());
        writeln!(out, "inclusion checked, SHA-256, {size:8} leaves {check:9.1}")?;
    }
    Ok(())
}

fn push(log: &MemoryLog, n: u32) -> Result<(), LogError> {
    let fill = &mut |batch: &mut hv_audit::Batch<'_>| {
        batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(&n.to_le_bytes())).map(drop)
    };
    log.append(&[], Timestamp(1), fill).map(drop)
}

/// Nanoseconds to append a record and ask for the root, averaged over so many records up to `size`.
fn running(size: u32, rounds: u32) -> Result<f64, LogError> {
    let window = 512;
    let mut least = f64::MAX;
    for _ in 0..rounds.clamp(1, 5) {
        let log = MemoryLog::new();
        for n in 0..size - window {
            push(&log, n)?;
        }
        let started = Instant::now();
        for n in size - window..size {
            push(&log, n)?;
            black_box(log.head(StreamNo::LEDGER));
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(window));
    }
    Ok(least)
}

fn root<H: TreeHash>(leaves: &[Digest]) -> Digest {
    let mut range = CompactRange::<H>::new();
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root()
}

fn best<T>(rounds: u32, calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..rounds {
        let started = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    least
}
