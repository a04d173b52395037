//! Templates outside of any role: what a text or a variable is, in the eyes of a node.

use std::sync::Arc;

use minijinja::Environment;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::inventory::Inventory;
use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::location::Source;
use crate::inventory::location::Span;
use crate::role::fleet_vars::FleetVars;
use crate::role::renderer::Renderer;
use crate::role::template;

/// Renders texts and variables of the nodes of one inventory, without the defaults of any role.
pub struct Templates {
    fleet: Arc<FleetVars>,
    environment: Arc<Environment<'static>>,
}

impl Templates {
    /// Gets ready to render for the nodes of an inventory.
    pub fn new(inventory: &Inventory) -> Self {
        Templates {
            fleet: Arc::new(FleetVars::new(inventory)),
            environment: Arc::new(template::environment()),
        }
    }

    /// Renders a text as a node sees it.
    ///
    /// # Errors
    /// The template is wrong, or names what is not defined; the place is a line and a column of the text.
    pub fn render(&self, node: &str, text: &str) -> Result<serde_json::Value, InputError> {
        let source = Arc::new(Source::file("template", text));
        let span = Span {
            start: 0,
            end: text.len(),
        };
        let location = Location::new(source, span);
        self.with(node, |renderer| {
            let rendered = renderer.render(text, &location)?;
            json(&rendered.value)
        })
    }

    /// Renders a variable of a node.
    ///
    /// # Errors
    /// The node has no such variable, or a template of it is wrong.
    pub fn variable(&self, node: &str, name: &str) -> Result<serde_json::Value, InputError> {
        self.with(node, |renderer| match renderer.value_of(name) {
            Some(value) => json(&value?),
            None => Err(InputError::general(format!(
                "`{}` has no variable `{}`",
                shown(node),
                shown(name)
            ))),
        })
    }

    fn with<T>(&self, node: &str, render: impl FnOnce(&Arc<Renderer>) -> T) -> T {
        let (fleet, environment) = (Arc::clone(&self.fleet), Arc::clone(&self.environment));
        let renderer = Renderer::new(fleet, environment, node, "", Vec::new());
        let made = render(&renderer);
        renderer.end();
        made
    }
}

/// A value as JSON, in which numbers beyond 64 bits are rounded, and `nan` is nothing.
fn json(value: &Value) -> Result<serde_json::Value, InputError> {
    use serde_json::Value as Json;
    let unwritten = || InputError::general("the template makes a value that JSON cannot write");
    Ok(match value.kind() {
        ValueKind::Number => match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
            (Ok(number), _) if value.is_integer() => Json::from(number),
            (_, Ok(number)) if value.is_integer() => Json::from(number),
            _ => Json::from(f64::try_from(value.clone()).map_err(|_| unwritten())?),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let elements = value.try_iter().map_err(|_| unwritten())?;
            Json::Array(
                elements
                    .map(|element| json(&element))
                    .collect::<Result<_, _>>()?,
            )
        }
        ValueKind::Map => {
            let mut entries = serde_json::Map::new();
            for key in value.try_iter().map_err(|_| unwritten())? {
                let element = value.get_item(&key).map_err(|_| unwritten())?;
                entries.insert(key.to_string(), json(&element)?);
            }
            Json::Object(entries)
        }
        _ => serde_json::to_value(value).map_err(|_| unwritten())?,
    })
}
