# SPDX-License-Identifier: Apache-2.0
"""The p-2-p link detector: what it finds and what it says if it does not."""

import contextlib
import json
import re

from nfv.lab import wait_until
from nfv.peer import Peer
from nfv.testing import check, check_equal, options
from scene import Scene

F_LINKS = 1 << 2                # DPDKR_F_LINKS of dpdkr/abi.h


class P2pScene(Scene):
    """A switch with ports p1 to p4, OpenFlow ports 1 to 4, all with a
    peer."""

    def __init__(self, lab, stack, n=4, **kwargs):
        super().__init__(lab, **kwargs)
        self.stack = stack
        # Our peers say that they follow orders, and do not.
        lab.expect_log(r'dpdkr_link\|WARN\|')
        self.peers = {}
        for i in range(1, n + 1):
            name = 'p%d' % i
            self.add(name, 'ofport_request=%d' % i)
            self.attach(name)
        for name in self.peers:
            self.switch.wait_link(name)

    def attach(self, name):
        self.peers[name] = self.stack.enter_context(
            Peer(self.paths[name], flags=F_LINKS))

    def show(self, bridge='br0'):
        return json.loads(self.switch.appctl('p2p/show', '--json',
                                             bridge))[bridge]

    def flows(self, *flows, bridge='br0', groups=(), version='OpenFlow15'):
        """Replaces all flows and groups, in one transaction."""
        path = self.lab.dir + '/bundle'
        with open(path, 'w') as f:
            f.write('flow delete\ngroup delete group_id=all\n')
            f.writelines('group add %s\n' % group for group in groups)
            f.writelines('flow add %s\n' % flow for flow in flows)
        self.switch.ofctl('-O', version, '--bundle', 'bundle', bridge, path)

    def expect(self, port, wanted, bridge='br0', timeout=10):
        """Waits until the detector says that packets from 'port' go to
        'wanted', if that is the name of a port, or that they do not, and why,
        if it is a regular expression that begins with "no:"."""
        last = None

        def seen():
            nonlocal last
            last = self.show(bridge)[port]
            if wanted.startswith('no:'):
                return re.search(wanted[3:].strip(), last.get('reason', ''))
            return last.get('to') == wanted
        try:
            wait_until(seen, timeout, 'p2p/show')
        except Exception:
            raise AssertionError('%s: expected "%s", last seen %s'
                                 % (port, wanted, last)) from None

    def coverage(self, name):
        text = self.switch.appctl('coverage/read-counter', name)
        return int(text)


@contextlib.contextmanager
def p2p_scene(lab, **kwargs):
    with contextlib.ExitStack() as stack:
        yield P2pScene(lab, stack, **kwargs)


# Flows, groups, and what is to be said about p1.
TABLES = [
    # No flow at all.
    ([], [], 'no: match no rule in table 0'),
    # One output.
    (['in_port=1,actions=2'], [], 'p2'),
    (['actions=2'], [], 'p2'),
    (['in_port=1,actions=output(port=3,max_len=100)'], [], 'no:output_trunc'),
    (['in_port=1,actions=1'], [], 'no: dropped'),
    (['in_port=1,actions=in_port'], [], 'no: back to where'),
    (['in_port=1,actions=drop'], [], 'no: dropped'),
    (['in_port=1,actions=2,3'], [], 'no: more than once'),
    (['in_port=1,actions=2,2'], [], 'no: more than once'),
    (['in_port=1,actions=1,2'], [], 'p2'),
    (['in_port=1,actions=9,2'], [], 'p2'),
    (['in_port=1,actions=9'], [], 'no: dropped'),
    (['in_port=1,actions=LOCAL'], [], 'no: br0: is no dpdkr port'),
    (['in_port=1,actions=NORMAL'], [], 'no: NORMAL'),
    (['in_port=1,actions=FLOOD'], [], 'no: FLOOD'),
    (['in_port=1,actions=ALL'], [], 'no: ALL'),
    (['in_port=1,actions=CONTROLLER'], [], 'no: controller'),
    (['in_port=1,actions=2,CONTROLLER:100'], [], 'no: controller'),
    (['in_port=1,actions=controller(reason=action),2'], [],
     'no: controller'),
    # Priorities and overlaps.
    (['priority=9,in_port=1,actions=2', 'priority=8,in_port=1,ip,actions=3',
      'priority=7,actions=drop'], [], 'p2'),
    (['priority=9,in_port=1,actions=2', 'priority=10,in_port=1,ip,actions=3'],
     [], 'no: not all packets match the same rule in table 0'),
    (['priority=9,in_port=1,actions=2', 'priority=10,ip,actions=2'], [],
     'no: not all packets match the same rule in table 0'),
    (['priority=9,in_port=1,actions=2',
      'priority=10,dl_dst=01:80:c2:00:00:0e,actions=CONTROLLER'], [],
     'no: not all packets match the same rule in table 0'),
    (['priority=9,in_port=1,actions=2', 'priority=10,in_port=3,ip,actions=1'],
     [], 'p2'),
    (['in_port=1,ip,actions=2', 'in_port=1,arp,actions=2'], [],
     'no: not all packets match'),
    (['priority=9,in_port=1,actions=2', 'priority=10,reg0=1,ip,actions=3'],
     [], 'p2'),
    (['priority=9,in_port=1,actions=2',
      'priority=10,metadata=0,ip,actions=3'], [], 'no: not all packets'),
    (['priority=9,in_port=1,actions=2',
      'priority=10,ct_state=+trk,ip,actions=3'], [], 'p2'),
    (['priority=9,in_port=1,actions=2',
      'priority=10,ct_state=-trk,ip,actions=3'], [], 'no: not all packets'),
    (['in_port=1,actions=2', 'ip,actions=2'], [], 'no: not all packets'),
    (['in_port=1,actions=2', 'actions=2'], [], 'no: not all packets'),
    (['in_port=1,actions=2', 'in_port=3,ip,actions=4', 'priority=1,in_port=1,'
      'ip,actions=3'], [], 'p2'),
    (['in_port=1,actions=2', 'priority=99,in_port=3,ip,actions=4',
      'priority=1,in_port=1,ip,actions=3'], [], 'p2'),
    (['priority=9,in_port=1,actions=2',
      'priority=10,tun_id=7,ip,actions=3'], [], 'p2'),
    (['priority=9,in_port=1,vlan_tci=0,actions=2'], [],
     'no: not all packets'),
    (['priority=9,in_port=1,packet_type=(0,0),actions=2'], [], 'p2'),
    # Conjunctions.
    (['priority=9,in_port=1,actions=2',
      'priority=10,in_port=1,actions=conjunction(5,1/2)',
      'priority=10,ip,nw_dst=10.0.0.1,actions=conjunction(5,2/2)',
      'priority=10,conj_id=5,actions=3'], [], 'no: not all packets'),
    # Several tables.
    (['in_port=1,actions=goto_table:3', 'table=3,actions=2'], [], 'p2'),
    (['in_port=1,actions=goto_table:3', 'table=3,priority=9,in_port=3,ip,'
      'actions=3', 'table=3,priority=1,actions=2'], [], 'p2'),
    (['in_port=1,actions=goto_table:3', 'table=3,priority=9,ip,actions=3',
      'table=3,priority=1,actions=2'], [],
     'no: not all packets match the same rule in table 3'),
    (['in_port=1,actions=goto_table:3'], [], 'no: no rule in table 3'),
    (['in_port=1,actions=2,goto_table:3', 'table=3,actions=drop'], [], 'p2'),
    (['in_port=1,actions=write_metadata:0x5/0xf,goto_table:1',
      'table=1,metadata=0x5,actions=2', 'table=1,metadata=0x6,actions=3'], [],
     'p2'),
    (['in_port=1,actions=resubmit(,1),resubmit(,2)', 'table=1,actions=drop',
      'table=2,actions=2'], [], 'p2'),
    (['in_port=1,actions=resubmit(,1),resubmit(,2)', 'table=2,actions=2'], [],
     'p2'),
    (['in_port=1,actions=resubmit(,1),resubmit(,2)', 'table=1,actions=3',
      'table=2,actions=2'], [], 'no: more than once'),
    (['in_port=1,actions=resubmit(3,1)', 'table=1,in_port=1,actions=4',
      'table=1,in_port=3,actions=2'], [], 'p2'),
    (['in_port=1,actions=resubmit(2)', 'in_port=2,actions=3'], [], 'p3'),
    (['in_port=1,actions=resubmit(,0)'], [], 'no: more than 48'),
    # The action set.
    (['in_port=1,actions=write_actions(output:2)'], [], 'p2'),
    (['in_port=1,actions=write_actions(output:2),goto_table:1',
      'table=1,actions=write_actions(output:3)'], [], 'p3'),
    (['in_port=1,actions=write_actions(output:2),goto_table:1',
      'table=1,actions=clear_actions'], [], 'no: dropped'),
    (['in_port=1,actions=3,write_actions(output:2)'], [],
     'no: more than once'),
    (['in_port=1,actions=write_actions(output:2,'
      'set_field:02:00:00:00:00:09->eth_dst)'], [], 'no: changes packets'),
    (['in_port=1,actions=write_actions(output:2),goto_table:1',
      'table=1,actset_output=2,actions=write_metadata:1',
      'table=1,priority=1,actions=3'], [], 'p2'),
    # Registers.
    (['in_port=1,actions=load:2->NXM_NX_REG0[],output:NXM_NX_REG0[]'], [],
     'p2'),
    (['in_port=1,actions=load:2->NXM_NX_REG0[],resubmit(,1)',
      'table=1,reg0=2,actions=2', 'table=1,reg0=1,actions=3'], [], 'p2'),
    (['in_port=1,actions=load:1->NXM_NX_REG0[],'
      'move:NXM_NX_REG0[0..7]->NXM_NX_REG1[8..15],resubmit(,1)',
      'table=1,reg1=0x100,actions=2', 'table=1,priority=1,actions=3'], [],
     'p2'),
    (['in_port=1,actions=move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15],'
      'resubmit(,1)', 'table=1,reg1=0x100,actions=2',
      'table=1,priority=1,actions=3'], [],
     'no: not all packets match the same rule in table 1'),
    (['in_port=1,actions=move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15],'
      'load:0x100->NXM_NX_REG1[],resubmit(,1)', 'table=1,reg1=0x100,actions=2',
      'table=1,priority=1,actions=3'], [], 'p2'),
    (['in_port=1,actions=move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15],'
      'output:NXM_NX_REG1[]'], [], 'no: what is in the packet'),
    (['in_port=1,actions=load:2->NXM_NX_REG0[],push:NXM_NX_REG0[],'
      'pop:NXM_NX_REG1[],output:NXM_NX_REG1[]'], [], 'p2'),
    (['in_port=1,actions=push:NXM_OF_ETH_SRC[0..15],pop:NXM_NX_REG1[0..15],'
      'output:NXM_NX_REG1[]'], [], 'no: what is in the packet'),
    (['in_port=1,actions=load:0->NXM_OF_IN_PORT[],2'], [], 'p2'),
    (['in_port=1,actions=load:3->NXM_OF_IN_PORT[],2'], [],
     'no: pretend to come from port 3'),
    (['in_port=1,actions=load:0->NXM_OF_IN_PORT[],1'], [], 'no: back to'),
    # What changes packets.
    (['in_port=1,actions=mod_dl_dst:02:00:00:00:00:09,2'], [],
     'no: changes packets'),
    (['in_port=1,actions=2,mod_dl_dst:02:00:00:00:00:09'], [], 'p2'),
    (['in_port=1,actions=2,mod_dl_dst:02:00:00:00:00:09,3'], [],
     'no: more than once'),
    (['in_port=1,actions=push_vlan:0x8100,set_field:4097->vlan_vid,2'], [],
     'no: changes packets'),
    (['in_port=1,actions=set_queue:1,2'], [], 'no: queue'),
    (['in_port=1,actions=set_queue:1,pop_queue,2'], [], 'p2'),
    (['in_port=1,actions=enqueue:2:1'], [], 'no: queue'),
    # What somebody would notice.
    (['in_port=1,actions=learn(table=1,in_port=99),2'], [], 'no: learn'),
    (['in_port=1,actions=sample(probability=1,collector_set_id=1,'
      'obs_domain_id=0,obs_point_id=0),2'], [], 'no: sample'),
    (['in_port=1,actions=ct_clear,2'], [], 'p2'),
    (['in_port=1,actions=clone(3),2'], [], 'no: clone'),
    (['in_port=1,actions=check_pkt_larger(100)->NXM_NX_REG0[0],2'], [],
     'no: check_pkt_larger'),
    (['in_port=1,actions=note:00.01,2'], [], 'p2'),
    (['in_port=1,actions=exit,2'], [], 'no: dropped'),
    (['in_port=1,actions=2,exit,3'], [], 'p2'),
    (['in_port=1,actions=bundle(eth_src,0,hrw,ofport,members:2,3)'], [],
     'no: bundle'),
    # Groups.
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=indirect,bucket=actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=all,bucket=actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=all,bucket=actions=2,bucket=actions=3'],
     'no: more than once'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=select,bucket=actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=select,bucket=actions=2,bucket=actions=2'],
     'no: group 7 spreads'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=select,bucket=weight:0,actions=3,'
      'bucket=weight:5,actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=select,selection_method=hash,fields(eth_src),'
      'bucket=watch_port:9,actions=3,bucket=watch_port:2,actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=ff,bucket=watch_port:9,actions=3,'
      'bucket=watch_port:2,actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=ff,bucket=watch_port:9,actions=3'], 'no: dropped'),
    (['in_port=1,actions=group:7'],
     ['group_id=8,type=ff,bucket=watch_port:9,actions=3',
      'group_id=7,type=ff,bucket=watch_group:8,actions=3,'
      'bucket=watch_port:2,actions=2'], 'p2'),
    (['in_port=1,actions=group:7'],
     ['group_id=8,type=indirect,bucket=actions=2',
      'group_id=7,type=indirect,bucket=actions=group:8'], 'p2'),
    (['in_port=1,actions=write_actions(group:7,output:3)'],
     ['group_id=7,type=indirect,bucket=actions=2'], 'p2'),
    (['in_port=1,actions=group:7,3'],
     ['group_id=7,type=indirect,bucket=actions=2'], 'no: more than once'),
    (['in_port=1,actions=group:7,3'],
     ['group_id=7,type=indirect,bucket=actions='
      'set_field:02:00:00:00:00:09->eth_dst'], 'p3'),
    (['in_port=1,actions=group:7'],
     ['group_id=7,type=indirect,bucket=actions=mod_dl_dst:02:00:00:00:00:09,'
      '2'], 'no: changes packets'),
]


def test_tables(lab):
    """Flows and groups of all kinds."""
    with p2p_scene(lab) as scene:
        for flows, groups, wanted in TABLES:
            print(flows, groups, wanted)
            scene.flows(*flows, groups=groups)
            scene.expect('p1', wanted)
