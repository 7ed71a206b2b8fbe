//! What a record costs in the memory engine; the smallest figure of several rounds, in nanoseconds.
//!
//! `cargo run --release -p hv-audit --example speed`

use hv_audit::{Blake3, Log, LogError, MemoryLog, StreamNo, TreeHash};
use hv_types::Timestamp;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const ROUNDS: usize = 20;
const BODY: [u8; 60] = [7; 60];

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut out = std::io::stdout().lock();
    // First, while the process holds nothing else.
    let (log, before) = (MemoryLog::new(), memory()?);
    for _ in 0..1_000_000 {
        log.append(&[], Timestamp(1), &mut |batch| {
            batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(&BODY)).map(drop)
        })?;
    }
    let bytes = (memory()? - before) as f64 / 1e6 - BODY.len() as f64;
    writeln!(out, "bytes a record, besides its body {bytes:.1}")?;
    drop(log);
    let record = [9u8; 110];
    writeln!(out, "hash of 110 bytes        {:8.1}", per(100_000, || Blake3::leaf(black_box(&record))))?;
    let (a, b) = (Blake3::leaf(b"a"), Blake3::leaf(b"b"));
    writeln!(out, "hash of an inner node    {:8.1}", per(100_000, || Blake3::node(black_box(&a), &b)))?;
    writeln!(out, "an empty log             {:8.1}", per(100_000, MemoryLog::new))?;
    writeln!(out, "an empty log, one session{:8.1}", per(20_000, one_session))?;
    let log = MemoryLog::new();
    let stream = open(&log)?;
    writeln!(out, "another session          {:8.1}", per(20_000, || open(&log)))?;
    let mut now = 0;
    let mut push = |records: usize| {
        now += 1;
        log.append(&[], Timestamp(now), &mut |batch| {
            for _ in 0..records {
                batch.push(stream, &[], |body| body.extend_from_slice(black_box(&BODY)))?;
            }
            Ok(())
        })
    };
    writeln!(out, "a record, batch of 1     {:8.1}", per(50_000, || push(1)))?;
    writeln!(out, "a record, batch of 3     {:8.1}", per(20_000, || push(3)) / 3.0)?;
    writeln!(out, "a record, batch of 100   {:8.1}", per(1000, || push(100)) / 100.0)?;
    let started = Instant::now();
    let mut count = 0u32;
    log.replay(&mut |_| {
        count += 1;
        Ok(())
    })?;
    writeln!(
        out,
        "a record replayed        {:8.1}",
        started.elapsed().as_secs_f64() * 1e9 / f64::from(count)
    )?;
    Ok(())
}

/// Resident memory in bytes, by the count of pages that Linux gives.
fn memory() -> Result<u64, Box<dyn core::error::Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096)
}

fn one_session() -> Result<StreamNo, LogError> {
    open(&MemoryLog::new())
}

fn open(log: &MemoryLog) -> Result<StreamNo, LogError> {
    let mut opened = StreamNo::NODE;
    log.append(&[], Timestamp(1), &mut |batch| {
        opened = batch.genesis("session:0123456789abcdef", |body| body.extend_from_slice(&BODY))?.0;
        Ok(())
    })?;
    Ok(opened)
}

fn per<T>(count: u32, mut f: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        (0..count).for_each(|_| drop(black_box(f())));
        best = best.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    best
}
