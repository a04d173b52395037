//! Events → value and places, with everything refused that Ansible accepts in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::Event;
use saphyr_parser::Parser;
use saphyr_parser::ScalarStyle;
use saphyr_parser::Tag;
use serde_yaml::Value;

use super::frame::Content;
use super::frame::Finished;
use super::frame::Frame;
use super::frame::Key;
use super::indent::Indented;
use super::indent::indented;
use super::mark::Entry;
use super::mark::Inside;
use super::mark::MAX_FILE_BYTES;
use super::mark::Mark;
use super::mark::kind;
use super::scalar::resolve;
use super::scalar::unsafe_value;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::location::Source;
use crate::inventory::location::Span;
use crate::inventory::vault::vault_value;

/// Values are cloned and dropped by recursion: this keeps the stack small. An inventory is six levels deep, its variables a few more.
pub(super) const MAX_DEPTH: usize = 64;

/// Values in one text, aliases counted in full: bounds the memory that 8 MiB of text can ask for.
const MAX_VALUES: usize = 500_000;

/// Longer lists of errors are not useful.
const MAX_ERRORS: usize = 100;

/// Reads the text of `source`.
///
/// A text that the parser refuses is read once more, with what is within brackets and quotes moved to the right, as PyYAML allows it to be anywhere.
pub(super) fn build(source: &Arc<Source>) -> Result<(Value, Arc<Mark>), InputErrors> {
    let text = source.text();
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(InputError::in_file(source.name(), too_long(text.len() as u64)).into());
    }
    let builder = Builder::new(source, offsets_of(text));
    builder.refuse_control_characters()?;
    let first = builder.read(text);
    if first.scanned {
        return first.result;
    }
    let Indented { text, offsets } = indented(text);
    let second = Builder::new(source, offsets).read(&text);
    if second.scanned {
        second.result
    } else {
        first.result
    }
}

/// The byte of each character, or nothing where each is one byte.
fn offsets_of(text: &str) -> Vec<usize> {
    if text.is_ascii() {
        Vec::new()
    } else {
        text.char_indices().map(|(byte, _)| byte).collect()
    }
}

/// What became of a text.
struct Reading {
    /// Whether the parser took it for YAML.
    scanned: bool,
    result: Result<(Value, Arc<Mark>), InputErrors>,
}

/// `{"__ansible_vault": …}` and `{"__ansible_unsafe": …}`, as `ansible-inventory --list` writes values with these tags.
fn saved_by_ansible((value, inside): (Value, Inside)) -> (Value, Inside) {
    let only = match &value {
        Value::Mapping(entries) if entries.len() == 1 => entries.iter().next(),
        _ => None,
    };
    let tagged = only.and_then(|(key, text)| match key.as_str()? {
        "__ansible_vault" => Some(vault_value(text.as_str()?)),
        "__ansible_unsafe" => Some(unsafe_value(text.as_str()?)),
        _ => None,
    });
    match tagged {
        Some(tagged) => (tagged, Inside::Nothing),
        None => (value, inside),
    }
}

/// The message about a text of this many bytes.
pub(in crate::inventory) fn too_long(bytes: u64) -> String {
    format!(
        "the file has {} MiB; more than {} MiB are not read",
        bytes.div_ceil(1024 * 1024),
        MAX_FILE_BYTES / 1024 / 1024
    )
}

pub(super) struct Builder<'s> {
    pub(super) source: &'s Arc<Source>,
    /// The byte of each character, or nothing where each is one byte.
    offsets: Vec<usize>,
    pub(super) frames: Vec<Frame>,
    anchors: BTreeMap<usize, Finished>,
    values: usize,
    documents: usize,
    root: Option<Finished>,
    pub(super) errors: InputErrors,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>, offsets: Vec<usize>) -> Self {
        Self {
            source,
            offsets,
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            values: 0,
            documents: 0,
            root: None,
            errors: InputErrors::none(),
        }
    }

    /// Reads `text`, whose characters stand for those of the source at `offsets`.
    fn read(mut self, text: &str) -> Reading {
        let mut scanned = true;
        for event in Parser::new_from_str(text) {
            let step = match event {
                Ok((event, span)) => {
                    let span = self.span(span);
                    self.event(event, span)
                }
                Err(error) => {
                    scanned = false;
                    Err(self.not_yaml(&error))
                }
            };
            if let Err(error) = step {
                self.errors.push(error);
                break;
            }
            if self.errors.len() >= MAX_ERRORS {
                break;
            }
        }
        let nothing = || {
            Finished::new(
                Value::Null,
                Mark {
                    span: Span { start: 0, end: 0 },
                    inside: Inside::Nothing,
                },
            )
        };
        let root = self.root.take().unwrap_or_else(nothing);
        Reading {
            scanned,
            result: self.errors.or((root.value, root.mark)),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), InputError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let error = self
                        .error(span, "a second YAML document begins here")
                        .label("not read");
                    return Err(error.hint(
                        "remove this `---`, or put the second document into a file of its own",
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                return self.scalar(&text, style, anchor, tag.as_deref(), span);
            }
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                return self.open(
                    span,
                    anchor,
                    tag.as_deref(),
                    Content::List(Vec::new(), Vec::new()),
                );
            }
            Event::MappingStart(anchor, tag) => {
                return self.open(
                    span,
                    anchor,
                    tag.as_deref(),
                    Content::Mapping(Box::default()),
                );
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), InputError> {
        if self.awaits_key() {
            return self.key(text, style, tag, span);
        }
        let plain = if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Value::from(text)
        };
        let value = match tag {
            None => plain,
            Some(tag) => self.tagged(tag, text, plain, span),
        };
        let is_unsafe = self.frames.last().is_some_and(|frame| frame.is_unsafe);
        let value = match value {
            Value::String(text) if is_unsafe => unsafe_value(&text),
            value => value,
        };
        let finished = Finished::new(
            value,
            Mark {
                span: self.trim(span),
                inside: Inside::Nothing,
            },
        );
        self.finish(finished, anchor, span)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), InputError> {
        if self.awaits_key() {
            return Err(self.complex_key(span));
        }
        let Some(finished) = self.anchors.get(&anchor).cloned() else {
            return Err(self.error(span, "an alias inside of the value that it stands for"));
        };
        self.count(finished.count, span)?;
        let mark = Arc::new(Mark {
            span,
            inside: finished.mark.inside.clone(),
        });
        self.attach(Finished { mark, ..finished }, span)
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), InputError> {
        if self.awaits_key() {
            return Err(self.complex_key(span));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        let mut is_unsafe = self.frames.last().is_some_and(|frame| frame.is_unsafe);
        if let Some(tag) = tag {
            let expected = if matches!(content, Content::List(..)) {
                "seq"
            } else {
                "map"
            };
            if tag.handle == "!" && tag.suffix == "unsafe" {
                is_unsafe = true;
            } else if !(tag.is_yaml_core_schema() && tag.suffix == expected) {
                self.refuse_tag(tag, span);
            }
        }
        self.frames.push(Frame {
            span,
            anchor,
            depth: 1,
            count: 1,
            is_unsafe,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), InputError> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let (value, inside) = match frame.content {
            Content::List(values, marks) => (Value::Sequence(values), Inside::List(marks)),
            Content::Mapping(mapping) => saved_by_ansible(mapping.finish()),
        };
        let span = self.collection_span(frame.span, end);
        let mark = Arc::new(Mark { span, inside });
        let finished = Finished {
            value,
            mark,
            depth: frame.depth,
            count: frame.count,
        };
        self.finish(finished, frame.anchor, frame.span)
    }

    /// Counts a value, remembers it under its anchor, and hands it to the list or mapping around it.
    fn finish(&mut self, finished: Finished, anchor: usize, span: Span) -> Result<(), InputError> {
        self.count(1, span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, finished.clone());
            self.count(finished.count, span)?;
        }
        self.attach(finished, span)
    }

    fn attach(&mut self, finished: Finished, span: Span) -> Result<(), InputError> {
        if self.frames.len() + finished.depth > MAX_DEPTH + 1 {
            return Err(self.too_deep(span));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(finished);
            return Ok(());
        };
        frame.depth = frame.depth.max(finished.depth + 1);
        frame.count += finished.count;
        match &mut frame.content {
            Content::List(values, marks) => {
                values.push(finished.value);
                marks.push(finished.mark);
            }
            Content::Mapping(mapping) => match mapping.key.take() {
                Some((Key::Text(key), key_span)) => {
                    mapping.marks.insert(
                        key.clone(),
                        Entry {
                            key: key_span,
                            value: finished.mark,
                        },
                    );
                    mapping.values.push((key, finished.value));
                }
                Some((Key::Merge, _)) => {
                    if mapping.merge_in(&finished.value, &finished.mark).is_none() {
                        let error =
                            self.error(span, "`<<` merges a mapping, or a list of mappings");
                        self.errors
                            .push(error.label(format!("this is {}", kind(&finished.value))));
                    }
                }
                Some((Key::Repeated, _)) | None => {}
            },
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Content::Mapping(mapping), .. }) if mapping.key.is_none())
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), InputError> {
        self.values += values;
        if self.values > MAX_VALUES {
            let error = self.error(
                span,
                format!("more than {MAX_VALUES} values, with aliases counted in full"),
            );
            return Err(error.label("the limit is reached here"));
        }
        Ok(())
    }

    /// From a collection's first to its last byte on its first line: that is enough to underline.
    fn collection_span(&self, start: Span, end: Span) -> Span {
        let whole = Span {
            start: start.start,
            end: end.end.max(start.end),
        };
        let first_line = self.source.text()[whole.start..whole.end]
            .find('\n')
            .map_or(whole.end, |newline| whole.start + newline);
        self.trim(Span {
            start: whole.start,
            end: first_line,
        })
    }

    pub(super) fn trim(&self, span: Span) -> Span {
        let text = &self.source.text()[span.start..span.end];
        Span {
            start: span.start,
            end: span.start + text.trim_end().len(),
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let start = self.byte(span.start.index());
        Span {
            start,
            end: self.byte(span.end.index()).max(start),
        }
    }

    pub(super) fn byte(&self, character: usize) -> usize {
        let length = self.source.text().len();
        if self.offsets.is_empty() {
            character.min(length)
        } else {
            self.offsets.get(character).copied().unwrap_or(length)
        }
    }
}
