# SPDX-License-Identifier: Apache-2.0
"""chain: what a chain of functions carries, by its length.

    core 0                                        core 1
    testpmd, one forwarding thread                the switch's PMD thread
       function 1:  port 0 -- port 1  <-------->  joins port 1 and port 2,
       function 2:  port 2 -- port 3  <-------->  port 3 and port 4, ...,
       ...                                        the last one and port 0

One testpmd plays all the functions, so that their number does not change how
many threads compete for a core; the chain is closed, so that a fixed number
of packets goes round in each direction.  A packet that goes from one function
to the next is a hop.  Hops a second that stay the same, however many functions
there are, mean that a chain of functions with a core each carries the same
whatever its length, if it does not go through the switch; through the switch,
that number is shared by all the hops of the chain.  "chain" is what a chain
would carry that way: hops a second without the switch; with it, hops a second
divided by the hops of a packet.  (Where both ends of a hop share a core, as
here, frames need not get from one cache into another: scenario "direct" has
that.)

A ring holds what is on the way at two hops at least.  If more than that comes
together in one place, since a thread was stopped for a moment, the stock switch
drops some, which the column "lost" shows.

    direct       dpdkr ports with direct links
    switched     the same ports without, other_config:p2p=false
    vhost-user   the distribution's openvswitch-switch-dpdk
"""

from nfv.bench import (direct, machine, report, testpmds, turns,
                       vswitch_path)
from nfv.lab import Lab, LabError

HELP = 'the rate of chains of functions by their length'

PORTS_MB = 512
BURSTS_IN_FLIGHT = 4

# Of the stock switch's rate; of the rate of the shortest chain.
TARGET = 10
FLAT = 0.8


class Direct:
    name = 'direct'
    p2p = True
    driver = True
    programs = None

    def __init__(self, _bench):
        self.versions = {}

    def start(self, lab, _huge_dir):
        switch = direct.start_switch(lab)
        switch.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=%s'
                     % ('true' if self.p2p else 'false'))
        return switch

    def add_ports(self, switch, names, _mtu, huge_dir):
        return ['--vdev=net_dpdkr%d,path=%s'
                % (i, switch.add_dpdkr('br0', name, 'options:hugepages=true',
                                       'options:dir=' + huge_dir))
                for i, name in enumerate(names)]


class Switched(Direct):
    name = 'switched'
    p2p = False


class VhostUser(vswitch_path.VhostUser):
    p2p = False

    def start(self, lab, huge_dir):
        return vswitch_path.start_switch(lab, self, huge_dir)


SIDES = {side.name: side for side in (Direct, Switched, VhostUser)}


def add_arguments(parser):
    parser.add_argument('--lengths', default='1,2,3,5,7,10',
                        type=turns.numbers,
                        help='functions in the chain (default: %(default)s)')
    parser.add_argument('--size', type=int, default=64,
                        help='frame size in bytes, without the checksum '
                        '(default: %(default)s)')
    turns.add_arguments(parser, SIDES, rounds=3, seconds=2)


def measure(bench, args):
    def once(side, length):
        run = measure_once(bench, side, length, args)
        run['chain_mpps'] = run['mpps'] / (1 if side.p2p else length)
        return run

    def tell(run):
        return ('%.2f million hops a second, switch %.0f cycles a hop, '
                '%d lost' % (run['mpps'], run['switch_cycles'], run['lost']))
    sides = turns.choose(SIDES, args.sides, bench)
    runs = turns.take(bench, sides, args.rounds, 'length', args.lengths, once,
                      tell)
    return {
        'parameters': {'burst': testpmds.BURST, 'size': args.size,
                       'bursts_in_flight': BURSTS_IN_FLIGHT,
                       'rounds': args.rounds, 'seconds': args.seconds},
        'versions': turns.versions(sides),
        'runs': runs,
        'summary': report.by_value(
            runs, 'length', args.lengths, args.sides,
            ('mpps', 'chain_mpps', 'switch_cycles'),
            [(side, 'direct', side) for side in args.sides
             if 'direct' in args.sides and side != 'direct'],
            ('chain_mpps',)),
    }


def measure_once(bench, side, length, args):
    with Lab(bench.build) as lab:
        huge_dir = lab.huge_pages(
            (testpmds.MEMORY_MB + PORTS_MB
             + (0 if side.driver else vswitch_path.SWITCH_MB)) // 2)
        switch = side.start(lab, huge_dir)
        names = ['p%d' % i for i in range(2 * length)]
        devices = side.add_ports(switch, names, 1500, huge_dir)
        function = testpmds.start(
            lab, 'functions', devices, huge_dir, '0@0,1@0', args.size,
            driver=side.driver, topology='paired',
            # Virtio's rings hold those that have been sent, too.
            extra=['--total-num-mbufs=%d' % (2048 * (length + 3))])
        switch.ofctl('del-flows', 'br0')
        for i, name in enumerate(names):
            switch.wait_link(name)
            other = names[(i + 1 if i % 2 else i - 1) % len(names)]
            switch.ofctl('add-flow', 'br0', 'in_port=%s,actions=output:%s'
                         % (name, other))
        if side.p2p:
            direct.wait_direct(switch, names, [function])
        result = bounce(switch, function, len(names), side, args)
        if side.p2p and result['switch_packets']:
            raise LabError('%d packets went through the switch'
                           % result['switch_packets'])
        function.stop()
        switch.stop()
        return result


def bounce(switch, function, n_ports, side, args):
    busy = None
    if not side.p2p:
        busy = machine.BusyThreads((switch.daemon.pid, 'pmd-'))
        busy.prefer()
    result = testpmds.bounce([(function, n_ports)], BURSTS_IN_FLIGHT,
                             args.seconds, switch)
    if busy:
        busy.prefer(False)
    return result


def targets(result):
    """What was to reach, and whether it was."""
    summary = result['summary']
    found = []
    if 'direct' not in summary[0]['sides']:
        return found
    first, last = (entry['sides']['direct'] for entry in (summary[0],
                                                          summary[-1]))
    found.append(report.target(
        'direct: hops a second with %d functions, of those with %d'
        % (summary[-1]['length'], summary[0]['length']),
        last['mpps']['median'] / first['mpps']['median'], FLAT))
    worst = max(entry['sides']['direct']['switch_cycles']['max']
                for entry in summary)
    found.append({'what': "direct: the switch's cycles a hop, at most",
                  'wanted': 0, 'got': worst, 'reached': not worst})
    for entry in summary:
        ratio = entry['ratios'].get('vhost-user')
        if ratio:
            found.append(report.target(
                'chain of %d, %d bytes: direct, of vhost-user'
                % (entry['length'], result['parameters']['size']),
                ratio['chain_mpps']['median'], TARGET,
                not entry['sides']['direct']['lost']))
    return found


def table(result):
    rows = []
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            ratio = entry['ratios'].get(side)
            rows.append([
                '%d' % entry['length'], side, *report.cells(own['mpps']),
                '%.2f' % own['chain_mpps']['median'],
                '%.0f' % own['switch_cycles']['median'],
                report.lost(own['lost']), report.share(own['core_share']),
                *(report.cells(ratio['chain_mpps'], '%.1f') if ratio
                  else ['', ''])])
    return report.table(
        ['functions', 'ports', 'Mhops/s', 'min-max', 'chain Mpps',
         'switch cycles/hop', 'lost', 'core', 'direct is', 'min-max'], rows)


def panels(result):
    summary = result['summary']
    sides = list(summary[0]['sides'])
    lengths = [entry['length'] for entry in summary]
    return [('Hops', 'million a second',
             report.panel(summary, 'length', 'mpps')),
            ('A chain with a core for each function',
             'million packets a second',
             report.panel(summary, 'length', 'chain_mpps')),
            ("Work of the switch's thread", 'TSC cycles a hop',
             report.panel(summary, 'length', 'switch_cycles'))], \
        lengths, sides
