# SPDX-License-Identifier: Apache-2.0
"""Connections to a bridge that speak as much of OpenFlow as it takes to change
flows without a process for each: hundreds of times a second and waiting for
each in OpenFlow 1.0, or by the million in OpenFlow 1.4."""

import socket
import struct

from nfv.lab import LabError

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY = range(4)
FLOW_MOD, BARRIER_REQUEST, BARRIER_REPLY = 14, 18, 19

# Commands of a flow mod.
ADD, DELETE_STRICT = 0, 4

# What a match of OpenFlow 1.0 leaves open, and two of the bits.
ALL = 0x3fffff
IN_PORT, DL_TYPE = 1 << 0, 1 << 4

# Headers of fields of a match of OpenFlow 1.4.
OXM_IN_PORT, OXM_ETH_DST, OXM_ETH_TYPE, OXM_IPV4_SRC, OXM_IPV4_DST = (
    0x80000004, 0x80000606, 0x80000a02, 0x80001604, 0x80001804)

# Bundles of OpenFlow 1.4: types of control messages, and the flags of all.
BUNDLE_CONTROL, BUNDLE_ADD_MESSAGE = 33, 34
BUNDLE_OPEN, BUNDLE_OPENED, BUNDLE_COMMIT, BUNDLE_COMMITTED = 0, 1, 4, 5
BUNDLE_ORDERED = 3              # And atomic.


def output(port):
    return struct.pack('!HHHH', 0, 8, port, 0)


def strip_vlan():
    return struct.pack('!HHI', 3, 8, 0)


class Connection:
    """What all versions have in common."""

    def __init__(self, switch, bridge='br0', timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect('%s/%s.mgmt' % (switch.dir, bridge))
        self.xid = 0
        self.socket.sendall(self._message(HELLO))
        self._wait(HELLO)

    def close(self):
        self.socket.close()

    def _message(self, kind, body=b''):
        self.xid += 1
        return struct.pack('!BBHI', self.VERSION, kind, 8 + len(body),
                           self.xid) + body

    def _read(self, n):
        data = b''
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise LabError('the switch has closed the connection')
            data += more
        return data

    def _wait(self, wanted):
        while True:
            _, kind, length, _ = struct.unpack('!BBHI', self._read(8))
            body = self._read(length - 8)
            if kind == wanted:
                return body
            if kind == ERROR:
                raise LabError('OpenFlow error: %s' % body.hex())
            if kind == ECHO_REQUEST:
                self.socket.sendall(self._message(ECHO_REPLY, body))


class OpenFlow(Connection):
    """OpenFlow 1.0."""

    VERSION = 1

    def flow_mod(self, command, in_port, actions=b'', dl_type=None,
                 priority=0x8000):
        """Adds or deletes a flow, and waits until the switch has done that."""
        wildcards = ALL & ~IN_PORT
        if dl_type is not None:
            wildcards &= ~DL_TYPE
        match = struct.pack('!IH16xHxx', wildcards, in_port, dl_type or 0)
        body = match.ljust(40, b'\0') + struct.pack(
            '!QHHHHIHH', 0, command, 0, 0, priority, 0xffffffff, 0xffff,
            0) + actions
        self.socket.sendall(self._message(FLOW_MOD, body)
                            + self._message(BARRIER_REQUEST))
        self._wait(BARRIER_REPLY)


class OpenFlow14(Connection):
    """OpenFlow 1.4.  Messages are made first, and then sent, together."""

    VERSION = 5
    BARRIER_REQUEST, BARRIER_REPLY = 20, 21

    def _message(self, kind, body=b''):
        # A message in a bundle must have the transaction id of the one that
        # adds it.  Nobody here needs more than one.
        self.xid = 0
        return super()._message(kind, body)

    def flow_mod(self, command, priority, fields):
        """Returns a message about a flow in table 0 that drops packets whose
        'fields', pairs of an OXM_* and the bytes of a value, are these."""
        oxm = b''.join(struct.pack('!I', header) + value
                       for header, value in fields)
        length = 4 + len(oxm)
        match = struct.pack('!HH', 1, length) + oxm + b'\0' * (-length % 8)
        return self._message(FLOW_MOD, struct.pack(
            '!QQBBHHHIIIHH', 0, 0, 0, command, 0, 0, priority, 0xffffffff,
            0xffffffff, 0xffffffff, 0, 0) + match)

    def in_bundle(self, message):
        """Returns a message that adds 'message' to the bundle."""
        return self._message(BUNDLE_ADD_MESSAGE, struct.pack(
            '!I2xH', 1, BUNDLE_ORDERED) + message)

    def run(self, messages):
        """Sends 'messages', and waits until they are carried out."""
        self.socket.sendall(messages + self._message(self.BARRIER_REQUEST))
        self._wait(self.BARRIER_REPLY)

    def run_bundle(self, messages):
        """The same with messages that make up a bundle."""
        def control(kind):
            return self._message(BUNDLE_CONTROL, struct.pack(
                '!IHH', 1, kind, BUNDLE_ORDERED))

        self.socket.sendall(control(BUNDLE_OPEN) + messages
                            + control(BUNDLE_COMMIT))
        for wanted in (BUNDLE_OPENED, BUNDLE_COMMITTED):
            kind, = struct.unpack('!4xH', self._wait(BUNDLE_CONTROL)[:6])
            if kind != wanted:
                raise LabError('the switch has replied to a bundle with a '
                               'message of type %d' % kind)
