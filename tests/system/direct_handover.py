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

from direct_traffic import TrafficScene
from scene import Scene

# Handovers each way of each test.  More than a few thousand take a while.
HANDOVERS = int(os.environ.get('NFV_HANDOVERS', '100'))
# Rounds in which a peer or the switch is stopped or killed.
ROUNDS = int(os.environ.get('NFV_CHAOS', '10'))

# Seconds that the switch waits for a peer that is alive, <dpdkr/link.h>.
PATIENCE = 1


def _random():
    seed = int(os.environ.get('NFV_SEED', random.randrange(1 << 30)))
    print('NFV_SEED=%d' % seed)
    return random.Random(seed)


def _check_intact(scene, handovers, late=()):
    """'late' are the ports whose peers' frames the switch did not wait for."""
    counters = scene.counters()
    for port in 'ab':
        for name in ('direct_lost_packets', 'direct_failed_links',
                     'tx_ring_full_drops', 'direct_late_handovers'):
            if name != 'direct_late_handovers' or port not in late:
                check_equal(counters[port][name], 0,
                            '%s of %s' % (name, port))
    scene.check_order(late)
    for port in scene.senders:
        totals = scene.totals(port)
        check_equal(totals['lost'], 0, 'lost, from ' + port)
        check_equal(totals['received'], totals['sent'], 'received')
        direct = counters[port]['rx_direct_packets']
        check_equal(scene.switch.statistics(port)['rx_pkts'],
                    totals['sent'] + scene.states[port].probes,
                    'packets that the switch counted from ' + port)
        check(0 < direct < totals['sent'], '%d packets from %s went directly',
              direct, port)
        check(counters[port]['direct_handovers'] >= handovers,
              'not all handovers are counted: %s', counters)


def _hand_over(lab, senders, queues=1, **kwargs):
    """Hands traffic at full speed over, until what each of 'senders' sends was
    handed over and back NFV_HANDOVERS times."""
    scene = TrafficScene(lab, senders, queues, **kwargs)
    rng = _random()
    # No more on the way than a ring holds: what is dropped for lack of room
    # is not lost by handovers.
    scene.start('--window=512')
    choices = [senders, *senders] if len(senders) > 1 else [senders]
    done = dict.fromkeys(senders, 0)
    orders = {port: scene.ways[port].order()[0] for port in senders}
    start = time.monotonic()
    while min(done.values()) < HANDOVERS:
        ports = rng.choice(choices)
        for direct in False, True:
            # Now and then the switch is quicker than the peers.
            flaps = rng.choice([0, 0, 0, 1, 2])
            scene.hand_over(ports, direct, flaps)
        for port in ports:
            done[port] += 1
    seconds = time.monotonic() - start
    for port in senders:
        orders[port] = scene.ways[port].order()[0] - orders[port]
    scene.finish()
    print('%s times to the link and back, %s orders, %.0f a second'
          % (done, orders, sum(done.values()) / seconds))
    _check_intact(scene, HANDOVERS)


@options(timeout=120 + HANDOVERS)
def test_one_way(lab):
    """What the peer of port a sends is handed over and back NFV_HANDOVERS
    times, each of which is seen in the counters of the rings."""
    _hand_over(lab, 'a')


@options(timeout=120 + HANDOVERS)
def test_one_way_queues(lab):
    """The same with four queues, each of which is seen to follow."""
    _hand_over(lab, 'a', queues=4)


@options(timeout=120 + HANDOVERS)
def test_one_way_flush(lab):
    """The same with packets that stay in the switch for a while."""
    _hand_over(lab, 'a', other_config=['tx-flush-interval=500'])


@options(timeout=120 + HANDOVERS)
def test_two_ways(lab):
    """Both directions at once, handed over together and each by itself."""
    _hand_over(lab, 'ab')


@options(timeout=120 + HANDOVERS)
def test_two_ways_queues(lab):
    """The same with four queues."""
    _hand_over(lab, 'ab', queues=4)


@options(timeout=120 + HANDOVERS)
def test_echo(lab):
    """The same through a function that sends back, so that both directions
    have to be in order together."""
    scene = Scene(lab, busy=True, p2p=True)
    for port in 'a', 'b':
        scene.add(port)
    scene.cross(('a', 'b'))
    s = scene.switch
    echo = scene.tool('echo', '--busy', scene.paths['b'])
    tool = scene.tool('pair', '--window=256', '--timeout=30', '--busy',
                      scene.paths['a'], scene.paths['a'])
    for _ in range(max(2, HANDOVERS // 10)):
        _wait_states(scene, 'direct')
        s.ofctl('add-flow', 'br0', 'priority=60000,dl_type=0x88cc,'
                'actions=drop')
        _wait_states(scene, 'switch')
        s.ofctl('del-flows', 'br0', 'dl_type=0x88cc')
    check(tool.running(), 'the traffic has ended\n%s', tool.log())
    tool.send_signal(signal.SIGUSR1)    # It waits for what is under way.
    result = tool.result(timeout=60, success=False)
    echo.stop()
    print(json.dumps(result))
    for what in 'lost', 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)


def _wait_states(scene, state):
    for port in 'a', 'b':
        wait_until(lambda: scene.status(port).get('p2p_state') == state, 20,
                   'p2p_state of %s to be %s' % (port, state))


def _doze(rng, longest):
    """Some time, so that what follows comes at any moment of what goes on."""
    time.sleep(rng.random() ** 2 * longest)


def _veto_at_random(scene, rng):
    """Hands over and back, or not, and waits for nothing."""
    for _ in range(rng.randrange(4)):
        scene.veto(rng.choice('ab'), rng.randrange(2))


def _all_direct(scene):
    for port in 'ab':
        scene.veto(port, False)
    for port in 'ab':
        scene.wait_state(port, 'direct')


@options(timeout=300 + 2 * ROUNDS)
def test_peers_stop(lab):
    """Peers that are stopped (SIGSTOP), and go on, in the middle of handovers,
    NFV_CHAOS times: nothing is stuck, and what is missing is what found no
    room in a ring."""
    rng = _random()
    scene = TrafficScene(lab, queues=rng.choice([1, 2]))
    scene.start('--rate=50000')
    for _ in range(ROUNDS):
        _veto_at_random(scene, rng)
        _doze(rng, 0.01)
        tool = scene.tools[rng.choice('ab')]
        tool.send_signal(signal.SIGSTOP)
        _doze(rng, 0.04)
        _veto_at_random(scene, rng)
        _doze(rng, 0.01)
        tool.send_signal(signal.SIGCONT)
        scene.progress()
    _all_direct(scene)
    scene.finish()
    counters = scene.counters()
    print(counters)
    scene.check_order()
    for port, far in ('a', 'b'), ('b', 'a'):
        check_equal(scene.totals(port)['lost'],
                    counters[far]['tx_ring_full_drops'],
                    'lost, from ' + port)
        check_equal(counters[port]['direct_lost_packets'], 0,
                    'left in links of ' + port)
    check(not scene.log_count('giving the link up'), 'a link is gone')


@options(timeout=300 + ROUNDS)
def test_receiver_is_late(lab):
    """A receiver that stands still for longer than the switch waits when its
    link is to go: the sender's next frames go on to others, and when the
    receiver goes on, it gets all that is in the link and in its port, once."""
    rng = _random()
    scene = TrafficScene(lab, 'a')
    scene.start('--rate=50000')
    tool = scene.tools['b']
    for n in range(1, max(2, ROUNDS // 20) + 1):
        tool.send_signal(signal.SIGSTOP)
        _doze(rng, 0.01)
        scene.veto('a')
        wait_until(lambda: scene.counter('a', 'direct_late_handovers') == n,
                   20, 'a late handover')
        tool.send_signal(signal.SIGCONT)
        scene.progress()
        _all_direct(scene)
    scene.finish()
    scene.check_order(late='a')
    counters = scene.counters()
    print(counters)
    check_equal(scene.totals('a')['lost'],
                counters['b']['tx_ring_full_drops'], 'lost')


@options(timeout=300 + ROUNDS)
def test_sender_is_late(lab):
    """A sender that follows the order to leave the link only after the time
    that the switch waits for receivers: the receiver has that time all the
    same, and nothing is overtaken."""
    scene = TrafficScene(lab, 'a')
    scene.start('--window=512')
    sender, receiver = scene.tools['a'], scene.tools['b']
    on_time = n_late = 0
    while on_time < max(2, ROUNDS // 5):
        late = scene.counter('a', 'direct_late_handovers')
        packets = scene.ways['a'].packets(False)
        sender.send_signal(signal.SIGSTOP)
        # So that it has something to send when it goes on.
        wait_until(lambda: scene.totals('a')['lost'] == 0, 20,
                   'all packets to arrive', 0.001)
        receiver.send_signal(signal.SIGSTOP)
        scene.veto('a')
        time.sleep(PATIENCE + 0.2)
        start = time.monotonic()
        sender.send_signal(signal.SIGCONT)
        wait_until(lambda: scene.ways['a'].packets(False) > packets,
                   20, 'packets in the port', 0.001)
        # The switch looks at it several times meanwhile.
        time.sleep(PATIENCE / 5)
        receiver.send_signal(signal.SIGCONT)
        scene.ways['a'].wait(False, scene.check_running)
        in_time = time.monotonic() - start < PATIENCE
        late = scene.counter('a', 'direct_late_handovers') - late
        check(not (in_time and late), 'the switch did not wait')
        on_time += in_time
        n_late += late
        scene.hand_over('a', True)
    scene.finish()
    _check_intact(scene, on_time, late='a' if n_late else '')


@options(timeout=300 + 6 * ROUNDS)
def test_peers_die(lab):
    """Peers that are killed, running or stopped, at any moment, NFV_CHAOS
    times: the other one goes on with the next, what is lost is counted and no
    more than what fits into rings, and no files are left."""
    rng = _random()
    scene = TrafficScene(lab, queues=rng.choice([1, 2]))
    files = scene.files()
    scene.start('--rate=50000')
    # Of each kill, what can be lost are the frames in the rings of the link
    # in both directions, and those in the two rings of the port.
    limit = 2 * scene.ways['a'].port.ring_size * scene.queues
    lost = 0
    for n in range(ROUNDS):
        if rng.randrange(2):
            for port in 'ab':
                scene.wait_state(port, 'direct')
        else:
            _doze(rng, 0.1)
        _veto_at_random(scene, rng)
        _doze(rng, 0.01)
        port = rng.choice('ab')
        stopped = rng.choice(['', '', '', 'a', 'b', 'ab'])
        for name in stopped:
            scene.tools[name].send_signal(signal.SIGSTOP)
        _doze(rng, 0.02 if stopped else 0)
        scene.kill_peer(port)
        _doze(rng, 0.02)
        for name in stopped.replace(port, ''):
            scene.tools[name].send_signal(signal.SIGCONT)
        scene.start_peer(port)
        for name in 'ab':
            scene.veto(name, False)
        scene.progress()
        counters = scene.counters()
        now = sum(counters[name]['direct_lost_packets'] for name in 'ab')
        check(now - lost <= limit, '%d packets lost in a link', now - lost)
        lost = now
    _all_direct(scene)
    scene.finish()
    wait_until(lambda: scene.files() == files, 30, 'the files of links to go')

    scene.check_order()
    losses = scene.counted_losses()
    missing = sum(scene.totals(port)['lost'] for port in 'ab')
    unsure = sum(scene.states[port].unsure for port in 'ab')
    print('%d frames are missing, of %d one cannot know, counted: %s'
          % (missing, unsure, losses))
    # Of the burst that a peer is at when it is killed, some frames may have
    # been received and count as lost all the same.
    counted = sum(losses.values())
    check(missing - ROUNDS <= counted <= missing + unsure + 33 * ROUNDS,
          '%d frames are missing, %d are counted', missing, counted)


@options(timeout=120)
def test_switch_dies(lab):
    """Direct traffic goes on without a switch, and the next one finds the link
    and removes it when nobody needs it any more."""
    scene = TrafficScene(lab)
    files = scene.files()
    scene.start('--window=512')
    scene.progress()
    # Nobody is on the way from the ports to the link.
    for port in 'ab':
        scene.ways[port].wait(True, scene.check_running)
    scene.switch.kill_daemon()
    scene.progress(100000)
    scene.finish()
    scene.check_order()
    for port in 'ab':
        check_equal(scene.totals(port)['lost'], 0, 'lost, from ' + port)
    check(len(scene.files()) > len(files), 'there is no link')
    scene.switch.start(scene.other_config)
    wait_until(lambda: scene.files() == files, 30, 'the link to go')


@options(timeout=300 + 6 * ROUNDS)
def test_switch_restarts(lab):
    """A switch that is killed and restarted again and again under traffic:
    what a switch without flows does not forward is lost, but nothing is
    overtaken or doubled, and nothing is stuck."""
    rng = _random()
    scene = TrafficScene(lab)
    scene.start('--rate=50000')
    for _ in range(max(3, ROUNDS // 3)):
        if rng.randrange(2):
            _all_direct(scene)
        _veto_at_random(scene, rng)
        _doze(rng, 0.02)
        scene.switch.kill_daemon()
        _doze(rng, 0.1)
        scene.switch.start(scene.other_config)
        scene.reconnect()
        scene.cross(('a', 'b'))
        scene.progress()
    _all_direct(scene)
    scene.finish()
    scene.check_order()
