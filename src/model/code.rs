//! Codes: short fixed names, such as `firewalld-failed`, by which scripts and the manual know what a node is told to have.

/// What a code means, and what to do about it: the cells of the manual's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What was found, or what went wrong. Markdown of one line.
    pub meaning: &'static str,
    /// What to do. Markdown of one line; it begins with `nothing` where nothing has to be done.
    pub remedy: &'static str,
}

impl Explanation {
    /// The remedy as a hint below a message that has no hint of its own; `None` where nothing has to be done.
    pub fn hint(&self) -> Option<&'static str> {
        (!self.remedy.starts_with("nothing")).then_some(self.remedy)
    }
}

/// Declares an enum of codes with the spelling of each: `Stopped = "stopped",`. The enum gets `ALL` and `as_str`, and is
/// displayed and serialized as it is spelled.
macro_rules! codes {
    (
        $(#[$attribute:meta])*
        pub enum $Name:ident {
            $( $(#[$about:meta])* $code:ident = $spelling:literal, )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $Name {
            $( $(#[$about])* $code, )+
        }

        impl $Name {
            /// All of them, in the order of the manual.
            pub const ALL: &'static [$Name] = &[ $( $Name::$code, )+ ];

            /// The spelling that scripts know. It stays the same from version to version.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( $Name::$code => $spelling, )+
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use codes;
