//! What the ports of a session have said so far, as far as it counts.

use super::record::{DriftRecord, DriftVerdict, PortsOn};
use hv_integrations::drift::{Hysteresis, Indeterminate, Response, Verdict, Watch};
use hv_integrations::trust::Severity;
use hv_types::wire::Reader;
use hv_types::{Illegal, Timestamp, Undecodable, Wire};
use std::collections::{BTreeMap, VecDeque};

/// What the ports of one session said. Bounded by its members.
#[derive(Debug, Default)]
pub(crate) struct Adapted {
    on: PortsOn,
    /// By ordinal of the member.
    watches: BTreeMap<u32, Watched>,
    /// Who was slashed by the record that is being applied, and how bad its drift was.
    slashed: Option<(u32, Severity)>,
}

#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    /// Whether each of the last samples was bad, and when it was taken; as many as count.
    samples: VecDeque<(bool, Timestamp)>,
}

hv_types::wire_struct!(Adapted { on, watches, slashed });
crate::seldom::blank!(Adapted, Adapted { on: PortsOn::NONE, watches: BTreeMap::new(), slashed: None });

/// As a snapshot keeps it.
impl Wire for Watched {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { watch, samples } = self;
        watch.put(out);
        samples.iter().copied().collect::<Vec<_>>().put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(Self { watch: Wire::take(reader)?, samples: Vec::take(reader)?.into() })
    }
}

impl Adapted {
    pub(crate) const fn on(&self) -> &PortsOn {
        &self.on
    }

    pub(crate) const fn scored(&self) -> bool {
        self.on.trust.is_some()
    }

    pub(crate) fn set(&mut self, on: &PortsOn) {
        self.on = on.clone();
    }

    /// Whether a member was demoted because of its drift.
    pub(crate) fn drifted(&self, member: u32) -> bool {
        self.watches.get(&member).is_some_and(|watched| watched.watch.demoted())
    }

    /// What the samples of a member would call for with this one.
    pub(crate) fn response(&self, member: u32, verdict: &DriftVerdict) -> Option<Response> {
        let (_, rule) = self.on.drift.as_ref()?;
        let mut watch = self.watches.get(&member).map(|watched| watched.watch).unwrap_or_default();
        Some(watch.observe(&told(verdict), *rule))
    }

    /// Who was slashed by the record that is being applied; told once.
    pub(crate) const fn take_slashed(&mut self) -> Option<(u32, Severity)> {
        self.slashed.take()
    }

    /// When the earliest of the samples was taken that called for a slash.
    pub(crate) fn since(&self, member: u32, now: Timestamp) -> Timestamp {
        let bad = self.watches.get(&member).and_then(|watched| watched.samples.iter().find(|(bad, _)| *bad));
        bad.map_or(now, |(_, at)| *at)
    }

    pub(crate) fn checked(&mut self, member: u32, record: &DriftRecord) -> Result<(), Illegal> {
        let Some((_, rule)) = &self.on.drift else {
            return Err(Illegal::new("only a session with a verifier has drift checks"));
        };
        let watched = self.watches.entry(member).or_default();
        let verdict = told(&record.verdict);
        if watched.watch.observe(&verdict, *rule) != record.response {
            return Err(Illegal::new("a drift check calls for what its samples call for"));
        }
        if record.response == Response::Slash {
            if let DriftVerdict::Drifted { severity, .. } = record.verdict {
                self.slashed = Some((member, severity));
            }
            watched.samples.clear();
        } else {
            watched.samples.push_back((verdict.should_slash(), record.at));
            if watched.samples.len() > window(*rule) {
                watched.samples.pop_front();
            }
        }
        Ok(())
    }
}

/// Samples before the one that is being taken that can still count.
fn window(rule: Hysteresis) -> usize {
    usize::try_from(rule.window.clamp(1, hv_integrations::drift::WINDOW_MAX)).unwrap_or(1) - 1
}

/// A verdict in the words of whoever counts samples; why a check tells nothing does not count.
fn told(verdict: &DriftVerdict) -> Verdict {
    match verdict {
        DriftVerdict::Aligned { .. } => Verdict::Aligned,
        DriftVerdict::Drifted { severity, .. } => Verdict::Drifted(*severity),
        DriftVerdict::Indeterminate { .. } => Verdict::Indeterminate(Indeterminate::NotBelieved),
    }
}
