//! Why a text is refused, in words for the author of an inventory.

use std::sync::Arc;

use saphyr_parser::ScanError;

use super::build::Builder;
use super::build::MAX_DEPTH;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::location::Span;

impl Builder<'_> {
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> InputError {
        InputError::at(Location::new(Arc::clone(self.source), span), message)
    }

    pub(super) fn too_deep(&self, span: Span) -> InputError {
        self.error(
            span,
            format!("more than {MAX_DEPTH} levels of lists and mappings"),
        )
    }

    pub(super) fn complex_key(&self, span: Span) -> InputError {
        let text = self.source.text();
        // `name: {{ value }}` is a mapping whose key is a mapping.
        if text[span.start..].starts_with('{') && text[..span.start].ends_with('{') {
            let start = span.start - 1;
            let end = text[start..]
                .find(['\n', '}'])
                .map_or(span.end, |end| start + end);
            let end = if text[end..].starts_with("}}") {
                end + 2
            } else {
                end
            };
            return self
                .error(Span { start, end }, "a template must be in quotes")
                .label("without quotes this begins a mapping")
                .hint(format!("write `\"{}\"`", shown(&text[start..end])));
        }
        self.error(span, "a key must be text")
            .label("a list, a mapping or an alias as a key")
    }

    pub(super) fn refuse_control_characters(&self) -> Result<(), InputErrors> {
        let odd = |character: &char| match character {
            '\t' | '\n' | '\r' | '\u{85}' => false,
            character => character.is_control(),
        };
        let text = self.source.text();
        let Some((start, character)) = text.char_indices().find(|(_, character)| odd(character))
        else {
            return Ok(());
        };
        let span = Span {
            start,
            end: start + character.len_utf8(),
        };
        let error = self.error(
            span,
            format!(
                "the control character U+{:04X} is not allowed in YAML",
                u32::from(character)
            ),
        );
        let hint = if character == '\0' {
            "is this a binary file, or UTF-16?"
        } else {
            "remove it, or write it as an escape in double quotes"
        };
        Err(error.hint(hint).into())
    }

    pub(super) fn not_yaml(&self, error: &ScanError) -> InputError {
        let text = self.source.text();
        let start = self.byte(error.marker().index());
        let end = text[start..]
            .chars()
            .next()
            .filter(|character| *character != '\n')
            .map_or(start, |character| start + character.len_utf8());
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let indentation = text[line_start..]
            .split(|character: char| !character.is_whitespace())
            .next()
            .unwrap_or("");
        if let Some(tab) = indentation
            .find('\t')
            .filter(|_| error.info().contains("tab"))
        {
            let start = line_start + tab;
            return self
                .error(
                    Span {
                        start,
                        end: start + 1,
                    },
                    "a tab in the indentation",
                )
                .hint("indent with spaces");
        }
        let found = self.error(
            Span { start, end },
            format!("not valid YAML: {}", error.info()),
        );
        if text.trim_start().starts_with("$ANSIBLE_VAULT;") {
            return self.error(
                Span { start: 0, end: 14 },
                "a file that is encrypted by ansible-vault cannot be read here",
            )
            .hint("inventories, files of variables and `-e @file` may be encrypted; a role's own files may have `!vault` values");
        }
        if error.info().contains("<document start>") {
            let error = self.error(Span { start, end }, "text after the end of the document");
            let first = text
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
            return match first {
                Some(line) if line.starts_with('[') && line.ends_with(']') => {
                    error.hint("is this INI? `ansible-inventory -i FILE --list --yaml` converts such an inventory to YAML")
                }
                _ => error,
            };
        }
        match error.info() {
            info if info.contains("recursion limit") => self.too_deep(Span { start, end }),
            info if info.contains("mapping values are not allowed") => found.hint(
                "put a value that has `: ` in it into quotes, and align the keys of a mapping",
            ),
            info if info.contains("unknown anchor") => found.hint(
                "the `&name` must be before its `*name`; put a `*` that begins a value into quotes",
            ),
            info if info.contains("unexpected character") => {
                found.hint("put the value into quotes")
            }
            info if info.contains("unexpected end of stream") => {
                found.hint("a quote or bracket that is opened here is never closed")
            }
            _ => found,
        }
    }
}
