//! A real process on a real disk, killed at random moments.

use crate::deep;
use crate::sim::Dice;
use crate::trail::entropy;
use hv_audit::{FileLog, FileOptions, Log, LogError, StreamNo, Verdict, verify};
use hv_types::Timestamp;
use std::io::{BufRead, BufReader, Read};
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
    // What a killed process wrote stays in the memory of the machine, so that of many rounds most may do without a disk.
    let memory = Path::new("/dev/shm");
    let folders = [None, Some(memory).filter(|memory| memory.is_dir())]
        .map(|place| place.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap());
    let mut dice = Dice(1);
    let (mut acknowledged, mut all) = (0, 0);
    for round in 0..deep(40, 10_000) {
        let folder = &folders[usize::from(round >= 400)];
        // Short trails for the moments around creating one, long ones for the rest.
        let dir = folder.path().join(format!("trail-{}", round / 10));
        if round % 10 == 0 {
            acknowledged = 0;
            if round > 0 {
                std::fs::remove_dir_all(
                    folders[usize::from(round > 400)].path().join(format!("trail-{}", round / 10 - 1)),
                )
                .ok();
            }
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        // At any moment from its beginning on; or at any after so many batches, however fast it is.
        let (wait, batches) = if dice.below(2) == 0 { (60_000, 0) } else { (1500, dice.below(60)) };
        for _ in 0..2 * batches {
            out.read_line(&mut said).unwrap();
        }
        std::thread::sleep(Duration::from_micros(dice.below(wait)));
        child.kill().unwrap();
        out.read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        assert!(!said.contains("panicked"), "{said}");
        // A line that was cut short says nothing.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let durable = whole.lines().filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
        acknowledged = durable.inspect(|_| all += 1).fold(acknowledged, u64::max);
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
        if round % 1000 == 999 {
            println!("{} rounds, {all} batches acknowledged, none lost", round + 1);
        }
    }
}
