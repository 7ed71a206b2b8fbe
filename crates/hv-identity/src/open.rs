//! From an envelope to a statement that counts.

use crate::{Content, Envelope, Kind, PublicKey, Refusal, Resolver, Statement};
use core::time::Duration;
use hv_types::{Did, Timestamp};

/// How far ahead the deadline of a statement may lie: seven days, the longest that a session lasts.
pub const MAX_VALIDITY: Duration = Duration::from_secs(604_800);

/// A statement whose signature, audience and time were checked. Only [`open`] and [`open_among`] make one.
///
/// Whether its nonce was used before, and whether its signer may say such a thing, is not known yet.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a statement that nobody acts on changes nothing"]
pub struct Opened {
    statement: Statement,
    key: PublicKey,
}

impl Opened {
    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The key that signed it; for a [`Rotate`](Content::Rotate) the old one.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What was signed, for keeps.
    #[must_use]
    pub fn into_statement(self) -> Statement {
        self.statement
    }
}

/// Opens an envelope that is addressed to `audience`, now.
///
/// It has exactly one signature, by the key that speaks for the signer now; a [`Rotate`](Content::Rotate) has
/// exactly two, by the old key and the new one; a [`Bind`](Content::Bind) is signed by the key that it names.
///
/// Costs one verification, some fifty microseconds, for each signature, and at most one more to tell why it
/// does not count; nothing is verified that is not addressed here or not in time. Opening the envelope or a copy
/// of it again costs no verification, as long as the same keys are asked about.
///
/// # Errors
/// Every [`Refusal`]; the first that applies, in the order in which they are declared.
pub fn open<R: Resolver + ?Sized>(
    envelope: &Envelope,
    keys: &R,
    audience: &Did,
    now: Timestamp,
) -> Result<Opened, Refusal> {
    let statement = admissible(envelope, audience, now)?;
    let wanted = if statement.content.kind() == Kind::Rotate { 2 } else { 1 };
    let found = envelope.signatures().len();
    if found != wanted {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        return Err(Refusal::Signatures { found: count(found), wanted: count(wanted) });
    }
    verified(envelope, statement, keys, now)
}

/// Opens an envelope that others signed besides: what they signed with is passed over, as long as the
/// signatures are there that [`open`] asks for.
///
/// # Errors
/// As [`open`], but for [`Refusal::Signatures`].
pub fn open_among<R: Resolver + ?Sized>(
    envelope: &Envelope,
    keys: &R,
    audience: &Did,
    now: Timestamp,
) -> Result<Opened, Refusal> {
    verified(envelope, admissible(envelope, audience, now)?, keys, now)
}

/// The statement, if it is one, for here and for now. Nobody is known to have made it yet.
fn admissible(envelope: &Envelope, audience: &Did, now: Timestamp) -> Result<Statement, Refusal> {
    let statement = envelope.statement()?;
    let deadline = statement.deadline;
    if statement.audience != *audience {
        return Err(Refusal::ForeignAudience { audience: statement.audience });
    }
    if deadline < now {
        return Err(Refusal::Expired { deadline });
    }
    if deadline.since(now) > MAX_VALIDITY {
        return Err(Refusal::TooFarAhead { deadline });
    }
    Ok(statement)
}

fn verified<R: Resolver + ?Sized>(
    envelope: &Envelope,
    statement: Statement,
    keys: &R,
    now: Timestamp,
) -> Result<Opened, Refusal> {
    let signer = &statement.signer;
    let current = || {
        // Of a key that is known to have signed only this is asked: whether it still speaks for the signer.
        if let Some(key) = envelope.signed_by().into_iter().find(|key| keys.speaks(signer, key, now)) {
            return Ok(key);
        }
        let fault = |fault| Refusal::Key { signer: signer.clone(), fault };
        keys.key(signer, now).map_err(fault)
    };
    let (key, successor) = match &statement.content {
        Content::Bind { key, .. } => (key.clone(), None),
        Content::Rotate { key, .. } => (current()?, Some(key)),
        _ => (current()?, None),
    };
    statement.speaks_for_itself()?;
    for needed in [Some(&key), successor].into_iter().flatten() {
        if !envelope.is_by(needed) {
            return Err(why_not(envelope, signer, [Some(&key), successor], keys, now));
        }
    }
    Ok(Opened { statement, key })
}

/// Whose signature it is, where it is not the one that is needed: the key ids hint at it, and a verification
/// tells whether the hint is true. Nothing is accepted by it.
fn why_not<R: Resolver + ?Sized>(
    envelope: &Envelope,
    signer: &Did,
    needed: [Option<&PublicKey>; 2],
    keys: &R,
    now: Timestamp,
) -> Refusal {
    for (place, signature) in envelope.signatures().iter().enumerate() {
        let hint = Did::new(signature.keyid()).ok().and_then(|did| PublicKey::of(&did).ok());
        let other = hint.filter(|key| !needed.contains(&Some(key)));
        let Some(by) = other.filter(|key| envelope.fits(key, place)) else { continue };
        let signer = signer.clone();
        return match keys.other_key(&signer, &by, now) {
            Some(fault) => Refusal::Key { signer, fault },
            None => Refusal::SignerMismatch { signer, by: by.did().clone() },
        };
    }
    Refusal::BadSignature
}
