//! Connection variables that are templates: rendered with the node's variables, as a role's values are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use minijinja::value::ValueKind;

use crate::inventory::Render;
use crate::inventory::connection;
use crate::inventory::error::InputError;
use crate::inventory::location::Located;
use crate::inventory::vars::Var;
use crate::inventory::vault::Taint;
use crate::inventory::vault::opened;
use crate::role::catalog::Resolver;
use crate::role::fleet_vars::NodeVars;
use crate::role::renderer::Renderer;
use crate::role::scope::Lookup;
use crate::role::template::is_plain;

/// For no role: a role's defaults say nothing about the connection.
impl Render for Resolver<'_> {
    fn render(&self, node: &str, name: &str, var: &Var) -> Result<serde_yaml::Value, InputError> {
        if is_plain(var.value()) {
            return Ok(var.value().clone());
        }
        let renderer = self.renderer(node, "", Vec::new());
        let rendered = Rendering(&renderer).render(node, name, var);
        renderer.end();
        rendered
    }
}

/// Renders variables while something else is being rendered, so that a template that asks for itself is found.
struct Rendering<'r>(&'r Arc<Renderer>);

impl Render for Rendering<'_> {
    fn render(&self, node: &str, name: &str, var: &Var) -> Result<serde_yaml::Value, InputError> {
        if is_plain(var.value()) {
            return Ok(var.value().clone());
        }
        let renderer = self.0;
        renderer.state().asked.push(BTreeSet::new());
        let value = Arc::clone(renderer).look_up(node, name).unwrap_or_default();
        let asked = renderer.state().asked.pop().unwrap_or_default();
        if matches!(value.kind(), ValueKind::Invalid | ValueKind::Undefined) {
            let key = (node.into(), name.into());
            let known = renderer.state().mistake_of(&key);
            return Err(known.unwrap_or_else(|| unrenderable(var)));
        }
        match value.as_str() {
            // An encrypted text may end with a line end: `echo VALUE | ansible-vault encrypt_string` encrypts that too.
            Some(text) if renderer.taint_of(&asked) > Taint::None => {
                Ok(opened(text.trim_end_matches(['\r', '\n'])))
            }
            _ => serde_yaml::to_value(&value).map_err(|_| unrenderable(var)),
        }
    }
}

fn unrenderable(var: &Var) -> InputError {
    InputError::at(
        var.origin().key_location(),
        "the template makes no value of a variable",
    )
}

impl Renderer {
    /// The address that the peers of a node see, found when the first template asks for it.
    pub(super) fn address_of<'f>(
        self: &Arc<Self>,
        name: &str,
        member: &'f NodeVars,
    ) -> Result<Option<&'f Located<IpAddr>>, InputError> {
        // Not `get_or_init`: a template may come back to the same node.
        if member.address.get().is_none() {
            let found = connection::address(name, &member.location, &member.vars, &Rendering(self));
            // Whoever was first has found the same.
            let _ = member.address.set(found);
        }
        match member.address.get() {
            Some(Ok(address)) => Ok(address.as_ref()),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::inventory::ConnectionVars;
    use crate::inventory::InputErrors;
    use crate::inventory::Inventory;
    use crate::role::Roles;

    fn connection(text: &str, node: &str) -> Result<ConnectionVars, InputErrors> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yml");
        fs::write(&path, text).unwrap();
        let inventory = Inventory::load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let roles = Roles::built_in();
        let resolver = roles.resolver(&inventory);
        let node = inventory.node(node).unwrap();
        let read = node.connection(&resolver)?;
        // It stays closed until somebody becomes root.
        if let Some(password) = &read.escalate_password {
            let secret = resolver.password(node, "ansible_become_password", password);
            secret
                .reveal()
                .map(|secret| assert_eq!(secret.expose(), "x2"))?;
        }
        Ok(read)
    }

    #[test]
    fn connection_variables_are_rendered_with_the_variables_of_their_node() {
        let text = r#"all:
  vars:
    ansible_host: "{{ public_ip }}"
    ansible_port: "{{ base_port + 2 }}"
    ansible_user: "{{ group_names[0] }}-{{ inventory_hostname }}"
    ansible_become: "{{ needs_sudo }}"
    ansible_become_user: "{{ hostvars['b'].admin }}"
    ansible_become_password: "{{ passwords[inventory_hostname] }}"
    ansible_ssh_private_key_file: "/keys/{{ inventory_hostname_short }}"
    fwdeploy_zone: "{{ zone | default('public') }}"
    passwords: {a: "x{{ 1 + 1 }}"}
    base_port: 2200
    needs_sudo: "yes"
  children:
    eos:
      hosts:
        a: {public_ip: "{{ ip }}", ip: 198.51.100.7}
        b: {public_ip: no-such-host!, admin: eva}
"#;
        let read = connection(text, "a").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(read.host.value, "198.51.100.7");
        assert_eq!(read.address.unwrap().value.to_string(), "198.51.100.7");
        assert_eq!(read.port.unwrap().value, 2202);
        assert_eq!(read.user.unwrap().value, "eos-a");
        assert!(read.escalate.unwrap().value);
        assert_eq!(read.escalate_user.unwrap().value, "eva");
        assert!(read.escalate_password.is_some());
        assert_eq!(
            read.private_key_file.unwrap().value.display().to_string(),
            "/keys/a"
        );
        assert_eq!(read.zone.unwrap().value, "public");
        // Nobody had asked for these.
        let wrong = connection(text, "b").unwrap_err().to_string();
        assert!(wrong.contains("`no-such-host!` is neither"), "{wrong}");
    }

    #[test]
    fn a_template_that_has_no_value_is_named_and_no_secret_is_shown() {
        for (vars, expected) in [
            (
                "ansible_host: '{{ publc_ip }}', public_ip: 192.0.2.1",
                "`publc_ip` is not defined",
            ),
            (
                "ansible_host: '{{ ansible_host }}'",
                "a template loop without end",
            ),
            (
                "ansible_host: '{{ x }}', x: '{{ ansible_host }}'",
                "a template loop without end",
            ),
            (
                r#"ansible_host: "{{ addresses('all') | first }}", x: 1"#,
                "a template loop without end",
            ),
            ("ansible_port: '{{ [1] }}'", "`ansible_port` takes a port"),
            ("ansible_port: '{{ 70000 }}'", "`70000` is not a port"),
            (
                "ansible_user: !unsafe '{{ x }}'",
                "is not allowed in `ansible_user`",
            ),
            (
                "ansible_user: '{{ role_name }}'",
                "`role_name` is not defined",
            ),
            (
                "ansible_become_password: '{{ [1, \"hunter2\"] }}'",
                "takes a string",
            ),
            (
                "ansible_become_password: 'hunter2{{ nope }}'",
                "`nope` is not defined",
            ),
        ] {
            let loops = r#"{ansible_host: "{{ addresses('all') | first }}"}"#;
            let text = format!("all: {{hosts: {{a: {{{vars}}}, b: {loops}}}}}\n");
            let errors = connection(&text, "a").expect_err(vars);
            let shown = format!("{errors} {errors:?}");
            assert!(shown.contains(expected), "{vars}: {shown}");
            assert!(shown.contains("inventory.yml:1:"), "{vars}: {shown}");
            let rendered = errors.render(crate::inventory::error::Style::Plain);
            assert!(!format!("{shown} {rendered}").contains("hunter2"), "{vars}");
        }
    }
}
