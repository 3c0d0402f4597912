# SPDX-License-Identifier: Apache-2.0
"""Real traffic through dpdkr ports and real functions: nothing is lost,
changed, doubled or overtaken, and all that is counted adds up."""

import json
import os
import re

from nfv.lab import wait_until
from nfv.peer import Peer, make_frame
from nfv.testing import check, check_equal, options

from scene import Scene, check_intact

# Frames of the long numbered test, and megabytes of the TCP transfers.
# 10 million frames take some minutes on two cores.
FRAMES = int(os.environ.get('NFV_FRAMES', '2000000'))
MEGABYTES = int(os.environ.get('NFV_MEGABYTES', '1024'))


def _check_statistics(scene, hops, result):
    """Checks that ports and flows have counted just what was sent, the probes
    at the beginning included.  'hops' are the pairs of ports (from, to) that
    each frame went through."""
    s = scene.switch
    expected = (result['sent'] + result['probes'],
                result['tx_bytes'] + result['probe_bytes'])
    for source, destination in hops:
        stats = s.statistics(source)
        check_equal((stats['rx_pkts'], stats['rx_bytes']), expected,
                    'received from ' + source)
        check_equal(stats['rx_drop'] + stats['rx_errs'], 0,
                    'dropped from ' + source)
        direct = scene.counter(source, 'rx_direct_packets')
        if scene.p2p:
            check(direct > result['sent'] // 2,
                  'only %d packets went directly from %s', direct, source)
        else:
            check_equal(direct, 0, 'direct from ' + source)

        # The datapath tells the flows a little later.
        def counted():
            flow = s.ofctl('dump-flows', 'br0', 'in_port=' + source)
            n, n_bytes = re.search(r'n_packets=(\d+), n_bytes=(\d+)',
                                   flow).groups()
            return (int(n), int(n_bytes)) == expected
        wait_until(counted, what='flow statistics of ' + source)

        stats = s.statistics(destination)
        # Probes that came before the receiver was attached.
        early = scene.counter(destination, 'tx_no_peer_drops')
        check_equal(stats['tx_pkts'] + early, expected[0],
                    'sent to ' + destination)
        check_equal((stats['tx_drop'], stats['tx_errs']), (early, 0),
                    'dropped to ' + destination)
        check(early <= result['probes'], '%d of %d probes had no receiver',
              early, result['probes'])
        if not early:
            check_equal(stats['tx_bytes'], expected[1],
                        'bytes sent to ' + destination)


def _numbered(lab, count, other_config=(), chain_args=(), port_options=(),
              p2p=False, **kwargs):
    """Numbered frames through a chain of two functions."""
    scene = Scene(lab, other_config=other_config, busy=True, p2p=p2p)
    ports = ['in', 'f1', 'f2', 'f3', 'f4', 'out']
    for port in ports:
        scene.add(port, *port_options)
    _chain_flows(scene, ports)
    scene.functions(('f1', 'f2'), ('f3', 'f4'), **kwargs)
    tool = scene.tool('pair', '--window=512', '--count=%d' % count,
                      '--timeout=20', *chain_args, scene.paths['in'],
                      scene.paths['out'])
    result = tool.result(timeout=3000)
    print(json.dumps(result))
    check_intact(result, count)
    _check_statistics(scene, [('in', 'f1'), ('f2', 'f3'), ('f4', 'out')],
                      result)
    return scene, result


def _chain_flows(scene, ports):
    """in - f1 | f2 - f3 | f4 - out, in both directions."""
    scene.cross(*zip(ports[::2], ports[1::2]))


@options(driver=True, programs=['dpdk-testpmd'], timeout=3000, asan=False)
def test_numbered(lab):
    """Two million frames (NFV_FRAMES) of random sizes through two testpmd
    functions: nothing lost, changed, doubled or overtaken."""
    _numbered(lab, FRAMES, chain_args=['--flows=64'])


@options(driver=True, programs=['dpdk-testpmd'], timeout=3000, asan=False)
def test_numbered_direct(lab):
    """The same over direct links, which come up while frames flow."""
    _numbered(lab, FRAMES, chain_args=['--flows=64'], p2p=True)


@options(driver=True, programs=['dpdk-testpmd'], timeout=300, asan=False)
def test_numbered_dpdk_huge(lab):
    """The same, shorter, with DPDK in the switch, on huge pages as in
    testpmd, and the ports' memory there too."""
    mount = lab.huge_pages(400)
    lab.expect_log(r'\|dpdk\|WARN\|')
    _numbered(lab, 200000, other_config=[
        'dpdk-extra="--no-pci --huge-dir=%s --in-memory"' % mount,
        'dpdk-socket-mem=256', 'dpdk-init=true'],
        port_options=['options:hugepages=true', 'options:dir=' + mount],
        huge_dir=mount)


@options(driver=True, programs=['dpdk-testpmd'], timeout=300, asan=False)
def test_numbered_jumbo(lab):
    """Frames of up to 9014 bytes."""
    _numbered(lab, 100000, chain_args=['--max=9014', '--window=128'],
              port_options=['mtu_request=9000'], args=[
                  '--max-pkt-len=9018', '--mbuf-size=9728'], mem=512)


@options(driver=True, programs=['dpdk-testpmd'], timeout=300, asan=False)
def test_numbered_queues(lab):
    """Four queues a port, all of them in use."""
    scene, _ = _numbered(
        lab, 200000, chain_args=['--flows=64', '--window=256'],
        port_options=['options:n_rxq=4'], vdev=',queues=4',
        args=['--rxq=4', '--txq=4'], mem=512)
    shown = scene.switch.appctl('dpif-netdev/pmd-rxq-show')
    for port in 'in', 'f2', 'f4':
        check_equal(len(re.findall(r'port: %s\s+queue-id:\s+\d+\s+\(enabled\)'
                                   % port, shown)), 4, 'queues of ' + port)


@options(driver=True, programs=['dpdk-testpmd'], timeout=120)
def test_functions_do_something(lab):
    """The functions are really in the way: testpmd that exchanges addresses
    changes the frames, and its own statistics agree."""
    scene = Scene(lab, ['in', 'f1', 'f2', 'out'])
    _chain_flows(scene, ['in', 'f1', 'f2', 'out'])
    s = scene.switch
    pmd = scene.functions(('f1', 'f2'), commands=['set fwd macswap'])
    with Peer(scene.paths['in']) as a, Peer(scene.paths['out']) as b:
        s.wait_link('in')
        s.wait_link('out')
        a.send([make_frame(i) for i in range(100)])
        got = b.receive_all(100)
        want = [make_frame(i, dst=b'\x02\0\0\0\0\x01',
                           src=b'\x02\0\0\0\0\x02') for i in range(100)]
        check_equal(got, want, 'frames')
    pmd.command('stop')
    text = pmd.command('show port stats 0')
    check_equal(int(re.search(r'RX-packets: (\d+)', text).group(1)), 100,
                'RX-packets of testpmd')
    text = pmd.command('show port stats 1')
    check_equal(int(re.search(r'TX-packets: (\d+)', text).group(1)), 100,
                'TX-packets of testpmd')


def test_client_library_chain(lab):
    """The same chain of functions of the client library, which sleep while
    nothing comes."""
    scene = Scene(lab, ['in', 'f1', 'f2', 'f3', 'f4', 'out'])
    _chain_flows(scene, ['in', 'f1', 'f2', 'f3', 'f4', 'out'])
    functions = [scene.tool('forward', '--blocking', scene.paths[a],
                            scene.paths[b])
                 for a, b in (('f1', 'f2'), ('f3', 'f4'))]
    for port in 'f1', 'f2', 'f3', 'f4':
        scene.switch.wait_link(port)
        check_equal(scene.status(port)['peer_mode'], 'sleeping', 'peer_mode')
    result = scene.tool('pair', '--window=256', '--count=50000',
                        '--timeout=20', scene.paths['in'],
                        scene.paths['out']).result(timeout=60)
    check_intact(result, 50000)
    _check_statistics(scene, [('in', 'f1'), ('f2', 'f3'), ('f4', 'out')],
                      result)
    for function in functions:
        extra = function.finish()['forwarded'] - 50000
        check(0 <= extra <= result['probes'], 'forwarded %d too many', extra)


# ## ------------------------------------------------------ ##
# ## A client and a server with a chain of functions between ##
# ## ------------------------------------------------------ ##

SERVER = '''
import hashlib, json, socket
server = socket.create_server(('10.9.0.2', 5000))
print('ready', flush=True)
connection, _ = server.accept()
digest, n = hashlib.sha256(), 0
while True:
    data = connection.recv(1 << 20)
    if not data:
        break
    digest.update(data)
    n += len(data)
connection.sendall(json.dumps([n, digest.hexdigest()]).encode())
connection.close()
'''

CLIENT = '''
import hashlib, json, random, socket, sys
n = int(sys.argv[1]) << 20
connection = socket.create_connection(('10.9.0.2', 5000))
chunk = random.Random(1).randbytes(1 << 20)
digest, sent = hashlib.sha256(), 0
while sent < n:
    data = sent.to_bytes(8, 'big') + chunk[8:]
    connection.sendall(data)
    digest.update(data)
    sent += len(data)
connection.shutdown(socket.SHUT_WR)
answer = b''
while True:
    data = connection.recv(4096)
    if not data:
        break
    answer += data
print(json.dumps([sent, digest.hexdigest(), *json.loads(answer)]))
'''


class Hosts:
    """client - tap - switch - function - switch - function - switch - tap -
    server, the two hosts in namespaces of their own with all the offloads
    that a tap has."""

    def __init__(self, lab, tso=False, mtu=1500):
        self.lab = lab
        self.n_transfers = 0
        # The switch asks about devices that live elsewhere by now.
        lab.expect_log(r'netdev_linux\|WARN\|.*No such device')
        config = ['userspace-tso-enable=true'] if tso else []
        self.scene = scene = Scene(lab, other_config=config, busy=True)
        s = self.switch = scene.switch
        self.hosts = {}
        options_ = ['mtu_request=%d' % mtu] if mtu != 1500 else []
        for port in 'f1', 'f2', 'f3', 'f4':
            scene.add(port, *options_)
        for name, address in ('client', '10.9.0.1/24'), \
                             ('server', '10.9.0.2/24'):
            if mtu == 1500:
                # The switch makes the tap and opens it; then it may move.
                s.vsctl('add-port', 'br0', name, '--', 'set', 'Interface',
                        name, 'type=internal')
                wait_until(lambda: s.interface(name, 'ofport'),
                           what='port ' + name)
            else:
                # But then the switch cannot see its MTU.
                s.net.run('ip', 'link', 'add', name, 'mtu', str(mtu), 'type',
                          'veth', 'peer', 'name', 'sw-' + name, 'mtu',
                          str(mtu))
                s.net.run('ip', 'link', 'set', 'sw-' + name, 'up')
                s.vsctl('add-port', 'br0', 'sw-' + name, '--', 'set',
                        'Interface', 'sw-' + name, 'ofport_request=%d'
                        % (100 + len(self.hosts)))
            self.hosts[name] = lab.namespace(name)
            self.hosts[name].take(name, address, source=s.net)
        ends = ['client', 'server'] if mtu == 1500 else ['100', '101']
        _chain_flows(scene, [ends[0], 'f1', 'f2', 'f3', 'f4', ends[1]])
        args = ['--max-pkt-len=%d' % (mtu + 18), '--mbuf-size=9728'] \
            if mtu != 1500 else []
        self.pmd = scene.functions(('f1', 'f2'), ('f3', 'f4'), args=args)

    def offloads(self, on):
        """Switches the offloads of both ends; returns what is on."""
        shown = []
        for name, host in self.hosts.items():
            host.run('ethtool', '-K', name, 'tx', on, 'sg', on, 'tso', on,
                     'gso', on, 'gro', on, check=False)
            shown.append(host.run('ethtool', '-k', name))
        return shown

    def ping(self, size=56):
        # One by one: ping waits for the last answer no longer than the others
        # took, which on a busy machine is too short.
        for _ in range(5):
            self.hosts['client'].run('ping', '-c', '1', '-W', '10', '-M', 'do',
                                     '-s', str(size), '10.9.0.2')

    def transfer(self, megabytes):
        """TCP, compared by SHA-256."""
        # Of several processes of one name, the log has the words of them all.
        self.n_transfers += 1
        server = self.hosts['server'].start(
            'tcp-server-%d' % self.n_transfers, '/usr/bin/python3',
            '-c', SERVER)
        wait_until(lambda: 'ready' in server.log(), what='the server')
        out = self.hosts['client'].run('/usr/bin/python3', '-c', CLIENT,
                                       str(megabytes), timeout=900)
        server.stop()
        sent, digest, received, other = json.loads(out)
        check_equal(sent, megabytes << 20, 'bytes sent')
        check_equal(received, sent, 'bytes received')
        check_equal(other, digest, 'SHA-256')

    def iperf(self, *args):
        server = self.hosts['server'].start('iperf3-server', 'iperf3', '-s',
                                            '-1', '-B', '10.9.0.2')

        def listening():
            return ':5201' in self.hosts['server'].run('ss', '-Hltn')
        wait_until(listening, what='iperf3 -s')
        out = self.hosts['client'].run('iperf3', '-J', '-c', '10.9.0.2',
                                       *args)
        server.stop()
        # It may warn of the fragments first.
        return json.loads(out[out.index('{'):])['end']

    def udp(self, size):
        """UDP of packets of 'size' bytes, fragmented if that is above the MTU.
        Nothing is lost below the rate that the machine can carry now: where
        somebody else has the processors, the receiver's socket overflows."""
        for rate in '20M', '5M', '1M':
            end = self.iperf('-u', '-b', rate, '-t', '2', '-l', str(size))
            check(end['sum']['packets'] > 50, 'iperf3 UDP: %s', end['sum'])
            if not end['sum']['lost_packets']:
                return
        check_equal(end['sum']['lost_packets'], 0,
                    'UDP packets of %d bytes lost at %s' % (size, rate))

    def check_statistics(self):
        """All that a hop took in, the next one sent; nothing refused."""
        s = self.switch
        self.pmd.command('stop')
        for port in 'f1', 'f2', 'f3', 'f4':
            stats = s.statistics(port)
            for what in 'rx_drop', 'rx_errs', 'tx_errs':
                check_equal(stats[what], 0, '%s of %s' % (what, port))
            check_equal(self.scene.counter(port, 'peer_cut_off'), 0,
                        'peer_cut_off of ' + port)
            check_equal(s.interface(port, 'link_resets'), 1,
                        'link_resets of ' + port)


def _hosts(lab, tso, mtu=1500):
    hosts = Hosts(lab, tso, mtu)
    hosts.offloads('on')
    for host, name in zip(hosts.offloads('on'), hosts.hosts):
        # A tap that the switch opened without TSO has no more than the first.
        check('generic-segmentation-offload: on' in host
              and (not tso or ('tcp-segmentation-offload: on' in host
                               and 'tx-checksumming: on' in host)),
              'offloads of %s are off:\n%s', name, host)
    hosts.ping()
    hosts.ping(mtu - 28)
    hosts.transfer(MEGABYTES)
    end = hosts.iperf('-t', '2')
    check(end['sum_received']['bytes'] > 1e6, 'iperf3 TCP: %s',
          end['sum_received'])
    print('iperf3 TCP, tso=%s, mtu=%d: %.2f Gbit/s' % (
        tso, mtu, end['sum_received']['bits_per_second'] / 1e9))
    hosts.udp(1400)
    hosts.udp(4000)
    # Also without, and one way only.
    hosts.offloads('off')
    hosts.transfer(16)
    hosts.check_statistics()
    return hosts


@options(driver=True, programs=['dpdk-testpmd', 'iperf3', 'ethtool', 'ping'],
         timeout=900, asan=False)
def test_hosts(lab):
    """ping, a gigabyte by TCP with equal SHA-256, iperf3 by TCP and UDP
    through two functions, all offloads on at the ends."""
    _hosts(lab, False)


@options(driver=True, programs=['dpdk-testpmd', 'iperf3', 'ethtool', 'ping'],
         timeout=900, asan=False)
def test_hosts_tso(lab):
    """The same with userspace TSO in the switch, which segments for its dpdkr
    ports."""
    hosts = _hosts(lab, True)
    check('Userspace TCP Segmentation Offloading support enabled'
          in hosts.switch.vlog(), 'userspace TSO is not enabled')


@options(driver=True, programs=['dpdk-testpmd', 'iperf3', 'ethtool', 'ping'],
         timeout=900, asan=False)
def test_hosts_jumbo(lab):
    """The same with an MTU of 9000, userspace TSO, and veth instead of tap at
    the ends."""
    _hosts(lab, True, 9000)
