//! Why a template has no value, in words for its author.

use std::collections::BTreeSet;

use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::role::renderer::Renderer;
use crate::role::scope::GIVEN;
use crate::role::scope::not_given;
use crate::role::template;
use crate::role::template::TemplateError;

/// Places between a mistake and the role that asks, as many as are shown.
const BETWEEN: usize = 3;

impl Renderer {
    /// The message for the user.
    pub(super) fn explain(
        &self,
        error: TemplateError,
        node: &str,
        text: &str,
        location: &Location,
    ) -> InputError {
        match error {
            TemplateError::Elsewhere(number) => {
                self.explain_elsewhere(number, node, text, location)
            }
            TemplateError::Other { message, range } => {
                let place = template::part(location, text, range.as_ref());
                InputError::at(place, message).label(format!("on node `{node}`"))
            }
            TemplateError::Unknown {
                message,
                hint,
                meant,
                range,
            } => {
                let place = template::part(location, text, Some(&range));
                let error = InputError::at(place, message).label(format!("on node `{node}`"));
                match (meant, hint) {
                    (Some(meant), _) => error.did_you_mean(Some(meant)),
                    (None, Some(hint)) => error.hint(hint),
                    (None, None) => error.hint("docs/templates.md lists those that are there"),
                }
            }
            TemplateError::Nothing { names } => {
                let mut vars = names
                    .iter()
                    .filter_map(|name| Some((name, self.variable(node, name)?)));
                let nothing = vars.find(|(_, var)| var.value().is_null());
                // Or the only one, whose own template is nothing.
                let only = names.first().filter(|_| names.len() == 1);
                let name = nothing.map(|(name, _)| name).or(only);
                let word = name.and_then(|name| template::word(text, name));
                let place = template::part(location, text, word.as_ref());
                let error = InputError::at(place, "a part of this text is nothing (`null`)")
                    .label(format!("on node `{node}`"))
                    .hint("give it a value");
                match nothing {
                    Some((_, var)) => error.context(var.location(), "this is nothing"),
                    None => error,
                }
            }
            TemplateError::Undefined { names, expression } => {
                if let Some(number) = self.undefined_variable(node, &names, expression.as_deref()) {
                    return self.explain_elsewhere(number, node, text, location);
                }
                // The one that the expression begins with, before others that may have a default.
                let first = expression.as_deref().map(first_name).unwrap_or_default();
                let unknown = |name: &&String| !self.is_known(node, name);
                let missing = names.iter().filter(unknown).find(|name| *name == first);
                let missing = missing.or_else(|| names.iter().find(unknown));
                let (name, message) = match (missing, &expression) {
                    (Some(name), _) => (name, format!("the variable `{name}` is not defined")),
                    (None, Some(expression)) => (
                        expression,
                        format!("`{}` is not defined", shown(expression)),
                    ),
                    (None, None) => (
                        &self.role,
                        "a part of this value is not defined".to_string(),
                    ),
                };
                let place = template::part(location, text, template::word(text, name).as_ref());
                let error = InputError::at(place, message).label(format!("on node `{node}`"));
                if let Some((_, hint)) = missing.and_then(|name| not_given(name)) {
                    return error.hint(*hint);
                }
                let meant = missing.and_then(|name| closest(name, self.names(node)));
                match (meant, missing) {
                    (Some(meant), _) => error.did_you_mean(Some(meant)),
                    (None, Some(name)) => error.hint(format!(
                        "set `{name}` in the inventory, in `group_vars/` or in `host_vars/`"
                    )),
                    (None, None) => error,
                }
            }
        }
    }

    /// The message for a mistake of another template.
    fn explain_elsewhere(
        &self,
        number: usize,
        node: &str,
        text: &str,
        location: &Location,
    ) -> InputError {
        let known = self.state().mistakes.get(number).cloned();
        let error = known
            .unwrap_or_else(|| InputError::at(location.clone(), "the template cannot be rendered"));
        if error.location().is_none() {
            // The template itself names something that does not exist.
            let place = template::part(location, text, template::word(text, "addresses").as_ref());
            let here = InputError::at(place, error.message()).label(format!("on node `{node}`"));
            return match error.hint_text() {
                Some(hint) => here.hint(hint),
                None => here,
            };
        }
        // The first and the last places say where to look; those between would fill screens.
        let outermost = self.state().stack.is_empty();
        if outermost || error.context_places().count() < BETWEEN {
            template::asked_for(error, location)
        } else {
            error
        }
    }

    /// The mistake of the first variable that is undefined because its own template is.
    fn undefined_variable(
        &self,
        node: &str,
        names: &BTreeSet<String>,
        expression: Option<&str>,
    ) -> Option<usize> {
        let first = expression.map(first_name).unwrap_or_default();
        let state = self.state();
        let mut all = names
            .iter()
            .filter(|name| first.is_empty() || *name == first);
        all.find_map(|name| {
            let failed = state.failed.get(&(node.into(), name.as_str().into()))?;
            failed.is_undefined.then_some(failed.number)
        })
    }

    fn is_known(&self, node: &str, name: &str) -> bool {
        GIVEN.contains(&name) || self.variable(node, name).is_some()
    }

    /// Every name that a template of this node may use.
    fn names<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a str> {
        let member = self.fleet.nodes.get(node).into_iter();
        let own = member.flat_map(|member| member.vars.keys());
        let defaults = self.defaults.iter().flat_map(|vars| vars.keys());
        own.chain(defaults).map(String::as_str).chain(GIVEN)
    }
}

/// The name that an expression begins with.
fn first_name(expression: &str) -> &str {
    let end = expression.find(|c: char| !c.is_alphanumeric() && c != '_');
    &expression[..end.unwrap_or(expression.len())]
}
