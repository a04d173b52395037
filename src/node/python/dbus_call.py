# Calls a method over the system bus with more values than a command line holds (2 MB, execve(2)): busctl takes them as arguments only.
# Arguments: the name on the bus, the path, the interface, the method, the signature, and how many seconds it may take. The values are
# read from the input, as busctl takes them: each array begins with its length. Each value ends with U+001F.
#
# Exits with 0 and prints nothing if the call went well; otherwise prints what was answered, and exits with 1. With 3 nothing was called.
#
# For Python 2.7 (CentOS 7) and every Python 3, with the module that firewalld itself talks to the bus with.
import sys

# A module is never taken from the folder that this happens to be run in.
sys.path = [place for place in sys.path if place]


def fail(code, text):
    sys.stderr.write(text + "\n")
    sys.exit(code)


try:
    import dbus
    import dbus.lowlevel
except ImportError as error:
    fail(3, "a configuration of this length needs the Python module dbus: %s" % error)


def read(signature, at, values):
    """The value of the type that begins there, and where the next type begins."""
    kind = signature[at]
    if kind == "a":
        items, end = [], at + 1
        count = int(next(values))
        for _ in range(count):
            item, end = read(signature, at + 1, values)
            items.append(item)
        if signature[at + 1] == "{":
            items = dict(items)
        return items, end if count else skip(signature, at + 1)
    if kind in "({":
        items, at = [], at + 1
        while signature[at] not in ")}":
            item, at = read(signature, at, values)
            items.append(item)
        return tuple(items), at + 1
    if kind == "i":
        return int(next(values)), at + 1
    if kind == "s":
        return next(values), at + 1
    raise ValueError("a signature with %s in it" % kind)


def skip(signature, at):
    """Where the type that begins there ends."""
    if signature[at] == "a":
        return skip(signature, at + 1)
    depth = 0
    while True:
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[at], 0)
        at += 1
        if depth == 0:
            return at


name, path, interface, method, signature, seconds = sys.argv[1:]
text = getattr(sys.stdin, "buffer", sys.stdin).read().decode("utf-8")
words = text.split(u"\x1f")
if words.pop() != u"":
    fail(3, "the values were cut off")
values, arguments, at = iter(words), [], 0
try:
    while at < len(signature):
        argument, at = read(signature, at, values)
        arguments.append(argument)
except (StopIteration, ValueError) as error:
    fail(3, "the values are not those of %s: %s" % (signature, error))
if next(values, None) is not None:
    fail(3, "there are more values than those of %s" % signature)

try:
    bus = dbus.SystemBus()
    message = dbus.lowlevel.MethodCallMessage(name, path, interface, method)
    # A firewalld that was stopped is not started.
    message.set_auto_start(False)
    message.append(signature=signature, *arguments)
    bus.send_message_with_reply_and_block(message, float(seconds))
except dbus.DBusException as error:
    fail(1, error.get_dbus_message() or str(error))
