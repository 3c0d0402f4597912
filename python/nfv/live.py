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
        self.start = time.monotonic()
        self.last = self.look()

    def look(self):
        ends = [host.counters() for host in (self.path.client,
                                             self.path.server)]
        now = chain.switched(self.path.switch)
        now['time'] = time.monotonic()
        now['bytes'] = ends[1]['out_bytes']
        now['arrived'] = sum(end['out'] for end in ends)
        return now

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
        time.sleep(max(0, self.last['time'] + 1 - time.monotonic()))
        now, before = self.look(), self.last
        self.last = now
        seconds = now['time'] - before['time']
        arrived = now['arrived'] - before['arrived']
        row = {'phase': phase,
               'time': round(now['time'] - self.start, 1),
               'mbps': (now['bytes'] - before['bytes']) * 8e-6 / seconds,
               'packets': arrived / seconds,
               'passes': (now['packets'] - before['packets'])
               / max(1, arrived),
               'cycles': (now['cycles'] - before['cycles']) / max(1, arrived),
               'states': self.states()}
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
        """Returns, by phase, the means of its lines.  The first one of a
        phase is left out: something else was there in a part of it."""
        result = {}
        for phase in dict.fromkeys(row['phase'] for row in self.rows):
            rows = [row for row in self.rows if row['phase'] == phase][1:]
            result[phase] = {key: sum(row[key] for row in rows) / len(rows)
                             for key in ('mbps', 'packets', 'passes',
                                         'cycles')}
        return result
