//! Variables from the command line: `-e`.

use super::document::Document;
use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::error::shown;
use super::location::Location;
use super::location::Source;
use super::location::Span;
use super::vars::Layer;
use super::vars::Vars;
use super::vars::variables;

/// One `-e` of the command line.
#[derive(Clone, PartialEq, Eq)]
pub enum ExtraVars {
    /// `-e 'key=value other="two words"'` or `-e '{"key": …}'`.
    Inline(String),
    /// `-e @file.yml`, without the `@`.
    File(String),
}

impl ExtraVars {
    /// Distinguishes the forms of an argument; nothing is read yet.
    pub fn from_argument(argument: &str) -> Self {
        match argument.strip_prefix('@') {
            Some(file) => Self::File(file.to_owned()),
            None => Self::Inline(argument.to_owned()),
        }
    }
}

/// Never shows the argument: it may hold a password.
impl std::fmt::Debug for ExtraVars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("ExtraVars(…)"),
            Self::File(file) => write!(f, "ExtraVars(@{file})"),
        }
    }
}

/// Returns the variables of an argument that is not a file. Values of `key=value` are text, as for Ansible; types need the form in braces.
pub(super) fn inline(argument: &str) -> Result<Vars, InputErrors> {
    if argument.trim_start().starts_with(['{', '[']) {
        let document = Document::from_source(Source::command_line("-e {…}", argument))?;
        return from_mapping(&document);
    }
    let words = shlex::split(argument).ok_or_else(|| whole(argument, "a quote is never closed"))?;
    if words.is_empty() {
        return Err(whole(argument, "`-e` has no variable").into());
    }
    let mut vars = Vars::new();
    for word in words {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let error = whole(&word, format!("`{}` is not `name=value`", shown(&word)));
            return Err(error
                .hint("write `-e name=value`, `-e '{\"name\": [1, 2]}'` or `-e @file.yml`")
                .into());
        };
        let source = Source::command_line(format!("-e {}=…", shown(name)), word.as_str());
        let key = (
            name,
            Span {
                start: 0,
                end: name.len(),
            },
        );
        let value = (
            value,
            Span {
                start: name.len() + 1,
                end: word.len(),
            },
        );
        vars.extend(variables(
            &Document::of_pair(source, key, value),
            Layer::CommandLine,
        )?);
    }
    Ok(vars)
}

/// Returns the variables of a whole document.
pub(super) fn from_mapping(document: &Document) -> Result<Vars, InputErrors> {
    if document.value().is_null() {
        let error = InputError::in_file(document.file(), "no variables in it");
        return Err(error.label(kind(document.value())).into());
    }
    variables(document, Layer::CommandLine)
}

fn whole(text: &str, message: impl Into<String>) -> InputError {
    let source = std::sync::Arc::new(Source::command_line("-e", text));
    InputError::at(
        Location::new(
            source,
            Span {
                start: 0,
                end: text.len(),
            },
        ),
        message,
    )
}
