//! Strategies for property tests: any value of each public type. Those of `hv-types` are its own.

use crate::registry::{Denial, Event, Held};
use crate::{
    BadKey, Content, Envelope, Field, Finding, KeyFault, Kind, Malformed, MalformedCause, PublicKey, Refusal,
    Signer, Statement, TextLimit, Verdict,
};
use hv_types::strategies::{
    action_id, did, digest, reversibility, risk_weight, session_id, share, sigma, timestamp,
};
use hv_types::{Call, Did, Timestamp};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// The private key with that number, the same every time: for tests, where everybody may know it.
#[must_use]
#[allow(clippy::expect_used, reason = "a test kit; the seeds are these, and none gives a weak key")]
pub fn known_signer(number: u8) -> Signer {
    Signer::new(&[number; 32]).expect("a key")
}

/// The number of one of a few [`known_signer`]s, so that the same one comes again.
pub fn signer_number() -> impl Strategy<Value = u8> {
    0u8..6
}

/// One of a few public keys.
pub fn public_key() -> impl Strategy<Value = PublicKey> {
    signer_number().prop_map(|number| known_signer(number).public().clone())
}

/// One of a few DIDs, some of which are keys.
pub fn any_did() -> impl Strategy<Value = Did> {
    prop_oneof![did(), public_key().prop_map(|key| key.did().clone())]
}

/// Any call of a few agents and actions in a few sessions.
pub fn call() -> impl Strategy<Value = Call> {
    (session_id(), any_did(), action_id(), digest(), timestamp()).prop_map(
        |(session, agent, action, params, deadline)| Call { session, agent, action, params, deadline },
    )
}

/// Any kind of statement.
pub fn kind() -> impl Strategy<Value = Kind> {
    select(Kind::ALL.to_vec())
}

/// Anything that can be said.
pub fn content() -> impl Strategy<Value = Content> {
    let evidence = (
        (any_did(), option::of(session_id()), select(Finding::ALL.to_vec()), share()),
        (option::of(reversibility()), option::of(risk_weight()), timestamp(), digest()),
    )
        .prop_map(|((about, session, finding, fault), (class, risk, happened, evidence))| {
            Content::Evidence { about, session, finding, fault, class, risk, happened, evidence }
        });
    let key = || (public_key(), timestamp(), timestamp());
    prop_oneof![
        session_id().prop_map(|session| Content::Join { session }),
        (session_id(), any_did(), sigma()).prop_map(|(session, vouchee, stake)| Content::Vouch {
            session,
            vouchee,
            stake
        }),
        (session_id(), any_did()).prop_map(|(session, vouchee)| Content::Release { session, vouchee }),
        (call(), select(Verdict::ALL.to_vec())).prop_map(|(call, verdict)| Content::Vote { call, verdict }),
        call().prop_map(|call| Content::Witness { call }),
        evidence,
        (call(), option::of(any_did()))
            .prop_map(|(call, on_behalf_of)| Content::Intent { call, on_behalf_of }),
        key().prop_map(|(key, from, until)| Content::Bind { key, from, until }),
        key().prop_map(|(key, from, until)| Content::Rotate { key, from, until }),
        Just(Content::Revoke),
    ]
}

/// Any statement, also one that nobody would make.
pub fn statement() -> impl Strategy<Value = Statement> {
    (any_did(), any_did(), any::<[u8; 16]>(), timestamp(), content()).prop_map(
        |(audience, signer, nonce, deadline, content)| Statement {
            audience,
            signer,
            nonce,
            deadline,
            content,
        },
    )
}

/// Any statement that its signer can have made: with the key's own DID as signer, and its number.
pub fn signed_statement() -> impl Strategy<Value = (u8, Statement)> {
    (signer_number(), statement()).prop_map(|(number, mut statement)| {
        statement.signer = known_signer(number).did().clone();
        if let Content::Intent { call, .. } = &mut statement.content {
            call.agent = statement.signer.clone();
        }
        (number, statement)
    })
}

/// Any envelope, with signatures by one to three keys.
pub fn envelope() -> impl Strategy<Value = Envelope> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    let signers = prop::collection::vec(signer_number(), 1..4);
    ("[ -~äß€\"\\\\\n]{0,40}", payload, signers).prop_filter_map(
        "within the limits",
        |(kind, payload, signers)| {
            let (first, others) = signers.split_first()?;
            let first = Envelope::sign(&kind, &payload, &known_signer(*first)).ok()?;
            others.iter().try_fold(first, |envelope, number| envelope.cosign(&known_signer(*number)).ok())
        },
    )
}

/// Any reason why something is no key.
pub fn bad_key() -> impl Strategy<Value = BadKey> {
    select(vec![
        BadKey::OtherMethod,
        BadKey::Multibase,
        BadKey::OtherKind,
        BadKey::Length,
        BadKey::NotCanonical,
        BadKey::SmallOrder,
    ])
}

/// Any reason why no key speaks for a DID.
pub fn key_fault() -> impl Strategy<Value = KeyFault> {
    prop_oneof![
        Just(KeyFault::Unknown),
        bad_key().prop_map(|why| KeyFault::Bad { why }),
        timestamp().prop_map(|from| KeyFault::NotYet { from }),
        timestamp().prop_map(|at| KeyFault::Ended { at }),
        timestamp().prop_map(|at| KeyFault::Revoked { at }),
        any_did().prop_map(|to| KeyFault::Bound { to }),
        Just(KeyFault::Unreachable),
    ]
}

/// Any field.
pub fn field() -> impl Strategy<Value = Field> {
    select(Field::ALL.to_vec())
}

/// Any place where a text is not what it should be.
pub fn malformed() -> impl Strategy<Value = Malformed> {
    let cause = prop_oneof![
        Just(MalformedCause::NotJson),
        Just(MalformedCause::TooManyParts),
        Just(MalformedCause::NameTwice),
        Just(MalformedCause::OtherKind),
        field().prop_map(|field| MalformedCause::Missing { field }),
        Just(MalformedCause::Unknown),
        field().prop_map(|field| MalformedCause::Value { field }),
    ];
    (any::<u32>(), cause).prop_map(|(offset, cause)| Malformed { offset, cause })
}

/// Anything that may be only so long.
pub fn text_limit() -> impl Strategy<Value = TextLimit> {
    select(vec![
        TextLimit::Envelope,
        TextLimit::Payload,
        TextLimit::PayloadType,
        TextLimit::KeyId,
        TextLimit::Signature,
    ])
}

/// Any reason why an envelope does not count.
pub fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        text_limit().prop_map(|what| Refusal::TooLarge { what }),
        malformed().prop_map(|malformed| Refusal::Malformed { malformed }),
        Just(Refusal::PayloadType),
        any::<u32>().prop_map(|offset| Refusal::NotCanonical { offset }),
        any_did().prop_map(|audience| Refusal::ForeignAudience { audience }),
        timestamp().prop_map(|deadline| Refusal::Expired { deadline }),
        timestamp().prop_map(|deadline| Refusal::TooFarAhead { deadline }),
        any::<[u32; 2]>().prop_map(|[found, wanted]| Refusal::Signatures { found, wanted }),
        (any_did(), key_fault()).prop_map(|(signer, fault)| Refusal::Key { signer, fault }),
        (any_did(), any_did()).prop_map(|(signer, by)| Refusal::SignerMismatch { signer, by }),
        Just(Refusal::BadSignature),
    ]
}

/// Any key with any time.
pub fn held() -> impl Strategy<Value = Held> {
    (public_key(), timestamp(), timestamp(), option::of(timestamp()))
        .prop_map(|(key, from, until, revoked)| Held { key, from, until, revoked })
}

/// Any event of a registry, also one that no registry would give.
pub fn registry_event() -> impl Strategy<Value = Event> {
    let time = || (0u64..8).prop_map(Timestamp);
    let key = || (any_did(), public_key(), time(), time());
    let held = (public_key(), time(), time(), option::of(time()))
        .prop_map(|(key, from, until, revoked)| Held { key, from, until, revoked });
    prop_oneof![
        key().prop_map(|(did, key, from, until)| Event::Bound { did, key, from, until }),
        key().prop_map(|(did, key, from, until)| Event::Rotated { did, key, from, until }),
        (any_did(), time()).prop_map(|(did, at)| Event::Revoked { did, at }),
        (key(), time()).prop_map(|((did, key, from, until), at)| Event::Replaced {
            did,
            key,
            from,
            until,
            at
        }),
        (any_did(), prop::collection::vec(held, 0..4)).prop_map(|(did, keys)| Event::Restored { did, keys }),
    ]
}

/// Any reason why a registry refuses.
pub fn registry_denial() -> impl Strategy<Value = Denial> {
    prop_oneof![
        kind().prop_map(|kind| Denial::OtherKind { kind }),
        timestamp().prop_map(|deadline| Denial::Expired { deadline }),
        Just(Denial::IsKey),
        Just(Denial::AlreadyBound),
        Just(Denial::NotBound),
        any_did().prop_map(|by| Denial::KeyTaken { by }),
        Just(Denial::TooMany),
        timestamp().prop_map(|until| Denial::NeverCounts { until }),
        Just(Denial::OtherKey),
        key_fault().prop_map(|fault| Denial::Key { fault }),
        timestamp().prop_map(|from| Denial::Pending { from }),
    ]
}
