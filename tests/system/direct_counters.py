# SPDX-License-Identifier: Apache-2.0
"""Counters that a controller reads are the same, to the byte, whether packets
go past the switch or through it, and never go back."""

import os
import re
import threading

from nfv.lab import Process, wait_until
from nfv.testing import check, check_equal, options

from direct_scene import FRAMES, ChainScene, DirectScene


def _numbers(text, *names):
    """Returns the numbers that stand behind 'names' in 'text'."""
    return [tuple(int(re.search(r'\b%s=(\d+)' % name, line).group(1))
                  for name in names)
            for line in text.splitlines()
            if all(re.search(r'\b%s=\d' % name, line) for name in names)]


def _flows(s, version='OpenFlow13'):
    """Returns what is counted for each rule, in the order of in_port."""
    text = s.ofctl('-O', version, '--no-names', 'dump-flows', 'br0')
    lines = sorted((int(re.search(r'in_port=(\d+)', line).group(1)), line)
                   for line in text.splitlines() if 'in_port=' in line)
    return [_numbers(line, 'n_packets', 'n_bytes')[0] for _, line in lines]


def _everything(s):
    """All that is counted of packets for a bridge, without the times."""
    tables = re.findall(r'table (\d+).*?active=(\d+), lookup=(\d+), '
                        r'matched=(\d+)', s.ofctl('dump-tables', 'br0'),
                        re.DOTALL)
    return {
        'dump-ports': _numbers(s.ofctl('dump-ports', 'br0'), 'pkts', 'bytes',
                               'drop', 'errs'),
        'dump-flows': _flows(s),
        'dump-flows 1.0': _flows(s, 'OpenFlow10'),
        'dump-aggregate': _numbers(s.ofctl('dump-aggregate', 'br0'),
                                   'packet_count', 'byte_count', 'flow_count'),
        'dump-tables': [t for t in tables if int(t[2])],
        'queues': s.ofctl('queue-stats', 'br0').splitlines()[1:]}


def _replay(lab, name, direct):
    """Sends the same frames through a fresh switch, three functions, and back
    as far as flows go; returns what it counted."""
    scene = ChainScene(lab, 3, name=name)
    s = scene.switch
    s.vsctl('set', 'Bridge', 'br0', 'protocols=OpenFlow10,OpenFlow13,'
            'OpenFlow14', 'other_config:p2p=%s' % str(direct).lower())
    s.ofctl('del-flows', 'br0')
    scene.flows()
    pmd = scene.start(name='functions-' + name)
    # Without probes, whose number depends on the moment: the receiver is there
    # before the sender, and both are seen.
    receiver = scene.tool('recv', '--count=%d' % FRAMES, '--timeout=20',
                          '--quiet', scene.paths['out'])
    s.wait_link('out')
    sender = scene.tool('send', '--count=%d' % FRAMES, '--rate=20000',
                        '--quiet', scene.paths['in'])
    if direct:
        scene.wait_direct(*scene.hops)
    sent = sender.result()
    check_equal(receiver.result()['received'], FRAMES, 'received')
    if direct:
        check(scene.counter('f2b', 'rx_direct_packets') > FRAMES // 4,
              'few packets were direct')
    else:
        check_equal(scene.counter('f2b', 'rx_direct_packets'), 0, 'direct')
    totals = FRAMES, sent['tx_bytes']

    def counted():
        return [n for n in _flows(s) if n != (0, 0)] == [totals] * 4
    wait_until(counted, what='flow statistics')
    seen = _everything(s)

    pmd.stop()
    s.stop_daemon(cleanup=True)
    s.stop()
    return seen


@options(driver=True, programs=['dpdk-testpmd'], timeout=120, asan=False)
def test_same_totals(lab):
    """The same frames through the same chain: every number that a controller
    can read is the same with direct links and without."""
    lab.expect_log(r'rconn\|WARN\|br0<->unix')
    through = _replay(lab, 'through', False)
    past = _replay(lab, 'past', True)
    for what, numbers in through.items():
        print(what, numbers)
        check_equal(past[what], numbers, what)


class Watch(threading.Thread):
    """Reads counters again and again and notes the first one that is less than
    it was.  A context manager."""

    def __init__(self, read):
        super().__init__(daemon=True)
        self.read = read
        self.error = None
        self.n = 0
        self.stopping = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()

    def run(self):
        last = {}
        while not self.stopping.wait(0.005) and not self.error:
            now = self.read()
            for name, value in now.items():
                if value < last.get(name, 0):
                    self.error = '%s was %d and is %d' % (name, last[name],
                                                          value)
            last = now
            self.n += 1


@options(timeout=120)
def test_monotonic(lab):
    """Ports, flows and aggregate only grow, while links come and go, with a
    peer that restarts, and one that is killed."""
    scene = DirectScene(lab, ['a', 'b'])
    s = scene.switch
    s.ofctl('del-flows', 'br0')
    s.ofctl('add-flow', 'br0', 'in_port=1,actions=output:2')

    def read():
        result = {}
        dumps = {'flow': s.ofctl('dump-flows', 'br0', 'in_port=1'),
                 'aggregate': s.ofctl('dump-aggregate', 'br0'),
                 'port': s.ofctl('dump-ports', 'br0')}
        for what, text in dumps.items():
            for i, (name, n) in enumerate(re.findall(
                    r'\b(n_packets|n_bytes|packet_count|byte_count|pkts|bytes)'
                    r'=(\d+)', text)):
                result['%s %s %d' % (what, name, i)] = int(n)
        return result

    args = '--rate=20000', '--timeout=30', '--link-timeout=30', '--quiet'
    with Watch(read) as watch:
        receiver = scene.tool('recv', *args, scene.paths['b'])
        for end in 'finish', 'kill', 'receiver':
            sender = scene.tool('send', *args, scene.paths['a'])
            for _ in range(3):
                scene.wait_direct(('a', 'b'))
                scene.check_bypassed([('a', 'b')], FRAMES // 50)
                s.vsctl('set', 'Port', 'b', 'other_config:p2p=false')
                scene.wait_switched('a', reason='switched off')
                before = scene.polled()
                wait_until(lambda: scene.polled() > before + FRAMES // 50,
                           what='packets in the switch')
                s.vsctl('remove', 'Port', 'b', 'other_config', 'p2p')
            scene.wait_direct(('a', 'b'))
            if end == 'receiver':
                receiver.kill()
                receiver = scene.tool('recv', *args, scene.paths['b'])
                s.wait_link('b')
                scene.wait_direct(('a', 'b'))
                scene.check_bypassed([('a', 'b')], FRAMES // 50)
                sender.finish(False)
            elif end == 'kill':
                sender.kill()
                s.wait_link('a', False)
            else:
                sender.finish(False)
                s.wait_link('a', False)
            check(not watch.error, '%s', watch.error)
        receiver.finish(False)
    check(not watch.error, '%s', watch.error)
    check(watch.n > 50, 'looked only %d times', watch.n)
    # The flow counts what the port took, the port b what was not dropped.
    stats = s.statistics('a')

    def counted():
        flow = s.ofctl('dump-flows', 'br0', 'in_port=1')
        return _numbers(flow, 'n_packets', 'n_bytes') == [
            (stats['rx_pkts'], stats['rx_bytes'])]
    wait_until(counted, what='the flow to count what the port did')


def _monitor(lab, s):
    monitor = Process(lab, 'monitor', [
        s.programs['ovs-ofctl'], '-O', 'OpenFlow13', '-vconsole:off',
        'monitor', 'br0', '65534', '--unixctl=' + s.dir + '/monitor.ctl'],
        env=s.env)
    wait_until(lambda: os.path.exists(s.dir + '/monitor.ctl'),
               what='ovs-ofctl monitor')
    return monitor


def _removed(monitor):
    """Returns (reason, seconds, packets, bytes) of each flow-removed."""
    return [(reason, float(seconds), int(packets), int(octets))
            for reason, seconds, packets, octets in re.findall(
                r'OFPT_FLOW_REMOVED.*?reason=(\w+).*?duration([\d.]+)s.*?'
                r'pkts(\d+) bytes(\d+)', monitor.log())]


@options(timeout=120)
def test_timeouts(lab):
    """The same traffic under flows with time-outs, with direct links and
    without: they expire for the same reason, at the same time, and
    flow-removed tells the same."""
    lab.expect_log(r'rconn\|WARN\|br0<->unix')
    scene = DirectScene(lab, ['a', 'b'])
    s = scene.switch
    monitor = _monitor(lab, s)
    s.ofctl('del-flows', 'br0')
    # Links need not begin anew with each pass.
    receiver = scene.tool('recv', '--timeout=60', '--quiet', '--count=1000000',
                          scene.paths['b'])
    s.wait_link('b')
    seen = []
    after = []
    for direct in False, True:
        s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=%s'
                % str(direct).lower())
        # Four seconds of traffic, longer than the idle time-out.
        for timeout, count in ('idle_timeout=3', 20000), \
                              ('hard_timeout=5', 10000):
            s.ofctl('add-flow', 'br0', 'in_port=1,send_flow_rem,%s,'
                    'actions=output:2' % timeout)
            n = len(_removed(monitor))
            sender = scene.tool('send', '--count=%d' % count, '--rate=5000',
                                '--quiet', scene.paths['a'])
            if direct:
                scene.wait_direct(('a', 'b'))
            result = sender.result()
            # Soon after the last packet.
            wait_until(lambda: len(_removed(monitor)) > n, 15, timeout)
            reason, seconds, packets, octets = _removed(monitor)[-1]
            print('direct=%s, %s: %s after %.3f s' % (direct, timeout, reason,
                                                      seconds))
            check_equal((packets, octets), (count, result['tx_bytes']),
                        'flow-removed, direct=%s, %s' % (direct, timeout))
            check(seconds >= 4.9, '%s after %.3f s', reason, seconds)
            seen.append((reason, packets, octets))
            after.append(seconds)
    check_equal(seen[2:], seen[:2], 'with direct links')
    # Flows are looked at every second, or later on a busy machine.
    for without, with_ in zip(after[:2], after[2:]):
        check(with_ < without + 2.5, 'after %.3f s instead of %.3f', with_,
              without)
    receiver.finish(False)
    monitor.stop()
