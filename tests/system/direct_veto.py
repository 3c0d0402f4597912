# SPDX-License-Identifier: Apache-2.0
"""What is set while packets go past the switch does what it does while they go
through it, as soon, and the packets go past it again when it is undone."""

import threading
import time

from nfv.lab import wait_until
from nfv.peer import PACKETS, Peer, make_frame
from nfv.testing import Failure, check, check_equal

from direct_scene import DirectScene, drained
from direct_traffic import State, Way

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


# In how many seconds after a setting the last packet has to have gone over the
# link, and how often that is tried: a busy machine may do something else.
REACTION = 0.05
ATTEMPTS = 5


class LinkWatch(threading.Thread):
    """Notes when something was last put into the link of a port's peer."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.way = Way(path)
        mem, rings = self.way.rings(True)
        self.counters = [mem.ring(ring, PACKETS) // 2 for ring in rings]
        self.memory = mem.u64
        self.last = None
        self.stopping = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()
        self.memory = None
        self.way.close()

    def run(self):
        before = None
        while not self.stopping.wait(0.0005):
            now = [self.memory[i] for i in self.counters]
            if now != before:
                self.last = time.monotonic()
            before = now


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
        self.state_file = State(lab, 'veto')
        self.traffic = self.tool('pair', '--rate=%d' % RATE, '--timeout=20',
                                 '--state=' + self.state_file.path,
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

    def silent(self):
        """Whether p2 receives nothing any more: not in the time in which p1
        sends hundreds of frames, or would, were it not down."""
        state = self.state_file
        received, sent = state.received, state.sent
        deadline = time.monotonic() + 0.2
        while state.sent < sent + 300 and time.monotonic() < deadline:
            if state.received != received:
                return False
            time.sleep(0.001)
        return state.received == received

    def wait_alive(self):
        """Waits until p2 receives something."""
        received = self.state_file.received
        wait_until(lambda: self.state_file.received > received,
                   what='traffic')

    def try_both(self, do, undo, effect, reason='', ports=('p1',)):
        """Calls 'do' and waits for 'effect', first without direct links, and
        then with: that takes no longer, and nothing goes over the link soon
        after 'do'.  Afterwards 'undo' brings the link back."""
        s = self.switch
        s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=false')
        self.wait_switched('p1', reason='switched off')
        stock, _ = self.time(do, effect)
        undo()
        self.wait_alive()
        s.vsctl('remove', 'Bridge', 'br0', 'other_config', 'p2p')
        for _ in range(ATTEMPTS):
            self.wait_direct(('p1', 'p2'))
            self.check_bypassed([('p1', 'p2')])
            with LinkWatch(self.paths['p1']) as watch:
                wait_until(lambda: watch.last, what='packets in the link')
                direct, done = self.time(do, effect)
                reaction = watch.last - done
            print('%.3f s without direct links, %.3f s with, of which %.1f ms '
                  'to the last packet in the link'
                  % (stock, direct, 1000 * reaction))
            self.wait_switched(*ports, reason=reason)
            undo()
            if direct <= 1.2 * stock + 0.3 and reaction <= REACTION:
                break
        else:
            raise Failure('takes %.3f s instead of %.3f, and %.1f ms to the '
                          'last packet in the link'
                          % (direct, stock, 1000 * reaction))
        self.wait_direct(('p1', 'p2'))
        self.check_bypassed([('p1', 'p2')])

    def time(self, do, effect):
        """Returns how long it takes to 'effect', and when 'do' was done."""
        start = time.monotonic()
        do()
        done = time.monotonic()
        wait_until(effect, 20, 'an effect')
        return time.monotonic() - start, done

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

    def set_():
        s.vsctl(*'-- --id=@p get Port p3 -- --id=@m create Mirror name=m '
                'select-all=true output-port=@p -- set Bridge br0 '
                'mirrors=@m'.split())

    def undo():
        s.vsctl('clear', 'Bridge', 'br0', 'mirrors')
    scene.try_both(set_, undo, mirrored, 'has a mirror of what comes in')
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
            scene.wait_alive()
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
        last = scene.counter(port, counter)
        scene.check_bypassed([('p1', 'p2')])
        check_equal(scene.counter(port, counter), last, counter)

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
                   lambda: scene.silent()
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
    scene.try_both(bucket(3), bucket(2), lambda: scene.silent()
                   and len(scene.peer.receive()) > 10, 'p3: the peer')
    scene.finish_lossy()


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
    # So few that nothing is dropped while nobody reads here.
    sender = scene.tool('send', '--rate=200', '--quiet', '--duration=1000',
                        scene.paths['p1'])
    with Peer(scene.paths['p4']) as sink, Peer(scene.paths['p5']) as other:
        for port in 'p1', 'p2', 'p3', 'p4', 'p5':
            s.wait_link(port)
        number = 0

        def packet_out(frame):
            s.ofctl('packet-out', 'br0', 'in_port=controller packet=%s '
                    'actions=output:2' % frame.hex())

        def second_sender(frame):
            other.send([frame])

        def measure(send):
            """Returns how long a frame takes."""
            nonlocal number
            number += 1
            frame = make_frame(number)
            sink.receive()
            start = time.monotonic()
            send(frame)
            wait_until(lambda: frame in sink.receive(), 20, 'frame', 0.0005)
            return time.monotonic() - start

        ways = packet_out, second_sender
        s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p=false')
        scene.wait_switched('p1')
        stock = {send: min(measure(send) for _ in range(5)) for send in ways}
        s.vsctl('remove', 'Bridge', 'br0', 'other_config', 'p2p')
        scene.wait_direct(('p1', 'p2'))
        for send in ways:
            # The best of some, or of more on a busy machine.
            times = []
            while len(times) < 50:
                times.append(measure(send))
                best = min(times)
                if len(times) >= 5 and best <= 1.2 * stock[send] + 0.002:
                    break
            print('%s: %.2f ms without, %.2f ms with direct links'
                  % (send.__name__, 1000 * stock[send], 1000 * best))
            check(best <= 1.2 * stock[send] + 0.002,
                  'takes %.4f s instead of %.4f', best, stock[send])
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
        scene.wait_alive()
        scene.check_bypassed([('p1', 'p2')])
    scene.finish_lossy()
