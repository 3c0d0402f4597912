# SPDX-License-Identifier: Apache-2.0
"""Ends and restarts of the switch and of its peers."""

import os
import signal

from nfv.lab import LabError, wait_until
from nfv.peer import Peer, Stream, make_frame
from nfv.testing import check, check_equal, options

from scene import Scene


def _scene(lab, *ports):
    # The bridge keeps its only flow, NORMAL, over a restart.  With no port but
    # the two, all goes from one to the other.
    scene = Scene(lab, ports or ('a', 'b'))
    return scene


def _connect(scene):
    scene.cross(('a', 'b'))


def _goes_on(scene, action):
    """Does 'action' to the switch under traffic of the real client library,
    which must go on by itself, with nothing reordered, changed or twice."""
    tool = scene.tool('pair', '--rate=20000', '--timeout=60',
                      scene.paths['a'], scene.paths['b'])
    scene.switch.wait_link('a')
    scene.switch.wait_link('b')
    _wait_traffic(scene, 'b')
    pid = tool.pid
    action()
    _wait_traffic(scene, 'b')
    check(tool.pid == pid and tool.running(), 'the peer ended:\n%s',
          tool.log())
    result = tool.finish(success=False)
    check(result['received'], 'nothing received')
    for what in 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)
    return result


def _wait_traffic(scene, port, n=500, timeout=20):
    def sent():
        return scene.switch.statistics(port)['tx_pkts']
    before = sent()
    wait_until(lambda: sent() >= before + n, timeout,
               '%d frames through %s' % (n, port))


def test_graceful(lab):
    """exit and start: the files stay, an attached peer carries on, and not
    one frame that it sends or that waits for it is lost."""
    scene = _scene(lab)
    s = scene.switch
    s.vsctl('set-fail-mode', 'br0', 'secure')
    _connect(scene)
    paths = scene.paths
    before = {p: os.stat(p).st_ino for p in paths.values()}
    with Peer(paths['a']) as a, Peer(paths['b']) as b:
        s.wait_link('a')
        s.wait_link('b')
        ids = a.mem.id, b.mem.id
        a.send_all([make_frame(i) for i in range(10)])
        a.flush()
        check_equal(s.statistics('b')['tx_pkts'], 10, 'tx_pkts')
        status = s.stop_daemon()
        check_equal(status, 0, 'exit status')
        check_equal(scene.files(), ['ovs-a', 'ovs-b'], 'files')
        check_equal(a.mem.side(0, 'state'), 0, 'state that the peer sees')

        # What waits for b is still there, and a goes on sending.  The switch
        # is going to read that before it has flows and drop it, by its own
        # rules.
        check_equal(b.receive(limit=4), [make_frame(i) for i in range(4)],
                    'frames')
        a.send_all([make_frame(i) for i in range(10, 20)])
        s.start()
        s.wait_link('a')
        s.wait_link('b')
        _connect(scene)
        check_equal({p: os.stat(p).st_ino for p in paths.values()}, before,
                    'files')
        check_equal((a.mem.id, b.mem.id), ids, 'memories')
        a.send_all([make_frame(i) for i in range(20, 30)])
        got = b.receive_all(16)
        check_equal(got[:6], [make_frame(i) for i in range(4, 10)], 'frames')
        check_equal(got[-10:], [make_frame(i) for i in range(20, 30)],
                    'frames')
        check_equal(scene.counter('a', 'peer_cut_off'), 0, 'peer_cut_off')


def test_graceful_traffic(lab):
    """exit and start under traffic of the client library."""
    scene = _scene(lab)
    s = scene.switch

    def restart():
        s.stop_daemon()
        s.start()
    _goes_on(scene, restart)


def test_kill_traffic(lab):
    """SIGKILL and start, three times, under traffic of the client library."""
    scene = _scene(lab)
    s = scene.switch

    def restart():
        for _ in range(3):
            s.kill_daemon()
            check_equal(scene.files(), ['ovs-a', 'ovs-b'], 'files')
            s.start()
            s.wait_link('a')
            s.wait_link('b')
    before = {p: os.stat(p).st_ino for p in scene.paths.values()}
    _goes_on(scene, restart)
    check_equal({p: os.stat(p).st_ino for p in scene.paths.values()}, before,
                'files')


def test_exit_cleanup(lab):
    """exit --cleanup removes the memory; the peer finds the new one."""
    scene = _scene(lab)
    s = scene.switch

    def restart():
        s.stop_daemon(cleanup=True)
        check_equal(scene.files(), [], 'files')
        s.start()
        s.wait_link('a')
        s.wait_link('b')
    _goes_on(scene, restart)


def test_del_port_and_back(lab):
    """A port that is removed and comes back finds its peer again."""
    scene = _scene(lab)
    s = scene.switch

    def again():
        s.vsctl('del-port', 'b')
        check_equal(scene.files(), ['ovs-a'], 'files')
        s.add_dpdkr('br0', 'b', 'options:ring_size=256')
        s.wait_link('b')
    _goes_on(scene, again)


def test_new_geometry(lab):
    """The client follows a port to memory of another size."""
    scene = _scene(lab)
    s = scene.switch

    def grow():
        scene.set('b', 'mtu_request=9000')
        wait_until(lambda: s.interface('b', 'mtu') == 9000, what='the MTU')
        s.wait_link('b')
        scene.set('a', 'options:ring_size=128')
        wait_until(lambda: scene.status('a')['ring_size'] == '128',
                   what='the ring size')
        s.wait_link('a')
    _goes_on(scene, grow)


def test_configured_while_away(lab):
    """A database changed while the switch is away: ports that are gone leave
    no memory in use, others come as they are configured now."""
    scene = _scene(lab)
    s = scene.switch
    with Peer(scene.paths['a']) as a:
        s.wait_link('a')
        s.stop_daemon()
        s.vsctl('--no-wait', 'set', 'Interface', 'a', 'options:ring_size=128')
        s.start()
        wait_until(lambda: scene.status('a')['ring_size'] == '128',
                   what='the ring size')
        check_equal(a.mem.side(0, 'state'), 4, 'state of the old memory')
    with Peer(scene.paths['a']) as a:
        s.wait_link('a')
        check_equal(a.mem.ring_size, 128, 'ring size')
    check_equal(scene.files(), ['ovs-a', 'ovs-b'], 'files')


@options(driver=True, programs=['dpdk-testpmd'], timeout=120)
def test_testpmd(lab):
    """The DPDK driver: an unmodified testpmd goes on after the switch was
    restarted, in good order and killed, by itself."""
    scene = _scene(lab)
    s = scene.switch
    scene.add_bridge('br1')
    scene.add('c', bridge='br1')
    scene.add('d', bridge='br1')
    pmd = scene.testpmd('pmd', [scene.paths['b'], scene.paths['c']])
    pmd.command('set fwd io')
    pmd.command('start')
    tool = scene.tool('pair', '--rate=20000', '--timeout=60',
                      scene.paths['a'], scene.paths['d'])
    for port in scene.paths:
        s.wait_link(port)
    _wait_traffic(scene, 'd')
    for end in s.stop_daemon, s.kill_daemon:
        end()
        s.start()
        _wait_traffic(scene, 'd')
        check(pmd.running(), 'testpmd ended')
        check_equal(scene.status('b')['peer_pid'], str(pmd.pid), 'peer')
    result = tool.finish(success=False)
    for what in 'reordered', 'duplicated', 'corrupted':
        check_equal(result[what], 0, what)


@options(driver=True, programs=['dpdk-testpmd'], timeout=120)
def test_peer_ends(lab):
    """A testpmd that is killed, stopped and continued, or quits: the switch
    notices, and the next one works."""
    scene = _scene(lab, 'a', 'b', 'c')
    s = scene.switch
    _connect(scene)
    s.ofctl('add-flow', 'br0', 'in_port=c,actions=drop')
    with scene.stream('a', 'b') as stream:
        stream.check()
        for end in 'kill', 'quit', 'stop':
            pmd = scene.testpmd('pmd-' + end, [scene.paths['c']])
            s.wait_link('c')
            check_equal(scene.status('c')['peer_pid'], str(pmd.pid), 'peer')
            if end == 'kill':
                pmd.kill()
                s.wait_link('c', False)
                check_equal(scene.status('c')['peer_state'], 'none', 'peer')
            elif end == 'quit':
                pmd.stop()
                s.wait_link('c', False)
            else:
                pmd.send_signal(signal.SIGSTOP)
                # It is alive: the port is still its.
                stream.check()
                check_equal(s.interface('c', 'link_state'), 'up', 'link')
                pmd.send_signal(signal.SIGCONT)
                check('Link status: up' in pmd.command('show port info 0'),
                      'testpmd has the link down')
                pmd.stop()
                s.wait_link('c', False)
            stream.check()
        check_equal(scene.counter('c', 'peer_attached'), 3, 'peer_attached')


def test_second_peer(lab):
    """While a peer is attached, no second one gets in, whichever it is."""
    scene = _scene(lab)
    s = scene.switch
    with scene.stream('a', 'b') as stream:
        tool = scene.tool('recv', scene.paths['b'])
        check_equal(tool.wait(), 2, 'exit status of the second peer')
        check('in use' in tool.log() or 'another process' in tool.log()
              or 'taken' in tool.log(), 'it says:\n%s', tool.log())
        try:
            Peer(scene.paths['b']).close()
            check(False, 'a second peer is attached')
        except LabError as e:
            check('another peer is attached' in str(e), '%s', e)
        stream.check()
        check_equal(s.interface('b', 'link_resets'), 1, 'link_resets')
        check_equal(scene.counter('b', 'peer_attached'), 1, 'peer_attached')
    # When it is gone, the next one does.
    s.wait_link('b', False)
    with Peer(scene.paths['b']):
        s.wait_link('b')


def test_peer_without_switch(lab):
    """A peer that attaches while no switch runs is served by the next one."""
    scene = _scene(lab)
    s = scene.switch
    for end in s.stop_daemon, s.kill_daemon:
        end()
        with Peer(scene.paths['a'], attach=False) as a:
            a.start_attaching()
            check(not a.acknowledged(), 'somebody answers')
            s.start()
            wait_until(a.acknowledged, what='the switch to answer')
            a.finish_attaching()
            s.wait_link('a')
        s.wait_link('a', False)
        # One that came and went meanwhile is forgotten.
    s.stop_daemon()
    for _ in range(3):
        with Peer(scene.paths['a'], attach=False) as a:
            a.start_attaching()
    s.start()
    check_equal(s.interface('a', 'link_state'), 'down', 'link')
    with Peer(scene.paths['a']) as a, Peer(scene.paths['b']) as b:
        s.wait_link('a')
        s.wait_link('b')
        _connect(scene)
        with Stream(a, b) as stream:
            stream.check()
