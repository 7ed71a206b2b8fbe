//! Charges: what a finding leads to where the accused has time to contest it.
//!
//! Where a node is configured with a grace period, what would slash an agent at once charges it instead. It stands
//! quarantined and the bonds of the session are held, until somebody contests the charge and a witness's word drops or
//! upholds it, or until the grace period is over: then the first thing that is asked of the node carries it out.

use crate::authority::NodeConfig;
use crate::consequence::{self, Struck};
use crate::error::{Error, Reason};
use crate::event::LedgerEvent;
use crate::hypervisor::Hypervisor;
use crate::node::Draft;
use crate::state::State;
use hv_liability::{Command, Denial, SlashOrder, SlashReason, Standing, VouchPolicy};
use hv_types::{Did, Digest, Machine, Timestamp};
use std::fmt;

/// By which numbers a node's ledger goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vouching {
    /// hv's own: [`VouchPolicy::default`].
    #[default]
    Collateral,
    /// Those of the Python package agent-hypervisor, for comparison: [`VouchPolicy::reference`].
    Reference,
}

hv_types::wire_enum!(Vouching { 0 => Collateral {}, 1 => Reference {} });

impl Vouching {
    /// As it is written in files and shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collateral => "collateral",
            Self::Reference => "reference",
        }
    }

    /// The numbers.
    #[must_use]
    pub fn policy(self) -> VouchPolicy {
        match self {
            Self::Collateral => VouchPolicy::default(),
            Self::Reference => VouchPolicy::reference(),
        }
    }
}

impl fmt::Display for Vouching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A charge that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Digest of the evidence that it rests on; it is called by that.
    pub evidence: Digest,
    /// Who is charged.
    pub about: Did,
    /// With what.
    pub reason: SlashReason,
    /// When it is carried out, unless it is contested.
    pub until: Timestamp,
    /// Whether it is contested, and waits for a ruling however long that takes.
    pub contested: bool,
}

/// So many charges are carried out in one record; the others with what is asked next.
pub(crate) const TOGETHER: usize = 16;

impl Hypervisor {
    /// The charges that are open, by their evidence. Costs time in proportion to them.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn charges(&self) -> Result<Vec<Charge>, Error> {
        self.node().look(|state| {
            let charge = |case: &hv_liability::Case| {
                Some(Charge {
                    evidence: case.offence.evidence,
                    about: state.ledger.did(case.offence.agent)?.clone(),
                    reason: case.offence.reason,
                    until: case.until,
                    contested: case.standing == Standing::Disputed,
                })
            };
            state.ledger.cases().filter_map(charge).collect()
        })
    }

    /// When the next charge is carried out unless it is contested before, for a timer that then calls
    /// [`carry_out_charges`](Self::carry_out_charges). Whatever is asked of the node from then on does so too.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn next_charge(&self) -> Result<Option<Timestamp>, Error> {
        self.node().look(|state| state.ledger.next_ripe())
    }

    /// Carries out the charges whose grace period is over, 16 at most, where nobody has contested them.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn carry_out_charges(&self) -> Result<(), Error> {
        // What has come due goes before whatever is decided, and nothing else is to be.
        self.node().commit(|_, _| Ok((Draft::default(), ()))).await
    }
}

/// That somebody is quarantined, and by what; nothing where it is not.
pub(crate) fn quarantined(state: &State, did: &Did, now: Timestamp) -> Option<Reason> {
    state.ledger.quarantined(did, now)?;
    Some(match is_charged(state, did, now) {
        true => Reason::Charged(did.clone()),
        false => Reason::Quarantined(did.clone()),
    })
}

/// Whether somebody is quarantined by charges alone: then a ruling ends that, and rehabilitation does not.
pub(crate) fn is_charged(state: &State, did: &Did, now: Timestamp) -> bool {
    state.ledger.quarantined(did, now) == Some(hv_liability::Quarantine::Charged)
}

/// What an order to slash comes to here: at once, or a charge.
pub(crate) fn ordered(state: &State, order: SlashOrder) -> Command {
    match state.authority.config().and_then(NodeConfig::grace) {
        Some(_) => Command::Charge(order),
        None => Command::Slash(order),
    }
}

/// What sets the ledger to what a configuration says; nothing where it is set so.
pub(crate) fn configured(
    state: &State,
    config: &NodeConfig,
    now: Timestamp,
) -> Result<Vec<LedgerEvent>, Denial> {
    let policy = config.policy();
    if policy == *state.ledger.policy() {
        return Ok(Vec::new());
    }
    state.ledger.decide(&Command::Configure(policy), now)
}

/// What a ruling on a charge comes to.
pub(crate) fn ruled(state: &State, ruling: &Command, now: Timestamp) -> Result<Struck, Denial> {
    let ledger = state.ledger.decide(ruling, now)?;
    let sessions = consequence::of_verdicts(state, &ledger, now);
    Ok(Struck { ledger, sessions })
}

/// What the charges come to whose grace period is over.
pub(crate) fn ripe(state: &State, now: Timestamp) -> Draft {
    let mut after = state.ledger.clone();
    let mut ledger = Vec::new();
    for case in state.ledger.ripe(now).take(TOGETHER) {
        let Ok(events) = after.decide(&Command::Uphold { evidence: case.offence.evidence }, now) else {
            continue;
        };
        if events.iter().try_for_each(|event| after.apply(event)).is_err() {
            break;
        }
        ledger.extend(events);
    }
    let sessions = consequence::of_verdicts(state, &ledger, now);
    Draft::default().ledger(ledger).also(sessions)
}
