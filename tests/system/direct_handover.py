# SPDX-License-Identifier: Apache-2.0
"""Handovers of direct links under full-rate traffic: nothing is lost, changed,
doubled or overtaken, and nothing is stuck, whatever happens to the peers and
to the switch."""

import json
import os
import random
import signal
import time

from nfv.lab import wait_until
from nfv.testing import check, check_equal, options

from scene import Scene

# Handovers each way of each test.  More than a few thousand take a while.
HANDOVERS = int(os.environ.get('NFV_HANDOVERS', '100'))
# Rounds in which a peer or the switch is stopped or killed.
ROUNDS = int(os.environ.get('NFV_CHAOS', '10'))

# A flow that takes no packet of the tests, and yet what the ports send is not
# all for one other port as long as it is there.
VETO = 'priority=60000,dl_type=0x88cc'


def _random():
    seed = int(os.environ.get('NFV_SEED', random.randrange(1 << 30)))
    print('NFV_SEED=%d' % seed)
    return random.Random(seed)


def _scene(lab, *port_options, **kwargs):
    scene = Scene(lab, busy=True, p2p=True, **kwargs)
    for port in 'a', 'b':
        scene.add(port, *port_options)
    scene.cross(('a', 'b'))
    return scene


def _wait_state(scene, port, state):
    wait_until(lambda: scene.status(port).get('p2p_state') == state, 20,
               'p2p_state of %s to be %s' % (port, state))


def _veto(scene, on):
    if on:
        scene.switch.ofctl('add-flow', 'br0', VETO + ',actions=drop')
    else:
        scene.switch.ofctl('del-flows', 'br0', VETO.split(',', 1)[1])


def _handovers(scene, port):
    return scene.counter(port, 'direct_handovers')


def _hand_over(scene, tool, n, *ports):
    """Takes what 'ports' send off the links and back, until each has been
    handed over 'n' times."""
    start = {port: _handovers(scene, port) for port in ports}
    while any(_handovers(scene, port) - start[port] < n for port in ports):
        check(tool.running(), 'the traffic has ended\n%s', tool.log())
        for _ in range(10):
            _veto(scene, True)
            _veto(scene, False)
    tool.send_signal(signal.SIGUSR1)    # It waits for what is under way.


def _check_intact(scene, result, ordered=True):
    print(json.dumps(result))
    for what in 'lost', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)
    if ordered:
        check_equal(result['reordered'], 0, 'reordered')
    for port in 'a', 'b':
        for counter in ('direct_lost_packets', 'direct_late_handovers',
                        'direct_failed_links', 'tx_ring_full_drops'):
            check_equal(scene.counter(port, counter), 0,
                        '%s of %s' % (counter, port))


def _check_used(scene, port, result):
    """Both ways were used, or else the test says nothing."""
    direct = scene.counter(port, 'rx_direct_packets')
    check(direct > 1000, 'only %d packets went over the link', direct)
    check(direct < result['sent'], 'all packets went over the link')


def _one_way(lab, *port_options, **kwargs):
    scene = _scene(lab, *port_options)
    tool = scene.tool('pair', '--window=512', '--timeout=10', '--busy',
                      *kwargs.get('args', ()), scene.paths['a'],
                      scene.paths['b'])
    _wait_state(scene, 'a', 'direct')
    _hand_over(scene, tool, HANDOVERS, 'a')
    result = tool.result(timeout=60, success=False)
    _check_intact(scene, result)
    _check_used(scene, 'a', result)


@options(timeout=3000)
def test_one_way(lab):
    """What port a sends is handed over and back NFV_HANDOVERS times."""
    _one_way(lab)


@options(timeout=3000)
def test_one_way_queues(lab):
    """The same with four queues."""
    _one_way(lab, 'options:n_rxq=4', args=['--flows=64', '--queues=4'])


@options(timeout=3000)
def test_one_way_flush(lab):
    """The same with packets that stay in the switch for a while."""
    scene = _scene(lab, other_config=['tx-flush-interval=500'])
    tool = scene.tool('pair', '--window=512', '--timeout=10', '--busy',
                      scene.paths['a'], scene.paths['b'])
    _wait_state(scene, 'a', 'direct')
    _hand_over(scene, tool, HANDOVERS // 2, 'a')
    result = tool.result(timeout=60, success=False)
    _check_intact(scene, result)
    _check_used(scene, 'a', result)


def _two_ways(lab, *port_options, args=(), ordered=True):
    scene = _scene(lab, *port_options)
    echo = scene.tool('echo', '--busy', *args, scene.paths['b'])
    tool = scene.tool('pair', '--window=256', '--timeout=10', '--busy',
                      *args, scene.paths['a'], scene.paths['a'])
    for port in 'a', 'b':
        _wait_state(scene, port, 'direct')
    _hand_over(scene, tool, HANDOVERS, 'a', 'b')
    result = tool.result(timeout=60, success=False)
    echo.stop()
    _check_intact(scene, result, ordered)
    for port in 'a', 'b':
        _check_used(scene, port, result)


@options(timeout=3000)
def test_two_ways(lab):
    """Both directions at once, through a function that sends back."""
    _two_ways(lab)


@options(timeout=3000)
def test_two_ways_queues(lab):
    """The same with four queues.  The function sends a frame back on the queue
    on which it received it, and that is another one after a handover, so that
    only the frames' number can be checked: there is no order between
    queues."""
    _two_ways(lab, 'options:n_rxq=4', args=['--queues=4'], ordered=False)


@options(timeout=600)
def test_receiver_stops(lab):
    """A receiver that is stopped, and goes on, in the middle of handovers:
    what it gets is in order but for the frames of a handover that it was too
    late for, and nothing is stuck."""
    scene = _scene(lab)
    rng = _random()
    recv = scene.tool('recv', '--timeout=5', '--busy', scene.paths['b'])
    send = scene.tool('send', '--rate=50000', scene.paths['a'])
    _wait_state(scene, 'a', 'direct')
    for _ in range(ROUNDS):
        recv.send_signal(signal.SIGSTOP)
        time.sleep(rng.random() * 0.05)
        _veto(scene, True)
        if rng.randrange(2):
            _veto(scene, False)
        time.sleep(rng.random() * 0.05)
        recv.send_signal(signal.SIGCONT)
        _veto(scene, False)
        _wait_state(scene, 'a', 'direct')
    sent = send.finish()
    result = recv.finish(success=False)
    print(json.dumps(result))
    for what in 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)
    check(result['received'] > sent['sent'] // 2, 'only %d of %d arrived',
          result['received'], sent['sent'])


@options(timeout=600)
def test_peers_die(lab):
    """Peers that are killed at any moment: the other one goes on with the
    next, and the links of the dead leave no files."""
    scene = _scene(lab)
    rng = _random()
    files = len(scene.files())
    args = {'recv': ['recv', '--timeout=5', '--link-timeout=30',
                     scene.paths['b']],
            'send': ['send', '--link-timeout=30', '--rate=100000',
                     scene.paths['a']]}
    tools = {name: scene.tool(*args[name]) for name in args}
    for _ in range(ROUNDS):
        _wait_state(scene, 'a', 'direct')
        if rng.randrange(2):
            _veto(scene, True)
            if rng.randrange(2):
                time.sleep(rng.random() * 0.01)
        name = rng.choice(sorted(args))
        tools[name].kill()
        time.sleep(rng.random() * 0.1)
        _veto(scene, False)
        tools[name] = scene.tool(*args[name])
    _wait_state(scene, 'a', 'direct')
    for tool in tools.values():
        tool.kill()
    wait_until(lambda: len(scene.files()) == files, 20,
               'the files of links to go')

    # Nothing is stuck.
    result = scene.tool('pair', '--window=256', '--count=100000',
                        '--timeout=10', '--link-timeout=30',
                        scene.paths['a'], scene.paths['b']).result()
    for what in 'lost', 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)


@options(timeout=600)
def test_switch_dies(lab):
    """Direct traffic goes on without a switch, and is found again by the
    next."""
    scene = _scene(lab)
    tool = scene.tool('pair', '--window=512', '--timeout=20', '--busy',
                      '--no-probe', '--duration=4', scene.paths['a'],
                      scene.paths['b'])
    _wait_state(scene, 'a', 'direct')
    scene.switch.kill_daemon()
    result = tool.result()
    for what in 'lost', 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)
    scene.switch.start(scene.other_config)
    wait_until(lambda: len(scene.files()) == 2, 20, 'the link to go')


@options(timeout=600)
def test_switch_restarts(lab):
    """A switch that is killed and restarted again and again under traffic:
    what a switch without flows does not forward is lost, but nothing is
    overtaken or doubled, and in the end all is as before."""
    scene = _scene(lab)
    rng = _random()
    recv = scene.tool('recv', '--timeout=20', '--busy', scene.paths['b'])
    send = scene.tool('send', '--rate=50000', scene.paths['a'])
    for i in range(max(2, ROUNDS // 3)):
        _wait_state(scene, 'a', 'direct')
        if i % 2:
            _veto(scene, True)
        scene.switch.kill_daemon()
        time.sleep(rng.random() * 0.1)
        scene.switch.start(scene.other_config)
        scene.cross(('a', 'b'))
    _wait_state(scene, 'a', 'direct')
    send.finish()
    result = recv.finish(success=False)
    print(json.dumps(result))
    for what in 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)
