

ATTEMPTS = 3


class NotDocker(Exception):
    """Nobody listens, or what answers does not speak the API of Docker: the docker command is to be asked."""


def exchange(path):
    """Gets the answer at that path: its status, its head by lower-case names, and its body."""
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
    told = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        told[name.strip().lower()] = value.strip()
    if "transfer-encoding" in told:
        raise NotDocker(told["transfer-encoding"])
    if told.get("content-length", str(len(body))) != str(len(body)):
        raise Refused(0, "the answer to " + path + " was cut off")
    return int(words[1]), told, body


def ask(path):
    """Gets the answer at that path, as a value."""
    status, _, body = exchange(path)
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        # With the end of the connection as its end, half of it looks like the whole.
        raise Refused(0, "the answer to " + path + " is not JSON, or was cut off")
    if status != 200:
        message = answer.get("message") if isinstance(answer, dict) else None
        raise Refused(status, "Error response from daemon: " + as_json(message))
    return answer


def version():
    """The version of Docker, by the head of an answer: to be asked for it, Docker starts two programs."""
    status, told, _ = exchange("/_ping")
    server = told.get("server", "")
    if status == 200 and server.startswith("Docker/"):
        return server[len("Docker/") :].partition(" ")[0]
    engine = ask("/version")
    components = field(engine, "Components")
    # Podman has an API like it.
    names = [field(component, "Name") for component in components] if isinstance(components, list) else []
    found = field(engine, "Version")
    if not isinstance(found, type(u"")) or names and "Engine" not in names:
        raise NotDocker(found)
    return found


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


def name(listed):
    found = field(listed, "Id")
    if not isinstance(found, type(u"")) or not found.isalnum():
        raise Refused(0, "a container without an id is listed")
    return found
