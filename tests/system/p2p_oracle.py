# SPDX-License-Identifier: Apache-2.0
"""Random flow tables: whenever the p-2-p link detector says that all packets
from A go to B, "ofproto/trace" of any packet from A has to say so, too.

NFV_P2P_TABLES says how many tables are tried, NFV_P2P_PACKETS how many packets
for each port that has a p-2-p link, NFV_P2P_SEED which.  With the same numbers
the same tables and packets are tried again.
"""

import contextlib
import json
import os
import random
import re
import socket
import time

from nfv.lab import LabError
from nfv.testing import check, options
from p2p import P2pScene

TABLES = int(os.environ.get('NFV_P2P_TABLES', 1000))
TABLES_PER_SETTING = 12
PACKETS = int(os.environ.get('NFV_P2P_PACKETS', 12))
SEED = int(os.environ.get('NFV_P2P_SEED', time.time()))

N_PORTS = 6
# A port that never has a peer, and numbers of no port at all.
OTHER_PORTS = [7, 9, 11]
LAST_TABLE = 4


class Unixctl:
    """Commands to the daemon, without a process for each."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.decoder = json.JSONDecoder()

    def __call__(self, method, *params):
        request = {'method': method, 'params': params, 'id': 0}
        self.socket.sendall(json.dumps(request).encode())
        text = ''
        while True:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError('the daemon is gone')
            text += data.decode()
            try:
                reply = self.decoder.raw_decode(text)[0]
                break
            except ValueError:
                pass
        if reply['error'] is not None:
            raise RuntimeError('%s %s: %s' % (method, params, reply['error']))
        return reply['result']

    def close(self):
        self.socket.close()


# Few values for each field, so that rules and packets meet.
MACS = ['02:00:00:00:00:0%d' % i for i in range(3)] + ['01:80:c2:00:00:00',
                                                       '01:80:c2:00:00:0e',
                                                       'ff:ff:ff:ff:ff:ff']
IPS = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '224.0.0.1']
NETS = IPS + ['10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/1']
PORTS = ['80', '443', '0x100/0xff00']


class Tables:
    """A random set of flows and groups."""

    def __init__(self, rng):
        self.rng = rng
        self.groups = {}
        self.flows = {}
        for i in range(rng.choice([0, 0, 1, 2, 3])):
            self.add_group(100 + i)
        # From sparse to crowded.
        for _ in range(rng.choice([1, 2, 4, 8, 16, 40])):
            table = rng.choice([0, 0, 0, 1, 2, 3, LAST_TABLE])
            match = self.match()
            priority = rng.choice([1, 5, 5, 9])
            key = table, priority, match
            content = any(f.split('=')[0] not in ('in_port', 'reg0', 'reg1',
                                                  'metadata', 'tun_id')
                          for f in match.split(',') if f)
            self.flows[key] = self.actions(table, content)
        if rng.random() < 0.7:
            # What a sensible controller does.
            for port in range(1, N_PORTS + 1):
                if rng.random() < 0.7:
                    self.flows[0, rng.choice([1, 5, 9, 9]),
                               'in_port=%d' % port] = self.actions(0, False)
        if rng.random() < 0.7:
            for table in range(1, LAST_TABLE + 1):
                if rng.random() < 0.7:
                    self.flows[table, 0, ''] = self.actions(table, False)

    def port(self):
        rng = self.rng
        if rng.random() < 0.9:
            return rng.randint(1, N_PORTS)
        return rng.choice(OTHER_PORTS)

    def match(self):
        rng = self.rng
        fields = []
        if rng.random() < 0.6:
            fields.append('in_port=%d' % self.port())
        if rng.random() < 0.2:
            fields.append(rng.choice(['reg0=0', 'reg0=1', 'reg0=2/0x2',
                                      'reg1=5', 'metadata=0', 'metadata=3',
                                      'metadata=1/1', 'tun_id=0', 'tun_id=4']))
        if rng.random() < 0.15:
            fields.append('dl_dst=' + rng.choice(MACS))
        if rng.random() < 0.1:
            fields.append('dl_src=' + rng.choice(MACS))
        if rng.random() < 0.05:
            fields.append(rng.choice(['vlan_tci=0', 'dl_vlan=5',
                                      'vlan_tci=0x1000/0x1000']))
        kind = rng.random()
        if kind < 0.06:
            fields.append(rng.choice(['arp', 'ipv6', 'dl_type=0x88cc',
                                      'dl_type=0x8902', 'mpls']))
        elif kind < 0.3:
            proto = rng.choice(['ip', 'tcp', 'udp'])
            fields.append(proto)
            if rng.random() < 0.5:
                fields.append('nw_dst=' + rng.choice(NETS))
            if rng.random() < 0.2:
                fields.append('nw_frag=' + rng.choice(['no', 'yes', 'later']))
            if proto != 'ip' and rng.random() < 0.5:
                fields.append('tp_dst=' + rng.choice(PORTS))
        return ','.join(fields)

    def outputs(self, table, depth=0):
        """Returns an action that may send packets somewhere."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return 'output:%d' % self.port()
        if kind < 0.68 and self.groups:
            return 'group:%d' % rng.choice(list(self.groups))
        if kind < 0.88:
            target = rng.choice([table, *range(table + 1, LAST_TABLE + 1)]
                                if rng.random() < 0.9
                                else range(LAST_TABLE + 1))
            if rng.random() < 0.2:
                return 'resubmit(%d,%d)' % (self.port(), target)
            return 'resubmit(,%d)' % target
        return rng.choice(['in_port', 'NORMAL', 'FLOOD', 'ALL', 'CONTROLLER',
                           'LOCAL', 'output:NXM_NX_REG0[]',
                           'enqueue:%d:1' % self.port(),
                           'output(port=%d,max_len=100)' % self.port(),
                           'clone(output:%d)' % self.port(),
                           'bundle(eth_src,0,hrw,ofport,members:1,2)'])

    def changes(self):
        """Returns an action without an output."""
        return self.rng.choice([
            'load:0x1->NXM_NX_REG0[]', 'load:0x2->NXM_NX_REG0[]',
            'load:0x5->NXM_NX_REG1[]', 'load:0x1->NXM_NX_REG0[1]',
            'set_field:4->tun_id', 'move:NXM_NX_REG0[]->NXM_NX_REG1[]',
            'move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15]',
            'move:NXM_NX_REG1[]->NXM_NX_REG0[]',
            'push:NXM_NX_REG0[]', 'pop:NXM_NX_REG1[]',
            'push:NXM_OF_ETH_DST[0..15]', 'pop:NXM_NX_REG0[0..15]',
            'load:0->NXM_OF_IN_PORT[]', 'load:3->NXM_OF_IN_PORT[]',
            'mod_dl_dst:' + MACS[1], 'mod_vlan_vid:7', 'push_vlan:0x8100',
            'set_field:3->metadata', 'set_field:1/1->metadata',
            'set_queue:1', 'pop_queue', 'note:01', 'ct_clear', 'exit',
            'load:0x1->NXM_NX_PKT_MARK[]', 'learn(table=4,priority=3)',
            'multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])',
            'check_pkt_larger(200)->NXM_NX_REG0[0]',
            'sample(probability=65535,collector_set_id=1,obs_domain_id=0,'
            'obs_point_id=0)'])

    def actions(self, table, content):
        rng = self.rng
        actions = []
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            actions.append(self.changes())
        for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
            actions.append(self.outputs(table))
        if rng.random() < 0.1:
            rng.shuffle(actions)
        if rng.random() < 0.06:
            actions.append('clear_actions')
        if rng.random() < 0.12:
            what = rng.choice(['output:%d' % self.port(),
                               'set_field:%s->eth_dst' % MACS[0]]
                              + ['group:%d' % g for g in self.groups])
            actions.append('write_actions(%s)' % what)
        if rng.random() < 0.1:
            actions.append('write_metadata:0x%x/0x3' % rng.randint(0, 3))
        if table < LAST_TABLE and rng.random() < 0.2:
            actions.append('goto_table:%d' % rng.randint(table + 1,
                                                         LAST_TABLE))
        return ','.join(actions) or 'drop'

    def add_group(self, group_id):
        rng = self.rng
        kind = rng.choice(['indirect', 'all', 'select', 'ff'])
        buckets = []
        for _ in range(1 if kind == 'indirect' else rng.randint(0, 3)):
            bucket = 'bucket='
            if kind == 'select' and rng.random() < 0.5:
                bucket += 'weight:%d,' % rng.randint(0, 2)
            if kind == 'ff' or (kind == 'select' and rng.random() < 0.3):
                if self.groups and rng.random() < 0.2:
                    bucket += ('watch_group:%d,'
                               % rng.choice(list(self.groups)))
                else:
                    bucket += 'watch_port:%d,' % self.port()
            actions = []
            if rng.random() < 0.15:
                actions.append(self.changes())
            if self.groups and rng.random() < 0.1:
                actions.append('group:%d' % rng.choice(list(self.groups)))
            if rng.random() < 0.1:
                actions.append('resubmit(,%d)' % rng.randint(1, LAST_TABLE))
            if rng.random() < 0.9:
                actions.append('output:%d' % self.port())
            buckets.append(bucket + 'actions=' + ','.join(actions or ['drop']))
        method = ''
        if kind == 'select':
            method = rng.choice(['', '', ',selection_method=hash,fields('
                                 'eth_src)', ',selection_method=dp_hash'])
        self.groups[group_id] = ','.join(
            ['group_id=%d,type=%s%s' % (group_id, kind, method)] + buckets)

    def lines(self):
        """The flows and groups as a bundle that replaces all others."""
        yield 'flow delete'
        yield 'group delete group_id=all'
        writes = any('write_actions' in a for a in self.flows.values())
        for group in self.groups.values():
            if writes:
                # With a hash from the datapath and an action set that is
                # longer than what is left of the actions, the base fails an
                # assertion (recirc_alloc_id__()).
                group = re.sub(r'type=select(,selection_method=dp_hash)?'
                               r'(?!,selection)', 'type=select,'
                               'selection_method=hash,fields(eth_src)', group)
            yield 'group add ' + group
        for (table, priority, match), actions in self.flows.items():
            yield ('flow add table=%d,priority=%d%s,actions=%s'
                   % (table, priority, match and ',' + match, actions))


def random_packet(rng, port):
    fields = ['in_port=%d' % port, 'dl_src=' + rng.choice(MACS[:3]),
              'dl_dst=' + rng.choice(MACS)]
    if rng.random() < 0.2:
        fields.append(rng.choice(['dl_vlan=5', 'vlan_tci=0x1007']))
    kind = rng.random()
    if kind < 0.6:
        proto = rng.choice(['ip', 'tcp', 'udp', 'icmp'])
        fields += [proto, 'nw_src=' + rng.choice(IPS[:3]),
                   'nw_dst=' + rng.choice(IPS), 'nw_ttl=%d' % rng.choice(
                       [1, 64])]
        if proto != 'ip':
            if rng.random() < 0.2:
                fields.append('nw_frag=' + rng.choice(['first', 'later']))
            elif proto != 'icmp':
                fields.append(proto + '_dst='
                              + rng.choice(['80', '443', '257']))
    elif kind < 0.7:
        fields += ['arp', 'arp_tpa=' + rng.choice(IPS)]
    elif kind < 0.8:
        fields += ['ipv6', 'ipv6_dst=fe80::%d' % rng.randint(1, 3)]
    else:
        fields.append('dl_type=' + rng.choice(['0x88cc', '0x8902', '0x05ff',
                                               '0x8809', '0x8847', '0x1234']))
    return ','.join(fields)


class Oracle:
    def __init__(self, scene):
        self.scene = scene
        self.ctl = Unixctl(scene.switch.dir + '/ovs-vswitchd.ctl')
        self.datapath_ports = {}
        self.learn_ports()
        self.tables = self.refused = self.asked = self.yes = 0

    def learn_ports(self):
        text = self.ctl('dpif/show')
        for name, _, number in re.findall(r'^\s+(\S+) (\d+)/(\d+):', text,
                                          re.M):
            self.datapath_ports[name] = number

    def show(self):
        return json.loads(self.ctl('p2p/show', '--json', 'br0'))['br0']

    def trace(self, packet):
        """Returns the datapath actions for a packet, and the tables that it
        goes through."""
        text = self.ctl('ofproto/trace', 'br0', packet)
        actions = re.findall(r'^Datapath actions: (.*)$', text, re.M)
        tables = [int(n) for n in re.findall(r'^\s*(\d+)\. ', text, re.M)]
        return actions, tables, text

    def check(self, port, answer, packet):
        actions, tables, text = self.trace(packet)
        if re.search(r'\bhash\(.*\),recirc\(0x[0-9a-f]+\)', actions[0]):
            # A group wants a hash of the packet from the datapath, which is
            # where a trace ends.  With a hash, it goes on.
            packet += ',dp_hash=0x%x' % random.randint(1, 0xffffffff)
            actions, tables, text = self.trace(packet)
        good = (actions == [self.datapath_ports[answer['to']]]
                and tables == answer['tables'])
        check(good, '%s: %s, but "ofproto/trace br0 %s" says\n%s\n%s', port,
              answer, packet, text, self.scene.bundle())

    def run(self, rng, n_tables, n_packets):
        for _ in range(n_tables):
            self.tables += 1
            self.refused += not self.scene.load(Tables(rng))
            answers = self.show()
            for number in range(1, N_PORTS + 1):
                port = 'p%d' % number
                self.asked += 1
                answer = answers[port]
                if 'to' in answer:
                    self.yes += 1
                    for _ in range(n_packets):
                        self.check(port, answer, random_packet(rng, number))
            if self.tables % 500 == 0:
                print('%d tables, %d of them refused: %d of %d are p-2-p'
                      % (self.tables, self.refused, self.yes, self.asked),
                      flush=True)
        check(self.refused < 20 + self.tables / 8, '%d of %d tables are '
              'refused', self.refused, self.tables)


class OracleScene(P2pScene):
    def load(self, tables):
        """Returns false if 'tables' are not accepted, which leaves what was
        there."""
        with open(self.lab.dir + '/bundle', 'w') as f:
            f.writelines(line + '\n' for line in tables.lines())
        try:
            self.switch.ofctl('-O', 'OpenFlow15', '--bundle', 'bundle', 'br0',
                              self.lab.dir + '/bundle')
        except LabError as e:
            if 'Protocol error' not in str(e):
                print(e)
            return False
        return True

    def bundle(self):
        with open(self.lab.dir + '/bundle') as f:
            return f.read()


# What can be set for a bridge, and for a port, and what is set otherwise.
# "ofctl:" is for ovs-ofctl mod-port, the others are for ovs-vsctl.
BRIDGE_SETTINGS = [
    ('-- --id=@p get Port p{0} -- --id=@o get Port p7 -- --id=@m create '
     'Mirror name=m select_src_port=@p output_port=@o -- set Bridge br0 '
     'mirrors=@m', 'clear Bridge br0 mirrors'),
    ('-- --id=@p get Port p{0} -- --id=@o get Port p7 -- --id=@m create '
     'Mirror name=m select_dst_port=@p output_port=@o -- set Bridge br0 '
     'mirrors=@m', 'clear Bridge br0 mirrors'),
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
    ('frags:drop', 'frags:normal'),
    ('frags:nx-match', 'frags:normal'),
]
PORT_SETTINGS = [
    ('ofctl:no-receive', 'ofctl:receive'),
    ('ofctl:no-receive-stp', 'ofctl:receive-stp'),
    ('ofctl:no-forward', 'ofctl:forward'),
    ('ofctl:no-packet-in', 'ofctl:packet-in'),
    ('ofctl:down', 'ofctl:up'),
    ('set Port p{0} protected=true', 'set Port p{0} protected=false'),
    ('set Port p{0} lacp=active', 'set Port p{0} lacp=off'),
    ('set Port p{0} tag=5', 'clear Port p{0} tag'),
    ('set Interface p{0} cfm_mpid=1', 'clear Interface p{0} cfm_mpid'),
    ('set Interface p{0} bfd:enable=true', 'clear Interface p{0} bfd'),
    ('set Interface p{0} lldp:enable=true', 'clear Interface p{0} lldp'),
]


class Settings:
    """A random set of settings.  A context manager."""

    def __init__(self, scene, rng):
        self.scene = scene
        chosen = []
        if rng.random() < 0.4:
            do, undo = rng.choice(BRIDGE_SETTINGS)
            chosen.append((do, undo, rng.randint(1, N_PORTS)))
        for _ in range(rng.choice([0, 1, 2, 3])):
            chosen.append((*rng.choice(PORT_SETTINGS),
                           rng.randint(1, N_PORTS)))
        self.chosen = chosen

    def __str__(self):
        return '; '.join(do.format(port) for do, _, port in self.chosen)

    def _set(self, command, port):
        kind, _, value = command.partition(':')
        switch = self.scene.switch
        if kind == 'ofctl':
            switch.ofctl('mod-port', 'br0', 'p%d' % port, value)
        elif kind == 'frags':
            switch.ofctl('set-frags', 'br0', value)
        else:
            switch.vsctl(*command.format(port).split())

    def _settle(self):
        # Ports that go up and down take their time.
        last = None
        while True:
            time.sleep(0.15)
            now = self.scene.show()
            if now == last:
                break
            last = now

    def __enter__(self):
        for do, _, port in self.chosen:
            self._set(do, port)
        self._settle()
        return self

    def __exit__(self, *_):
        for _, undo, port in self.chosen:
            self._set(undo, port)
        self._settle()


@contextlib.contextmanager
def _oracle_scene(lab):
    print('NFV_P2P_SEED=%d' % SEED)
    lab.expect_log(r'(sflow|ofproto_dpif_ipfix|collectors|bfd|cfm|netflow|'
                   r'bridge|ofproto_dpif_xlate.*)\|WARN\|',
                   # The load balancing of ours is random, too.
                   r'ofp_actions\|WARN\|', r'bundle\|WARN\|')
    with contextlib.ExitStack() as stack:
        scene = OracleScene(lab, stack, n=N_PORTS)
        scene.add('p7', 'ofport_request=7')
        yield scene, Oracle(scene), random.Random(SEED)


@options(timeout=120 + TABLES)
def test_random_tables(lab):
    """Random tables on a bridge without anything else."""
    with _oracle_scene(lab) as (scene, oracle, rng):
        oracle.run(rng, TABLES, PACKETS)
        check(oracle.yes > TABLES / 10, 'only %d of %d are p-2-p', oracle.yes,
              oracle.asked)


@options(timeout=120 + TABLES)
def test_random_settings(lab):
    """Random tables on a bridge and ports with random settings."""
    with _oracle_scene(lab) as (scene, oracle, rng):
        while oracle.tables < TABLES / 6:
            with Settings(scene, rng) as settings:
                print(settings)
                oracle.run(rng, TABLES_PER_SETTING, PACKETS)
        check(oracle.yes > TABLES / 100, 'only %d of %d are p-2-p',
              oracle.yes, oracle.asked)
