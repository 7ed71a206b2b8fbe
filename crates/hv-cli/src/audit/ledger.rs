//! The trust of a trail, as of now, and how it came about: read as any stranger would, without the writer's lock.

use super::look;
use super::names::Names;
use super::told::Told;
use super::words::tell;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Lsn, StreamNo, Verdict, verify_on};
use hv_core::event::{KillTarget, LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use hv_core::liability::{Ledger, Machine, SessionNo};
use hv_core::rings::elevation::Elevation;
use hv_core::types::{Did, Ring, SessionId, Timestamp};
use hv_core::{TrailEvent, TrailRecord, read_record};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why there is no trust to show.
#[derive(Debug)]
pub(crate) enum NoLedger {
    /// There is no trail, or it cannot be read.
    NoTrail {
        /// The folder.
        data: PathBuf,
        /// Why.
        why: String,
    },
    /// The trail was tampered with, so nothing is said on its word.
    Tampered {
        /// The folder.
        data: PathBuf,
        /// Where and how.
        finding: String,
    },
}

impl fmt::Display for NoLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrail { data, why } => write!(f, "{}: {why}", data.display()),
            Self::Tampered { data, finding } => {
                write!(f, "{}: the trail is tampered with: {finding}", data.display())
            }
        }
    }
}

/// What a trail says about trust.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) ledger: Ledger,
    /// The sessions, by the number of their stream; those that have ended too.
    pub(crate) sessions: BTreeMap<SessionNo, Named>,
    /// Elevations that did not end before their time, by session and agent.
    pub(crate) elevations: BTreeMap<(SessionNo, Did), Elevation>,
    /// What happened to it, in order.
    pub(crate) history: Vec<Happened>,
}

/// A session of the trail.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) open: bool,
}

/// One thing that happened to the ledger.
#[derive(Debug, Serialize)]
pub(crate) struct Happened {
    pub(crate) lsn: u64,
    pub(crate) time: Timestamp,
    #[serde(flatten)]
    told: Told,
}

impl Happened {
    /// What happened, for people.
    pub(crate) fn words(&self) -> &str {
        self.told.words()
    }

    /// Whether a field of it is this text.
    pub(crate) fn names_text(&self, text: &str) -> bool {
        self.told.names(text)
    }

    /// Whether it speaks of an agent.
    pub(crate) fn names(&self, agent: &Did) -> bool {
        self.told.names(agent.as_str())
    }
}

impl Trust {
    /// Reads a trail to its end. Costs time in proportion to the trail.
    pub(crate) fn read(data: &Path) -> Result<Self, NoLedger> {
        let no_trail = |why: String| NoLedger::NoTrail { data: data.to_owned(), why };
        look(data).map_err(|no| no_trail(no.to_string()))?;
        let mut trust = Self::default();
        let mut names = Names::default();
        let mut broken = None;
        let report = verify_on(&RealDisk, data, &mut |entry| {
            names.enter(&entry);
            let record = match read_record(&entry) {
                Ok(record) => record,
                Err(why) => {
                    broken.get_or_insert(why.to_string());
                    return;
                }
            };
            names.learn(&record);
            trust.elevated(&names, &record);
            let told = (record.stream == StreamNo::LEDGER).then(|| tell(&names, &record));
            for event in &record.events {
                if let Err(why) = trust.take(event) {
                    broken.get_or_insert(why);
                }
            }
            let Lsn(lsn) = record.lsn;
            let happened = told.into_iter().flatten().map(|told| Happened { lsn, time: record.time, told });
            trust.history.extend(happened);
        });
        let report = report.map_err(|error| no_trail(error.to_string()))?;
        match (report.verdict, broken) {
            (Verdict::Tampered(finding), _) => {
                Err(NoLedger::Tampered { data: data.to_owned(), finding: finding.to_string() })
            }
            (_, Some(why)) => Err(no_trail(why)),
            _ => Ok(trust),
        }
    }

    fn take(&mut self, event: &TrailEvent) -> Result<(), String> {
        match event {
            TrailEvent::Opened { stream, label, .. } => {
                let named = Named { id: label.clone(), open: true };
                self.sessions.insert(SessionNo(stream.0), named);
            }
            TrailEvent::Closed { stream, .. } => {
                if let Some(named) = self.sessions.get_mut(&SessionNo(stream.0)) {
                    named.open = false;
                }
            }
            TrailEvent::Ledger(event) => self.apply(event)?,
            _ => {}
        }
        Ok(())
    }

    /// What begins an elevation, and what ends it before its time.
    fn elevated(&mut self, names: &Names, record: &TrailRecord) {
        let session = SessionNo(record.stream.0);
        for event in &record.events {
            let member = match event {
                TrailEvent::Closed { stream, .. } => {
                    self.elevations.retain(|(of, _), _| of.0 != stream.0);
                    continue;
                }
                TrailEvent::Node(NodeEvent::Killed { target, .. }) => {
                    let sessions = &self.sessions;
                    let named = |no: &SessionNo, id: &SessionId| {
                        sessions.get(no).is_some_and(|named| named.id == id.as_str())
                    };
                    self.elevations.retain(|(of, agent), _| match target {
                        KillTarget::All {} => false,
                        KillTarget::Session { id } => !named(of, id),
                        KillTarget::Agent { did } => agent != did,
                        KillTarget::Action { .. } => true,
                    });
                    continue;
                }
                TrailEvent::Session(event) => match &**event {
                    SessionEvent::Elevated { elevation, .. } => {
                        let agent = elevation.request().agent().clone();
                        self.elevations.insert((session, agent), (**elevation).clone());
                        continue;
                    }
                    SessionEvent::Session {
                        event: MembershipEvent::Left { member } | MembershipEvent::Evicted { member, .. },
                    }
                    | SessionEvent::Assessed { member, ring: Ring::Sandbox, .. } => *member,
                    _ => continue,
                },
                _ => continue,
            };
            let gone = names.member(record.stream, member).to_string();
            self.elevations.retain(|(of, agent), _| *of != session || agent.as_str() != gone);
        }
    }

    fn apply(&mut self, event: &LedgerEvent) -> Result<(), String> {
        self.ledger.apply(event).map_err(|illegal| illegal.to_string())
    }

    /// The name of a session.
    pub(crate) fn session(&self, no: SessionNo) -> String {
        self.sessions.get(&no).map_or_else(|| format!("session {no}"), |named| named.id.clone())
    }
}
