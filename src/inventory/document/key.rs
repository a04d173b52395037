//! Keys of mappings: each once, and each a text.

use std::sync::Arc;

use saphyr_parser::ScalarStyle;
use saphyr_parser::Tag;

use super::build::Builder;
use super::frame::Content;
use super::frame::Frame;
use super::frame::Key;
use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::location::Span;

impl Builder<'_> {
    /// Remembers a key until its value comes. A duplicate key is an error, and reading continues.
    pub(super) fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), InputError> {
        if let Some(tag) = tag {
            self.refuse_tag(tag, span);
        }
        if span.is_empty() && style == ScalarStyle::Plain {
            return Err(self.error(span, "a key is missing before this `:`"));
        }
        let span = self.trim(span);
        let source = self.source;
        let Some(Frame {
            content: Content::Mapping(mapping),
            ..
        }) = self.frames.last_mut()
        else {
            return Ok(());
        };
        let location = |span| Location::new(Arc::clone(source), span);
        let repeated = |first: Span| {
            InputError::at(
                location(span),
                format!("the key `{}` is here twice", shown(text)),
            )
            .label("second time")
            .context(location(first), "first time")
            .hint("keep one of them; the first would be lost")
        };
        let key = if text == "<<" && style == ScalarStyle::Plain {
            match mapping.merge.replace(span) {
                Some(first) => {
                    self.errors.push(
                        repeated(first).hint("merge several with a list: `<<: [*one, *two]`"),
                    );
                    Key::Repeated
                }
                None => Key::Merge,
            }
        } else {
            match mapping.marks.get(text) {
                Some(first) => {
                    self.errors.push(repeated(first.key));
                    Key::Repeated
                }
                None => Key::Text(text.to_owned()),
            }
        };
        mapping.key = Some((key, span));
        Ok(())
    }
}
