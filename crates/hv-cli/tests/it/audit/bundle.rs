//! Evidence bundles: they check themselves where nothing but Python is, `hv audit check` agrees, and no byte of one is
//! free.

use super::deep;
use super::outside::Desk;
use super::trails;
use clap::Parser;
use hv_cli::Exit;
use hv_cli::args::{AuditArgs, AuditCommand, Cli, Command};
use std::fs;
use std::process::{self, Output};

/// What Python makes of a bundle: exit code and stdout. `-I` keeps everything out that is not in the standard library.
fn python(desk: &Desk, arguments: &[&str]) -> (i32, String) {
    let mut program = process::Command::new("python3");
    let Output { status, stdout, .. } =
        program.args(["-I", "-S"]).args(arguments).current_dir(desk.path("")).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

#[tokio::test]
async fn a_bundle_verifies_with_the_enclosed_program_and_with_ours() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit export t --to b.py --bundle --session release --key log.key --origin log.example/hv --payloads");
    let (code, document) = desk.json("audit check b.py");
    assert_eq!((code, &document["holds"], &document["key_given"]), (0, &true.into(), &false.into()));
    assert_eq!(document["level"], "L0", "nobody said whose key it is");
    let key = document["key"].as_str().unwrap();
    let (code, told) = python(&desk, &["b.py"]);
    assert_eq!(code, 0);
    for line in
        ["verified: session 'release' (stream 2) of 'log.example/hv'", "Whether that is the log's key"]
    {
        assert!(told.contains(line), "{told}");
    }
    assert!(told.contains(&format!("records   {}, closed", document["records"])), "{told}");
    let (code, told) = python(&desk, &["b.py", key]);
    assert!(code == 0 && !told.contains("Whether"), "{told}");
    assert_eq!(desk.json(&format!("audit check b.py --key {key}")).1["level"], "L1");

    // The same key as every other command prints it; what is no key is said to be none.
    let did = desk.done("id show --key log.key");
    let (code, told) = python(&desk, &["b.py", did.trim()]);
    assert!(code == 0 && !told.contains("Whether"), "{told}");
    let other = desk.done("id show --key new.key");
    assert_eq!(python(&desk, &["b.py", other.trim()]).0, 1);
    for no_key in ["log.key", "did:key:z6Mk", "did:key:zzzzz0", "", "a+b+c"] {
        assert_eq!(python(&desk, &["b.py", no_key]), (2, String::new()), "{no_key}");
    }

    // The key of somebody else.
    let (_, other) = desk.json("audit checkpoint t --key new.key --origin log.example/hv");
    let other = other["key"].as_str().unwrap();
    assert_eq!(python(&desk, &["b.py", other]).0, 1);
    assert_eq!(desk.hv(&format!("audit check b.py --key {other}")).0, 1);

    // The payloads that are enclosed are those of the session's records; without being asked for, none is.
    desk.done("audit export t --to c.py --bundle --session release --key log.key");
    assert!(python(&desk, &["c.py"]).1.contains("named, 0 enclosed"));
    assert_eq!(
        desk.hv("audit export t --to c.py --bundle --session release --key log.key").0,
        2,
        "it is there"
    );
    assert_eq!(desk.hv("audit export t --to d.py --bundle --session nobody --key log.key").0, 2);

    // A bundle of a checkpoint that witnesses cosigned.
    desk.done("audit checkpoint t --key log.key --mark m");
    desk.keep("grown", &desk.done("audit prove t --from 0 --checkpoint m"));
    let cosign = "audit witness cosign --key w1.key --name w.example/w1 --log log.key --state seen grown";
    desk.keep("cosigned", &desk.done(cosign));
    desk.done("audit witness add m --witness w1.vkey cosigned");
    desk.done("audit export t --to e.py --bundle --session release --checkpoint m --log log.key");
    let (code, document) = desk.json("audit check e.py --key log.key --witness w1.vkey");
    assert_eq!((code, document["level"].as_str().unwrap()), (0, "L2"));
    assert_eq!(python(&desk, &["e.py"]).0, 0);
    // One program checks another bundle.
    assert_eq!(python(&desk, &["b.py", document["key"].as_str().unwrap(), "e.py"]).0, 0);
}

#[tokio::test]
async fn a_session_that_was_open_when_the_trail_was_ended_is_in_a_bundle_as_far_as_that() {
    let desk = Desk::new();
    trails::of_many_sessions(&desk.path("t"), 3);
    desk.done("audit export t --to b.py --bundle --session open --key log.key");
    let (code, told) = python(&desk, &["b.py"]);
    assert!(code == 0 && told.contains("open when the log was ended"), "{told}");
    let (code, document) = desk.json("audit check b.py");
    assert_eq!((code, &document["closed"]), (0, &false.into()));
}

/// Every byte, or every so many-th: neither the enclosed program nor ours takes the changed file.
#[tokio::test]
async fn a_bundle_with_one_changed_byte_fails_in_both() {
    let desk = Desk::new();
    trails::of_many_sessions(&desk.path("t"), 2);
    desk.done("audit export t --to b.py --bundle --session s1 --key log.key --payloads");
    let bundle = fs::read(desk.path("b.py")).unwrap();
    let step = if deep() { 1 } else { 61 };
    // In one process, because starting Python for every byte takes minutes.
    let harness = r#"
import os, signal, sys
path, step = sys.argv[1], int(sys.argv[2])
whole = open(path, "rb").read()
other = path + ".changed.py"
sys.stdout = open(os.devnull, "w")
tried = 0
def run(data):
    with open(other, "wb") as file:
        file.write(data)
    sys.argv = [other]
    signal.alarm(60)
    try:
        exec(compile(data, other, "exec"), {"__name__": "__main__", "__file__": other})
        return True
    except SystemExit as end:
        return end.code in (None, 0)
    except BaseException:
        return False
    finally:
        signal.alarm(0)
assert run(whole), "the bundle as it is"
for at in range(0, len(whole), step):
    # Where every byte is tried, most of them in one way.
    values = {whole[at] ^ 1, whole[at] ^ 0x20, whole[at] ^ 0x80, 0x23, 0x30, 0x3d, 0x20} - {whole[at]}
    if step == 1 and at % 61:
        values = {whole[at] ^ (1 << at % 8)}
    for value in values:
        if run(whole[:at] + bytes([value]) + whole[at + 1:]):
            sys.stderr.write("byte %d as %d passes\n" % (at, value))
            sys.exit(1)
        tried += 1
sys.stderr.write("%d changes tried\n" % tried)
"#;
    desk.keep("harness.py", harness);
    let output = process::Command::new("python3")
        .args(["-I", "-S", "harness.py", "b.py", &step.to_string()])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("the enclosed program: {}", String::from_utf8_lossy(&output.stderr).trim());
    // What the command calls, on every byte; the command itself, on a few.
    let check = |name: &str| {
        let path = desk.path(name);
        let line = ["hv", "audit", "check", path.to_str().unwrap()];
        match Cli::try_parse_from(line).unwrap().command {
            Command::Audit(AuditArgs { command: AuditCommand::Check(args) }) => hv_cli::audit::check(&args),
            other => panic!("{other:?}"),
        }
    };
    assert!(check("b.py").unwrap().contains("holds: session s1"));
    for at in (0..bundle.len()).step_by(step) {
        let mut changed = bundle.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(desk.path("changed.py"), &changed).unwrap();
        let (exit, why) = check("changed.py").unwrap_err();
        assert!(
            matches!(exit, Exit::Failed | Exit::BadInput) && !why.is_empty(),
            "byte {at}: {exit:?} {why}"
        );
        if at % (11 * 61) == 0 {
            let (code, _, told) = desk.hv(&format!("audit check {}", desk.path("changed.py").display()));
            assert_eq!((code, told.contains(&why)), (i32::from(exit.code()), true), "byte {at}: {told}");
        }
    }
    println!("`hv audit check`: {} bytes, each changed alone", bundle.len().div_ceil(step));
    for cut in [0, 1, 100, bundle.len() / 2, bundle.len() - 1] {
        fs::write(desk.path("changed.py"), &bundle[..cut]).unwrap();
        assert_ne!(desk.hv("audit check changed.py").0, 0, "cut at {cut}");
        // Where nothing of the program is left, nothing says that it verified.
        assert!(!python(&desk, &["changed.py"]).1.contains("verified"), "cut at {cut}");
    }
}

/// Whoever makes a bundle up can make its digest right, too; what the evidence says must fit all the same.
#[tokio::test]
async fn a_bundle_that_was_changed_with_its_digest_fails_in_both() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit export t --to b.py --bundle --session release --key log.key --payloads");
    let text = fs::read_to_string(desk.path("b.py")).unwrap();
    let (body, _) = text.rsplit_once("#sha256 ").unwrap();
    let (program, json) = body.rsplit_once("#evidence ").unwrap();
    let evidence: serde_json::Value = serde_json::from_str(json).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 12] = [
        ("another label", |e| e["label"] = "other".into()),
        ("another stream", |e| e["stream"] = 3.into()),
        ("a record less", |e| drop(e["records"].as_array_mut().unwrap().pop())),
        ("the first record less", |e| drop(e["records"].as_array_mut().unwrap().remove(0))),
        ("records swapped", |e| e["records"].as_array_mut().unwrap().swap(3, 4)),
        ("a record twice", |e| {
            let records = e["records"].as_array_mut().unwrap();
            records.push(records[1].clone());
        }),
        ("another record", |e| {
            let other = e["records"][2].clone();
            e["records"][3] = other;
        }),
        ("an entry at another place", |e| e["entries"][0]["index"] = 0.into()),
        ("a path too short", |e| drop(e["entries"][1]["path"].as_array_mut().unwrap().pop())),
        ("no entry", |e| e["entries"] = serde_json::json!([])),
        ("another checkpoint", |e| {
            let other = e["checkpoint"].as_str().unwrap().replacen('\n', "\n1", 1);
            e["checkpoint"] = other.into();
        }),
        ("a payload of nobody", |e| e["payloads"][0]["content"] = "AAAA".into()),
    ];
    for (what, change) in changes {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        // In the order of the fields that a bundle has, so that only what it says is wrong.
        let fields = ["format", "key", "checkpoint", "stream", "label", "entries", "records", "payloads"];
        let ordered: Vec<String> =
            fields.iter().map(|field| format!("\"{field}\":{}", ordered(&evidence[*field]))).collect();
        let body = format!("{program}#evidence {{{}}}\n", ordered.join(","));
        let digest = digest(&desk, &body);
        desk.keep("changed.py", &format!("{body}#sha256 {digest}\n"));
        let (code, _, stderr) = desk.hv("audit check changed.py");
        assert!(code == 1 && !stderr.contains("digest") && !stderr.contains("one form"), "{what}: {stderr}");
        assert_eq!(python(&desk, &["changed.py"]).0, 1, "{what}");
    }
}

/// What an older or a newer hv made is nothing that somebody changed.
#[tokio::test]
async fn what_is_in_another_version_is_named_as_such() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit export t --to b.py --bundle --session release --key log.key");
    let text = fs::read_to_string(desk.path("b.py")).unwrap();
    let (body, _) = text.rsplit_once("#sha256 ").unwrap();
    let (program, json) = body.rsplit_once("#evidence ").unwrap();
    let old = json.replacen("hv-evidence-bundle/2", "hv-evidence-bundle/1", 1);
    let body = format!("{program}#evidence {old}");
    desk.keep("old.py", &format!("{body}#sha256 {}\n", digest(&desk, &body)));
    let (code, _, stderr) = desk.hv("audit check old.py");
    assert!(code == 1 && stderr.contains("of another version"), "{stderr}");
    let python = process::Command::new("python3").arg(desk.path("old.py")).output().unwrap();
    let stderr = String::from_utf8(python.stderr).unwrap();
    assert!(stderr.contains("of another version") && !stderr.contains("tampered"), "{stderr}");
    assert_eq!(python.status.code(), Some(1));

    let proof = desk.done("audit prove t --session release --record 3 --key log.key");
    let extra = proof.lines().find_map(|line| line.strip_prefix("extra ")).unwrap();
    let mut bytes = data_encoding::BASE64.decode(extra.as_bytes()).unwrap();
    bytes[0] = 1;
    desk.keep("old", &proof.replacen(extra, &data_encoding::BASE64.encode(&bytes), 1));
    let (code, _, stderr) = desk.hv("audit check old --key log.key");
    assert!(code == 2 && stderr.contains("the proof is in version 1 of the format"), "{stderr}");
}

/// JSON with the fields of an entry and of a payload in their order.
fn ordered(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(ordered).collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Object(fields) => {
            let order = ["index", "record", "path", "salt", "content"];
            let fields =
                order.iter().filter_map(|name| Some(format!("\"{name}\":{}", ordered(fields.get(*name)?))));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// SHA-256, computed by another program.
fn digest(desk: &Desk, text: &str) -> String {
    desk.keep("body", text);
    let output = process::Command::new("sha256sum").arg(desk.path("body")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}
