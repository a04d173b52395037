

class NoBus(Exception):
    """The system bus cannot be asked: busctl is to say why."""


class Bus(object):
    """The system bus, by its own protocol (the D-Bus specification, version 1)."""

    def __init__(self, path):
        self.serial = 0
        self.received = b""
        self.replies = {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
            self.socket.sendall(b"\0AUTH EXTERNAL " + binascii.hexlify(visible(str(os.getuid()))) + b"\r\n")
            while not self.received.endswith(b"\r\n"):
                self.receive(512)
            if not self.received.startswith(b"OK "):
                raise NoBus()
            self.received = b""
            self.socket.sendall(b"BEGIN\r\n")
            self.text(self.send(BUS, "/org/freedesktop/DBus", BUS, "Hello"))
        except (OSError, IOError, Refused) as error:
            raise NoBus(str(error))

    def receive(self, most):
        part = self.socket.recv(most)
        if not part:
            raise NoBus()
        self.received += part

    def send(self, name, path, interface, method, *texts):
        """Calls a method whose arguments are texts, and returns the number of the call. Several may be under way."""
        return self.call(name, path, interface, method, b"s" * len(texts), [visible(text) for text in texts])

    def call(self, name, path, interface, method, signature, words):
        """Calls a method whose arguments have that signature, with words as busctl takes them: each array begins with its length, and a variant with
        its type. Returns the number of the call; a ValueError if the words are not those of the signature, and nothing was sent."""
        self.serial += 1
        arguments, words, place = bytearray(), iter(words), 0
        while place < len(signature):
            place = pack(arguments, signature, place, words)
        if next(words, None) is not None:
            raise ValueError("there are more values than those of " + signature.decode("ascii", "replace"))
        body = bytes(arguments)
        # Its type, a call; its flags: a daemon that does not run is not started.
        message = b"l\1\2\1" + struct.pack("<II", len(body), self.serial)
        fields = b""
        for code, kind, text in ((1, b"o", path), (2, b"s", interface), (3, b"s", method), (6, b"s", name)):
            text = visible(text)
            fields = packed(fields, 8, struct.pack("<BB", code, 1) + kind + b"\0" + struct.pack("<I", len(text)) + text + b"\0")
        if signature:
            fields = packed(fields, 8, struct.pack("<BB", 8, 1) + b"g\0" + struct.pack("<B", len(signature)) + signature + b"\0")
        message += struct.pack("<I", len(fields)) + fields
        self.socket.sendall(packed(message, 8, body))
        return self.serial

    def text(self, serial):
        """The answer to that call, as busctl prints it: its signature, then its values."""
        while serial not in self.replies:
            self.take_message()
        kind, signature, order, body = self.replies.pop(serial)
        if kind == ERROR:
            raise Refused(0, raw(body, 0, order).decode("utf-8", "replace") if signature[:1] == b"s" else "it has no reason")
        words = []
        at, place = 0, 0
        while place < len(signature):
            place, at = value(signature, place, body, at, order, words, 0)
        return b" ".join([signature] + words)

    def take_message(self):
        """Takes a message from the bus. Only an answer is kept."""
        while len(self.received) < 16:
            self.receive(1 << 18)
        order = {b"l": "<", b"B": ">"}.get(self.received[:1])
        if order is None:
            raise NoBus()
        length, _, fields = struct.unpack_from(order + "III", self.received, 4)
        begin = aligned(16 + fields, 8)
        if length > LONGEST or fields > 1 << 16:
            raise NoBus()
        parts = [self.received]
        missing = begin + length - len(self.received)
        # Not added up part by part: that would take the square of the length.
        while missing > 0:
            self.received = b""
            self.receive(1 << 18)
            parts.append(self.received)
            missing -= len(self.received)
        whole = b"".join(parts)
        message, self.received = whole[: begin + length], whole[begin + length :]
        (kind,) = struct.unpack_from("B", message, 1)
        if kind not in (ANSWER, ERROR):
            return
        answers, signature, at = None, b"", 16
        while at < 16 + fields:
            at = aligned(at, 8)
            code, size = struct.unpack_from("BB", message, at)
            words = []
            try:
                _, at = value(message[at + 2 : at + 2 + size], 0, message, at + 3 + size, order, words, 0)
            except Refused:
                raise NoBus()
            if code == 5:
                answers = int(words[0])
            if code == 8:
                signature = words[0][1:-1]
        self.replies[answers] = (kind, signature, order, message[begin:])


BUS = "org.freedesktop.DBus"

# Types of messages.
ANSWER, ERROR = 2, 3

DEPTH = 64  # How deep values may nest (D-Bus specification).

# Numbers: where one begins, and how struct reads it.
NUMBERS = {b"y": (1, "B"), b"n": (2, "h"), b"q": (2, "H"), b"i": (4, "i"), b"u": (4, "I"), b"h": (4, "I")}
NUMBERS.update({b"x": (8, "q"), b"t": (8, "Q"), b"d": (8, "d")})

# Where a value of the other types begins.
BEGINS = {b"g": 1, b"v": 1, b"(": 8, b"{": 8}

# How busctl prints each byte of a text (cescape of systemd).
PLAIN = bytes(bytearray(byte for byte in range(0x20, 0x7F) if byte not in (0x22, 0x27, 0x5C)))
ESCAPES = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 0x22: b"\"", 0x27: b"\x27", 0x5C: b"\\"}


def escaped(byte):
    if byte in ESCAPES:
        return b"\\" + ESCAPES[byte]
    return bytes(bytearray([byte])) if 0x20 <= byte < 0x7F else ("\\%03o" % byte).encode("ascii")


def quoted(text):
    """A text as busctl prints it."""
    if text.translate(None, PLAIN):
        text = b"".join(escaped(byte) for byte in bytearray(text))
    return b"\"" + text + b"\""


def visible(text):
    """As bytes in ASCII."""
    return text.encode("ascii", "replace")


def begins(kind):
    """At a multiple of which number a value of this type begins."""
    return NUMBERS[kind][0] if kind in NUMBERS else BEGINS.get(kind, 4)


def pack(body, signature, place, words):
    """Adds the value whose type is at that place of the signature, and returns the place behind that."""
    kind = signature[place : place + 1]
    if kind == b"v":
        inner = taken(words, signature)
        body += struct.pack("<B", len(inner)) + inner + b"\0"
        if pack(body, inner, 0, words) != len(inner):
            raise ValueError("a variant of type " + inner.decode("ascii", "replace"))
        return place + 1
    body += b"\0" * (-len(body) % begins(kind))
    if kind == b"s":
        text = taken(words, signature)
        body += struct.pack("<I", len(text)) + text + b"\0"
    elif kind == b"i":
        body += struct.pack("<i", int(taken(words, signature)))
    elif kind == b"b":
        body += struct.pack("<I", (b"false", b"true").index(taken(words, signature)))
    elif kind == b"a":
        count, length = int(taken(words, signature)), len(body)
        body += b"\0" * 4
        body += b"\0" * (-len(body) % begins(signature[place + 1 : place + 2]))
        begin = len(body)
        for _ in range(count):
            pack(body, signature, place + 1, words)
        struct.pack_into("<I", body, length, len(body) - begin)
        return behind(signature, place)
    elif kind in (b"(", b"{"):
        place += 1
        while signature[place : place + 1] not in (b")", b"}"):
            place = pack(body, signature, place, words)
    else:
        raise ValueError("a signature with " + kind.decode("ascii", "replace") + " in it")
    return place + 1


def taken(words, signature):
    """The next word."""
    for word in words:
        return word
    raise ValueError("the values are not those of " + signature.decode("ascii", "replace"))


def aligned(at, width):
    """The first place from there on that is a multiple of the width."""
    return at + -at % width


def packed(before, width, what):
    """What is to be sent, behind what is sent before it, at a multiple of the width."""
    return before + b"\0" * (-len(before) % width) + what


def raw(data, at, order):
    """The text of a text that begins there."""
    at = aligned(at, 4)
    (length,) = struct.unpack_from(order + "I", data, at)
    return data[at + 4 : at + 4 + length]


def value(signature, place, data, at, order, words, depth):
    """Reads the value whose type is at that place of the signature, and adds its words; returns the places behind both."""
    kind = signature[place : place + 1]
    if depth > DEPTH or not kind:
        raise Refused(0, "an answer of type " + signature.decode("ascii", "replace"))
    if kind in b"so":
        text = raw(data, at, order)
        words.append(quoted(text))
        return place + 1, aligned(at, 4) + 5 + len(text)
    if kind in NUMBERS:
        width, how = NUMBERS[kind]
        at = aligned(at, width)
        words.append((("%g" if kind == b"d" else "%d") % struct.unpack_from(order + how, data, at)).encode("ascii"))
        return place + 1, at + width
    if kind == b"b":
        at = aligned(at, 4)
        words.append(b"true" if struct.unpack_from(order + "I", data, at)[0] else b"false")
        return place + 1, at + 4
    if kind in b"gv":
        (length,) = struct.unpack_from("B", data, at)
        text = data[at + 1 : at + 1 + length]
        at += 2 + length
        if kind == b"g":
            words.append(quoted(text))
            return place + 1, at
        words.append(text)
        return place + 1, value(text, 0, data, at, order, words, depth + 1)[1]
    if kind == b"a":
        at = aligned(at, 4)
        (length,) = struct.unpack_from(order + "I", data, at)
        item = signature[place + 1 : place + 2]
        at = aligned(at + 4, begins(item))
        end, count, number = at + length, 0, len(words)
        words.append(b"")
        while at < end:
            _, at = value(signature, place + 1, data, at, order, words, depth + 1)
            count += 1
        words[number] = ("%d" % count).encode("ascii")
        return behind(signature, place), at
    if kind in b"({":
        place, at = place + 1, aligned(at, 8)
        while signature[place : place + 1] not in (b")", b"}"):
            place, at = value(signature, place, data, at, order, words, depth + 1)
        return place + 1, at
    raise Refused(0, "an answer of type " + signature.decode("ascii", "replace"))


def behind(signature, place):
    """Where the type that begins there ends."""
    while signature[place : place + 1] == b"a":
        place += 1
    depth = 0
    while True:
        one = signature[place : place + 1]
        depth += (one in (b"(", b"{")) - (one in (b")", b"}"))
        place += 1
        if depth == 0 or not one:
            return place
