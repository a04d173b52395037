//! Jinja as Ansible has it, on top of minijinja: how a text is read, and its filters, tests and methods.
//!
//! ```text
//! translate (a text → one that minijinja reads as Ansible reads the first) ─▶ minijinja ─▶ filters, tests, methods
//!                                                                                        └▶ python (how Python prints and orders)
//! ```

mod address;
mod arguments;
mod filters;
mod lists;
mod methods;
mod names;
mod operators;
mod patterns;
mod python;
mod serial;
mod tests;
mod texts;
mod translate;

pub(super) use names::nearest;
pub(super) use names::refusal;
pub(super) use python::TOO_LARGE;
pub(super) use python::text;
pub(super) use translate::Translation;
pub(super) use translate::translate;

use minijinja::Environment;

/// Gives an environment the operators, filters, tests and methods of Ansible, and takes away what Ansible does not have.
pub(super) fn install(environment: &mut Environment<'static>) {
    for name in ["chain", "lines", "pprint", "urlencode"] {
        environment.remove_filter(name);
    }
    for name in ["startingwith", "endingwith", "safe"] {
        environment.remove_test(name);
    }
    operators::install(environment);
    filters::install(environment);
    lists::install(environment);
    texts::install(environment);
    patterns::install(environment);
    serial::install(environment);
    address::install(environment);
    tests::install(environment);
    environment.set_unknown_method_callback(methods::call);
}
