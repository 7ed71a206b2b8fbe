//! Who may do what with one file.

use core::fmt;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Undecodable, Wire};

/// The most rules that one list may have.
pub const ACL_MAX_RULES: usize = 256;

/// One thing that can be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read its contents, old ones too.
    Read,
    /// Give it new contents, or an old one again.
    Write,
    /// Delete or rename it.
    Delete,
    /// Give others what one may oneself.
    Share,
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

/// Whom a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grantee {
    /// Every member.
    Everyone,
    /// The agent of this ordinal.
    Member {
        /// The ordinal in the session.
        ordinal: u32,
    },
}

/// A list of what members other than the owner may do with a file. What no rule allows is not allowed, and what
/// one rule denies, none allows. The owner may do everything, whatever the list says.
///
/// A file without a list is open: every member may read, write and delete it.
///
/// ```
/// use hv_session::{Acl, Grantee, Right, Rights};
///
/// let three = Grantee::Member { ordinal: 3 };
/// let acl = Acl::closed().allow(Grantee::Everyone, Rights::READ.and(Rights::WRITE)).deny(three, Rights::WRITE);
/// assert!(acl.permits(3, Right::Read) && acl.permits(4, Right::Write));
/// assert!(!acl.permits(3, Right::Write) && !acl.permits(4, Right::Delete));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Acl {
    /// In the order of grantees, each once, none empty: equal lists have equal rules.
    rules: Vec<Rule>,
}

/// What a list says of one grantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Of whom.
    pub who: Grantee,
    /// What is allowed, unless it is denied.
    pub allow: Rights,
    /// What is denied.
    pub deny: Rights,
}

impl Acl {
    /// A list without a rule: for the owner alone.
    #[must_use]
    pub const fn closed() -> Self {
        Self { rules: Vec::new() }
    }

    /// The same, with this allowed besides.
    #[must_use]
    pub fn allow(self, who: Grantee, rights: Rights) -> Self {
        self.with(Rule { who, allow: rights, deny: Rights::NONE })
    }

    /// The same, with this denied.
    #[must_use]
    pub fn deny(self, who: Grantee, rights: Rights) -> Self {
        self.with(Rule { who, allow: Rights::NONE, deny: rights })
    }

    /// The rules in the order of grantees, everyone first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the list lets an agent that is not the owner do this. O(rules).
    #[must_use]
    pub fn permits(&self, ordinal: u32, right: Right) -> bool {
        self.rights_of(Grantee::Member { ordinal }).has(right)
    }

    /// What the list leaves the grantee.
    fn rights_of(&self, who: Grantee) -> Rights {
        let about = |rule: &&Rule| rule.who == Grantee::Everyone || rule.who == who;
        let rules = || self.rules.iter().filter(about);
        let allowed = rules().fold(Rights::NONE, |rights, rule| rights.and(rule.allow));
        rules().fold(allowed, |rights, rule| rights.without(rule.deny))
    }

    /// Whether this list differs from `old` only by what an agent may give away that has these rights: allowing
    /// them to somebody.
    pub(crate) fn only_gives(&self, old: &Self, own: Rights) -> bool {
        let none = |who| Rule { who, allow: Rights::NONE, deny: Rights::NONE };
        let rule = |list: &Self, who| list.rules.iter().find(|r| r.who == who).copied().unwrap_or(none(who));
        self.rules.iter().chain(&old.rules).all(|at| {
            let (new, old) = (rule(self, at.who), rule(old, at.who));
            let given = new.allow.without(old.allow);
            new.deny == old.deny
                && old.allow.without(new.allow) == Rights::NONE
                && given.without(own) == Rights::NONE
        })
    }

    /// What an agent that is not the owner may do.
    pub(crate) fn rights(&self, ordinal: u32) -> Rights {
        self.rights_of(Grantee::Member { ordinal })
    }

    fn with(mut self, added: Rule) -> Self {
        if added.allow == Rights::NONE && added.deny == Rights::NONE {
            return self;
        }
        match self.rules.binary_search_by_key(&added.who, |rule| rule.who) {
            Ok(place) => {
                if let Some(rule) = self.rules.get_mut(place) {
                    rule.allow = rule.allow.and(added.allow);
                    rule.deny = rule.deny.and(added.deny);
                }
            }
            Err(place) => self.rules.insert(place, added),
        }
        self
    }
}

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// [`Right::Read`].
    pub const READ: Self = Self(1);
    /// [`Right::Write`].
    pub const WRITE: Self = Self(2);
    /// [`Right::Delete`].
    pub const DELETE: Self = Self(4);
    /// [`Right::Share`].
    pub const SHARE: Self = Self(8);
    /// All four.
    pub const ALL: Self = Self(15);

    /// These and the others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether the right is among them.
    #[must_use]
    pub const fn has(self, right: Right) -> bool {
        let one = match right {
            Right::Read => Self::READ,
            Right::Write => Self::WRITE,
            Right::Delete => Self::DELETE,
            Right::Share => Self::SHARE,
        };
        self.0 & one.0 != 0
    }
}

impl Right {
    /// As it is shown to people: `read`, `write`, `delete`, `share`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Share => "share",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Right::Read, Right::Write, Right::Delete, Right::Share];
        f.debug_set().entries(all.into_iter().filter(|&right| self.has(right))).finish()
    }
}

hv_types::wire_enum!(Grantee { 0 => Everyone {}, 1 => Member { ordinal } });
hv_types::wire_struct!(Rule { who, allow, deny });

impl Wire for Rights {
    fn put(&self, out: &mut Bytes) {
        out.push(self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let bits = reader.byte()?;
        if bits & !Self::ALL.0 == 0 { Ok(Self(bits)) } else { Err(reader.invalid("Rights")) }
    }
}

impl Wire for Acl {
    fn put(&self, out: &mut Bytes) {
        self.rules.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let rules = Vec::<Rule>::take(reader)?;
        let sorted = rules.is_sorted_by(|a, b| a.who < b.who);
        let empty = rules.iter().any(|rule| rule.allow == Rights::NONE && rule.deny == Rights::NONE);
        if !sorted || empty || rules.len() > ACL_MAX_RULES {
            return Err(reader.invalid("Acl"));
        }
        Ok(Self { rules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Grantee = Grantee::Member { ordinal: 1 };
    const TWO: Grantee = Grantee::Member { ordinal: 2 };

    #[test]
    fn deny_wins_whoever_it_names() {
        let rights = [Rights::READ, Rights::WRITE, Rights::DELETE, Rights::SHARE];
        for (right, set) in [Right::Read, Right::Write, Right::Delete, Right::Share].into_iter().zip(rights) {
            for (allowed, denied, permits) in [
                (None, None, false),
                (Some(ONE), None, true),
                (Some(Grantee::Everyone), None, true),
                (Some(TWO), None, false),
                (Some(ONE), Some(ONE), false),
                (Some(ONE), Some(Grantee::Everyone), false),
                (Some(Grantee::Everyone), Some(ONE), false),
                (Some(Grantee::Everyone), Some(TWO), true),
            ] {
                let acl = allowed.map_or(Acl::closed(), |who| Acl::closed().allow(who, set));
                let acl = denied.map_or(acl.clone(), |who| acl.deny(who, set));
                assert_eq!(acl.permits(1, right), permits, "{acl:?}");
            }
        }
    }

    #[test]
    fn sharing_gives_only_what_one_has_and_takes_nothing() {
        let old = Acl::closed().allow(ONE, Rights::READ.and(Rights::SHARE)).deny(TWO, Rights::DELETE);
        let own = old.rights(1);
        assert!(old.only_gives(&old, own));
        assert!(old.clone().allow(TWO, Rights::READ).only_gives(&old, own));
        assert!(old.clone().allow(Grantee::Everyone, Rights::READ).only_gives(&old, own));
        assert!(!old.clone().allow(TWO, Rights::WRITE).only_gives(&old, own), "more than it has");
        assert!(!old.clone().deny(Grantee::Everyone, Rights::READ).only_gives(&old, own));
        assert!(!Acl::closed().allow(ONE, own).only_gives(&old, own), "a denial taken away");
        assert!(!Acl::closed().deny(TWO, Rights::DELETE).only_gives(&old, own), "a right taken away");
    }

    #[test]
    fn golden_bytes_and_one_encoding() {
        let acl = Acl::closed().deny(ONE, Rights::WRITE).allow(Grantee::Everyone, Rights::ALL);
        let bytes = [2, 0, 15, 0, 1, 1, 0, 2];
        assert_eq!(acl.to_bytes(), bytes);
        assert_eq!(Acl::from_bytes(&bytes), Ok(acl));
        for bad in [&[2, 1, 1, 0, 2, 0, 15, 0][..], &[2, 0, 1, 0, 0, 2, 0], &[1, 0, 0, 0], &[1, 0, 16, 0]] {
            assert!(Acl::from_bytes(bad).is_err(), "{bad:?}");
        }
    }
}
