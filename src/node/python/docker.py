

LONGEST = 16 << 20  # Bytes of one answer; that of a container has about 10 KB.
ATTEMPTS = 3


class NotDocker(Exception):
    """Nobody listens, or what answers does not speak the API of Docker: the docker command is to be asked."""


def ask(path):
    """Gets the answer at that path, as a value."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            connection.connect(docker_socket)
        except (OSError, IOError) as error:
            raise NotDocker(str(error))
        # With this version an answer comes whole, and the end of the connection is its end.
        request = "GET " + path + " HTTP/1.0\r\nHost: docker\r\nUser-Agent: fwdeploy\r\n\r\n"
        connection.sendall(request.encode("ascii"))
        parts = []
        length = 0
        while length <= LONGEST:
            part = connection.recv(1 << 18)
            if not part:
                break
            parts.append(part)
            length += len(part)
        else:
            raise Refused(0, "the answer to " + path + " is longer than 16 MiB")
    finally:
        connection.close()
    head, separator, body = b"".join(parts).partition(b"\r\n\r\n")
    lines = head.decode("ascii", "replace").split("\r\n")
    words = lines[0].split(" ")
    if not separator or not words[0].startswith("HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise NotDocker(lines[0])
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "transfer-encoding":
            raise NotDocker(line)
        if name == "content-length" and value != str(len(body)):
            raise Refused(0, "the answer to " + path + " was cut off")
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        # With the end of the connection as its end, half of it looks like the whole.
        raise Refused(0, "the answer to " + path + " is not JSON, or was cut off")
    status = int(words[1])
    if status != 200:
        message = answer.get("message") if isinstance(answer, dict) else None
        raise Refused(status, "Error response from daemon: " + as_json(message))
    return answer


def ask_list(path):
    """Gets the answer at that path, which is a list."""
    answer = ask(path)
    if not isinstance(answer, list):
        raise Refused(0, "the answer to " + path + " is not a list")
    return answer


def as_json(value):
    """As one line of ASCII."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def field(value, *keys):
    """The value that is found by following the keys; none where one is missing, as Docker leaves out what is empty."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def version():
    engine = ask("/version")
    components = field(engine, "Components")
    # Podman has an API like it.
    names = [field(component, "Name") for component in components] if isinstance(components, list) else []
    found = field(engine, "Version")
    if not isinstance(found, type(u"")) or names and "Engine" not in names:
        raise NotDocker(found)
    return found


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


def name(listed):
    found = field(listed, "Id")
    if not isinstance(found, type(u"")) or not found.isalnum():
        raise Refused(0, "a container without an id is listed")
    return found


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
