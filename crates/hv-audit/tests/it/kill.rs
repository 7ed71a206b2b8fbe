//! A real process on a real disk, killed at random moments.

use crate::deep;
use crate::sim::Dice;
use crate::trail::entropy;
use hv_audit::{FileLog, FileOptions, Log, LogError, StreamNo, Verdict, verify};
use hv_types::Timestamp;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells the test that it is the process to be killed, and where its trail lies.
const CHILD: &str = "HV_AUDIT_KILL_DIR";

fn options() -> FileOptions {
    // Every life draws numbers of its own.
    let (life, mut plain) = (std::process::id(), entropy());
    let mut key = [0; 32];
    key[..4].copy_from_slice(&life.to_le_bytes());
    let drawn = move || *blake3::keyed_hash(&key, &plain()).as_bytes();
    FileOptions::new(Box::new(drawn)).with_segment_bytes(5000)
}

/// Writes until it is killed; says each batch that is durable.
fn write_for_ever(dir: &Path) -> Result<(), LogError> {
    let log = match FileLog::open(dir, Timestamp(1), options()) {
        Err(LogError::NoLog { .. }) => FileLog::create(dir, Timestamp(1), options())?,
        opened => opened?,
    };
    for n in 0u64.. {
        let payload = if n % 5 == 0 { Some(log.put_payload(&n.to_le_bytes())?) } else { None };
        let lsn = log.append(&[], Timestamp(n), &mut |batch| {
            batch.push(StreamNo::LEDGER, payload.as_slice(), |body| body.extend(n.to_le_bytes())).map(drop)
        })?;
        log.sync(lsn)?;
        println!("\ndurable {lsn}");
        if let (0, Some(payload)) = (n % 15, payload) {
            log.append(&[], Timestamp(n), &mut |batch| batch.purge(&[payload.id()], |_| {}).map(drop))?;
            log.destroy(Timestamp(n))?;
        }
        if n % 50 == 49 {
            log.seal(Timestamp(n))?;
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn c2_a_killed_writer_loses_nothing_acknowledged() {
    const NAME: &str = "kill::c2_a_killed_writer_loses_nothing_acknowledged";
    if let Some(dir) = std::env::var_os(CHILD) {
        write_for_ever(Path::new(&dir)).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(1);
    let mut acknowledged = 0;
    for round in 0..deep(40, 10_000) {
        // Short trails for the moments around creating one, long ones for the rest.
        let dir = folder.path().join(format!("trail-{}", round / 10));
        if round % 10 == 0 {
            acknowledged = 0;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        child.kill().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        assert!(!said.contains("panicked"), "{said}");
        // A line that was cut short says nothing.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let durable = whole.lines().filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
        acknowledged = durable.fold(acknowledged, u64::max);
        match verify(&dir) {
            Ok(report) => {
                assert!(!matches!(report.verdict, Verdict::Tampered(_)), "round {round}: {report}");
                assert!(
                    report.batches >= acknowledged,
                    "round {round}, {acknowledged} acknowledged: {report}"
                );
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "round {round}");
                assert_eq!(acknowledged, 0, "round {round}");
            }
        }
    }
}
