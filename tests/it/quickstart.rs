//! The first dozen lines that somebody writes, on a folder, and what `hv audit` says of it.

use crate::support::{built, hv, json};

#[test]
fn the_quick_start_prints_the_root_and_its_trail_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    let ran = built("quickstart").arg(&trail).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("stands in Ring 2") && said.contains("the saga is completed"), "{said}");
    let root = said.lines().find_map(|line| line.strip_prefix("root ")).unwrap();

    let verified = hv().args(["audit", "verify", "--sealed", "--json"]).arg(&trail).output().unwrap();
    assert!(verified.status.success());
    assert_eq!(json(&verified)["verdict"], "complete");
    let shown = hv().args(["audit", "show"]).arg(&trail).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("saga mail is completed") && shown.contains(root), "{shown}");
}
