# SPDX-License-Identifier: Apache-2.0
"""Hosts and functions on the ports of a private switch (see lab.py), and
chains of them, for what shows something: the demo and the sandbox.

A host is a network namespace; its network device is a tap port of the switch,
moved there.  A function is an unmodified dpdk-testpmd that forwards between
two dpdkr ports."""

import json
import os
import re

from . import lab as lab_module


def processors():
    """Returns the numbers of the processors that we may use."""
    return sorted(os.sched_getaffinity(0))


class Host(lab_module.Namespace):
    """A network namespace on port 'name' of 'bridge', with 'address' (which
    has a prefix length)."""

    def __init__(self, switch, bridge, name, address):
        self.device = name
        self.address = address.partition('/')[0]
        super().__init__(switch.lab, name)
        # No neighbour discovery: what is counted is what was sent on purpose.
        self.run('sh', '-c', 'for f in all default; do '
                 'f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; '
                 'test ! -e $f || echo 1 > $f; done')
        # Not a veth pair: through that, the kernel hands out packets without
        # checksums, and drops what the switch does not fetch in time.
        switch.vsctl('add-port', bridge, name, '--', 'set', 'Interface', name,
                     'type=tap')
        error = switch.interface(name, 'error')
        if error:
            raise lab_module.LabError('port %s: %s' % (name, error))
        self.take(name, address, source=switch.net)

    def counters(self):
        """Returns what the kernel counted: packets that entered the switch
        here, packets that left it, and of those the dropped."""
        links = json.loads(self.run('ip', '-json', '-s', 'link', 'show', 'dev',
                                    self.device))
        stats = links[0]['stats64']
        return {'in': stats['tx']['packets'],
                'out': stats['rx']['packets'] + stats['rx']['dropped'],
                'out_bytes': stats['rx']['bytes'],
                'out_dropped': stats['rx']['dropped']}


class Function(lab_module.Testpmd):
    """A dpdk-testpmd that forwards between the dpdkr ports whose memory is at
    'paths', all of it on one 'processor'.  It gives way to others there."""

    NICE = 10

    def __init__(self, lab, name, paths, processor):
        devices = ['--vdev=net_dpdkr%d,path=%s' % (i, path)
                   for i, path in enumerate(paths)]
        # One of testpmd's two threads sleeps in its prompt: they can share a
        # processor.
        super().__init__(lab, name, devices,
                         lcores='0@%d,1@%d' % (processor, processor),
                         args=['--nb-cores=1', '--forward-mode=io',
                               '--port-topology=paired'])
        self.n_ports = len(paths)

    def forward(self):
        """Starts to forward, that is, to poll.  Until then the function keeps
        no processor busy; where several share one, start them all first."""
        self._set_nice(self.NICE)
        self.command('start')

    def _set_nice(self, nice):
        try:
            for thread in os.listdir('/proc/%d/task' % self.pid):
                os.setpriority(os.PRIO_PROCESS, int(thread), nice)
        except OSError:
            if self.running():
                raise

    def stop(self, *args, **kwargs):
        if self.running():
            # Or its end would take as long as others keep the processor busy.
            self._set_nice(0)
        return super().stop(*args, **kwargs)

    def counters(self):
        """Returns what the function itself counted, for each port: packets
        received, sent, and dropped in place of being sent."""
        result = []
        for port in range(self.n_ports):
            text = self.command('show port stats %d' % port)
            counts = {'received': r'RX-packets:\s*(\d+)',
                      'sent': r'TX-packets:\s*(\d+)'}
            for name, pattern in counts.items():
                match = re.search(pattern, text)
                if not match:
                    raise lab_module.LabError(
                        '%s has no statistics of port %d:\n%s'
                        % (self.name, port, text))
                counts[name] = int(match.group(1))
            result.append(counts)
        return result


def set_path(switch, bridge, ports):
    """Makes 'bridge' forward between the first two of 'ports', the next two,
    and so on; nothing else."""
    switch.ofctl('del-flows', bridge)
    for a, b in zip(ports[::2], ports[1::2]):
        for source, sink in ((a, b), (b, a)):
            switch.ofctl('add-flow', bridge,
                         'in_port=%s,actions=output:%s' % (source, sink))


def switched(switch):
    """Returns what all threads of 'switch' did so far: the packets that they
    received, and the cycles that the polling ones took for packets."""
    out = switch.appctl('dpif-netdev/pmd-stats-show')
    return {'packets': sum(map(int, re.findall(r'packets received: (\d+)',
                                               out))),
            'cycles': sum(map(int, re.findall(r'processing cycles: (\d+)',
                                              out)))}


class Chain:
    """Two hosts with functions between them, on 'bridge', and what is counted
    there.  'ports' has the names of the ports in the order in which the
    client's packets meet them."""

    def __init__(self, switch, bridge, client, server, functions):
        self.switch = switch
        self.bridge = bridge
        self.client = client
        self.server = server
        self.functions = functions
        self.ports = [client.device]
        for i in range(len(functions)):
            self.ports += ['f%d-in' % (i + 1), 'f%d-out' % (i + 1)]
        self.ports.append(server.device)
        # Packets that further rules dropped, by the port they came from.
        self.denied = {}
        set_path(switch, bridge, self.ports)
        self.hosts_before = [h.counters() for h in (client, server)]
        self.switched_before = switched(switch)

    def matched(self):
        """Returns how many packets the rule for each port matched."""
        out = self.switch.ofctl('--names', 'dump-flows', self.bridge)
        return {port.strip('"'): int(n) for n, port in re.findall(
            r'n_packets=(\d+),.*in_port="?([^" ]+)', out)}

    def links(self):
        """Returns what p2p/show says of each port."""
        return json.loads(self.switch.appctl('p2p/show', '--json',
                                             self.bridge))[self.bridge]

    def deny(self, port, match, try_it, n):
        """Has packets from 'port' that also 'match' dropped; calls 'try_it',
        which sends 'n' of them.  Returns a function that allows them again."""
        flow = 'priority=40000,in_port=%s,%s' % (port, match)
        self.switch.ofctl('add-flow', self.bridge, flow + ',actions=drop')
        try_it()

        def allow():
            def counted():
                out = self.switch.ofctl('dump-flows', self.bridge, 'table=0')
                return [int(packets) for packets in re.findall(
                    r'n_packets=(\d+),.*priority=40000', out)] == [n]
            lab_module.wait_until(counted, 15, '%d packets to be dropped' % n)
            self.denied[port] = self.denied.get(port, 0) + n
            self.switch.ofctl('--strict', 'del-flows', self.bridge, flow)
        return allow

    def counters(self):
        """Returns the counters of all ports: what the switch received from
        the port and matched, what it sent to it, and what it could not
        send, each with what went directly; of what it received, how much
        went directly; and what the port's other end says of the same."""
        matched = self.matched()
        links = self.links()
        rows = {}
        for host, before in zip((self.client, self.server),
                                self.hosts_before):
            now = host.counters()
            rows[host.device] = {
                'received': matched[host.device],
                'matched': matched[host.device],
                'direct': 0,
                'peer_sent': now['in'] - before['in'],
                'peer_received': now['out'] - before['out']}
        for i, function in enumerate(self.functions):
            own = function.counters()
            for port, peer in zip(self.ports[1 + 2 * i:3 + 2 * i], own):
                s = self.switch.statistics(port)
                rows[port] = {
                    'received': s['rx_pkts'],
                    'matched': matched[port] + self.denied.get(port, 0),
                    'direct': links[port].get('packets', 0),
                    'sent': s['tx_pkts'], 'dropped': s['tx_drop'],
                    'peer_sent': peer['sent'],
                    'peer_received': peer['received']}
        return {port: rows[port] for port in self.ports}

    def sums(self, rows):
        """Returns the packets that rules matched, those that the threads of
        the switch received themselves, and those that went directly."""
        return {'matched': sum(row['matched'] for row in rows.values()),
                'switched': (switched(self.switch)['packets']
                             - self.switched_before['packets']),
                'direct': sum(row['direct'] for row in rows.values())}

    def hops(self, rows, ports):
        """Follows the packets along 'ports' and returns, hop by hop, a text,
        how many entered, how many left, and how many a rule dropped."""
        result = []
        for a, b in zip(ports, ports[1:]):
            if ports.index(a) % 2:
                # Through a function, by its own counters, which must be those
                # of the switch.
                hop = {'hop': '%s > %s (function)' % (a, b),
                       'entered': rows[a]['sent'],
                       'left': rows[b]['received'], 'denied': 0}
            else:
                hop = {'hop': '%s > %s (switch%s)'
                              % (a, b, ' and direct' if rows[a]['direct']
                                 else ''),
                       'entered': rows[a]['peer_sent'],
                       'left': rows[b]['peer_received'],
                       'denied': self.denied.get(a, 0)}
            result.append(hop)
        return result

    def disagreements(self, rows, sums):
        """Returns what in 'rows' and 'sums' cannot be, as texts."""
        wrong = []

        def equal(a, b, what):
            if a != b:
                wrong.append('%s: %d and %d' % (what, a, b))

        for port, row in rows.items():
            equal(row['peer_sent'], row['received'],
                  '%s: sent by the other end, received by the switch' % port)
            if 'sent' in row:
                equal(row['received'], row['matched'],
                      '%s: received, matched by its rules' % port)
                equal(row['sent'], row['peer_received'],
                      '%s: sent by the switch, received by the other end'
                      % port)
        for ports in (self.ports, self.ports[::-1]):
            for a, b in zip(ports[::2], ports[1::2]):
                received = rows[a]['received'] - self.denied.get(a, 0)
                if 'sent' in rows[b]:
                    equal(received, rows[b]['sent'] + rows[b]['dropped'],
                          '%s > %s: received, sent or dropped' % (a, b))
                elif rows[b]['peer_received'] > received:
                    equal(received, rows[b]['peer_received'],
                          '%s > %s: received, arrived' % (a, b))
        equal(sums['matched'], sums['switched'] + sums['direct'],
              'all ports: matched by rules, received by the switch or direct')
        return wrong
