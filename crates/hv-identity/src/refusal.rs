//! Why an envelope does not count, in a form that a trail can keep.

use crate::KeyFault;
use crate::open::MAX_VALIDITY;
use core::fmt;
use hv_types::{Did, Timestamp};

/// Why an envelope, or the statement in it, does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is longer than is read.
    TooLarge {
        /// What is too long.
        what: TextLimit,
    },
    /// It is not a DSSE envelope, or its payload is not the statement that its type says.
    Malformed {
        /// Where, and in what way.
        malformed: Malformed,
    },
    /// Its payload type is that of no statement.
    PayloadType,
    /// Its payload is a statement, but not in the one form that is signed.
    NotCanonical {
        /// The first byte that differs.
        offset: u32,
    },
    /// It is addressed to another node.
    ForeignAudience {
        /// To which.
        audience: Did,
    },
    /// Its deadline has passed.
    Expired {
        /// The last point in time at which it counted.
        deadline: Timestamp,
    },
    /// Its deadline lies farther ahead than [`MAX_VALIDITY`](crate::MAX_VALIDITY).
    TooFarAhead {
        /// The deadline that it gives itself.
        deadline: Timestamp,
    },
    /// It has not as many signatures as its kind asks for.
    Signatures {
        /// How many it has.
        found: u32,
        /// How many there must be.
        wanted: u32,
    },
    /// The signer has no key that counts now, or the key that signed no longer does, or not yet.
    Key {
        /// The signer that the statement names.
        signer: Did,
        /// What is wrong with its key.
        fault: KeyFault,
    },
    /// Somebody else signed it than the statement names.
    SignerMismatch {
        /// The signer that the statement names.
        signer: Did,
        /// Who signed it, or, for an intent, who would act.
        by: Did,
    },
    /// A signature does not fit the statement and the signer's key.
    BadSignature,
}

/// What may be only so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextLimit {
    /// The envelope, as JSON.
    Envelope,
    /// The payload.
    Payload,
    /// The payload type.
    PayloadType,
    /// A key id.
    KeyId,
    /// A signature.
    Signature,
}

impl TextLimit {
    /// How many bytes it may have.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Envelope => crate::ENVELOPE_MAX_BYTES,
            Self::Payload => crate::PAYLOAD_MAX_BYTES,
            Self::PayloadType | Self::KeyId => 256,
            Self::Signature => 512,
        }
    }

    pub(crate) fn check(self, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.len() > self.bytes() { Err(Refusal::TooLarge { what: self }) } else { Ok(()) }
    }
}

/// Where a text is not what it should be, and in what way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The first byte of what does not fit, from the beginning of the envelope or of the payload.
    pub offset: u32,
    /// What is wrong there.
    pub cause: MalformedCause,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedCause {
    /// It is not JSON (RFC 8259).
    NotJson,
    /// Lists and objects within each other, or members of one object, beyond what is read.
    TooManyParts,
    /// A name occurs twice in one object.
    NameTwice,
    /// The value is of another kind: a text where an object belongs, or the like.
    OtherKind,
    /// A field is not there.
    Missing {
        /// Which.
        field: Field,
    },
    /// There is a field that does not belong there.
    Unknown,
    /// The value of a field is not one that it may have.
    Value {
        /// Which.
        field: Field,
    },
}

/// Declares the fields of envelopes and statements, each with its tag and its name.
macro_rules! fields {
    ($($tag:literal $field:ident $name:literal $what:literal;)*) => {
        /// A field of an envelope or of a statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field {
            $(
                #[doc = concat!("`", $name, "`: ", $what, ".")]
                $field,
            )*
        }

        impl Field {
            /// As it is spelled.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }

            /// What its value must be.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$field => $what,)* }
            }
        }

        hv_types::wire_enum!(Field { $($tag => $field {}),* });

        #[cfg(feature = "proptest")]
        impl Field {
            pub(crate) const ALL: &[Self] = &[$(Self::$field),*];
        }
    };
}

fields! {
    0 Payload "payload" "base64 of what is signed";
    1 PayloadType "payloadType" "a text that says what the payload is";
    2 Signatures "signatures" "a list of one to eight signatures";
    3 Sig "sig" "base64 of a signature";
    4 KeyId "keyid" "a text that hints at the key";
    5 Audience "audience" "the DID of the node that it is for";
    6 Signer "signer" "the DID of who makes it";
    7 Nonce "nonce" "32 hexadecimal digits in lower case, used once";
    8 Deadline "deadline" "a time such as 2026-01-31T12:00:00Z";
    9 Session "session" "a session id";
    10 Vouchee "vouchee" "the DID of who is vouched for";
    11 Stake "stake" "a number from 0 to 1 as a text, such as \"0.16\"";
    12 Call "call" "a call: session, agent, action, params, deadline";
    13 Agent "agent" "the DID of who acts";
    14 Action "action" "an action id";
    15 Params "params" "a digest, 64 hexadecimal digits";
    16 Verdict "verdict" "`for` or `against`";
    17 About "about" "the DID of who is accused";
    18 Finding "finding" "`violation`, `drift` or `outside_intent`";
    19 Fault "fault" "a number from 0 to 1 as a text, such as \"0.5\"";
    20 Class "class" "`full`, `partial` or `none`";
    21 Risk "risk" "a number from 0 to 1 as a text, such as \"0.95\"";
    22 Happened "happened" "a time such as 2026-01-31T12:00:00Z";
    23 Evidence "evidence" "a digest, 64 hexadecimal digits";
    24 OnBehalfOf "on_behalf_of" "the DID of whom it is done for";
    25 Key "key" "a did:key";
    26 From "from" "a time such as 2026-01-31T12:00:00Z";
    27 Until "until" "a time such as 2026-01-31T12:00:00Z";
}

hv_types::wire_enum!(TextLimit {
    0 => Envelope {},
    1 => Payload {},
    2 => PayloadType {},
    3 => KeyId {},
    4 => Signature {},
});

hv_types::wire_struct!(Malformed { offset, cause });

hv_types::wire_enum!(MalformedCause {
    0 => NotJson {},
    1 => TooManyParts {},
    2 => NameTwice {},
    3 => OtherKind {},
    4 => Missing { field },
    5 => Unknown {},
    6 => Value { field },
});

hv_types::wire_enum!(Refusal {
    0 => TooLarge { what },
    1 => Malformed { malformed },
    2 => PayloadType {},
    3 => NotCanonical { offset },
    4 => ForeignAudience { audience },
    5 => Expired { deadline },
    6 => TooFarAhead { deadline },
    7 => Signatures { found, wanted },
    8 => Key { signer, fault },
    9 => SignerMismatch { signer, by },
    10 => BadSignature {},
});

impl Refusal {
    /// One word for the reason, for programs: `expired`, `foreign_audience`, `key_revoked`. A released word
    /// never changes its meaning.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::PayloadType => "payload_type",
            Self::NotCanonical { .. } => "not_canonical",
            Self::ForeignAudience { .. } => "foreign_audience",
            Self::Expired { .. } => "expired",
            Self::TooFarAhead { .. } => "too_far_ahead",
            Self::Signatures { .. } => "signatures",
            Self::Key { fault, .. } => fault.name(),
            Self::SignerMismatch { .. } => "signer_mismatch",
            Self::BadSignature => "bad_signature",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { what } => {
                write!(f, "{what} is too long; it may have at most {} bytes", what.bytes())
            }
            Self::Malformed { malformed } => malformed.fmt(f),
            Self::PayloadType => f.write_str(
                "its payload type is not that of a statement; those begin with application/vnd.hv.",
            ),
            Self::NotCanonical { offset } => {
                write!(f, "its payload is not in canonical form from byte {offset} on; sign it again")
            }
            Self::ForeignAudience { audience } => write!(f, "it is addressed to {audience}, another node"),
            Self::Expired { deadline } => write!(f, "it counted until {deadline}; a new one is needed"),
            Self::TooFarAhead { deadline } => write!(
                f,
                "it gives itself until {deadline}, more than {} s ahead; give it a nearer deadline",
                MAX_VALIDITY.as_secs()
            ),
            Self::Key { signer, fault } => write!(f, "{signer}: {fault}"),
            Self::Signatures { found, wanted } => {
                write!(f, "it has {found} signatures, and its kind has exactly {wanted}")
            }
            Self::SignerMismatch { signer, by } => write!(f, "it names {signer}, and {by} stands behind it"),
            Self::BadSignature => f.write_str("a signature does not fit the statement and its signer's key"),
        }
    }
}

impl core::error::Error for Refusal {}

impl fmt::Display for TextLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "the envelope",
            Self::Payload => "the payload",
            Self::PayloadType => "the payload type",
            Self::KeyId => "a key id",
            Self::Signature => "a signature",
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            MalformedCause::NotJson => f.write_str("not JSON"),
            MalformedCause::TooManyParts => f.write_str("more lists and objects than are read"),
            MalformedCause::NameTwice => f.write_str("a name occurs twice in one object"),
            MalformedCause::OtherKind => f.write_str("an object belongs here"),
            MalformedCause::Missing { field } => {
                write!(f, "`{}` is missing: {}", field.name(), field.what())
            }
            MalformedCause::Unknown => f.write_str("this field does not belong here"),
            MalformedCause::Value { field } => write!(f, "`{}` must be {}", field.name(), field.what()),
        }?;
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for Malformed {}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed { malformed }
    }
}
