

docker_socket, limit = sys.argv[1:3]
seconds = int(limit)

OTHER = 3  # The exit code where the commands are to be asked.


def encode(word):
    """The word as a template of Docker codes it with `urlquery` (url.QueryEscape of Go)."""
    text = ""
    for byte in bytearray((word or u"").encode("utf-8")):
        letter = chr(byte)
        if letter == " ":
            text += "+"
        elif byte < 128 and (letter.isalnum() or letter in "_.~-"):
            text += letter
        else:
            text += "%%%02X" % byte
    return text


def word(value):
    """A boolean as a template prints it."""
    return "true" if value else "false"


def in_order(mapping):
    """The keys and values of a mapping that may be missing, in the order in which a template has them."""
    return sorted((mapping or {}).items())


# What was answered, by path: several questions need the networks, and the same containers.
answered = {}


def ask_once(get, path):
    """Gets the answer at that path, as `get` does."""
    if path not in answered:
        answered[path] = get(path)
    return answered[path]


def inspected_containers(listed):
    """All that Docker knows of each of these; once more if one has disappeared after it was listed."""
    for attempt in range(ATTEMPTS):
        try:
            return [ask_once(ask, "/containers/" + name(found) + "/json") for found in ask_list(listed)]
        except Refused as refused:
            if refused.status != 404 or attempt == ATTEMPTS - 1:
                raise


def picture():
    """The lines of picture.sh, before they are put in order."""
    lines = []
    for found in ask_once(ask_list, "/networks"):
        subnets = ""
        for config in field(found, "IPAM", "Config") or []:
            parts = [encode(field(config, key)) for key in ("Subnet", "Gateway", "IPRange")]
            parts += [encode(key) + ":" + encode(value) for key, value in in_order(field(config, "AuxiliaryAddresses"))]
            subnets += "|".join(parts) + "|,"
        words = ["network", encode(found["Name"]), encode(found["Driver"]), word(field(found, "Internal")), word(field(found, "EnableIPv6"))]
        words.append(subnets + ".")
        for key in ("Options", "Labels"):
            words.append("".join([encode(name) + "=" + encode(value) + "," for name, value in in_order(field(found, key))]) + ".")
        lines.append(" ".join(words + [found["Id"]]))
    for found in inspected_containers("/containers/json?all=1"):
        lines.append("container " + encode(found["Name"]) + " " + word(field(found, "State", "Running")) + " " + found["Id"])
        for network, endpoint in in_order(field(found, "NetworkSettings", "Networks")):
            words = ["place", encode(found["Name"]), encode(network)]
            words += [encode(field(endpoint, "IPAMConfig", key)) + "." for key in ("IPv4Address", "IPv6Address")]
            words += [encode(field(endpoint, key)) + "." for key in ("IPAddress", "GlobalIPv6Address")]
            words += ["".join([encode(each) + "," for each in field(endpoint, key) or []]) + "." for key in ("Aliases", "Links")]
            lines.append(" ".join(words + [found["Id"]]))
    return lines


def layout():
    """The lines of `container_layout`, in no order."""
    lines = []
    for found in inspected_containers("/containers/json"):
        text = found["Id"] + " "
        for network, endpoint in in_order(field(found, "NetworkSettings", "Networks")):
            text += network + "=" + (field(endpoint, "IPAddress") or "") + "," + (field(endpoint, "GlobalIPv6Address") or "") + " "
        lines.append(text + as_json(field(found, "NetworkSettings", "Ports")))
    return lines


def bridges():
    """What `bridge_networks` reads of each bridge network."""
    lines = []
    for found in ask_once(ask_list, "/networks"):
        if found["Driver"] == "bridge":
            text = found["Id"] + "|" + word(field(found, "Internal")) + "|"
            text += "".join([key + "=" + value + "|" for key, value in in_order(field(found, "Options"))]) + " "
            lines.append(text + "".join([config["Subnet"] + " " for config in field(found, "IPAM", "Config") or []]))
    return lines


QUESTIONS = {"picture": picture, "layout": layout, "bridges": bridges}


def main():
    signal.signal(signal.SIGALRM, time_out)
    try:
        within(seconds, version)
        texts = ["\n".join(within(seconds, QUESTIONS[question])) + "\x1f" for question in sys.argv[3:]]
    except TimedOut:
        return TIMED_OUT, ""
    except Refused as refused:
        return 1, str(refused)
    except Exception:
        # Whatever it is, the docker command may know better.
        return OTHER, ""
    return 0, "".join(texts)


code, text = main()
text = text.encode("utf-8") + b"\n"
while text:
    text = text[os.write(1, text) :]
sys.exit(code)
