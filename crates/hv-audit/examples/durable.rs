//! What durability costs: one writer beside a bare fdatasync of the same bytes, many writers together, and
//! verification of what they wrote.
//!
//! `cargo run --release -p hv-audit --example durable [FOLDER]`; give a folder on the disk to be measured.

use hv_audit::{FileLog, FileOptions, Log, LogError, StreamNo, verify};
use hv_types::Timestamp;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

const BODY: [u8; 60] = [7; 60];
const COMMITS: usize = 2000;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut out = std::io::stdout().lock();
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;

    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    let log = FileLog::create(&folder.path().join("one"), Timestamp(1), options())?;
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.path().join("bare"))?;
    file.write_all_at(&vec![0; 4 << 20], 0)?;
    file.sync_all()?;
    for n in 0..COMMITS {
        // The two take turns, so that both meet the same disk.
        let started = Instant::now();
        file.write_all_at(&[9; 135], 135 * n as u64)?;
        file.sync_data()?;
        bare.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        commit(&log, n as u64)?;
        ours.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let (bare, ours) = (median(&mut bare), median(&mut ours));
    writeln!(out, "a bare fdatasync of 135 bytes, p50   {bare:8.1} us")?;
    writeln!(out, "a durable record, one writer, p50    {ours:8.1} us ({:.2}x)", ours / bare)?;

    for writers in [1usize, 8, 64] {
        let dir = folder.path().join(format!("many-{writers}"));
        let log = FileLog::create(&dir, Timestamp(1), options())?;
        let each = 40_000 / writers;
        let started = Instant::now();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..writers)
                .map(|_| scope.spawn(|| (0..each).try_for_each(|n| commit(&log, n as u64))))
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Err(LogError::Poisoned)))
        })?;
        let seconds = started.elapsed().as_secs_f64();
        writeln!(
            out,
            "durable records/s, {writers:2} writers        {:8.0}",
            (each * writers) as f64 / seconds
        )?;
    }

    let dir = folder.path().join("large");
    let log = FileLog::create(&dir, Timestamp(1), options())?;
    let started = Instant::now();
    for n in 0..100_000 {
        log.append(&[], Timestamp(n), &mut |batch| {
            for _ in 0..10 {
                batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(&BODY))?;
            }
            Ok(())
        })?;
    }
    log.seal(Timestamp(9))?;
    let records = 1e6;
    writeln!(out, "records/s, batches of ten, one sync  {:8.0}", records / started.elapsed().as_secs_f64())?;
    drop(log);
    writeln!(
        out,
        "records/s verified                   {:8.0}",
        records / seconds(|| verify(&dir).map(drop))?
    )?;
    let open = || FileLog::open(&dir, Timestamp(9), options()).map(drop);
    writeln!(
        out,
        "records/s opened                     {:8.0}",
        records / seconds(|| open().map_err(std::io::Error::other))?
    )?;
    size(&mut out, &dir)?;
    Ok(())
}

fn options() -> FileOptions {
    let mut count = 0u8;
    FileOptions::new(Box::new(move || {
        count = count.wrapping_add(1);
        [count; 32]
    }))
}

fn commit(log: &FileLog, now: u64) -> Result<(), LogError> {
    let lsn = log.append(&[], Timestamp(now), &mut |batch| {
        batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(&BODY)).map(drop)
    })?;
    log.sync(lsn)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn seconds(f: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<f64> {
    let started = Instant::now();
    f()?;
    Ok(started.elapsed().as_secs_f64())
}

fn size(out: &mut impl Write, dir: &Path) -> std::io::Result<()> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    writeln!(out, "bytes on disk per record             {:8.1}", bytes as f64 / 1e6)
}
