# SPDX-License-Identifier: Apache-2.0
"""What is set while packets go past the switch does what it does while they go
through it, as soon, and the packets go past it again when it is undone."""

import time

from nfv.lab import wait_until
from nfv.peer import Peer, make_frame
from nfv.testing import check, check_equal, options

from direct_scene import DirectScene, drained

# A collector of sFlow, NetFlow or IPFIX: a line for each datagram that has
# more than descriptions and counters.
COLLECTOR = '''
import socket, struct, sys
kind, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', port))
print('ready', flush=True)

def sflow(data):
    n = struct.unpack_from('!I', data, 24)[0]
    offset = 28
    for _ in range(n):
        kind, length = struct.unpack_from('!II', data, offset)
        if kind in (1, 3):
            return True
        offset += 8 + length

def netflow(data):
    version, n = struct.unpack_from('!HH', data)
    return version == 5 and n

def ipfix(data):
    offset = 16
    while offset + 4 <= len(data):
        kind, length = struct.unpack_from('!HH', data, offset)
        if kind >= 256:
            return True
        offset += length

while True:
    data = s.recv(65536)
    if globals()[kind](data):
        print('sample', flush=True)
'''

# A number of frames a second that a busy machine can do in Python, too.
RATE = 10000


class VetoScene(DirectScene):
    """Numbered traffic from p1 to p2, which is direct, and p3 whose peer is
    here."""

    def __init__(self, lab, *args):
        super().__init__(lab, ['p1', 'p2', 'p3'])
        s = self.switch
        s.ofctl('del-flows', 'br0')
        self.flow(1, 2)
        self.flow(2, 1)
        self.peer = Peer(self.paths['p3'])
        lab.cleanups.append(lambda: self.peer.close(False))
        s.wait_link('p3')
        self.traffic = self.tool('pair', '--rate=%d' % RATE, '--timeout=20',
                                 '--quiet', *args, self.paths['p1'],
                                 self.paths['p2'])
        self.wait_direct(('p1', 'p2'))

    def flow(self, a, b, actions=''):
        self.switch.ofctl('-O', 'OpenFlow13', 'add-flow', 'br0',
                          'in_port=%d,actions=%soutput:%d' % (a, actions, b))

    def collector(self, kind, port):
        collector = self.switch.net.start(kind, '/usr/bin/python3', '-u', '-c',
                                          COLLECTOR, kind, str(port))
        wait_until(lambda: 'ready' in collector.log(), what=kind)
        return collector

    def silent(self, port='p2'):
        """Whether nothing is sent to 'port' any more."""
        before = self.switch.statistics(port)['tx_pkts']
        time.sleep(0.1)
        return self.switch.statistics(port)['tx_pkts'] == before

    def alive(self, port='p2'):
        return not self.silent(port)

    def try_both(self, do, undo, effect, reason='', ports=('p1',)):
        """Calls 'do' and waits for 'effect', first without direct links, and
        then with.  The second takes as long as the first, but for what a busy
        machine makes of it.  Afterwards 'undo' brings the links back."""
        s = self.switch
        s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=false')
        self.wait_switched('p1', reason='switched off')
        stock = self.time(do, effect)
        undo()
        wait_until(self.alive, what='traffic')
        s.vsctl('remove', 'Bridge', 'br0', 'other_config', 'p2p')
        self.wait_direct(('p1', 'p2'))
        direct = self.time(do, effect)
        print('%.3f s without direct links, %.3f s with' % (stock, direct))
        check(direct <= 3 * stock + 1, 'takes %.3f s instead of %.3f',
              direct, stock)
        if reason:
            self.wait_switched(*ports, reason=reason)
        undo()
        self.wait_direct(('p1', 'p2'))
        self.check_bypassed([('p1', 'p2')])

    def time(self, do, effect):
        start = time.monotonic()
        do()
        wait_until(effect, 12, 'an effect')
        return time.monotonic() - start

    def try_setting(self, do, undo, effect, reason):
        """Like try_both(), with commands for ovs-vsctl."""
        self.try_both(lambda: self.switch.vsctl(*do.split()),
                      lambda: self.switch.vsctl(*undo.split()), effect, reason)

    def finish_lossy(self):
        """Ends traffic of which some was to be dropped."""
        result = self.traffic.finish(False)
        for what in 'reordered', 'duplicated', 'corrupted':
            check_equal(result[what], 0, what)
        check(result['received'] > 0, 'nothing was received')
        return result


# ## -------------------------- ##
# ## What does not drop packets ##
# ## -------------------------- ##

def test_mirror(lab):
    """A mirror's output gets what the ports exchange."""
    scene = VetoScene(lab, '--window=256')
    peer = scene.peer

    def mirrored():
        frames = peer.receive()
        return len([f for f in frames if f[12:14] == b'\x08\0']) >= 10
    s = scene.switch

    # That alone makes this version of the switch change no flow of its
    # datapath: with or without us, what is under way is mirrored with the next
    # flow that comes or goes.
    def any_flow():
        s.ofctl('add-flow', 'br0', 'in_port=99,actions=drop')
        s.ofctl('del-flows', 'br0', 'in_port=99')

    def set_():
        s.vsctl(*'-- --id=@p get Port p3 -- --id=@m create Mirror name=m '
                'select-all=true output-port=@p -- set Bridge br0 '
                'mirrors=@m'.split())
        any_flow()

    def undo():
        s.vsctl('clear', 'Bridge', 'br0', 'mirrors')
        any_flow()
    scene.try_both(set_, undo, mirrored, 'bridge has a mirror')
    peer.receive(limit=4096)
    scene.check_bypassed([('p1', 'p2')])
    check(not peer.receive(), 'the mirror is not gone')
    drained(scene.traffic)


def _check_samples(lab, kind, port, do):
    lab.expect_log(r'(collectors|sflow|netflow|ipfix)\|WARN\|')
    scene = VetoScene(lab, '--window=256')
    collector = scene.collector(kind, port)
    seen = 0

    def sampled():
        return collector.log().count('sample') >= seen + 5

    def set_():
        nonlocal seen
        seen = collector.log().count('sample')
        scene.switch.vsctl(*do.split())
    scene.try_both(set_, lambda: scene.switch.vsctl(
        'clear', 'Bridge', 'br0', kind), sampled, '(?i)bridge has ' + kind)
    drained(scene.traffic)
    collector.stop()


def test_sflow(lab):
    """sFlow's collector gets samples."""
    _check_samples(
        lab, 'sflow', 6343, '-- --id=@s create sFlow agent=lo '
        'targets="127.0.0.1:6343" header=128 sampling=100 polling=0 -- '
        'set Bridge br0 sflow=@s')


def test_ipfix(lab):
    """IPFIX's collector gets data."""
    _check_samples(
        lab, 'ipfix', 4739, '-- --id=@i create IPFIX '
        'targets="127.0.0.1:4739" sampling=100 -- set Bridge br0 ipfix=@i')


def test_netflow(lab):
    """NetFlow's collector gets flows."""
    _check_samples(
        lab, 'netflow', 5566, '-- --id=@n create NetFlow '
        'targets="127.0.0.1:5566" active_timeout=1 -- '
        'set Bridge br0 netflow=@n')


def test_switched_off(lab):
    """other_config:p2p=false on the bridge or either port, and changes of
    flows and groups that keep sending to the same port."""
    scene = VetoScene(lab, '--window=256')
    s = scene.switch
    for table, name in ('Bridge', 'br0'), ('Port', 'p1'), ('Port', 'p2'):
        for _ in range(3):
            s.vsctl('set', table, name, 'other_config:p2p=false')
            scene.wait_switched('p1', reason='switched off')
            wait_until(scene.alive, what='traffic')
            s.vsctl('remove', table, name, 'other_config', 'p2p')
            scene.wait_direct(('p1', 'p2'))
            scene.check_bypassed([('p1', 'p2')])
    drained(scene.traffic)


# ## ---------------------- ##
# ## What drops, or delays  ##
# ## ---------------------- ##

def test_limits(lab):
    """Meters, ingress policing, egress QoS and MTU limit what passes."""
    lab.expect_log(r'rconn\|WARN\|br0<->unix')
    scene = VetoScene(lab)
    s = scene.switch

    def grows(port, counter):
        last = scene.counter(port, counter)
        return lambda: scene.counter(port, counter) > last + 100

    def try_limit(do, undo, port, counter, reason):
        """'counter' of 'port' has to grow."""
        def set_():
            nonlocal effect
            effect = grows(port, counter)
            s.vsctl(*do.split())
        effect = None
        scene.try_both(set_, lambda: s.vsctl(*undo.split()),
                       lambda: effect(), reason)
        check_equal(grows(port, counter)(), False, counter)

    try_limit('set Interface p1 ingress_policing_rate=1000 '
              'ingress_policing_burst=100',
              'set Interface p1 ingress_policing_rate=0', 'p1',
              'rx_policer_drops', 'has ingress policing')
    try_limit('-- --id=@q create QoS type=egress-policer '
              'other-config:cir=100000 other-config:cbs=10000 -- '
              'set Port p2 qos=@q', 'clear Port p2 qos', 'p2', 'tx_qos_drops',
              'has QoS')
    try_limit('set Interface p2 mtu_request=1000',
              'set Interface p2 mtu_request=1500', 'p2',
              'tx_mtu_exceeded_drops', 'MTU of the other port is smaller')

    s.ofctl('-O', 'OpenFlow13', 'add-meter', 'br0',
            'meter=1,pktps,burst,band=type=drop,rate=100,burst_size=10')

    def metered():
        """The meter's band drops packets; the name of a column of numbers
        comes before."""
        text = s.ofctl('-O', 'OpenFlow13', 'meter-stats', 'br0', 'meter=1')
        return int(text.split('0: packet_count:')[1].split()[0]) \
            > first + 100
    first = 0

    def meter():
        nonlocal first
        text = s.ofctl('-O', 'OpenFlow13', 'meter-stats', 'br0', 'meter=1')
        first = int(text.split('0: packet_count:')[1].split()[0])
        scene.flow(1, 2, 'meter:1,')
    scene.try_both(meter, lambda: scene.flow(1, 2), metered, 'meter')
    scene.finish_lossy()


def test_ports(lab):
    """Ports that are down, do not forward or receive, or block for STP, and
    flows that go."""
    lab.expect_log(r'stp\|WARN', r'rconn\|WARN\|br0<->unix')
    scene = VetoScene(lab, '--link-timeout=60')
    s = scene.switch

    def mod(port, what):
        return lambda: s.ofctl('mod-port', 'br0', port, what)

    for port, do, undo in [('p2', 'no-forward', 'forward'),
                           ('p1', 'no-receive', 'receive'),
                           ('p1', 'down', 'up'), ('p2', 'down', 'up')]:
        print(port, do)
        scene.try_both(mod(port, do), mod(port, undo), scene.silent)

    scene.try_both(lambda: s.ofctl('--strict', 'del-flows', 'br0',
                                   'in_port=1'),
                   lambda: scene.flow(1, 2), scene.silent, 'no rule')
    scene.try_both(lambda: scene.flow(1, 3), lambda: scene.flow(1, 2),
                   lambda: scene.silent('p2')
                   and len(scene.peer.receive()) > 10, 'p3: the peer')

    def bpdus():
        return scene.silent() and any(f[:6] == b'\x01\x80\xc2\0\0\0'
                                      for f in scene.peer.receive())
    scene.try_setting('set Bridge br0 stp_enable=true',
                      'set Bridge br0 stp_enable=false', bpdus,
                      'bridge has STP')
    scene.finish_lossy()


def test_group(lab):
    """A group that changes to another port and back."""
    scene = VetoScene(lab)
    s = scene.switch

    def bucket(port):
        return lambda: s.ofctl('-O', 'OpenFlow13', '--may-create',
                               'mod-group', 'br0', 'group_id=1,type=indirect,'
                               'bucket=output:%d' % port)
    bucket(2)()
    s.ofctl('-O', 'OpenFlow13', 'add-flow', 'br0',
            'in_port=1,actions=group:1')
    scene.wait_direct(('p1', 'p2'))
    scene.try_both(bucket(3), bucket(2), lambda: scene.silent('p2')
                   and len(scene.peer.receive()) > 10, 'p3: the peer')
    scene.finish_lossy()


@options(asan=False)
def test_others_to_same_port(lab):
    """What a controller or another port sends to the receiver of a direct link
    arrives as soon, and the link stays."""
    lab.expect_log(r'rconn\|WARN\|br0<->unix')
    scene = DirectScene(lab, ['p1', 'p2', 'p3', 'p4', 'p5'])
    s = scene.switch
    s.ofctl('del-flows', 'br0')
    # p1 | p2 - function - p3 | p4, which is here, as is p5, the other sender.
    for a, b in (1, 2), (3, 4), (5, 2):
        s.ofctl('add-flow', 'br0', 'in_port=%d,actions=output:%d' % (a, b))
    function = scene.tool('forward', '--quiet', scene.paths['p2'],
                          scene.paths['p3'])
    sender = scene.tool('send', '--rate=2000', '--quiet', '--duration=1000',
                        scene.paths['p1'])
    with Peer(scene.paths['p4']) as sink, Peer(scene.paths['p5']) as other:
        for port in 'p1', 'p2', 'p3', 'p4', 'p5':
            s.wait_link(port)

        def arrives(frame):
            return lambda: frame in sink.receive()

        def measure(do, frame):
            start = time.monotonic()
            do()
            wait_until(arrives(frame), 10, 'frame', 0.001)
            return time.monotonic() - start
        def both(n):
            """Returns how long a frame takes either way, the shortest of some
            times."""
            out, sent = [], []
            for i in range(5):
                frame = make_frame(10 * n + i)
                out.append(measure(lambda: s.ofctl(
                    'packet-out', 'br0', 'in_port=controller packet=%s '
                    'actions=output:2' % frame.hex()), frame))
                frame = make_frame(10 * n + 5 + i)
                sent.append(measure(lambda: other.send([frame]), frame))
            return min(out), min(sent)
        s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=false')
        scene.wait_switched('p1')
        stock = both(1)
        s.vsctl('remove', 'Bridge', 'br0', 'other_config', 'p2p')
        scene.wait_direct(('p1', 'p2'))
        direct = both(2)
        print('packet-out, second sender: %s s without, %s s with direct links'
              % (stock, direct))
        for without, with_ in zip(stock, direct):
            check(with_ < 3 * without + 0.2, 'takes %.4f s instead of %.4f',
                  with_, without)
        check_equal(scene.state('p1'), ('p2', 'direct'), 'state of p1')
        before = scene.counter('p1', 'rx_direct_packets')
        wait_until(lambda: scene.counter('p1', 'rx_direct_packets')
                   > before + 100, what='direct packets')
    sender.finish(False)
    function.finish()


def test_port_deleted(lab):
    """Either port is deleted and added again under traffic; its peer finds the
    new one by itself."""
    scene = VetoScene(lab, '--link-timeout=60')
    s = scene.switch
    for port in 'p2', 'p1':
        number = scene.number[port]
        s.vsctl('del-port', port)
        shown = scene.show()
        check(port not in shown, '%s is still shown', port)
        other = 'p1' if port == 'p2' else 'p2'
        check_equal(scene.state(other)[1] in ('switch', 'to-switch'), True,
                    'state of ' + other)
        scene.add(port, 'ofport_request=%d' % number)
        scene.wait_direct(('p1', 'p2'))
        wait_until(lambda: scene.alive('p2'), what='traffic')
        scene.check_bypassed([('p1', 'p2')])
    scene.finish_lossy()
