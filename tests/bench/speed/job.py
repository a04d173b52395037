"""The job: what every tool is to bring a node to. tests/bench/tools has it as playbooks, deploys and templates."""
from __future__ import annotations

import ipaddress

# The network and its container have one name, as the role `cybex` has them.
NETWORK, CONTAINER, BRIDGE = "cybex", "172.20.0.2", "br-cybex"
FIRST = int(ipaddress.ip_address("198.18.0.1"))


class Wrong(Exception):
    """A run did not do what it should, or could not be made."""


def peer(number: int) -> str:
    """A host that does not exist, of a network that is reserved for benchmarks."""
    return str(ipaddress.ip_address(FIRST + 2 * number))


class Peers:
    """The whitelist, whose last peer can be exchanged for another one."""

    def __init__(self, count: int) -> None:
        self.count, self.exchanged = count, 0

    def exchange(self) -> None:
        self.exchanged += 1

    def now(self) -> list[str]:
        return [*(peer(number) for number in range(self.count - 1)), peer(self.count - 1 + self.exchanged)]

    def former(self) -> list[str]:
        """The peer that the last exchange has taken off."""
        return [peer(self.count - 2 + self.exchanged)] if self.exchanged else []
