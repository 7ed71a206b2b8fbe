//! Trust: who has which reputation, who vouches for whom, and who lost what.

use super::super::told::{Told, json, list, object, seconds};
use super::{Scene, short};
use hv_core::event::LedgerEvent as Event;
use hv_core::liability::{
    AccountKept, BondKept, BondNo, Case, Cause, Cut, Loss, Offence, SlashRule, Slashed, Standing, Verdict,
    VouchPolicy, Weights,
};
use hv_core::types::{Digest, Reversibility, Timestamp};
use serde_json::Value;

impl Scene<'_> {
    pub(super) fn ledger(&self, event: &Event) -> Told {
        match event {
            Event::Configured { policy } => {
                let words = format!("the policy is set: {}", policy_words(policy));
                Told::new("ledger.configured", words).with("policy", policy_fields(policy))
            }
            Event::Opened { agent, did, sigma, source } => {
                let words = format!("{did} has an account with reputation {sigma} ({})", source.name());
                Told::new("ledger.opened", words)
                    .with("account", agent.0)
                    .with("agent", did)
                    .with("sigma", sigma)
                    .with("source", source.name())
            }
            Event::Endowed { agent, added, source } => {
                let agent = self.account(*agent);
                Told::new("ledger.endowed", format!("{agent} is given {added} ({})", source.name()))
                    .with("agent", agent)
                    .with("added", added)
                    .with("source", source.name())
            }
            Event::Vouched { bond, session, voucher, vouchee, amount, at, expires } => {
                let (voucher, vouchee) = (self.account(*voucher), self.account(*vouchee));
                let session = self.session_of(*session);
                let until = expires.map(|expires| format!(" until {expires}")).unwrap_or_default();
                let words = format!(
                    "{voucher} vouches for {vouchee} in {session} with {amount}{until} (bond {bond})"
                );
                Told::new("ledger.vouched", words)
                    .with("bond", bond.to_string())
                    .with("session", session)
                    .with("voucher", voucher)
                    .with("vouchee", vouchee)
                    .with("amount", amount)
                    .with("expires", expires)
                    .with("at", at)
            }
            Event::Released { bond, at } => {
                Told::new("ledger.released", format!("{} is released", self.bond_words(*bond)))
                    .with("bond", bond.to_string())
                    .with("at", at)
            }
            Event::SessionReleased { session, at } => {
                let session = self.session_of(*session);
                Told::new("ledger.session_released", format!("the bonds of {session} are released"))
                    .with("session", session)
                    .with("at", at)
            }
            Event::Slashed { slashed } => self.slashed(slashed),
            Event::Elapsed { at } => {
                Told::new("ledger.elapsed", format!("what was due up to {at} took effect")).with("at", at)
            }
            Event::Earned { agent, amount, at } => {
                let agent = self.account(*agent);
                Told::new("ledger.earned", format!("{agent} earns {amount}"))
                    .with("agent", agent)
                    .with("amount", amount)
                    .with("at", at)
            }
            Event::Decayed { agent, amount, at } => {
                let agent = self.account(*agent);
                Told::new("ledger.decayed", format!("{agent} loses {amount} by how its work went"))
                    .with("agent", agent)
                    .with("amount", amount)
                    .with("at", at)
            }
            Event::Quarantined { agent, until } => {
                let (agent, end) = (self.account(*agent), Some(*until).filter(|at| *at < Timestamp::MAX));
                let words = match end {
                    Some(end) => format!("{agent} is quarantined until {end}"),
                    None => format!("{agent} is quarantined until it is rehabilitated"),
                };
                Told::new("ledger.quarantined", words).with("agent", agent).with("until", end)
            }
            Event::Rehabilitated { agent, added } => {
                let agent = self.account(*agent);
                Told::new("ledger.rehabilitated", format!("{agent} is rehabilitated and given {added}"))
                    .with("agent", agent)
                    .with("added", added)
            }
            Event::Charged { offence, at, until } => {
                let words = format!(
                    "{} is charged ({}); the charge can be carried out from {until} on unless it is disputed",
                    self.account(offence.agent),
                    self.offence_words(offence)
                );
                Told::new("ledger.charged", words)
                    .with("offence", self.offence_fields(offence))
                    .with("until", until)
                    .with("at", at)
            }
            Event::Disputed { evidence } => about_charge("ledger.disputed", evidence, "is disputed"),
            Event::Dismissed { evidence, at } => {
                about_charge("ledger.dismissed", evidence, "is dropped").with("at", at)
            }
            Event::Restoring { policy, clock, totals } => row("begin", "it begins")
                .with("policy", policy_fields(policy))
                .with("clock", clock)
                .with("endowed_ppm", totals.endowed)
                .with("earned_ppm", totals.earned)
                .with("decayed_ppm", totals.decayed)
                .with("burned_ppm", totals.burned),
            Event::AccountKept { account } => account_row(account),
            Event::BondKept { bond } => self.bond_row(bond),
            Event::SlotKept { bond } => {
                row("slot", &format!("the next bond in its place is {bond}")).with("bond", bond.to_string())
            }
            Event::VerdictKept { evidence, verdict } => {
                let verdict = match verdict {
                    Verdict::Slashed => "slashed",
                    Verdict::Dismissed => "dismissed",
                };
                row("verdict", &format!("evidence {} was used: {verdict}", short(evidence)))
                    .with("evidence", evidence)
                    .with("verdict", verdict)
            }
            Event::CaseKept { case } => self.case_row(case),
            Event::Restored {} => row("end", "it ends"),
        }
    }

    fn slashed(&self, Slashed { offence, at, toll }: &Slashed) -> Told {
        let mut words =
            format!("{} is slashed ({})", self.account(offence.agent), self.offence_words(offence));
        for Loss { agent, amount } in &toll.losses {
            words.push_str(&format!("; {} loses {amount}", self.account(*agent)));
        }
        for Cut { bond, voucher, vouchee, burned, cause } in &toll.cuts {
            let (voucher, vouchee) = (self.account(*voucher), self.account(*vouchee));
            let why = match cause {
                Cause::Backed { depth: 0 } => "it backed the offender".to_owned(),
                Cause::Backed { depth } => {
                    format!("it backed a voucher that fell, {depth} away from the offender")
                }
                Cause::Uncovered => "its voucher is worth no more".to_owned(),
            };
            words.push_str(&format!("; bond {bond} of {voucher} for {vouchee} burns {burned}: {why}"));
        }
        for fallen in &toll.fallen {
            words.push_str(&format!("; {} is left with too little to vouch", self.account(*fallen)));
        }
        let losses = list(&toll.losses, |loss| {
            object([("agent", json(self.account(loss.agent))), ("amount", json(loss.amount))])
        });
        let cuts = list(&toll.cuts, |cut| {
            let (cause, depth) = match cut.cause {
                Cause::Backed { depth } => ("backed", Some(depth)),
                Cause::Uncovered => ("uncovered", None),
            };
            object([
                ("bond", json(cut.bond.to_string())),
                ("voucher", json(self.account(cut.voucher))),
                ("vouchee", json(self.account(cut.vouchee))),
                ("burned", json(cut.burned)),
                ("cause", json(cause)),
                ("depth", json(depth)),
            ])
        });
        Told::new("ledger.slashed", words)
            .with("offence", self.offence_fields(offence))
            .with("losses", losses)
            .with("cuts", cuts)
            .with("fallen", list(&toll.fallen, |agent| json(self.account(*agent))))
            .with("at", at)
    }

    fn bond_row(&self, kept: &BondKept) -> Told {
        let BondKept { bond, session, voucher, vouchee, initial, remaining, since, released, ends } = kept;
        row("bond", &self.bond_words(*bond))
            .with("bond", bond.to_string())
            .with("session", self.session_of(*session))
            .with("voucher", self.account(*voucher))
            .with("vouchee", self.account(*vouchee))
            .with("initial", initial)
            .with("remaining", remaining)
            .with("since", since)
            .with("released", released)
            .with("ends", ends)
    }

    fn case_row(&self, Case { offence, until, standing }: &Case) -> Told {
        let standing = match standing {
            Standing::Uncontested => "uncontested",
            Standing::Disputed => "disputed",
        };
        let (agent, what) = (self.account(offence.agent), self.offence_words(offence));
        row("case", &format!("{agent} is charged ({what}), {standing}"))
            .with("offence", self.offence_fields(offence))
            .with("until", until)
            .with("standing", standing)
    }

    fn bond_words(&self, bond: BondNo) -> String {
        match self.names.bond(bond) {
            Some(known) => {
                let (voucher, vouchee) = (self.account(known.voucher), self.account(known.vouchee));
                format!("bond {bond} of {voucher} for {vouchee} ({})", known.amount)
            }
            None => format!("bond {bond}"),
        }
    }

    fn offence_words(&self, offence: &Offence) -> String {
        let Offence { evidence, session, fault, class, reason, .. } = offence;
        let session = session.map(|session| format!(" in {}", self.session_of(session))).unwrap_or_default();
        let class = class.map(|class| format!(", action of class {class}")).unwrap_or_default();
        format!("{}{session}, fault {fault}{class}, evidence {}", reason.name(), short(evidence))
    }

    fn offence_fields(&self, offence: &Offence) -> Value {
        let Offence { evidence, agent, session, fault, class, risk, happened, reason } = offence;
        object([
            ("evidence", json(evidence)),
            ("agent", json(self.account(*agent))),
            ("session", json(session.map(|session| self.session_of(session)))),
            ("fault", json(fault)),
            ("class", json(class.map(Reversibility::name))),
            ("risk", json(risk)),
            ("happened", json(happened)),
            ("reason", json(reason.name())),
        ])
    }
}

/// A row of a snapshot.
fn row(name: &'static str, words: &str) -> Told {
    Told::new("ledger.snapshot", format!("snapshot of the ledger: {words}")).with("row", name)
}

fn account_row(kept: &AccountKept) -> Told {
    let AccountKept { agent, did, source, reputation, quarantine, slashes, gain_day, gained } = kept;
    row("account", &format!("{did} has reputation {reputation}"))
        .with("account", agent.0)
        .with("agent", did)
        .with("source", source.name())
        .with("reputation", reputation)
        .with("quarantine", quarantine)
        .with("slashes", slashes)
        .with("gain_day", gain_day)
        .with("gained", gained)
}

fn about_charge(event: &'static str, evidence: &Digest, words: &str) -> Told {
    Told::new(event, format!("the charge on evidence {} {words}", short(evidence))).with("evidence", evidence)
}

fn policy_words(policy: &VouchPolicy) -> String {
    let Weights { full, partial, none } = policy.weights;
    format!(
        "vouching from {} on, at most {} of a reputation; weights {full}, {partial}, {none}",
        policy.minimum, policy.exposure
    )
}

fn policy_fields(policy: &VouchPolicy) -> Value {
    let VouchPolicy {
        minimum,
        default_stake,
        exposure,
        weights,
        rule,
        unbonding,
        grace,
        hint_cap,
        gain_per_day,
        deny_after,
    } = policy;
    let Weights { full, partial, none } = weights;
    let rule = match rule {
        SlashRule::Collateral => object([("rule", json("collateral"))]),
        SlashRule::Clip { floor, cascade_below } => {
            object([("rule", json("clip")), ("floor", json(floor)), ("cascade_below", json(cascade_below))])
        }
    };
    object([
        ("minimum", json(minimum)),
        ("default_stake", json(default_stake)),
        ("exposure", json(exposure)),
        ("weights", object([("full", json(full)), ("partial", json(partial)), ("none", json(none))])),
        ("slash", rule),
        ("unbonding_s", seconds(*unbonding)),
        ("grace_s", seconds(*grace)),
        ("hint_cap", json(hint_cap)),
        ("gain_per_day", json(gain_per_day)),
        ("deny_after", json(deny_after)),
    ])
}
