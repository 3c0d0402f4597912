# SPDX-License-Identifier: Apache-2.0
"""flow-mods: what the detector of p-2-p links costs each change of the flows.

    core 0                                   core 1
    this program, which sends OpenFlow 1.4   the switch's PMD thread, which
    messages; the switch's main thread,      polls four ports without traffic
    which carries them out

A bridge has four ports, a flow for each of them that sends all that it
receives to the next, and a number of other flows, of lower priority, in the
same table.  Then a flow is added and deleted again, and the next one, so that
the size of the table stays the same:

    single      flows like those others, message after message, with one
                barrier at the end
    bundle      the same in one bundle
    touching    like "single", but the flows have a higher priority: each of
                them takes the p-2-p link from one of the ports, and gives it
                back when it is deleted.  They match on a field that the other
                flows do not: when the last flow of the highest priority goes
                from those with the same fields, Open vSwitch looks through
                all of these, which would be all that there is to be seen

The sides differ in the ports, and in what the switch does about them:

    detector    dpdkr ports with peers, the detector on
    off         the same switch, other_config:p2p=false
    stock       the distribution's openvswitch-switch-dpdk; a DPDK ring device
                for each port

The rate is by the clock.  A second one, by the time that the main thread used,
tells whether something else had the core.

The sender must not wait for each flow mod.  If it does, it mostly measures the
PMD thread: after each change of the flows, the main thread of Open vSwitch
waits until every thread has been quiescent in the sense of RCU, before it
reads the next messages, 50 of them at most.  A PMD thread is quiescent every
1,024 turns of its loop, or every 10 ms if it sleeps between them
(other_config:pmd-maxsleep).
"""

import contextlib
import signal
import struct
import time

from nfv import openflow
from nfv.bench import machine, report, stock
from nfv.lab import Lab
from nfv.peer import Peer

HELP = 'the rate of flow mods with and without the detector of p-2-p links'

N_PORTS = 4
MODES = ('single', 'bundle', 'touching')
TARGET = 0.95
F_LINKS = 1 << 2                # DPDKR_F_LINKS of dpdkr/abi.h
PMD_CORE = 1
STOCK_MB = 512
FILL_STEP = 10000
TIMEOUT = 300


def add_arguments(parser):
    parser.add_argument('--sizes', default='100,10000,1000000',
                        type=lambda text: [int(n) for n in text.split(',')],
                        help='flows in the table (default: %(default)s)')
    parser.add_argument('--mods', type=int, default=100000,
                        help='flow mods for one measurement '
                        '(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=9, metavar='N',
                        help='times that each is measured '
                        '(default: %(default)s)')
    parser.add_argument('--no-stock', action='store_true',
                        help='leave the distribution\'s switch out')


def by_port(i, address=openflow.OXM_IPV4_DST):
    """Returns what flow number 'i' matches: a port and an IP address."""
    return [(openflow.OXM_IN_PORT, struct.pack('!I', i // 2 % N_PORTS + 1)),
            (openflow.OXM_ETH_TYPE, b'\x08\x00'),
            (address, b'\x0a' + struct.pack('!I', i)[1:])]


def fields(i):
    """The same for a flow that is to take no p-2-p link away: half of them
    match an Ethernet address instead."""
    if i % 2:
        return by_port(i)
    number = struct.pack('!I', i)[1:]
    return [(openflow.OXM_ETH_DST, b'\x02\x00' + number + b'\x00')]


class Side:
    """A switch, and a connection to its bridge.  Only one of them runs at a
    time, since they share the core of the PMD thread."""

    def __init__(self, lab, name, other_config=(), programs=None):
        self.switch = lab.switch(name, programs=programs)
        self.switch.start(['pmd-cpu-mask=%#x' % (1 << PMD_CORE),
                           *other_config])
        self.switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                          'datapath_type=netdev')
        for i in range(1, N_PORTS + 1):
            self.add_port('p%d' % i, 'ofport_request=%d' % i)
        self.switch.ofctl('del-flows', 'br0')
        for i in range(1, N_PORTS + 1):
            self.switch.ofctl('add-flow', 'br0',
                              'priority=10,in_port=%d,actions=output:%d'
                              % (i, i % N_PORTS + 1))
        machine.BusyThreads((self.switch.daemon.pid, 'pmd-')).prefer()
        self.connection = openflow.OpenFlow14(self.switch, timeout=TIMEOUT)

    def fill(self, n):
        c = self.connection
        for start in range(0, n, FILL_STEP):
            c.run(b''.join(c.flow_mod(openflow.ADD, 5, fields(i))
                           for i in range(start, min(n, start + FILL_STEP))))

    @contextlib.contextmanager
    def running(self, _side):
        self.switch.daemon.send_signal(signal.SIGCONT)
        yield
        self.switch.daemon.send_signal(signal.SIGSTOP)

    def main_thread_s(self):
        pid = self.switch.daemon.pid
        with open('/proc/%d/task/%d/schedstat' % (pid, pid)) as f:
            return int(f.read().split()[0]) / 1e9

    def evaluations(self):
        """Returns how often the detector looked at a port."""
        text = self.switch.appctl('coverage/read-counter', 'p2p_evaluate',
                                  check=False).strip()
        return int(text) if text.isdigit() else 0


class Ours(Side):
    def __init__(self, lab, stack):
        self.stack = stack
        super().__init__(lab, 'ours')

    def add_port(self, name, *options):
        path = self.switch.add_dpdkr('br0', name, *options)
        # It says that it follows orders, and does not: what the switch
        # decides is all that matters here.
        self.stack.callback(Peer(path, flags=F_LINKS).close, False)
        self.switch.wait_link(name)

    @contextlib.contextmanager
    def running(self, side):
        with super().running(side):
            self.switch.vsctl('set', 'Bridge', 'br0', 'other_config:p2p='
                              + ('true' if side == 'detector' else 'false'),
                              timeout=TIMEOUT)
            yield


class Stock(Side):
    def __init__(self, lab, programs):
        huge_dir = lab.huge_pages(STOCK_MB // 2)
        prefix = lab.name + '-stock'
        lab.remove_later('/var/run/dpdk/' + prefix)
        super().__init__(lab, 'stock', [
            'dpdk-init=true', 'dpdk-lcore-mask=0x1', 'per-port-memory=true',
            'dpdk-socket-mem=%d' % STOCK_MB,
            'dpdk-extra="--no-pci --no-telemetry --file-prefix=%s '
            '--huge-dir=%s"' % (prefix, huge_dir)], programs)

    def add_port(self, name, *options):
        self.switch.vsctl('add-port', 'br0', name, '--', 'set', 'Interface',
                          name, 'type=dpdk',
                          'options:dpdk-devargs=net_ring_' + name, *options)
        self.switch.wait_link(name)


def make_mods(connection, mode, first, n):
    """Returns the messages of one measurement."""
    messages = []
    for i in range(first, first + n // 2):
        flow = ((20, by_port(2 * i, openflow.OXM_IPV4_SRC))
                if mode == 'touching' else (5, fields(i)))
        messages += [connection.flow_mod(command, *flow)
                     for command in (openflow.ADD, openflow.DELETE_STRICT)]
    if mode == 'bundle':
        messages = [connection.in_bundle(m) for m in messages]
    return b''.join(messages)


def measure(bench, args):
    sides = ['detector', 'off'] + ([] if args.no_stock else ['stock'])
    programs, versions = (None, {}) if args.no_stock else stock.unpack(
        bench.dir + '/stock')
    runs = []
    for size in args.sizes:
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(Lab(bench.build))
            runs += measure_size(bench, lab, stack, programs, size, sides,
                                 args)
    return {'parameters': {'mods': args.mods, 'rounds': args.rounds,
                           'pmd_core': PMD_CORE},
            'versions': versions, 'runs': runs,
            'summary': summarize(runs, args.sizes, sides)}


def measure_size(bench, lab, stack, programs, size, sides, args):
    ours = Ours(lab, stack)
    ours.fill(size)
    ours.switch.daemon.send_signal(signal.SIGSTOP)
    switches = {'detector': ours, 'off': ours}
    if programs:
        switches['stock'] = Stock(lab, programs)
        switches['stock'].fill(size)
        switches['stock'].switch.daemon.send_signal(signal.SIGSTOP)
    mods = {mode: make_mods(ours.connection, mode, size, args.mods)
            for mode in MODES}

    runs = []
    # The first round warms up.
    for n in range(-1, args.rounds):
        for side in sides[::-1] if n % 2 else sides:
            with switches[side].running(side):
                for mode in MODES:
                    r = {'size': size, 'round': n, 'side': side, 'mode': mode}
                    r.update(measure_once(switches[side], mode, mods[mode],
                                          args.mods // 2 * 2))
                    if n >= 0:
                        runs.append(r)
                        bench.progress('%d flows, %s, %s: %.0f a second, by '
                                       'CPU time %.0f'
                                       % (size, side, mode, r['rate'],
                                          r['cpu_rate']), done=True)
    for switch in set(switches.values()):
        switch.connection.close()
        switch.switch.kill_daemon()
    return runs


def measure_once(side, mode, mods, n):
    connection = side.connection
    carry_out = (connection.run_bundle if mode == 'bundle'
                 else connection.run)
    evaluations = side.evaluations()
    start, start_cpu = time.monotonic(), side.main_thread_s()
    carry_out(mods)
    cpu = side.main_thread_s() - start_cpu
    return {'rate': n / (time.monotonic() - start), 'cpu_rate': n / cpu,
            'evaluations': side.evaluations() - evaluations}


def summarize(runs, sizes, sides):
    pairs = [(side, 'detector', side) for side in sides[1:]]
    return [{'mode': mode, **entry} for size in sizes for mode in MODES
            for entry in report.by_value(
                [run for run in runs if run['mode'] == mode], 'size', [size],
                sides, ('rate', 'cpu_rate', 'evaluations'), pairs,
                ('rate', 'cpu_rate'))]


def targets(result):
    return [report.target('%d flows, %s: rate with the detector, of %s'
                          % (entry['size'], entry['mode'], side),
                          ratio['rate']['median'], TARGET)
            for entry in result['summary']
            for side, ratio in entry['ratios'].items()]


def table(result):
    rows = []
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            ratio = entry['ratios'].get(side)
            rows.append(['%d' % entry['size'], entry['mode'], side,
                         *report.cells(own['rate'], '%.0f'),
                         '%.0f' % own['cpu_rate']['median'],
                         '%.0f' % own['evaluations']['median'],
                         *([*report.cells(ratio['rate'], '%.3f'),
                            '%.3f' % ratio['cpu_rate']['median']]
                           if ratio else ['1', '', '1'])])
    return report.table(['flows', 'mode', 'side', 'mods/s', 'min-max',
                         'by CPU time', 'evaluations', 'detector is',
                         'min-max', 'by CPU time'], rows)


def panels(result):
    sides = list(result['summary'][0]['sides'])
    sizes = sorted({entry['size'] for entry in result['summary']})
    return [('Flow mods, ' + mode, 'a second', report.panel(
        [entry for entry in result['summary'] if entry['mode'] == mode],
        'size', 'rate')) for mode in MODES], sizes, sides
