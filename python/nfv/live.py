# SPDX-License-Identifier: Apache-2.0
"""What happens in a chain (see chain.py) while packets pass through it, line
by line."""

import time

from . import chain
from .lab import LabError


class Live:
    """Prints a line each second, with 'say', about what goes on at two ports
    of a chain, 'ports', that are to become direct and not direct."""

    COLUMNS = ['Mbit/s', 'packets/s', 'passes/packet', 'cycles/packet']

    def __init__(self, path, ports, say):
        self.path = path
        self.ports = ports
        self.say = say
        self.rows = []
        self.looks = {}
        self.start = self.due = time.monotonic()
        self.last = self.look()

    def look(self):
        """Returns, for each of what is counted, the count and the time of it:
        on a busy machine, one is counted long after the other."""
        client, server = self.path.client.counters, self.path.server.counters
        result = {}
        for names, count in (({'to_client': 'out'}, client),
                             ({'to_server': 'out', 'bytes': 'out_bytes'},
                              server),
                             ({'switched': 'packets', 'cycles': 'cycles'},
                              lambda: chain.switched(self.path.switch))):
            before = time.monotonic()
            counts = count()
            when = (before + time.monotonic()) / 2
            for name, key in names.items():
                result[name] = counts[key], when
        return result

    @staticmethod
    def rates(now, before):
        """Returns what goes on in a second between two looks."""
        return {name: (now[name][0] - before[name][0])
                / (now[name][1] - before[name][1]) for name in now}

    @staticmethod
    def summary(rates):
        packets = rates['to_client'] + rates['to_server']
        return {'mbps': rates['bytes'] * 8e-6, 'packets': packets,
                'passes': rates['switched'] / max(1, packets),
                'cycles': rates['cycles'] / max(1, packets)}

    def states(self):
        """Returns "direct", "switch" or what is between them, by port."""
        links = self.path.links()
        return {port: links[port].get('state', 'switch')
                for port in self.ports}

    def header(self):
        a, b = self.ports
        self.say('  '.join(self.COLUMNS) + '  %-9s  %s' % (a, b))

    def line(self, phase):
        """Waits for the end of the second, prints a line."""
        self.due = max(self.due + 1, time.monotonic() + 0.5)
        time.sleep(max(0, self.due - time.monotonic()))
        now, before = self.look(), self.last
        self.last = now
        row = {'phase': phase,
               'time': round(time.monotonic() - self.start, 1),
               **self.summary(self.rates(now, before)),
               'states': self.states()}
        self.looks.setdefault(phase, []).append(now)
        self.rows.append(row)
        cells = ['%.0f' % row['mbps'], '{:,.0f}'.format(row['packets']),
                 '%.2f' % row['passes'], '{:,.0f}'.format(row['cycles'])]
        self.say('  '.join([cell.rjust(len(column)) for cell, column
                            in zip(cells, self.COLUMNS)]
                           + ['%-9s' % row['states'][port]
                              for port in self.ports]).rstrip())

    def lines(self, phase, seconds, wanted):
        """Prints that many lines, or a few more until the ports are in the
        states 'wanted', which they must get into."""
        for _ in range(seconds):
            self.line(phase)
        for _ in range(10):
            if [*self.rows[-1]['states'].values()] == wanted:
                return
            self.line(phase)
        raise LabError('%s are not %s'
                       % (' and '.join(self.ports), ' and '.join(wanted)))

    def phases(self):
        """Returns the means of each phase, without its first second: that may
        have been different in parts."""
        return {phase: self.summary(self.rates(looks[-1], looks[0]))
                for phase, looks in self.looks.items()}
