# SPDX-License-Identifier: Apache-2.0
"""Chains of unmodified functions: all hops are found and become direct,
whoever installs the flows, and in whichever of the ways that come to the
same."""

import re

from nfv.lab import wait_until
from nfv.testing import check, check_equal, options

from control import LEARNING, os_ken, testcontroller
from direct_scene import FRAMES, ChainScene, DirectScene, drained


def _check_counted(scene, result):
    """All that was sent is counted on each hop, wherever it went."""
    sent = (result['sent'] + result['probes'],
            result['tx_bytes'] + result['probe_bytes'])
    s = scene.switch
    for a, b in scene.hops:
        stats = s.statistics(a)
        check_equal((stats['rx_pkts'], stats['rx_bytes']), sent,
                    'received from ' + a)
        check_equal(stats['rx_drop'] + stats['rx_errs'], 0, 'drops of ' + a)
        check_equal(scene.counter(a, 'direct_lost_packets'), 0,
                    'direct_lost_packets of ' + a)
        early = scene.counter(b, 'tx_no_peer_drops')
        check_equal(s.statistics(b)['tx_pkts'] + early, sent[0],
                    'sent to ' + b)
    for a, b in scene.back:
        check_equal(s.statistics(a)['rx_pkts'], 0, 'received from ' + a)


def _chain(lab, n):
    """Numbered frames through 'n' functions, which begin in the switch and go
    on past it."""
    scene = ChainScene(lab, n)
    scene.flows()
    scene.start(mem=512)
    # Functions may find each other before there is any traffic.
    scene.wait_direct(*scene.hops[1:-1], *scene.back[1:-1])
    tool = scene.numbered('in', 'out', 0, '--flows=16')
    scene.wait_direct(*scene.hops, *scene.back)
    scene.check_bypassed(scene.hops, FRAMES)
    _check_counted(scene, drained(tool))
    # What the functions have between them ends with its flows.
    scene.switch.ofctl('del-flows', 'br0')
    scene.wait_switched(*(a for a, _ in scene.hops[1:-1] + scene.back[1:-1]),
                        reason='no rule')


@options(driver=True, programs=['dpdk-testpmd'], timeout=120, asan=False)
def test_1(lab):
    """A chain of one testpmd."""
    _chain(lab, 1)


@options(driver=True, programs=['dpdk-testpmd'], timeout=120, asan=False)
def test_3(lab):
    """Three of them."""
    _chain(lab, 3)


@options(driver=True, programs=['dpdk-testpmd'], timeout=240, asan=False)
def test_10(lab):
    """Ten of them."""
    _chain(lab, 10)


# ## ------------------------------------------- ##
# ## Many ways to say that all goes to one port  ##
# ## ------------------------------------------- ##

# For packets from port {a}, which are for {b}: the version of OpenFlow,
# groups, and flows, of which the one in table 0 comes last.
WAYS = [
    ('OpenFlow10', [], ['in_port={a},actions=output:{b}']),
    ('OpenFlow10', [], ['table=5,in_port={a},actions=output:{b}',
                        'in_port={a},actions=resubmit(,5)']),
    ('OpenFlow10', [], ['table=6,reg0={b},actions=output:NXM_NX_REG0[]',
                        'in_port={a},actions=load:{b}->NXM_NX_REG0[],'
                        'resubmit(,6)']),
    ('OpenFlow13', [], ['table=2,in_port={a},actions=output:{b}',
                        'table=1,in_port={a},actions=goto_table:2',
                        'in_port={a},actions=goto_table:1']),
    ('OpenFlow13', [], ['table=3,in_port={a},actions=write_metadata:{a}',
                        'in_port={a},actions=write_actions(output:{b}),'
                        'goto_table:3']),
    ('OpenFlow13', ['group_id=1{a},type=ff,bucket=watch_port:{b},'
                    'actions=output:{b},bucket=watch_port:{other},'
                    'actions=output:{other}'],
     ['in_port={a},actions=group:1{a}']),
    ('OpenFlow13', ['group_id=2{a},type=all,bucket=actions=output:{b}'],
     ['in_port={a},actions=group:2{a}']),
    ('OpenFlow15', ['group_id=3{a},type=indirect,bucket=actions=output:{b}'],
     ['in_port={a},actions=write_actions(group:3{a})']),
    ('OpenFlow15', ['group_id=4{a},type=select,bucket=bucket_id:1,'
                    'weight:100,actions=output:{b}'],
     ['in_port={a},actions=group:4{a}']),
    ('OpenFlow15', [], ['in_port={a},actions=output:{b}']),
]


@options(driver=True, programs=['dpdk-testpmd'], timeout=240, asan=False)
def test_ways(lab):
    """OpenFlow 1.0, 1.3 and 1.5, several tables, the action set, groups: each
    replaces the one before it under numbered traffic."""
    scene = ChainScene(lab, 3)
    s = scene.switch
    lab.expect_log(r'rconn\|WARN\|br0<->unix')
    s.vsctl('set', 'Bridge', 'br0', 'protocols=OpenFlow10,OpenFlow13,'
            'OpenFlow14,OpenFlow15')
    scene.flows()
    scene.start()
    tool = scene.numbered('in', 'out', 0, '--flows=16')
    for version, groups, flows in WAYS:
        print(version, groups, flows)
        path = lab.dir + '/flows'
        with open(path, 'w') as f:
            for a, b in scene.hops + scene.back:
                ports = {'a': scene.number[a], 'b': scene.number[b],
                         'other': scene.number['in']}
                for group in groups:
                    s.ofctl('-O', version, 'add-group', 'br0',
                            group.format(**ports))
                f.writelines(flow.format(**ports) + '\n' for flow in flows)
        s.ofctl('-O', version, 'add-flows', 'br0', path)
        scene.wait_direct(*scene.hops, *scene.back)
        scene.check_bypassed(scene.hops, FRAMES // 10)
        tables = sorted(int(flow[6]) if flow.startswith('table=') else 0
                        for flow in flows)
        for a, _ in scene.hops:
            check_equal(scene.show()[a]['tables'], tables, 'tables of ' + a)
    _check_counted(scene, drained(tool))


# ## ----------- ##
# ## Controllers ##
# ## ----------- ##

def _check_learning(lab, connect):
    """With a controller that learns, nothing is direct, and the frames of two
    hosts go between them alone once they are known."""
    scene = DirectScene(lab, ['p1', 'p2', 'p3'])
    s = scene.switch
    pmd = scene.testpmd('echo', [scene.paths['p2']],
                        args=['--port-topology=loop'])
    pmd.command('set fwd macswap')
    pmd.command('start')
    third = scene.numbered('p3', 'p3', 0, '--no-probe', '--rate=0.001')
    for port in 'p2', 'p3':
        s.wait_link(port)
    controller = connect(scene)
    # Frames that go to the controller come back in no order.
    first = scene.numbered('p1', 'p1', 5, '--rate=5', '--no-probe')
    first.wait(60)
    first.stop()

    def learned():
        return 'dl_dst=02:00:00:00:00:02' in s.ofctl('-O', 'OpenFlow13',
                                                     'dump-flows', 'br0')
    wait_until(learned, what='flows of the controller')
    before = s.statistics('p3')['tx_pkts']
    result = scene.numbered('p1', 'p1', FRAMES // 5, '--no-probe').result()
    check_equal((result['lost'], result['reordered'], result['duplicated'],
                 result['corrupted']), (0, 0, 0, 0), 'lost or mixed up')
    check(s.statistics('p3')['tx_pkts'] - before < 10,
          'the third port gets what is for the second')
    shown = scene.show()
    for port in 'p1', 'p2', 'p3':
        check_equal(shown[port].get('to'), None, port)
        check_equal(shown[port]['state'], 'switch', port)
        check(re.search('same rule|no rule|to a controller|no peer',
                        shown[port]['reason']),
              '%s: reason is %s', port, shown[port])
        check_equal(scene.counter(port, 'rx_direct_packets'), 0, port)
    third.finish(False)
    s.vsctl('del-controller', 'br0')
    controller.stop()


@options(driver=True, programs=['dpdk-testpmd'], timeout=90, asan=False)
def test_testcontroller_learning(lab):
    """ovs-testcontroller, a learning switch."""
    _check_learning(lab, testcontroller)


@options(driver=True, programs=['dpdk-testpmd'], timeout=90, asan=False)
def test_os_ken_learning(lab):
    """A learning switch in os-ken."""
    _check_learning(lab, lambda scene: os_ken(scene, LEARNING))


def _check_controlled_chain(scene, controller):
    scene.start()
    tool = scene.numbered('in', 'out', 0, '--flows=16')
    scene.wait_direct(*scene.hops, *scene.back)
    scene.check_bypassed(scene.hops, FRAMES)
    check(controller.running(), 'the controller ended:\n%s', controller.log())
    _check_counted(scene, drained(tool))
    # A controller that goes leaves its flows behind.
    scene.switch.vsctl('del-controller', 'br0')
    controller.stop()


@options(driver=True, programs=['dpdk-testpmd'], timeout=90, asan=False)
def test_testcontroller_chain(lab):
    """ovs-testcontroller with the flows of a chain."""
    scene = ChainScene(lab, 3)
    path = lab.dir + '/chain'
    with open(path, 'w') as f:
        for a, b in scene.hops + scene.back:
            f.write('in_port=%d,actions=output:%d\n'
                    % (scene.number[a], scene.number[b]))
    controller = testcontroller(scene, '--with-flows=' + path)
    _check_controlled_chain(scene, controller)


@options(driver=True, programs=['dpdk-testpmd'], timeout=90, asan=False)
def test_os_ken_chain(lab):
    """An os-ken application that builds a chain: a table that classifies, a
    group for each hop, and a flow for what nobody knows."""
    scene = ChainScene(lab, 3)
    hops = [(scene.number[a], scene.number[b])
            for a, b in scene.hops + scene.back]
    controller = os_ken(scene, CHAIN % {'hops': hops})
    _check_controlled_chain(scene, controller)


CHAIN = '''
from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_3 as of

HOPS = %(hops)r


class Chain(app_manager.OSKenApp):
    OFP_VERSIONS = [of.OFP_VERSION]

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, ev):
        dp = ev.msg.datapath
        p = dp.ofproto_parser

        def flow(table, priority, match, *instructions):
            dp.send_msg(p.OFPFlowMod(
                datapath=dp, table_id=table, priority=priority,
                match=p.OFPMatch(**match), instructions=instructions))

        def apply(action):
            return p.OFPInstructionActions(of.OFPIT_APPLY_ACTIONS, [action])

        for a, b in HOPS:
            dp.send_msg(p.OFPGroupMod(dp, of.OFPGC_ADD, of.OFPGT_INDIRECT, a, [
                p.OFPBucket(actions=[p.OFPActionOutput(b)])]))
            flow(1, 100, {'metadata': a}, apply(p.OFPActionGroup(a)))
            flow(0, 100, {'in_port': a},
                 p.OFPInstructionWriteMetadata(a, 0xffff),
                 p.OFPInstructionGotoTable(1))
        flow(0, 0, {}, apply(p.OFPActionOutput(of.OFPP_CONTROLLER, 65535)))
'''
