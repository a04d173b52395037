

bus_socket, called, files = sys.argv[1:4]
LINE = 3500  # A longer answer is read faster from a file: a shell reads a pipe byte by byte.
PARENT_SECONDS = 1.0  # How often it is seen whether the program that has started this is still there.

bus = None


def answer(words):
    """The code and the text of the answer to a call."""
    global bus
    try:
        seconds = int(words[0])
        path, interface, method = (word.decode("utf-8") for word in words[1:4])
        signature = words[4] if len(words) > 4 else b""
        if bus is None:
            bus = within(seconds, lambda: Bus(bus_socket))
        serial = bus.call(called, path, interface, method, signature, words[5:])
    except (ValueError, IndexError, struct.error):
        return 2, b""
    except Exception:
        bus = None
        return 2, b""
    try:
        # Behind the signature there is a blank, if there is a value.
        return 0, within(seconds, lambda: bus.text(serial))
    except Refused as error:
        return 1, error.args[0].encode("utf-8")
    except TimedOut:
        # Half of the answer may have been read.
        bus = None
        return 1, b"Connection timed out"
    except Exception:
        bus = None
        return 1, b"Connection reset by peer"


def written(name, text):
    """The file with that text, for the owner alone."""
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)


def reply(call, code, text):
    mark = b" "
    if len(text) > LINE or b"\n" in text:
        written(files + ".answer", text)
        mark, text = b"@", b""
    line = call + b" " + str(code).encode("ascii") + mark + text + b"\n"
    while line:
        line = line[os.write(1, line) :]


def lines(parent):
    """The lines of the input, as long as the other program is there."""
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], PARENT_SECONDS)[0]:
            continue
        part = os.read(0, 1 << 16)
        if not part:
            return
        rest += part
        while b"\n" in rest:
            line, _, rest = rest.partition(b"\n")
            yield line


def main():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, time_out)
    parent = os.getppid()
    os.write(1, b"ready\n")
    for line in lines(parent):
        call, _, rest = line.partition(b"\x1f")
        if rest == b"@":
            try:
                with open(files + ".values", "rb") as file:
                    rest = file.read()
            except (OSError, IOError):
                rest = b""
        # A call that was cut off has no U+001F at its end.
        words = rest.split(b"\x1f")
        reply(call, *(answer(words[:-1]) if words[-1] == b"" else (2, b"")))


try:
    main()
except (OSError, IOError):
    # Nobody reads the answers any more.
    pass
finally:
    for name in (files + ".answer", files + ".values"):
        try:
            os.unlink(name)
        except OSError:
            pass
# Whatever Python would tidy up now keeps the other program waiting.
os._exit(0)
