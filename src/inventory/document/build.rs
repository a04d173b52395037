//! Events → value and places, with everything refused that Ansible accepts in silence.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map;
use std::sync::Arc;

use saphyr_parser::Event;
use saphyr_parser::Parser;
use saphyr_parser::ScalarStyle;
use saphyr_parser::Tag;
use serde_yaml::Mapping;
use serde_yaml::Value;
use serde_yaml::value::TaggedValue;

use super::Entry;
use super::Inside;
use super::MAX_FILE_BYTES;
use super::Mark;
use super::scalar::resolve;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::location::Source;
use crate::inventory::location::Span;

/// Values are cloned and dropped by recursion: this keeps the stack small. An inventory is six levels deep, its variables a few more.
pub(super) const MAX_DEPTH: usize = 64;

/// Values in one text, aliases counted in full: bounds the memory that 8 MiB of text can ask for.
const MAX_VALUES: usize = 1_000_000;

/// Lists of mistakes that are longer help nobody.
const MAX_ERRORS: usize = 100;

/// Reads the text of `source`.
pub(super) fn build(source: &Arc<Source>) -> Result<(Value, Arc<Mark>), InputErrors> {
    let text = source.text();
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(InputError::in_file(source.name(), too_long(text.len() as u64)).into());
    }
    let mut builder = Builder::new(source);
    builder.refuse_control_characters()?;
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => {
                let span = builder.span(span);
                builder.event(event, span)
            }
            Err(error) => Err(builder.not_yaml(&error)),
        };
        if let Err(error) = step {
            builder.errors.push(error);
            break;
        }
        if builder.errors.len() >= MAX_ERRORS {
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
    let root = builder.root.take().unwrap_or_else(nothing);
    builder.errors.or((root.value, root.mark))
}

/// The message about a text of so many bytes.
pub(in crate::inventory) fn too_long(bytes: u64) -> String {
    format!(
        "the file has {} MiB; more than {} MiB are not read",
        bytes.div_ceil(1024 * 1024),
        MAX_FILE_BYTES / 1024 / 1024
    )
}

/// A value that is complete. `depth` and `count` are its levels and its values, itself included.
#[derive(Clone)]
struct Finished {
    value: Value,
    mark: Arc<Mark>,
    depth: usize,
    count: usize,
}

impl Finished {
    fn new(value: Value, mark: Mark) -> Self {
        Self {
            value,
            mark: Arc::new(mark),
            depth: 1,
            count: 1,
        }
    }
}

/// A list or mapping that is still open.
struct Frame {
    span: Span,
    anchor: usize,
    depth: usize,
    count: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>, Vec<Arc<Mark>>),
    Mapping(Box<OpenMapping>),
}

#[derive(Default)]
struct OpenMapping {
    /// The key whose value comes next.
    key: Option<(Key, Span)>,
    values: Vec<(String, Value)>,
    marks: BTreeMap<String, Entry>,
    merge: Option<Span>,
    merged: Vec<(String, Value, Entry)>,
    merged_keys: BTreeSet<String>,
}

enum Key {
    Text(String),
    Merge,
    /// Already there: its value is read and dropped.
    Repeated,
}

pub(super) struct Builder<'s> {
    pub(super) source: &'s Arc<Source>,
    /// The byte of each character, or nothing where each is one byte.
    offsets: Vec<usize>,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Finished>,
    values: usize,
    documents: usize,
    root: Option<Finished>,
    errors: InputErrors,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>) -> Self {
        let text = source.text();
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(byte, _)| byte).collect()
        };
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
        let finished = Finished::new(
            value,
            Mark {
                span: self.trim(span),
                inside: Inside::Nothing,
            },
        );
        self.finish(finished, anchor, span)
    }

    /// What a tag makes of a scalar. A tag that is not known is an error, and the reading goes on.
    fn tagged(&mut self, tag: &Tag, text: &str, plain: Value, span: Span) -> Value {
        let fits =
            match (
                tag.is_yaml_core_schema(),
                tag.handle.as_str(),
                tag.suffix.as_str(),
            ) {
                (_, "!", "unsafe") => {
                    let value = Value::from(text);
                    return Value::Tagged(Box::new(TaggedValue {
                        tag: serde_yaml::value::Tag::new("unsafe"),
                        value,
                    }));
                }
                (_, "!", "") | (_, "", "!") | (true, _, "str") => return Value::from(text),
                (true, _, "null") => plain.is_null(),
                (true, _, "bool") => plain.is_bool(),
                (true, _, "int") => plain.is_u64() || plain.is_i64(),
                (true, _, "float") => plain.is_number(),
                (_, "!", "vault" | "vault-encrypted") => {
                    let error = self
                        .error(span, "vault values are not supported yet")
                        .label("encrypted by ansible-vault");
                    self.errors.push(error.hint(
                        "keep the secret out of the inventory, or give it with `-e @file.yml`",
                    ));
                    return plain;
                }
                _ => {
                    self.refuse_tag(tag, span);
                    return plain;
                }
            };
        if !fits {
            let error = self.error(span, format!("`{}` is not what its tag says", shown(text)));
            self.errors
                .push(error.label(format!("not of type `!!{}`", tag.suffix)));
        }
        plain
    }

    fn refuse_tag(&mut self, tag: &Tag, span: Span) {
        let error = self.error(span, format!("unknown tag `{}`", shown(&tag.to_string())));
        self.errors
            .push(error.hint("`!unsafe` before a string is the only tag that is known here"));
    }

    fn key(
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
        if let Some(tag) = tag {
            let expected = if matches!(content, Content::List(..)) {
                "seq"
            } else {
                "map"
            };
            if !(tag.is_yaml_core_schema() && tag.suffix == expected) {
                self.refuse_tag(tag, span);
            }
        }
        self.frames.push(Frame {
            span,
            anchor,
            depth: 1,
            count: 1,
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
            Content::Mapping(mapping) => mapping.finish(),
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
                            .push(error.label(format!("this is {}", super::kind(&finished.value))));
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

    fn trim(&self, span: Span) -> Span {
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

impl OpenMapping {
    /// Takes the entries of a mapping, or of a list of mappings of which the first one wins, as Ansible does. `None` if it is neither.
    fn merge_in(&mut self, value: &Value, mark: &Mark) -> Option<()> {
        match (value, &mark.inside) {
            (Value::Mapping(values), Inside::Mapping(marks)) => {
                for (key, value) in values {
                    let key = key.as_str()?;
                    let entry = marks.get(key)?;
                    if self.merged_keys.insert(key.to_owned()) {
                        self.merged
                            .push((key.to_owned(), value.clone(), entry.clone()));
                    }
                }
                Some(())
            }
            (Value::Sequence(values), Inside::List(marks)) => {
                let mappings = values.iter().all(Value::is_mapping);
                values
                    .iter()
                    .zip(marks)
                    .filter(|_| mappings)
                    .try_for_each(|(value, mark)| self.merge_in(value, mark))?;
                mappings.then_some(())
            }
            _ => None,
        }
    }

    /// What is merged comes first and gives way to what is written out.
    fn finish(mut self) -> (Value, Inside) {
        let mut values = Mapping::new();
        for (key, value, entry) in self.merged {
            if let btree_map::Entry::Vacant(vacant) = self.marks.entry(key.clone()) {
                vacant.insert(entry);
                values.insert(Value::from(key), value);
            }
        }
        values.extend(
            self.values
                .into_iter()
                .map(|(key, value)| (Value::from(key), value)),
        );
        (Value::Mapping(values), Inside::Mapping(self.marks))
    }
}
