# SPDX-License-Identifier: Apache-2.0
"""The page of the documentation that shows results: all that it says of them
comes from the JSON files."""

import importlib
import json
import os
import textwrap

from nfv.bench import SCENARIOS
from nfv.lab import LabError

WIDTH = 79

HEAD = '''\
..
      SPDX-License-Identifier: Apache-2.0

..
      tests/bench-page writes this file: do not edit it.

==========
Benchmarks
==========

Each benchmark measures two or more *sides* in turns, in one run: what matters
is what one has of the other, since the machines are shared and differ.  The
numbers are medians of all rounds; beside them is the range.  "lost" counts
the packets that did not arrive.  "core" is how much of its processor core each
of the polling threads had at least.  Most have real-time priority while they
are measured, which Linux limits to 95 %; less than that means that something
else ran meanwhile.

``make bench SCENARIO=NAME`` repeats one of these; the results with every
single run are in ``Documentation/nfv/benchmarks/NAME.json``.  The program's
own words on what it measures, and how, stand before its numbers.
'''


def make(directory):
    """Returns the text of the page for the results in 'directory'."""
    found = {os.path.splitext(name)[0] for name in os.listdir(directory)
             if name.endswith('.json')}
    unknown = sorted(found - set(SCENARIOS))
    if unknown:
        raise LabError('%s: no such scenario: %s'
                       % (directory, ', '.join(unknown)))
    parts = [HEAD]
    for name, module in SCENARIOS.items():
        if name in found:
            with open('%s/%s.json' % (directory, name),
                      encoding='utf-8') as f:
                parts.append(_section(
                    name, importlib.import_module('nfv.bench.' + module),
                    json.load(f)))
    return '\n'.join(parts)


def _section(name, scenario, result):
    text = '%s\n%s\n\n' % (name, '-' * len(name))
    _, _, description = result['description'].partition(':')
    text += '::\n\n' + _indent(description.strip()) + '\n\n'
    text += _paragraph(_circumstances(result)) + '\n\n'
    text += '::\n\n' + _indent(scenario.table(result)) + '\n\n'
    for target in scenario.targets(result):
        text += _paragraph('%s: %s, to reach %s: **%s**.' % (
            target['what'], _number(target['got']), _number(target['wanted']),
            'reached' if target['reached'] else 'not reached'), '- ') + '\n'
    return text


def _circumstances(result):
    machine, versions = result['machine'], result['versions']
    peers = ['%s %s' % (name, version) for name, version in versions.items()
             if name.startswith('openvswitch-switch')]
    return ('Measured on %s with version %s, DPDK %s%s, on %d cores of %s '
            '(hypervisor: %s), %d GB, %s, Linux %s, as ``%s``.' % (
                result['started'].partition('T')[0], versions['ovs-nfv'],
                versions['dpdk'],
                ''.join(', ' + peer for peer in peers), machine['cores'],
                machine['cpu'], machine['hypervisor'],
                round(machine['memory_mb'] / 1024), machine['os'],
                machine['kernel'].split()[0], _command(result)))


def _command(result):
    arguments = list(result['arguments'])
    if '--build' in arguments:
        at = arguments.index('--build')
        del arguments[at:at + 2]
    arguments = arguments or [result['scenario']]
    return 'make bench SCENARIO="%s"' % ' '.join(arguments)


def _number(x):
    return '%g' % x if x == int(x) else '%.2f' % x


def _paragraph(text, bullet=''):
    return textwrap.fill(text, WIDTH, initial_indent=bullet,
                         subsequent_indent=' ' * len(bullet),
                         break_long_words=False, break_on_hyphens=False)


def _indent(text):
    return '\n'.join(('    ' + line).rstrip() for line in text.split('\n'))
