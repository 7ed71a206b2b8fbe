//! The other side of the comparison of many writers: waits for a line, does what it says, answers in a line.
//!
//! `list` answers the names of all workloads. `run NAME RECORDS` answers `NAME NANOSECONDS ANSWER`, nanoseconds a record.
//! The database lies in the current folder.
//!
//! A journal ahead of the database (WAL), whose syncs are those of the name: `full` makes every transaction durable before
//! it is acknowledged, as a trail does; `normal` does not, and is here to show what that costs. Where there is a choice,
//! it is SQLite's advantage: the writers share one connection behind a lock, because connections of their own wait for
//! each other in the sleeps of a busy handler; a record is its body alone, without a hash, an index or a chain.

use rusqlite::Connection;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

type Failed = Box<dyn Error + Send + Sync>;

const WRITERS: u64 = 64;
const BODY: [u8; 60] = [7; 60];

fn main() -> Result<(), Failed> {
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|why| format!("error {why}"));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<String, Failed> {
    let (name, records) = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["list"] => return Ok("full_1 full_10 normal_1 normal_10".to_owned()),
        ["run", name, records] => ((*name).to_owned(), records.parse()?),
        _ => return Err(format!("`{line}` is neither `list` nor `run NAME RECORDS`").into()),
    };
    let (syncs, each) = match &*name {
        "full_1" => ("FULL", 1),
        "full_10" => ("FULL", 10),
        "normal_1" => ("NORMAL", 1),
        "normal_10" => ("NORMAL", 10),
        other => return Err(format!("there is no workload `{other}`").into()),
    };
    let nanoseconds = write(syncs, each, records)?;
    Ok(format!("{name} {nanoseconds} {} records", records))
}

/// Writes so many records from all writers together, `each` of them in a transaction.
fn write(syncs: &str, each: u64, records: u64) -> Result<f64, Failed> {
    let path = Path::new("sqlite.db");
    remove(path)?;
    let connection = Connection::open(path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("the journal is {mode}").into());
    }
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {syncs}; CREATE TABLE records (n INTEGER PRIMARY KEY, body BLOB NOT NULL)"
    ))?;
    let (connection, turns) = (Mutex::new(connection), (records / each / WRITERS).max(1));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| writer(&connection, each, turns))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or_else(|_| Err("a writer panicked".into())))
    })?;
    let took = started.elapsed();
    let connection = connection.into_inner().unwrap_or_else(PoisonError::into_inner);
    let there: u32 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    drop(connection);
    remove(path)?;
    if u64::from(there) != each * turns * WRITERS {
        return Err(format!("{there} records are there").into());
    }
    Ok(took.as_secs_f64() * 1e9 / f64::from(there))
}

fn writer(connection: &Mutex<Connection>, each: u64, turns: u64) -> Result<(), Failed> {
    for _ in 0..turns {
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        for _ in 0..each {
            transaction.prepare_cached("INSERT INTO records (body) VALUES (?1)")?.execute([&BODY[..]])?;
        }
        transaction.commit()?;
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        match std::fs::remove_file(format!("{}{end}", path.display())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
