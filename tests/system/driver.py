# SPDX-License-Identifier: Apache-2.0
"""The DPDK driver in an unmodified testpmd, at ports of a fake switch.

The fake switch connects ports in pairs.  The usual scene is a chain: what
dpdkr-traffic sends into 'in' comes out at 'a', testpmd takes it from there to
'b', and it arrives at 'out'."""

import json
import os
import re
import subprocess

from nfv.lab import Process, wait_until
from nfv.testing import check, check_equal, options

CHAIN = ('in', 'a', 'b', 'out')


class FakeSwitch(Process):
    """A tests/dpdkr-fake-switch with the ports paths[NAME]."""

    count = 0

    def __init__(self, lab, names, *args, directory=None):
        self.dir = directory or lab.dir + '/ports'
        os.makedirs(self.dir, exist_ok=True)
        self.names = names
        self.paths = {name: os.path.join(self.dir, name) for name in names}
        FakeSwitch.count += 1
        super().__init__(lab, 'fake-switch-%d' % FakeSwitch.count,
                         [lab.tree + '/tests/dpdkr-fake-switch', *args,
                          *self.paths.values()], stdin=subprocess.PIPE)
        wait_until(lambda: 'ready' in self.log(), what='fake switch')

    def command(self, text):
        self.popen.stdin.write(text.encode() + b'\n')
        self.popen.stdin.flush()

    def restart(self):
        """Ends it as if it had crashed and starts it anew."""
        self.kill()
        return FakeSwitch(self.lab, self.names, '--adopt', directory=self.dir)


def start_testpmd(lab, switch, ports=('a', 'b'), args=(), vdev='', **kwargs):
    devices = ['--vdev=net_dpdkr%d,path=%s%s' % (i, switch.paths[port], vdev)
               for i, port in enumerate(ports)]
    return lab.testpmd('testpmd', devices, lcores='0@0,1@0', args=args,
                       **kwargs)


def traffic(lab, switch, *args):
    """Sends traffic through the chain; returns exit status and report."""
    p = subprocess.run([lab.tree + '/tests/dpdkr-traffic', *args, 'pair',
                        switch.paths['in'], switch.paths['out']],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=60)
    text = p.stdout.decode()
    report = [line for line in text.splitlines() if line.startswith('{')]
    check(report, 'dpdkr-traffic printed:\n%s', text)
    return p.returncode, json.loads(report[-1])


def check_traffic(lab, switch, *args):
    # As many as the driver has room for in a ring of 128: testpmd drops what
    # finds none.
    status, report = traffic(lab, switch, '--count=20000', '--window=127',
                             *args)
    check(not status, '%s', report)
    check_equal(report['received'], 20000)
    return report


def statistics(testpmd, port):
    text = testpmd.command('show port stats %d' % port)
    return {name: int(value) for name, value in
            re.findall(r'([RT]X-[a-z]+): *(\d+)', text)}


def xstats(testpmd, port):
    text = testpmd.command('show port xstats %d' % port)
    return {name: int(value) for name, value in
            re.findall(r'^(\w+): (\d+)$', text, re.M)}


def wait_link(testpmd, port, up=True, timeout=20):
    want = 'Link status: ' + ('up' if up else 'down')
    wait_until(lambda: want in testpmd.command('show port info %d' % port),
               timeout, 'port %d: %s' % (port, want))


def check_clean(testpmd, port):
    """Checks that no counter of port 'port' tells of an error or drop."""
    for name, value in xstats(testpmd, port).items():
        check(not re.search(r'error|missed|runts|too_long|no_mbuf|bad_size|'
                            r'cut_by', name) or not value,
              'port %d: %s is %d', port, name, value)


@options(driver=True, timeout=120)
def test_forward(lab):
    """Frames of all sizes pass testpmd unchanged and in order, and both sides
    count the same."""
    switch = FakeSwitch(lab, CHAIN)
    testpmd = start_testpmd(lab, switch, args=['--auto-start'])
    report = check_traffic(lab, switch, '--no-probe')
    rx, tx = statistics(testpmd, 0), statistics(testpmd, 1)
    for stats, packets, size in ((rx, 'RX-packets', 'RX-bytes'),
                                 (tx, 'TX-packets', 'TX-bytes')):
        check_equal(stats[packets], 20000, packets)
        check_equal(stats[size], report['tx_bytes'], size)
    extended = xstats(testpmd, 0)
    check_equal(extended['rx_q0_packets'], 20000)
    check_equal(extended['rx_q0_bytes'], report['tx_bytes'])
    check_equal(extended['attached'], 1)
    check_clean(testpmd, 0)
    check_clean(testpmd, 1)

    testpmd.command('clear port stats all')
    testpmd.command('clear port xstats all')
    check_equal(statistics(testpmd, 0)['RX-packets'], 0)
    check_equal(xstats(testpmd, 0)['rx_q0_packets'], 0)
    check_traffic(lab, switch, '--copy', '--no-probe')
    check_equal(statistics(testpmd, 0)['RX-packets'], 20000)
    check_equal(testpmd.stop(), 0, 'exit status of testpmd')


@options(driver=True, timeout=120)
def test_queues(lab):
    """Four queues, each of which carries its share."""
    switch = FakeSwitch(lab, CHAIN, '--queues=4')
    testpmd = start_testpmd(lab, switch, args=['--auto-start', '--rxq=4',
                                               '--txq=4'])
    check_traffic(lab, switch, '--flows=64')
    rx, tx = xstats(testpmd, 0), xstats(testpmd, 1)
    for q in range(4):
        check(rx['rx_q%d_packets' % q] >= 4000, '%s', rx)
        check(tx['tx_q%d_packets' % q] >= 4000, '%s', tx)
    check_clean(testpmd, 0)
    check_clean(testpmd, 1)


@options(driver=True, timeout=120)
def test_fewer_queues(lab):
    """Devargs limit the queues; more than that are refused by ethdev."""
    switch = FakeSwitch(lab, CHAIN, '--queues=4')
    testpmd = start_testpmd(lab, switch, vdev=',queues=2,mac=02:aa:bb:cc:dd:01')
    info = testpmd.command('show port info 0')
    check('Max possible RX queues: 2' in info, '%s', info)
    check('02:AA:BB:CC:DD:01' in info, '%s', info)


@options(driver=True, timeout=120)
def test_jumbo_frames(lab):
    """Frames larger than an mbuf are chained (with scatter) or counted."""
    switch = FakeSwitch(lab, CHAIN, '--slot=9216', '--mtu=9000')
    testpmd = start_testpmd(lab, switch, args=[
        '--auto-start', '--enable-scatter', '--max-pkt-len=9022',
        '--tx-offloads=0x8000'])
    check_traffic(lab, switch, '--max=9014')
    check_clean(testpmd, 0)
    check_clean(testpmd, 1)
    check_equal(testpmd.stop(), 0, 'exit status of testpmd')

    testpmd = lab.testpmd('small', [
        '--vdev=net_dpdkr%d,path=%s' % (i, switch.paths[p])
        for i, p in enumerate('ab')], lcores='0@0,1@0', args=['--auto-start'])
    check_traffic(lab, switch)
    before = xstats(testpmd, 0)
    status, report = traffic(lab, switch, '--count=10', '--min=2049',
                             '--max=9014', '--no-probe', '--timeout=0.5')
    check_equal((status, report['received']), (1, 0))
    after = xstats(testpmd, 0)
    check_equal(after['rx_q0_too_long'] - before['rx_q0_too_long'], 10)
    check_equal(after['rx_errors'] - before['rx_errors'], 10)


@options(driver=True, timeout=120)
def test_small_frames(lab):
    """Mbufs that are almost too small for the frames: nothing is written
    behind them."""
    switch = FakeSwitch(lab, CHAIN)
    # 200 bytes of room are no multiple of a cache line.
    testpmd = start_testpmd(lab, switch, args=[
        '--auto-start', '--mbuf-size=328', '--enable-scatter',
        '--tx-offloads=0x8000'])
    check_traffic(lab, switch, '--min=60', '--max=400')
    check_traffic(lab, switch, '--min=180', '--max=210')
    check_clean(testpmd, 0)
    check_clean(testpmd, 1)


@options(driver=True, timeout=120)
def test_mtu(lab):
    """The MTU can be set as far as slots and mbufs allow."""
    switch = FakeSwitch(lab, ('a', 'b'), '--slot=4096', '--mtu=4000')
    testpmd = start_testpmd(lab, switch)
    testpmd.command('port config mtu 0 1800')
    check('MTU: 1800' in testpmd.command('show port info 0'), 'MTU not set')
    out = testpmd.command('port config mtu 0 5000')     # Slots.
    check('MTU (5000) > device max MTU (4074)' in out, '%s', out)
    testpmd.command('port config mtu 0 2500')           # Mbufs.
    check('needs mbufs with room for 2522 bytes' in testpmd.log(),
          '%s', testpmd.log()[-1000:])
    check('MTU: 1800' in testpmd.command('show port info 0'), 'MTU changed')


@options(driver=True, timeout=120)
def test_switch_restart(lab):
    """The link goes down and up with the switch, and an application that
    asked for it is told; what it sees is the same attachment."""
    switch = FakeSwitch(lab, CHAIN)
    testpmd = start_testpmd(lab, switch, args=['--auto-start'])
    wait_link(testpmd, 0)
    for _ in range(3):
        switch.kill()
        wait_link(testpmd, 0, up=False)
        wait_link(testpmd, 1, up=False)
        switch = FakeSwitch(lab, CHAIN, '--adopt', directory=switch.dir)
        wait_link(testpmd, 0)
        wait_link(testpmd, 1)
        check_traffic(lab, switch)
    stats = xstats(testpmd, 0)
    check_equal(stats['attached'], 1)
    check_equal(stats['link_changes'], 7)
    wait_until(lambda: testpmd.log().count('link state change event') >= 12,
               what='link state change events in:\n' + testpmd.log())


@options(driver=True, timeout=120)
def test_memory_comes_later(lab):
    """A device can be there before its port is."""
    directory = lab.dir + '/ports'
    os.makedirs(directory)
    devices = ['--vdev=net_dpdkr%d,path=%s/%s' % (i, directory, port)
               for i, port in enumerate('ab')]
    testpmd = lab.testpmd('testpmd', devices, lcores='0@0,1@0',
                          args=['--auto-start', '--no-lsc-interrupt',
                                '--disable-link-check'])
    wait_link(testpmd, 0, up=False)
    switch = FakeSwitch(lab, CHAIN)
    wait_link(testpmd, 0)
    wait_link(testpmd, 1)
    check_traffic(lab, switch)

    # It is retired, and made anew with another geometry.
    switch.command('retire')
    check_equal(switch.wait(), 0)
    wait_link(testpmd, 0, up=False)
    switch.stop()
    switch = FakeSwitch(lab, CHAIN, '--ring=128', '--slot=1600')
    wait_link(testpmd, 0)
    wait_link(testpmd, 1)
    check_traffic(lab, switch)
    check_equal(xstats(testpmd, 0)['attached'], 2)


@options(driver=True, timeout=120)
def test_cut_off(lab):
    """A device that the switch has cut off attaches again, once a second."""
    switch = FakeSwitch(lab, CHAIN)
    testpmd = start_testpmd(lab, switch, args=['--auto-start'])
    wait_link(testpmd, 0)
    switch.command('cut')
    wait_until(lambda: xstats(testpmd, 0)['cut_by_switch'] == 1,
               what='cut-off')
    wait_link(testpmd, 0)
    wait_link(testpmd, 1)
    stats = xstats(testpmd, 0)
    check_equal((stats['attached'], stats['cut_by_switch']), (2, 1))
    check('frame longer than its slot' in testpmd.log(), 'no reason given')
    check_traffic(lab, switch)

    switch.command('down')
    wait_link(testpmd, 0, up=False)
    switch.command('up')
    wait_link(testpmd, 0)
    check_traffic(lab, switch)


@options(driver=True, timeout=120)
def test_stop_and_start(lab):
    """Ports are stopped, started, set up anew, set down and up, closed."""
    switch = FakeSwitch(lab, CHAIN, '--queues=2')
    testpmd = start_testpmd(lab, switch)
    testpmd.command('start')
    check_traffic(lab, switch, '--queues=1')
    for n in (2, 1, 2, 1):
        testpmd.command('stop')
        testpmd.command('port stop all')
        wait_link(testpmd, 0, up=False)
        testpmd.command('port config all rxq %d' % n)
        testpmd.command('port config all txq %d' % n)
        testpmd.command('port start all')
        wait_link(testpmd, 0)
        wait_link(testpmd, 1)
        testpmd.command('start')
        check_traffic(lab, switch, '--queues=%d' % n, '--flows=4')
    check_equal(xstats(testpmd, 0)['attached'], 5)

    testpmd.command('set link-down port 0')
    wait_link(testpmd, 0, up=False)
    testpmd.command('set link-up port 0')
    wait_link(testpmd, 0)
    check_traffic(lab, switch, '--queues=1')
    check_equal(xstats(testpmd, 0)['attached'], 5)

    testpmd.command('stop')
    testpmd.command('port stop all')
    testpmd.command('port close all')
    # The ports are free for others now.
    second = lab.testpmd('second', ['--vdev=net_dpdkr0,path=' +
                                    switch.paths['a']],
                         lcores='0@0,1@0')
    wait_link(second, 0)


@options(driver=True, timeout=120)
def test_hotplug(lab):
    """Devices come and go while testpmd runs."""
    switch = FakeSwitch(lab, CHAIN)
    testpmd = start_testpmd(lab, switch, ports=('b',))
    for _ in range(3):
        out = testpmd.command('port attach net_dpdkr7,path='
                              + switch.paths['a'])
        check('attached' in out, '%s', out)
        testpmd.command('port start 1')
        wait_link(testpmd, 1)
        testpmd.command('port stop 1')
        testpmd.command('port close 1')
        out = testpmd.command('device detach net_dpdkr7')
        check('detached' in out, '%s', out)


# These testpmds are not the lab's, which would load the sanitizer first.
@options(driver=True, timeout=120, asan=False)
def test_bad_arguments(lab):
    """A device that cannot work is refused with a message that says why."""
    switch = FakeSwitch(lab, ('a', 'b'))
    noise = lab.dir + '/noise'
    with open(noise, 'wb') as f:
        f.write(bytes(100000))
    holder = start_testpmd(lab, switch, ports=('a',))
    path = switch.paths['b']
    for i, (vdev, message) in enumerate((
            ('net_dpdkr0', r'"path=FILE" is missing'),
            ('net_dpdkr0,path=' + noise, re.escape(noise) + r'.*not'),
            ('net_dpdkr0,path=' + lab.dir, re.escape(lab.dir)),
            ('net_dpdkr0,path=' + switch.paths['a'],
             r'/a: port is in use by another process'),
            ('net_dpdkr0,path=%s,queues=0' % path, r'queues=0: not a number'),
            ('net_dpdkr0,path=%s,mac=ff:ff:ff:ff:ff:ff' % path,
             r'not a unicast'),
            ('net_dpdkr0,path=%s,color=red' % path, r'cannot parse'))):
        p = subprocess.run(
            ['dpdk-testpmd', '--no-huge', '-m', '64', '--no-pci', '--lcores',
             '0@0', '--no-telemetry',
             '--file-prefix=%s-bad%d' % (lab.name, i), '-d', lab.driver(),
             '--vdev', vdev, '--', '--total-num-mbufs=2048'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=30)
        lab.remove_later('/var/run/dpdk/%s-bad%d' % (lab.name, i))
        text = p.stdout.decode()
        check(p.returncode, '%s is accepted:\n%s', vdev, text)
        check(re.search(message, text), '%s: no "%s" in:\n%s', vdev, message,
              text)
    check(holder.running(), 'the port was taken away')
