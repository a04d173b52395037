//! What the operator allows beyond the ordinary.

/// What the operator allows beyond the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Whether a network with another subnet may be recreated.
    pub replace_network: Permission,
    /// Whether firewalld may be reloaded.
    pub reload: Reload,
    /// Whether a node on which nothing can be planned is made fit for it first.
    pub recover: Permission,
    /// Whether a reload may activate what others have written permanently and not loaded.
    pub pending: Permission,
}

/// When the runtime configuration may be changed by one reload of firewalld under the latch, instead of rule by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reload {
    /// Never.
    Never,
    /// When it is faster (hundreds of rules) and no changes by others are pending in the permanent configuration.
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
