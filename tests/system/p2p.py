# SPDX-License-Identifier: Apache-2.0
"""The p-2-p link detector: what it finds and what it says if it does not."""

import contextlib
import json
import re

from nfv.lab import wait_until
from nfv.peer import Peer, make_frame
from nfv.testing import check, check_equal
from scene import Scene

F_LINKS = 1 << 2                # DPDKR_F_LINKS of dpdkr/abi.h


class P2pScene(Scene):
    """A switch with ports p1 to p4, OpenFlow ports 1 to 4, all with a
    peer.  'options' says what options port N has."""

    def __init__(self, lab, stack, n=4, options=lambda _: (), **kwargs):
        super().__init__(lab, p2p=True, **kwargs)
        stack.callback(self.detach_all)
        # Our peers say that they follow orders, and do not.
        lab.expect_log(r'dpdkr_link\|WARN\|')
        self.peers = {}
        for i in range(1, n + 1):
            name = 'p%d' % i
            self.add(name, 'ofport_request=%d' % i, *options(i))
            self.attach(name)
        for name in self.peers:
            self.switch.wait_link(name)

    def attach(self, name):
        self.peers[name] = Peer(self.paths[name], flags=F_LINKS)

    def detach(self, name, how=True):
        """'how' is false if the peer is to vanish."""
        self.peers.pop(name).close(how)

    def detach_all(self):
        for name in list(self.peers):
            self.detach(name, False)

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
    (['in_port=1,actions=push:NXM_OF_IN_PORT[],load:0->NXM_OF_IN_PORT[],'
      'pop:NXM_OF_IN_PORT[],2'], [], 'p2'),
    (['in_port=1,actions=push:NXM_OF_ETH_SRC[0..15],pop:NXM_OF_IN_PORT[],2'],
     [], 'no: pop makes up an input port'),
    # Known in part: 0x1234 and what is in the packet.
    (['in_port=1,actions=load:0x12340000->NXM_NX_REG0[],'
      'move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG0[0..15],push:NXM_NX_REG0[],'
      'pop:OXM_OF_IN_PORT[],2'], [], 'no: pop makes up an input port'),
    # What changes packets.
    (['in_port=1,actions=mod_dl_dst:02:00:00:00:00:09,2'], [],
     'no: changes packets'),
    (['in_port=1,actions=2,mod_dl_dst:02:00:00:00:00:09'], [], 'p2'),
    (['in_port=1,actions=2,mod_dl_dst:02:00:00:00:00:09,3'], [],
     'no: more than once'),
    (['in_port=1,actions=push_vlan:0x8100,set_field:4097->vlan_vid,2'], [],
     'no: changes packets'),
    # What they are changed to matters after they went out, too.
    (['in_port=1,actions=2,load:1->NXM_NX_PKT_MARK[],resubmit(,1)',
      'table=1,pkt_mark=1,actions=3'], [],
     'no: not all packets match the same rule in table 1'),
    (['in_port=1,actions=2,set_field:10.0.0.1->tun_dst,resubmit(,1)',
      'table=1,tun_dst=10.0.0.1,actions=3'], [],
     'no: not all packets match the same rule in table 1'),
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


# What can be set, how it is undone, and what is said about p1, from where all
# packets go to p2.  Commands are for ovs-vsctl, or begin with its sister.
SETTINGS = [
    # The bridge.
    ('-- --id=@p get Port p3 -- --id=@m create Mirror name=m select-all=true '
     'output-port=@p -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p1: has a mirror of what comes in'),
    ('-- --id=@p get Port p1 -- --id=@o get Port p3 -- --id=@m create Mirror '
     'name=m select-src-port=@p output-port=@o -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p1: has a mirror of what comes in'),
    ('-- --id=@p get Port p2 -- --id=@m create Mirror name=m '
     'select-dst-port=@p output-vlan=9 -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p2: has a mirror of what goes out'),
    ('-- --id=@p get Port p1 -- --id=@o get Port p3 -- --id=@m create Mirror '
     'name=m select-src-port=@p select-vlan=5 output-port=@o -- '
     'set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p1: has a mirror of what comes in'),
    ('-- --id=@p get Port p3 -- --id=@o get Port p1 -- --id=@m create Mirror '
     'name=m select-src-port=@p output-port=@o -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p1: is the output port of a mirror'),
    ('-- --id=@p get Port p3 -- --id=@o get Port p2 -- --id=@m create Mirror '
     'name=m select-src-port=@p output-port=@o -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors', 'p2: is the output port of a mirror'),
    ('-- --id=@s create sFlow targets="127.0.0.1:6343" header=128 '
     'sampling=10 polling=0 -- set Bridge br0 sflow=@s',
     'clear Bridge br0 sflow', 'bridge has sFlow'),
    ('-- --id=@n create NetFlow targets="127.0.0.1:5566" -- '
     'set Bridge br0 netflow=@n',
     'clear Bridge br0 netflow', 'bridge has NetFlow'),
    ('-- --id=@i create IPFIX targets="127.0.0.1:4739" sampling=10 -- '
     'set Bridge br0 ipfix=@i',
     'clear Bridge br0 ipfix', 'bridge has IPFIX'),
    ('set Bridge br0 stp_enable=true', 'set Bridge br0 stp_enable=false',
     'bridge has STP'),
    ('set Bridge br0 rstp_enable=true', 'set Bridge br0 rstp_enable=false',
     'bridge has RSTP'),
    ('set-controller br0 tcp:127.0.0.1:1 -- set Controller br0 '
     'connection_mode=in-band -- set-fail-mode br0 secure',
     'del-controller br0', 'bridge has in-band control'),
    ('ofctl set-frags br0 drop', 'ofctl set-frags br0 normal', 'fragments'),
    ('set Bridge br0 other_config:p2p=false',
     'remove Bridge br0 other_config p2p', 'switched off for the bridge'),
    # Either port.
    ('set Port p1 other_config:p2p=false', 'remove Port p1 other_config p2p',
     'p1: is switched off'),
    ('set Port p2 other_config:p2p=false', 'remove Port p2 other_config p2p',
     'p2: is switched off'),
    ('ofctl mod-port br0 p1 down', 'ofctl mod-port br0 p1 up',
     'p1: (is down|no peer is attached)'),
    ('ofctl mod-port br0 p2 down', 'ofctl mod-port br0 p2 up',
     'p2: (is down|no peer is attached)'),
    ('set Port p1 lacp=active', 'set Port p1 lacp=off', 'p1: has LACP'),
    ('set Port p2 lacp=active', 'set Port p2 lacp=off', 'p2: has LACP'),
    ('set Interface p1 cfm_mpid=1', 'clear Interface p1 cfm_mpid',
     'p1: has CFM'),
    ('set Interface p2 cfm_mpid=1', 'clear Interface p2 cfm_mpid',
     'p2: has CFM'),
    ('set Interface p1 bfd:enable=true', 'clear Interface p1 bfd',
     'p1: has BFD'),
    ('set Interface p2 bfd:enable=true', 'clear Interface p2 bfd',
     'p2: has BFD'),
    ('set Interface p1 lldp:enable=true', 'clear Interface p1 lldp',
     'p1: has LLDP'),
    ('set Interface p2 lldp:enable=true', 'clear Interface p2 lldp',
     'p2: has LLDP'),
    # The port where packets come in.
    ('ofctl mod-port br0 p1 no-receive', 'ofctl mod-port br0 p1 receive',
     'p1: has no-receive'),
    ('ofctl mod-port br0 p1 no-receive-stp',
     'ofctl mod-port br0 p1 receive-stp', 'p1: has no-receive-stp'),
    ('set Interface p1 ingress_policing_rate=1000',
     'set Interface p1 ingress_policing_rate=0', 'p1: has ingress policing'),
    ('set Interface p1 ingress_policing_kpkts_rate=1000',
     'set Interface p1 ingress_policing_kpkts_rate=0',
     'p1: has ingress policing'),
    # The port where they go out.
    ('ofctl mod-port br0 p2 no-forward', 'ofctl mod-port br0 p2 forward',
     'packets are dropped'),
    ('-- --id=@q create QoS type=egress-policer other-config:cir=1000000 '
     'other-config:cbs=10000 -- set Port p2 qos=@q',
     'clear Port p2 qos -- --all destroy QoS', 'p2: has QoS'),
    # Both.
    ('set Port p1 protected=true -- set Port p2 protected=true',
     'set Port p1 protected=false -- set Port p2 protected=false',
     'both ports are protected'),
    ('set Interface p2 mtu_request=1400', 'set Interface p2 mtu_request=1500',
     'MTU of the other port is smaller'),
    ('set Interface p1 mtu_request=1501 -- set Interface p2 mtu_request=1500',
     'set Interface p1 mtu_request=1500', 'MTU of the other port is smaller'),
]

# What can be set and does not matter.
HARMLESS = [
    ('set Port p1 protected=true', 'set Port p1 protected=false'),
    ('set Port p1 tag=5 -- set Port p2 tag=6',
     'clear Port p1 tag -- clear Port p2 tag'),
    ('set Port p1 vlan_mode=trunk trunks=7', 'clear Port p1 vlan_mode trunks'),
    ('ofctl mod-port br0 p1 no-packet-in', 'ofctl mod-port br0 p1 packet-in'),
    ('ofctl mod-port br0 p2 no-flood', 'ofctl mod-port br0 p2 flood'),
    ('ofctl mod-port br0 p2 no-receive', 'ofctl mod-port br0 p2 receive'),
    ('ofctl mod-port br0 p1 no-forward', 'ofctl mod-port br0 p1 forward'),
    ('ofctl set-frags br0 nx-match', 'ofctl set-frags br0 normal'),
    ('set Interface p2 ingress_policing_rate=1000',
     'set Interface p2 ingress_policing_rate=0'),
    ('set Interface p2 mtu_request=1600', 'set Interface p2 mtu_request=1500'),
    ('set Bridge br0 other_config:forward-bpdu=true',
     'remove Bridge br0 other_config forward-bpdu'),
    ('set Bridge br0 mcast_snooping_enable=true',
     'set Bridge br0 mcast_snooping_enable=false'),
    ('set-controller br0 tcp:127.0.0.1:1 -- set Controller br0 '
     'connection_mode=out-of-band -- set-fail-mode br0 secure',
     'del-controller br0'),
    ('set Port p3 lacp=active', 'set Port p3 lacp=off'),
    # Mirrors of other ports, and of the other direction only.
    ('-- --id=@p get Port p3 -- --id=@o get Port p4 -- --id=@m create Mirror '
     'name=m select-src-port=@p select-dst-port=@p output-port=@o -- '
     'set Bridge br0 mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p1 -- --id=@q get Port p2 -- --id=@m create Mirror '
     'name=m select-src-port=@q select-dst-port=@p output-vlan=9 -- '
     'set Bridge br0 mirrors=@m', 'clear Bridge br0 mirrors'),
]


def test_settings(lab):
    """Each setting that matters, and some that do not."""
    lab.expect_log(r'rconn\|WARN\|', r'collectors\|WARN\|',
                   r'connmgr\|WARN\|', r'dpif_netdev\|WARN\|.*reconfigure',
                   r'bfd\|WARN', r'cfm\|WARN', r'sflow\|WARN', r'sflow',
                   r'netflow\|WARN', r'(in_band|bridge)\|WARN')
    with p2p_scene(lab) as scene:
        def do(command):
            if command.startswith('ofctl '):
                scene.switch.ofctl(*command.split()[1:])
            else:
                scene.switch.vsctl(*command.split())
            if 'controller' in command:
                # The flows are gone.
                scene.flows('in_port=1,actions=2', 'in_port=2,actions=1')
        scene.flows('in_port=1,actions=2', 'in_port=2,actions=1')
        scene.expect('p1', 'p2')
        for command, undo, reason in SETTINGS:
            print(command)
            do(command)
            scene.expect('p1', 'no:' + reason)
            do(undo)
            scene.expect('p1', 'p2')
        for command, undo in HARMLESS:
            print(command)
            do(command)
            scene.expect('p1', 'p2')
            do(undo)
            scene.expect('p1', 'p2')


def test_tables(lab):
    """Flows and groups of all kinds."""
    with p2p_scene(lab) as scene:
        for flows, groups, wanted in TABLES:
            print(flows, groups, wanted)
            scene.flows(*flows, groups=groups)
            scene.expect('p1', wanted)


def test_ports(lab):
    """Ports that come, go, and change their minds."""
    with p2p_scene(lab) as scene:
        s = scene.switch
        scene.flows('in_port=1,actions=2', 'in_port=2,actions=1',
                    'in_port=3,actions=8')
        scene.expect('p1', 'p2')
        scene.expect('p2', 'p1')
        scene.expect('p3', 'no: packets are dropped')
        # A peer that goes and comes.
        scene.detach('p2')
        scene.expect('p1', 'no: p2: no peer is attached')
        scene.expect('p2', 'no: p2: no peer is attached')
        scene.attach('p2')
        scene.expect('p1', 'p2')
        scene.expect('p2', 'p1')
        # One that does not follow orders.
        scene.detach('p2')
        with Peer(scene.paths['p2']):
            scene.expect('p1', 'no: p2: the peer does not support')
        scene.attach('p2')
        scene.expect('p1', 'p2')
        # A port that goes and comes.
        scene.detach('p2', False)
        scene.delete('p2')
        scene.expect('p1', 'no: packets are dropped')
        check('p2' not in scene.show(), 'p2 is still shown')
        scene.add('p2', 'ofport_request=2')
        scene.expect('p1', 'no: p2: no peer is attached')
        scene.attach('p2')
        scene.expect('p1', 'p2')
        # One that was not there before.
        scene.add('p8', 'ofport_request=8')
        scene.expect('p3', 'no: p8: no peer is attached')
        scene.attach('p8')
        scene.expect('p3', 'p8')
        # Another one with the same number.
        scene.detach('p8', False)
        s.vsctl('del-port', 'p8', '--', 'add-port', 'br0', 'other', '--',
                'set', 'Interface', 'other', 'type=internal',
                'ofport_request=8')
        scene.expect('p3', 'no: other: is no dpdkr port')
        s.vsctl('del-port', 'other', '--', 'add-port', 'br0', 'p8', '--',
                'set', 'Interface', 'p8', 'type=dpdkr', 'ofport_request=8')
        scene.attach('p8')
        scene.expect('p3', 'p8')
        # Patch ports and ports of other types.
        scene.add_bridge('br1')
        s.vsctl('add-port', 'br0', 'to1', '--', 'set', 'Interface', 'to1',
                'type=patch', 'options:peer=to0', 'ofport_request=9', '--',
                'add-port', 'br1', 'to0', '--', 'set', 'Interface', 'to0',
                'type=patch', 'options:peer=to1')
        scene.flows('in_port=1,actions=9', 'in_port=9,actions=1')
        scene.expect('p1', 'no: to1: is no dpdkr port')
        scene.expect('to1', 'no: to1: is no dpdkr port')
        check_equal(scene.show('br1').keys(), {'br1', 'to0'}, 'ports of br1')
        # A bond.
        s.vsctl('add-bond', 'br0', 'bond', 'b5', 'b6',
                'bond_mode=balance-slb', '--',
                'set', 'Interface', 'b5', 'type=dpdkr', 'ofport_request=5',
                '--', 'set', 'Interface', 'b6', 'type=dpdkr',
                'ofport_request=6')
        for name in 'b5', 'b6':
            scene.paths[name] = wait_until(
                lambda: s.interface(name, 'status').get('path'), 5,
                'path of ' + name)
            scene.attach(name)
            s.wait_link(name)
        scene.flows('in_port=1,actions=5', 'in_port=5,actions=1')
        scene.expect('p1', 'no: b5: is in a bond')
        scene.expect('b5', 'no: b5: is in a bond')
        # The bridge.
        s.vsctl('del-br', 'br0')
        check_equal(list(json.loads(s.appctl('p2p/show', '--json'))), ['br1'],
                    'bridges')


def test_liveness(lab):
    """Buckets that come to life when their port or group does."""
    with p2p_scene(lab) as scene:
        scene.flows('in_port=1,actions=group:1', groups=[
            'group_id=2,type=ff,bucket=watch_port:2,actions=2,'
            'bucket=watch_port:4,actions=4',
            'group_id=1,type=ff,bucket=watch_port:3,actions=3,'
            'bucket=watch_group:2,actions=group:2',
            'group_id=4,type=indirect,bucket=actions=3'])
        scene.expect('p1', 'p3')
        scene.detach('p3')
        scene.expect('p1', 'p2')
        scene.detach('p2')
        scene.expect('p1', 'p4')
        scene.detach('p4')
        scene.expect('p1', 'no: packets are dropped')
        scene.attach('p4')
        scene.expect('p1', 'p4')
        scene.attach('p3')
        scene.expect('p1', 'p3')
        # Changes of the groups themselves.
        ofctl = scene.switch.ofctl
        ofctl('-O', 'OpenFlow15', 'mod-group', 'br0',
              'group_id=1,type=ff,bucket=watch_port:4,actions=4')
        scene.expect('p1', 'p4')
        ofctl('-O', 'OpenFlow15', 'mod-group', 'br0', 'group_id=1,type=ff,'
              'bucket=bucket_id=9,watch_port:3,actions=3,'
              'bucket=bucket_id=8,watch_port:4,actions=4')
        scene.expect('p1', 'p3')
        ofctl('-O', 'OpenFlow15', 'remove-buckets', 'br0', 'group_id=1,'
              'command_bucket_id=9')
        scene.expect('p1', 'p4')
        ofctl('-O', 'OpenFlow15', 'mod-group', 'br0',
              'group_id=1,type=ff,bucket=watch_group:7,actions=4')
        scene.expect('p1', 'no: packets are dropped')
        ofctl('-O', 'OpenFlow15', 'add-group', 'br0',
              'group_id=7,type=indirect,bucket=actions=2')
        scene.expect('p1', 'p4')
        ofctl('-O', 'OpenFlow15', 'del-groups', 'br0', 'group_id=7')
        scene.expect('p1', 'no: packets are dropped')
        ofctl('-O', 'OpenFlow15', 'del-groups', 'br0', 'group_id=1')
        scene.expect('p1', 'no: match no rule in table 0')


def test_bfd_liveness(lab):
    """A bucket that dies because BFD says so."""
    lab.expect_log(r'bfd\|WARN')
    with p2p_scene(lab) as scene:
        scene.flows('in_port=1,actions=group:1', groups=[
            'group_id=1,type=ff,bucket=watch_port:3,actions=2,'
            'bucket=watch_port:4,actions=4'])
        scene.expect('p1', 'p2')
        for _ in range(5):
            scene.switch.vsctl('set', 'Interface', 'p3', 'bfd:enable=true')
            scene.expect('p1', 'p4')
            scene.switch.vsctl('clear', 'Interface', 'p3', 'bfd')
            scene.expect('p1', 'p2')


def test_stack(lab):
    """A stack so large that the switch gives up."""
    push = ','.join(['push:NXM_NX_XXREG0[]'] * 2000)
    with p2p_scene(lab) as scene:
        flows = ['in_port=1,actions=%s,resubmit(,1)' % push,
                 'table=1,actions=resubmit(,2)', 'table=2,actions=2']
        scene.flows(*flows)
        scene.expect('p1', 'p2')
        flows[1] = 'table=1,actions=%s,resubmit(,2)' % push
        scene.flows(*flows)
        scene.expect('p1', 'no: bytes on the stack')
        text = scene.switch.appctl('ofproto/trace', 'br0', 'in_port=1')
        check('over 64 kB of stack' in text, 'the switch does not mind')


def test_rules_go(lab):
    """Rules that expire, are evicted, replaced or deleted."""
    with p2p_scene(lab) as scene:
        ofctl = scene.switch.ofctl
        scene.flows('priority=1,in_port=1,actions=2')
        ofctl('add-flow', 'br0', 'in_port=1,hard_timeout=1,actions=3')
        scene.expect('p1', 'p3')
        scene.expect('p1', 'p2')
        ofctl('add-flow', 'br0', 'in_port=1,idle_timeout=1,actions=3')
        scene.expect('p1', 'p3')
        scene.expect('p1', 'p2')
        ofctl('add-flow', 'br0', 'ip,idle_timeout=1,actions=3')
        scene.expect('p1', 'no: not all packets')
        scene.expect('p1', 'p2')
        # Deleted, one by one and all together.
        ofctl('add-flow', 'br0', 'cookie=7,in_port=1,actions=4')
        scene.expect('p1', 'p4')
        ofctl('del-flows', 'br0', 'cookie=7/-1')
        scene.expect('p1', 'p2')
        ofctl('add-flow', 'br0', 'cookie=7,in_port=1,actions=4')
        ofctl('add-flow', 'br0', 'priority=50000,cookie=7,ip,actions=2')
        scene.expect('p1', 'no: not all packets')
        ofctl('del-flows', 'br0', 'cookie=7/-1')
        scene.expect('p1', 'p2')
        # Changed.
        ofctl('mod-flows', 'br0', 'in_port=1,actions=3')
        scene.expect('p1', 'p3')
        ofctl('add-flow', 'br0', 'priority=1,in_port=1,actions=4')
        scene.expect('p1', 'p4')
        ofctl('mod-flows', 'br0', 'actions=drop')
        scene.expect('p1', 'no: packets are dropped')
        ofctl('mod-flows', 'br0', 'actions=2')
        scene.expect('p1', 'p2')
        # Evicted.
        scene.switch.vsctl(
            '--', '--id=@t', 'create', 'Flow_Table', 'flow_limit=2',
            'overflow_policy=evict', '--', 'set', 'Bridge', 'br0',
            'flow_tables:0=@t')
        scene.flows('priority=2,in_port=1,importance=1,hard_timeout=100,'
                    'actions=3', 'priority=1,in_port=1,importance=9,'
                    'hard_timeout=200,actions=2')
        scene.expect('p1', 'p3')
        ofctl('-O', 'OpenFlow14', 'add-flow', 'br0', 'in_port=4,importance=9,'
              'hard_timeout=200,actions=1')
        scene.expect('p1', 'p2')
        # Learned, by a packet.
        scene.switch.vsctl('clear', 'Bridge', 'br0', 'flow_tables')
        scene.flows('in_port=1,actions=2',
                    'in_port=3,actions=learn(table=0,priority=40000,'
                    'hard_timeout=2,NXM_OF_IN_PORT[]=NXM_OF_IN_PORT[],'
                    'output:NXM_OF_IN_PORT[])')
        scene.expect('p3', 'no: learn')
        scene.peers['p3'].send([make_frame()])
        scene.expect('p3', 'no: packets are dropped')
        scene.expect('p3', 'no: learn')


def test_incremental(lab):
    """A change of the tables asks only those whom it can concern."""
    n = 8
    with p2p_scene(lab, n=n) as scene:
        ofctl = scene.switch.ofctl
        scene.flows(*('priority=10,in_port=%d,actions=%d' % (i, i % n + 1)
                      for i in range(1, n + 1)),
                    'priority=5,actions=resubmit(,1)',
                    'table=1,actions=NORMAL')
        for i in range(1, n + 1):
            scene.expect('p%d' % i, 'p%d' % (i % n + 1))

        def asked():
            scene.show()
            return scene.coverage('p2p_evaluate')

        def check_asked(wanted, what, *commands):
            """What is deleted is known a little later."""
            before = asked()
            for command in commands:
                command()
            wait_until(lambda: asked() - before >= wanted, 5, what)
            check_equal(asked() - before, wanted, what)

        def add(flow):
            return lambda: ofctl('add-flow', 'br0', flow)

        def delete(flow):
            return lambda: ofctl('--strict', 'del-flows', 'br0', flow)
        check_asked(0, 'nothing')
        check_asked(0, 'of a lower priority',
                    add('priority=9,in_port=1,ip,actions=drop'),
                    add('priority=9,ip,actions=drop'),
                    add('priority=9,reg0=0,actions=drop'),
                    delete('priority=9,in_port=1,ip'),
                    delete('priority=9,ip'), delete('priority=9,reg0=0'))
        check_asked(0, 'for other ports',
                    add('priority=99,in_port=99,actions=drop'),
                    add('priority=99,in_port=99,ip,actions=drop'),
                    delete('priority=99,in_port=99'))
        check_asked(0, 'for other packets',
                    add('priority=99,reg0=1,ip,actions=drop'),
                    add('priority=99,metadata=1,actions=drop'),
                    delete('priority=99,metadata=1'))
        check_asked(0, 'in another table', add('table=1,ip,actions=drop'),
                    add('table=2,actions=drop'))
        check_asked(1, 'for one port',
                    add('priority=99,in_port=3,actions=4'))
        check_asked(1, 'for one port',
                    add('priority=99,in_port=3,actions=5'))
        check_asked(1, 'away for one port', delete('priority=99,in_port=3'))
        check_asked(n, 'for all ports', add('priority=98,ip,actions=drop'))
        check_asked(0, 'in addition', add('priority=98,arp,actions=drop'),
                    add('priority=9999,ipv6,actions=drop'))
        check_asked(1, 'over it for one port',
                    add('priority=9999,in_port=3,actions=4'))
        check_asked(n, 'away for all', delete('priority=98,ip'))
        # One transaction, one question.
        flows = scene.lab.dir + '/flows'
        with open(flows, 'w') as f:
            for i in range(1000):
                f.write('priority=200,in_port=7,ip,nw_dst=10.0.%d.%d,'
                        'actions=drop\n' % divmod(i, 250))
            f.write('priority=9998,in_port=3,actions=5\n')
        check_asked(1, 'for one port, with 1000 others',
                    lambda: ofctl('--bundle', 'add-flows', 'br0', flows))
        # What comes and goes before anybody is asked.
        scene.flows('priority=10,in_port=8,actions=1')
        scene.expect('p8', 'p1')
        with open(flows, 'w') as f:
            for i in range(20):
                f.write('add priority=200,in_port=8,ip,nw_dst=10.0.0.%d,'
                        'actions=drop\n'
                        'delete_strict priority=200,in_port=8,ip,'
                        'nw_dst=10.0.0.%d\n' % (i, i))
        check_asked(0, 'for what is gone again',
                    lambda: ofctl('--bundle', 'add-flows', 'br0', flows))
        scene.expect('p8', 'p1')
        with open(flows, 'a') as f:
            f.write('add priority=200,in_port=8,arp,actions=drop\n')
        # And one that stays.
        ofctl('--bundle', 'add-flows', 'br0', flows)
        scene.expect('p8', 'no: not all packets match the same rule')


def test_show(lab):
    """What p2p/show and the log say."""
    with p2p_scene(lab, n=2) as scene:
        s = scene.switch
        s.ofctl('del-flows', 'br0')
        s.ofctl('add-flow', 'br0', 'in_port=1,actions=2')
        scene.expect('p1', 'p2')
        text = s.appctl('p2p/show', 'br0')
        check(re.fullmatch(
            r'br0:\n'
            r'  br0: none, br0: is no dpdkr port\n'
            r'  p1: to p2 \[[^\n]*\]\n'
            r'  p2: none, packets match no rule in table 0\n', text),
            'p2p/show says\n%s', text)
        check_equal(s.appctl('p2p/show'), text, 'p2p/show')
        answer = json.loads(s.appctl('p2p/show', '--json'))
        check_equal(answer['br0']['br0'],
                    {'reason': 'br0: is no dpdkr port'}, 'for br0')
        check_equal(answer['br0']['p2']['reason'],
                    'packets match no rule in table 0', 'for p2')
        check_equal(answer['br0']['p1']['to'], 'p2', 'for p1')
        check_equal(answer['br0']['p1']['tables'], [0], 'for p1')
        check('no such bridge' in s.appctl('p2p/show', 'br9', check=False),
              'no complaint about br9')
        scene.wait_log(r'p2p\|INFO\|br0: all packets from p1 go to p2')
        s.ofctl('del-flows', 'br0')
        scene.wait_log(r'p2p\|INFO\|br0: not all packets from p1 go to p2 any '
                       r'more: packets match no rule in table 0')
        check(scene.coverage('p2p_found') >= 1
              and scene.coverage('p2p_lost') >= 1
              and scene.coverage('p2p_probe') >= 1, 'coverage counters')
