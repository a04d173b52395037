

def firewall(engine):
    """Which firewall Docker uses, which it reports since 28.1; an empty line before."""
    numbers = engine.split(".")
    if numbers[0].isdigit() and (int(numbers[0]) < 28 or int(numbers[0]) == 28 and numbers[1:2] == ["0"]):
        return ""
    return as_json(field(ask("/info"), "FirewallBackend"))


def in_lines(values):
    """The number of values, then a line of JSON for each."""
    return "\n".join([str(len(values))] + [as_json(value) for value in values])


def networks():
    return in_lines([network(found) for found in ask_list("/networks")])


# Fields are selected, because the environment of a container holds secrets.
def network(found):
    return {
        "name": field(found, "Name"),
        "id": field(found, "Id"),
        "driver": field(found, "Driver"),
        "ipam": field(found, "IPAM", "Config"),
        "internal": bool(field(found, "Internal")),
        "ipv6": bool(field(found, "EnableIPv6")),
        "options": field(found, "Options"),
        "labels": field(found, "Labels"),
        "ipam_driver": field(found, "IPAM", "Driver") or "",
        "ipam_options": field(found, "IPAM", "Options"),
        "attachable": bool(field(found, "Attachable")),
    }


def containers():
    """Once more if one has disappeared after it was listed."""
    for attempt in range(ATTEMPTS):
        try:
            listed = ask_list("/containers/json?all=1")
            return in_lines([container(ask("/containers/" + name(found) + "/json")) for found in listed])
        except Refused as refused:
            if refused.status != 404 or attempt == ATTEMPTS - 1:
                raise


def container(found):
    return {
        "name": field(found, "Name"),
        "id": field(found, "Id"),
        "running": bool(field(found, "State", "Running")),
        "mode": field(found, "HostConfig", "NetworkMode"),
        "bindings": field(found, "HostConfig", "PortBindings"),
        "ports": field(found, "NetworkSettings", "Ports"),
        "networks": field(found, "NetworkSettings", "Networks"),
        "status": field(found, "State", "Status") or "",
        "dns": field(found, "HostConfig", "Dns"),
        "privileged": bool(field(found, "HostConfig", "Privileged")),
        "capabilities": field(found, "HostConfig", "CapAdd"),
        "compose_service": field(found, "Config", "Labels", "com.docker.compose.service"),
        "swarm_service": field(found, "Config", "Labels", "com.docker.swarm.service.name"),
    }


def ask_docker():
    """Asks the questions about Docker; returns what it tells of its firewall."""
    engine = []
    firewall_told = []
    # The version comes first: what comes after depends on it.
    questions = [
        ("docker-version", lambda: engine.append(version()) or engine[0]),
        ("docker-firewall", lambda: firewall_told.append(firewall(engine[0])) or firewall_told[0]),
        ("docker-networks", networks),
        ("docker-containers", containers),
    ]
    reason = ""
    for question, answer in questions:
        if reason:
            skip(reason, question)
            continue
        try:
            show(question, 0, visible(within(seconds, answer)) + b"\n")
        except TimedOut:
            # The rest would take too long as well.
            reason = "docker did not answer within %d s" % seconds
            show(question, TIMED_OUT, b"")
        except Refused as refused:
            show(question, 1, b"", visible(str(refused)))
        if not engine and not reason:
            reason = "docker does not answer"
    return firewall_told[0] if firewall_told else ""
