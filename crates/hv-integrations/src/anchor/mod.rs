//! Anchors: a digest put where whoever runs the log cannot take it back, and what became of it.
//!
//! The port is [`Anchor`]; [`advance`] moves one digest on, and says each step before it takes the next, so that a
//! process which is killed anywhere sends the same thing again and nothing twice.
//!
//! | where | what it is worth | feature |
//! |---|---|---|
//! | [`FileAnchor`], [`GitAnchor`] | as much as whoever keeps the file or the repository; never final | none |
//! | [`evm::EvmAnchor`] | final once so many blocks lie on top | `evm` |
//! | [`tsa::TsaAnchor`] | final once `openssl` has verified the authority's signature | `rfc3161` |

mod local;
mod outbox;

#[cfg(feature = "evm")]
pub mod evm;
#[cfg(feature = "rfc3161")]
pub mod tsa;

pub use local::{FileAnchor, GitAnchor};
pub use outbox::{AnchorState, Anchoring, advance};

use core::fmt;
use hv_types::Digest;

/// Somewhere to anchor digests.
pub trait Anchor: fmt::Debug {
    /// What it is and where, as one line that tells it from every other.
    fn target(&self) -> String;

    /// Makes ready what [`send`](Self::send) will send. Nothing outside changes, and nothing was sent yet.
    ///
    /// # Errors
    /// [`AnchorFault`].
    fn prepare(&self, digest: &Digest) -> Result<Vec<u8>, AnchorFault>;

    /// Sends what was made ready; gives what is to be kept of the answer. Sending the same again does nothing.
    ///
    /// # Errors
    /// [`AnchorFault`]. It may have arrived all the same, unless it was refused.
    fn send(&self, digest: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault>;

    /// Looks where it stands now.
    ///
    /// # Errors
    /// [`AnchorFault`]; nothing is known then.
    fn look(&self, digest: &Digest, receipt: &[u8]) -> Result<Look, AnchorFault>;
}

/// Where an anchor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It arrived and waits.
    Pending,
    /// It is there.
    Included {
        /// What shows it.
        receipt: Vec<u8>,
        /// Whether nobody can take it back any more.
        is_final: bool,
    },
    /// It is not there; sending it again may help.
    Missing,
    /// It is not there and can never be; another has to be made.
    Lost,
}

/// Why an anchor did not answer, or what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnchorFault {
    /// Nobody answers, or not in time.
    Unreachable {
        /// What was tried, and what happened.
        why: String,
    },
    /// It refuses.
    Refused {
        /// What it says.
        why: String,
    },
    /// What it answers makes no sense, or a setting does not.
    Unusable {
        /// What.
        why: String,
    },
}

impl fmt::Display for AnchorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => write!(f, "the anchor cannot be reached: {why}; try again later"),
            Self::Refused { why } => write!(f, "the anchor refuses: {why}"),
            Self::Unusable { why } => write!(f, "the anchor cannot be used: {why}"),
        }
    }
}

impl core::error::Error for AnchorFault {}

#[cfg(any(feature = "evm", feature = "rfc3161"))]
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(core::time::Duration::from_secs(10)))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent("hv")
        .build();
    config.new_agent()
}

/// Sends bytes by an HTTP POST; gives the status and the answer, of at most a megabyte. Waits ten seconds at most, follows no
/// redirect and uses no proxy.
///
/// # Errors
/// [`AnchorFault::Unreachable`].
#[cfg(any(feature = "evm", feature = "rfc3161"))]
pub fn post(url: &str, content_type: &str, body: &[u8]) -> Result<(u16, Vec<u8>), AnchorFault> {
    let why = |error: ureq::Error| AnchorFault::Unreachable { why: error.to_string() };
    let mut answer = agent().post(url).content_type(content_type).send(body).map_err(why)?;
    let bytes = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec().map_err(why)?;
    Ok((answer.status().as_u16(), bytes))
}

/// An answer is at most so long, in bytes.
#[cfg(any(feature = "evm", feature = "rfc3161"))]
const ANSWER_MAX_BYTES: u64 = 1 << 20;
