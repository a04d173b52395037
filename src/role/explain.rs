//! Why a template has no value, in words for its author.

use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::role::renderer::Renderer;
use crate::role::scope::GIVEN;
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
                let known = self.state().mistakes.get(number).cloned();
                let error = known.unwrap_or_else(|| {
                    InputError::at(location.clone(), "the template cannot be rendered")
                });
                if error.location().is_none() {
                    // The template itself names something that does not exist.
                    let place =
                        template::part(location, text, template::word(text, "addresses").as_ref());
                    let here =
                        InputError::at(place, error.message()).label(format!("on node `{node}`"));
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
            TemplateError::Other { message, range } => {
                let place = template::part(location, text, range.as_ref());
                InputError::at(place, message).label(format!("on node `{node}`"))
            }
            TemplateError::Nothing { names, range } => {
                let message = "a part of this text is nothing (`null`)";
                let error = InputError::at(template::part(location, text, range.as_ref()), message);
                let error = error
                    .label(format!("on node `{node}`"))
                    .hint("give it a value");
                let mut vars = names.iter().filter_map(|name| self.variable(node, name));
                match vars.find(|var| var.value().is_null()) {
                    Some(var) => error.context(var.location(), "this is nothing"),
                    None => error,
                }
            }
            TemplateError::Undefined { names, expression } => {
                let missing = names.iter().find(|name| !self.is_known(node, name));
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
