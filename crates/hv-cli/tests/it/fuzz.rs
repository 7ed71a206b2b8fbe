//! Whatever stands in a file, it is a plan or one message about a line that the file has.

use crate::root;
use hv_cli::plan::{Format, Plan, Source};
use proptest::prelude::*;
use std::sync::LazyLock;

/// What a mutation writes into a file.
const TOKENS: [&str; 32] = [
    "[[step]]\n",
    "[[agent]]\n",
    "[step]\n",
    "[session]\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"\"\"",
    ",",
    "=",
    ":",
    "\n",
    "nan",
    "-inf",
    "1e999",
    "-1",
    "0",
    "99999999999999999999",
    "null",
    "true",
    "after = []\n",
    "sigma = 2\n",
    "id = \"tag\"\n",
    "\\u0000",
    "{work}",
    "env:",
    "file://",
    "did:mesh:author",
    "\u{202e}",
    "1979-05-27",
];

#[derive(Debug, Clone)]
enum Mutation {
    Cut(usize, usize),
    Double(usize, usize),
    Write(usize, usize),
    Flip(usize, u8),
    Swap(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0usize..1 << 20;
    prop_oneof![
        (at(), 1usize..200).prop_map(|(at, length)| Mutation::Cut(at, length)),
        (at(), 1usize..200).prop_map(|(at, length)| Mutation::Double(at, length)),
        (at(), 0..TOKENS.len()).prop_map(|(at, token)| Mutation::Write(at, token)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        (at(), at()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for mutation in mutations {
        let length = bytes.len().max(1);
        let place = |at: usize| at % length;
        match *mutation {
            Mutation::Cut(at, count) => {
                bytes.drain(place(at).min(bytes.len())..(place(at) + count).min(bytes.len()));
            }
            Mutation::Double(at, count) => {
                let part = bytes[place(at).min(bytes.len())..(place(at) + count).min(bytes.len())].to_vec();
                bytes.splice(place(at).min(bytes.len())..place(at).min(bytes.len()), part);
            }
            Mutation::Write(at, token) => {
                let at = place(at).min(bytes.len());
                bytes.splice(at..at, TOKENS[token].bytes());
            }
            Mutation::Flip(at, byte) => {
                if let Some(known) = bytes.get_mut(place(at)) {
                    *known = byte;
                }
            }
            Mutation::Swap(a, b) => {
                if !bytes.is_empty() {
                    bytes.swap(place(a), place(b));
                }
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

static EXAMPLES: LazyLock<Vec<(Format, String)>> = LazyLock::new(|| {
    ["release.toml", "release-fails.toml"]
        .into_iter()
        .flat_map(|name| {
            let toml = std::fs::read_to_string(root().join("examples").join(name)).unwrap();
            let value: serde_json::Value = toml::from_str(&toml).unwrap();
            [(Format::Json, serde_json::to_string_pretty(&value).unwrap()), (Format::Toml, toml)]
        })
        .collect()
});

fn check(format: Format, text: &str) -> Result<(), TestCaseError> {
    let source = Source::new("fuzz", "/folder", format, text);
    match Plan::parse(&source) {
        Ok(plan) => {
            prop_assert!(plan.bind(std::path::Path::new("/work")).is_ok());
        }
        Err(error) => {
            let message = error.to_string();
            let line = error.line().unwrap();
            let lines = u32::try_from(text.matches('\n').count()).unwrap() + 1;
            prop_assert!((1..=lines).contains(&line), "{message} of {lines} lines");
            prop_assert!(message.starts_with(&format!("fuzz:{line}: ")), "{message}");
            prop_assert!(!message.contains('\n') && message.len() < 8192, "{message}");
        }
    }
    Ok(())
}

fn cases() -> ProptestConfig {
    let cases = if std::env::var_os("HV_DEEP").is_some() { 20_000 } else { 512 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn mutated_examples_never_panic(which in 0usize..4, mutations in prop::collection::vec(mutation(), 1..6)) {
        let (format, text) = &EXAMPLES[which];
        check(*format, &mutate(text, &mutations))?;
    }

    #[test]
    fn tokens_in_any_order_never_panic(
        json in any::<bool>(),
        tokens in prop::collection::vec(0..TOKENS.len(), 0..60),
    ) {
        let text: String = tokens.into_iter().map(|token| TOKENS[token]).collect();
        check(if json { Format::Json } else { Format::Toml }, &text)?;
    }
}

#[test]
fn deep_and_long_files_end_in_a_message_at_once() {
    let megabyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let started = std::time::Instant::now();
    for unit in [
        "[", "{", "a.", "[a.", "a={", "a=[", "[[a]]\n", "[a]\n", "\"", "'", "{\"a\":", "#\n", "a=1\n", "-",
        "0", "\\",
    ] {
        for format in [Format::Toml, Format::Json] {
            let text = megabyte(unit);
            assert!(Plan::parse(&Source::new("long", "/", format, &text)).is_err(), "{unit}");
        }
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
