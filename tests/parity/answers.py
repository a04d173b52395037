"""Answers for the real Ansible: reads one JSON document, writes one.

    {"inventories": [{"path": ..., "folder": ...}], "patterns": [{"path": ..., "patterns": [...]}],
     "expressions": {"path": ..., "host": ..., "texts": [...]}}

Everything is done in one process, because starting Ansible takes a second.
"""
from __future__ import annotations

import json
import os
import sys

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

# What Ansible adds to the variables of each host; the names that fwdeploy has too are asked for by expressions.
MAGIC = {
    "ansible_playbook_python", "ansible_version", "group_names", "groups", "inventory_dir", "inventory_file",
    "inventory_hostname", "inventory_hostname_short", "omit", "playbook_dir", "hostvars", "ansible_config_file",
    "ansible_play_hosts", "ansible_play_batch", "ansible_play_hosts_all", "play_hosts", "ansible_run_tags",
    "ansible_skip_tags", "ansible_check_mode", "ansible_diff_mode", "ansible_forks", "ansible_inventory_sources",
    "ansible_verbosity", "ansible_facts", "environment", "vars", "role_names", "ansible_play_role_names",
    "ansible_dependent_role_names", "ansible_role_names", "ansible_limit",
}


def plain(value):
    """A value without Ansible's own types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def answer(make):
    try:
        return {"value": plain(make())}
    except Exception as wrong:  # whatever it is, Ansible has refused
        return {"error": f"{type(wrong).__name__}: {wrong}"}


class Inventory:
    def __init__(self, path, folder=None):
        self.loader = DataLoader()
        self.loader.set_basedir(folder or os.getcwd())
        self.inventory = InventoryManager(loader=self.loader, sources=[path])
        self.variables = VariableManager(loader=self.loader, inventory=self.inventory, version_info={})
        # It tells the variable manager of itself.
        HostVars(inventory=self.inventory, variable_manager=self.variables, loader=self.loader)

    def templar(self, host):
        variables = self.variables.get_vars(host=self.inventory.get_host(host))
        return variables, Templar(loader=self.loader, variables=variables)

    def render(self, host, texts):
        _, templar = self.templar(host)
        return [answer(lambda: templar.template(trust_as_template(text))) for text in texts]

    def hosts(self):
        hosts = {}
        for host in self.inventory.get_hosts():
            variables, templar = self.templar(host.name)
            names = sorted(name for name in variables if name not in MAGIC)
            hosts[host.name] = {name: answer(lambda: templar.template(variables[name])) for name in names}
        return hosts

    def groups(self):
        return {
            name: sorted(host.name for host in group.get_hosts())
            for name, group in self.inventory.groups.items()
        }


def inventory(path, folder):
    made = Inventory(path, folder)
    return {"hosts": made.hosts(), "groups": made.groups()}


def select(made, pattern):
    # `ansible` itself takes the whole inventory, and then limits it.
    made.inventory.subset(pattern)
    return [host.name for host in made.inventory.get_hosts("all")]


def main():
    init_plugin_loader()
    asked = json.load(sys.stdin)
    out = {"inventories": [], "patterns": [], "expressions": []}
    for one in asked.get("inventories", []):
        os.chdir(one["folder"])
        out["inventories"].append(answer(lambda: inventory(one["path"], one["folder"])))
    for one in asked.get("patterns", []):
        made = Inventory(one["path"])
        out["patterns"].append([answer(lambda: select(made, pattern)) for pattern in one["patterns"]])
    if "expressions" in asked:
        one = asked["expressions"]
        os.chdir(one["folder"])
        out["expressions"] = Inventory(one["path"], one["folder"]).render(one["host"], one["texts"])
    json.dump(out, sys.stdout)


main()
