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

    direct       dpdkr ports with direct links
    switched     the same ports without, other_config:p2p=false
    vhost-user   the distribution's openvswitch-switch-dpdk
"""

from nfv.bench import direct, machine, report, testpmds, vswitch_path
from nfv.lab import Lab, LabError

HELP = 'the rate of chains of functions by their length'

PORTS_MB = 512
BURSTS_IN_FLIGHT = 4


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
                        type=lambda text: [int(n) for n in text.split(',')],
                        help='functions in the chain (default: %(default)s)')
    parser.add_argument('--size', type=int, default=64,
                        help='frame size in bytes, without the checksum '
                        '(default: %(default)s)')
    parser.add_argument('--sides', default=','.join(SIDES),
                        type=lambda text: text.split(','),
                        help='what is measured in turns (default: '
                        '%(default)s)')
    parser.add_argument('--rounds', type=int, default=3, metavar='N',
                        help='times that each is measured '
                        '(default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=2, metavar='S',
                        help='length of one measurement '
                        '(default: %(default)s)')


def measure(bench, args):
    sides = [SIDES[name](bench) for name in args.sides]
    runs = []
    for length in args.lengths:
        for n in range(args.rounds):
            for side in sides:
                run = {'length': length, 'round': n, 'side': side.name}
                run.update(measure_once(bench, side, length, args))
                runs.append(run)
                bench.progress('%d functions, %s: %.2f million hops a second, '
                               'switch %.0f cycles a hop, %d lost'
                               % (length, side.name, run['mpps'],
                                  run['switch_cycles'], run['lost']),
                               done=True)
    return {
        'parameters': {'burst': testpmds.BURST, 'size': args.size,
                       'bursts_in_flight': BURSTS_IN_FLIGHT,
                       'rounds': args.rounds, 'seconds': args.seconds},
        'versions': dict(item for side in sides
                         for item in side.versions.items()),
        'runs': runs,
        'summary': summarize(runs, args.lengths, args.sides),
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
            driver=side.driver, topology='paired')
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


def summarize(runs, lengths, sides):
    summary = []
    for length in lengths:
        entry = {'length': length, 'sides': {}}
        for side in sides:
            own = [run for run in runs
                   if run['length'] == length and run['side'] == side]
            entry['sides'][side] = {
                'lost': sum(run['lost'] for run in own),
                'core_share': min(run['core_share'] for run in own),
                'mpps': report.spread([run['mpps'] for run in own]),
                'chain_mpps': report.spread(
                    [run['mpps'] if side == 'direct'
                     else run['mpps'] / length for run in own]),
                'switch_cycles': report.spread([run['switch_cycles']
                                                for run in own])}
        summary.append(entry)
    return summary


def targets(result):
    found = []
    first, last = result['summary'][0], result['summary'][-1]
    if 'direct' not in first['sides']:
        return found
    flat = (last['sides']['direct']['mpps']['median']
            / first['sides']['direct']['mpps']['median'])
    found.append({'what': 'direct: hops a second with %d functions, of those '
                  'with %d' % (last['length'], first['length']),
                  'wanted': 0.8, 'got': flat, 'reached': flat >= 0.8})
    if 'vhost-user' in last['sides']:
        ratio = (last['sides']['direct']['chain_mpps']['median']
                 / last['sides']['vhost-user']['chain_mpps']['median'])
        found.append({'what': 'chain of %d: direct, of vhost-user'
                      % last['length'], 'wanted': 10, 'got': ratio,
                      'reached': ratio >= 10})
    return found


def table(result):
    return report.table(
        ['functions', 'ports', 'Mhops/s', 'min-max', 'chain Mpps',
         'switch cycles/hop', 'lost', 'core'],
        [['%d' % entry['length'], side, '%.2f' % own['mpps']['median'],
          '%.2f-%.2f' % (own['mpps']['min'], own['mpps']['max']),
          '%.2f' % own['chain_mpps']['median'],
          '%.0f' % own['switch_cycles']['median'], own['lost'],
          '%.0f %%' % (100 * own['core_share'])]
         for entry in result['summary']
         for side, own in entry['sides'].items()])


def panels(result):
    sides = list(result['summary'][0]['sides'])
    lengths = [entry['length'] for entry in result['summary']]

    def values(key):
        return {side: {entry['length']: tuple(
            entry['sides'][side][key][which]
            for which in ('min', 'median', 'max'))
            for entry in result['summary']} for side in sides}
    return [('Hops', 'million a second', values('mpps')),
            ('A chain with a core for each function',
             'million packets a second', values('chain_mpps')),
            ("Work of the switch's thread", 'TSC cycles a hop',
             values('switch_cycles'))], lengths, sides
