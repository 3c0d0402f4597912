# SPDX-License-Identifier: Apache-2.0
"""What the tests of direct links begin with: chains of functions whose hops
are to be direct, and what can be said of a hop."""

import json
import os
import re
import signal

from nfv.lab import wait_until
from nfv.testing import check, check_equal

from scene import Scene, check_intact

# Frames for each thing that is looked at under numbered traffic.
FRAMES = int(os.environ.get('NFV_DIRECT_FRAMES', '50000'))


class DirectScene(Scene):
    """A switch on whose ports hops (FROM, TO) are direct."""

    def __init__(self, lab, ports=(), **kwargs):
        super().__init__(lab, ports, p2p=True, **kwargs)
        self.number = {port: int(self.switch.interface(port, 'ofport'))
                       for port in ports}

    def show(self, bridge='br0'):
        return json.loads(self.switch.appctl('p2p/show', '--json',
                                             bridge))[bridge]

    def state(self, port):
        """Returns (where the packets of a port go directly, or None, and in
        which state that is)."""
        shown = self.show()[port]
        return shown.get('link'), shown.get('state')

    def wait_direct(self, *hops, timeout=20):
        """Waits until each of 'hops' is direct, and column status says so."""
        last = {}

        def direct():
            last.update(self.show())
            return all(last[a].get('link') == b
                       and last[a].get('state') == 'direct' for a, b in hops)
        try:
            wait_until(direct, timeout, 'direct links')
        except Exception:
            raise AssertionError('of %s not all are direct: %s'
                                 % (hops, json.dumps(last))) from None
        for a, b in hops:
            def seen():
                status = self.status(a)
                last[a] = (status.get('p2p_state'), status.get('p2p_peer'))
                return last[a] == ('direct', b)
            try:
                wait_until(seen, timeout, 'status')
            except Exception:
                raise AssertionError('column status of %s says %s, p2p/show %s'
                                     % (a, last[a], self.show()[a])) from None

    def wait_switched(self, *ports, reason='', timeout=20):
        """Waits until what the peers of 'ports' send goes through the switch;
        then p2p/show says why, with words that match 'reason'."""
        last = {}

        def switched():
            last.update(self.show())
            return all(last[port].get('state') == 'switch' for port in ports)
        try:
            wait_until(switched, timeout, 'the switch to take packets')
        except Exception:
            raise AssertionError('%s not back in the switch: %s'
                                 % (ports, json.dumps(last))) from None
        for port in ports:
            check(re.search(reason, last[port].get('reason', '')),
                  '%s: reason should be "%s", is %s', port, reason,
                  last[port])

    def polled(self):
        """Returns how many packets the threads of the datapath received."""
        text = self.switch.appctl('dpif-netdev/pmd-stats-show')
        return sum(map(int, re.findall(r'packets received: (\d+)', text)))

    def check_bypassed(self, hops, more=200):
        """Checks that packets pass on all 'hops', each of which is direct, and
        that none of them enters the switch."""
        def wait_more():
            before = {a: self.counter(a, 'rx_direct_packets') for a, _ in hops}
            for a, b in hops:
                wait_until(lambda: self.counter(a, 'rx_direct_packets')
                           >= before[a] + more, 20,
                           '%d more packets from %s to %s' % (more, a, b))
        # A sender follows an order with its next packet.
        wait_more()
        polled = self.polled()
        wait_more()
        check_equal(self.polled(), polled, 'packets that the switch polled')

    def numbered(self, a, b, count=0, *args):
        """Starts numbered traffic, few enough on the way that no ring has to
        drop them."""
        count_args = ['--count=%d' % count] if count else []
        return self.tool('pair', '--window=256', '--timeout=20', '--quiet',
                         *count_args, *args, self.paths[a], self.paths[b])

    def echo(self, port, *args):
        return self.tool('echo', '--quiet', *args, self.paths[port])


class ChainScene(DirectScene):
    """in - f1a f1b - f2a f2b - ... - out, with 'n' functions.  'hops' leads
    from in to out, 'back' from out to in."""

    def __init__(self, lab, n, **kwargs):
        ports = ['in']
        for i in range(1, n + 1):
            ports += ['f%da' % i, 'f%db' % i]
        ports.append('out')
        super().__init__(lab, ports, **kwargs)
        self.pairs = list(zip(ports[1:-1:2], ports[2:-1:2]))
        self.hops = list(zip(ports[::2], ports[1::2]))
        self.back = [(b, a) for a, b in self.hops]

    def start(self, **kwargs):
        return self.functions(*self.pairs, **kwargs)

    def flows(self, version='OpenFlow13'):
        """Flows of the simplest kind."""
        for a, b in self.hops + self.back:
            self.switch.ofctl('-O', version, 'add-flow', 'br0', 'in_port=%d,'
                              'actions=output:%d' % (self.number[a],
                                                     self.number[b]))


def drained(tool, count=0):
    """Ends numbered traffic when all that was sent has arrived, and checks
    it."""
    if not count:
        tool.send_signal(signal.SIGUSR1)
    result = tool.result(60, success=False)
    print(json.dumps(result))
    check_intact(result, count)
    return result
