//! The log, measured by itself and beside others: `cargo xtask bench log`.
//!
//! A run answers nanoseconds for each call, record or root; `memory_per_delta` answers bytes. What waits for a disk or for
//! others, and what is over in a moment, is measured by the clock on the wall; what one core does alone for longer, by what
//! the thread got of a core, because that does not depend on who else wants it. What stands beside it in the same run is the answer behind the figure. Logs are
//! written in the current folder.

use crate::peer::{Timed, Workload, text};
use hv_core::audit::{
    Blake3, CompactRange, FileLog, FileOptions, InclusionProof, Log, LogError, MemoryLog, Rfc6962, StreamNo,
    TreeHash, Verdict, verify,
};
use hv_core::entropy;
use hv_types::{Digest, Timestamp};
use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

/// Every workload that this side runs.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "durable_append", run: durable_append },
    Workload { name: "writers_1", run: writers::<1> },
    Workload { name: "writers_10", run: writers::<10> },
    Workload { name: "verification", run: verification },
    Workload { name: "inclusion_check", run: inclusion_check },
    Workload { name: "running_root", run: running_root },
    Workload { name: "root_of_10000", run: root_of_10000 },
    Workload { name: "root_of_10000_anew", run: root_anew },
    Workload { name: "memory_per_delta", run: memory_per_delta },
];

/// How many bytes the program holds, where it has an allocator that counts them.
pub static HELD: OnceLock<fn() -> usize> = OnceLock::new();

/// What a record says here.
const BODY: [u8; 60] = [7; 60];
/// What a batch of one such record takes in a segment.
const FRAME_BYTES: usize = 135;
const WRITERS: u64 = 64;

/// A log in a folder of its own that is gone when this is.
struct Folder {
    log: FileLog,
}

impl Folder {
    fn new() -> Result<Self, String> {
        let dir = Path::new("hv.log");
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(text)?;
        }
        let options = FileOptions::new(entropy().map_err(text)?);
        Ok(Self { log: FileLog::create(dir, Timestamp(1), options).map_err(text)? })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.log.dir());
    }
}

/// Records in one batch, durable when this returns.
fn commit(log: &dyn Log, records: u64, now: u64) -> Result<(), LogError> {
    let lsn = append(log, records, now)?;
    log.sync(lsn)
}

fn append(log: &dyn Log, records: u64, now: u64) -> Result<hv_core::audit::Lsn, LogError> {
    log.append(&[], Timestamp(now), &mut |batch| {
        for _ in 0..records {
            batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(&BODY))?;
        }
        Ok(())
    })
}

/// The middle one of all durable records of one writer; it takes turns with a bare write and fdatasync of as many bytes
/// at as yet unused places of a file that is there already, whose middle one is the answer.
fn durable_append(calls: u64) -> Result<Timed, String> {
    let folder = Folder::new()?;
    let path = Path::new("bare");
    let bare = OpenOptions::new().create(true).truncate(true).write(true).open(path).map_err(text)?;
    let room = usize::try_from(calls).map_err(text)? * FRAME_BYTES;
    bare.write_all_at(&vec![0; room], 0).map_err(text)?;
    bare.sync_all().map_err(text)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..calls {
        let started = Instant::now();
        bare.write_all_at(&[9; FRAME_BYTES], n * FRAME_BYTES as u64).map_err(text)?;
        bare.sync_data().map_err(text)?;
        theirs.push(nanoseconds(started));
        let started = Instant::now();
        commit(&folder.log, 1, n).map_err(text)?;
        ours.push(nanoseconds(started));
    }
    fs::remove_file(path).map_err(text)?;
    Ok(Timed { ns_per_call: middle(&mut ours)?, answer: middle(&mut theirs)?.to_string() })
}

/// Records of 64 writers together, each of whom waits until its batch of so many is durable before it goes on.
fn writers<const EACH: u64>(records: u64) -> Result<Timed, String> {
    let folder = Folder::new()?;
    let turns = (records / EACH / WRITERS).max(1);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..WRITERS)
            .map(|_| scope.spawn(|| (0..turns).try_for_each(|n| commit(&folder.log, EACH, n))))
            .collect();
        all.into_iter().try_for_each(|writer| writer.join().unwrap_or(Err(LogError::Poisoned)))
    })
    .map_err(text)?;
    each(started, EACH * turns * WRITERS, "records".to_owned())
}

/// A log of so many records in batches of ten, verified from its folder: every byte read, every hash computed anew.
fn verification(records: u64) -> Result<Timed, String> {
    let folder = Folder::new()?;
    for n in 0..records.div_ceil(10) {
        append(&folder.log, 10, n).map_err(text)?;
    }
    folder.log.seal(Timestamp(records)).map_err(text)?;
    let started = Core::now()?;
    let report = verify(folder.log.dir()).map_err(text)?;
    let took = started.each(report.records, format!("{} records", report.records))?;
    if report.verdict == Verdict::Complete { Ok(took) } else { Err(report.to_string()) }
}

/// Whether one of a million entries is under a root, with SHA-256 as others check it.
fn inclusion_check(calls: u64) -> Result<Timed, String> {
    const SIZE: u32 = 1_000_000;
    let leaves: Vec<Digest> = (0..SIZE).map(|n| Rfc6962::leaf(&n.to_le_bytes())).collect();
    let root = root::<Rfc6962>(&leaves);
    let at = SIZE / 3;
    let proof = InclusionProof::make::<Rfc6962>(&leaves, u64::from(at)).ok_or("there is no such leaf")?;
    let leaf = Rfc6962::leaf(&at.to_le_bytes());
    drop(leaves);
    let started = Core::now()?;
    for _ in 0..calls {
        black_box(&proof).check::<Rfc6962>(black_box(&leaf), black_box(&root)).map_err(text)?;
    }
    started.each(calls, "it is under it".to_owned())
}

/// A record appended and the root over all asked for, up to 2^20 - 1 records; the same up to 2^10 is the answer.
fn running_root(_: u64) -> Result<Timed, String> {
    let small = running(1 << 10, 64)?;
    let large = running((1 << 20) - 1, 1)?;
    Ok(Timed { ns_per_call: large, answer: small.to_string() })
}

/// The least of some rounds, for each of the last 512 records.
fn running(size: u64, rounds: u32) -> Result<f64, String> {
    const LAST: u64 = 512;
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let log = MemoryLog::new();
        for n in 0..size - LAST {
            append(&log, 1, n).map_err(text)?;
        }
        let started = Instant::now();
        for n in size - LAST..size {
            append(&log, 1, n).map_err(text)?;
            black_box(log.head(StreamNo::LEDGER));
        }
        least = least.min(nanoseconds(started) / 512.0);
    }
    Ok(least)
}

/// The root over 10 000 deltas, as the log keeps it.
fn root_of_10000(calls: u64) -> Result<Timed, String> {
    let log = MemoryLog::new();
    for n in 0..10_000 {
        append(&log, 1, n).map_err(text)?;
    }
    let mut head = None;
    let started = Core::now()?;
    for _ in 0..calls {
        head = black_box(log.head(StreamNo::LEDGER));
    }
    started.each(calls, head.ok_or("the stream is open")?.root.to_string())
}

/// The same from its leaves, without anything that was kept.
fn root_anew(calls: u64) -> Result<Timed, String> {
    let leaves: Vec<Digest> = (0..10_000u32).map(|n| Blake3::leaf(&n.to_le_bytes())).collect();
    let mut last = Digest::default();
    let started = Core::now()?;
    for _ in 0..calls {
        last = black_box(root::<Blake3>(black_box(&leaves)));
    }
    started.each(calls, last.to_string())
}

/// Bytes that a record in memory takes besides its body; those that a log on the disk holds for it are the answer.
fn memory_per_delta(records: u64) -> Result<Timed, String> {
    let held = HELD.get().ok_or("this program does not count what it holds")?;
    let per =
        |before: usize| Ok::<_, String>(number(held().saturating_sub(before) as u64)? / number(records)?);
    let before = held();
    let log = MemoryLog::new();
    for n in 0..records {
        append(&log, 1, n).map_err(text)?;
    }
    let in_memory = per(before)? - number(BODY.len() as u64)?;
    drop(log);
    let folder = Folder::new()?;
    let before = held();
    let mut last = hv_core::audit::Lsn(0);
    for n in 0..records {
        last = append(&folder.log, 1, n).map_err(text)?;
    }
    folder.log.sync(last).map_err(text)?;
    let on_disk = per(before)?;
    Ok(Timed { ns_per_call: in_memory, answer: on_disk.to_string() })
}

fn root<H: TreeHash>(leaves: &[Digest]) -> Digest {
    let mut range = CompactRange::<H>::new();
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root()
}

/// What this thread got of a core so far.
struct Core(u64);

impl Core {
    fn now() -> Result<Self, String> {
        let told = fs::read_to_string("/proc/thread-self/schedstat").map_err(text)?;
        let spent = told.split(' ').next().and_then(|spent| spent.parse().ok());
        spent.map(Self).ok_or_else(|| format!("/proc/thread-self/schedstat says `{told}`"))
    }

    fn nanoseconds(&self) -> Result<f64, String> {
        Ok(number(Self::now()?.0.saturating_sub(self.0) / 1000)? * 1e3)
    }

    fn each(&self, count: u64, answer: String) -> Result<Timed, String> {
        let took = self.nanoseconds()?;
        if count == 0 || took <= 0.0 {
            return Err("nothing was timed".to_owned());
        }
        Ok(Timed { ns_per_call: took / number(count)?, answer })
    }
}

fn nanoseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e9
}

fn middle(values: &mut [f64]) -> Result<f64, String> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().ok_or_else(|| "no calls, so nothing to time".to_owned())
}

fn number(count: u64) -> Result<f64, String> {
    u32::try_from(count).map(f64::from).map_err(|_| format!("{count} is too many"))
}

fn each(started: Instant, count: u64, answer: String) -> Result<Timed, String> {
    let took = nanoseconds(started);
    if count == 0 {
        return Err("no calls, so nothing to time".to_owned());
    }
    Ok(Timed { ns_per_call: took / number(count)?, answer })
}
