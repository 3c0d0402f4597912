# SPDX-License-Identifier: Apache-2.0
"""What goes over direct links counts as if the switch had forwarded it, in
rules, tables, groups and the times when rules were last used."""

import re
import time

from nfv.lab import Process, wait_until
from nfv.peer import Peer
from nfv.testing import check, check_equal, options

from direct_scene import FRAMES, DirectScene, drained

# Ways for packets from "a", port 1, to "b", port 2: groups and flows.  Port 3
# is always live.  (Were it port 2, then what the switch has not counted when
# the traffic ends, it would count for a bucket that is dead.)
WAYS = [
    ([], ['in_port=1,actions=2']),
    ([], ['in_port=1,actions=load:5->NXM_NX_REG0[],resubmit(,1),resubmit(,2)',
          'table=1,priority=9,reg0=4,actions=drop',
          'table=1,reg0=5,actions=goto_table:3', 'table=3,actions=2']),
    (['group_id=1,type=indirect,bucket=actions=2'],
     ['in_port=1,actions=write_actions(group:1)']),
    (['group_id=2,type=all,bucket=actions=resubmit(,4)',
      'group_id=1,type=ff,bucket=watch_port:9,actions=9,'
      'bucket=watch_port:3,actions=group:2'],
     ['in_port=1,actions=group:1', 'table=4,actions=2']),
]
BACK = 'in_port=2,actions=1'


def _rules(scene):
    """Returns {(table, match): (packets, bytes)}."""
    text = scene.switch.ofctl('-O', 'OpenFlow15', 'dump-flows', '--no-names',
                              'br0')
    result = {}
    for line in text.splitlines():
        found = re.search(r'table=(\d+), n_packets=(\d+), n_bytes=(\d+),'
                          r'.*idle_age=\d+, (\S*) ?actions=', line)
        if found:
            table, packets, octets, match = found.groups()
            result[int(table), match] = int(packets), int(octets)
    return result


def _tables(scene):
    """Returns {table: (lookups, matches)}, only of tables that were used."""
    text = scene.switch.ofctl('-O', 'OpenFlow15', 'dump-tables', 'br0')
    result = {}
    for table, lookups, matches in re.findall(
            r'table (\d+)(?: \("\w+"\))?:\s+active=\d+, lookup=(\d+), '
            r'matched=(\d+)',
            text):
        if int(lookups):
            result[int(table)] = int(lookups), int(matches)
    return result


def _groups(scene):
    text = scene.switch.ofctl('-O', 'OpenFlow15', 'dump-group-stats', 'br0')
    return sorted(re.findall(r'group_id=(\d+),.*?packet_count=(\d+),'
                             r'byte_count=(\d+)((?:,bucket\d+:packet_count='
                             r'\d+,byte_count=\d+)*)', text))


def _all(scene):
    aggregate = scene.switch.ofctl('dump-aggregate', 'br0')
    return (_rules(scene), _groups(scene),
            re.findall(r'packet_count=\d+ byte_count=\d+', aggregate))


def _replay(scene, groups, flows, count, p2p):
    """Sends 'count' frames from a to b over fresh flows and returns what the
    counters say, and the change of those of the tables."""
    s = scene.switch
    s.vsctl('set', 'Bridge', 'br0', 'other_config:p2p='
            + ('true' if p2p else 'false'))
    s.ofctl('del-flows', 'br0')
    s.ofctl('-O', 'OpenFlow15', 'del-groups', 'br0')
    for group in groups:
        s.ofctl('-O', 'OpenFlow15', 'add-group', 'br0', group)
    for flow in [*reversed(flows), BACK]:
        s.ofctl('-O', 'OpenFlow15', 'add-flow', 'br0', flow)
    before = _tables(scene)
    tool = scene.numbered('a', 'b')
    if p2p:
        scene.wait_direct(('a', 'b'))
        was = scene.counter('a', 'rx_direct_packets')
        wait_until(lambda: scene.counter('a', 'rx_direct_packets')
                   >= was + count, 30, 'direct packets')
    else:
        wait_until(lambda: _rules(scene)[0, 'in_port=1'][0] >= count, 30,
                   'packets')
    result = drained(tool)
    total = (result['sent'] + result['probes'],
             result['tx_bytes'] + result['probe_bytes'])

    # Statistics of what went through the switch are up to a second old.
    wait_until(lambda: _rules(scene)[0, 'in_port=1'][0] >= total[0], 10,
               'all packets to be counted')
    time.sleep(1.5)
    seen = _all(scene)
    after = _tables(scene)
    lookups = {table: tuple(x - y for x, y in zip(
        after[table], before.get(table, (0, 0)))) for table in after}
    return total, seen, {t: n for t, n in lookups.items() if n != (0, 0)}


def _scale(seen, total):
    """Replaces numbers of packets and bytes, and small multiples of them, by
    words, since no two runs send the same."""
    names = {str(n * i): '%d * %s' % (i, what) for i in range(1, 6)
             for n, what in zip(total, ('packets', 'bytes'))}
    return re.sub(r'\d{3,}', lambda m: names.get(m.group(), m.group()),
                  repr(seen))


@options(timeout=240)
def test_totals(lab):
    """Rules, tables, groups and the sum of all say what was sent, and the
    same as without direct links."""
    scene = DirectScene(lab, ['a', 'b', 'c'])
    with Peer(scene.paths['c']):
        scene.switch.wait_link('c')
        _totals(scene)


def _totals(scene):
    for groups, flows in WAYS:
        print(flows)
        seen = []
        for p2p in True, False:
            total, *counters = _replay(scene, groups, flows, FRAMES, p2p)
            print(total, counters)
            for (table, match), found in counters[0][0].items():
                if match != 'in_port=2' and 'reg0=0x4' not in match:
                    check_equal(found, total, 'table %d, %s, p2p=%s'
                                % (table, match, p2p))
            seen.append(_scale(counters, total))
        check_equal(seen[0], seen[1], 'with and without direct links')


@options(timeout=120)
def test_timeouts(lab):
    """Direct traffic keeps an idle_timeout from expiring; without traffic,
    and for a hard_timeout, it does.  Flow-removed messages have the right
    numbers."""
    scene = DirectScene(lab, ['a', 'b'])
    s = scene.switch
    monitor = Process(lab, 'monitor', [
        s.programs['ovs-ofctl'], '-O', 'OpenFlow13', '-vconsole:off',
        'monitor', 'br0', '65534'], env=s.env)
    s.ofctl('del-flows', 'br0')
    s.ofctl('add-flow', 'br0', 'priority=1,actions=drop')
    s.ofctl('add-flow', 'br0', BACK)
    s.ofctl('add-flow', 'br0', 'in_port=1,idle_timeout=2,send_flow_rem,'
            'actions=2')
    tool = scene.numbered('a', 'b')
    scene.wait_direct(('a', 'b'))
    time.sleep(5)
    check((0, 'in_port=1') in _rules(scene), 'the rule expired in use')
    check_equal(scene.state('a'), ('b', 'direct'), 'link of a')
    result = drained(tool)
    sent = result['sent'] + result['probes']
    octets = result['tx_bytes'] + result['probe_bytes']

    def removed(reason):
        found = re.findall(r'OFPT_FLOW_REMOVED.*in_port=.*reason=%s.* '
                           r'pkts(\d+) bytes(\d+)' % reason, monitor.log())
        return found and tuple(map(int, found[-1]))
    check_equal(wait_until(lambda: removed('idle'), 10, 'idle_timeout'),
                (sent, octets), 'flow-removed for idle_timeout')

    s.ofctl('add-flow', 'br0', 'in_port=1,hard_timeout=3,send_flow_rem,'
            'actions=2')
    tool = scene.numbered('a', 'b')
    scene.wait_direct(('a', 'b'))
    last = wait_until(lambda: removed('hard'), 10, 'hard_timeout')
    scene.wait_switched('a', reason='dropped')
    check(last[0] > 0, 'no packets were counted')
    tool.finish(False)

    # Deleted in the middle of traffic: what was counted is what went over the
    # link or through the rule, the rest was dropped by the other.
    s.ofctl('add-flow', 'br0', 'in_port=1,send_flow_rem,actions=2')
    tool = scene.numbered('a', 'b')
    scene.wait_direct(('a', 'b'))
    received = s.statistics('b')['tx_pkts']
    time.sleep(0.5)
    s.ofctl('--strict', 'del-flows', 'br0', 'in_port=1')
    last = wait_until(lambda: removed('delete'), 10, 'deletion')
    check(last[0] >= s.statistics('b')['tx_pkts'] - received,
          'flow-removed has %d packets, %d went out', last[0],
          s.statistics('b')['tx_pkts'] - received)
    tool.finish(False)
    monitor.stop()
