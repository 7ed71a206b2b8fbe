//! Context that agents share outside of hv: files somewhere else, and somebody who says whether a request may go
//! there.

use core::fmt;
use hv_types::{Did, SessionId};
use std::sync::Arc;

/// The longest file that is exchanged, in bytes.
pub const CONTEXT_MAX_BYTES: usize = 1024 * 1024;

/// A file as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Its text.
    pub content: String,
    /// Who changed it last, as the store says.
    pub modified_by: String,
}

/// What the store's gateway says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayVerdict {
    /// What forbids it; nothing where it may go.
    pub violations: Vec<String>,
}

impl GatewayVerdict {
    /// Whether the request may go.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Keeps files for agents outside of hv.
///
/// An implementation bounds its own waiting and what it reads.
pub trait ContextStore: Send + Sync {
    /// A file; nothing where there is none.
    ///
    /// # Errors
    /// [`ContextFault`].
    fn read(&self, path: &str) -> Result<Option<ContextFile>, ContextFault>;

    /// Gives a file a new content in the name of an agent; makes it where there is none.
    ///
    /// # Errors
    /// [`ContextFault`]; it may have been written all the same.
    fn write(&self, path: &str, content: &str, by: &Did) -> Result<(), ContextFault>;

    /// Takes a file away in the name of an agent. One that is not there is no error.
    ///
    /// # Errors
    /// [`ContextFault`]; it may be gone all the same.
    fn remove(&self, path: &str, by: &Did) -> Result<(), ContextFault>;

    /// What the gateway says of this agent's request.
    ///
    /// # Errors
    /// [`ContextFault`], which never allows anything.
    fn verdict(&self, agent: &Did, request: &str) -> Result<GatewayVerdict, ContextFault>;
}

/// Where a file of a session lies in the store: `/sessions/<id>/<path>`.
#[must_use]
pub fn outside(session: &SessionId, path: &str) -> String {
    format!("/sessions/{session}/{}", path.trim_start_matches('/'))
}

impl<S: ContextStore + ?Sized> ContextStore for Arc<S> {
    fn read(&self, path: &str) -> Result<Option<ContextFile>, ContextFault> {
        (**self).read(path)
    }

    fn write(&self, path: &str, content: &str, by: &Did) -> Result<(), ContextFault> {
        (**self).write(path, content, by)
    }

    fn remove(&self, path: &str, by: &Did) -> Result<(), ContextFault> {
        (**self).remove(path, by)
    }

    fn verdict(&self, agent: &Did, request: &str) -> Result<GatewayVerdict, ContextFault> {
        (**self).verdict(agent, request)
    }
}

/// Why a store has no answer: one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFault(pub String);

impl fmt::Display for ContextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ContextFault {}
