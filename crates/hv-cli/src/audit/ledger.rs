//! The trust of a trail, as of now, and how it came about: read as any stranger would, without the writer's lock.

use super::names::Names;
use super::told::Told;
use super::words::tell;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Lsn, StreamNo, Verdict, verify_on};
use hv_core::event::LedgerEvent;
use hv_core::liability::{Ledger, Machine, SessionNo};
use hv_core::types::{Did, Timestamp};
use hv_core::{TrailEvent, read_record};
use serde::Serialize;
use std::collections::BTreeMap;
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

/// What a trail says about trust.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) ledger: Ledger,
    /// The sessions, by the number of their stream; those that have ended too.
    pub(crate) sessions: BTreeMap<SessionNo, Named>,
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
        let no_trail = |why: String| NoLedger::NoTrail { data: data.to_owned(), why };
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

    fn apply(&mut self, event: &LedgerEvent) -> Result<(), String> {
        self.ledger.apply(event).map_err(|illegal| illegal.to_string())
    }

    /// The name of a session.
    pub(crate) fn session(&self, no: SessionNo) -> String {
        self.sessions.get(&no).map_or_else(|| format!("session {no}"), |named| named.id.clone())
    }
}
