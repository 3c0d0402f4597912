# SPDX-License-Identifier: Apache-2.0
"""Random flow tables, settings of bridges and ports, and packets, for the
oracle of the p-2-p link detector (p2p_oracle.py).

All choices come from a random.Random, so a seed tells all of them.  There are
few values for everything, so that rules, packets and settings meet.
"""

import contextlib
import re

N_PORTS = 6
# A port that never has a peer, a patch port to another bridge, and numbers of
# no port at all.
OTHER_PORTS = ['7', '8', '9', '11', 'LOCAL']
LAST_TABLE = 4

MACS = ['02:00:00:00:00:0%d' % i for i in range(3)] + ['01:80:c2:00:00:00',
                                                       '01:80:c2:00:00:0e',
                                                       'ff:ff:ff:ff:ff:ff']
IPS = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '224.0.0.1']
NETS = IPS + ['10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/1']
PORTS = ['80', '443', '0x100/0xff00']

# What a rule may match that is the same in all packets from a port, until an
# action writes it.
METADATA = [
    'reg0=0', 'reg0=1', 'reg0=2/0x2', 'reg1=5', 'reg1=0/0xff', 'xreg0=0',
    'xreg0=0x100000005', 'xxreg0=1/1', 'metadata=0', 'metadata=3',
    'metadata=1/1', 'tun_id=0', 'tun_id=4', 'tun_src=0.0.0.0',
    'tun_src=10.0.0.1', 'pkt_mark=0', 'pkt_mark=1', 'conj_id=0', 'conj_id=3',
    'ct_state=-trk', 'ct_state=+trk', 'ct_mark=0', 'ct_zone=0',
    'actset_output=1', 'actset_output=2', 'packet_type=(0,0)', 'recirc_id=0',
    'tun_metadata0=0', 'tun_metadata0=1']

# Actions without an output.
SCRATCH = [
    'load:0x1->NXM_NX_REG0[]', 'load:0x2->NXM_NX_REG0[]',
    'load:0x3->NXM_NX_REG0[0..7]', 'load:0x5->NXM_NX_REG1[]',
    'load:0x1->NXM_NX_REG0[1]', 'set_field:0->reg0', 'set_field:1->xreg0',
    'set_field:1/1->xxreg0', 'set_field:4->tun_id', 'set_field:0->tun_id',
    'move:NXM_NX_REG0[]->NXM_NX_REG1[]', 'move:NXM_NX_REG1[]->NXM_NX_REG0[]',
    'move:NXM_NX_REG1[0..3]->NXM_NX_REG0[4..7]',
    'move:NXM_NX_REG0[0..15]->OXM_OF_METADATA[0..15]',
    'move:OXM_OF_METADATA[0..31]->NXM_NX_REG1[]',
    'move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15]',
    'move:NXM_OF_VLAN_TCI[]->NXM_NX_REG0[0..15]',
    'move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]',
    'move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[]',
    'move:NXM_NX_CT_MARK[]->NXM_NX_REG1[]',
    'move:NXM_NX_REG0[0..15]->NXM_OF_IN_PORT[]',
    'push:NXM_NX_REG0[]', 'push:NXM_NX_REG1[0..15]',
    'push:NXM_OF_ETH_DST[0..15]', 'push:NXM_OF_IN_PORT[]',
    'pop:NXM_NX_REG1[]', 'pop:NXM_NX_REG0[0..15]', 'pop:NXM_OF_IN_PORT[]',
    'load:0->NXM_OF_IN_PORT[]', 'load:3->NXM_OF_IN_PORT[]',
    'load:0xfffe->NXM_OF_IN_PORT[]',
    'set_field:3->metadata', 'set_field:1/1->metadata', 'set_queue:1',
    'pop_queue', 'note:01', 'ct_clear', 'exit']
CHANGES = [
    'mod_dl_dst:' + MACS[1], 'mod_dl_src:' + MACS[1], 'mod_vlan_vid:7',
    'mod_vlan_pcp:3', 'push_vlan:0x8100',
    'push_vlan:0x8100,pop_vlan', 'set_field:%s->eth_src' % MACS[0],
    'set_field:02:00:00:00:00:00/ff:00:00:00:00:00->eth_dst',
    'load:0x1->NXM_NX_PKT_MARK[]', 'load:0->NXM_NX_PKT_MARK[]',
    'set_field:10.0.0.1->tun_dst', 'pop:NXM_OF_ETH_DST[0..15]',
    'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]',
    'move:NXM_NX_REG0[]->NXM_NX_PKT_MARK[]',
    'set_field:1->tun_metadata0', 'delete_field:tun_metadata0',
    'move:NXM_NX_TUN_METADATA0[0..31]->NXM_NX_REG0[]',
    'learn(table=4,priority=3)',
    'multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])',
    'multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[0..1])',
    'check_pkt_larger(200)->NXM_NX_REG0[0]',
    'sample(probability=65535,collector_set_id=1,obs_domain_id=0,'
    'obs_point_id=0)',
    'meter:1']
# What may send packets through the datapath once more.
RECIRCULATING = ['push_mpls:0x8847', 'push_mpls:0x8847,pop_mpls:0x0800',
                 'encap(nsh(md_type=1))', 'decap()']
# Only behind a match of an Ethernet type.
IP_CHANGES = ['dec_ttl', 'mod_nw_ttl:9', 'mod_nw_tos:4', 'mod_nw_ecn:1',
              'mod_nw_dst:10.0.0.1', 'dec_ttl(1,2)',
              'move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]',
              'move:NXM_NX_REG0[]->NXM_OF_IP_DST[]',
              'move:NXM_OF_IP_TOS[]->NXM_NX_REG0[0..7]', 'ct(commit)',
              'ct(commit,zone=1)']

# Buckets are action sets, and not everything may be in one.
BUCKET_ACTIONS = [
    a for a in SCRATCH + CHANGES
    if not re.match('push:|pop:|pop_queue|note|exit|learn|delete_field|'
                    'multipath|check_pkt|sample|meter', a)]


def is_ip(match):
    return any(field in ('ip', 'ipv6', 'tcp', 'udp')
               for field in match.split(','))


class Tables:
    """A random set of flows and groups, which change() changes at random."""

    def __init__(self, rng):
        self.rng = rng
        self.groups = {}        # Of lists of what makes up a group.
        self.flows = {}
        # When a packet goes through the datapath once more, for the hash of a
        # group, for ct() or for what is behind MPLS, or may do so later,
        # because of controller(pause), while its action set is
        # longer than what is left of the actions, the base fails an assertion
        # (recirc_alloc_id__()).  So there is either an action set or that.
        self.recirculates = rng.random() < 0.5
        self.all_changes = CHANGES + RECIRCULATING * self.recirculates
        self.lines = ['flow delete', 'group delete group_id=all']
        for i in range(rng.choice([0, 0, 1, 2, 3])):
            self.add_group(100 + i)
        # From sparse to crowded.
        for _ in range(rng.choice([1, 2, 4, 8, 16, 40])):
            self.add_flow()
        if rng.random() < 0.1:
            self.add_conjunction()
        if rng.random() < 0.8:
            # What a sensible controller does.
            for port in range(1, N_PORTS + 1):
                if rng.random() < 0.8:
                    self.set_flow(0, rng.choice([1, 5, 9, 9]),
                                  'in_port=%d' % port, self.actions(0, ''))
        if rng.random() < 0.7:
            for table in range(1, LAST_TABLE + 1):
                if rng.random() < 0.7:
                    self.set_flow(table, 0, '', self.actions(table, ''))

    def change(self):
        """Changes something.  'lines' has only that then."""
        rng = self.rng
        self.lines = []
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            kind = rng.random()
            if kind < 0.3 and self.flows:
                self.delete_flow(rng.choice(list(self.flows)))
            elif kind < 0.5 and self.flows:
                table, priority, match = rng.choice(list(self.flows))
                self.set_flow(table, priority, match,
                              self.actions(table, match))
            elif kind < 0.65 and self.groups:
                self.add_group(rng.choice(list(self.groups)))
            elif kind < 0.7 and self.groups:
                self.delete_group(rng.choice(list(self.groups)))
            elif kind < 0.75:
                self.add_group(rng.randint(100, 103))
            elif kind < 0.78:
                self.add_conjunction()
            else:
                self.add_flow()

    def set_flow(self, table, priority, match, actions):
        self.flows[table, priority, match] = actions
        self.lines.append('flow add table=%d,priority=%d%s,actions=%s'
                          % (table, priority, match and ',' + match, actions))

    def delete_flow(self, key):
        table, priority, match = key
        del self.flows[key]
        self.lines.append('flow delete_strict table=%d,priority=%d%s'
                          % (table, priority, match and ',' + match))

    def delete_group(self, group_id):
        name = 'group:%d' % group_id
        if any(a.count(name) > 1 for a in self.flows.values()):
            # The base deletes such a flow twice, and fails an assertion
            # (ofproto_rule_remove__()).
            return
        del self.groups[group_id]
        self.lines.append('group delete group_id=%d' % group_id)
        # These go with it.
        for key in [k for k, a in self.flows.items() if name in a]:
            del self.flows[key]

    def add_flow(self):
        rng = self.rng
        table = rng.choice([0, 0, 0, 1, 2, 3, LAST_TABLE])
        match = self.match()
        self.set_flow(table, rng.choice([1, 5, 5, 9]), match,
                      self.actions(table, match))

    def add_conjunction(self):
        rng = self.rng
        table = rng.choice([0, 0, 1])
        priority = rng.choice([1, 5, 9])
        matches = ['ip,nw_dst=' + rng.choice(NETS), 'in_port=%s' % self.port(),
                   'dl_dst=' + rng.choice(MACS), 'reg0=0', 'metadata=0']
        rng.shuffle(matches)
        for i in range(2):
            self.set_flow(table, priority, matches[i],
                          'conjunction(3,%d/2)' % (i + 1))
        self.set_flow(table, priority, 'conj_id=3', self.actions(table, ''))

    def port(self):
        rng = self.rng
        if rng.random() < 0.9:
            return str(rng.randint(1, N_PORTS))
        return rng.choice(OTHER_PORTS)

    def match(self):
        rng = self.rng
        fields = []
        if rng.random() < 0.6:
            fields.append('in_port=%s' % self.port())
        if rng.random() < 0.25:
            fields.append(rng.choice(METADATA))
        if rng.random() < 0.15:
            fields.append('dl_dst=' + rng.choice(
                MACS + ['01:00:00:00:00:00/01:00:00:00:00:00']))
        if rng.random() < 0.1:
            fields.append('dl_src=' + rng.choice(MACS))
        if rng.random() < 0.05:
            fields.append(rng.choice(['vlan_tci=0', 'dl_vlan=5',
                                      'vlan_tci=0x1000/0x1000']))
        kind = rng.random()
        if kind < 0.06:
            fields.append(rng.choice([
                'arp', 'arp,arp_op=1', 'ipv6', 'icmp6,nd_target=fe80::1',
                'dl_type=0x88cc', 'dl_type=0x8902', 'mpls',
                'mpls,mpls_bos=1']))
        elif kind < 0.3:
            proto = rng.choice(['ip', 'tcp', 'udp'])
            fields.append(proto)
            if rng.random() < 0.5:
                fields.append('nw_dst=' + rng.choice(NETS))
            if rng.random() < 0.2:
                fields.append('nw_frag=' + rng.choice(['no', 'yes', 'later']))
            if rng.random() < 0.1:
                fields.append('nw_ttl=1')
            if proto == 'tcp' and rng.random() < 0.1:
                fields.append('tcp_flags=+syn')
            if proto != 'ip' and rng.random() < 0.5:
                fields.append('tp_dst=' + rng.choice(PORTS))
        return ','.join(fields)

    def resubmit(self, table):
        rng = self.rng
        target = rng.choice([table, *range(table + 1, LAST_TABLE + 1)]
                            if rng.random() < 0.9 else range(LAST_TABLE + 1))
        if rng.random() < 0.2:
            return 'resubmit(%s,%d)' % (self.port(), target)
        return 'resubmit(,%d)' % target

    def outputs(self, table, match):
        """Returns an action that may send packets somewhere."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return 'output:%s' % self.port()
        if kind < 0.68 and self.groups:
            return 'group:%d' % rng.choice(list(self.groups))
        if kind < 0.88:
            return self.resubmit(table)
        choices = ['in_port', 'NORMAL', 'FLOOD', 'ALL', 'CONTROLLER', 'LOCAL',
                   'output:NXM_NX_REG0[]', 'output:NXM_NX_REG0[0..15]',
                   'output:OXM_OF_METADATA[]',
                   'enqueue:%s:1' % self.port(),
                   'output(port=%s,max_len=100)' % self.port(),
                   'clone(output:%s)' % self.port(),
                   'clone(set_field:9->reg0,%s)' % self.resubmit(table),
                   'bundle(eth_src,0,hrw,ofport,members:1,2)',
                   'bundle(eth_src,0,active_backup,ofport,members:1,2)',
                   'bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[],'
                   'members:1,2)']
        if self.recirculates:
            choices.append('controller(pause)')
        if is_ip(match):
            choices.append('resubmit(,%d,ct)' % rng.randint(1, LAST_TABLE))
            if self.recirculates:
                # To nowhere: a way back here would have ofproto/trace follow
                # it for ever, and take all memory.
                choices.append('ct(table=%d)' % (LAST_TABLE + 1))
        return rng.choice(choices)

    def changes(self, match):
        """Returns an action that does not send packets anywhere."""
        rng = self.rng
        if rng.random() < 0.7:
            return rng.choice(SCRATCH)
        if is_ip(match):
            return rng.choice(self.all_changes + IP_CHANGES)
        if 'dl_vlan=' in match:
            return rng.choice(self.all_changes + ['pop_vlan'])
        return rng.choice(self.all_changes)

    def actions(self, table, match):
        rng = self.rng
        actions = []
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            actions.append(self.changes(match))
        for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
            actions.append(self.outputs(table, match))
        if rng.random() < 0.1:
            actions.append(self.changes(match))
        if rng.random() < 0.1:
            rng.shuffle(actions)
        actions.sort(key=lambda a: a != 'meter:1')
        if rng.random() < 0.06:
            actions.append('clear_actions')
        if rng.random() < 0.15 and not self.recirculates:
            what = ['output:%s' % self.port(),
                    'set_field:%s->eth_dst' % MACS[0], 'set_field:2->reg0',
                    'set_queue:1', self.resubmit(table)]
            what += ['group:%d' % g for g in self.groups]
            actions.append('write_actions(%s)' % ','.join(
                rng.sample(what, rng.choice([1, 1, 1, 2]))))
        if rng.random() < 0.1:
            actions.append('write_metadata:0x%x/0x3' % rng.randint(0, 3))
        if table < LAST_TABLE and rng.random() < 0.2:
            actions.append('goto_table:%d' % rng.randint(table + 1,
                                                         LAST_TABLE))
        return ','.join(actions) or 'drop'

    def bucket(self, kind, others):
        rng = self.rng
        bucket = 'bucket='
        if kind == 'select' and rng.random() < 0.5:
            bucket += 'weight:%d,' % rng.randint(0, 2)
        if kind == 'ff' or (kind == 'select' and rng.random() < 0.3):
            if others and rng.random() < 0.2:
                bucket += 'watch_group:%d,' % rng.choice(others)
            else:
                bucket += 'watch_port:%d,' % rng.randint(1, N_PORTS + 1)
        actions = []
        if rng.random() < 0.2:
            actions.append(rng.choice(
                BUCKET_ACTIONS + RECIRCULATING * self.recirculates))
        if others and rng.random() < 0.1:
            actions.append('group:%d' % rng.choice(others))
        if rng.random() < 0.1:
            actions.append('resubmit(,%d)' % rng.randint(1, LAST_TABLE))
        if rng.random() < 0.9:
            actions.append('output:%s' % self.port())
        return bucket + 'actions=' + ','.join(actions or ['drop'])

    def add_group(self, group_id):
        """Adds a group, or changes one."""
        rng = self.rng
        kind = rng.choice(['indirect', 'all', 'select', 'ff'])
        others = [g for g in self.groups if g < group_id]
        parts = ['group_id=%d,type=%s' % (group_id, kind)]
        if kind == 'select':
            methods = ['selection_method=hash,fields(eth_src)']
            if self.recirculates:
                methods += ['', 'selection_method=dp_hash']
            parts += filter(None, [rng.choice(methods)])
        parts += [self.bucket(kind, others) for _ in range(
            1 if kind == 'indirect' else rng.choice([0, 1, 1, 2, 3]))]
        command = 'modify' if group_id in self.groups else 'add'
        self.groups[group_id] = parts
        self.lines.append('group %s %s' % (command, ','.join(parts)))


def random_packet(rng, port):
    fields = ['in_port=%d' % port, 'dl_src=' + rng.choice(MACS[:3]),
              'dl_dst=' + rng.choice(MACS)]
    if rng.random() < 0.2:
        fields.append(rng.choice(['dl_vlan=5', 'vlan_tci=0x1007']))
    kind = rng.random()
    if kind < 0.6:
        proto = rng.choice(['ip', 'tcp', 'udp', 'icmp'])
        fields += [proto, 'nw_src=' + rng.choice(IPS[:3]),
                   'nw_dst=' + rng.choice(IPS),
                   'nw_ttl=%d' % rng.choice([1, 64])]
        if proto != 'ip':
            if rng.random() < 0.2:
                fields.append('nw_frag=' + rng.choice(['first', 'later']))
            elif proto != 'icmp':
                fields.append(proto + '_dst='
                              + rng.choice(['80', '443', '257']))
                if proto == 'tcp':
                    fields.append('tcp_flags=' + rng.choice(['syn', 'ack']))
    elif kind < 0.7:
        fields += ['arp', 'arp_op=%d' % rng.randint(1, 2),
                   'arp_tpa=' + rng.choice(IPS)]
    elif kind < 0.8:
        fields += ['ipv6', 'ipv6_dst=fe80::%d' % rng.randint(1, 3)]
    else:
        fields.append('dl_type=' + rng.choice(['0x88cc', '0x8902', '0x05ff',
                                               '0x8809', '0x8847', '0x1234']))
    return ','.join(fields)


# What can be set for a bridge, and for a port, and what is set otherwise.
# "{0}" is for the number of a port.  "ofctl:" is for ovs-ofctl mod-port,
# "frags:" for its set-frags, "table:" for its mod-table, and the others are
# for ovs-vsctl.
BRIDGE_SETTINGS = [
    ('-- --id=@p get Port p{0} -- --id=@o get Port p7 -- --id=@m create '
     'Mirror name=m select_src_port=@p output_port=@o -- set Bridge br0 '
     'mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p{0} -- --id=@o get Port p7 -- --id=@m create '
     'Mirror name=m select_dst_port=@p output_port=@o -- set Bridge br0 '
     'mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p{0} -- --id=@o get Port p1 -- --id=@m create '
     'Mirror name=m select_dst_port=@p select_vlan=5 output_port=@o -- '
     'set Bridge br0 mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p7 -- --id=@o get Port p{0} -- --id=@m create '
     'Mirror name=m select_src_port=@p select_dst_port=@p output_port=@o -- '
     'set Bridge br0 mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p{0} -- --id=@m create Mirror name=m '
     'select_src_port=@p output_vlan=9 -- set Bridge br0 mirrors=@m',
     'clear Bridge br0 mirrors'),
    ('-- --id=@m create Mirror name=m select_all=true output_vlan=9 -- '
     'set Bridge br0 mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@s create sFlow targets="127.0.0.1:6343" header=128 sampling=10 '
     'polling=0 -- set Bridge br0 sflow=@s', 'clear Bridge br0 sflow'),
    ('-- --id=@i create IPFIX targets="127.0.0.1:4739" sampling=10 -- '
     'set Bridge br0 ipfix=@i', 'clear Bridge br0 ipfix'),
    ('-- --id=@b get Bridge br0 -- --id=@i create IPFIX '
     'targets="127.0.0.1:4739" -- create Flow_Sample_Collector_Set id=1 '
     'bridge=@b ipfix=@i', '--all destroy Flow_Sample_Collector_Set'),
    ('set Bridge br0 stp_enable=true', 'set Bridge br0 stp_enable=false'),
    ('set Bridge br0 rstp_enable=true', 'set Bridge br0 rstp_enable=false'),
    ('set Bridge br0 other_config:forward-bpdu=true',
     'remove Bridge br0 other_config forward-bpdu'),
    ('set Bridge br0 mcast_snooping_enable=true',
     'set Bridge br0 mcast_snooping_enable=false'),
    ('set Bridge br0 flood_vlans=5', 'clear Bridge br0 flood_vlans'),
    ('-- --id=@t create Flow_Table prefixes=tun_id -- set Bridge br0 '
     'flow_tables:0=@t', 'clear Bridge br0 flow_tables'),
    ('set Interface to1 other_config:x=y -- set Bridge br1 '
     'stp_enable=true', 'set Bridge br1 stp_enable=false'),
    ('frags:drop', 'frags:normal'),
    ('frags:nx-match', 'frags:normal'),
    ('table:continue', 'table:drop'),
]
PORT_SETTINGS = [
    ('ofctl:no-receive', 'ofctl:receive'),
    ('ofctl:no-receive-stp', 'ofctl:receive-stp'),
    ('ofctl:no-forward', 'ofctl:forward'),
    ('ofctl:no-packet-in', 'ofctl:packet-in'),
    ('ofctl:no-flood', 'ofctl:flood'),
    ('ofctl:down', 'ofctl:up'),
    ('set Port p{0} protected=true', 'set Port p{0} protected=false'),
    ('set Port p{0} lacp=active', 'set Port p{0} lacp=off'),
    ('set Port p{0} tag=5', 'clear Port p{0} tag'),
    ('set Port p{0} vlan_mode=trunk trunks=7',
     'clear Port p{0} vlan_mode trunks'),
    ('set Port p{0} vlan_mode=dot1q-tunnel tag=5',
     'clear Port p{0} vlan_mode tag'),
    ('set Interface p{0} cfm_mpid=1', 'clear Interface p{0} cfm_mpid'),
    ('set Interface p{0} bfd:enable=true', 'clear Interface p{0} bfd'),
    ('set Interface p{0} lldp:enable=true', 'clear Interface p{0} lldp'),
    ('set Interface p{0} ingress_policing_rate=1000',
     'set Interface p{0} ingress_policing_rate=0'),
]


@contextlib.contextmanager
def random_settings(rng, switch):
    """Chooses settings and puts them in force in the context.  The value of
    the context is what was set."""
    chosen = []
    if rng.random() < 0.5:
        chosen.append((*rng.choice(BRIDGE_SETTINGS), rng.randint(1, N_PORTS)))
    for _ in range(rng.choice([0, 1, 2, 3])):
        chosen.append((*rng.choice(PORT_SETTINGS), rng.randint(1, N_PORTS)))

    def put(command, port):
        kind, _, value = command.partition(':')
        if kind == 'ofctl':
            switch.ofctl('mod-port', 'br0', 'p%d' % port, value)
        elif kind == 'frags':
            switch.ofctl('set-frags', 'br0', value)
        elif kind == 'table':
            switch.ofctl('-O', 'OpenFlow11', 'mod-table', 'br0', 'all', value)
        else:
            switch.vsctl(*command.format(port).split())
    for do, _, port in chosen:
        put(do, port)
    try:
        yield '; '.join(do.format(port) for do, _, port in chosen)
    finally:
        for _, undo, port in chosen:
            put(undo, port)
