//! The text of an ansible.cfg → its settings, as Python's `configparser` reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::Located;
use crate::inventory::Location;
use crate::inventory::location::Source;
use crate::inventory::location::Span;

/// The settings by section and key. A key is in lower case; its place is that of the value.
pub(super) type Settings = BTreeMap<(String, String), Located<String>>;

/// Reads the text of an ansible.cfg.
///
/// # Errors
///
/// Lines that Ansible's parser refuses too: settings outside of a section, without a `=`, or there twice.
pub(super) fn read(source: Source) -> Result<Settings, InputErrors> {
    let source = Arc::new(source);
    let mut reader = Reader {
        source: Arc::clone(&source),
        section: None,
        current: None,
        settings: Settings::new(),
        errors: InputErrors::none(),
    };
    let mut start = 0;
    for line in source.text().split('\n') {
        reader.line(line, start);
        start += line.len() + 1;
    }
    reader.errors.or(reader.settings)
}

struct Reader {
    source: Arc<Source>,
    section: Option<String>,
    /// The setting that an indented line continues, and how far it is indented itself.
    current: Option<((String, String), usize)>,
    settings: Settings,
    errors: InputErrors,
}

impl Reader {
    fn at(&self, start: usize, end: usize) -> Location {
        Location::new(Arc::clone(&self.source), Span { start, end })
    }

    fn line(&mut self, whole: &str, start: usize) {
        let line = without_comment(whole).trim_end();
        let text = line.trim_start();
        if text.is_empty() {
            return;
        }
        let indent = line.len() - text.len();
        let start = start + indent;
        let place = self.at(start, start + text.len());
        if let Some((key, _)) = self.current.as_ref().filter(|(_, known)| indent > *known) {
            if let Some(setting) = self.settings.get_mut(key) {
                setting.value.push('\n');
                setting.value.push_str(text);
            }
            return;
        }
        let header = text
            .strip_prefix('[')
            .and_then(|rest| rest.rsplit_once(']'));
        if let Some((name, _)) = header.filter(|(name, _)| !name.is_empty()) {
            self.section = Some(name.to_owned());
            self.current = None;
            return;
        }
        let Some(split) = text.find(['=', ':']) else {
            let error = InputError::at(place, "a setting without a `=`");
            return self.errors.push(error.hint("write `name = value`"));
        };
        let Some(section) = &self.section else {
            let error = InputError::at(place, "a setting outside of a section");
            return self.errors.push(error.hint("begin with `[defaults]`"));
        };
        let key = (section.clone(), text[..split].trim_end().to_lowercase());
        let value = text[split + 1..].trim_start();
        let located = Located::new(
            value.to_owned(),
            self.at(start + text.len() - value.len(), start + text.len()),
        );
        if let Some(first) = self.settings.insert(key.clone(), located) {
            let error = InputError::at(place, format!("`{}` is there twice", key.1));
            self.errors.push(error.context(first.location, "first"));
        }
        self.current = Some((key, indent));
    }
}

/// A `#` or `;` at the beginning of a line makes it a comment, and a `;` after a blank the rest of it.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let after_blank = |(at, _): &(usize, &str)| line[..*at].ends_with(char::is_whitespace);
    match line.match_indices(';').find(after_blank) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Vec<String>, String> {
        let read = read(Source::file("ansible.cfg", text)).map_err(|errors| errors.to_string())?;
        let shown = |((section, key), value): (&(String, String), &Located<String>)| {
            format!("{section}.{key}={:?} {}", value.value, value.location)
        };
        Ok(read.iter().map(shown).collect())
    }

    #[test]
    fn settings_are_read_as_python_reads_them() {
        let text = "# comment\n[defaults]\nForks = 30 ; inline\ninventory: a,\n  b\nx = a;b # kept\nempty =\n[ssh_connection]\nssh_args=-o A=b\n";
        let expected = [
            "defaults.empty=\"\" ansible.cfg:7:8",
            "defaults.forks=\"30\" ansible.cfg:3:9",
            "defaults.inventory=\"a,\\nb\" ansible.cfg:4:12",
            "defaults.x=\"a;b # kept\" ansible.cfg:6:5",
            "ssh_connection.ssh_args=\"-o A=b\" ansible.cfg:9:10",
        ];
        assert_eq!(settings(text).unwrap(), expected);
    }

    #[test]
    fn lines_that_ansible_refuses_are_refused_with_their_place() {
        for (text, expected) in [
            (
                "forks = 3\n",
                "ansible.cfg:1:1: a setting outside of a section",
            ),
            (
                "[defaults]\nforks\n",
                "ansible.cfg:2:1: a setting without a `=`",
            ),
            (
                "[defaults]\nforks = 3\nforks = 4\n",
                "ansible.cfg:3:1: `forks` is there twice",
            ),
        ] {
            let said = settings(text).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
