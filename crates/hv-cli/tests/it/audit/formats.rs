//! docs/FORMATS.md and the code say the same about events, and the bytes of a trail do not change by accident.

use super::every::every;
use super::{Place, files, trails};
use crate::root;
use hv_core::event::{MembershipEvent, NodeEvent, SagaEvent, SessionEvent};
use hv_core::types::Wire;
use hv_core::types::wire::UndecodableCause;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;

/// The digest of the trail with one of every event: names, lengths and bytes of all its files.
///
/// It changes when the encoding of an event, of a record, of a frame, of the mark or of a payload changes; trails
/// that are out there cannot be read then. So, where it is meant:
///
/// 1. a new event or a new variant gets a new tag, and a sample in `every.rs`: nothing that exists may change;
/// 2. anything else raises the version that it belongs to (`RECORD_VERSION` in hv-core for bodies, `VERSION` of the
///    segment or of the mark in hv-audit), and the old one is still read or refused by name;
/// 3. docs/FORMATS.md says what is new;
/// 4. then the digest that this test prints stands here.
const GOLDEN: &str = "8012b288714418398d814e90deef17e5fe96a7e360d68bccc9a62ddc3faaf10b";

#[test]
fn golden_bytes_of_a_trail() {
    let place = Place::new();
    trails::of_every_event(&place.dir(), &every());
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in files(&place.dir()) {
        hasher.update(name.to_str().unwrap().as_bytes());
        hasher.update(&[0]);
        hasher.update(&bytes.len().to_le_bytes());
        hasher.update(&bytes);
    }
    assert_eq!(
        hasher.finalize().to_string(),
        GOLDEN,
        "the bytes of trails have changed; see the comment above"
    );
}

/// Rows of a table: tag, name, and the names of the fields in order.
type Rows = BTreeMap<u8, (String, Vec<String>)>;

/// The table of the page under this heading.
fn documented(heading: &str) -> Rows {
    let page = fs::read_to_string(root().join("docs/FORMATS.md")).unwrap();
    let section = page.split(&format!("\n### {heading}\n")).nth(1).unwrap_or_else(|| panic!("{heading}"));
    let rows = section.lines().take_while(|line| line.starts_with('|')).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let fields = cells[3].split(", ").filter_map(|field| Some(field.split_once(':')?.0.to_owned()));
        (cells[1].parse().unwrap(), (cells[2].to_owned(), fields.collect()))
    };
    rows.map(row).collect()
}

/// The same from values: the tag is their first byte, name and fields are what `Debug` prints.
fn encoded<'a, E: Wire + Debug + 'a>(events: impl IntoIterator<Item = &'a E>) -> Rows {
    let row = |event: &E| {
        let text = format!("{event:?}");
        let name = text.split([' ', '{']).next().unwrap().to_owned();
        (event.to_bytes()[0], (name, top_level_fields(&text)))
    };
    let rows: Rows = events.into_iter().map(row).collect();
    // A tag alone is too short for its event, or is one; only a tag that there is not is refused as such.
    let unknown =
        |tag: &u8| E::from_bytes(&[*tag]).is_err_and(|e| matches!(e.cause, UndecodableCause::Tag(..)));
    let known: Vec<u8> = (0..=u8::MAX).filter(|tag| !unknown(tag)).collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), known, "every.rs has a sample for each tag");
    rows
}

/// The names before a colon that stand at depth one.
fn top_level_fields(text: &str) -> Vec<String> {
    let (mut depth, mut word, mut fields) = (0, String::new(), Vec::new());
    for (c, next) in text.chars().zip(text.chars().skip(1).chain([' '])) {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ':' if depth == 1 && next == ' ' && !word.is_empty() => fields.push(word.clone()),
            _ => {}
        }
        if c.is_alphanumeric() || c == '_' { word.push(c) } else { word.clear() }
    }
    fields
}

#[test]
fn the_page_lists_every_event_with_its_tag_and_its_fields() {
    let every = every();
    let mut membership: Vec<MembershipEvent> = Vec::new();
    let mut sagas: Vec<SagaEvent> = Vec::new();
    for event in &every.session {
        match event {
            SessionEvent::Session { event } => membership.push(event.clone()),
            SessionEvent::Saga { event, .. } => sagas.push(event.clone()),
            _ => {}
        }
    }
    let files = membership.iter().filter_map(|event| match event {
        MembershipEvent::File { event, .. } => Some(event),
        _ => None,
    });
    let parts = membership.iter().filter_map(|event| match event {
        MembershipEvent::Files { part } => Some(part),
        _ => None,
    });
    let moves = sagas.iter().filter_map(|event| match event {
        SagaEvent::Moved { to, .. } => Some(to),
        _ => None,
    });
    let keys = every.node.iter().filter_map(|event| match event {
        NodeEvent::Key { event } => Some(event),
        _ => None,
    });
    for (heading, rows) in [
        ("Node events", encoded(&every.node)),
        ("Key events", encoded(keys)),
        ("Ledger events", encoded(&every.ledger)),
        ("Session events", encoded(&every.session)),
        ("Membership events", encoded(&membership)),
        ("File events", encoded(files)),
        ("Files parts", encoded(parts)),
        ("Saga events", encoded(&sagas)),
        ("Moves", encoded(moves)),
    ] {
        assert_eq!(documented(heading), rows, "{heading}");
    }
}

#[test]
fn the_page_names_every_key_that_is_derived() {
    let page = fs::read_to_string(root().join("docs/FORMATS.md")).unwrap();
    let mut contexts = BTreeSet::new();
    for name in ["hv-audit", "hv-core"] {
        let folder = root().join("crates").join(name).join("src");
        for (_, bytes) in files(&folder) {
            let text = String::from_utf8(bytes).unwrap();
            let found = text.split("\"hv 2026 ").skip(1).filter_map(|rest| rest.split('"').next());
            contexts.extend(found.map(|context| format!("hv 2026 {context}")));
        }
    }
    assert!(contexts.len() >= 5, "{contexts:?}");
    for context in contexts {
        assert!(page.contains(&context), "{context}");
    }
}
