//! What must not compile, with the reason that the compiler gives.
//!
//! The compiler itself is asked, with the libraries that the tests were built with: nothing is built again for it.

use crate::support::{library, workspace};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// What the compiler says against this file, as one text: each error with its code, what it says of places in the file,
/// and what it adds. Places elsewhere move whenever somebody edits there, so they are left out.
fn errors(file: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compiler.args([
        "--edition",
        "2024",
        "--crate-type",
        "bin",
        "--emit",
        "metadata",
        "--error-format",
        "json",
    ]);
    compiler.arg("--out-dir").arg(folder.path()).arg(file);
    for name in ["hv_core", "hv_saga", "hv_types"] {
        let library = library(name);
        compiler.arg("--extern").arg(format!("{name}={}", library.display()));
        compiler.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    }
    let output = compiler.current_dir(workspace()).output().expect("rustc runs");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{} compiles, and must not: {said}", file.display());
    let messages = said.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}, of: {said}"))
    });
    let mut text = String::new();
    for message in messages.filter(|message| message["level"] == "error") {
        let spans = message["spans"].as_array().unwrap();
        // The last one counts those before it.
        if spans.is_empty() && message["code"].is_null() {
            continue;
        }
        let code = message["code"]["code"].as_str().unwrap_or("without a code");
        writeln!(text, "error[{code}]: {}", message["message"].as_str().unwrap()).unwrap();
        let mut here: Vec<_> =
            spans.iter().filter(|span| file.ends_with(span["file_name"].as_str().unwrap())).collect();
        here.sort_by_key(|span| (span["line_start"].as_u64(), span["column_start"].as_u64()));
        for span in here {
            let label = span["label"].as_str().unwrap_or_default();
            writeln!(text, "  {}:{}: {label}", span["line_start"], span["column_start"]).unwrap();
        }
        for more in message["children"].as_array().unwrap().iter().filter(|more| more["level"] == "note") {
            writeln!(text, "  note: {}", more["message"].as_str().unwrap()).unwrap();
        }
    }
    text
}

#[test]
fn c1_a_grant_cannot_be_forged_and_no_executor_runs_without_one() {
    let folder = workspace().join("tests/it/forgery");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let expected = std::fs::read_to_string(file.with_extension("stderr")).unwrap();
        let said = errors(&file);
        assert_eq!(said, expected, "{} is refused for another reason:\n{said}", file.display());
    }
}
