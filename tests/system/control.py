# SPDX-License-Identifier: Apache-2.0
"""Controllers for the bridge br0 of a scene."""

import os

from nfv.lab import Process, wait_until
from nfv.testing import Skip, check


def _connect(scene, start):
    """Connects a controller that 'start', a function, starts."""
    s = scene.switch
    scene.lab.expect_log(r'\|rconn\|WARN\|',
                         r'\|(vconn|stream_\w+)\|WARN\|',
                         r'ofp_.*\|WARN\|.*deprecat')
    s.vsctl('set-fail-mode', 'br0', 'secure')
    s.ofctl('del-flows', 'br0')
    controller = start(s)
    s.vsctl('set-controller', 'br0', 'tcp:127.0.0.1:16653', '--', 'set',
            'Controller', 'br0', 'max_backoff=1000',
            'connection-mode=out-of-band')

    def connected():
        check(controller.running(), 'the controller ended:\n%s',
              controller.log())
        return s.vsctl('get', 'Controller', 'br0', 'is_connected') == 'true'
    wait_until(connected, 40, 'the controller to be connected')
    return controller


def testcontroller(scene, *args):
    """Connects an ovs-testcontroller."""
    return _connect(scene, lambda s: Process(scene.lab, 'testcontroller', [
        *s.net.prefix(),
        scene.lab.tree + '/utilities/ovs-testcontroller',
        'ptcp:16653:127.0.0.1', '--unixctl=' + s.dir + '/controller.ctl',
        *args], env=s.env))


def os_ken(scene, text):
    """Connects an application of os-ken, 'text' in Python."""
    manager = '/usr/bin/osken-manager'
    if not os.path.exists(manager):
        raise Skip('python3-os-ken is not installed')
    path = os.path.join(scene.lab.dir, 'application.py')
    with open(path, 'w') as f:
        f.write(text)
    scene.switch.vsctl('set', 'Bridge', 'br0', 'protocols=OpenFlow10,'
                       'OpenFlow13,OpenFlow14,OpenFlow15')
    return _connect(scene, lambda s: Process(scene.lab, 'os-ken', [
        *s.net.prefix(), '/usr/bin/python3', manager, '--ofp-listen-host',
        '127.0.0.1', '--ofp-tcp-listen-port', '16653', path],
        env={'PYTHONPATH': '', 'PYTHONDONTWRITEBYTECODE': '1'}))


# A learning switch.
LEARNING = '''
from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import (CONFIG_DISPATCHER, MAIN_DISPATCHER,
                                       set_ev_cls)
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3 as of


def flow(dp, priority, match, out):
    p = dp.ofproto_parser
    dp.send_msg(p.OFPFlowMod(
        datapath=dp, priority=priority, match=p.OFPMatch(**match),
        instructions=[p.OFPInstructionActions(
            of.OFPIT_APPLY_ACTIONS, [p.OFPActionOutput(out, 65535)])]))


class Learning(app_manager.OSKenApp):
    OFP_VERSIONS = [of.OFP_VERSION]
    where = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, ev):
        flow(ev.msg.datapath, 0, {}, of.OFPP_CONTROLLER)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def on_packet_in(self, ev):
        dp, port = ev.msg.datapath, ev.msg.match['in_port']
        eth = packet.Packet(ev.msg.data).get_protocol(ethernet.ethernet)
        self.where[eth.src] = port
        out = self.where.get(eth.dst, of.OFPP_FLOOD)
        if out != of.OFPP_FLOOD:
            flow(dp, 10, {'in_port': port, 'eth_dst': eth.dst}, out)
        p = dp.ofproto_parser
        dp.send_msg(p.OFPPacketOut(
            datapath=dp, buffer_id=of.OFP_NO_BUFFER, in_port=port,
            actions=[p.OFPActionOutput(out)], data=ev.msg.data))
'''
