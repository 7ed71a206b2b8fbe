//! Fresh random cases, answered by the installed Python packages.
//!
//! `HV_TEST_VENV` names a virtual environment that has them. Without it the comparison is skipped, loudly;
//! with `HV_REQUIRE_SERVICES=1` it fails instead. `HV_SEED` repeats a run; every run prints its seed.

use crate::vectors::parse;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many cases a comparison has.
pub(crate) const CASES: u32 = 10_000;

/// So many cases of a kind, answered by the package itself; nothing where it is not installed and need not be.
pub(crate) fn ask(kind: &str) -> Option<Vec<(Value, Value)>> {
    let Some(venv) = std::env::var_os("HV_TEST_VENV") else {
        return skip(kind, "HV_TEST_VENV names no virtual environment");
    };
    let seed = std::env::var("HV_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() % 1_000_000_007)
            .unwrap()
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peer.py");
    let output = Command::new(Path::new(&venv).join("bin/python"))
        .args(["-W", "ignore"])
        .arg(script)
        .args([kind, &CASES.to_string(), &seed.to_string()])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            say(&format!("{kind}: {CASES} fresh cases beside the package, HV_SEED={seed}"));
            Some(parse(&String::from_utf8(output.stdout).unwrap()))
        }
        // The script ends with 3 where a package is not installed in the version that it knows.
        Ok(output) if output.status.code() == Some(3) => skip(kind, &String::from_utf8_lossy(&output.stderr)),
        Ok(output) => panic!("{kind}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => skip(kind, &format!("{} does not start: {error}", Path::new(&venv).display())),
    }
}

fn skip(kind: &str, why: &str) -> Option<Vec<(Value, Value)>> {
    assert!(
        std::env::var_os("HV_REQUIRE_SERVICES").is_none_or(|value| value != "1"),
        "{kind}: not compared with the package, and HV_REQUIRE_SERVICES=1: {why}"
    );
    say(&format!("SKIPPED: {kind} was not compared with the package: {}", why.trim()));
    None
}

/// Past the capture of the test's output, so that it is seen where the test passes.
fn say(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}
