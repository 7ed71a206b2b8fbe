//! What a file and the environment say of a node's limits, as the program takes it.

use super::{root, text};
use hv_core::config::{SETTINGS, VARIABLES};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, text: &str) -> String {
        fs::write(self.path("hv.toml"), text).unwrap();
        self.path("hv.toml").to_str().unwrap().to_owned()
    }

    fn hv(&self, line: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hv"));
        command.args(line.split(' ')).envs(variables.iter().copied()).current_dir(self.folder.path());
        command.output().unwrap()
    }

    /// The value of a setting and who said it.
    fn shown(&self, key: &str, line: &str, variables: &[(&str, &str)]) -> (Value, String) {
        let output = self.hv(&format!("config show --json{line}"), variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = told["settings"].as_array().unwrap();
        assert_eq!(settings.len(), SETTINGS.len());
        let one = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (one["value"].clone(), one["source"].as_str().unwrap().to_owned())
    }
}

fn said(output: &Output) -> (Option<i32>, &str) {
    (output.status.code(), text(&output.stderr))
}

#[test]
fn the_file_stands_over_the_default_and_the_environment_over_the_file() {
    let scene = Scene::new();
    let key = "rates.sandbox.burst";
    assert_eq!(scene.shown(key, "", &[]), (10.into(), "default".to_owned()));
    scene.file("# limits\n[rates.sandbox]\nburst = 7\n[retention]\nnote = \"365d\"\n");
    let line = " --config hv.toml";
    assert_eq!(scene.shown(key, line, &[]), (7.into(), "hv.toml:3".to_owned()));
    assert_eq!(scene.shown("retention.note", line, &[]), ("365d".into(), "hv.toml:5".to_owned()));
    assert_eq!(scene.shown(key, "", &[("HV_CONFIG", "hv.toml")]), (7.into(), "hv.toml:3".to_owned()));
    let variable = "HV_CONFIG_RATES_SANDBOX_BURST";
    assert_eq!(scene.shown(key, line, &[(variable, "6")]), (6.into(), variable.to_owned()));
    let checked = scene.hv("config check --config hv.toml", &[(variable, "6")]);
    let words = format!("nothing is wrong; 2 of {} settings are said\n", SETTINGS.len());
    assert_eq!(text(&checked.stdout), words);
}

#[test]
fn what_cannot_be_ends_every_command_before_anything_is_there() {
    let scene = Scene::new();
    for (said_there, fragment) in [
        (
            "[tools]\nsandbox = -1\n",
            "hv.toml:2: `tools.sandbox` is \"-1\"; it takes a whole number of tools from 0",
        ),
        ("[tools]\nsandbox = \"2\"\n", "hv.toml:2: `tools.sandbox` is \"2\"; it takes a whole number"),
        (
            "[tools]\n\nsandbx = 2\n",
            "hv.toml:3: there is no setting `tools.sandbx`; is `tools.sandbox` meant?",
        ),
        ("[tolls]\n", "hv.toml:1: there is no setting `tolls`"),
        ("tools = 3\n", "hv.toml:1: there is no setting `tools`"),
        ("[breach]\nopen = 300\n", "hv.toml:2: `breach.open` is \"300\"; it takes a time with its unit"),
        ("[breach]\nopen = \"300\"\n", "it takes a time with its unit"),
        ("[score]\ngain = nan\n", "hv.toml:2: `score.gain` is \"nan\"; it takes a number from 0 to 1"),
        (
            "[score]\nscorer = \"off\"\ngain = 0.5\n",
            "hv.toml:3: `score.gain` means nothing while `score.scorer` is off",
        ),
        (
            "[retention]\nfile = \"30d\"\n",
            "hv.toml:2: `retention.file` is \"30d\"; it takes a time with its unit (ms, s, m, h, d) from 184d",
        ),
        ("[kill]\ncallback = \"5s\"\ncallback = \"6s\"\n", "hv.toml:3: duplicate key"),
        ("[kill\n", "hv.toml:1: "),
    ] {
        scene.file(said_there);
        for line in [
            "config check --config hv.toml",
            "session open --data trail --config hv.toml --id s",
            "run run.toml --data trail --work work --config hv.toml",
        ] {
            fs::write(scene.path("run.toml"), fs::read(root().join("examples/vouching.toml")).unwrap())
                .unwrap();
            let output = scene.hv(line, &[]);
            let (code, words) = said(&output);
            assert!(code == Some(2) && words.contains(fragment), "{line}: {code:?} {words}");
            assert!(words.lines().count() == 1 && output.stdout.is_empty(), "{words}");
            assert!(!scene.path("trail").exists() && !scene.path("work").exists(), "{line}");
        }
    }
    for (variable, value, fragment) in [
        (
            "HV_CONFIG_TOOLS_SANDBX",
            "1",
            "HV_CONFIG_TOOLS_SANDBX: there is no such variable; is HV_CONFIG_TOOLS_SANDBOX",
        ),
        ("HV_CONFG", "hv.toml", "HV_CONFG: there is no such variable"),
        ("HV_CONFIG_TOOLS_SANDBOX", "", "HV_CONFIG_TOOLS_SANDBOX: `tools.sandbox` is \"\""),
        ("HV_CONFIG", "", "the configuration cannot be read"),
        ("HV_CONFIG", "nowhere.toml", "nowhere.toml: the configuration cannot be read"),
    ] {
        let output = scene.hv("session open --data trail --id s", &[(variable, value)]);
        let (code, words) = said(&output);
        assert!(code == Some(2) && words.contains(fragment), "{variable}: {code:?} {words}");
        assert!(!scene.path("trail").exists());
    }
}

/// The limits of a trail, as the record of them tells.
fn guarded(data: &Path) -> Vec<Value> {
    let output = super::hv(["audit", "show", data.to_str().unwrap(), "--json"]);
    let text = text(&output.stdout);
    let records = serde_json::Deserializer::from_str(text).into_iter::<Value>().map(Result::unwrap);
    let mut found = Vec::new();
    fn search(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Object(fields) if fields.get("event").is_some_and(|event| event == "node.guarded") => {
                found.push(value.clone());
            }
            Value::Object(fields) => fields.values().for_each(|value| search(value, found)),
            Value::Array(values) => values.iter().for_each(|value| search(value, found)),
            _ => {}
        }
    }
    records.for_each(|record| search(&record, &mut found));
    found
}

#[test]
fn what_holds_is_on_the_trail_and_holds_until_something_else_is_said() {
    let scene = Scene::new();
    scene.file("[sessions]\nopen = 1\n");
    let open = |name: &str, more: &str, variables: &[(&str, &str)]| {
        let output = scene.hv(&format!("session open --data trail --id {name}{more}"), variables);
        (output.status.code(), text(&output.stderr).to_owned())
    };
    assert_eq!(open("one", " --config hv.toml", &[]).0, Some(0));
    // Nothing is said here: the trail knows.
    let (code, words) = open("two", "", &[]);
    assert!(code == Some(5) && words.contains('1'), "{code:?} {words}");
    assert_eq!(scene.shown("sessions.open", " --data trail", &[]), (1.into(), "trail".to_owned()));
    assert_eq!(guarded(&scene.path("trail")).len(), 1, "said once, recorded once");
    // A variable changes one value and leaves the others.
    assert_eq!(open("two", "", &[("HV_CONFIG_KILL_CALLBACK", "1s")]).0, Some(5));
    assert_eq!(open("two", "", &[("HV_CONFIG_SESSIONS_OPEN", "2")]).0, Some(0));
    let recorded = guarded(&scene.path("trail"));
    let told: Vec<_> =
        recorded.iter().map(|one| (one["open_sessions"].clone(), one["kill_callback_s"].clone())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told.last().map(|(open, _)| open.clone()), Some(2.into()));
    assert!(told[1].1 == told[2].1 && told[0].1 != told[1].1, "{told:?}");
    // A file is the whole truth: what it does not name is as by default.
    scene.file("[tools]\nsandbox = 1\n");
    assert_eq!(
        scene.shown("sessions.open", " --data trail --config hv.toml", &[]),
        (10_000.into(), "default".to_owned())
    );
}

#[test]
fn a_kill_is_not_held_back_by_what_somebody_misspelt() {
    let scene = Scene::new();
    assert_eq!(scene.hv("session open --data trail --id s", &[]).status.code(), Some(0));
    let output = scene.hv("kill --data trail --all --reason now", &[("HV_CONFIG_KIL_CALLBACK", "1s")]);
    let (code, words) = said(&output);
    assert!(code == Some(0) && words.contains("HV_CONFIG_KIL_CALLBACK"), "{code:?} {words}");
}

/// What a session begins with where nothing is said of it, and what is said over that.
#[test]
fn a_session_of_which_nothing_is_said_begins_as_the_node_is_configured() {
    let scene = Scene::new();
    scene.file("[session]\nmode = \"eventual\"\nmax_participants = 3\nduration = \"2h\"\nmax_files = 5\n");
    let begun = |trail: &str| {
        let shown = scene.hv(&format!("audit show {trail} --json"), &[]);
        let told: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let records = told.as_array().unwrap().iter();
        let events = records.flat_map(|record| record["events"].as_array().unwrap());
        let created = events.filter(|event| event["event"] == "session.created");
        created.map(|event| event["config"].clone()).next_back().unwrap()
    };
    let opened = |options: &str, variables: &[(&str, &str)]| {
        let output = scene.hv(&format!("session open --data trail{options}"), variables);
        assert_eq!(said(&output), (Some(0), ""));
        let config = begun("trail");
        let quota = config["quotas"]["files"].clone();
        [config["mode"].clone(), config["max_participants"].clone(), config["max_duration_s"].clone(), quota]
    };
    let hours = |config: &[Value; 4]| config[2].to_string();
    let usual = opened("", &[]);
    assert_eq!((&usual[0], &usual[1], &usual[3]), (&"strong".into(), &10.into(), &10_000.into()));
    let configured = opened(" --config hv.toml", &[]);
    assert_eq!((&configured[0], &configured[1], &configured[3]), (&"eventual".into(), &3.into(), &5.into()));
    assert_ne!(hours(&configured), hours(&usual));
    // An option stands over a variable, and that over the file.
    let variable = [("HV_CONFIG_SESSION_MAX_PARTICIPANTS", "4"), ("HV_CONFIG_SESSION_MAX_FILES", "6")];
    let both = opened(" --config hv.toml --max-files 7 --mode strong", &variable);
    assert_eq!((&both[0], &both[1], &both[3]), (&"strong".into(), &4.into(), &7.into()));
    assert_eq!(hours(&both), hours(&configured));
    // What is not said any more is as by default: the trail has nothing of it but what each session got.
    assert_eq!(opened("", &[]), usual);
    assert_eq!(scene.shown("session.mode", " --data trail", &[]), ("strong".into(), "default".to_owned()));
    assert_eq!(
        scene.shown("session.duration", " --config hv.toml", &[]),
        ("2h".into(), "hv.toml:4".to_owned())
    );
    let output = scene.hv("session open --data trail", &[("HV_CONFIG_SESSION_MAX_PARTICIPANTS", "1001")]);
    let (code, words) = said(&output);
    let fits = words.contains(
        "`session.max_participants` is \"1001\"; it takes a whole number of members from 1 to 1000",
    );
    assert!(code == Some(2) && fits, "{code:?} {words}");
    // A session file in which nothing is said of it; too few members are told before anything is there.
    let file = "[[agent]]\ndid = \"did:mesh:a\"\nsigma = 0.9\n[[agent]]\ndid = \"did:mesh:b\"\nsigma = 0.9\n[[action]]\n\
                id = \"look\"\nread_only = true\n[[step]]\nid = \"look\"\naction = \"look\"\nagent = \"did:mesh:a\"\n\
                execute = { command = [\"true\"] }\n";
    fs::write(scene.path("run.toml"), file).unwrap();
    let run = |config: &str, variables: &[(&str, &str)]| {
        scene.hv(&format!("run run.toml --data ran --work work{config}"), variables)
    };
    let few = [("HV_CONFIG_SESSION_MAX_PARTICIPANTS", "1")];
    for output in [run("", &few), scene.hv("check run.toml", &few)] {
        let (code, words) = said(&output);
        let fits =
            words.contains("there are 2 agents and `max_participants` is 1; raise it or remove agents");
        assert!(code == Some(2) && fits && !scene.path("ran").exists(), "{code:?} {words}");
    }
    let output = run(" --config hv.toml", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let config = begun("ran");
    assert_eq!((&config["mode"], &config["max_participants"]), (&"eventual".into(), &3.into()));
    assert_eq!(config["quotas"]["files"], 5);
}

#[test]
fn the_page_and_the_schema_list_every_setting() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let rows = SETTINGS.iter().map(|setting| {
        let (key, takes, default) = (setting.key, setting.takes, setting.default_value());
        format!("| `{key}` | {takes} | {default} | {} |\n", setting.about)
    });
    let table = format!(
        "| setting | takes | default | what it says |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    );
    assert!(page.contains(&table) && page.contains(VARIABLES), "the table should be:\n{table}");
    let output = super::hv(["config", "schema"]);
    let checked_in = fs::read_to_string(root().join("docs/config.schema.json")).unwrap();
    assert!(text(&output.stdout) == checked_in, "write it again: hv config schema > docs/config.schema.json");
    let schema: Value = serde_json::from_str(&checked_in).unwrap();
    for setting in SETTINGS {
        let place = setting.key.replace('.', "/properties/");
        let described = schema.pointer(&format!("/properties/{place}/description"));
        assert!(described.unwrap().as_str().unwrap().contains(&setting.variable()), "{}", setting.key);
    }
}
