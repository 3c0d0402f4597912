# SPDX-License-Identifier: Apache-2.0
"""Two unmodified testpmds, or one, between which packets go to and fro.

    core 0                              core 1
    testpmd, one forwarding thread      testpmd, one forwarding thread
       port 0  <----------------------->  port 0

Each sends back what it receives, so that a fixed number of packets is on the
way.  There always is room for them: what is lost all the same is counted and
reported.  The rate is that of what both receive together: each of the two
threads receives and sends half of that.
"""

import re
import time

from nfv.bench import machine
from nfv.lab import LabError, wait_until

BURST = 32
MEMORY_MB = 256
HUGE_MB = 2 * MEMORY_MB


def mtu_of(size):
    return 9000 if size > 1500 else 1500


def start(lab, name, devices, huge_dir, lcores, size, n_cores=1, driver=True,
          topology='loop', extra=()):
    """Starts a testpmd that is going to send frames of 'size' bytes."""
    testpmd = lab.testpmd(
        name, devices, driver=driver, huge_dir=huge_dir, mem=MEMORY_MB,
        lcores=lcores, eal=['--single-file-segments'],
        args=['--nb-cores=%d' % n_cores, '--burst=%d' % BURST,
              '--forward-mode=io', '--port-topology=' + topology,
              *frame_options(size), *extra])
    testpmd.frame_size = size
    return testpmd


def frame_options(size):
    """Returns options of testpmd for frames of 'size' bytes.  (It compares
    sizes as it reads them, and without a word ignores one that is too large
    for its buffers.)"""
    return ['--mbuf-size=%d' % (10240 if size > 1500 else 2176),
            '--txpkts=%d' % size]


def check_sizes(testpmd, n_ports):
    """Raises LabError if frames that came in are not of the size that they
    should have.  Ports that do not count bytes are left out."""
    for port in range(n_ports):
        text = testpmd.command('show port stats %d' % port)
        packets, octets = (int(re.search(r'RX-%s: *(\d+)' % what,
                                         text).group(1))
                           for what in ('packets', 'bytes'))
        if octets and octets != packets * testpmd.frame_size:
            raise LabError('frames are not of %d bytes:\n%s'
                           % (testpmd.frame_size, text))


def wait_links(testpmd, n=1):
    for i in range(n):
        wait_until(lambda: 'Link status: up'
                   in testpmd.command('show port info %d' % i),
                   what='link of port %d of %s' % (i, testpmd.name))


def received(testpmd, ports):
    """Returns how many packets a second came in at 'ports' since it was
    asked last, by testpmd's own clock."""
    return sum(float(re.search(r'Rx-pps: *(\d+)', testpmd.command(
        'show port stats %d' % port, timeout=60)).group(1))
        for port in ports)


def bounce(testpmds, bursts, seconds, switch=None):
    """Sends 'bursts' from each port of 'testpmds', pairs of a process and the
    number of its ports, and has them go round for so many seconds.  Looks at
    the PMD thread of 'switch', if there is one, which should have nothing to
    do."""
    # Some devices can send only after the other end has looked for packets.
    for command in 'start', 'stop':
        for testpmd, _ in testpmds:
            testpmd.command(command)
    busy = machine.BusyThreads(*((testpmd.pid, '(rte|lcore)-worker')
                                 for testpmd, _ in testpmds))
    for testpmd, _ in testpmds:
        testpmd.command('start tx_first %d' % bursts)
    time.sleep(0.3)
    if switch:
        switch.appctl('dpif-netdev/pmd-stats-clear')
    for testpmd, n_ports in testpmds:
        received(testpmd, range(n_ports))
    busy.prefer()
    busy.start()
    time.sleep(seconds)
    share = busy.stop()
    busy.prefer(False)
    rate = sum(received(testpmd, range(n_ports))
               for testpmd, n_ports in testpmds)
    result = {'mpps': rate / 1e6, 'core_share': round(share, 4)}
    if switch:
        result.update(switched_packets(switch))

    ports = []
    for testpmd, n_ports in testpmds:
        ports += port_statistics(testpmd.command('stop', timeout=60), n_ports)
    for testpmd, n_ports in testpmds:
        check_sizes(testpmd, n_ports)
    result.update(_check(ports, bursts))
    if not rate:
        raise LabError('no packets went round')
    return result


def switched_packets(switch):
    """Returns how many packets the PMD threads got since they were cleared,
    and how many cycles each of them took."""
    text = switch.appctl('dpif-netdev/pmd-stats-show')
    packets = sum(int(n) for n in
                  re.findall(r'^ *packets received: (\d+)', text, re.M))
    cycles = sum(int(n) for n in
                 re.findall(r'^ *processing cycles: (\d+)', text, re.M))
    return {'switch_packets': packets,
            'switch_cycles': cycles / packets if packets else 0}


def port_statistics(text, n_ports):
    """Returns what testpmd, when it stopped, said of its ports."""
    found = [{key: int(value) for key, value
              in re.findall(r'([RT]X-\w+): *(\d+)', part)}
             for part in re.findall(
                 r'Forward statistics for port.*?\n(.*?)\n *-{60}',
                 text, re.S)]
    if len(found) != n_ports:
        raise LabError('testpmd has no statistics:\n' + text)
    return found


def _check(ports, bursts):
    """Compares what was sent with what was received, the packets apart that
    were on the way when the testpmds stopped."""
    sent = sum(port['TX-packets'] for port in ports)
    got = sum(port['RX-packets'] for port in ports)
    dropped = sum(port['TX-dropped'] + port['RX-dropped'] for port in ports)
    on_the_way = len(ports) * bursts * BURST
    lost = dropped
    if not 0 <= sent - got - dropped <= on_the_way:
        lost += abs(sent - got - dropped)
    return {'lost': lost}
