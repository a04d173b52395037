# Calls methods over the system bus for a program that changes the node: busctl starts anew for each call, which takes several times as long as the
# call. Arguments: the socket of the system bus, the name on the bus that is called, and the beginning of the paths of two files: FILES.values
# holds a call that is too long for a line, and FILES.answer an answer. Both are removed at the end.
#
# First it prints `ready`. Then each line of the input is a call: an id, how many seconds it may take, the path, the interface, the method, and, if it
# has arguments, their signature and their words as busctl takes them; each of these ends with a U+001F. A line that is ID and `@` means
# FILES.values. Each call is answered with a line: the id, and
#
#   ` 0 ANSWER`   the answer, as busctl prints it
#   ` 1 WHY`      why there is none
#   ` 2`          nothing was called: busctl is to be tried
#
# `@` in place of the blank before the text means that it is in FILES.answer. It ends with its input, or when the program that has started it is
# gone, and not by a signal: that program ends between two steps.
#
# For Python 2.7 (CentOS 7) and every Python 3. Only modules that are cheap to import.
import sys

# A module is never taken from the folder that this happens to be run in.
sys.path = [place for place in sys.path if place]
import binascii
import os
import select
import signal
import struct

try:
    # The half of the module that is written in C: the other one takes 5 ms to import, and this needs none of it.
    import _socket as socket
except ImportError:
    import socket


