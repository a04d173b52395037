

LONGEST = 16 << 20  # Bytes of one answer; that of a container has about 10 KB.
TIMED_OUT = 124  # As the exit code of timeout(1).


class TimedOut(Exception):
    """A question has taken too long."""


class Refused(Exception):
    """A daemon has an error for an answer."""

    def __init__(self, status, message):
        Exception.__init__(self, message)
        self.status = status


def time_out(number, frame):
    raise TimedOut()


def within(seconds, answer):
    """The answer, if it comes in time."""
    try:
        signal.alarm(seconds)
        return answer()
    finally:
        signal.alarm(0)
