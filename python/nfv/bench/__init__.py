# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each is a scenario, a module of its own, listed in SCENARIOS.

A scenario measures two or more sides alternately (A B A B ...) in one run,
because only the ratio of such measurements means something on a machine that
is shared.  It is a function measure(bench, args) that returns the rounds, and
says what is made of them; see vswitch_path.py, and bench.py for what is done
for every scenario: machine and versions, JSON, table, plot.
"""

SCENARIOS = {
    'direct': 'direct',
    'chain': 'chain',
    'latency': 'latency',
    'establish': 'establish',
    'flow-mods': 'flow_mods',
    'vswitch-path': 'vswitch_path',
}
