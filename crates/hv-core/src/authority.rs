//! Whom the node listens to: its own name, the witnesses, the verifiers, the keys, and what was used up.

use crate::charges::Vouching;
use crate::event::{KeyEvent, NodeEvent};
use hv_identity::Registry;
use hv_liability::VouchPolicy;
use hv_rings::class::Override;
use hv_rings::{Nonce, Spent};
use hv_types::wire::{Reader, put_varint};
use hv_types::{ActionId, Did, Illegal, Machine, Timestamp, Undecodable, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whom a node listens to, and what holds in all its sessions.
///
/// Recorded as a whole, so a reader of the trail sees at every point what held. Without one the node has no name,
/// nothing can be addressed to it, and Ring 1 and Ring 0 are closed.
///
/// ```
/// use hv_core::NodeConfig;
/// use hv_core::types::Did;
///
/// let config = NodeConfig::new(Did::new("did:web:node.example")?)
///     .with_witness(Did::new("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp")?)
///     .with_verifier(Did::new("did:mesh:drift-monitor")?);
/// assert_eq!(config.witnesses().len(), 1);
/// # Ok::<(), hv_core::types::BadIdent>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    node: Did,
    witnesses: BTreeSet<Did>,
    verifiers: BTreeSet<Did>,
    overrides: BTreeMap<ActionId, Override>,
    vouching: Vouching,
    grace: Option<Duration>,
}

impl NodeConfig {
    /// A node of this name, which listens to nobody yet.
    #[must_use]
    pub fn new(node: Did) -> Self {
        let (witnesses, verifiers) = (BTreeSet::new(), BTreeSet::new());
        let (overrides, vouching) = (BTreeMap::new(), Vouching::default());
        Self { node, witnesses, verifiers, overrides, vouching, grace: None }
    }

    /// With somebody whose word opens Ring 0, one call at a time.
    #[must_use]
    pub fn with_witness(mut self, did: Did) -> Self {
        self.witnesses.insert(did);
        self
    }

    /// With somebody whose findings lead to a slash.
    #[must_use]
    pub fn with_verifier(mut self, did: Did) -> Self {
        self.verifiers.insert(did);
        self
    }

    /// With the terms on which an action's calls are decided in every session that does not set its own.
    #[must_use]
    pub fn with_override(mut self, action: ActionId, set: Override) -> Self {
        self.overrides.insert(action, set);
        self
    }

    /// With other numbers for who vouches for whom. They change only while nothing is bonded and nobody is charged.
    #[must_use]
    pub const fn with_vouching(mut self, vouching: Vouching) -> Self {
        self.vouching = vouching;
        self
    }

    /// With time for the accused: what would slash an agent charges it, and is carried out after so long unless
    /// somebody contests it. Without, it is slashed at once.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// The node's own name: what statements for it are addressed to.
    #[must_use]
    pub const fn node(&self) -> &Did {
        &self.node
    }

    /// Whose word opens Ring 0.
    #[must_use]
    pub const fn witnesses(&self) -> &BTreeSet<Did> {
        &self.witnesses
    }

    /// Whose findings lead to a slash.
    #[must_use]
    pub const fn verifiers(&self) -> &BTreeSet<Did> {
        &self.verifiers
    }

    /// The terms that are set for actions.
    #[must_use]
    pub const fn overrides(&self) -> &BTreeMap<ActionId, Override> {
        &self.overrides
    }

    /// By which numbers agents vouch and answer.
    #[must_use]
    pub const fn vouching(&self) -> Vouching {
        self.vouching
    }

    /// How long a charge may be contested; nothing where whoever violates is slashed at once.
    #[must_use]
    pub const fn grace(&self) -> Option<Duration> {
        self.grace
    }

    /// All numbers by which the ledger goes.
    #[must_use]
    pub fn policy(&self) -> VouchPolicy {
        let policy = self.vouching.policy();
        VouchPolicy { grace: self.grace.unwrap_or(policy.grace), ..policy }
    }
}

/// INVARIANT (A4): names are encoded in order and once, so a configuration has one encoding.
impl Wire for NodeConfig {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { node, witnesses, verifiers, overrides, vouching, grace } = self;
        node.put(out);
        for names in [witnesses, verifiers] {
            put_varint(names.len() as u64, out);
            names.iter().for_each(|did| did.put(out));
        }
        put_varint(overrides.len() as u64, out);
        for (action, set) in overrides {
            action.put(out);
            set.put(out);
        }
        vouching.put(out);
        grace.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let node = Did::take(reader)?;
        let (witnesses, verifiers) = (Vec::<Did>::take(reader)?, Vec::<Did>::take(reader)?);
        let overrides = Vec::<(ActionId, Override)>::take(reader)?;
        let ordered = ascends(&witnesses, |did| did)
            && ascends(&verifiers, |did| did)
            && ascends(&overrides, |(action, _)| action);
        if !ordered {
            return Err(reader.invalid("NodeConfig"));
        }
        let (witnesses, verifiers) = (witnesses.into_iter().collect(), verifiers.into_iter().collect());
        let (overrides, vouching) = (overrides.into_iter().collect(), Vouching::take(reader)?);
        let grace = Wire::take(reader)?;
        Ok(Self { node, witnesses, verifiers, overrides, vouching, grace })
    }
}

fn ascends<T, K: Ord>(items: &[T], key: impl Fn(&T) -> &K) -> bool {
    items.windows(2).all(|pair| matches!(pair, [a, b] if key(a) < key(b)))
}

/// What the node stream makes of [`NodeConfig`], keys and used statements.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    config: Option<Box<NodeConfig>>,
    keys: Registry,
    spent: Spent,
    /// How many used statements are remembered before what has expired is forgotten again.
    crowded: usize,
}

crate::seldom::blank!(Authority);

/// As a snapshot keeps it.
impl Wire for Authority {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { config, keys, spent, crowded } = self;
        config.put(out);
        keys.compact().put(out);
        put_varint(spent.len() as u64, out);
        for (by, nonce, deadline) in spent.iter() {
            by.put(out);
            nonce.put(out);
            deadline.put(out);
        }
        put_varint(*crowded as u64, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let config = Wire::take(reader)?;
        let mut keys = Registry::default();
        for event in Vec::<KeyEvent>::take(reader)? {
            keys.apply(&event).map_err(|_| reader.invalid("Registry"))?;
        }
        let mut spent = Spent::default();
        for (by, nonce, deadline) in Vec::<(Did, Nonce, Timestamp)>::take(reader)? {
            spent.spend(&by, nonce, deadline);
        }
        let crowded = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        Ok(Self { config, keys, spent, crowded })
    }
}

/// Fewer used statements than this are never worth sweeping.
const FEW: usize = 1024;

impl Authority {
    pub(crate) fn config(&self) -> Option<&NodeConfig> {
        self.config.as_deref()
    }

    pub(crate) const fn keys(&self) -> &Registry {
        &self.keys
    }

    pub(crate) const fn spent(&self) -> &Spent {
        &self.spent
    }

    pub(crate) fn apply(&mut self, event: &NodeEvent) -> Result<(), Illegal> {
        match event {
            NodeEvent::Configured { config, witness, .. } => {
                let known = self.config().map(NodeConfig::witnesses);
                let witnessed = match (known, witness) {
                    (None, None) => true,
                    (Some(known), Some(witness)) => known.contains(witness),
                    _ => false,
                };
                if !witnessed {
                    return Err(Illegal::new("a node is configured once, and again by a witness's word"));
                }
                self.config = Some(config.clone());
                Ok(())
            }
            NodeEvent::Key { event } => self.key(event),
            NodeEvent::Spent { by, nonce, deadline, at } => self.spend(by, *nonce, *deadline, *at),
            NodeEvent::Governed { witness, .. } => {
                let known = self.config.as_ref().is_some_and(|config| config.witnesses.contains(witness));
                if known { Ok(()) } else { Err(Illegal::new("the supervisor changes by a witness's word")) }
            }
            // What is refused, and what is told of others, changes nobody's authority.
            _ => Ok(()),
        }
    }

    fn key(&mut self, event: &KeyEvent) -> Result<(), Illegal> {
        if self.config.is_none() {
            return Err(Illegal::new("a node has a name before it knows keys"));
        }
        self.keys.apply(event)
    }

    /// INVARIANT: a statement is used once. What is remembered is bounded by what was used in the longest time
    /// for which a statement can count, and costs O(1) on average.
    fn spend(&mut self, by: &Did, nonce: Nonce, deadline: Timestamp, at: Timestamp) -> Result<(), Illegal> {
        if self.spent.contains(by, nonce) {
            return Err(Illegal::new("a statement is used once"));
        }
        self.spent.spend(by, nonce, deadline);
        if self.spent.len() > self.crowded.max(FEW) {
            self.spent.forget_expired(at);
            self.crowded = self.spent.len().saturating_mul(2);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(name: &str) -> Did {
        Did::new(&format!("did:mesh:{name}")).unwrap()
    }

    fn spent(n: u64, deadline: u64, at: u64) -> NodeEvent {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&n.to_le_bytes());
        NodeEvent::Spent {
            by: did("a"),
            nonce: Nonce(nonce),
            deadline: Timestamp(deadline),
            at: Timestamp(at),
        }
    }

    #[test]
    fn a_configuration_has_one_encoding() {
        let config = NodeConfig::new(did("node"))
            .with_witness(did("w2"))
            .with_witness(did("w1"))
            .with_verifier(did("v"))
            .with_override(ActionId::new("a").unwrap(), Override::default())
            .with_vouching(Vouching::Reference)
            .with_grace(Duration::from_secs(60));
        let bytes = config.to_bytes();
        assert_eq!(NodeConfig::from_bytes(&bytes), Ok(config));
        let turned = (did("node"), (vec![did("w2"), did("w1")], (vec![did("v")], vec![0u8; 2]))).to_bytes();
        assert!(NodeConfig::from_bytes(&turned).is_err(), "out of order");
        let twice = (did("node"), (vec![did("w1"), did("w1")], (vec![did("v")], vec![0u8; 0]))).to_bytes();
        assert!(NodeConfig::from_bytes(&twice).is_err(), "the same twice");
    }

    #[test]
    fn what_can_no_longer_count_is_forgotten_and_what_can_is_not() {
        let mut authority = Authority::default();
        for n in 0..10_000 {
            // Each counts for 100 more nanoseconds.
            authority.apply(&spent(n, n + 100, n)).unwrap();
            assert!(authority.spent.len() <= FEW + 1, "{n}");
        }
        assert!(authority.apply(&spent(9_999, 20_000, 10_000)).is_err(), "used twice");
        assert!(authority.apply(&spent(9_950, 20_000, 10_000)).is_err());
    }

    #[test]
    fn no_record_configures_a_node_without_the_word_of_a_witness_of_the_one_before() {
        let mut authority = Authority::default();
        let config = NodeConfig::new(did("node")).with_witness(did("w"));
        let configured = |config: &NodeConfig, witness: Option<&str>| NodeEvent::Configured {
            config: Box::new(config.clone()),
            by: did("operator"),
            witness: witness.map(did),
        };
        let governed = |witness: &str| NodeEvent::Governed {
            action: ActionId::new("hv.slash").unwrap(),
            params: hv_types::Digest::default(),
            by: did("operator"),
            witness: did(witness),
        };
        assert!(authority.apply(&configured(&config, Some("w"))).is_err());
        assert!(authority.apply(&governed("w")).is_err());
        authority.apply(&configured(&config, None)).unwrap();
        let other = NodeConfig::new(did("node")).with_witness(did("x"));
        assert!(authority.apply(&configured(&other, None)).is_err());
        assert!(authority.apply(&configured(&other, Some("x"))).is_err(), "the new set has no say in it");
        assert!(authority.apply(&governed("x")).is_err());
        authority.apply(&governed("w")).unwrap();
        authority.apply(&configured(&other, Some("w"))).unwrap();
        assert_eq!(authority.config(), Some(&other));
    }
}
