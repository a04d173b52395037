//! What the operator allows beyond the ordinary.

/// What the operator allows beyond the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Whether a network with another subnet may be made anew.
    pub replace_network: Permission,
    /// Whether firewalld may be reloaded.
    pub reload: Reload,
    /// Whether a node on which nothing can be planned is made fit for it first.
    pub recover: Permission,
    /// Whether a reload may activate what others have written permanently and not loaded.
    pub pending: Permission,
}

/// When runtime may be brought about by one reload of firewalld, with the latch on, instead of rule by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reload {
    /// Never.
    Never,
    /// When it is cheaper: hundreds of rules, and nothing of anybody else's waiting in the permanent configuration.
    #[default]
    Auto,
    /// Whenever something is to be done at runtime.
    Always,
}

/// A yes or no of the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Not given.
    #[default]
    Withheld,
    /// Given by a flag.
    Granted,
}
