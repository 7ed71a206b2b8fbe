//! Manifests from the sidecar that stands beside an agent.

use super::{NoAnswer, Server};
use crate::iatp::MANIFEST_MAX_BYTES;
use crate::manifest::{Fetched, ManifestFault, ManifestSource, Provenance};
use hv_types::Did;
use std::fmt;
use std::time::Duration;

/// An IATP sidecar: it hands out the manifest of the one agent that it stands beside, at
/// `/.well-known/agent-manifest`. Whoever else is asked about gets that manifest too, and is not admitted by it.
pub struct Sidecar {
    server: Server,
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("url", &self.server.url).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// The sidecar at an address, such as `http://127.0.0.1:8081`.
    #[must_use]
    pub fn new(url: &str, deadline: Duration) -> Self {
        Self { server: Server::new(url, deadline, MANIFEST_MAX_BYTES) }
    }
}

impl ManifestSource for Sidecar {
    fn fetch(&self, agent: &Did) -> Result<Fetched, ManifestFault> {
        let unreachable = |source| ManifestFault::Unreachable { source };
        let answer = match self.server.exchange("GET", "/.well-known/agent-manifest", None) {
            Ok(answer) => answer,
            Err(NoAnswer::TooLarge) => return Err(ManifestFault::TooLarge { limit: MANIFEST_MAX_BYTES }),
            Err(NoAnswer::Unreachable(why)) => return Err(unreachable(why)),
        };
        match answer.status {
            200 => match String::from_utf8(answer.body) {
                Ok(text) => Ok(Fetched { text, provenance: Provenance::WireUnattested }),
                Err(_) => Err(unreachable(format!("{} (no UTF-8)", self.server.url))),
            },
            404 | 410 => Err(ManifestFault::None { agent: agent.clone() }),
            status => Err(unreachable(format!("{} (status {status})", self.server.url))),
        }
    }
}
