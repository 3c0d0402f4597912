# SPDX-License-Identifier: Apache-2.0
"""direct: what a direct link between two functions carries, beside what other
ways between two processes do.

Two testpmds send to and fro what they receive from each other (testpmds.py),
one core each.  The sides differ in what is between them:

    direct            dpdkr ports with a direct link of the switch, which
                      itself sleeps most of the time; memory of huge pages
    direct-shm        the same with memory in /dev/shm, of ordinary pages
    memif             DPDK's memif, which copies each packet twice too
    memif-zero-copy   the same with zero-copy in the client
    ring              one process with two threads and two net_ring devices:
                      pointers into one pool, no copy, no isolation.  What can
                      be reached at best
    vhost-user        dpdkvhostuserclient ports of the distribution's
                      openvswitch-switch-dpdk, as in vswitch-path: the switch
                      has a core, both functions share the other
"""

import argparse

from nfv.bench import report, testpmds, turns, vswitch_path
from nfv.lab import Lab, LabError, wait_until

HELP = ('the rate between two functions over a direct link, beside memif, a '
        'ring and the stock switch')

# Half of the smallest of the rings, as for vswitch-path.
BURSTS_IN_FLIGHT = 4
SWITCH_MB = 512
PORTS_MB = 128

REFERENCES = {'vhost-user': 10, 'memif': 1.5, 'memif-zero-copy': 1.5,
              'ring': 0.7}
TARGET_SIZES = (64,)


class Direct:
    name = 'direct'
    huge = True

    def __init__(self, _bench):
        self.versions = {}

    def measure(self, bench, size, args):
        with Lab(bench.build) as lab:
            huge_dir = lab.huge_pages((testpmds.HUGE_MB + PORTS_MB) // 2)
            switch = start_switch(lab)
            options = ['mtu_request=%d' % testpmds.mtu_of(size)]
            if self.huge:
                options += ['options:hugepages=true',
                            'options:dir=' + huge_dir]
            functions = []
            for core, name in enumerate(('A', 'B')):
                path = switch.add_dpdkr('br0', name, *options)
                functions.append(testpmds.start(
                    lab, name, ['--vdev=net_dpdkr0,path=' + path], huge_dir,
                    '0@{0},1@{0}'.format(core), size))
            switch.ofctl('del-flows', 'br0')
            for a, b in ('AB', 'BA'):
                switch.wait_link(a)
                switch.ofctl('add-flow', 'br0',
                             'in_port=%s,actions=output:%s' % (a, b))
            wait_direct(switch, ('A', 'B'), functions)
            result = testpmds.bounce([(f, 1) for f in functions],
                                     args.bursts, args.seconds, switch)
            if result['switch_packets']:
                raise LabError('%d packets went through the switch'
                               % result['switch_packets'])
            for function in functions:
                function.stop()
            switch.stop()
            return result


class DirectShm(Direct):
    name = 'direct-shm'
    huge = False


class Memif:
    name = 'memif'
    zero_copy = 'no'

    def __init__(self, _bench):
        self.versions = {}

    def measure(self, bench, size, args):
        with Lab(bench.build) as lab:
            huge_dir = lab.huge_pages(testpmds.HUGE_MB // 2)
            functions = []
            for core, role in enumerate(('server', 'client')):
                device = ('--vdev=net_memif0,role=%s,id=0,'
                          'socket=%s/memif.sock,socket-abstract=no,bsize=%d'
                          % (role, lab.dir, 10240 if size > 1500 else 2048))
                if role == 'client':
                    device += ',zero-copy=' + self.zero_copy
                functions.append(testpmds.start(
                    lab, role, [device], huge_dir,
                    '0@{0},1@{0}'.format(core), size, driver=False))
            for function in functions:
                testpmds.wait_links(function)
            result = testpmds.bounce([(f, 1) for f in functions],
                                     args.bursts, args.seconds)
            for function in functions:
                function.stop()
            return result


class MemifZeroCopy(Memif):
    name = 'memif-zero-copy'
    zero_copy = 'yes'


class Ring:
    name = 'ring'

    def __init__(self, _bench):
        self.versions = {}

    def measure(self, bench, size, args):
        with Lab(bench.build) as lab:
            huge_dir = lab.huge_pages(testpmds.MEMORY_MB // 2)
            function = testpmds.start(
                lab, 'ring', ['--vdev=net_ring0', '--vdev=net_ring1'],
                huge_dir, '0@0,1@0,2@1', size, n_cores=2, driver=False,
                topology='paired')
            result = testpmds.bounce([(function, 2)], args.bursts,
                                     args.seconds)
            function.stop()
            return result


class VhostUser(vswitch_path.VhostUser):
    def measure(self, bench, size, args):
        args = argparse.Namespace(**{**vars(args), 'profile': None})
        return vswitch_path.measure_once(bench, self, size, args)


SIDES = {side.name: side for side in (Direct, DirectShm, Memif, MemifZeroCopy,
                                      Ring, VhostUser)}


def start_switch(lab, **kwargs):
    """Starts our switch with bridge br0 and a PMD thread that sleeps when it
    has nothing to do."""
    switch = lab.switch(**kwargs)
    switch.start(other_config=['pmd-cpu-mask=0x2', 'pmd-maxsleep=500'])
    switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                 'datapath_type=netdev')
    return switch


def wait_direct(switch, names, functions=()):
    """Waits until what 'names' send goes to links.  An order is carried out
    with the next frame, so 'functions' have to send some."""
    for function in functions:
        function.command('start tx_first 1')

    def direct():
        return all(switch.interface(name, 'status').get('p2p_state')
                   == 'direct' for name in names)
    try:
        wait_until(direct, what='direct links')
    except LabError as e:
        raise LabError('%s\n%s' % (e, switch.appctl('p2p/show')))
    for function in functions:
        function.command('stop')


def add_arguments(parser):
    parser.add_argument('--sizes', default='64,1500,9000', type=turns.numbers,
                        help='frame sizes in bytes, without the checksum '
                        '(default: %(default)s)')
    turns.add_arguments(parser, SIDES, rounds=5, seconds=2)
    parser.add_argument('--bursts', type=int, default=BURSTS_IN_FLIGHT,
                        metavar='N', help='bursts of 32 packets on the way in '
                        'each direction (default: %(default)s)')


def measure(bench, args):
    def once(side, size):
        return side.measure(bench, size, args)

    def tell(run):
        return '%.2f Mpps, %d lost' % (run['mpps'], run['lost'])
    sides = turns.choose(SIDES, args.sides, bench)
    runs = turns.take(bench, sides, args.rounds, 'size', args.sizes, once,
                      tell)
    return {
        'parameters': {'burst': testpmds.BURST,
                       'bursts_in_flight': args.bursts,
                       'rounds': args.rounds, 'seconds': args.seconds},
        'versions': turns.versions(sides),
        'runs': runs,
        'summary': report.by_value(
            runs, 'size', args.sizes, args.sides, ('mpps',),
            [(side, args.sides[0], side) for side in args.sides[1:]]),
    }


def targets(result):
    """What was to reach, and whether it was."""
    found = []
    for entry in result['summary']:
        first = next(iter(entry['sides'].values()))
        for side, wanted in REFERENCES.items():
            if entry['size'] in TARGET_SIZES and side in entry['ratios']:
                found.append(report.target(
                    '%d bytes: packets a second, of %s'
                    % (entry['size'], side),
                    entry['ratios'][side]['mpps']['median'], wanted,
                    not first['lost']))
    return found


def table(result):
    rows = []
    first = list(result['summary'][0]['sides'])[0]
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            ratio = entry['ratios'].get(side)
            rows.append([
                '%d' % entry['size'], side, *report.cells(own['mpps']),
                report.lost(own['lost']), report.share(own['core_share']),
                *(report.cells(ratio['mpps']) if ratio else ['1', ''])])
    return report.table(['bytes', 'between', 'Mpps', 'min-max', 'lost', 'core',
                         first + ' is', 'min-max'], rows)


def panels(result):
    """What bench.plot draws."""
    summary = result['summary']
    return [('Packets between two functions', 'million packets a second',
             report.panel(summary, 'size', 'mpps'))], \
        [entry['size'] for entry in summary], list(summary[0]['sides'])
