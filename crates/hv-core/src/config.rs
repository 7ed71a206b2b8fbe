//! What a file and the environment say of a node's limits, setting by setting.

mod settings;
mod value;

pub use settings::{SETTINGS, Setting};
pub use value::{BadTime, Takes, Value, read_time};

use crate::guards::{Guards, Scoring};
use hv_session::SessionConfig;
use settings::Of;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// What the name of every variable begins with that changes a setting: the key of the setting in capitals follows, with
/// `_` for each point.
pub const VARIABLES: &str = "HV_CONFIG_";

/// The variable that names the file; whoever reads the file reads it.
pub const FILE_VARIABLE: &str = "HV_CONFIG";

/// What is said about the settings of a node, and by whom.
///
/// A file says everything: what it does not name is as by default. Without a file, what the trail recorded last holds. A
/// variable changes one value of either. What comes of it is [`Guards`], which a program may change once more; they
/// are recorded when the node is [opened](crate::Hypervisor::open_configured) with them, so a replay needs none of this.
///
/// What a session has for itself is said here too, for those of which nothing is said when they begin
/// ([`session`](Self::session)). What each got is recorded with it; the trail has no such values for those to come.
///
/// ```
/// use hv_core::config::{Config, Source};
/// use hv_core::Guards;
///
/// let mut config = Config::default();
/// config.say("breach.open", "10m", Source::File { path: "hv.toml".into(), line: 3 })?;
/// config.hear([("HV_CONFIG_TOOLS_SANDBOX".into(), "1".into()), ("PATH".into(), "/bin".into())])?;
/// let guards = config.over(&Guards::default())?;
/// assert_eq!((guards.breach.open.as_secs(), guards.limits.tools.sandbox), (600, 1));
///
/// let bad = config.say("tools.sandbox", "-1", Source::File { path: "hv.toml".into(), line: 9 });
/// assert!(bad.unwrap_err().to_string().starts_with("hv.toml:9: `tools.sandbox` is \"-1\"; it takes"));
/// # Ok::<(), hv_core::config::BadSetting>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// By the place of the setting in [`SETTINGS`].
    said: BTreeMap<usize, (Value, Source)>,
    /// Whether a file was read.
    whole: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The trail of the node.
    Trail,
    /// A line of a file.
    File {
        /// As it was given.
        path: String,
        /// From 1 on.
        line: u32,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
}

/// What was said and cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// Who said it.
    pub by: Source,
    /// The key, as it was given.
    pub key: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such setting.
    Unknown {
        /// The one whose key is most like it, if any is.
        nearest: Option<&'static str>,
    },
    /// There is no such variable.
    UnknownVariable {
        /// The one whose name is most like it, if any is.
        nearest: Option<String>,
    },
    /// The setting takes no such value.
    Misfit {
        /// As it was given.
        value: String,
        /// What it takes.
        setting: &'static Setting,
    },
    /// It has no meaning beside what another setting says.
    Idle {
        /// The other.
        beside: &'static str,
        /// What that says.
        says: Value,
    },
    /// It is shorter than what another setting says.
    Below {
        /// The other.
        other: &'static str,
        /// What that says.
        says: Value,
    },
}

impl Config {
    /// Says that a file is read: what it does not name is as by default, whatever the trail says.
    pub const fn read_a_file(&mut self) {
        self.whole = true;
    }

    /// Sets one setting, over whatever was said of it before.
    ///
    /// # Errors
    /// [`BadSetting`]; nothing was set.
    pub fn say(&mut self, key: &str, value: &str, by: Source) -> Result<(), BadSetting> {
        let Some((at, setting)) = SETTINGS.iter().enumerate().find(|(_, setting)| setting.key == key) else {
            let nearest = nearest(key, SETTINGS.iter().map(|setting| setting.key));
            return Err(BadSetting { by, key: key.to_owned(), fault: Fault::Unknown { nearest } });
        };
        let Some(value) = setting.takes.read(value) else {
            let fault = Fault::Misfit { value: value.to_owned(), setting };
            return Err(BadSetting { by, key: key.to_owned(), fault });
        };
        self.said.insert(at, (value, by));
        Ok(())
    }

    /// Takes what the variables of an environment say. Those that begin with [`VARIABLES`] are a closed list; one
    /// that does not stand in it is an error, and so is one that begins nearly like that.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn hear(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), BadSetting> {
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            let meant = name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("HV_CONF"));
            if !meant || name == FILE_VARIABLE {
                continue;
            }
            let by = Source::Variable { name: name.clone() };
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
                let names: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                let nearest = nearest(&name, names.iter().map(String::as_str)).map(str::to_owned);
                return Err(BadSetting { by, key: name, fault: Fault::UnknownVariable { nearest } });
            };
            // What is no text is no value of any setting.
            self.say(setting.key, &value.to_string_lossy(), by)?;
        }
        Ok(())
    }

    /// What holds, where this held before.
    ///
    /// # Errors
    /// [`BadSetting`] where two settings do not go together.
    pub fn over(&self, before: &Guards) -> Result<Guards, BadSetting> {
        let mut guards = if self.whole { Guards::default() } else { *before };
        for (at, (value, _)) in &self.said {
            if let Some(Setting { of: Of::Node { set, .. }, .. }) = SETTINGS.get(*at) {
                set(&mut guards, value);
            }
        }
        self.consistent(&guards)?;
        Ok(guards)
    }

    /// What a session has for itself where nothing is said when it begins: strong, 10 members, one hour, σ_eff at least
    /// 0.60 and the usual quotas, but for what is said here.
    #[must_use]
    pub fn session(&self) -> SessionConfig {
        self.said.iter().fold(settings::usual(), |session, (at, (value, _))| match SETTINGS.get(*at) {
            Some(Setting { of: Of::Session { set, .. }, .. }) => set(session, value),
            _ => session,
        })
    }

    fn consistent(&self, guards: &Guards) -> Result<(), BadSetting> {
        if guards.score == Scoring::Off
            && let Some((key, by)) = self.first(|key| key.starts_with("score.") && key != settings::SCORER)
        {
            let fault = Fault::Idle { beside: settings::SCORER, says: Value::Word("off") };
            return Err(BadSetting { by, key: key.to_owned(), fault });
        }
        if guards.fold.longest < guards.fold.window {
            let said = self.first(|key| key.starts_with("refusals."));
            let (by, key) = (said.map_or(Source::Trail, |(_, by)| by), "refusals.longest".to_owned());
            let fault = Fault::Below { other: "refusals.window", says: Value::Time(guards.fold.window) };
            return Err(BadSetting { by, key, fault });
        }
        Ok(())
    }

    /// The first of some settings of which anything was said, and who said it.
    fn first(&self, which: impl Fn(&str) -> bool) -> Option<(&'static str, Source)> {
        let key = |at: &usize| SETTINGS.get(*at).map(|setting| setting.key);
        self.said.iter().find_map(|(at, (_, by))| Some((key(at).filter(|key| which(key))?, by.clone())))
    }

    /// Every setting with its value and who said that, in order, where these hold and those held before.
    pub fn told<'a>(
        &'a self,
        guards: &'a Guards,
        before: Option<&Guards>,
    ) -> impl Iterator<Item = (&'static Setting, Value, Source)> + 'a {
        let recorded = before.is_some() && !self.whole;
        let session = self.session();
        SETTINGS.iter().enumerate().map(move |(at, setting)| {
            let unsaid = match setting.of {
                Of::Node { .. } if recorded => Source::Trail,
                Of::Node { .. } | Of::Session { .. } => Source::Default,
            };
            let by = self.said.get(&at).map_or(unsaid, |(_, by)| by.clone());
            (setting, setting.value(guards, &session), by)
        })
    }

    /// Whether nothing was said, so that what the trail says holds.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.said.is_empty() && !self.whole
    }
}

/// The word that is most like another, where one is nearly the same.
fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.len() / 4).max(2);
    let near = words.map(|known| (distance(word, known), known)).filter(|(far, _)| *far <= most);
    near.min().map(|(_, known)| known)
}

/// How many characters have to be put in, taken out or exchanged to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let least = (*slot + 1).min(left + 1).min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(slot, least);
            left = least;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Trail => f.write_str("trail"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable { name } => f.write_str(name),
        }
    }
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, key, fault } = self;
        write!(f, "{by}: ")?;
        match fault {
            Fault::Unknown { nearest } => {
                write!(f, "there is no setting `{key}`; ")?;
                if let Some(nearest) = nearest {
                    write!(f, "is `{nearest}` meant? ")?;
                }
                f.write_str("`hv config schema` lists all")
            }
            Fault::UnknownVariable { nearest } => {
                write!(f, "there is no such variable; ")?;
                if let Some(nearest) = nearest {
                    write!(f, "is {nearest} meant? ")?;
                }
                f.write_str("`hv config schema` lists all; unset what is none of them")
            }
            Fault::Misfit { value, setting } => {
                write!(f, "`{key}` is {value:?}; it takes {}", setting.takes)?;
                write!(f, ", and is {} where nothing is said", setting.default_value())
            }
            Fault::Idle { beside, says } => {
                write!(f, "`{key}` means nothing while `{beside}` is {says}; take one of them out")
            }
            Fault::Below { other, says } => {
                write!(f, "`{key}` is shorter than `{other}`, which is {says}; make it at least as long")
            }
        }
    }
}

impl std::error::Error for BadSetting {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn file(line: u32) -> Source {
        Source::File { path: "hv.toml".to_owned(), line }
    }

    #[test]
    fn every_setting_has_a_name_of_its_own_and_takes_its_default() {
        let keys: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        let variables: BTreeSet<String> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!((keys.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
        for setting in SETTINGS {
            let value = setting.default_value();
            assert_eq!(setting.takes.read(&value.to_string()), Some(value), "{}", setting.key);
        }
    }

    /// Each setting changes what it is named for, and no other.
    #[test]
    fn a_setting_changes_itself_alone() {
        for setting in SETTINGS {
            for value in setting.takes.ends() {
                let mut config = Config::default();
                config.say(setting.key, &value.to_string(), file(1)).unwrap();
                let Ok(guards) = config.over(&Guards::default()) else {
                    assert!(setting.key.starts_with("refusals."), "{}", setting.key);
                    continue;
                };
                for other in SETTINGS {
                    let expected = match other.key == setting.key {
                        true => value,
                        false if setting.key == settings::SCORER => continue,
                        false => other.default_value(),
                    };
                    let is = other.value(&guards, &config.session());
                    assert_eq!(is, expected, "{} by {}", other.key, setting.key);
                }
            }
        }
    }

    #[test]
    fn what_lies_beyond_either_end_is_an_error() {
        for setting in SETTINGS {
            for value in setting.takes.beyond() {
                let mut config = Config::default();
                let bad = config.say(setting.key, &value, file(4)).unwrap_err();
                assert!(bad.to_string().contains(setting.key) && config.is_silent(), "{bad}");
            }
        }
    }

    #[test]
    fn a_file_is_the_whole_truth_and_a_variable_changes_one_value() {
        let trail = Guards { open_sessions: 7, kill_callback: Duration::from_secs(1), ..Guards::default() };
        let mut config = Config::default();
        assert_eq!(config.over(&trail).unwrap(), trail);
        config.hear([("HV_CONFIG_KILL_CALLBACK".into(), "2s".into())]).unwrap();
        let guards = config.over(&trail).unwrap();
        assert_eq!((guards.open_sessions, guards.kill_callback.as_secs()), (7, 2));
        config.read_a_file();
        let guards = config.over(&trail).unwrap();
        assert_eq!((guards.open_sessions, guards.kill_callback.as_secs()), (10_000, 2));
        let sources: BTreeSet<String> = config
            .told(&guards, Some(&trail))
            .filter(|(setting, ..)| setting.key == "kill.callback" || setting.key == "sessions.open")
            .map(|(setting, value, by)| format!("{} {value} {by}", setting.key))
            .collect();
        let expected = ["kill.callback 2s HV_CONFIG_KILL_CALLBACK", "sessions.open 10000 default"];
        assert_eq!(sources, expected.map(str::to_owned).into());
    }

    /// What a session has for itself is said by a file and by variables, and by nobody else.
    #[test]
    fn sessions_begin_with_what_is_said_here() {
        let mut config = Config::default();
        let usual = config.session();
        assert_eq!((usual.mode().name(), usual.max_participants()), ("strong", 10));
        assert_eq!(usual.with_mode(SessionConfig::default().mode()), SessionConfig::default());
        config.say("session.max_participants", "3", file(1)).unwrap();
        config.say("session.max_bytes", "0", file(2)).unwrap();
        config.hear([("HV_CONFIG_SESSION_DURATION".into(), "7d".into())]).unwrap();
        let session = config.session();
        assert_eq!((session.max_participants(), session.max_duration()), (3, Duration::from_secs(604_800)));
        assert_eq!((session.quotas().bytes, session.quotas().files), (0, 10_000));
        assert_eq!(config.over(&Guards::default()).unwrap(), Guards::default());
        let by = |key: &str| {
            let guards = Guards::default();
            let mut told = config.told(&guards, Some(&guards));
            told.find(|(setting, ..)| setting.key == key).unwrap().2.to_string()
        };
        assert_eq!(by("session.max_bytes"), "hv.toml:2");
        assert_eq!(by("session.duration"), "HV_CONFIG_SESSION_DURATION");
        assert_eq!((by("session.mode"), by("tools.root")), ("default".to_owned(), "trail".to_owned()));
    }

    #[test]
    fn a_misspelt_variable_is_never_ignored() {
        for name in
            ["HV_CONFIG_TOOLS_SANDBOXX", "HV_CONFIG_", "HV_CONFG_TOOLS_SANDBOX", "hv_config_tools_sandbox"]
        {
            let bad = Config::default().hear([(name.into(), "1".into())]).unwrap_err();
            assert!(bad.to_string().starts_with(&format!("{name}: there is no such variable")), "{bad}");
        }
        let bad = Config::default().hear([("HV_CONFIG_TOOLS_SANDBOXX".into(), "1".into())]).unwrap_err();
        assert!(bad.to_string().contains("is HV_CONFIG_TOOLS_SANDBOX meant?"), "{bad}");
        for other in ["HV_CONFIG", "HV_LOG", "HV_TOKEN", "HV_CÖNFIG", "PATH"] {
            Config::default().hear([(other.into(), "1".into())]).unwrap();
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let mut config = Config::default();
        config.say("score.scorer", "off", file(1)).unwrap();
        assert_eq!(config.over(&Guards::default()).unwrap().score, Scoring::Off);
        config.say("score.gain", "0.02", file(2)).unwrap();
        let bad = config.over(&Guards::default()).unwrap_err();
        assert!(bad.to_string().starts_with("hv.toml:2: `score.gain` means nothing while"), "{bad}");
        let mut config = Config::default();
        config.say("refusals.longest", "30s", file(5)).unwrap();
        let bad = config.over(&Guards::default()).unwrap_err();
        assert!(bad.to_string().starts_with("hv.toml:5: `refusals.longest` is shorter than"), "{bad}");
        config.say("refusals.window", "30s", file(6)).unwrap();
        config.over(&Guards::default()).unwrap();
    }

    #[test]
    fn the_nearest_name_is_said_where_one_is_near() {
        let fault = |key: &str| Config::default().say(key, "1", file(1)).unwrap_err().fault;
        assert_eq!(fault("tools.sandox"), Fault::Unknown { nearest: Some("tools.sandbox") });
        assert_eq!(fault("weather"), Fault::Unknown { nearest: None });
        assert_eq!((distance("", "abc"), distance("abc", "abc"), distance("abcd", "axc")), (3, 0, 2));
    }
}
