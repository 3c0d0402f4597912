# SPDX-License-Identifier: Apache-2.0
"""Random flow tables: whenever the p-2-p link detector says that all packets
from A go to B, "ofproto/trace" of any packet from A has to say so, too.

The tables change a little, or altogether, from each set to the next.

NFV_P2P_TABLES (2000) says how many sets of tables are tried, NFV_P2P_PACKETS
(12) how many packets for each port that has a p-2-p link, NFV_P2P_SEED which.
With the same numbers the same tables and packets are tried again.

For information, it is also printed what the detector says "no" to although
all of some packets went to one other port, unchanged.
"""

import collections
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import time

from nfv.lab import wait_until
from nfv.testing import check, options
from p2p import P2pScene
from p2p_random import N_PORTS, Tables, random_packet, random_settings

TABLES = int(os.environ.get('NFV_P2P_TABLES', 2000))
TABLES_PER_SETTING = 25
PACKETS = int(os.environ.get('NFV_P2P_PACKETS', 12))
SEED = int(os.environ.get('NFV_P2P_SEED', time.time()))


class Unixctl:
    """Commands to the daemon, without a process for each."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.decoder = json.JSONDecoder()
        self.text = ''

    def reply(self):
        while True:
            if self.text:
                try:
                    reply, end = self.decoder.raw_decode(self.text)
                    self.text = self.text[end:].lstrip()
                    return reply
                except ValueError:
                    pass
            data = self.socket.recv(1 << 18)
            if not data:
                raise EOFError('the daemon is gone')
            self.text += data.decode()

    def all(self, requests):
        """Runs several commands, each the name and parameters, one after the
        other, without a pause.  Returns a list of what they say."""
        self.socket.sendall(b''.join(
            json.dumps({'method': method, 'params': params,
                        'id': 0}).encode() for method, *params in requests))
        results = []
        for request in requests:
            reply = self.reply()
            if reply['error'] is not None:
                raise RuntimeError('%s: %s' % (request, reply['error']))
            results.append(reply['result'])
        return results

    def __call__(self, *request):
        return self.all([request])[0]


class Loader:
    """Bundles for the switch, without a process for each."""

    def __init__(self, scene, stack):
        self.path = scene.lab.dir + '/bundle'
        self.popen = stack.enter_context(subprocess.Popen(
            [scene.lab.tree + '/tests/p2p-load',
             'unix:%s/br0.mgmt' % scene.switch.dir],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        # Ends it.
        stack.callback(self.popen.stdin.close)

    def __call__(self, lines):
        """Returns why the switch, or who sends it, refuses the bundle with
        'lines', or an empty string."""
        with open(self.path, 'w') as f:
            f.writelines(line + '\n' for line in lines)
        self.popen.stdin.write(self.path + '\n')
        self.popen.stdin.flush()
        reply = self.popen.stdout.readline().strip()
        check(reply, 'p2p-load has ended')
        return '' if reply == 'ok' else reply


class Trace:
    """What "ofproto/trace" says of a packet."""

    def __init__(self, packet, text):
        self.packet = packet
        self.text = text
        # All up to the lookup that goes on after a hash or the like.
        self.actions = re.findall(r'^Datapath actions: (.*)$', text, re.M)
        self.tables = [int(n) for n in re.findall(r'^\s*(\d+)\. ', text,
                                                  re.M)]

    def wants_hash(self):
        """A group wants a hash of the packet from the datapath, which is
        where a trace ends.  With a hash, it goes on."""
        return re.search(r'\bhash\(.*\),recirc\(0x[0-9a-f]+\)',
                         self.actions[0])


class Oracle:
    def __init__(self, scene, loader, rng, settling=False):
        """'settling' says that the switch may take a moment to do what it was
        told."""
        self.scene = scene
        self.loader = loader
        self.rng = rng
        self.settling = settling
        self.ctl = Unixctl(scene.switch.dir + '/ovs-vswitchd.ctl')
        self.port_numbers = dict(re.findall(
            r'^\s+(\S+) \d+/(\d+):', self.ctl('dpif/show'), re.M))
        self.random_hash = random.Random(SEED)
        self.tables = None
        self.settings = ''
        self.history = []       # Bundles since the last complete one.
        self.n = self.asked = self.yes = self.packets = 0
        self.refusals = collections.Counter()
        # "No"s that were examined, and those where all packets went to one
        # port, by reason.
        self.examined = 0
        self.missed = collections.Counter()

    def show(self):
        return json.loads(self.ctl('p2p/show', '--json', 'br0'))['br0']

    def trace(self, packets):
        """Returns the traces of 'packets'."""
        self.packets += len(packets)
        traces = [Trace(*x) for x in zip(packets, self.ctl.all(
            [('ofproto/trace', 'br0', packet) for packet in packets]))]
        for i, trace in enumerate(traces):
            if trace.wants_hash():
                packet = '%s,dp_hash=0x%x' % (
                    trace.packet, self.random_hash.randint(1, 0xffffffff))
                traces[i] = Trace(packet,
                                  self.ctl('ofproto/trace', 'br0', packet))
        return traces

    def contradiction(self, answers, traces):
        """Returns what is wrong with 'answers' if 'traces', lists by port, are
        right, or None."""
        for port, port_traces in traces.items():
            answer = answers[port]
            if 'to' not in answer:
                # The "no" of one who was asked again.
                continue
            for trace in port_traces:
                if (trace.actions != [self.port_numbers[answer['to']]]
                        or trace.tables != answer['tables']):
                    return ('%s: %s, but "ofproto/trace br0 %s" says\n%s\n%s'
                            % (port, answer, trace.packet, trace.text,
                               '\n\n'.join([self.settings] + self.history)))
        return None

    def trace_all(self, packets):
        """Returns a list of traces for each port in 'packets'."""
        traces = iter(self.trace([p for ps in packets.values() for p in ps]))
        return {port: [next(traces) for _ in ps]
                for port, ps in packets.items()}

    def check_yes(self, answers, n_packets):
        packets = {}
        for number in range(1, N_PORTS + 1):
            port = 'p%d' % number
            if 'to' in answers[port]:
                packets[port] = [random_packet(self.rng, number)
                                 for _ in range(n_packets)]
        self.asked += N_PORTS
        self.yes += len(packets)
        error = self.contradiction(answers, self.trace_all(packets))
        if error and self.settling:
            # What lasts is wrong.
            wait_until(lambda: not self.contradiction(
                self.show(), self.trace_all(packets)), 5, 'end of\n' + error)
        else:
            check(not error, '%s', error)

    def examine_no(self, answers, n_packets):
        """Looks whether "no" could have been "yes"."""
        packets = {}
        for number in range(1, N_PORTS + 1):
            port = 'p%d' % number
            if 'to' not in answers[port]:
                packets[port] = [random_packet(self.rng, number)
                                 for _ in range(n_packets)]
        self.examined += len(packets)
        sinks = set(self.port_numbers.values())
        for port, traces in self.trace_all(packets).items():
            actions = traces[0].actions
            if (all(t.actions == actions for t in traces)
                    and len(actions) == 1 and actions[0] in sinks):
                reason = re.sub(r'\d+', 'N', answers[port]['reason'])
                self.missed[reason] += 1

    def load(self):
        """Loads other tables."""
        if self.tables and self.rng.random() < 0.6:
            self.tables.change()
        else:
            self.tables = Tables(self.rng)
            self.history = []
        self.n += 1
        self.history.append('\n'.join(self.tables.lines))
        error = self.loader(self.tables.lines)
        if error:
            # What is there now is what was there before.
            self.refusals[re.sub(r'\S+:\d+: ', '', error)] += 1
            self.history.pop()
            self.tables = None

    def run(self, n_tables, n_packets):
        for _ in range(n_tables):
            self.load()
            answers = self.show()
            self.check_yes(answers, n_packets)
            if self.n % 16 == 0:
                self.examine_no(answers, n_packets)
            if self.n % 1000 == 0:
                print('%d tables' % self.n, flush=True)

    def report(self):
        refused = sum(self.refusals.values())
        print('%d tables, %d of them refused; %d of %d are p-2-p; %d packets '
              'traced' % (self.n, refused, self.yes, self.asked, self.packets))
        for why, n in self.refusals.most_common(10):
            print('%6d  %s' % (n, why))
        print('%d of %d that were said not to be p-2-p sent %d packets to one '
              'port:' % (sum(self.missed.values()), self.examined, PACKETS))
        for reason, n in self.missed.most_common():
            print('%6d  %s' % (n, reason))
        check(refused < 20 + self.n / 5, '%d of %d tables are refused',
              refused, self.n)


@contextlib.contextmanager
def _oracle(lab, **kwargs):
    print('NFV_P2P_SEED=%d NFV_P2P_TABLES=%d NFV_P2P_PACKETS=%d'
          % (SEED, TABLES, PACKETS), flush=True)
    lab.expect_log(r'(sflow|ofproto_dpif_ipfix|collectors|bfd|cfm|netflow|'
                   r'bridge|ofproto_dpif_xlate.*)\|WARN\|',
                   # The load balancing of ours is random, too.
                   r'ofp_actions\|WARN\|', r'bundle\|WARN\|')
    with contextlib.ExitStack() as stack:
        # No peers that share memory: what is found is what matters, not links
        # that last for a moment.
        scene = P2pScene(lab, stack, n=N_PORTS,
                         options=lambda i: ['options:mode=0%o' % (0o600 + i)])
        scene.add('p7', 'ofport_request=7')
        scene.add_bridge('br1')
        scene.switch.vsctl(
            'add-port', 'br0', 'to1', '--', 'set', 'Interface', 'to1',
            'type=patch', 'options:peer=to0', 'ofport_request=8', '--',
            'add-port', 'br1', 'to0', '--', 'set', 'Interface', 'to0',
            'type=patch', 'options:peer=to1')
        scene.switch.ofctl('-O', 'OpenFlow13', 'add-meter', 'br0',
                           'meter=1,kbps,band=type=drop,rate=1000')
        scene.switch.ofctl('add-tlv-map', 'br0',
                           '{class=0xffff,type=0,len=4}->tun_metadata0')
        loader = Loader(scene, stack)
        oracle = Oracle(scene, loader, random.Random(SEED), **kwargs)
        yield oracle
        oracle.report()


@options(timeout=120 + TABLES)
def test_random_tables(lab):
    """Random tables on a bridge without anything else."""
    with _oracle(lab) as oracle:
        oracle.run(TABLES, PACKETS)
        check(oracle.yes > TABLES / 10, 'only %d of %d are p-2-p', oracle.yes,
              oracle.asked)


@options(timeout=120 + TABLES)
def test_random_settings(lab):
    """Random tables on a bridge and ports with random settings."""
    with _oracle(lab, settling=True) as oracle:
        while oracle.n < TABLES / 6:
            with random_settings(oracle.rng, oracle.scene.switch) as settings:
                oracle.settings = settings
                print(settings, flush=True)
                oracle.run(TABLES_PER_SETTING, PACKETS)
        check(oracle.yes > TABLES / 100, 'only %d of %d are p-2-p',
              oracle.yes, oracle.asked)
