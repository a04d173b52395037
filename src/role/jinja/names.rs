//! The names of filters and tests: those that are here, and those of Ansible that are not, with the reason.

use crate::inventory::suggest::closest;
use crate::role::jinja::arguments::COLLECTIONS;

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::role) enum Kind {
    /// `value | name`
    Filter,
    /// `value is name`
    Test,
}

impl Kind {
    /// The word for it.
    pub(in crate::role) fn word(self) -> &'static str {
        match self {
            Kind::Filter => "filter",
            Kind::Test => "test",
        }
    }

    fn known(self) -> &'static [&'static str] {
        match self {
            Kind::Filter => FILTERS,
            Kind::Test => TESTS,
        }
    }
}

/// All filters.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "b64decode",
    "b64encode",
    "basename",
    "batch",
    "bool",
    "capitalize",
    "checksum",
    "combinations",
    "combine",
    "count",
    "d",
    "default",
    "dict2items",
    "dictsort",
    "difference",
    "dirname",
    "extract",
    "first",
    "flatten",
    "float",
    "format",
    "from_json",
    "from_yaml",
    "groupby",
    "hash",
    "indent",
    "int",
    "intersect",
    "ipaddr",
    "ipmath",
    "ipsubnet",
    "ipv4",
    "ipv6",
    "ipwrap",
    "items",
    "items2dict",
    "join",
    "last",
    "length",
    "list",
    "log",
    "lower",
    "mandatory",
    "map",
    "max",
    "md5",
    "min",
    "normpath",
    "nthhost",
    "path_join",
    "permutations",
    "pow",
    "product",
    "quote",
    "regex_escape",
    "regex_findall",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "root",
    "round",
    "select",
    "selectattr",
    "sha1",
    "slice",
    "sort",
    "split",
    "splitext",
    "string",
    "subelements",
    "sum",
    "symmetric_difference",
    "ternary",
    "title",
    "to_json",
    "to_nice_json",
    "tojson",
    "trim",
    "type_debug",
    "union",
    "unique",
    "upper",
    "values",
    "wordcount",
    "zip",
    "zip_longest",
    "cidr_merge",
    "network_in_network",
    "network_in_usable",
];

/// All tests.
pub(super) const TESTS: &[&str] = &[
    "all",
    "any",
    "boolean",
    "callable",
    "contains",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "false",
    "falsy",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "isnan",
    "issubset",
    "issuperset",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "match",
    "nan",
    "ne",
    "none",
    "number",
    "odd",
    "regex",
    "sameas",
    "search",
    "sequence",
    "string",
    "subset",
    "superset",
    "test",
    "true",
    "truthy",
    "undefined",
    "upper",
    "version",
    "version_compare",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "abs",
];

const TIME: &str = "its value would be another one at each run";
const TASK: &str = "it is about the result of a task, and fwdeploy runs none";
const FILE: &str = "templates look at no files, except with `lookup('file', …)`";
const OTHER: &str = "it makes nothing that a policy needs";

/// What Ansible has, and fwdeploy has not.
const REFUSED: &[(Kind, &str, &str)] = &[
    (
        Kind::Filter,
        "json_query",
        "it needs JMESPath: use `selectattr` and `map(attribute=…)`",
    ),
    (Kind::Filter, "to_yaml", "use `to_json`, which is YAML too"),
    (
        Kind::Filter,
        "to_nice_yaml",
        "use `to_nice_json`, which is YAML too",
    ),
    (
        Kind::Filter,
        "from_yaml_all",
        "use `from_yaml`, for one document",
    ),
    (Kind::Filter, "random", TIME),
    (Kind::Filter, "shuffle", TIME),
    (Kind::Filter, "random_mac", TIME),
    (Kind::Filter, "password_hash", TIME),
    (Kind::Filter, "strftime", TIME),
    (Kind::Filter, "to_datetime", TIME),
    (
        Kind::Filter,
        "vault",
        "encrypt the value with `ansible-vault encrypt_string`",
    ),
    (Kind::Filter, "unvault", "write the value as `!vault`"),
    (Kind::Filter, "fileglob", FILE),
    (Kind::Filter, "realpath", FILE),
    (Kind::Filter, "expanduser", FILE),
    (Kind::Filter, "expandvars", "use `lookup('env', …)`"),
    (Kind::Filter, "relpath", FILE),
    (Kind::Filter, "commonpath", OTHER),
    (Kind::Filter, "comment", OTHER),
    (Kind::Filter, "human_readable", OTHER),
    (Kind::Filter, "human_to_bytes", OTHER),
    (Kind::Filter, "rekey_on_member", OTHER),
    (Kind::Filter, "to_uuid", OTHER),
    (Kind::Filter, "urldecode", OTHER),
    (Kind::Filter, "urlencode", OTHER),
    (Kind::Filter, "urlsplit", "use `regex_replace`"),
    (Kind::Filter, "win_basename", OTHER),
    (Kind::Filter, "win_dirname", OTHER),
    (Kind::Filter, "win_splitdrive", OTHER),
    (Kind::Filter, "center", OTHER),
    (Kind::Filter, "escape", OTHER),
    (Kind::Filter, "e", OTHER),
    (Kind::Filter, "forceescape", OTHER),
    (Kind::Filter, "filesizeformat", OTHER),
    (Kind::Filter, "pprint", "use `to_nice_json`"),
    (Kind::Filter, "safe", OTHER),
    (Kind::Filter, "striptags", OTHER),
    (Kind::Filter, "truncate", OTHER),
    (Kind::Filter, "urlize", OTHER),
    (Kind::Filter, "wordwrap", OTHER),
    (Kind::Filter, "xmlattr", OTHER),
    (Kind::Filter, "hwaddr", "a policy has no MAC addresses"),
    (Kind::Filter, "macaddr", "a policy has no MAC addresses"),
    (Kind::Filter, "ip4_hex", OTHER),
    (Kind::Filter, "ipcut", OTHER),
    (Kind::Filter, "ipv6form", OTHER),
    (
        Kind::Filter,
        "next_nth_usable",
        "use `ipaddr(n)` or `nthhost(n)`",
    ),
    (
        Kind::Filter,
        "previous_nth_usable",
        "use `ipaddr(n)` or `nthhost(n)`",
    ),
    (
        Kind::Filter,
        "reduce_on_network",
        "use `ipaddr('198.51.100.0/24')`",
    ),
    (Kind::Filter, "slaac", OTHER),
    (
        Kind::Filter,
        "usable_range",
        "use `ipaddr('first_usable')` and `ipaddr('last_usable')`",
    ),
    (Kind::Test, "failed", TASK),
    (Kind::Test, "failure", TASK),
    (Kind::Test, "succeeded", TASK),
    (Kind::Test, "success", TASK),
    (Kind::Test, "successful", TASK),
    (Kind::Test, "reachable", TASK),
    (Kind::Test, "unreachable", TASK),
    (Kind::Test, "timedout", TASK),
    (Kind::Test, "changed", TASK),
    (Kind::Test, "change", TASK),
    (Kind::Test, "skipped", TASK),
    (Kind::Test, "skip", TASK),
    (Kind::Test, "finished", TASK),
    (Kind::Test, "started", TASK),
    (Kind::Test, "directory", FILE),
    (Kind::Test, "exists", FILE),
    (Kind::Test, "file", FILE),
    (Kind::Test, "link", FILE),
    (Kind::Test, "link_exists", FILE),
    (Kind::Test, "mount", FILE),
    (Kind::Test, "same_file", FILE),
    (Kind::Test, "escaped", OTHER),
    (Kind::Test, "url", "use `match('https?://')`"),
    (Kind::Test, "uri", "use `match('https?://')`"),
    (Kind::Test, "urn", OTHER),
    (
        Kind::Test,
        "vault_encrypted",
        "a value is decrypted before a template sees it",
    ),
    (Kind::Test, "vaulted_file", FILE),
];

/// The name without its collection.
fn short(name: &str) -> &str {
    let mut collections = COLLECTIONS.iter();
    collections
        .find_map(|one| name.strip_prefix(one))
        .unwrap_or(name)
}

/// What is wrong with a name, and what to do; nothing if it is known.
pub(in crate::role) fn refusal(kind: Kind, name: &str) -> Option<(String, Option<String>)> {
    if kind.known().contains(&short(name)) {
        return None;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let refused = REFUSED
        .iter()
        .find(|(one, other, _)| *one == kind && *other == last);
    Some(match refused {
        Some((_, _, hint)) => (
            format!("fwdeploy does not have Ansible's {} `{name}`", kind.word()),
            Some((*hint).to_string()),
        ),
        None => (format!("there is no {} `{name}`", kind.word()), None),
    })
}

/// The most similar name that is known.
pub(in crate::role) fn nearest(kind: Kind, name: &str) -> Option<&'static str> {
    closest(short(name), kind.known().iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    use minijinja::Environment;
    use minijinja::ErrorKind;

    fn is_there(environment: &Environment<'_>, kind: Kind, name: &str) -> bool {
        let text = match kind {
            Kind::Filter => format!("1|{name}"),
            Kind::Test => format!("['a']|select('{name}')|list"),
        };
        let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownTest];
        let made = environment.compile_expression(&text);
        made.and_then(|expression| expression.eval(()))
            .map_or_else(|error| !unknown.contains(&error.kind()), |_| true)
    }

    #[test]
    fn every_name_that_is_known_is_there_and_no_refused_one_is() {
        let mut environment = Environment::new();
        crate::role::jinja::install(&mut environment);
        for kind in [Kind::Filter, Kind::Test] {
            for name in kind.known() {
                assert!(is_there(&environment, kind, name), "{name}");
                assert_eq!(refusal(kind, name), None);
            }
        }
        for (kind, name, _) in REFUSED {
            assert!(!kind.known().contains(name), "{name}");
            assert!(refusal(*kind, name).is_some_and(|(_, hint)| hint.is_some()));
        }
    }

    #[test]
    fn every_name_has_an_example_in_the_document() {
        let document = include_str!("../../../docs/templates.md");
        let blocks = document.split("```jinja\n").skip(1);
        let examples: String = blocks
            .filter_map(|part| part.split("\n```").next())
            .collect();
        let is_shown = |before: &str, name: &str| {
            let word = format!("{before} {name}");
            examples.match_indices(&word).any(|(at, _)| {
                let after = examples[at + word.len()..].chars().next();
                !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        };
        let is_word = |name: &&&str| name.starts_with(|c: char| c.is_alphabetic());
        let filters = FILTERS.iter().filter(|name| !is_shown("|", name));
        let tests = TESTS
            .iter()
            .filter(is_word)
            .filter(|name| !is_shown("is", name));
        let missing: Vec<&&str> = filters.chain(tests).collect();
        assert!(
            missing.is_empty(),
            "no example in docs/templates.md: {missing:?}"
        );
    }
}
