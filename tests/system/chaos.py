# SPDX-License-Identifier: Apache-2.0
"""Peers and the switch killed at random under traffic, time and again: nobody
crashes, nothing leaks, nothing gets stuck."""

import os
import random
import signal
import time

from nfv.lab import wait_until
from nfv.peer import Peer, frame_number, make_frame
from nfv.testing import check, check_equal, options

from scene import Scene

# Kills; "make check" has few, for a night there are more.
ROUNDS = int(os.environ.get('NFV_CHAOS', '30'))

PAIRS = [('a', 'b'), ('c', 'd'), ('e', 'f')]
PORTS = [port for pair in PAIRS for port in pair]


class Chaos:
    def __init__(self, lab, seed):
        lab.expect_log(
            # Frames that come before the bridge knows the port.
            r'ofproto_dpif_upcall.*\|WARN\|xlate_key failed',
            # A killed switch's.
            r'\|(jsonrpc|reconnect)\|WARN\|unix#\d+')
        self.rng = random.Random(seed)
        self.scene = Scene(lab)
        # One bridge for each pair: with no flow but NORMAL, which is there at
        # once after a restart, all goes from one to the other.
        for i, pair in enumerate(PAIRS):
            if i:
                self.scene.add_bridge('br%d' % i)
            for port in pair:
                self.scene.add(port, bridge='br%d' % i)
        self.switch = self.scene.switch
        self.tools = {}
        for pair in PAIRS:
            self.start_pair(pair)
        self.kills = {'peer': 0, 'stopped peer': 0, 'switch': 0}

    def start_pair(self, pair):
        """One process sends and receives; it is restarted when it ends, as an
        orchestrator would."""
        self.tools[pair] = self.scene.tool(
            'pair', '--rate=5000', '--timeout=1000', '--link-timeout=1000',
            '--quiet', self.scene.paths[pair[0]], self.scene.paths[pair[1]])

    def kill_peer(self, stopped):
        pair = self.rng.choice(PAIRS)
        tool = self.tools[pair]
        check(tool.running(), 'a peer ended by itself:\n%s', tool.log())
        if stopped:
            tool.send_signal(signal.SIGSTOP)
            self.doze()
        # Process.kill() would let it continue first.
        tool.send_signal(signal.SIGKILL)
        tool.wait()
        tool.stop()
        self.start_pair(pair)
        self.kills['stopped peer' if stopped else 'peer'] += 1

    def kill_switch(self):
        check(self.switch.daemon.running(), 'ovs-vswitchd ended by itself')
        self.switch.kill_daemon()
        self.doze()
        self.switch.start(wait=self.rng.random() < 0.8)
        self.kills['switch'] += 1

    def doze(self):
        """Some time, so that what follows comes at any moment of what was
        begun."""
        time.sleep(self.rng.random() ** 3 * 0.3)

    def wait_traffic(self):
        """Frames flow through each pair."""
        self.switch.wait_ready()
        for port in PORTS:
            self.switch.wait_link(port, timeout=60)
        for _, port in PAIRS:
            before = self.switch.statistics(port)['tx_pkts']
            wait_until(lambda: self.switch.statistics(port)['tx_pkts']
                       >= before + 100, 60, 'traffic through ' + port)

    def usage(self):
        """Returns resident kB, open files and threads of the switch."""
        pid = self.switch.daemon.pid
        with open('/proc/%d/status' % pid) as f:
            status = dict(line.split(':', 1) for line in f)
        return (int(status['VmRSS'].split()[0]),
                len(os.listdir('/proc/%d/fd' % pid)),
                int(status['Threads']))


@options(timeout=120 + 6 * ROUNDS)
def test_kills(lab):
    """SIGKILL to peers, stopped peers and the switch, NFV_CHAOS (30) times in
    all."""
    seed = int(os.environ.get('NFV_SEED', random.randrange(1 << 30)))
    print('NFV_SEED=%d NFV_CHAOS=%d' % (seed, ROUNDS))
    chaos = Chaos(lab, seed)
    chaos.wait_traffic()
    for _ in range(ROUNDS):
        action = chaos.rng.random()
        if action < 0.3:
            chaos.kill_switch()
        else:
            chaos.kill_peer(action < 0.5)
        chaos.doze()
        if chaos.rng.random() < 0.2:
            chaos.wait_traffic()
    chaos.wait_traffic()
    check_equal(chaos.scene.files(), ['ovs-' + port for port in PORTS],
                'files')
    print('kills: %s' % chaos.kills)
    for pair, tool in chaos.tools.items():
        check(tool.running(), 'a peer ended by itself:\n%s', tool.log())
        result = tool.finish(success=False)
        for what in 'reordered', 'duplicated', 'corrupted':
            check_equal(result[what], 0, '%s through %s' % (what, pair))
    # And exactly, with a peer that knows what it sent.
    for a, b in PAIRS:
        with Peer(chaos.scene.paths[a]) as x, Peer(chaos.scene.paths[b]) as y:
            chaos.switch.wait_link(a)
            chaos.switch.wait_link(b)
            for source, sink in (x, y), (y, x):
                frames = [make_frame(i) for i in range(500)]
                sink.receive()
                source.send_all(frames)
                got = sink.receive_all(500)
                check_equal([frame_number(f) for f in got], list(range(500)),
                            'frames')


# With sanitizers, memory that was freed is kept for a while.
@options(timeout=120 + 3 * ROUNDS, asan=False)
def test_no_leak(lab):
    """Peers that come, are killed and come again, ports that come and go:
    the switch has as much memory and as many files open as before."""
    seed = int(os.environ.get('NFV_SEED', random.randrange(1 << 30)))
    print('NFV_SEED=%d NFV_CHAOS=%d' % (seed, ROUNDS))
    chaos = Chaos(lab, seed)

    def one_round(i):
        chaos.kill_peer(i % 3 == 0)
        chaos.scene.add('x%d' % i)
        with Peer(chaos.scene.paths['x%d' % i]):
            chaos.switch.wait_link('x%d' % i)
            chaos.scene.set('x%d' % i, 'mtu_request=%d' % (9000 - i))
        chaos.scene.delete('x%d' % i)
    for i in range(max(10, ROUNDS // 4)):
        one_round(i)
    chaos.wait_traffic()
    rss, files, threads = chaos.usage()
    for i in range(ROUNDS):
        one_round(i)
    chaos.wait_traffic()
    after = chaos.usage()
    print('RSS %d -> %d kB, files %d -> %d, threads %d -> %d'
          % (rss, after[0], files, after[1], threads, after[2]))
    # A port's memory alone has 4 MB: one that stays mapped shows.
    check(after[0] < rss + 3000, 'resident memory grew from %d to %d kB', rss,
          after[0])
    check(after[1] <= files + 2, 'open files grew from %d to %d', files,
          after[1])
    check_equal(after[2], threads, 'threads')
    with open('/proc/%d/maps' % chaos.switch.daemon.pid) as f:
        mapped = [line for line in f if chaos.switch.mem_dir in line]
    check_equal(len(mapped), len(PORTS), 'memories mapped')
    check_equal(chaos.scene.files(), ['ovs-' + port for port in PORTS],
                'files')
