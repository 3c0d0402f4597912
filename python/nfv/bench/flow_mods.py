# SPDX-License-Identifier: Apache-2.0
"""flow-mods: what the detector of p-2-p links costs each change of the flows.

A bridge has four ports of type dpdkr with a peer each, a flow that makes each
of them p-2-p, and a number of other flows, of lower priority, that the
detector has to see past.  Then ovs-ofctl adds such a flow and deletes it
again, many times, so that the size of the table stays the same; one by one,
and all in one bundle.

    detector   the detector on
    off        the same switch, other_config:p2p=false
    stock      the distribution's openvswitch-switch-dpdk, no ports

The first rate is by the clock.  The second is by the time that the switch's
main thread, which carries the changes out, used for it, so that it does not
depend on what else the machine does: that is the one that is compared.
"""

import contextlib
import os
import re
import time

from nfv.bench import report, stock
from nfv.lab import Lab, run
from nfv.peer import Peer

HELP = 'the rate of flow mods with and without the detector of p-2-p links'

N_PORTS = 4
MODES = {'single': (), 'bundle': ('-O', 'OpenFlow14', '--bundle')}
TARGET = 0.95
F_LINKS = 1 << 2                # DPDKR_F_LINKS of dpdkr/abi.h
TIMEOUT = 900


def add_arguments(parser):
    parser.add_argument('--sizes', default='100,10000,1000000',
                        type=lambda text: [int(n) for n in text.split(',')],
                        help='flows in the table (default: %(default)s)')
    parser.add_argument('--mods', type=int, default=20000,
                        help='flow mods for one measurement '
                        '(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=5, metavar='N',
                        help='times that each is measured '
                        '(default: %(default)s)')
    parser.add_argument('--no-stock', action='store_true',
                        help='leave the distribution\'s switch out')


def flow(i):
    """Returns flow number 'i' of those that are in the detector's way."""
    if i % 2:
        match = 'dl_dst=02:00:%02x:%02x:%02x:00' % (i >> 16, (i >> 8) & 255,
                                                    i & 255)
    else:
        match = 'in_port=%d,ip,nw_dst=10.%d.%d.%d' % (
            i // 2 % N_PORTS + 1, i >> 16, (i >> 8) & 255, i & 255)
    return 'priority=5,' + match


class Ours:
    def __init__(self, lab, stack):
        self.switch = lab.switch('ours')
        self.switch.start(['pmd-cpu-mask=0x2', 'pmd-maxsleep=500'])
        self.switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                          'datapath_type=netdev')
        for i in range(1, N_PORTS + 1):
            name = 'p%d' % i
            path = self.switch.add_dpdkr('br0', name, 'ofport_request=%d' % i)
            # It says that it follows orders, and does not: what the switch
            # decides is all that matters here.
            stack.callback(Peer(path, flags=F_LINKS).close, False)
            self.switch.wait_link(name)
        self.switch.ofctl('del-flows', 'br0')
        for i in range(1, N_PORTS + 1):
            self.switch.ofctl('add-flow', 'br0',
                              'priority=10,in_port=%d,actions=output:%d'
                              % (i, i % N_PORTS + 1))

    def choose(self, side):
        on = side == 'detector'
        self.switch.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=%s'
                          % ('true' if on else 'false'), timeout=300)


class Stock:
    def __init__(self, lab, programs):
        self.switch = lab.switch('stock', programs=programs)
        self.switch.start()
        self.switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                          'datapath_type=netdev')
        self.switch.ofctl('del-flows', 'br0')

    def choose(self, _side):
        pass


def measure(bench, args):
    sides = ['detector', 'off'] + ([] if args.no_stock else ['stock'])
    programs, versions = (None, {}) if args.no_stock else stock.unpack(
        bench.dir + '/stock')
    runs = []
    for size in args.sizes:
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(Lab(bench.build))
            switches = {'detector': Ours(lab, stack)}
            switches['off'] = switches['detector']
            if programs:
                switches['stock'] = Stock(lab, programs)
            fill, mods = write_files(lab, size, args.mods)
            for owner in {id(s): s for s in switches.values()}.values():
                ofctl(owner.switch, 'add-flows', 'br0', fill)
            for n in range(args.rounds):
                for side in sides:
                    switches[side].choose(side)
                    for mode, options in MODES.items():
                        r = {'size': size, 'round': n, 'side': side,
                             'mode': mode}
                        r.update(measure_once(switches[side].switch, mods,
                                              options, args.mods))
                        runs.append(r)
                        bench.progress('%d flows, %s, %s: %.0f a second, by '
                                       'CPU time %.0f'
                                       % (size, side, mode, r['rate'],
                                          r['cpu_rate']), done=True)
            for owner in {id(s): s for s in switches.values()}.values():
                owner.switch.kill_daemon()
    return {'parameters': {'mods': args.mods, 'rounds': args.rounds},
            'versions': versions, 'runs': runs,
            'summary': summarize(runs, args.sizes, sides)}


def write_files(lab, size, n_mods):
    fill, mods = lab.dir + '/fill', lab.dir + '/mods'
    with open(fill, 'w') as f:
        f.writelines('%s,actions=drop\n' % flow(i) for i in range(size))
    with open(mods, 'w') as f:
        for i in range(size, size + n_mods // 2):
            f.write('add %s,actions=drop\n' % flow(i))
            f.write('delete_strict %s\n' % flow(i))
    return fill, mods


def ofctl(switch, *args):
    run([switch.programs['ovs-ofctl'], '-vconsole:off', *args],
        timeout=TIMEOUT, env=dict(os.environ, **switch.lab.env, **switch.env))


def main_thread_s(switch):
    pid = switch.daemon.pid
    with open('/proc/%d/task/%d/schedstat' % (pid, pid)) as f:
        return int(f.read().split()[0]) / 1e9


def measure_once(switch, mods, options, n_mods):
    evaluations = coverage(switch)
    start, start_cpu = time.monotonic(), main_thread_s(switch)
    ofctl(switch, *options, 'add-flows', 'br0', mods)
    cpu = main_thread_s(switch) - start_cpu
    return {'rate': n_mods / (time.monotonic() - start),
            'cpu_rate': n_mods / cpu,
            'evaluations': coverage(switch) - evaluations}


def coverage(switch):
    """Returns how often the detector looked at a port."""
    text = switch.appctl('coverage/read-counter', 'p2p_evaluate', check=False)
    return int(text) if re.match(r'\d+$', text.strip()) else 0


def summarize(runs, sizes, sides):
    summary = []
    for size in sizes:
        for mode in MODES:
            chosen = [r for r in runs if (r['size'], r['mode']) == (size,
                                                                    mode)]
            entry = {'size': size, 'mode': mode, 'sides': {}, 'ratios': {}}
            for side in sides:
                own = [r for r in chosen if r['side'] == side]
                entry['sides'][side] = {
                    key: report.spread([r[key] for r in own])
                    for key in ('rate', 'cpu_rate', 'evaluations')}
                if side != 'detector':
                    entry['ratios'][side] = {
                        key: report.spread(report.pair_ratios(
                            chosen, 'detector', side, key))
                        for key in ('rate', 'cpu_rate')}
            summary.append(entry)
    return summary


def targets(result):
    return [{'what': '%d flows, %s: rate with the detector, of %s'
             % (entry['size'], entry['mode'], side),
             'wanted': TARGET, 'got': ratio['cpu_rate']['median'],
             'reached': ratio['cpu_rate']['median'] >= TARGET}
            for entry in result['summary']
            for side, ratio in entry['ratios'].items()]


def table(result):
    rows = []
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            ratio = entry['ratios'].get(side)
            rows.append([
                '%d' % entry['size'], entry['mode'], side,
                '%.0f' % own['rate']['median'],
                '%.0f' % own['cpu_rate']['median'],
                '%.0f-%.0f' % (own['cpu_rate']['min'],
                               own['cpu_rate']['max']),
                '%.0f' % own['evaluations']['median'],
                *(['%.3f' % ratio['cpu_rate']['median'],
                   '%.2f-%.2f' % (ratio['cpu_rate']['min'],
                                  ratio['cpu_rate']['max']),
                   '%.2f' % ratio['rate']['median']]
                  if ratio else ['1', '', '1'])])
    return report.table(['flows', 'mode', 'side', 'mods/s', 'mods/s CPU',
                         'min-max', 'evaluations', 'detector is', 'min-max',
                         'by clock'], rows)


def panels(result):
    sides = list(result['summary'][0]['sides'])
    sizes = sorted({entry['size'] for entry in result['summary']})
    return [('Flow mods, ' + mode, 'a second of CPU time', {
        side: {entry['size']: tuple(
            entry['sides'][side]['cpu_rate'][which]
            for which in ('min', 'median', 'max'))
            for entry in result['summary'] if entry['mode'] == mode}
        for side in sides}) for mode in MODES], sizes, sides
