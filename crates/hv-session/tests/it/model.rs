//! The file space against a naive one: plain maps, full copies, no sharing.

use crate::support::{Dice, Run, at, content, did, does, path, replay, rounds};
use hv_session::{
    Acl, ConsistencyMode, Content, Did, Expect, FileCommand as F, FileDenial as D, FilePath, Grantee,
    Machine, Quotas, Revision, Right, Rights, SessionConfig, SessionDenial, SnapshotName,
};
use std::collections::BTreeMap;

const AGENTS: u32 = 3;
const QUOTAS: Quotas = Quotas { files: 24, bytes: 400, versions: 5, snapshots: 4 };

#[derive(Debug, Clone, PartialEq)]
struct Copy {
    /// Revision and content; the main one first.
    heads: Vec<(u64, Content)>,
    owner: u32,
    acl: Option<Acl>,
}

#[derive(Debug, Clone)]
struct Gone {
    owner: u32,
    acl: Option<Acl>,
    revision: u64,
}

#[derive(Debug, Clone, Default)]
struct Naive {
    files: BTreeMap<String, Copy>,
    gone: BTreeMap<String, Gone>,
    /// What was replaced: revision, agent, content.
    past: BTreeMap<String, Vec<(u64, Option<Content>)>>,
    snapshots: Vec<(String, u32, BTreeMap<String, Copy>)>,
    revision: u64,
    forgotten: u64,
    taken: u32,
}

/// Why the naive one refuses, by the name of the reason.
type Refusal = &'static str;

impl Naive {
    fn guard(&self, path: &str) -> Option<(u32, Option<Acl>)> {
        if let Some(file) = self.files.get(path) {
            return Some((file.owner, file.acl.clone()));
        }
        let gone = self.gone.get(path)?;
        gone.acl.is_some().then(|| (gone.owner, gone.acl.clone()))
    }

    fn may(&self, agent: u32, path: &str, right: Right) -> bool {
        self.guard(path).is_none_or(|(owner, acl)| permits(owner, acl.as_ref(), agent, right))
    }

    fn bytes(&self) -> u64 {
        self.files.values().flat_map(|f| &f.heads).map(|(_, content)| content.length).sum()
    }

    fn counted(&self) -> usize {
        self.files.len() + self.gone.values().filter(|gone| gone.acl.is_some()).count()
    }

    /// Whether the whole would be within its quotas with this instead.
    fn fits(&self) -> Result<(), Refusal> {
        if self.bytes() > QUOTAS.bytes {
            return Err("Quota");
        }
        if self.counted() > usize::try_from(QUOTAS.files).unwrap() { Err("Quota") } else { Ok(()) }
    }

    fn newest(&self, path: &str) -> u64 {
        match (self.files.get(path), self.gone.get(path)) {
            (Some(file), _) => file.heads.iter().map(|(revision, _)| *revision).max().unwrap(),
            (None, Some(gone)) => gone.revision,
            (None, None) => self.forgotten,
        }
    }

    /// Up to which revision a stale agent had seen; none where it is not stale.
    fn stale(&self, path: &str, expect: Expect) -> Result<Option<u64>, Refusal> {
        let there = self.files.contains_key(path);
        match expect {
            Expect::Any => Ok(None),
            Expect::Present if there => Ok(None),
            Expect::Present => Err("NotFound"),
            Expect::Absent => Ok(there.then_some(0)),
            Expect::Revision(Revision(seen)) if seen > self.revision => Err("UnknownRevision"),
            Expect::Revision(Revision(seen)) => Ok((seen < self.newest(path)).then_some(seen)),
        }
    }

    fn replaced(&mut self, path: &str, entry: (u64, Option<Content>)) {
        let past = self.past.entry(path.to_owned()).or_default();
        past.push(entry);
        if past.len() > usize::try_from(QUOTAS.versions).unwrap() {
            past.remove(0);
        }
    }

    fn bury(&mut self, path: &str) {
        let file = self.files.remove(path).unwrap();
        self.revision += 1;
        for (revision, content) in file.heads {
            self.replaced(path, (revision, Some(content)));
        }
        self.replaced(path, (self.revision, None));
        let gone = Gone { owner: file.owner, acl: file.acl, revision: self.revision };
        self.gone.insert(path.to_owned(), gone);
        self.forget();
    }

    fn forget(&mut self) {
        loop {
            let open = self.gone.iter().filter(|(_, gone)| gone.acl.is_none());
            if open.clone().count() <= usize::try_from(QUOTAS.files).unwrap() {
                return;
            }
            let first = open.min_by_key(|(_, gone)| gone.revision);
            let (path, revision) = first.map(|(path, gone)| (path.clone(), gone.revision)).unwrap();
            self.gone.remove(&path);
            self.past.remove(&path);
            self.forgotten = self.forgotten.max(revision);
        }
    }

    fn begin(&mut self, agent: u32, path: &str, content: Content, old_owner_too: bool) {
        let gone = self.gone.remove(path);
        let kept = gone.filter(|gone| gone.acl.is_some() || old_owner_too);
        let (owner, acl) = kept.map_or((agent, None), |gone| (gone.owner, gone.acl));
        self.revision += 1;
        self.files.insert(path.to_owned(), Copy { heads: vec![(self.revision, content)], owner, acl });
    }

    fn replace(&mut self, path: &str, seen: u64, content: Content) {
        self.revision += 1;
        let new = (self.revision, content);
        let heads = std::mem::take(&mut self.files.get_mut(path).unwrap().heads);
        let main_is_seen = heads[0].0 <= seen;
        let mut kept = Vec::new();
        for (revision, content) in heads {
            if revision <= seen {
                self.replaced(path, (revision, Some(content)));
            } else {
                kept.push((revision, content));
            }
        }
        kept.insert(if main_is_seen { 0 } else { kept.len() }, new);
        self.files.get_mut(path).unwrap().heads = kept;
    }

    fn content_of(&self, path: &str, revision: u64) -> Option<Content> {
        let heads = self.files.get(path).map(|f| f.heads.clone()).unwrap_or_default();
        let past = self.past.get(path).cloned().unwrap_or_default();
        let all = heads.into_iter().map(|(r, c)| (r, Some(c))).chain(past);
        all.into_iter().find(|(r, _)| *r == revision)?.1
    }

    /// Does what the command says, on a copy that counts only where nothing is refused.
    fn run(&mut self, agent: u32, command: &F, mode: ConsistencyMode) -> Result<(), Refusal> {
        let mut next = self.clone();
        next.carry_out(agent, command, mode)?;
        *self = next;
        Ok(())
    }

    fn carry_out(&mut self, agent: u32, command: &F, mode: ConsistencyMode) -> Result<(), Refusal> {
        match command {
            F::Write { path, content, expect } => {
                let path = path.as_str();
                self.permitted(agent, path, Right::Write)?;
                let stale = self.stale(path, *expect)?;
                if mode == ConsistencyMode::Strong && stale.is_some() {
                    return Err(if *expect == Expect::Absent { "AlreadyExists" } else { "Stale" });
                }
                if self.files.contains_key(path) {
                    self.replace(path, stale.unwrap_or(u64::MAX), *content);
                } else {
                    self.begin(agent, path, *content, false);
                }
                self.fits()
            }
            F::Delete { path, expect } => {
                let path = path.as_str();
                self.there(path)?;
                self.permitted(agent, path, Right::Delete)?;
                self.fresh(path, *expect)?;
                self.bury(path);
                Ok(())
            }
            F::Rename { from, to, expect } => {
                let (from, to) = (from.as_str(), to.as_str());
                self.there(from)?;
                self.permitted(agent, from, Right::Delete)?;
                self.fresh(from, *expect)?;
                let file = self.files[from].clone();
                if file.heads.len() > 1 {
                    return Err("Conflicted");
                }
                if self.files.contains_key(to) {
                    return Err("AlreadyExists");
                }
                if self.guard(to).is_some() {
                    return Err("Guarded");
                }
                self.bury(from);
                self.begin(agent, to, file.heads[0].1, false);
                let moved = self.files.get_mut(to).unwrap();
                (moved.owner, moved.acl) = (file.owner, file.acl);
                self.fits()
            }
            F::Restore { path, revision, expect } => {
                let path = path.as_str();
                self.permitted(agent, path, Right::Write)?;
                let content = self.content_of(path, revision.0).ok_or("NoSuchVersion")?;
                self.fresh(path, *expect)?;
                if self.files.contains_key(path) {
                    self.replace(path, u64::MAX, content);
                } else {
                    self.begin(agent, path, content, true);
                }
                self.fits()
            }
            F::SetAcl { path, acl } => {
                let path = path.as_str();
                self.there(path)?;
                let file = self.files.get_mut(path).unwrap();
                if file.owner != agent {
                    let old = file.acl.clone().ok_or("NotOwner")?;
                    let can = |right| permits(file.owner, Some(&old), agent, right);
                    if !can(Right::Share) || !only_adds(&old, acl, &can) {
                        return Err("NotOwner");
                    }
                }
                let known = |who| !matches!(who, Grantee::Member { ordinal } if ordinal >= AGENTS);
                if !acl.rules().iter().all(|rule| known(rule.who)) {
                    return Err("UnknownGrantee");
                }
                file.acl = Some(acl.clone());
                Ok(())
            }
            F::ClearAcl { path } => {
                let path = path.as_str();
                let (owner, acl) = self.guard(path).ok_or("NotFound")?;
                if owner != agent {
                    return Err("NotOwner");
                }
                if acl.is_none() {
                    return Err("NoAcl");
                }
                if let Some(file) = self.files.get_mut(path) {
                    file.acl = None;
                } else {
                    self.gone.get_mut(path).unwrap().acl = None;
                    self.forget();
                }
                Ok(())
            }
            F::TakeSnapshot { name } => {
                if self.snapshots.len() >= usize::try_from(QUOTAS.snapshots).unwrap() {
                    return Err("Quota");
                }
                let name = name.as_ref().map(ToString::to_string);
                let used = |name: &str| self.snapshots.iter().any(|(taken, ..)| taken == name);
                if name.as_deref().is_some_and(used) {
                    return Err("SnapshotExists");
                }
                let number = self.taken + 1;
                let mut free = format!("snap-{number}");
                let mut nth = 2;
                while used(&free) {
                    free = format!("snap-{number}.{nth}");
                    nth += 1;
                }
                self.snapshots.push((name.unwrap_or(free), agent, self.files.clone()));
                self.taken = number;
                Ok(())
            }
            F::RollBack { snapshot } => self.roll_back(agent, snapshot.as_str()),
            F::DropSnapshot { snapshot } => {
                let found = self.snapshots.iter().position(|(name, ..)| name == snapshot.as_str());
                let found = found.ok_or("NoSuchSnapshot")?;
                if self.snapshots[found].1 != agent {
                    return Err("NotYourSnapshot");
                }
                self.snapshots.remove(found);
                Ok(())
            }
        }
    }

    fn roll_back(&mut self, agent: u32, name: &str) -> Result<(), Refusal> {
        let snapshot = self.snapshots.iter().find(|(taken, ..)| taken == name).ok_or("NoSuchSnapshot")?;
        let then = snapshot.2.clone();
        let mut paths: Vec<String> = self.files.keys().chain(then.keys()).cloned().collect();
        paths.sort();
        paths.dedup();
        let contents = |file: &Copy| file.heads.iter().map(|(_, content)| *content).collect::<Vec<_>>();
        // First everything that must be allowed, path by path, then what it comes to.
        for path in &paths {
            let (now, then) = (self.files.get(path), then.get(path));
            let Some(then) = then else {
                self.permitted(agent, path, Right::Delete)?;
                continue;
            };
            let guard = self.guard(path);
            let same = now.is_some_and(|now| contents(now) == contents(then));
            if !same {
                self.permitted(agent, path, Right::Write)?;
                if !permits(then.owner, then.acl.as_ref(), agent, Right::Write) {
                    return Err("Forbidden");
                }
            }
            if let Some((owner, acl)) = guard {
                let list_matters = acl.is_some() || then.acl.is_some();
                let changes = (owner, &acl) != (then.owner, &then.acl);
                if changes && list_matters && owner != agent {
                    return Err("NotOwner");
                }
            }
        }
        for path in &paths {
            let now = self.files.get(path).cloned();
            match (now, then.get(path)) {
                (Some(now), Some(then)) if contents(&now) == contents(then) => {
                    let file = self.files.get_mut(path).unwrap();
                    (file.owner, file.acl) = (then.owner, then.acl.clone());
                }
                (now, Some(then)) => {
                    for (revision, content) in now.into_iter().flat_map(|now| now.heads) {
                        self.replaced(path, (revision, Some(content)));
                    }
                    self.gone.remove(path);
                    let mut copy = then.clone();
                    for head in &mut copy.heads {
                        self.revision += 1;
                        head.0 = self.revision;
                    }
                    self.files.insert(path.clone(), copy);
                }
                (Some(_), None) => self.bury(path),
                (None, None) => {}
            }
        }
        // INVARIANT (V2), by the naive copy.
        let state = |files: &BTreeMap<String, Copy>| {
            let file = |f: &Copy| (contents(f), f.owner, f.acl.clone());
            files.iter().map(|(path, f)| (path.clone(), file(f))).collect::<Vec<_>>()
        };
        assert_eq!(state(&self.files), state(&then));
        self.fits()
    }

    fn there(&self, path: &str) -> Result<(), Refusal> {
        if self.files.contains_key(path) { Ok(()) } else { Err("NotFound") }
    }

    fn permitted(&self, agent: u32, path: &str, right: Right) -> Result<(), Refusal> {
        if self.may(agent, path, right) { Ok(()) } else { Err("Forbidden") }
    }

    fn fresh(&self, path: &str, expect: Expect) -> Result<(), Refusal> {
        match self.stale(path, expect)? {
            None => Ok(()),
            Some(_) if expect == Expect::Absent => Err("AlreadyExists"),
            Some(_) => Err("Stale"),
        }
    }
}

fn permits(owner: u32, acl: Option<&Acl>, agent: u32, right: Right) -> bool {
    let Some(acl) = acl else { return owner == agent || right != Right::Share };
    let about = |who| who == Grantee::Everyone || who == Grantee::Member { ordinal: agent };
    let rules = || acl.rules().iter().filter(|rule| about(rule.who));
    let allowed = rules().any(|rule| rule.allow.has(right));
    owner == agent || (allowed && !rules().any(|rule| rule.deny.has(right)))
}

fn only_adds(old: &Acl, new: &Acl, can: &dyn Fn(Right) -> bool) -> bool {
    let told = |acl: &Acl, who, right| {
        let rule = acl.rules().iter().find(|rule| rule.who == who);
        rule.map_or((false, false), |rule| (rule.allow.has(right), rule.deny.has(right)))
    };
    let everybody = [Grantee::Everyone].into_iter().chain((0..9).map(|ordinal| Grantee::Member { ordinal }));
    everybody.flat_map(|who| RIGHTS.map(|(right, _)| (who, right))).all(|(who, right)| {
        let ((old_allow, old_deny), (new_allow, new_deny)) = (told(old, who, right), told(new, who, right));
        old_deny == new_deny && (old_allow == new_allow || (new_allow && can(right)))
    })
}

const RIGHTS: [(Right, Rights); 4] = [
    (Right::Read, Rights::READ),
    (Right::Write, Rights::WRITE),
    (Right::Delete, Rights::DELETE),
    (Right::Share, Rights::SHARE),
];

const fn reason(denial: &D) -> Refusal {
    match denial {
        D::NotFound { .. } => "NotFound",
        D::AlreadyExists { .. } => "AlreadyExists",
        D::Stale { .. } => "Stale",
        D::UnknownRevision { .. } => "UnknownRevision",
        D::NoSuchVersion { .. } => "NoSuchVersion",
        D::Forbidden { .. } => "Forbidden",
        D::NotOwner { .. } => "NotOwner",
        D::NoAcl { .. } => "NoAcl",
        D::TooManyRules { .. } => "TooManyRules",
        D::UnknownGrantee { .. } => "UnknownGrantee",
        D::Guarded { .. } => "Guarded",
        D::Conflicted { .. } => "Conflicted",
        D::Quota { .. } => "Quota",
        D::NoSuchSnapshot { .. } => "NoSuchSnapshot",
        D::SnapshotExists { .. } => "SnapshotExists",
        D::NotYourSnapshot { .. } => "NotYourSnapshot",
    }
}

/// A command that has a fair chance to go through.
pub(crate) fn any_command(dice: &mut Dice, paths: &[FilePath], newest: u64) -> F {
    let path = dice.pick(paths).clone();
    let recent = |dice: &mut Dice| Revision((newest + 1).saturating_sub(dice.below(12)));
    let expect = match dice.below(6) {
        0 => Expect::Absent,
        1 => Expect::Present,
        2 | 3 => Expect::Revision(recent(dice)),
        _ => Expect::Any,
    };
    let names = ["snap-1", "snap-9", "one", "two", "three"].map(|name| SnapshotName::new(name).unwrap());
    let name = dice.pick(&names).clone();
    match dice.below(32) {
        0..=15 => F::Write { path, content: content(dice.below(40), dice.below(30)), expect },
        16..=19 => F::Delete { path, expect },
        20..=22 => F::Rename { from: path, to: dice.pick(paths).clone(), expect },
        23..=25 => F::Restore { path, revision: recent(dice), expect },
        26 | 27 => F::SetAcl { path, acl: any_acl(dice) },
        28 => F::ClearAcl { path },
        29 => F::TakeSnapshot { name: (dice.below(2) == 0).then_some(name) },
        30 => F::RollBack { snapshot: name },
        _ => F::DropSnapshot { snapshot: name },
    }
}

fn any_acl(dice: &mut Dice) -> Acl {
    let mut acl = Acl::closed();
    for _ in 0..dice.below(6) {
        let ordinal = u32::try_from(dice.below(4)).unwrap();
        let who = if ordinal == 3 { Grantee::Everyone } else { Grantee::Member { ordinal } };
        let who = if dice.below(60) == 0 { Grantee::Member { ordinal: 8 } } else { who };
        let rights = dice.pick(&RIGHTS).1;
        acl = if dice.below(4) == 0 { acl.deny(who, rights) } else { acl.allow(who, rights) };
    }
    acl
}

pub(crate) fn paths() -> Vec<FilePath> {
    (0..40).map(|n| path(&format!("d{}/f{n}", n % 3))).collect()
}

pub(crate) fn fresh(mode: ConsistencyMode) -> Run {
    Run::active(SessionConfig::default().with_mode(mode).with_quotas(QUOTAS), AGENTS)
}

fn same(run: &Run, naive: &Naive, paths: &[FilePath], dids: &[Did]) {
    let files = run.session.files();
    let copy = |f: &hv_session::File| Copy {
        heads: f.heads().map(|head| (head.stamp.revision.0, head.content)).collect(),
        owner: f.owner(),
        acl: f.acl().cloned(),
    };
    assert!(files.list().map(|(path, f)| (path.to_string(), copy(f))).eq(naive.files.clone()));
    assert_eq!((files.bytes(), files.revision().0), (naive.bytes(), naive.revision));
    let then = |s: &hv_session::Snapshot| {
        s.iter().map(|(p, f)| (p.to_string(), copy(f))).collect::<BTreeMap<_, _>>()
    };
    let snapshots = files.snapshots().iter().map(|s| (s.name().to_string(), s.agent(), then(s)));
    assert!(snapshots.eq(naive.snapshots.clone()));
    for path in paths {
        let heads = naive.files.get(path.as_str()).map(|f| f.heads.clone()).unwrap_or_default();
        let mut history = naive.past.get(path.as_str()).cloned().unwrap_or_default();
        history.extend(heads.into_iter().map(|(revision, content)| (revision, Some(content))));
        history.sort_by_key(|(revision, _)| *revision);
        let told = files.history(path);
        assert!(told.iter().map(|h| (h.stamp.revision.0, h.content)).eq(history), "{path}");
        for (agent, did) in (0..).zip(dids) {
            let read = run.session.read(did, path);
            assert_eq!(read.is_ok(), naive.may(agent, path.as_str(), Right::Read));
            assert!(read.is_err() || read.unwrap().is_some() == naive.files.contains_key(path.as_str()));
        }
    }
}

#[test]
fn v2_the_file_space_does_what_a_naive_one_does() {
    let (paths, dids) = (paths(), (0..AGENTS).map(did).collect::<Vec<_>>());
    for (seed, mode) in [(1, ConsistencyMode::Strong), (2, ConsistencyMode::Eventual)] {
        let (mut run, mut naive, mut dice) = (fresh(mode), Naive::default(), Dice(seed));
        let mut seen: BTreeMap<Refusal, usize> = BTreeMap::new();
        for round in 0..rounds(5_000, 500_000) {
            let agent = u32::try_from(dice.below(u64::from(AGENTS))).unwrap();
            let command = any_command(&mut dice, &paths, naive.revision);
            let expected = naive.run(agent, &command, mode);
            let got = match run.run(&does(agent, command.clone()), at(5)) {
                Ok(()) => Ok(()),
                Err(SessionDenial::File(denial)) => Err(reason(&denial)),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(got, expected, "{mode}, {round}: agent {agent}, {command:?}");
            *seen.entry(got.err().unwrap_or("done")).or_default() += 1;
            run.log.clear();
            if round % 50 == 0 {
                same(&run, &naive, &paths, &dids);
            }
            if round % 500 == 0 {
                assert!(replay(&run.session.compact()).as_ref() == Ok(&run.session), "{mode}, {round}");
            }
        }
        same(&run, &naive, &paths, &dids);
        // Every reason for a refusal was met, so that none is only believed to agree.
        let mut reasons = vec![
            "done",
            "NotFound",
            "UnknownRevision",
            "NoSuchVersion",
            "Forbidden",
            "NotOwner",
            "NoAcl",
            "Quota",
            "UnknownGrantee",
            "Guarded",
            "NoSuchSnapshot",
            "SnapshotExists",
            "NotYourSnapshot",
            "AlreadyExists",
            "Stale",
        ];
        reasons.extend((mode == ConsistencyMode::Eventual).then_some("Conflicted"));
        for reason in reasons {
            assert!(seen.contains_key(reason), "{mode}: {reason} never came; {seen:?}");
        }
    }
}
