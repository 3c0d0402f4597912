# SPDX-License-Identifier: Apache-2.0
"""Numbered traffic between two functions, each a process of its own, and what
it takes to hand it over to a direct link and back: each queue is seen to have
gone over, by the counters in the memories of port and link."""

import json
import mmap
import os
import re
import signal
import struct

from nfv import openflow
from nfv.lab import wait_until
from nfv.peer import CONS, PACKETS, PROD, U32, Memory
from nfv.testing import check, check_equal

from scene import Scene

# Type and priority of flows that take no packet of the tests.  As long as
# there is one for a port, what that sends is not all for one other port.
VETO_TYPE = 0x88cc
VETO_PRIORITY = 60000

# In struct dpdkr_control, <dpdkr/link.h>.
CONTROL, OFFERS, OFFER_BYTES = 1024, 64, 128
OFFER_SIDE, OFFER_FILE = 4, 64
# In a ring.
DROP_OTHER, CONS_SKIPPED = 40, 144


class State:
    """The file of option --state of tests/dpdkr-traffic: its first members
    are attributes."""

    NAMES = ('sent', 'in_hand', 'unsure', 'received', 'reordered',
             'duplicated', 'corrupted', 'other', 'probes', 'probed', 'starts')

    def __init__(self, lab, name):
        self.path = os.path.join(lab.dir, name + '.state')
        with open(self.path, 'w+b') as f:
            f.truncate(mmap.PAGESIZE)
            self._map = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def __getattr__(self, name):
        try:
            offset = 8 * self.NAMES.index(name)
        except ValueError:
            raise AttributeError(name) from None
        return struct.unpack_from('=Q', self._map, offset)[0]

    def __str__(self):
        return ' '.join('%s %d' % (name, getattr(self, name))
                        for name in self.NAMES)


class Way:
    """What the peer of a port sends, as the memories show it."""

    def __init__(self, path):
        self.port = Memory(path)
        self.directory = os.path.dirname(path)
        self.link = self.link_file = None

    def order(self):
        """Returns (number of the last handover ordered, entry)."""
        word = self.port.u64[CONTROL // 8]
        return word % U32, word >> 32

    def _open_link(self):
        """Returns the link of the last order and the side of the peer."""
        offer = CONTROL + OFFERS + OFFER_BYTES * self.order()[1]
        text = bytes(self.port.bytes[offer + OFFER_FILE:offer + OFFER_BYTES])
        name = text.split(b'\0')[0].decode()
        if name != self.link_file:
            self.close_link()
            self.link = Memory(os.path.join(self.directory, name))
            self.link_file = name
        return self.link, self.port.u32[(offer + OFFER_SIDE) // 4]

    def rings(self, direct):
        """Returns the memory and the numbers of the rings that the peer fills,
        in the link or in the port."""
        mem, side = self._open_link() if direct else (self.port, 1)
        return mem, [2 * q + side for q in range(mem.n_queues)]

    def packets(self, direct):
        """Returns how many packets the peer has put into the link, or into
        the port, since that was made."""
        mem, rings = self.rings(direct)
        return sum(mem.u64[mem.ring(ring, PACKETS) // 2] for ring in rings)

    def wait(self, direct, running):
        """Waits until each queue of the peer has gone over to the link, or
        back, has sent something there, and that was taken."""
        def ordered():
            running()
            return self.order()[0] % 2 == direct
        _wait(ordered, 'an order')
        mem, rings = self.rings(direct)
        packets = [mem.u64[mem.ring(ring, PACKETS) // 2] for ring in rings]

        def sent(ring, before):
            running()
            return mem.u64[mem.ring(ring, PACKETS) // 2] != before
        for ring, before in zip(rings, packets):
            _wait(lambda: sent(ring, before), 'packets in ring %d' % ring)
        for ring in rings:
            prod = mem.u32[mem.ring(ring, PROD)]

            def taken():
                running()
                cons = mem.u32[mem.ring(ring, CONS)]
                return (cons - prod) % U32 < U32 // 2
            _wait(taken, 'packets from ring %d' % ring)

    def close_link(self):
        if self.link:
            self.link.close()
            self.link = self.link_file = None

    def close(self):
        self.close_link()
        self.port.close()


def _wait(condition, what):
    if not condition():
        wait_until(condition, 30, what, 0.0002)


class TrafficScene(Scene):
    """Ports 'a' and 'b' that are joined by flows.  start() has the peer of
    each of 'senders' send numbered frames to the other one."""

    def __init__(self, lab, senders='ab', queues=1, other_config=(),
                 busy=True):
        super().__init__(lab, busy=busy, p2p=True, other_config=other_config)
        self.senders = senders
        self.queues = queues
        options = ['options:n_rxq=%d' % queues] if queues > 1 else []
        for port in 'ab':
            self.add(port, *options)
        self.number = {port: self.switch.interface(port, 'ofport')
                       for port in 'ab'}
        self.cross(('a', 'b'))
        # Nobody reads what the switch says of ports.
        lab.expect_log(r'rconn\|WARN\|br0<->unix')
        self.connection = openflow.OpenFlow(self.switch)
        self.ways = {port: Way(self.paths[port]) for port in 'ab'}
        self.states = {port: State(lab, port) for port in 'ab'}
        self.tools = {}
        self.args = []

    def reconnect(self):
        """Is needed when the switch has restarted."""
        self.connection.close()
        self.connection = openflow.OpenFlow(self.switch)

    def start(self, *args):
        """Starts both peers; the links of 'senders' get direct."""
        self.args = list(args)
        for port in 'ab':
            if port not in self.senders:
                self.veto(port)
        for port in 'ab':
            self.start_peer(port)
        for port in self.senders:
            self.wait_state(port, 'direct')

    def start_peer(self, port):
        command = ('exchange' if len(self.senders) > 1 else
                   'send' if port in self.senders else 'recv')
        args = ['--flows=16'] if self.queues > 1 else []
        # On different cores, the two and the switch, which is on the second
        # one, meet each other at any moment.
        self.tools[port] = self.tool(
            command, '--busy', '--quiet', '--timeout=1000',
            '--link-timeout=60', *args, *self.args,
            '--state=' + self.states[port].path,
            '--other=' + self.states[other(port)].path, self.paths[port],
            cores='01'['ab'.index(port)])

    def veto(self, port, on=True):
        """A flow that needs the switch for what the peer of 'port' sends."""
        self.connection.flow_mod(
            openflow.ADD if on else openflow.DELETE_STRICT, self.number[port],
            dl_type=VETO_TYPE, priority=VETO_PRIORITY)

    def wait_state(self, port, state, timeout=60):
        wait_until(lambda: self.status(port).get('p2p_state') == state,
                   timeout, 'p2p_state of %s to be %s' % (port, state))

    def kill_peer(self, port):
        """Kills the peer of 'port', as it is."""
        tool = self.tools.pop(port)
        tool.popen.kill()               # stop() would let it go on first.
        tool.wait()
        tool.stop()

    def check_running(self):
        for tool in self.tools.values():
            check(tool.running(), '%s has ended:\n%s', tool.name, tool.log())

    def hand_over(self, ports, direct, flaps=0):
        """Hands what the peers of 'ports' send over to the link, or back, and
        waits until each of their queues has followed.  Before that, the switch
        changes its mind 'flaps' times."""
        for i in range(2 * flaps + 1):
            for port in ports:
                self.veto(port, (not direct) ^ (i % 2))
        for port in ports:
            self.ways[port].wait(direct, self.check_running)

    def finish(self):
        """Ends the traffic when all has arrived.  Returns what the peers have
        found, by port."""
        for port in self.senders:
            if len(self.senders) > 1:
                self.tools[port].send_signal(signal.SIGUSR1)
            else:
                self.tools[port].finish(False)
        # What is missing is for the caller to find.
        for port in self.senders:
            state, far = self.states[port], self.states[other(port)]
            last = [None, 0]

            def all_arrived():
                now = far.received, state.sent
                last[1] = last[1] + 1 if now == last[0] else 0
                last[0] = now
                return now[0] >= now[1] or last[1] > 100
            wait_until(all_arrived, 60, 'the traffic to stop')
        for port in 'ab':
            if self.tools[port].running():
                self.tools[port].finish(False)

    def totals(self, port):
        """What has become of the frames that the peer of 'port' sent."""
        here, far = self.states[port], self.states[other(port)]
        return {'sent': here.sent, 'received': far.received,
                'lost': here.sent - far.received,
                'reordered': far.reordered, 'duplicated': far.duplicated,
                'corrupted': far.corrupted, 'other': far.other}

    def check_order(self, late=()):
        """Checks that all that has arrived is as it should be.  What the peers
        of ports 'late' sent may have been overtaken."""
        for port in self.senders:
            totals = self.totals(port)
            print('from %s: %s' % (port, json.dumps(totals)))
            for what in 'reordered', 'duplicated', 'corrupted', 'other':
                if what != 'reordered' or port not in late:
                    check_equal(totals[what], 0, '%s, from %s' % (what, port))

    def progress(self, more=100):
        """Waits until each of the senders' frames arrive."""
        for port in self.senders:
            far = self.states[other(port)]
            goal = far.received + more

            def arrive():
                self.check_running()
                return far.received >= goal
            wait_until(arrive, 60, '%d frames from %s' % (more, port), 0.002)

    def counters(self):
        """Returns all counters of the ports, by port."""
        text = self.switch.ofctl('-O', 'OpenFlow14', '--names', 'dump-ports',
                                 'br0')
        return {name: {key: int(value) for key, value in
                       re.findall(r'\b([a-z_]{4,})=(\d+)', part)}
                for name, part in re.findall(
                    r'port +"?(\w+)"?: (.*?)(?=\n +port |\Z)', text,
                    re.DOTALL)}

    def counted_losses(self):
        """Returns what is counted of lost frames, by reason."""
        losses = {}
        counters = self.counters()
        for port in 'ab':
            for name in ('tx_no_peer_drops', 'tx_ring_full_drops',
                         'direct_lost_packets'):
                losses[name] = losses.get(name, 0) + counters[port][name]
            # Peers count what their predecessors have left in the rings of
            # the port.
            mem = self.ways[port].port
            for q in range(mem.n_queues):
                for name, ring, offset in (
                        ('cons_skipped', 2 * q, CONS_SKIPPED),
                        ('drop_other', 2 * q + 1, DROP_OTHER)):
                    losses[name] = (losses.get(name, 0)
                                    + mem.u64[mem.ring(ring, offset) // 2])
        return losses


def other(port):
    return 'b' if port == 'a' else 'a'
