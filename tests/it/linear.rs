//! What several clients see of the files of a session at once: in the strong mode one order that agrees with time, in
//! the eventual mode every write.

use hv_core::audit::{FileLog, FileOptions};
use hv_core::rings::rate::{Limits, PerRing, Rate};
use hv_core::session::{Expect, Revision};
use hv_core::types::{Did, SessionId};
use hv_core::{Clock, ConsistencyMode, Entrant, Guards, Hypervisor, SessionConfig, SystemClock, entropy};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One operation of one client on one path: when it was asked for, when it was answered, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Op {
    path: usize,
    kind: Kind,
    /// What was written or read; 0 where there was no file. No value is written twice.
    value: u64,
    asked: Instant,
    answered: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// Why a history has no order that agrees with time.
///
/// For registers whose values are written once: all operations on a value form a cluster. From the first of them that
/// is answered to the last that is asked for, the register must hold that value and no other; and a cluster that fits
/// anywhere must not lie within such a time of another. That this is enough is Gibbons and Korach, "Testing Shared
/// Memories", SIAM J. Comput. 26 (1997).
fn violation(history: &[Op]) -> Option<String> {
    let paths: BTreeMap<usize, Vec<Op>> = history.iter().fold(BTreeMap::new(), |mut paths, op| {
        paths.entry(op.path).or_insert_with(Vec::new).push(*op);
        paths
    });
    paths.into_iter().find_map(|(path, ops)| in_register(&ops).map(|why| format!("path {path}: {why}")))
}

fn in_register(ops: &[Op]) -> Option<String> {
    let begin = ops.iter().map(|op| op.asked).min()?.checked_sub(Duration::from_nanos(1))?;
    let mut clusters: BTreeMap<u64, Vec<Op>> = BTreeMap::new();
    // Before everything, there is no file.
    let absent = Op { path: 0, kind: Kind::Write, value: 0, asked: begin, answered: begin };
    clusters.entry(0).or_default().push(absent);
    for op in ops {
        clusters.entry(op.value).or_default().push(*op);
    }
    let mut zones = Vec::new();
    for (value, cluster) in &clusters {
        let Some(write) = cluster.iter().find(|op| op.kind == Kind::Write) else {
            return Some(format!("{value} was read and never written"));
        };
        if let Some(read) = cluster.iter().find(|op| op.answered < write.asked) {
            return Some(format!("{value} was read before it was written: {read:?}"));
        }
        let first = cluster.iter().map(|op| op.answered).min()?;
        let last = cluster.iter().map(|op| op.asked).max()?;
        zones.push((*value, first, last));
    }
    let forward = |zone: &&(u64, Instant, Instant)| zone.1 < zone.2;
    for (value, first, last) in zones.iter().filter(forward) {
        for (other, begin, end) in zones.iter().filter(|zone| zone.0 != *value) {
            let both_hold = begin < end && begin.max(first) < end.min(last);
            let within = begin >= end && end > first && begin < last;
            if both_hold || within {
                return Some(format!("{other} lies where {value} must hold"));
            }
        }
    }
    None
}

fn did(n: usize) -> Did {
    Did::new(&format!("did:mesh:c{n}")).unwrap()
}

async fn session(hv: &Hypervisor, mode: ConsistencyMode, clients: usize) -> SessionId {
    let id = SessionId::new("s").unwrap();
    hv.create_session(&id, SessionConfig::default().with_mode(mode), &did(0)).await.unwrap();
    for n in 0..clients {
        hv.join_session(&id, &Entrant::new(did(n)).with_sigma("0.85".parse().unwrap())).await.unwrap();
    }
    hv.activate_session(&id).await.unwrap();
    id
}

/// A node on a new folder that does not ask how often somebody calls.
fn unhurried(folder: &Path) -> Hypervisor {
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    let rate = PerRing { root: rate, privileged: rate, standard: rate, sandbox: rate };
    let guards = Guards { limits: Limits { rate, ..Limits::default() }, ..Guards::default() };
    let log = FileLog::create(folder, SystemClock.now(), FileOptions::new(entropy().unwrap())).unwrap();
    Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), guards).unwrap()
}

/// A client that answers some reads from what it saw before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Fresh,
    Stale,
}

/// So many clients, each with so many operations on three paths.
fn recorded(clients: usize, operations: u64, memory: Memory) -> Vec<Op> {
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let hv = unhurried(&folder.path().join("trail"));
        let id = session(&hv, ConsistencyMode::Strong, clients).await;
        let history = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let (hv, id, history) = (hv.clone(), id.clone(), history.clone());
                tokio::spawn(async move {
                    let mut random = client as u64 + 1;
                    let mut seen = [None; 3];
                    for n in 0..operations {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let path = (random >> 33) as usize % 3;
                        let name = format!("p{path}");
                        let asked = Instant::now();
                        let (kind, value) = if (random >> 40).is_multiple_of(2) {
                            let value = (client as u64 + 1) * 1_000_000 + n + 1;
                            let bytes = value.to_string().into_bytes();
                            hv.write_file(&id, &did(client), &name, bytes, Expect::Any).await.unwrap();
                            (Kind::Write, value)
                        } else if let (Memory::Stale, Some(old)) = (memory, seen[path]) {
                            (Kind::Read, old)
                        } else {
                            let read = hv.read_file(&id, &did(client), &name).await.unwrap();
                            let value =
                                read.map_or(0, |bytes| String::from_utf8(bytes).unwrap().parse().unwrap());
                            seen[path] = Some(value);
                            (Kind::Read, value)
                        };
                        let answered = Instant::now();
                        history.lock().unwrap().push(Op { path, kind, value, asked, answered });
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut *history.lock().unwrap())
    })
}

#[test]
fn the_strong_mode_is_linearizable_for_eight_clients() {
    let operations = if std::env::var_os("HV_DEEP").is_some() { 2000 } else { 60 };
    let history = recorded(8, operations, Memory::Fresh);
    assert_eq!(history.len() as u64, 8 * operations);
    assert!(
        history.iter().filter(|op| op.kind == Kind::Read && op.value != 0).count() > 20,
        "they see each other"
    );
    assert_eq!(violation(&history), None);
}

#[test]
fn a_client_that_remembers_is_found() {
    let history = recorded(8, 60, Memory::Stale);
    assert!(violation(&history).is_some());
}

#[test]
fn the_checker_finds_each_violation_and_takes_what_only_overlaps() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let op =
        |kind, value, asked, answered| Op { path: 0, kind, value, asked: at(asked), answered: at(answered) };
    let (read, write) = (Kind::Read, Kind::Write);
    let one = op(write, 1, 0, 10);
    for (history, linear) in [
        (vec![one, op(read, 1, 20, 30)], true),
        (vec![one, op(read, 0, 5, 9)], true),
        // Two writes at once may take effect in either order, but every reader sees the same one.
        (vec![one, op(write, 2, 0, 10), op(read, 2, 20, 21), op(read, 2, 22, 23)], true),
        (vec![one, op(write, 2, 0, 10), op(read, 2, 20, 21), op(read, 1, 22, 23)], false),
        (vec![one, op(write, 2, 11, 12), op(read, 1, 20, 30)], false),
        (vec![one, op(write, 2, 11, 40), op(read, 1, 20, 30)], true),
        (vec![one, op(write, 2, 11, 40), op(read, 2, 12, 15), op(read, 1, 20, 30)], false),
        (vec![one, op(read, 0, 11, 12)], false),
        (vec![one, op(read, 7, 20, 30)], false),
        (vec![op(write, 3, 20, 30), op(read, 3, 0, 10)], false),
    ] {
        assert_eq!(violation(&history).is_none(), linear, "{history:?}");
    }
}

#[tokio::test]
async fn the_eventual_mode_keeps_every_write_that_was_made_at_once() {
    let hv = Hypervisor::in_memory().unwrap();
    let id = session(&hv, ConsistencyMode::Eventual, 8).await;
    let seen = Expect::Revision(Revision(0));
    for client in 0..8 {
        hv.write_file(&id, &did(client), "plan", vec![u8::try_from(client).unwrap()], seen).await.unwrap();
    }
    let files = hv.stat_files(&id, &did(0), None).await.unwrap();
    assert_eq!(files[0].siblings.len(), 7, "{files:?}");
    // Who has seen them all replaces them all.
    hv.write_file(&id, &did(3), "plan", vec![9], Expect::Revision(files[0].revision)).await.unwrap();
    let files = hv.stat_files(&id, &did(0), None).await.unwrap();
    assert!(files[0].siblings.is_empty(), "{files:?}");
    // In the strong mode, the second is refused.
    let hv = Hypervisor::in_memory().unwrap();
    let id = session(&hv, ConsistencyMode::Strong, 2).await;
    hv.write_file(&id, &did(0), "plan", vec![0], seen).await.unwrap();
    assert!(hv.write_file(&id, &did(1), "plan", vec![1], seen).await.is_err());
}
