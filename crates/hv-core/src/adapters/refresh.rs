//! Before anything is decided about an agent, the scorer's answer about it is brought up to date.

use super::TrustPort;
use super::scores::Answered;
use crate::error::Error;
use crate::event::NodeEvent;
use crate::node::{Draft, Node};
use crate::state::Slot;
use hv_liability::{Command, Source};
use hv_types::{Did, Machine, SessionId, Sigma, Timestamp};

/// A scorer's answer about an agent that is about to join.
pub(crate) type Asked = Result<(Sigma, Timestamp), String>;

/// What is heard of an agent that is about to join. It counts where the session has a scorer.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What the scorer says now.
    Answer(Asked),
    /// Nobody was asked, because the session had no scorer then.
    Unasked,
    /// There is nobody to ask.
    NoScorer,
}

impl Node {
    /// Asks the scorer about those of these agents whose answers are over or nearly so, where the session has a
    /// scorer. Costs nothing where no scorer is connected.
    pub(crate) async fn refresh(
        &self,
        session: &SessionId,
        agents: impl FnOnce(&Slot) -> Vec<Did>,
    ) -> Result<(), Error> {
        let Some(port) = self.ports().trust() else { return Ok(()) };
        let due = self.read(|state, now| {
            let slot = state.slot(session).filter(|slot| slot.adapted.scored());
            let mut due = slot.map(agents).unwrap_or_default();
            due.sort_unstable();
            due.dedup();
            due.retain(|agent| match state.scores.answer(agent) {
                Some(Answered::Scored { until, .. }) => !port.lasts(*until, now),
                Some(Answered::Unscored) | None => true,
            });
            due
        })?;
        if due.is_empty() {
            return Ok(());
        }
        // Rare, so that no other request has to have room for it.
        Box::pin(self.hear(&port, due)).await
    }

    /// Asks about these agents, one after the other, and records what is new.
    async fn hear(&self, port: &TrustPort, due: Vec<Did>) -> Result<(), Error> {
        for agent in due {
            let answer = port.ask(&agent, self.now()).await;
            self.commit(|state, now| {
                let mut draft = Draft::default();
                match answer {
                    Ok((sigma, until)) => {
                        let same = Answered::Scored { sigma, until };
                        if state.scores.answer(&agent) == Some(&same) {
                            return Ok((draft, ()));
                        }
                        if state.ledger.agent(&agent).is_none() {
                            let endow =
                                Command::Endow { agent: agent.clone(), sigma, source: Source::Scored };
                            // One that the ledger cannot take stays one of whom nothing is known.
                            draft = draft.ledger(state.ledger.decide(&endow, now).unwrap_or_default());
                        }
                        draft = draft.node(vec![NodeEvent::Scored { agent, sigma, until }]);
                    }
                    Err(why) => {
                        let known = state.scores.answer(&agent);
                        let holds = matches!(known, Some(Answered::Scored { until, .. }) if now <= *until);
                        if !holds && known != Some(&Answered::Unscored) {
                            draft = draft.node(vec![NodeEvent::Unscored { agent, why }]);
                        }
                    }
                }
                Ok((draft, ()))
            })
            .await?;
        }
        Ok(())
    }

    /// What the scorer says of somebody who wants to join. It costs nothing where none is connected.
    pub(crate) async fn asked(&self, session: &SessionId, agent: &Did) -> Result<Heard, Error> {
        let Some(port) = self.ports().trust() else { return Ok(Heard::NoScorer) };
        let scored = self.look(|state| state.slot(session).is_some_and(|slot| slot.adapted.scored()))?;
        if !scored {
            return Ok(Heard::Unasked);
        }
        Ok(Heard::Answer(Box::pin(port.ask(agent, self.now())).await))
    }
}
