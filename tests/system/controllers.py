# SPDX-License-Identifier: Apache-2.0
"""What is plain Open vSwitch stays so with dpdkr ports: learning, OpenFlow in
all versions, controllers."""

import os
import re

from nfv.lab import Process, wait_until
from nfv.peer import BROADCAST, Peer, make_frame
from nfv.testing import check, check_equal, options

from control import LEARNING, os_ken, testcontroller
from scene import Scene

MACS = [b'\x02\0\0\0\x01' + bytes([i]) for i in range(3)]


class Network:
    """A bridge with three dpdkr ports and their peers."""

    def __init__(self, lab):
        self.lab = lab
        self.names = ['p1', 'p2', 'p3']
        self.scene = Scene(lab, self.names)
        self.switch = self.scene.switch

    def __enter__(self):
        self.peers = [Peer(self.scene.paths[p]) for p in self.names]
        for port in self.names:
            self.switch.wait_link(port)
        return self

    def __exit__(self, *_):
        for peer in self.peers:
            peer.close()

    def frame(self, source, destination, number):
        return make_frame(number, src=MACS[source],
                          dst=BROADCAST if destination is None
                          else MACS[destination], ethertype=0x0800)

    def drain(self):
        return [peer.receive() for peer in self.peers]

    def check_learning(self):
        """Broadcasts reach all; once addresses are known, a frame reaches
        only who it is for."""
        for source in range(3):
            frame = self.frame(source, None, source)
            got = [[], [], []]

            def flooded():
                self.peers[source].send([frame])
                for i, frames in enumerate(self.drain()):
                    got[i] += frames
                return all(frame in got[i] for i in range(3) if i != source)
            wait_until(flooded, what='broadcast from p%d' % (source + 1))
            check(frame not in got[source], 'a broadcast came back')

        for source, destination in ((0, 1), (1, 2), (2, 0), (1, 0)):
            other = 3 - source - destination
            number = 100 + 10 * source + destination

            # Until the controller has installed the flow, it may flood.
            def direct():
                self.drain()
                frames = [self.frame(source, destination, number + 1000 * i)
                          for i in range(20)]
                self.peers[source].send(frames)
                got = self.peers[destination].receive_all(20, timeout=5)
                return (got == frames
                        and not self.peers[other].receive()
                        and not self.peers[source].receive())
            wait_until(direct, what='frames from p%d to p%d alone'
                       % (source + 1, destination + 1))


def test_normal(lab):
    """NORMAL learns on dpdkr ports."""
    with Network(lab) as network:
        network.check_learning()
        fdb = network.switch.appctl('fdb/show', 'br0')
        for i, mac in enumerate(MACS):
            check(re.search(r'^\s*%d\s+0\s+%s' % (i + 1, mac.hex(':')), fdb,
                            re.MULTILINE), 'no %s in\n%s', mac.hex(':'), fdb)


def _with_controller(lab, connect):
    with Network(lab) as network:
        s = network.switch
        controller = connect(network.scene)
        network.check_learning()

        def flows():
            return [f for f in s.ofctl('-O', 'OpenFlow13', 'dump-flows', 'br0')
                    .splitlines() if re.search('dl_dst=02:00:00:00:01', f)]
        wait_until(flows, what='flows of the controller')
        check(any('output' in f for f in flows()), 'flows are\n%s',
              '\n'.join(flows()))
        s.vsctl('del-controller', 'br0')
        controller.stop()


@options(timeout=90)
def test_testcontroller(lab):
    """ovs-testcontroller installs flows, and traffic passes."""
    _with_controller(lab, testcontroller)


@options(timeout=90)
def test_os_ken(lab):
    """A learning switch in os-ken, for OpenFlow 1.3."""
    _with_controller(lab, lambda scene: os_ken(scene, LEARNING))


def test_openflow_versions(lab):
    """Port statistics, descriptions and status messages in OpenFlow 1.0, 1.3
    and 1.5."""
    with Network(lab) as network:
        s = network.switch
        s.vsctl('set', 'Bridge', 'br0',
                'protocols=OpenFlow10,OpenFlow13,OpenFlow15')
        lab.expect_log(r'\|rconn\|WARN\|br0<->unix')
        network.scene.cross(('p1', 'p2'))
        frames = [network.frame(0, 1, i) for i in range(70)]
        network.peers[0].send(frames)
        check_equal(network.peers[1].receive_all(70), frames, 'frames')
        n_bytes = sum(map(len, frames))
        for version in 'OpenFlow10', 'OpenFlow13', 'OpenFlow15':
            text = s.ofctl('-O', version, 'dump-ports', 'br0', 'p1')
            check('rx pkts=70, bytes=%d, drop=0, errs=0' % n_bytes in text,
                  '%s: port statistics are\n%s', version, text)
            text = s.ofctl('-O', version, 'dump-ports', 'br0', 'p2')
            check('tx pkts=70, bytes=%d, drop=0, errs=0' % n_bytes in text,
                  '%s: port statistics are\n%s', version, text)
            text = s.ofctl('-O', version, 'show' if version == 'OpenFlow10'
                           else 'dump-ports-desc', 'br0')
            for port in 'p1', 'p2', 'p3':
                check(re.search(r'\(%s\): addr:' % port, text),
                      '%s: no %s in\n%s', version, port, text)
            text = s.ofctl('-O', version, 'dump-flows', 'br0', 'in_port=p1')
            check('n_packets=' in text, '%s: flows are\n%s', version, text)

            # The link goes and comes: one message for each.
            monitor = Process(lab, 'monitor-' + version, [
                s.programs['ovs-ofctl'], '-O', version, 'monitor', 'br0',
                '65534', '--unixctl=' + s.dir + '/monitor.ctl'], env=s.env)
            wait_until(lambda: 'CONFIG_REPLY' in monitor.log()
                       or 'switch' in monitor.log()
                       or os.path.exists(s.dir + '/monitor.ctl'),
                       what='ovs-ofctl monitor')
            s_count = len(re.findall('OFPT_PORT_STATUS', monitor.log()))
            network.peers[2].detach()
            s.wait_link('p3', False)
            down = r'OFPT_PORT_STATUS[^\n]*MOD: 3\(p3\)[^\n]*\n' \
                   r' +config: [^\n]*\n +state: +LINK_DOWN'
            wait_until(lambda: re.search(down, monitor.log()),
                       what='PORT_STATUS with LINK_DOWN')
            network.peers[2].attach()
            s.wait_link('p3')
            wait_until(lambda: len(re.findall('OFPT_PORT_STATUS',
                                              monitor.log())) >= s_count + 2,
                       what='PORT_STATUS with the link up')
            check('LINK_DOWN' not in monitor.log().split(
                'OFPT_PORT_STATUS')[-1], 'the link is down in\n%s',
                monitor.log())
            monitor.stop()


def test_packet_out(lab):
    """PACKET_OUT to a dpdkr port and PACKET_IN from one."""
    with Network(lab) as network:
        s = network.switch
        lab.expect_log(r'\|rconn\|WARN\|br0<->unix')
        frame = network.frame(0, 1, 5)
        s.ofctl('-O', 'OpenFlow13', 'packet-out', 'br0',
                'in_port=controller packet=%s actions=p2' % frame.hex())
        check_equal(network.peers[1].receive_all(1), [frame], 'frame')
        s.ofctl('del-flows', 'br0')
        s.ofctl('add-flow', 'br0', 'in_port=p1,actions=controller')
        monitor = Process(lab, 'monitor', [
            s.programs['ovs-ofctl'], 'monitor', 'br0', '65534',
            '--unixctl=' + s.dir + '/monitor.ctl'], env=s.env)

        def seen():
            network.peers[0].send([frame])
            return 'in_port=1' in monitor.log()
        wait_until(seen, what='PACKET_IN')
        monitor.stop()


def test_groups_meters(lab):
    """Groups, meters and VLANs with dpdkr ports."""
    with Network(lab) as network:
        s = network.switch
        p1, p2, p3 = network.peers
        s.ofctl('-O', 'OpenFlow13', 'add-group', 'br0',
                'group_id=1,type=all,bucket=output:p2,bucket=push_vlan:0x8100,'
                'set_field:4103->vlan_vid,output:p3')
        s.ofctl('-O', 'OpenFlow13', 'add-flow', 'br0',
                'in_port=p1,actions=group:1')
        frame = network.frame(0, 1, 5)
        p1.send([frame])
        check_equal(p2.receive_all(1), [frame], 'frame')
        check_equal(p3.receive_all(1),
                    [frame[:12] + b'\x81\0\0\x07' + frame[12:]],
                    'tagged frame')
        s.ofctl('-O', 'OpenFlow13', 'del-groups', 'br0')
        s.ofctl('-O', 'OpenFlow13', 'add-meter', 'br0',
                'meter=1,pktps,burst,band=type=drop,rate=10,burst_size=10')
        s.ofctl('-O', 'OpenFlow13', 'add-flow', 'br0',
                'in_port=p1,actions=meter:1,output:p2')
        before = s.statistics('p1')['rx_pkts']
        p1.send_all([frame] * 1000)
        got = p2.receive_all(5)
        wait_until(lambda: s.statistics('p1')['rx_pkts'] == before + 1000,
                   what='all frames to be metered')
        n = len(got + p2.receive())
        check(n <= 200, '%d frames pass the meter', n)


def test_mirror(lab):
    """A mirror of a dpdkr port to another one."""
    with Network(lab) as network:
        s = network.switch
        p1, p2, p3 = network.peers
        frame = network.frame(0, 1, 5)
        s.ofctl('del-flows', 'br0')
        s.ofctl('add-flow', 'br0', 'in_port=p1,actions=output:p2')
        s.vsctl('--id=@p', 'get', 'port', 'p3', '--', '--id=@m', 'create',
                'mirror', 'name=m', 'select-all=true', 'output-port=@p', '--',
                'set', 'bridge', 'br0', 'mirrors=@m')
        for _ in range(10):
            p1.send([frame])
            check_equal(p2.receive_all(1), [frame], 'frame')
            check_equal(p3.receive_all(1), [frame], 'mirrored frame')
