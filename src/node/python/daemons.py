

docker_socket, bus_socket, limit, zone = sys.argv[1:]
seconds = int(limit)

FIREWALLD = "org.fedoraproject.FirewallD1"
OBJECT = "/org/fedoraproject/FirewallD1"
CONFIG = OBJECT + "/config"
SYSTEMD = "org.freedesktop.systemd1"
PROPERTIES = BUS + ".Properties"

CONFIGURATION = b"/etc/firewalld"
SHIPPED = b"/usr/lib/firewalld"

# What is not asked where firewalld is not on the bus.
QUESTIONS = (
    "firewalld-properties firewalld-config default-zone active-zones panic zone permanent-direct permanent-zone permanent-rich "
    "runtime-chains runtime-rules runtime-passthroughs runtime-rich runtime-sets permanent-sets settings files"
).split()

# For zones, policies and services: who tells the settings at runtime, and how; then the same of the permanent ones.
GETTERS = {
    "zone": (".zone", "getZoneSettings2", "getZoneByName", ".config.zone", "getSettings2"),
    "policy": (".policy", "getPolicySettings", "getPolicyByName", ".config.policy", "getSettings"),
    "service": ("", "getServiceSettings2", "getServiceByName", ".config.service", "getSettings2"),
}
# The form of the settings that names each of them came with 0.9 for zones, and with 0.7 for services.
OLDER = {
    "zone": (r"0\.[0-8](\.|$)", ("", "getZoneSettings", "getZoneByName", ".config.zone", "getSettings")),
    "service": (r"0\.[0-6](\.|$)", ("", "getServiceSettings", "getServiceByName", ".config.service", "getSettings")),
}
OURS = "fwdeploy-"
FOLDERS = (("zone", b"zones"), ("policy", b"policies"), ("service", b"services"))
FOLDER = dict(FOLDERS + (("ipset", b"ipsets"),))


def is_there(path):
    return os.access(path, os.F_OK)


def contents(path):
    """The bytes of a file; none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, IOError):
        return None


def units(bus, names, more):
    """Properties of units, and the text of `systemctl show` about them. `more` are others of services."""
    calls = []
    for name in names:
        path = "/org/freedesktop/systemd1/unit/" + name.replace(".", "_2e")
        kind = SYSTEMD + (".Service" if name.endswith(".service") else ".Socket")
        wanted = [(SYSTEMD + ".Unit", key) for key in ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState")]
        wanted += [(kind, key) for key in ["Result"] + (more if kind.endswith("Service") else [])]
        wanted += [(SYSTEMD + ".Unit", "ActiveEnterTimestamp")]
        calls.append([(key, bus.send(SYSTEMD, path, PROPERTIES, "Get", where, key)) for where, key in wanted])
    found = []
    for sent in calls:
        found.append({})
        for key, serial in sent:
            # `v s "active"`, `v u 17`
            found[-1][key] = within(seconds, lambda: bus.text(serial)).decode("ascii").split(" ", 2)[2].strip("\"")
    shown = ["".join("%s=%s\n" % (key, one[key]) for key, _ in sent[:-1]) for one, sent in zip(found, calls)]
    return found, visible("\n".join(shown))


def docker_told(process):
    """What Docker was told about iptables and DNS servers, by its configuration and its command line, a line each."""
    told = []
    for file in ("/etc/docker/daemon.json", "/var/snap/docker/current/config/daemon.json"):
        text = re.sub(b"[ \t\r\n]", b"", contents(file) or b"")
        for key in re.findall(b"\"ip6?tables\":(?:true|false)|\"dns\":\\[\"", text):
            told.append(b"dns=true" if key.startswith(b"\"dns") else key.replace(b"\"", b"").replace(b":", b"="))
    words = contents("/proc/" + process + "/cmdline") if process != "0" else None
    for word in re.split(b"[\0\n]", words or b""):
        option = re.match(b"--?(ip6?tables)(?:=(.*))?$", word)
        if option:
            told.append(option.group(1) + b"=" + (b"true" if option.group(2) is None else option.group(2)))
        elif re.match(b"--?dns(=.*)?$", word):
            told.append(b"dns=true")
    return b"".join(line + b"\n" for line in told)


def epoch(text):
    """The seconds since 1970 of a time such as 2025-01-27T13:59:00Z (RFC 3339); none if it is not one."""
    found = re.match(r"(\d+)-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d))$", text)
    if not found:
        return None
    year, month, day, hour, minute, second = [int(word) for word in found.groups()[:6]]
    # Years from March on: the day that is there every fourth year comes last.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = year * 365 + year // 4 - year // 100 + year // 400 + (month * 153 + 2) // 5 + day - 719469
    sign, hours, minutes = found.groups()[6:]
    offset = (int(hours) * 60 + int(minutes)) * 60 if sign else 0
    return ((days * 24 + hour) * 60 + minute) * 60 + second - (-offset if sign == "-" else offset)


def settling(unit, told):
    """Why Docker has not restored all of its rules yet, from what it tells of its firewall; nothing if nothing indicates it."""
    if unit["ActiveState"] == "activating":
        return "firewalld is starting\n"
    # Docker 28.1 and later tell when they last restored their rules.
    back = re.search(r"\"ReloadedAt\",\"([^\"]*)\"", told)
    back = epoch(back.group(1)) if back else None
    began = int(unit["ActiveEnterTimestamp"]) // 1000000
    # One that is not notified of the starts of firewalld never will.
    if back is None or not began or back >= began or now() - began > 60:
        return ""
    return "Docker has not restored its rules since firewalld was started\n"


def now():
    return int(time.time())


def docker(service, socket_unit, firewalld_unit):
    """The questions about Docker. Returns 4 if the docker command is to be asked, 5 if it is and Docker is starting, otherwise 0."""
    folders = os.environ.get("PATH", "").split(":")
    asked = ("docker-version", "docker-firewall", "docker-networks", "docker-containers")
    if not any(os.access(folder + "/docker", os.X_OK) for folder in folders):
        skip("docker is not installed", *asked)
        return 0
    is_starting = service["ActiveState"] in ("activating", "reloading")
    # A query would start the engine if systemd listens on its socket.
    if not is_starting and service["ActiveState"] != "active" and socket_unit["ActiveState"] == "active":
        skip("docker is not running", *asked)
        return 0
    if is_starting:
        show("settling", 0, b"Docker is starting\n")
    begun = len(frames)
    try:
        told = ask_docker()
    except NotDocker:
        del frames[begun:]
        return 5 if is_starting else 4
    if not is_starting:
        show("settling", 0, visible(settling(firewalld_unit, told)))
    return 0


# A CRC of cksum(1) begins with the highest bit, and the one of binascii with the lowest.
MIRRORED = bytes(bytearray(int("{0:08b}".format(byte)[::-1], 2) for byte in range(256)))


def checksum(text):
    """The line of cksum(1) for a text, without the name: its CRC and its length."""
    length, size = b"", len(text)
    while size:
        length += bytes(bytearray([size & 255]))
        size >>= 8
    crc = binascii.crc32((text + length).translate(MIRRORED), 0xFFFFFFFF) & 0xFFFFFFFF
    return "%d %d" % (int("{0:032b}".format(crc)[::-1], 2), len(text))


def stamp():
    """A line of cksum(1) for each file of firewalld, also where they are behind links. It shows whether one was written meanwhile."""
    lines = []

    def walk(folder, ancestors):
        for name in sorted(os.listdir(folder)):
            path = folder + b"/" + name
            if name == b".fwdeploy" or name.startswith(b".") and name.endswith(b".fwdeploy"):
                continue
            try:
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    text = contents(path)
                    lines.append(checksum(text).encode("ascii") + b" " + path + b"\n" if text is not None else b"")
                elif stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in ancestors:
                    walk(path, ancestors + [(status.st_dev, status.st_ino)])
            except (OSError, IOError):
                pass

    try:
        walk(CONFIGURATION, [])
    except (OSError, IOError):
        pass
    return b"".join(lines)


class Firewalld(object):
    """firewalld, until it lets a question time out: the rest would as well, and the reading would take minutes."""

    def __init__(self, bus):
        self.bus = bus
        self.is_silent = False

    def call(self, path, interface, method, *texts):
        return self.bus.send(FIREWALLD, path, interface, method, *texts)

    def answer(self, serial):
        """The exit code that busctl would have, what it would print, and why if that is nothing."""
        if self.is_silent:
            return "-", b"", visible("firewalld did not answer within %d s" % seconds)
        try:
            return 0, within(seconds, lambda: self.bus.text(serial)) + b"\n", b""
        except TimedOut:
            self.is_silent = True
            return TIMED_OUT, b"", b""
        except Refused as refused:
            return 1, b"", b"Call failed: " + refused.args[0].encode("utf-8")

    def show(self, question, serial):
        """Shows the answer to a call, and returns it; nothing if there is none."""
        answer = self.answer(serial)
        show(question, *answer)
        return answer[1].decode("ascii")

    def show_there(self, question, place, interface, method):
        """Shows the answer of the object whose path a call answers."""
        answer = self.answer(place)
        if answer[0] != 0:
            show(question, *answer)
            return
        path = answer[1].decode("ascii").split("\"")[1]
        self.show(question, self.call(path, FIREWALLD + interface, method))


def our_sets(answer):
    """The names of the own address sets of fwdeploy."""
    return re.findall("\"(" + OURS + "[A-Za-z0-9_.-]*)\"", answer)


def zone_names():
    """The zones that exist, for a message about one that does not."""
    found = set()
    for folder in (CONFIGURATION, SHIPPED):
        try:
            names = os.listdir(folder + b"/zones")
        except (OSError, IOError):
            names = []
        found.update(name[:-4].decode("ascii", "replace") for name in names if name.endswith(b".xml") and not name.startswith(b"."))
    return sorted(found)


def settings(zone, active, default):
    """What a reload could change, as pairs: the active zones, and everything with a file of its own. The rest is as it is shipped."""
    found = [("zone", zone)]
    # A word of the answers that is not a zone, such as the name of an interface, has no file.
    for word in (active + " " + default).split():
        word = word[1:] if word.startswith("\"") else word
        word = word[:-1] if word.endswith("\"") else word
        file = b"/zones/" + visible(word) + b".xml"
        found += [("zone", word) for folder in (CONFIGURATION, SHIPPED) if "/" not in word and is_there(folder + file)]
    for kind, folder in FOLDERS:
        try:
            names = sorted(os.listdir(CONFIGURATION + b"/" + folder))
        except (OSError, IOError):
            names = []
        names = [name.decode("ascii", "replace") for name in names if not name.startswith(b".")]
        found += [(kind, name[:-4]) for name in names if name.endswith(".xml")]
    return found


def files(listed):
    """What a reload would load, each from /etc/firewalld or else as the distribution ships it: first where, then the texts."""
    places, texts = [], []
    for kind, name in [("direct", "direct"), ("conf", "firewalld")] + listed:
        folder = FOLDER.get(kind)
        file = visible(name) + (b".conf" if kind == "conf" else b".xml")
        where = [CONFIGURATION + b"/" + file] if folder is None else [at + b"/" + folder + b"/" + file for at in (CONFIGURATION, SHIPPED)]
        found = [path for path in where if is_there(path)][:1]
        places.append(visible("%s:%s " % (kind, name)) + (found + [b"-"])[0] + b"\n")
        for path in found:
            with open(path, "rb") as opened:
                text = opened.read()
            lines = text.split(b"\n")
            if not lines[-1]:
                lines.pop()
            texts.append(b"=" + path + b"\n" if lines else b"")
            texts += [b" " + line + b"\n" for line in lines]
    return b"".join(places + texts) + b"end\n"


def ask_firewalld(bus):
    owner = within(seconds, lambda: bus.text(bus.send(BUS, "/org/freedesktop/DBus", BUS, "NameHasOwner", FIREWALLD)))
    show("firewalld-owner", 0, owner + b"\n")
    # A call to a name without owner could start the daemon.
    if owner != b"b true":
        skip("firewalld is not on the bus", *QUESTIONS)
        return
    stamp_then = stamp()
    show("file-sums", 0, stamp_then)
    firewalld = Firewalld(bus)
    call = firewalld.call
    direct = FIREWALLD + ".direct"
    sent = [
        ("firewalld-properties", call(OBJECT, PROPERTIES, "GetAll", FIREWALLD)),
        ("firewalld-config", call(CONFIG, PROPERTIES, "GetAll", FIREWALLD + ".config")),
        ("active-zones", call(OBJECT, FIREWALLD + ".zone", "getActiveZones")),
        ("panic", call(OBJECT, FIREWALLD, "queryPanicMode")),
        ("permanent-direct", call(CONFIG, FIREWALLD + ".config.direct", "getSettings")),
        ("runtime-chains", call(OBJECT, direct, "getAllChains")),
        ("runtime-rules", call(OBJECT, direct, "getAllRules")),
        ("runtime-passthroughs", call(OBJECT, direct, "getAllPassthroughs")),
        ("default-zone", call(OBJECT, FIREWALLD, "getDefaultZone")),
        ("permanent-sets", call(CONFIG, FIREWALLD + ".config", "getIPSetNames")),
        ("runtime-sets", call(OBJECT, FIREWALLD + ".ipset", "getIPSets")),
    ]
    told = dict((question, firewalld.show(question, serial)) for question, serial in sent)
    version = re.search(r"\"version\" s \"([0-9.]*)", told["firewalld-properties"])
    active, default = told["active-zones"], told["default-zone"]
    read = zone or default[3:].split("\"")[0]
    if not read:
        skip("the default zone is unknown", "zone", "permanent-zone", "permanent-rich", "runtime-rich", "settings", "files")
        return
    show("zone", 0, visible(read))
    listed = settings(read, active, default)
    lines = "".join("%s %s\n" % pair for pair in listed)
    show("settings", 0, visible(lines) + b"end\n")
    once = []
    for kind, name in listed:
        if re.match("[A-Za-z0-9_.-]*$", name) and (kind, name) not in once:
            once.append((kind, name))
    saved = [(name, call(CONFIG, FIREWALLD + ".config", "getIPSetByName", name)) for name in our_sets(told["permanent-sets"])]
    rich = call(OBJECT, FIREWALLD + ".zone", "getRichRules", read)
    place = call(CONFIG, FIREWALLD + ".config", "getZoneByName", read)
    asked = []
    for kind, name in once:
        getters = GETTERS[kind]
        if kind in OLDER and re.match(OLDER[kind][0], version.group(1) if version else ""):
            getters = OLDER[kind][1]
        runtime = call(OBJECT, FIREWALLD + getters[0], getters[1], name)
        asked.append((kind + ":" + name, getters, runtime, call(CONFIG, FIREWALLD + ".config", getters[2], name)))
    firewalld.show("runtime-rich", rich)
    path = firewalld.show("permanent-zone", place)
    if path:
        firewalld.show("permanent-rich", call(path.split("\"")[1], FIREWALLD + ".config.zone", "getRichRules"))
    else:
        skip("the permanent zone was not found", "permanent-rich")
        show("zone-names", 0, visible("".join(name + "\n" for name in zone_names())))
    sets = []
    for question, getters, runtime, where in asked:
        answer = firewalld.show("runtime-" + question, runtime)
        # `ipset:NAME` of a source, `ipset=\"NAME\"` of a rich rule.
        sets += re.findall(r"ipset(?::|=\\\")([A-Za-z0-9_.-]+)", answer)
        firewalld.show_there("permanent-" + question, where, *getters[3:])
    for name, where in saved:
        firewalld.show_there("permanent-set:" + name, where, ".config.ipset", "getSettings")
    try:
        text = files(once + [("ipset", name) for name, where in saved])
    except (OSError, IOError) as error:
        show("files", 2, b"", visible(str(error)))
    else:
        if stamp() == stamp_then:
            show("files", 0, text)
        else:
            # The answers and the contents of the files may be of two moments, and the difference is not an edit.
            show("files", 1, text, b"another program is writing to firewalld\x27s files")
    own = our_sets(told["runtime-sets"])
    others = sorted(name for name in set(sets) if not name.startswith(OURS))
    for name in others[:64] + own:
        firewalld.show("set:" + name, call(OBJECT, FIREWALLD + ".ipset", "getIPSetSettings", name))


def wait_for_signal(told, end):
    """Waits until the kernel has been read. Its end is not waited for when whoever reads it has gone."""
    signal.alarm(300)
    while not told:
        os.read(end, 1)
    signal.alarm(0)


def write(text):
    while text:
        text = text[os.write(1, text) :]


def main():
    told = []
    # Whatever the signal finds here, it leaves a byte in the pipe.
    end, begin = os.pipe()
    fcntl.fcntl(begin, fcntl.F_SETFL, os.O_NONBLOCK)
    signal.set_wakeup_fd(begin)
    signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))
    # Python 2 would take it for a failure of the call that it interrupts.
    signal.siginterrupt(signal.SIGUSR1, False)
    signal.signal(signal.SIGALRM, time_out)
    bus = within(seconds, lambda: Bus(bus_socket))
    write(visible("%d\n" % os.getpid()))
    found, text = units(bus, ["firewalld.service"], [])
    show("firewalld-unit", 0, text)
    engine, text = units(bus, ["docker.service", "docker.socket"], ["MainPID"])
    show("docker-unit", 0, text)
    show("docker-told", 0, docker_told(engine[0]["MainPID"]))
    code = docker(engine[0], engine[1], found[0])
    wait_for_signal(told, end)
    ask_firewalld(bus)
    write(b"".join(frames))
    sys.exit(code)


main()
