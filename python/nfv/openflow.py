# SPDX-License-Identifier: Apache-2.0
"""A connection to a bridge that speaks as much of OpenFlow 1.0 as it takes to
change flows hundreds of times a second, without a process for each."""

import socket
import struct

from nfv.lab import LabError

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY = range(4)
FLOW_MOD, BARRIER_REQUEST, BARRIER_REPLY = 14, 18, 19

# Commands of a flow mod.
ADD, DELETE_STRICT = 0, 4

# What a match leaves open, and two of the bits.
ALL = 0x3fffff
IN_PORT, DL_TYPE = 1 << 0, 1 << 4


def output(port):
    return struct.pack('!HHHH', 0, 8, port, 0)


def strip_vlan():
    return struct.pack('!HHI', 3, 8, 0)


class OpenFlow:
    def __init__(self, switch, bridge='br0'):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect('%s/%s.mgmt' % (switch.dir, bridge))
        self.xid = 0
        self.socket.sendall(self._message(HELLO))
        self._wait(HELLO)

    def close(self):
        self.socket.close()

    def _message(self, kind, body=b''):
        self.xid += 1
        return struct.pack('!BBHI', 1, kind, 8 + len(body), self.xid) + body

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
                return
            if kind == ERROR:
                raise LabError('OpenFlow error: %s' % body.hex())
            if kind == ECHO_REQUEST:
                self.socket.sendall(self._message(ECHO_REPLY, body))

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
