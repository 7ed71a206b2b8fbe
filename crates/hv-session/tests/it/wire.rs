//! The bytes of every event, as they are recorded.

use crate::support::{at, content, did, path};
use hv_session::{
    Acl, ConsistencyMode, Eviction, FileEvent as E, FilesPart, Grantee, Revision, Rights, SessionConfig,
    SessionEvent as S, SessionId, SessionState, SnapshotName, Standing,
};
use hv_types::Wire;

fn file(event: E) -> S {
    S::File { agent: 1, at: at(5), event }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Written down once; a released byte never changes its meaning.
#[test]
fn golden_bytes_of_every_event() {
    let (id, creator, config) = (SessionId::new("s1").unwrap(), did(9), SessionConfig::default());
    let name = || SnapshotName::new("one").unwrap();
    let two = content(2, 300);
    let acl = Acl::closed()
        .allow(Grantee::Everyone, Rights::READ)
        .deny(Grantee::Member { ordinal: 2 }, Rights::ALL);
    let did9 = "106469643a6d6573683a6167656e742d39";
    let config_hex = "010a901c00c0cf24904e808080800420e807";
    let at5 = "00f2052a01000000";
    let (id1, id2) =
        ("0000000000000001".to_owned() + &"0".repeat(48), "0000000000000002".to_owned() + &"0".repeat(48));
    let mode = ConsistencyMode::Strong;
    let state = SessionState::Active;
    let stamp = format!("{id2}ac020701{at5}00");
    let table = [
        (
            S::Created { id: id.clone(), creator: creator.clone(), config, at: at(5) },
            format!("00027331{did9}{config_hex}{at5}"),
        ),
        (S::Moved { to: SessionState::Handshaking }, "0101".to_owned()),
        (S::Joined { did: did(9), parent: None }, format!("02{did9}00")),
        (S::Joined { did: did(9), parent: Some(3) }, format!("02{did9}0103")),
        (S::Rejoined { member: 300 }, "03ac02".to_owned()),
        (S::Left { member: 1 }, "0401".to_owned()),
        (S::Evicted { member: 1, reason: Eviction::Operator }, "050104".to_owned()),
        (S::Readmitted { member: 1 }, "0601".to_owned()),
        (S::StrongForced, "07".to_owned()),
        (file(E::Created { path: path("a"), content: two }), format!("0801{at5}000161{id2}ac02")),
        (
            file(E::Updated { path: path("a"), content: two, previous: content(1, 0).id }),
            format!("0801{at5}010161{id2}ac02{id1}"),
        ),
        (
            file(E::Diverged { path: path("a"), content: two, previous: None, seen: Revision(300) }),
            format!("0801{at5}020161{id2}ac0200ac02"),
        ),
        (file(E::Deleted { path: path("a"), previous: two.id }), format!("0801{at5}030161{id2}")),
        (
            file(E::Renamed { from: path("a"), to: path("b"), content: two.id }),
            format!("0801{at5}0401610162{id2}"),
        ),
        (
            file(E::Restored {
                path: path("a"),
                revision: Revision(7),
                content: two.id,
                previous: Some(content(1, 0).id),
            }),
            format!("0801{at5}05016107{id2}01{id1}"),
        ),
        (
            file(E::AclSet { path: path("a"), acl }),
            format!("0801{at5}0601610200010001020 00f").replace(' ', ""),
        ),
        (file(E::AclCleared { path: path("a") }), format!("0801{at5}070161")),
        (file(E::SnapshotTaken { name: None }), format!("0801{at5}0800")),
        (file(E::SnapshotTaken { name: Some(name()) }), format!("0801{at5}0801036f6e65")),
        (file(E::RolledBack { snapshot: 2 }), format!("0801{at5}0902")),
        (file(E::SnapshotDropped { snapshot: 2 }), format!("0801{at5}0a02")),
        (
            S::Resumed { id, creator, config, at: at(5), state, mode },
            format!("10027331{did9}{config_hex}{at5}0200"),
        ),
        (
            S::Seated { did: did(9), parent: None, standing: Standing::Evicted { reason: Eviction::Killed } },
            format!("11{did9}000200"),
        ),
        (S::Files { part: FilesPart::File { path: path("a"), file: None } }, "1200016100".to_owned()),
        (
            S::Files {
                part: FilesPart::Snapshot {
                    number: 2,
                    name: name(),
                    agent: 1,
                    at: at(5),
                    revision: Revision(7),
                },
            },
            format!("120102036f6e6501{at5}07"),
        ),
        (
            S::Files {
                part: FilesPart::Counters { revision: Revision(9), taken: 2, forgotten: Revision(1) },
            },
            "1203090201".to_owned(),
        ),
        (S::Complete, "13".to_owned()),
    ];
    for (event, expected) in table {
        assert_eq!(hex(&event.to_bytes()), expected, "{event:?}");
        assert_eq!(S::from_bytes(&event.to_bytes()), Ok(event));
    }
    // A file and what is remembered of a path cannot be made outside the crate, so these two are read first.
    for text in [
        format!("120001610 1{stamp}000 10100").replace(' ', ""),
        format!("12020161{}", format!("0101{stamp}01 010003").replace(' ', "")),
    ] {
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect();
        let event = S::from_bytes(&bytes).unwrap();
        assert_eq!(hex(&event.to_bytes()), text, "{event:?}");
        let shown = format!("{event:?}");
        assert!(
            shown.contains("length: 300") && shown.contains("Revision(7)") && shown.contains("Written"),
            "{shown}"
        );
    }
}

#[test]
fn a_write_fits_into_two_blocks_of_the_hash_with_its_parent() {
    let created = file(E::Created { path: path("src/report/summary.md"), content: content(1, 100_000) });
    assert!(created.to_bytes().len() + 32 <= 128, "{}", created.to_bytes().len());
    assert!(S::Moved { to: SessionState::Active }.to_bytes().len() <= 2);
}
