//! The long form of a mistake, with the text underlined.

use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Origin;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use super::InputError;
use super::Style;
use super::Subject;
use crate::inventory::location::Location;
use crate::inventory::location::Source;
use crate::inventory::location::SourceKind;
use crate::inventory::secret::mask_secrets;
use crate::model::visible::visible;
use crate::model::visible::visible_in_place;

impl InputError {
    /// Returns the mistake as rustc would show it: the text, underlined, with labels and hint. No newline at the end.
    ///
    /// Passwords in the shown lines are masked.
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colored => Renderer::styled(),
        };
        let message = visible(&self.0.message);
        let mut group = Group::with_title(Level::ERROR.primary_title(message));
        match &self.0.subject {
            Subject::File(file) => group = group.element(Origin::path(visible(file))),
            Subject::At(location) => {
                for (source, notes) in self.notes_by_source(location) {
                    group = match source.kind() {
                        SourceKind::Decrypted => group.elements(places(source, &notes)),
                        _ => group.element(snippet(source, &notes)),
                    };
                }
            }
            Subject::Nowhere => {}
        }
        if let Some(hint) = &self.0.hint {
            group = group.element(Level::HELP.with_name("hint").message(visible(hint)));
        }
        renderer.render(&[group])
    }

    /// What to underline, one entry per text, the mistake's own text first.
    fn notes_by_source<'a>(&'a self, location: &'a Location) -> Vec<(&'a Source, Vec<Note<'a>>)> {
        let primary = Note {
            kind: AnnotationKind::Primary,
            location,
            label: self.0.label.as_deref(),
        };
        let mut by_source: Vec<(&Source, Vec<Note<'_>>)> =
            vec![(location.source().as_ref(), vec![primary])];
        for context in &self.0.context {
            let note = Note {
                kind: AnnotationKind::Context,
                location: &context.location,
                label: Some(context.value.as_str()),
            };
            let source = context.location.source().as_ref();
            match by_source
                .iter_mut()
                .find(|(known, _)| std::ptr::eq(*known, source))
            {
                Some((_, notes)) => notes.push(note),
                None => by_source.push((source, vec![note])),
            }
        }
        by_source
    }
}

/// The places in a text that is not shown.
fn places<'a>(source: &'a Source, notes: &[Note<'a>]) -> Vec<Origin<'a>> {
    let place = |note: &Note<'a>| {
        let place = note.location.place();
        Origin::path(visible(source.name()))
            .line(place.line)
            .char_column(place.column)
    };
    notes.iter().map(place).collect()
}

struct Note<'a> {
    kind: AnnotationKind,
    location: &'a Location,
    label: Option<&'a str>,
}

/// Only the lines that matter are handed on: a file of megabytes would be walked for each of its errors.
fn snippet<'a>(
    source: &'a Source,
    notes: &[Note<'a>],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text();
    let first = notes
        .iter()
        .map(|note| note.location.span().start)
        .min()
        .unwrap_or(0);
    let last = notes
        .iter()
        .map(|note| note.location.span().end)
        .max()
        .unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[last..]
        .find('\n')
        .map_or(text.len(), |newline| last + newline);
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let annotations = notes.iter().map(|note| {
        let span = note.location.span();
        note.kind
            .span(span.start - start..span.end - start)
            .label(note.label.map(visible))
    });
    Snippet::source(visible_in_place(&mask_secrets(&text[start..end])))
        .path(visible(source.name()))
        .line_start(line)
        .annotations(annotations.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::inventory::location::Span;
    use crate::model::visible::is_visible;

    /// Errors with this in the file's name, in its text, and in the message.
    fn mistakes(said: &str) -> Vec<InputError> {
        let span = Span {
            start: 3,
            end: 3 + said.len(),
        };
        let source = Source::file(said, format!("a: {said}\n"));
        let location = Location::new(Arc::new(source), span);
        let error = InputError::at(location.clone(), said);
        vec![
            error.label(said).context(location, said).hint(said),
            InputError::in_file(said, said),
            InputError::general(said),
        ]
    }

    proptest! {
        /// Verified with calls of `visible` removed: for the title, for the label.
        #[test]
        fn nothing_unseen_is_shown(chars in proptest::collection::vec(any::<char>(), 1..12)) {
            let random: String = chars.into_iter().collect();
            for said in [random, "\u{1b}[2J\u{9b}m\u{202e}\u{200b}\u{2028}\u{e0041}\r".to_string()] {
                for error in mistakes(&said) {
                    for shown in [error.to_string(), error.render(Style::Plain)] {
                        let seen = |c: char| c == '\n' || c == '\t' || is_visible(c);
                        prop_assert!(shown.chars().all(seen), "{shown:?}");
                    }
                    // With colours there are fwdeploy's own escape sequences, the same number for any input.
                    let escapes = |error: &InputError| error.render(Style::Colored).matches('\x1b').count();
                    if !said.contains(['\n', '\t']) {
                        let quiet = mistakes("x").iter().map(escapes).sum::<usize>();
                        prop_assert_eq!(mistakes(&said).iter().map(escapes).sum::<usize>(), quiet);
                    }
                }
            }
        }
    }
}
