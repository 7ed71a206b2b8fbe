//! What can be said under a signature.

use crate::{Envelope, PublicKey, Refusal, Signer};
use core::fmt;
use hv_types::{Call, Did, Digest, Reversibility, RiskWeight, SessionId, Share, Sigma, Timestamp};

/// What somebody says, to whom, and how long it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The node that it is for; nowhere else does it count.
    pub audience: Did,
    /// Who says it.
    pub signer: Did,
    /// Sixteen bytes that the signer uses once. Whoever acts on statements remembers them up to the deadline.
    pub nonce: [u8; 16],
    /// The last point in time at which it counts.
    pub deadline: Timestamp,
    /// What is said.
    pub content: Content,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The signer joins a session.
    Join {
        /// Which.
        session: SessionId,
    },
    /// The signer locks a part of its reputation for another.
    Vouch {
        /// The session in which that lifts the other.
        session: SessionId,
        /// Who is vouched for.
        vouchee: Did,
        /// How much is locked.
        stake: Sigma,
    },
    /// The signer no longer vouches for another.
    Release {
        /// The session.
        session: SessionId,
        /// Who is no longer vouched for.
        vouchee: Did,
    },
    /// The signer is for or against one call.
    Vote {
        /// Exactly which.
        call: Call,
        /// What it says to it.
        verdict: Verdict,
    },
    /// The signer, a person or what stands for one, saw one call before it is made and lets it pass.
    Witness {
        /// Exactly which.
        call: Call,
    },
    /// The signer, a verifier, found that an agent did what it may not do.
    Evidence {
        /// Who is accused.
        about: Did,
        /// Where it happened; outside any session nobody has vouched.
        session: Option<SessionId>,
        /// What was found.
        finding: Finding,
        /// How much of it is the agent's own doing.
        fault: Share,
        /// The class of the action that was involved, if one was.
        class: Option<Reversibility>,
        /// The risk weight of that action; without it, its class's default.
        risk: Option<RiskWeight>,
        /// When it happened.
        happened: Timestamp,
        /// What the finding rests on. The same digest is the same violation, however often it is stated.
        evidence: Digest,
    },
    /// The signer wants to make one call.
    Intent {
        /// Exactly which; its agent is the signer.
        call: Call,
        /// Whom it is done for, where that is somebody else.
        on_behalf_of: Option<Did>,
    },
    /// The signer's DID gets its first key. Signed by that key.
    Bind {
        /// The key.
        key: PublicKey,
        /// From when on it counts; the present, where that is later.
        from: Timestamp,
        /// When it counts no longer; [`Timestamp::MAX`] for never.
        until: Timestamp,
    },
    /// The signer's DID gets a new key in place of the one that it has. Signed by both.
    Rotate {
        /// The new key.
        key: PublicKey,
        /// From when on it counts; the present, where that is later. The old one counts up to there.
        from: Timestamp,
        /// When it counts no longer; [`Timestamp::MAX`] for never.
        until: Timestamp,
    },
    /// No key of the signer counts from now on.
    Revoke,
}

/// What a voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It may be done.
    For,
    /// It must not be done.
    Against,
}

/// What a verifier found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// The agent did what it may not do.
    Violation,
    /// The agent behaved otherwise than it claimed to.
    Drift,
    /// The agent acted outside the intent that it had signed.
    OutsideIntent,
}

/// Declares the kinds of statements, each with its tag, its word, and the type of its payload.
macro_rules! kinds {
    ($($tag:literal $kind:ident $name:literal $says:literal;)*) => {
        /// The kind of a statement, which its envelope names and its signature covers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(
                #[doc = concat!("`", $name, "`: ", $says, ".")]
                $kind,
            )*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// As it is written and shown: `witness`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The payload type of its envelopes: `application/vnd.hv.witness.v1+json`.
            #[must_use]
            pub const fn payload_type(self) -> &'static str {
                match self { $(Self::$kind => concat!("application/vnd.hv.", $name, ".v1+json"),)* }
            }

            /// The kind that has this payload type, byte for byte.
            #[must_use]
            pub fn of_payload_type(payload_type: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.payload_type() == payload_type)
            }
        }

        hv_types::wire_enum!(Kind { $($tag => $kind {}),* });
    };
}

kinds! {
    0 Join "join" "the signer joins a session";
    1 Vouch "vouch" "the signer locks reputation for another";
    2 Release "release" "the signer vouches no longer";
    3 Vote "vote" "the signer is for or against a call";
    4 Witness "witness" "the signer lets a call pass";
    5 Evidence "evidence" "the signer found a violation";
    6 Intent "intent" "the signer wants to make a call";
    7 Bind "bind" "the signer's DID gets its first key";
    8 Rotate "rotate" "the signer's DID gets another key";
    9 Revoke "revoke" "no key of the signer counts any more";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Content {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Join { .. } => Kind::Join,
            Self::Vouch { .. } => Kind::Vouch,
            Self::Release { .. } => Kind::Release,
            Self::Vote { .. } => Kind::Vote,
            Self::Witness { .. } => Kind::Witness,
            Self::Evidence { .. } => Kind::Evidence,
            Self::Intent { .. } => Kind::Intent,
            Self::Bind { .. } => Kind::Bind,
            Self::Rotate { .. } => Kind::Rotate,
            Self::Revoke => Kind::Revoke,
        }
    }
}

impl Statement {
    /// Signs the statement. A [`Rotate`](Content::Rotate) is then [cosigned](Envelope::cosign) by the new key.
    ///
    /// Whether the key is that of the signer named is for whoever opens it; only what can never be opened is
    /// refused here.
    ///
    /// # Errors
    /// [`Refusal::SignerMismatch`] where the statement names another `did:key` than that of the signer, or is
    /// an intent for somebody else's call.
    pub fn seal(&self, signer: &Signer) -> Result<Envelope, Refusal> {
        self.speaks_for_itself()?;
        if crate::key::is_did_key(&self.signer) && self.signer != *signer.did() {
            return Err(Refusal::SignerMismatch { signer: self.signer.clone(), by: signer.did().clone() });
        }
        Envelope::sign(self.content.kind().payload_type(), self.to_payload().as_bytes(), signer)
    }

    /// That nobody states an intent for another.
    pub(crate) fn speaks_for_itself(&self) -> Result<(), Refusal> {
        match &self.content {
            Content::Intent { call, .. } if call.agent != self.signer => {
                Err(Refusal::SignerMismatch { signer: self.signer.clone(), by: call.agent.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Verdict {
    /// Either.
    pub const ALL: &'static [Self] = &[Self::For, Self::Against];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::For => "for",
            Self::Against => "against",
        }
    }
}

impl Finding {
    /// Every finding.
    pub const ALL: &'static [Self] = &[Self::Violation, Self::Drift, Self::OutsideIntent];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Drift => "drift",
            Self::OutsideIntent => "outside_intent",
        }
    }
}
