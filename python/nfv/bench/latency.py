# SPDX-License-Identifier: Apache-2.0
"""latency: how long a frame takes through a chain of functions, by the chain's
length and load.

    core 0                                          core 1
    ethdev-latency, one thread                      the switch's PMD thread
       source                 ------------------>   joins the source and the
       function: device 1 -- device 2  <-------->   first function, the first
       function: device 3 -- device 4  <-------->   and the second, ..., the
       ...                                          last one and the sink
       sink                   <------------------

Both ends of the chain are in one program (tests/ethdev-latency.c), so that all
times are those of one clock; it is the same on all sides, on other devices.
It sends numbered, timed frames in at one end and checks what comes out at the
other: one at a time ("ping-pong"), and at 10, 50 and 90 % of the highest rate
without loss, which it finds by trials first.  Each side has its own such rate.

There are two cores, one of which the stock switch needs, so the program plays
the functions as well, in turns: what is due is sent, then it looks at the
sink, then at each function.  A function with a core of its own would not have
to wait for others.  To keep that from looking like a cost of hops, there always
are as many functions as in the longest chain, only that shorter ones leave
some out, so that a turn is the same for all lengths; and the chain visits the
functions in an order in which half of the hops go to one that has its turn
before the end of this turn, half to one that had it.

    direct           dpdkr ports with direct links, as above; the switch's
                     thread sleeps
    direct-testpmd   the same with the functions in an unmodified testpmd on
                     core 1, which the switch leaves to them
    switched         as "direct" with other_config:p2p=false
    vhost-user       as "switched" with the distribution's
                     openvswitch-switch-dpdk
"""

import json
import subprocess

from nfv.bench import (chain, direct, machine, report, testpmds, turns,
                       vswitch_path)
from nfv.lab import Lab, LabError, wait_until

HELP = 'the latency of chains of functions by length and load'

LOADS = ('ping-pong', '10', '50', '90')
QUANTILES = ('p50', 'p99', 'p99.9')
PORTS_MB = 512
REFERENCE = 'vhost-user'


class Direct(chain.Direct):
    testpmd = False


class DirectTestpmd(chain.Direct):
    name = 'direct-testpmd'
    testpmd = True


class Switched(chain.Switched):
    testpmd = False

    def start(self, lab, huge_dir):
        switch = super().start(lab, huge_dir)
        # Like the stock switch's, its thread never sleeps.
        switch.vsctl('set', 'Open_vSwitch', '.',
                     'other_config:pmd-maxsleep=0')
        return switch


class VhostUser(chain.VhostUser):
    testpmd = False


SIDES = {side.name: side for side in (Direct, DirectTestpmd, Switched,
                                      VhostUser)}
OURS = ('direct', 'direct-testpmd')


def add_arguments(parser):
    parser.add_argument('--lengths', default='1,3,5', type=turns.numbers,
                        help='functions in the chain (default: %(default)s)')
    parser.add_argument('--size', type=int, default=64,
                        help='frame size in bytes, without the checksum '
                        '(default: %(default)s)')
    turns.add_arguments(parser, SIDES, rounds=3, seconds=1)


def measure(bench, args):
    def once(side, _):
        return {'lengths': measure_once(bench, side, args)}

    def tell(run):
        return ', '.join('%d functions %.1f us'
                         % (length, got['ping-pong']['p50'] / 1e3)
                         for length, got in run['lengths'])
    sides = turns.choose(SIDES, args.sides, bench)
    taken = turns.take(bench, sides, args.rounds, 'size', [args.size], once,
                       tell)
    runs = [{'length': length, 'round': turn['round'], 'side': turn['side'],
             **got} for turn in taken for length, got in turn['lengths']]
    return {
        'parameters': {'size': args.size, 'rounds': args.rounds,
                       'seconds': args.seconds},
        'versions': turns.versions(sides),
        'runs': runs,
        'summary': summarize(runs, args.lengths, args.sides),
    }


def measure_once(bench, side, args):
    with Lab(bench.build) as lab:
        return measure_chains(lab, side, args)


def measure_chains(lab, side, args):
    """Measures chains of all lengths.  Returns pairs of a length and what
    ethdev-latency said."""
    n = max(args.lengths)
    huge_dir = lab.huge_pages(
        (testpmds.HUGE_MB + PORTS_MB
         + (0 if side.driver else vswitch_path.SWITCH_MB)) // 2)
    switch = side.start(lab, huge_dir)
    # In the order of the devices of ethdev-latency.
    functions = [('f%d-in' % i, 'f%d-out' % i) for i in range(n)]
    names = ['source', *(name for f in functions for name in f), 'sink']
    devices = side.add_ports(switch, names, 1500, huge_dir)
    # Frames that are flooded would go round for ever.
    switch.ofctl('del-flows', 'br0')
    if side.testpmd:
        latency = Latency(lab, side, huge_dir, args.size,
                          renumber([devices[0], devices[-1]]), 0)
        others = [testpmds.start(
            lab, 'functions', renumber(devices[1:-1]), huge_dir, '0@0,1@1',
            args.size, topology='paired')]
        others[0].command('start')
    else:
        latency = Latency(lab, side, huge_dir, args.size, devices, n)
        others = []
    for name in names:
        switch.wait_link(name)
    busy = machine.BusyThreads(
        (latency.pid, 'ethdev-latency'),
        *((other.pid, '(rte|lcore)-worker') for other in others),
        *([] if side.p2p else [(switch.daemon.pid, 'pmd-')]))

    result = []
    for length in args.lengths:
        connect(switch, functions, length, side.p2p)
        switch.appctl('dpif-netdev/pmd-stats-clear')
        busy.favour()
        busy.start()
        got = latency.measure(args.seconds)
        got['core_share'] = round(busy.stop(), 4)
        busy.favour(False)
        got.update(testpmds.switched_packets(switch))
        if side.p2p and got['switch_packets']:
            raise LabError('%d packets went through the switch'
                           % got['switch_packets'])
        result.append((length, got))
    for program in (latency, *others):
        program.stop()
    switch.stop()
    return result


def renumber(devices):
    """Returns 'devices' of net_dpdkr with numbers from 0."""
    return ['--vdev=net_dpdkr%d,%s' % (i, device.split(',', 1)[1])
            for i, device in enumerate(devices)]


def connect(switch, functions, length, p2p):
    """Has flows lead from the source through 'length' of 'functions' to the
    sink, and waits until they are direct links, if they are to be."""
    order = [functions[i // 2 if i % 2 == 0 else -1 - i // 2]
             for i in range(length)]
    senders = ['source', *(f[1] for f in order)]
    receivers = [*(f[0] for f in order), 'sink']
    switch.ofctl('del-flows', 'br0')
    for sender, receiver in zip(senders, receivers):
        switch.ofctl('add-flow', 'br0', 'in_port=%s,actions=output:%s'
                     % (sender, receiver))
    if p2p:
        direct.wait_direct(switch, senders)


class Latency:
    """The program ethdev-latency."""

    def __init__(self, lab, side, huge_dir, size, devices, n_functions):
        prefix = lab.name + '-latency'
        lab.remove_later('/var/run/dpdk/' + prefix)
        self.process = lab.process('latency', [
            lab.tree + '/tests/ethdev-latency', '--lcores=0@0', '--no-pci',
            '--no-telemetry', '--file-prefix=' + prefix,
            '-m', str(testpmds.MEMORY_MB), '--huge-dir=' + huge_dir,
            # Vhost-user can pass on only a few files.
            '--single-file-segments',
            *(['-d', lab.driver()] if side.driver else []), *devices, '--',
            '--functions=%d' % n_functions, '--size=%d' % size],
            stdin=subprocess.PIPE)
        self._wait_line(lambda line: line == 'ready', 60)

    @property
    def pid(self):
        return self.process.pid

    def _wait_line(self, wanted, timeout, after=0):
        """Returns the first line behind position 'after' of the output for
        which 'wanted' returns true."""
        def found():
            lines = self.process.log()[after:].split('\n')[:-1]
            for line in lines:
                if wanted(line):
                    return line
            if not self.process.running():
                raise LabError('ethdev-latency ended:\n'
                               + self.process.log()[-3000:])
            return None
        return wait_until(found, timeout, 'ethdev-latency', interval=0.1)

    def measure(self, seconds):
        after = len(self.process.log())
        self.process.popen.stdin.write(b'measure %f\n' % seconds)
        self.process.popen.stdin.flush()
        line = self._wait_line(lambda line: line.startswith('{'),
                               30 + len(LOADS) * seconds, after)
        result = json.loads(line)
        missing = [load for load in LOADS if load not in result]
        if missing:
            raise LabError('ethdev-latency: %s'
                           % result.get('error', 'no rate without loss'))
        wrong = sum(result[load]['reordered'] + result[load]['wrong']
                    for load in LOADS)
        if wrong:
            raise LabError('%d frames are not what they have to be: %s'
                           % (wrong, line))
        return result

    def stop(self):
        self.process.popen.stdin.close()
        self.process.wait()
        return self.process.stop()


def summarize(runs, lengths, sides):
    summary = []
    for length in lengths:
        entry = {'length': length, 'sides': {}}
        for side in sides:
            own = [run for run in runs
                   if run['length'] == length and run['side'] == side]
            entry['sides'][side] = {
                'core_share': min(run['core_share'] for run in own),
                'loss_free_pps': report.spread([run['loss_free_pps']
                                                for run in own]),
                'loads': {load: {
                    'lost': sum(run[load]['lost'] + run[load]['refused']
                                for run in own),
                    **{key: report.spread([run[load][key] for run in own])
                       for key in QUANTILES}} for load in LOADS}}
        summary.append(entry)
    return summary


def targets(result):
    """What was to reach: below the stock switch at every load; each function
    more adds no more than each of those in the shortest chain takes, its way
    from the source and to the sink included, and less than with the stock
    switch."""
    summary = result['summary']

    def value(entry, side, load, key='p50'):
        return entry['sides'][side]['loads'][load][key]['median']
    found = []
    for side in OURS:
        if side not in summary[0]['sides']:
            continue
        for load in LOADS:
            if REFERENCE not in summary[0]['sides']:
                break
            got, length, key = max(
                (value(entry, side, load, key)
                 / value(entry, REFERENCE, load, key), entry['length'], key)
                for entry in summary for key in QUANTILES)
            found.append({
                'what': '%s, %s: latency, of that of %s, at the worst (%d '
                'functions, %s; less is better)'
                % (side, load_name(load), REFERENCE, length, key),
                'wanted': 1, 'got': got, 'reached': got < 1})
        first, last = summary[0], summary[-1]
        for load in LOADS:
            if first['length'] == last['length']:
                break

            def added(side):
                return ((value(last, side, load) - value(first, side, load))
                        / (last['length'] - first['length']))
            got = added(side) / (value(first, side, load) / first['length'])
            found.append({
                'what': '%s, %s: what a function more adds to p50, of what '
                'one takes with %d (less is better)'
                % (side, load_name(load), first['length']),
                'wanted': 1, 'got': got, 'reached': got <= 1})
            if REFERENCE in first['sides']:
                got = added(side) / max(added(REFERENCE), 1e-9)
                found.append({
                    'what': '%s, %s: what a function more adds to p50, of '
                    'that with %s (less is better)'
                    % (side, load_name(load), REFERENCE),
                    'wanted': 1, 'got': got, 'reached': got < 1})
    return found


def load_name(load):
    return load if load == LOADS[0] else load + ' %'


def table(result):
    rows = []
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            for load, got in own['loads'].items():
                rate = own['loss_free_pps']['median'] / 1e6
                rows.append([
                    '%d' % entry['length'], side, load_name(load),
                    '' if load == LOADS[0] else '%.2f' % (rate * int(load)
                                                          / 100),
                    *('%.2f' % (got[key]['median'] / 1e3)
                      for key in QUANTILES),
                    '%.2f-%.2f' % (got['p99']['min'] / 1e3,
                                   got['p99']['max'] / 1e3),
                    report.lost(got['lost']),
                    report.share(own['core_share'])])
    return report.table(
        ['functions', 'ports', 'load', 'Mpps', *('%s us' % key
                                                 for key in QUANTILES),
         'p99 min-max', 'lost', 'core'], rows)


def panels(result):
    sides = list(result['summary'][0]['sides'])
    lengths = [entry['length'] for entry in result['summary']]
    return [('p50, ' + load_name(load), 'microseconds', {
        side: {entry['length']: tuple(
            entry['sides'][side]['loads'][load]['p50'][which] / 1e3
            for which in ('min', 'median', 'max'))
            for entry in result['summary']} for side in sides})
        for load in LOADS], lengths, sides
