//! Which records of a trail are meant.

use super::args::FilterArgs;
use super::told::Told;
use hv_core::audit::Entry;

impl FilterArgs {
    /// Whether a record passes: it happened in time, in or about the session, and names agent and action.
    pub(super) fn passes(&self, entry: &Entry<'_>, label: &str, told: &[Told]) -> bool {
        let named = |text: &str| told.iter().any(|told| told.names(text));
        let session = |id: &str| label == id || named(id);
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && self.session.as_ref().is_none_or(|id| session(id.as_str()))
            && self.agent.as_ref().is_none_or(|agent| named(agent.as_str()))
            && self.action.as_ref().is_none_or(|action| named(action.as_str()))
    }
}
