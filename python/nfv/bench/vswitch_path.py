# SPDX-License-Identifier: Apache-2.0
"""vswitch-path: what a packet costs that goes from one function through the
switch's pipeline into another.

    core 0                                core 1
    testpmd, one forwarding thread        ovs-vswitchd, one PMD thread
       port 0  <------------------------>  port A  <-+  in_port=A,
                                                     |  actions=output:B
       port 1  <------------------------>  port B  <-+  and back

testpmd moves every packet that it receives on one port to the other, so that
a fixed number of packets goes round in each direction.  Nothing is ever sent
that has no room, so there is nothing to lose; whatever is lost all the same is
counted and reported.  The rate is that of the packets that the switch
received, by its own counters; the cycles are those of the switch's thread, in
turns of its loop that found packets, for each packet.

The sides differ in the ports and nothing else:

    dpdkr        dpdkr ports of the fork, memory of huge pages; testpmd with
                 net_dpdkr
    dpdkr-shm    the same with memory in /dev/shm, of ordinary pages
    vhost-user   dpdkvhostuserclient ports of the distribution's
                 openvswitch-switch-dpdk; testpmd with net_virtio_user
"""

import re
import time

from nfv.bench import machine, report, stock, testpmds, turns
from nfv.lab import Lab, LabError, wait_until

SWITCH_CORE = 1
FUNCTION_CORE = 0
LCORES = '0@{0},1@{0}'.format(FUNCTION_CORE)

# Packets that go round in each direction: half of what virtio's rings hold
# (256 by default), so that there always is room.
BURST = 32
BURSTS_IN_FLIGHT = 4

# Megabytes of huge pages: DPDK in the switch, testpmd, the dpdkr memories.
SWITCH_MB = 1024
FUNCTION_MB = 256
PORTS_MB = 128

# What may be on our side, and must be on the other.
REFERENCE = 'vhost-user'
TARGET = 1.0
TARGET_SIZES = (64, 1500)

HELP = ('the cost of the way through the switch, dpdkr ports against the '
        "distribution's vhost-user")


class Dpdkr:
    name = 'dpdkr'
    memory = 'huge'
    driver = True

    def __init__(self, _bench):
        self.programs = None
        self.versions = {}

    def add_ports(self, switch, names, mtu, huge_dir):
        # The packets are to go through the switch.
        switch.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=false')
        path = {}
        for name in names:
            options = ['mtu_request=%d' % mtu, *(
                ['options:hugepages=true', 'options:dir=' + huge_dir]
                if self.memory == 'huge' else [])]
            path[name] = switch.add_dpdkr('br0', name, *options)
        return ['--vdev=net_dpdkr%d,path=%s' % (i, path[name])
                for i, name in enumerate(names)]


class DpdkrShm(Dpdkr):
    name = 'dpdkr-shm'
    memory = 'shm'


class VhostUser:
    name = 'vhost-user'
    driver = False

    def __init__(self, bench):
        self.programs, self.versions = stock.unpack(bench.dir + '/stock')

    def add_ports(self, switch, names, mtu, _huge_dir):
        devices = []
        for i, name in enumerate(names):
            path = '%s/%s.sock' % (switch.lab.dir, name)
            switch.vsctl('add-port', 'br0', name, '--', 'set', 'Interface',
                         name, 'type=dpdkvhostuserclient',
                         'options:vhost-server-path=' + path,
                         'mtu_request=%d' % mtu)
            devices.append('--vdev=net_virtio_user%d,path=%s,server=1,queues=1'
                           % (i, path))
        return devices


SIDES = {side.name: side for side in (Dpdkr, DpdkrShm, VhostUser)}


def add_arguments(parser):
    parser.add_argument('--sizes', default='64,256,1024,1500,9000',
                        type=turns.numbers,
                        help='frame sizes in bytes, without the checksum '
                        '(default: %(default)s)')
    turns.add_arguments(parser, SIDES, rounds=5, seconds=3)
    parser.add_argument('--profile', metavar='DIR',
                        help='also leave a profile of the switch\'s thread by '
                        '"perf record" in DIR for each run')


def measure(bench, args):
    def once(side, size):
        return measure_once(bench, side, size, args)

    def tell(run):
        return ('%.2f Mpps, %.0f cycles, %d lost'
                % (run['mpps'], run['cycles_per_packet'], run['lost']))
    sides = turns.choose(SIDES, args.sides, bench)
    runs = turns.take(bench, sides, args.rounds, 'size', args.sizes, once,
                      tell)
    return {
        'setup': {
            'switch_core': SWITCH_CORE, 'function_core': FUNCTION_CORE,
            'burst': BURST,
            'packets_in_flight': 2 * BURST * BURSTS_IN_FLIGHT,
            'seconds': args.seconds,
        },
        'versions': turns.versions(sides),
        'runs': runs,
        'summary': report.by_value(
            runs, 'size', args.sizes, args.sides,
            ('mpps', 'cycles_per_packet', 'packets_per_batch'),
            [(side, side, REFERENCE) for side in args.sides
             if REFERENCE in args.sides and side != REFERENCE],
            ('mpps', 'cycles_per_packet')),
    }


def measure_once(bench, side, size, args):
    with Lab(bench.build) as lab:
        huge_dir = lab.huge_pages((SWITCH_MB + FUNCTION_MB + PORTS_MB) // 2)
        switch = start_switch(lab, side, huge_dir)
        mtu = testpmds.mtu_of(size)
        names = ('A', 'B')
        devices = side.add_ports(switch, names, mtu, huge_dir)
        switch.ofctl('del-flows', 'br0')
        switch.ofctl('add-flow', 'br0', 'in_port=A,actions=output:B')
        switch.ofctl('add-flow', 'br0', 'in_port=B,actions=output:A')

        function = lab.testpmd(
            'function', devices, driver=side.driver, huge_dir=huge_dir,
            mem=FUNCTION_MB, lcores=LCORES,
            # Vhost-user can pass on only a few files.
            eal=['--single-file-segments'],
            args=['--nb-cores=1', '--burst=%d' % BURST, '--forward-mode=io',
                  *testpmds.frame_options(size)])
        for name in names:
            switch.wait_link(name)
        result = run_traffic(lab, switch, function, names, size, args)
        function.stop()
        switch.stop()
        return result


def start_switch(lab, side, huge_dir):
    switch = lab.switch(programs=side.programs)
    prefix = lab.name + '-ovs'
    lab.remove_later('/var/run/dpdk/' + prefix)
    switch.start(other_config=[
        'dpdk-init=true', 'dpdk-lcore-mask=%#x' % (1 << FUNCTION_CORE),
        'dpdk-socket-mem=%d' % SWITCH_MB,
        'dpdk-extra="--no-pci --no-telemetry --file-prefix=%s --huge-dir=%s"'
        % (prefix, huge_dir),
        'pmd-cpu-mask=%#x' % (1 << SWITCH_CORE)])
    wait_until(lambda: switch.vsctl('get', 'Open_vSwitch', '.',
                                    'dpdk_initialized') == 'true',
               what='DPDK in the switch', timeout=60)
    switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                 'datapath_type=netdev')
    return switch


def run_traffic(lab, switch, function, names, size, args):
    busy = machine.BusyThreads((switch.daemon.pid, 'pmd-'),
                               (function.pid, '(rte|lcore)-worker'))
    busy.prefer()
    function.command('start tx_first %d' % BURSTS_IN_FLIGHT)
    wait_until(lambda: switch.statistics(names[0])['rx_pkts'] > 100000,
               what='packets to go round')
    busy.prefer()
    switch.appctl('dpif-netdev/pmd-stats-clear')
    busy.start()
    if args.profile:
        profile(lab, switch, args, size)
    else:
        time.sleep(args.seconds)
    performance = switch.appctl('dpif-netdev/pmd-perf-show')
    share = busy.stop()
    busy.prefer(False)
    forwarded = parse_forward_statistics(function.command('stop'))

    result = parse_performance(performance)
    result['core_share'] = round(share, 4)
    result.update(check_traffic(switch, names, forwarded, size))
    return result


def profile(lab, switch, args, size):
    name = '%s/%s-%d.perf' % (args.profile, switch.programs['ovs-vswitchd']
                              .replace('/', '_')[-24:], size)
    lab.process('perf', ['perf', 'record', '-e', 'cpu-clock', '-F', '5000',
                         '-C', str(SWITCH_CORE), '-o', name, '--',
                         'sleep', str(args.seconds)]).wait(
                             args.seconds + 30)


def parse_performance(text):
    """Returns what pmd-perf-show says of the one thread that had packets."""
    found = [part for part in re.split(r'^Time: ', text, flags=re.M)
             if re.search(r'Rx packets: +[1-9]', part)]
    if len(found) != 1:
        raise LabError('not one PMD thread has packets:\n' + text)

    def number(pattern):
        match = re.search(pattern, found[0])
        if not match:
            raise LabError('pmd-perf-show has no "%s":\n%s'
                           % (pattern, found[0]))
        return float(match.group(1))

    packets = number(r'Rx packets: +(\d+)')
    duration = number(r'Measurement duration: +([\d.]+)')
    return {
        'duration': duration,
        'packets': int(packets),
        'mpps': packets / duration / 1e6,
        'cycles_per_packet': number(r'Rx packets:.*, ([\d.]+) cycles/pkt'),
        'packets_per_batch': number(r'Tx batches:.*\(([\d.]+) pkts/batch'),
        'idle_percent': number(r'idle iterations:.*\( *([\d.]+) %'),
        'upcalls': int(number(r'Upcalls: +(\d+)')),
    }


def parse_forward_statistics(text):
    """Returns what testpmd counted for each of its two ports."""
    ports = []
    for part in re.findall(r'Forward statistics for port.*?\n(.*?)\n *-{60}',
                           text, re.S):
        ports.append({key: int(value) for key, value
                      in re.findall(r'([RT]X-\w+): *(\d+)', part)})
    if len(ports) != 2:
        raise LabError('testpmd has no statistics:\n' + text)
    return ports


def check_traffic(switch, names, forwarded, size):
    """Follows the packets from counter to counter, once they rest.  Returns
    how many are missing, and where."""
    in_flight = 2 * BURST * BURSTS_IN_FLIGHT

    def settled():
        first = [switch.statistics(name) for name in names]
        time.sleep(0.05)
        return first == [switch.statistics(name) for name in names] and first
    stats = wait_until(settled, what='packets to come to rest')

    lost = {}
    for name, port, own in zip(names, forwarded, stats):
        other = stats[1 - names.index(name)]
        not_received = own.get('rx_drop', 0) + own.get('rx_errs', 0)
        not_sent = other.get('tx_drop', 0) + other.get('tx_errs', 0)
        rest = own['tx_pkts'] - port['RX-packets']
        lost.update({
            'function to ' + name: port['TX-packets'] - own['rx_pkts'],
            'not received from ' + name: not_received,
            'not sent from ' + name: not_sent,
            'in the switch from ' + name: (own['rx_pkts'] - not_sent
                                           - other['tx_pkts']),
            'function has no room to ' + name: port['TX-dropped'],
            'function has no buffer from ' + name: port['RX-dropped'],
            # What lies in a ring when testpmd stops is not lost.
            name + ' to function': (0 if 0 <= rest <= in_flight else rest),
        })
        if own['rx_bytes'] != own['rx_pkts'] * size:
            raise LabError('frames from %s are not of %d bytes: %s'
                           % (name, size, own))
    lost = {where: n for where, n in lost.items() if n}
    return {'lost': sum(abs(n) for n in lost.values()), 'lost_where': lost}


def targets(result):
    """What was to reach, and whether it was."""
    return [report.target('%s, %d bytes: packets a second, of %s'
                          % (side, entry['size'], REFERENCE),
                          ratio['mpps']['median'], TARGET,
                          not entry['sides'][side]['lost'])
            for entry in result['summary'] if entry['size'] in TARGET_SIZES
            for side, ratio in entry['ratios'].items()]


def table(result):
    rows = []
    for entry in result['summary']:
        for side, own in entry['sides'].items():
            ratio = entry['ratios'].get(side)
            rows.append([
                '%d' % entry['size'], side, *report.cells(own['mpps']),
                '%.0f' % own['cycles_per_packet']['median'],
                '%.1f' % own['packets_per_batch']['median'],
                report.lost(own['lost']), report.share(own['core_share']),
                *([*report.cells(ratio['mpps']),
                   '%.2f' % ratio['cycles_per_packet']['median']]
                  if ratio else ['1', '', '1'])])
    return report.table(['bytes', 'ports', 'Mpps', 'min-max', 'cycles/pkt',
                         'pkts/batch', 'lost', 'core', 'Mpps ratio',
                         'min-max', 'cycles ratio'], rows)


def panels(result):
    """What bench.plot draws."""
    summary = result['summary']
    return [('Packets through the switch', 'million packets a second',
             report.panel(summary, 'size', 'mpps')),
            ("Work of the switch's thread", 'TSC cycles a packet',
             report.panel(summary, 'size', 'cycles_per_packet'))], \
        [entry['size'] for entry in summary], list(summary[0]['sides'])
