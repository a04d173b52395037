# Asks Docker over its socket for what a snapshot records of it: eight docker commands, of 25 to 40 ms of processor time each, would be needed, and
# this takes as long as one. Arguments: the socket, how many seconds a question may take, and the questions. Each is answered
# as the docker command that docker.sh and picture.sh have for it would answer, and after each answer comes a U+001F.
#
# Exits with 0; with 1 and the reason, where Docker refuses; with 124, where it does not answer in time. With another code, the commands are to be
# asked: nobody listens, or it is not Docker, or this does not understand it.
#
# For Python 2.7 (CentOS 7) and every Python 3. Only modules that are cheap to import.
import sys

# A module is never taken from the folder that this happens to be run in.
sys.path = [place for place in sys.path if place]
import json
import os
import signal

try:
    # The half of the module that is written in C: the other one takes 5 ms to import, and this needs none of it.
    import _socket as socket
except ImportError:
    import socket
