//! Statements as JSON: the one canonical form that is signed, and the same fields as people write them.
//!
//! The canonical form is that of RFC 8785: names in order, no space. Every value is a text or an object, so
//! no number has a second spelling: points in time have nine places, fractions two to six, nonces and digests
//! are lower-case hexadecimal, and a field without a value is left out. Whatever else says the same is refused,
//! so that one statement has one text and one signature. INVARIANT (A4)

use crate::json::{self, Node, Out, Value};
use crate::{
    Content, Field, Finding, Kind, Malformed, MalformedCause, PublicKey, Refusal, Statement, Verdict,
};
use crate::{TextLimit, moment};
use core::fmt::Display;
use core::str::FromStr;
use data_encoding::HEXLOWER;
use hv_types::{Call, Did, Reversibility, Timestamp};
use std::borrow::Cow;

impl Statement {
    /// The canonical form, which is what is signed.
    #[must_use]
    pub fn to_payload(&self) -> String {
        let mut members = Members::default();
        members.shown(Field::Audience, &self.audience);
        members.shown(Field::Signer, &self.signer);
        members.text(Field::Nonce, HEXLOWER.encode(&self.nonce));
        members.time(Field::Deadline, self.deadline);
        members.content(&self.content);
        let mut text = String::new();
        Out::Object(members.0).write(&mut text);
        text
    }

    /// Reads the canonical form, and nothing else.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], [`Refusal::Malformed`], and [`Refusal::NotCanonical`] for another text that says
    /// the same.
    pub fn from_payload(kind: Kind, payload: &[u8]) -> Result<Self, Refusal> {
        TextLimit::Payload.check(payload)?;
        let statement = Self::from_json(kind, payload)?;
        let canonical = statement.to_payload();
        if canonical.as_bytes() == payload {
            return Ok(statement);
        }
        let same = canonical.bytes().zip(payload).take_while(|(a, b)| a == *b).count();
        Err(Refusal::NotCanonical { offset: u32::try_from(same).unwrap_or(u32::MAX) })
    }

    /// Reads a statement as a person may have written it: with space, and fields in any order.
    ///
    /// # Errors
    /// [`Malformed`] with the first thing that is wrong.
    pub fn from_json(kind: Kind, text: &[u8]) -> Result<Self, Malformed> {
        let value = json::read(text)?;
        let mut fields = Fields::of(&value)?;
        let nonce = |text: &str| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
        let statement = Self {
            audience: fields.parsed(Field::Audience)?,
            signer: fields.parsed(Field::Signer)?,
            nonce: fields.read(Field::Nonce, nonce)?,
            deadline: fields.read(Field::Deadline, moment::read)?,
            content: fields.content(kind)?,
        };
        fields.end()?;
        Ok(statement)
    }
}

impl Content {
    /// Reads what is said, without who says it to whom: for those who ask for a signature.
    ///
    /// ```
    /// use hv_identity::{Content, Kind};
    ///
    /// let text = br#"{ "session": "release", "vouchee": "did:mesh:beta", "stake": "0.16" }"#;
    /// assert_eq!(Content::from_json(Kind::Vouch, text)?.kind(), Kind::Vouch);
    /// let error = Content::from_json(Kind::Join, text).unwrap_err();
    /// assert_eq!(error.to_string(), "this field does not belong here (at byte 35)");
    /// # Ok::<(), hv_identity::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// [`Malformed`] with the first thing that is wrong.
    pub fn from_json(kind: Kind, text: &[u8]) -> Result<Self, Malformed> {
        let value = json::read(text)?;
        let mut fields = Fields::of(&value)?;
        let content = fields.content(kind)?;
        fields.end()?;
        Ok(content)
    }
}

/// The members of an object that is written.
#[derive(Default)]
struct Members(Vec<(&'static str, Out<'static>)>);

impl Members {
    fn content(&mut self, content: &Content) {
        match content {
            Content::Join { session } => self.shown(Field::Session, session),
            Content::Vouch { session, vouchee, stake } => {
                self.shown(Field::Session, session);
                self.shown(Field::Vouchee, vouchee);
                self.shown(Field::Stake, stake);
            }
            Content::Release { session, vouchee } => {
                self.shown(Field::Session, session);
                self.shown(Field::Vouchee, vouchee);
            }
            Content::Vote { call, verdict } => {
                self.call(call);
                self.shown(Field::Verdict, verdict.name());
            }
            Content::Witness { call } => self.call(call),
            Content::Evidence { about, session, finding, fault, class, risk, happened, evidence } => {
                self.shown(Field::About, about);
                self.optional(Field::Session, session.as_ref());
                self.shown(Field::Finding, finding.name());
                self.shown(Field::Fault, fault);
                self.optional(Field::Class, class.as_ref());
                self.optional(Field::Risk, risk.as_ref());
                self.time(Field::Happened, *happened);
                self.shown(Field::Evidence, evidence);
            }
            Content::Intent { call, on_behalf_of } => {
                self.call(call);
                self.optional(Field::OnBehalfOf, on_behalf_of.as_ref());
            }
            Content::Bind { key, from, until } | Content::Rotate { key, from, until } => {
                self.shown(Field::Key, key);
                self.time(Field::From, *from);
                self.time(Field::Until, *until);
            }
            Content::Revoke => {}
        }
    }

    fn call(&mut self, call: &Call) {
        let Call { session, agent, action, params, deadline } = call;
        let mut members = Self::default();
        members.shown(Field::Session, session);
        members.shown(Field::Agent, agent);
        members.shown(Field::Action, action);
        members.shown(Field::Params, params);
        members.time(Field::Deadline, *deadline);
        self.0.push((Field::Call.name(), Out::Object(members.0)));
    }

    fn shown(&mut self, field: Field, value: &(impl Display + ?Sized)) {
        self.text(field, value.to_string());
    }

    fn optional(&mut self, field: Field, value: Option<&impl Display>) {
        if let Some(value) = value {
            self.shown(field, value);
        }
    }

    fn time(&mut self, field: Field, time: Timestamp) {
        self.text(field, moment::write(time));
    }

    fn text(&mut self, field: Field, text: String) {
        self.0.push((field.name(), Out::Text(Cow::Owned(text))));
    }
}

/// The members of an object that is read, each taken once.
struct Fields<'v, 'a> {
    at: usize,
    left: Vec<&'v (Cow<'a, str>, Value<'a>)>,
}

impl<'v, 'a> Fields<'v, 'a> {
    fn of(value: &'v Value<'a>) -> Result<Self, Malformed> {
        match &value.node {
            Node::Object(members) => Ok(Self { at: value.at, left: members.iter().collect() }),
            _ => Err(json::malformed(value.at, MalformedCause::OtherKind)),
        }
    }

    fn content(&mut self, kind: Kind) -> Result<Content, Malformed> {
        Ok(match kind {
            Kind::Join => Content::Join { session: self.parsed(Field::Session)? },
            Kind::Vouch => Content::Vouch {
                session: self.parsed(Field::Session)?,
                vouchee: self.parsed(Field::Vouchee)?,
                stake: self.parsed(Field::Stake)?,
            },
            Kind::Release => Content::Release {
                session: self.parsed(Field::Session)?,
                vouchee: self.parsed(Field::Vouchee)?,
            },
            Kind::Vote => Content::Vote {
                call: self.call()?,
                verdict: self.word(Field::Verdict, Verdict::ALL, |verdict| verdict.name())?,
            },
            Kind::Witness => Content::Witness { call: self.call()? },
            Kind::Evidence => Content::Evidence {
                about: self.parsed(Field::About)?,
                session: self.optional(Field::Session, |fields, field| fields.parsed(field))?,
                finding: self.word(Field::Finding, Finding::ALL, |finding| finding.name())?,
                fault: self.parsed(Field::Fault)?,
                class: self.optional(Field::Class, |fields, field| {
                    fields.word(field, &CLASSES, |class| class.name())
                })?,
                risk: self.optional(Field::Risk, |fields, field| fields.parsed(field))?,
                happened: self.read(Field::Happened, moment::read)?,
                evidence: self.parsed(Field::Evidence)?,
            },
            Kind::Intent => Content::Intent {
                call: self.call()?,
                on_behalf_of: self.optional(Field::OnBehalfOf, |fields, field| fields.parsed(field))?,
            },
            Kind::Bind => {
                let (key, from, until) = self.key()?;
                Content::Bind { key, from, until }
            }
            Kind::Rotate => {
                let (key, from, until) = self.key()?;
                Content::Rotate { key, from, until }
            }
            Kind::Revoke => Content::Revoke,
        })
    }

    fn key(&mut self) -> Result<(PublicKey, Timestamp, Timestamp), Malformed> {
        let key = |text: &str| PublicKey::of(&Did::new(text).ok()?).ok();
        let key = self.read(Field::Key, key)?;
        Ok((key, self.read(Field::From, moment::read)?, self.read(Field::Until, moment::read)?))
    }

    fn call(&mut self) -> Result<Call, Malformed> {
        let mut fields = Fields::of(self.take(Field::Call)?)?;
        let call = Call {
            session: fields.parsed(Field::Session)?,
            agent: fields.parsed(Field::Agent)?,
            action: fields.parsed(Field::Action)?,
            params: fields.parsed(Field::Params)?,
            deadline: fields.read(Field::Deadline, moment::read)?,
        };
        fields.end()?;
        Ok(call)
    }

    fn word<T: Copy>(
        &mut self,
        field: Field,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Malformed> {
        self.read(field, |text| all.iter().copied().find(|value| name(*value) == text))
    }

    fn parsed<T: FromStr>(&mut self, field: Field) -> Result<T, Malformed> {
        self.read(field, |text| text.parse().ok())
    }

    fn optional<T>(
        &mut self,
        field: Field,
        read: impl FnOnce(&mut Self, Field) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.left.iter().any(|(name, _)| name == field.name()) {
            read(self, field).map(Some)
        } else {
            Ok(None)
        }
    }

    fn read<T>(&mut self, field: Field, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Malformed> {
        let value = self.take(field)?;
        let read = match &value.node {
            Node::Text(text) => read(text),
            _ => None,
        };
        read.ok_or_else(|| json::malformed(value.at, MalformedCause::Value { field }))
    }

    fn take(&mut self, field: Field) -> Result<&'v Value<'a>, Malformed> {
        let place = self.left.iter().position(|(name, _)| name == field.name());
        let place = place.ok_or_else(|| json::malformed(self.at, MalformedCause::Missing { field }))?;
        let (_, value) = self.left.swap_remove(place);
        Ok(value)
    }

    /// That nothing is left that nobody asked for.
    fn end(&self) -> Result<(), Malformed> {
        match self.left.iter().map(|(_, value)| value.at).min() {
            Some(at) => Err(json::malformed(at, MalformedCause::Unknown)),
            None => Ok(()),
        }
    }
}

const CLASSES: [Reversibility; 3] = [Reversibility::Full, Reversibility::Partial, Reversibility::None];
