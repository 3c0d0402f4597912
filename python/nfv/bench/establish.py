# SPDX-License-Identifier: Apache-2.0
"""establish: how long it takes from a flow mod to the first packet on a direct
link, and back.

A program with both ends (tests/dpdkr-establish.c, libdpdkr, core 0) sends
numbered frames from port A to port B all the time; the switch's PMD thread has
core 1.  (The thread that controls runs before both.)  An OpenFlow connection
replaces the flow from A to B by one with the same effect that is p-2-p, and
back.  All times are those of one clock, from just before the flow mod is sent:

    reply         the switch has answered the barrier behind the flow mod
    mapped        it made the link's memory and offered it, both peers have
                  mapped it
    handover      the sender has got the order and puts frames into the link,
                  or its port
    first packet  the first of these has been received
"""

import os
import re
import time

from nfv import openflow
from nfv.bench import machine, report
from nfv.lab import Lab, LabError, wait_until

HELP = 'the time from a flow mod to the first packet on a direct link'

# Milliseconds.
TARGET = 10
STEPS = {
    'establish': {'mapped': 'mapped', 'to-link': 'handover',
                  'first-link': 'first packet'},
    'break': {'to-port': 'handover', 'first-port': 'first packet'},
}


def replace_flow(connection, in_port, out_port, p2p):
    """Has a flow send what enters at 'in_port' to 'out_port'.  Unless 'p2p',
    it also pops VLAN headers, so that the switch is needed, if there are any.
    Returns when, in ns, that was sent and answered."""
    actions = openflow.output(out_port)
    if not p2p:
        actions = openflow.strip_vlan() + actions
    start = time.monotonic_ns()
    connection.flow_mod(openflow.ADD, in_port, actions, priority=100)
    return start, time.monotonic_ns()


def add_arguments(parser):
    parser.add_argument('--rounds', type=int, default=50, metavar='N',
                        help='times that the link is made and broken '
                        '(default: %(default)s)')


def measure(bench, args):
    with Lab(bench.build) as lab:
        switch = lab.switch()
        switch.start(['pmd-cpu-mask=0x2'])
        switch.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
                     'datapath_type=netdev')
        paths = [switch.add_dpdkr('br0', name, 'ofport_request=%d' % number)
                 for number, name in ((1, 'A'), (2, 'B'))]
        switch.ofctl('del-flows', 'br0')
        connection = openflow.OpenFlow(switch)
        replace_flow(connection, 1, 2, False)
        tool = lab.process('establish', [
            'taskset', '-c', '0',
            lab.tree + '/tests/dpdkr-establish', *paths])
        wait_until(lambda: 'up' in tool.log(), what='links of the ports')
        for name in 'AB':
            switch.wait_link(name)

        # Both cores are busy: what is in between must not wait for a turn.
        busy = machine.BusyThreads((switch.daemon.pid, 'pmd-'),
                                   (tool.pid, ''))
        control = machine.BusyThreads((switch.daemon.pid, 'ovs-vswitchd'),
                                      (os.getpid(), ''))
        busy.prefer()
        control.prefer(priority=2)
        busy.start()
        runs = []
        for n in range(args.rounds):
            for side in STEPS:
                run = {'round': n, 'side': side}
                run.update(measure_once(connection, tool, side))
                runs.append(run)
                bench.progress('round %d, %s: %.3f ms'
                               % (n + 1, side, run['first packet']))
            wait_removed(switch, tool)
        share = busy.stop()
        control.prefer(False)
        busy.prefer(False)
        tool.popen.terminate()
        tool.wait()
        totals = {key: int(value) for key, value in
                  re.findall(r'(\w+)=(\d+)', tool.log())}
        if 'lost' not in totals:
            raise LabError('dpdkr-establish failed:\n' + tool.log()[-1000:])
        switch.stop()
    return {'parameters': {'rounds': args.rounds}, 'versions': {},
            'runs': runs, 'traffic': totals, 'core_share': share,
            'summary': summarize(runs)}


def wait_removed(switch, tool):
    """Waits until the switch has removed the link, so that the next one is
    made from scratch."""
    try:
        wait_until(lambda: tool.log().rstrip().endswith('unmapped'),
                   what='the link to be removed')
    except LabError as e:
        raise LabError('%s\n%s\n%s\n%s'
                       % (e, tool.log()[-300:], switch.appctl('p2p/show'),
                          switch.vlog()[-1000:]))


def measure_once(connection, tool, side):
    position = len(tool.log())
    start, reply = replace_flow(connection, 1, 2, side == 'establish')

    def events():
        return {event: int(when) for when, event in
                re.findall(r'^(\d+) (\S+)$', tool.log()[position:], re.M)}
    wait_until(lambda: set(STEPS[side]) <= set(events()), what=side)
    found = events()
    result = {'reply': (reply - start) / 1e6}
    result.update({name: (found[event] - start) / 1e6
                   for event, name in STEPS[side].items()})
    return result


def summarize(runs):
    summary = []
    for side, steps in STEPS.items():
        own = [run for run in runs if run['side'] == side]
        for step in ('reply', *steps.values()):
            values = sorted(run[step] for run in own)
            summary.append({'side': side, 'step': step,
                            **report.spread(values),
                            'p90': values[int(0.9 * (len(values) - 1))]})
    return summary


def targets(result):
    found = [{'what': '%s: ms to the first packet (less is better)'
              % entry['side'], 'wanted': TARGET, 'got': entry['p90'],
              'reached': entry['p90'] < TARGET}
             for entry in result['summary']
             if entry['step'] == 'first packet']
    bad = result['traffic']['lost'] + result['traffic']['wrong']
    found.append({'what': 'packets lost or out of turn of %d'
                  % result['traffic']['sent'], 'wanted': 0, 'got': bad,
                  'reached': not bad})
    return found


def table(result):
    return report.table(
        ['', 'until', 'median ms', 'p90', 'min', 'max'],
        [[entry['side'], entry['step']]
         + ['%.3f' % entry[key] for key in ('median', 'p90', 'min', 'max')]
         for entry in result['summary']])


def panels(result):
    steps = ['reply', 'mapped', 'handover', 'first packet']
    values = {side: {step: (0, 0, 0) for step in steps} for side in STEPS}
    for entry in result['summary']:
        values[entry['side']][entry['step']] = (entry['min'], entry['median'],
                                                entry['p90'])
    return [('From the flow mod', 'ms (min, median, p90)', values)], \
        steps, list(STEPS)
