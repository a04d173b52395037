# Asks the daemons of a node - systemd, firewalld and Docker - for all that the look needs to know of them, over their sockets: busctl and
# systemctl take 5 to 10 ms of processor time for each question, and a docker command 25 to 40; this takes 40 for all. Arguments: the socket of Docker,
# that of the system bus, how many seconds a question may take, and the zone of firewalld to read (empty: its default zone).
#
# First it prints its number (its pid), and asks Docker. Then it waits for a USR1: firewalld is asked once the kernel has been read, and the kernel is
# read once more after that, so that a rule that is added meanwhile is noticed. The answers come last, in the frame of probe.sh, then the
# line `all`, and it exits with 0. With another exit code it has printed no answer, and the commands are to be asked.
#
# For Python 2.7 (CentOS 7) and every Python 3. Only modules that are cheap to import: http.client would take 15 ms.
import sys

# A module is never taken from the folder that this happens to be run in.
sys.path = [place for place in sys.path if place]
import binascii
import fcntl
import json
import os
import re
import signal
import stat
import struct
import time

try:
    # The half of the module that is written in C: the other one takes 5 ms to import, and this needs none of it.
    import _socket as socket
except ImportError:
    import socket
