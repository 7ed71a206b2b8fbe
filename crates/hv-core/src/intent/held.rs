//! A call, held against the intent of its agent, and what follows where it is outside.

use super::{Intent, Intents, Looked};
use crate::charges;
use crate::error::Reason;
use crate::event::{LedgerEvent, SessionEvent};
use crate::files::Access;
use crate::host::Start;
use crate::node::Refusal;
use crate::state::{Slot, State};
use hv_liability::{SlashOrder, SlashReason};
use hv_rings::class::Terms;
use hv_rings::gate::GateDenial;
use hv_rings::intent::{
    Beside, Body, Decision, Deed, Outside, Places, UndoRule, Unintended, Used, Violation,
};
use hv_rings::{Basis, Evidence};
use hv_saga::{Attempt, Purpose, StepDef, Task, Value};
use hv_session::{FilePath, MemberRef};
use hv_types::{ActionId, Did, Digest, Machine, SessionId, Share, Timestamp, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static EVIDENCE_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 outside intent v1", &[]));

/// The evidence that an agent is slashed on when it calls outside its intent. The same call is the same evidence,
/// however often it is made; `params` is the digest of its parameters.
#[must_use]
pub fn intent_evidence(session: &SessionId, agent: &Did, action: &ActionId, params: Digest) -> Digest {
    let mut bytes = Vec::new();
    session.put(&mut bytes);
    agent.put(&mut bytes);
    action.put(&mut bytes);
    params.put(&mut bytes);
    Digest(*blake3::keyed_hash(&EVIDENCE_KEY, &bytes).as_bytes())
}

/// A call that an intent covers, to be recorded with its grant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) member: u32,
    /// Whether it passes by the word of a witness.
    pub(crate) consented: bool,
    /// The last point in time at which the intent holds.
    pub(crate) until: Timestamp,
}

/// What a session's intents say of a call.
pub(crate) enum Intended {
    /// Nothing.
    Free,
    /// It is within each of these.
    Within(Vec<Use>),
    /// It is outside, and passes with the word of a witness.
    Asks(Vec<Use>, Unintended),
    Denied(Unintended),
}

impl Intended {
    /// With what is brought: the uses that are to be recorded, and why the call does not pass.
    pub(crate) fn with(self, evidence: Option<&Evidence>, now: Timestamp) -> (Vec<Use>, Option<Unintended>) {
        match self {
            Self::Free => (Vec::new(), None),
            Self::Within(covered) => (covered, None),
            Self::Asks(covered, _)
                if evidence.is_some_and(|evidence| {
                    evidence.witness().is_some() && now <= evidence.until(Basis::Witness)
                }) =>
            {
                (covered, None)
            }
            Self::Asks(_, why) | Self::Denied(why) => (Vec::new(), Some(why)),
        }
    }

    /// Where it also has to be within what somebody is held to for whom the agent acts.
    fn and(self, other: Self, principal: &Did) -> Self {
        // Who acts for somebody has not broken that one's word, but what that one could not do, it does not do either.
        let theirs = |why| match why {
            Unintended::Outside { outside }
            | Unintended::Unconsented { outside }
            | Unintended::Beside { outside, .. } => {
                Unintended::OnBehalfOf { principal: principal.clone(), outside }
            }
            why => why,
        };
        match (self, other) {
            (Self::Denied(why), _) => Self::Denied(why),
            (_, Self::Denied(why)) => Self::Denied(theirs(why)),
            (before, Self::Free) => before,
            (Self::Free, Self::Within(uses)) => Self::Within(uses),
            (Self::Free, Self::Asks(uses, why)) => Self::Asks(uses, theirs(why)),
            (Self::Within(mut uses), Self::Within(more)) => {
                uses.extend(more);
                Self::Within(uses)
            }
            (Self::Asks(mut uses, why), Self::Within(more) | Self::Asks(more, _)) => {
                uses.extend(more);
                Self::Asks(uses, why)
            }
            (Self::Within(mut uses), Self::Asks(more, why)) => {
                uses.extend(more);
                Self::Asks(uses, theirs(why))
            }
        }
    }
}

impl Intents {
    /// Holds a start of a step against the intent of its agent, and of those for whom that acts; `passed` starts with it,
    /// and `real` says where its paths are.
    pub(crate) fn hold(
        &self,
        (slot, now): (&Slot, Timestamp),
        (seat, principals): (Option<MemberRef<'_>>, &[Did]),
        ((action, task), step): ((&ActionId, &Task), &StepDef),
        only_reads: bool,
        (passed, real): (&[Start], &Places),
    ) -> Intended {
        let used = |seat: Option<MemberRef<'_>>, intent: Option<&Intent>| {
            let mut used = intent.map_or_else(Used::default, |intent| intent.used(action));
            for start in passed.iter().filter(|start| {
                let member = seat.map(|seat| seat.ordinal);
                start.pass.intents().iter().any(|used| Some(used.member) == member)
            }) {
                used.all = used.all.saturating_add(1);
                used.of_action = used.of_action.saturating_add(u32::from(start.attempt.action == *action));
            }
            used
        };
        let intended = with_deed(task, real, |deed| {
            let held =
                |seat, intent| self.decided(intent, seat, (action, deed), used(seat, intent), only_reads);
            let own = held(seat, self.of(seat, now));
            let others = self.others((slot, now), seat, principals).into_iter();
            others.fold(own, |held_before, (principal, intent)| {
                let theirs = match self.hold_beside(intent, action, step, real) {
                    Ok(()) => held(Some(principal), Some(intent)),
                    Err(why) => Intended::Denied(why),
                };
                held_before.and(theirs, principal.did)
            })
        });
        match self.of(seat, now).map_or(Ok(()), |intent| self.hold_beside(intent, action, step, real)) {
            Err(why) if !matches!(intended, Intended::Denied(_)) => Intended::Denied(why),
            _ => intended,
        }
    }

    /// What undoes a step and asks about it, where the session holds that against intents, too.
    fn beside<'a>(&self, step: &'a StepDef) -> impl Iterator<Item = (Beside, &'a Task)> + use<'a> {
        let both = [(Beside::Undo, Purpose::Undo), (Beside::Probe, Purpose::Probe)];
        let held = both.into_iter().take(if self.policy.undo == UndoRule::Held { 2 } else { 0 });
        held.filter_map(|(what, of)| Some((what, &**step.task(of)?)))
    }

    /// Holds it against an intent.
    fn hold_beside(
        &self,
        intent: &Intent,
        action: &ActionId,
        step: &StepDef,
        real: &Places,
    ) -> Result<(), Unintended> {
        self.beside(step).try_for_each(|(what, task)| {
            with_deed(task, real, |deed| self.policy.decide_beside(intent.bounds(), action, what, deed))
        })
    }

    /// Those for whom somebody acts that have an intent in force themselves, each once.
    fn others<'a>(
        &'a self,
        (slot, now): (&'a Slot, Timestamp),
        seat: Option<MemberRef<'_>>,
        principals: &'a [Did],
    ) -> Vec<(MemberRef<'a>, &'a Intent)> {
        let mut others: Vec<(MemberRef<'a>, &'a Intent)> = Vec::new();
        for did in slot.answerable(seat, principals) {
            let Some(member) = slot.session.known(did) else { continue };
            let again = others.iter().any(|(other, _)| other.ordinal == member.ordinal);
            if again || seat.is_some_and(|seat| seat.ordinal == member.ordinal) {
                continue;
            }
            others.extend(self.of(Some(member), now).map(|intent| (member, intent)));
        }
        others
    }

    fn decided(
        &self,
        intent: Option<&Intent>,
        seat: Option<MemberRef<'_>>,
        (action, deed): (&ActionId, &Deed<'_>),
        used: Used,
        only_reads: bool,
    ) -> Intended {
        let covered = |consented| Use {
            member: seat.map_or(u32::MAX, |seat| seat.ordinal),
            consented,
            until: intent.map_or(Timestamp::default(), Intent::until),
        };
        match self.policy.decide(intent.map(Intent::bounds), action, deed, used, only_reads) {
            Decision::Free => Intended::Free,
            Decision::Within => Intended::Within(vec![covered(false)]),
            Decision::NeedsConsent { outside } => {
                Intended::Asks(vec![covered(true)], Unintended::Unconsented { outside })
            }
            Decision::Denied { why } => Intended::Denied(why),
        }
    }

    pub(crate) fn slashes(&self) -> bool {
        self.policy.violation == Violation::Slash
    }
}

/// Shows what a task does. What is sent and named only, such as a secret, is not known here.
fn with_deed<T>(task: &Task, real: &Places, look: impl FnOnce(&Deed<'_>) -> T) -> T {
    match task {
        Task::Command(task) => {
            let variables: Vec<&str> = task.env.iter().map(|(name, _)| name.as_str()).collect();
            let folder = task.cwd.as_deref();
            look(&Deed::Command {
                argv: &task.argv,
                folder,
                variables: &variables,
                input: task.stdin.is_some(),
                real,
            })
        }
        Task::Http(task) => {
            let headers: Vec<&str> = task.headers.iter().map(|(name, _)| name.as_str()).collect();
            let scalars: Option<BTreeMap<String, String>> = match &task.body {
                Some(Value::Literal(text)) => hv_identity::scalars(text.as_bytes()),
                Some(Value::Env(_) | Value::File(_)) | None => None,
            };
            let body = match (&task.body, &scalars) {
                (None, _) => Body::Empty,
                (Some(_), Some(scalars)) => Body::Json { scalars },
                (Some(_), None) => Body::Unread,
            };
            look(&Deed::Http { method: &task.method, url: &task.url, headers: &headers, body })
        }
        Task::Closure { name } => look(&Deed::Function { name }),
    }
}

/// The paths of these starts of which it is to be known where they really are, before they are held against intents.
pub(crate) fn unknown<'a, I: Iterator<Item = (Attempt, Option<&'a StepDef>)>>(
    (slot, now): (&Slot, Timestamp),
    principals: &[Did],
    starts: impl FnOnce() -> I,
    looked: &Looked,
) -> Option<BTreeSet<String>> {
    let intents = slot.intents()?;
    let mut unknown = BTreeSet::new();
    for (start, step) in starts().filter(|(start, _)| start.purpose == Purpose::Execute) {
        let seat = slot.session.known(&start.agent);
        let others = intents.others((slot, now), seat, principals).into_iter().map(|(_, intent)| intent);
        for intent in intents.of(seat, now).into_iter().chain(others) {
            let paths = |deed: &Deed<'_>| intent.bounds.paths(&start.action, deed);
            let beside = step.into_iter().flat_map(|step| intents.beside(step)).map(|(_, task)| task);
            for task in std::iter::once(&*start.task).chain(beside) {
                unknown.append(&mut looked.without(with_deed(task, looked.real(), paths)));
            }
        }
    }
    (!unknown.is_empty()).then_some(unknown)
}

/// Holds what is done to files against the intent of whoever does it, and of those for whom that acts: `paths` without a
/// slash in front, and none for all of them. Gives what is to be recorded where something changes.
#[inline]
pub(crate) fn files<'a>(
    (slot, now): (&Slot, Timestamp),
    agent: &Did,
    access: Access,
    paths: impl FnOnce() -> Vec<&'a FilePath>,
) -> Result<Vec<SessionEvent>, Box<Refusal>> {
    match slot.intents() {
        Some(intents) => files_within(intents, (slot, now), agent, access, &paths()),
        None => Ok(Vec::new()),
    }
}

fn files_within(
    intents: &Intents,
    (slot, now): (&Slot, Timestamp),
    agent: &Did,
    access: Access,
    paths: &[&FilePath],
) -> Result<Vec<SessionEvent>, Box<Refusal>> {
    let refuse = |action: Option<&ActionId>, reason| slot.refuse("file", Some(agent), action, reason);
    let action = access.action().map_err(|bad| refuse(None, Reason::Ident(bad)))?;
    let seat = slot.session.known(agent);
    let rooted: Vec<String> = paths.iter().map(|path| format!("/{path}")).collect();
    let mut rooted: Vec<&str> = rooted.iter().map(String::as_str).collect();
    if rooted.is_empty() {
        rooted.push("/");
    }
    let only_reads = matches!(access, Access::Read);
    let deed = Deed::Files { paths: &rooted };
    let held = |seat, intent: Option<&Intent>| {
        let used = intent.map_or_else(Used::default, |intent| intent.used(action));
        intents.decided(intent, seat, (action, &deed), used, only_reads)
    };
    let others = intents.others((slot, now), seat, &[]).into_iter();
    let held = others.fold(held(seat, intents.of(seat, now)), |before, (principal, intent)| {
        before.and(held(Some(principal), Some(intent)), principal.did)
    });
    let why = match held {
        Intended::Free => return Ok(Vec::new()),
        Intended::Within(_) if only_reads => return Ok(Vec::new()),
        Intended::Within(uses) => {
            let used = |Use { member, consented, .. }| SessionEvent::IntentUsed {
                member,
                action: action.clone(),
                consented,
            };
            return Ok(uses.into_iter().map(used).collect());
        }
        // Nobody can consent to it: what is done to a file is the record itself, and no call that could be shown.
        Intended::Asks(_, why) => match why {
            Unintended::Unconsented { outside } => Unintended::Outside { outside },
            why => why,
        },
        Intended::Denied(why) => why,
    };
    let order = intents.slashes().then(|| why.outside()).flatten().map(|outside| {
        let evidence = intent_evidence(&slot.id, agent, action, told(outside));
        order(slot, agent.clone(), evidence, Some(access.class().terms(&Default::default())), now)
    });
    let refusal = refuse(Some(action), Reason::Gate(Box::new(GateDenial::Intent { why })));
    Err(match order {
        Some(order) => refusal.slashing(order),
        None => refusal,
    })
}

/// What stands for the parameters where a call has none: what of it is outside.
fn told(outside: &Outside) -> Digest {
    Digest(*blake3::keyed_hash(&EVIDENCE_KEY, &outside.to_bytes()).as_bytes())
}

/// The slash for a start that was refused because it is outside its agent's intent, where the session wants one.
pub(crate) fn violation(
    slot: &Slot,
    (agent, action, params): (&Did, &ActionId, Digest),
    denial: Option<&GateDenial>,
    terms: Option<Terms>,
    now: Timestamp,
) -> Option<SlashOrder> {
    let wanted = slot.intents().is_some_and(Intents::slashes);
    let GateDenial::Intent { why } = denial.filter(|_| wanted)? else { return None };
    // Who has declared nothing has broken no word.
    why.outside()?;
    Some(order(slot, agent.clone(), intent_evidence(&slot.id, agent, action, params), terms, now))
}

fn order(slot: &Slot, agent: Did, evidence: Digest, terms: Option<Terms>, now: Timestamp) -> SlashOrder {
    SlashOrder {
        evidence,
        agent,
        session: Some(slot.ledger_no()),
        fault: Share::ONE,
        class: terms.map(|terms| terms.reversibility),
        risk: terms.map(|terms| terms.risk),
        happened: now,
        reason: SlashReason::Intent,
    }
}

/// What the orders come to, each on the ledger that those before it leave; `before` comes first.
pub(crate) fn slashes(
    state: &State,
    orders: Vec<SlashOrder>,
    before: Vec<LedgerEvent>,
    now: Timestamp,
) -> Vec<LedgerEvent> {
    if orders.is_empty() {
        return before;
    }
    let (mut ledger, mut all) = (state.ledger.clone(), before);
    if all.iter().try_for_each(|event| ledger.apply(event)).is_err() {
        return all;
    }
    for order in orders {
        // An agent without an account has nothing to lose; its denial is on the trail all the same.
        let Ok(events) = ledger.decide(&charges::ordered(state, order), now) else { continue };
        if events.iter().try_for_each(|event| ledger.apply(event)).is_ok() {
            all.extend(events);
        }
    }
    all
}

/// What of gains and losses is still possible on the ledger that these slashes leave: whoever is slashed earns nothing
/// by the same record, and nothing of what it lost decays.
pub(crate) fn possible_after(
    state: &State,
    slashes: &[LedgerEvent],
    earned: Vec<LedgerEvent>,
) -> Vec<LedgerEvent> {
    let mut ledger = state.ledger.clone();
    if slashes.iter().try_for_each(|event| ledger.apply(event)).is_err() {
        return earned;
    }
    earned.into_iter().filter(|event| ledger.apply(event).is_ok()).collect()
}
