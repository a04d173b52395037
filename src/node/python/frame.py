

# What is to be printed, as bytes.
frames = []


def show(question, code, text, why=b""):
    """An answer, and why there is none, as `ask` and `skip` of probe.sh print them."""
    if why:
        frames.append(("! %s %d\n" % (question, len(why))).encode("ascii") + why + b"\n")
    frames.append(("= %s %s %d\n" % (question, code, len(text))).encode("ascii") + text + b"\n")


def skip(why, *questions):
    """Questions that were not asked, and why."""
    for question in questions:
        show(question, "-", b"", visible(why))
