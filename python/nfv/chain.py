# SPDX-License-Identifier: Apache-2.0
"""Hosts and functions on the ports of a private switch (see lab.py), for what
shows something: the demo and the sandbox.

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
