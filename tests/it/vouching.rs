//! The example in which one agent answers for two others, and what a finding about one of them costs all three.

use crate::scene::{denials, trail};
use crate::support::{Run, hv, json, workspace};
use hv_core::TrailEvent;
use hv_core::event::{LedgerEvent, NodeEvent};
use serde_json::{Value, json};

/// The same where the accused has an hour: nobody has lost anything when the run ends, and Carol may do nothing.
#[test]
fn with_a_grace_period_a_violation_is_a_charge_and_costs_nobody_anything_yet() {
    let text = std::fs::read_to_string(workspace().join("examples/vouching.toml")).unwrap();
    let lenient = text.replace("[node]\n", "[node]\nvouching = \"collateral\"\ngrace = \"1h\"\n");
    assert_ne!(lenient, text);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lenient.toml");
    std::fs::write(&file, lenient).unwrap();
    let run = Run::of_file(file);
    let output = run.start().output().unwrap();
    let report = json(&output);
    assert_eq!(report["slashes"], json!([]), "{report:#}");
    let charges = report["charges"].as_array().unwrap();
    let [charge] = charges.as_slice() else { panic!("{report:#}") };
    assert_eq!((&charge["agent"], &charge["contested"]), (&json!("did:mesh:carol"), &json!(false)));
    assert_eq!(charge["reason"], "violation");
    let agents = report["agents"].as_array().unwrap();
    let carol = agents.iter().find(|agent| agent["did"] == "did:mesh:carol").unwrap();
    assert_eq!((&carol["put_out"], &carol["ring"]), (&Value::Null, &json!(3)), "{report:#}");
    assert_eq!(json(&run.verify())["verdict"], "complete");
}

#[test]
fn a_violation_costs_the_agent_its_voucher_and_who_relied_on_the_same_voucher() {
    let run = Run::of("vouching.toml");
    let output = run.start().output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    // The slash: the ring that the vouch had allowed, both losses, the bond, and the one who is demoted by it.
    let slashes = report["slashes"].as_array().unwrap();
    let [slash] = slashes.as_slice() else { panic!("{report:#}") };
    assert_eq!((&slash["agent"], &slash["stood"]), (&json!("did:mesh:carol"), &json!(2)));
    assert_eq!((&slash["reason"], &slash["fault"]), (&json!("violation"), &json!(1.0)));
    let lost = |agent: &str| {
        let losses = slash["losses"].as_array().unwrap();
        losses.iter().find(|loss| loss["agent"] == agent).map(|loss| loss["amount"].clone())
    };
    // All of 0.40; of a bond of 0.45, 0.95 of it.
    assert_eq!(lost("did:mesh:carol"), Some(json!(0.4)));
    assert_eq!(lost("did:mesh:alice"), Some(json!(0.4275)));
    assert_eq!(slash["losses"].as_array().unwrap().len(), 2, "{slash:#}");
    let bond = json!({
        "voucher": "did:mesh:alice", "vouchee": "did:mesh:carol", "bond": 0.45, "burned": 0.4275,
    });
    assert_eq!(slash["bonds"], json!([bond]));
    let demoted = json!({ "agent": "did:mesh:dave", "from": 2, "to": 3, "sigma": 0.45 });
    assert_eq!(slash["demoted"], json!([demoted]));
    // The vouches stand in the report too, and carol is no member any more.
    let agent = |did: &str| {
        let agents = report["agents"].as_array().unwrap();
        agents.iter().find(|agent| agent["did"] == did).unwrap().clone()
    };
    assert_eq!(report["vouches"].as_array().unwrap().len(), 2);
    assert!(agent("did:mesh:carol")["put_out"].is_string());
    assert_eq!(agent("did:mesh:dave")["put_out"], Value::Null);
    // Dave's next step is denied for it, and everything is undone.
    let denied = denials(&run.data());
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0].agent.as_ref().unwrap().as_str(), "did:mesh:dave");
    assert!(denied[0].reason.contains("it is 0.45"), "{}", denied[0].reason);
    assert_eq!(report["undo_order"], json!(["leak", "report"]));
    assert_eq!(report["observations"][0]["equal"], true, "{report:#}");
    assert_eq!(json(&run.verify())["verdict"], "complete");
    // What the ledger says is one batch with the statement that it rests on.
    let records = trail(&run.data());
    let slashed = records.iter().find(|record| {
        record.events.iter().any(|event| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. })))
    });
    let lsn = slashed.unwrap().lsn;
    let batch: Vec<&TrailEvent> =
        records.iter().filter(|record| record.lsn == lsn).flat_map(|record| &record.events).collect();
    let spent = |event: &&TrailEvent| matches!(event, TrailEvent::Node(NodeEvent::Spent { .. }));
    assert!(batch.iter().any(spent), "{batch:#?}");
    // And in words.
    let shown = hv().args(["audit", "show"]).arg(run.data()).output().unwrap();
    let words = String::from_utf8(shown.stdout).unwrap();
    for said in [
        "configures the node, for the first time: it is did:web:node.example; no witnesses; verifiers did:key:",
        "did:mesh:alice vouches for did:mesh:carol in vouching with 0.45",
        "did:mesh:carol stands in Ring 2 (standard) with σ 0.76",
        "a statement of did:key:z6MkqUFMKcFZN9wqxrhzeC75FYzSD6KxMhDUdNFg9MzakL2J is used",
        "did:mesh:carol is slashed (violation in vouching",
        "did:mesh:carol is put out: it broke a rule of the session",
        "did:mesh:dave stands in Ring 3 (sandbox) with σ 0.45",
    ] {
        assert!(words.contains(said), "{said}\n{words}");
    }
}
