//! `docs/mutants.toml`: the mutants that survive, each with its argument, and the faults to plant.

use crate::workspace::Workspace;
use std::collections::BTreeMap;

/// Where the list is.
pub(super) const LIST: &str = "docs/mutants.toml";

/// What the file says.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// How often each survives, by what cargo-mutants calls it without line and column.
    survivors: BTreeMap<String, usize>,
    /// Faults that tests are named for.
    pub(super) planted: Vec<Planted>,
}

/// A fault, and the test that is named for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planted {
    pub(super) name: String,
    /// The package of its test.
    pub(super) package: String,
    /// The path of the test within its target, such as `planted::planted_cap_per_session`.
    pub(super) test: String,
    changes: Vec<Change>,
}

/// Some lines of a file, and what they are with the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    /// Relative to the root.
    file: String,
    lines: String,
    with_fault: String,
}

impl List {
    pub(super) fn read(workspace: &Workspace) -> Result<Self, String> {
        let text = workspace.text(LIST)?.unwrap_or_default();
        Self::parse(&text).map_err(|why| format!("{LIST}: {why}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table = text.parse().map(toml::Value::Table).map_err(|e| format!("{e}"))?;
        let mut list = Self::default();
        for row in rows(&table, "survivor") {
            word(row, "why")?;
            let mutant = word(row, "mutant")?;
            let times = row.get("times").map_or(Some(1), toml::Value::as_integer);
            let times = times.and_then(|times| usize::try_from(times).ok()).filter(|times| *times > 0);
            let times = times.ok_or_else(|| format!("`{mutant}`: `times` is a whole number above 0"))?;
            if list.survivors.insert(mutant.clone(), times).is_some() {
                return Err(format!("`{mutant}` is listed twice"));
            }
        }
        for row in rows(&table, "planted") {
            let changes = rows(row, "change").map(|change| {
                let (file, lines) = (word(change, "file")?, word(change, "lines")?);
                Ok(Change { file, lines, with_fault: word(change, "with_fault")? })
            });
            let (name, package, test) = (word(row, "name")?, word(row, "package")?, word(row, "test")?);
            let changes = changes.collect::<Result<Vec<_>, String>>()?;
            if changes.is_empty() {
                return Err(format!("`{name}` changes nothing"));
            }
            list.planted.push(Planted { name, package, test, changes });
        }
        Ok(list)
    }

    /// Insists that what survived below a folder is what is listed there: no more, and where all mutants were
    /// made, no less.
    pub(super) fn compare(&self, folder: &str, survived: &[String], whole: bool) -> Result<(), String> {
        let mut counted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for mutant in survived {
            counted.entry(without_place(mutant)).or_default().push(mutant);
        }
        let mut wrong = Vec::new();
        for (name, mutants) in &counted {
            let listed = self.survivors.get(name).copied().unwrap_or(0);
            if mutants.len() > listed {
                wrong.push(format!(
                    "survives {} times, {listed} of them argued: {}",
                    mutants.len(),
                    mutants.join("; ")
                ));
            }
        }
        let listed = self.survivors.iter().filter(|(name, _)| whole && name.starts_with(folder));
        for (name, times) in listed {
            let survives = counted.get(name).map_or(0, Vec::len);
            if survives < *times {
                wrong.push(format!(
                    "`{name}` is argued {times} times in {LIST} and survives {survives} times"
                ));
            }
        }
        eprintln!("{folder}: {} survive", survived.len());
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

impl Planted {
    /// The files with the fault, by their names, from those without.
    pub(super) fn plant(
        &self,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<BTreeMap<&str, String>, String> {
        let mut faulty = BTreeMap::new();
        for Change { file, lines, with_fault } in &self.changes {
            let text = faulty.remove(file.as_str()).map_or_else(|| read(file), Ok)?;
            match text.matches(lines).count() {
                1 => faulty.insert(file.as_str(), text.replace(lines, with_fault)),
                times => return Err(format!("{file} holds these lines {times} times, not once:\n{lines}")),
            };
        }
        Ok(faulty)
    }
}

fn rows<'a>(of: &'a toml::Value, name: &str) -> impl Iterator<Item = &'a toml::Value> {
    of.get(name).and_then(toml::Value::as_array).into_iter().flatten()
}

fn word(row: &toml::Value, name: &str) -> Result<String, String> {
    let word = row.get(name).and_then(toml::Value::as_str).map(str::trim_end);
    word.filter(|word| !word.is_empty()).map(str::to_owned).ok_or_else(|| format!("{row}: needs `{name}`"))
}

/// What cargo-mutants calls a mutant, without line and column: `file.rs: replace …`.
fn without_place(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(rest)) => format!("{file}:{rest}"),
        _ => mutant.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURVIVOR: &str = "[[survivor]]\nmutant = 'crates/a/x.rs: replace < with <= in f'\nwhy = 'b'\n";

    #[test]
    fn what_survives_is_what_is_listed_no_more_and_no_less() {
        let list = List::parse(SURVIVOR).unwrap();
        let at = |line: u32| format!("crates/a/x.rs:{line}:7: replace < with <= in f");
        assert_eq!(list.compare("crates/a/", &[at(1)], true), Ok(()));
        assert!(list.compare("crates/a/", &[at(1), at(9)], true).unwrap_err().contains("9:7"));
        assert!(list.compare("crates/a/", &[], true).is_err());
        assert_eq!(list.compare("crates/a/", &[], false), Ok(()));
        assert_eq!(list.compare("crates/b/", &[], true), Ok(()));
        let other = ["crates/a/x.rs:1:7: replace < with == in f".to_owned()];
        assert!(list.compare("crates/a/", &other, false).is_err());
    }

    #[test]
    fn an_argument_is_given_for_each() {
        assert!(List::parse(&SURVIVOR.replace("'b'", "' '")).is_err());
        assert!(List::parse(&format!("{SURVIVOR}{SURVIVOR}")).unwrap_err().contains("twice"));
        assert!(List::parse(&format!("{SURVIVOR}times = 0")).is_err());
    }

    #[test]
    fn a_fault_changes_lines_that_stand_there_once() {
        let fault = "[[planted]]\nname = 'n'\npackage = 'p'\ntest = 't'\n";
        assert!(List::parse(fault).unwrap_err().contains("nothing"));
        let change = "[[planted.change]]\nfile = 'f'\nlines = 'one'\nwith_fault = 'two'\n";
        let list = List::parse(&format!("{fault}{change}")).unwrap();
        let plant = |text: &'static str| list.planted[0].plant(|_| Ok(text.to_owned()));
        assert_eq!(plant("a one b").unwrap(), BTreeMap::from([("f", "a two b".to_owned())]));
        assert!(plant("one one").is_err() && plant("nothing: on").is_err());
    }

    /// The faults can still be planted: the lines that they change are there.
    #[test]
    fn the_planted_faults_fit_the_sources() {
        let workspace = Workspace::load(&crate::workspace::own_root().unwrap()).unwrap();
        let list = List::read(&workspace).unwrap();
        assert_eq!(list.planted.len(), 10);
        for planted in &list.planted {
            let faulty = planted.plant(|file| Ok(workspace.text(file)?.unwrap_or_default()));
            assert!(faulty.is_ok(), "{}: {faulty:?}", planted.name);
        }
    }
}
