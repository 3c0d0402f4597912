# SPDX-License-Identifier: Apache-2.0
"""Peers that break the format, in any way: the switch carries on with the
other ports, says what happened, counts it, and takes the port's next peer."""

import os
import random
import signal
import time

from nfv.lab import wait_until
from nfv.peer import CONS, HEADER, PACKETS, PROD, U32, WAKE, Peer, make_frame
from nfv.testing import check, check_equal, options

from scene import Scene

CUT = r'v: peer \(pid \d+\) broke the memory format and is cut off until it ' \
      r'attaches again: '


class Victim:
    """Ports a and b with traffic between them, and port v, under attack,
    which has its frames returned."""

    def __init__(self, lab, n_rxq=1):
        self.scene = Scene(lab, ['a', 'b'])
        self.switch = self.scene.switch
        self.path = self.scene.add('v', 'options:n_rxq=%d' % n_rxq)
        self.scene.cross(('a', 'b'))
        self.switch.ofctl('add-flow', 'br0', 'in_port=v,actions=in_port')
        self.header = self._header()
        lab.expect_log(CUT)

    def _header(self):
        """Returns the constant part of the header, but for the id."""
        with open(self.path, 'rb') as f:
            header = f.read(128)
        return header[:HEADER['id']] + header[HEADER['id'] + 16:]

    def stream(self):
        return self.scene.stream('a', 'b')

    def peer(self, **kwargs):
        peer = Peer(self.path, **kwargs)
        self.switch.wait_link('v')
        return peer

    def check_works(self, peer):
        """Checks that frames go through v and come back."""
        mark = random.getrandbits(63)
        peer.send([make_frame(mark)])
        frames = []

        def returned():
            for queue in range(peer.mem.n_queues):
                frames.extend(peer.receive(queue))
            return make_frame(mark) in frames
        wait_until(returned, what='frame of port v')

    def heal(self, peer=None):
        """The port works with its peer, or a new one, attached anew."""
        if peer:
            peer.attach()
            self.switch.wait_link('v')
            self.check_works(peer)
        else:
            # The switch may still have to put it right.
            wait_until(lambda: os.path.exists(self.path)
                       and self._header() == self.header,
                       what='the memory of port v')
            with self.peer() as peer:
                self.check_works(peer)

    def cut_offs(self):
        return self.scene.counter('v', 'peer_cut_off')


def test_wrong_words(lab):
    """Each wrong index, length and flag cuts the peer off, with one message
    that says why and one more in peer_cut_off; attached anew, it is served
    again."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch

    def set_prod(value):
        def attack(peer):
            mem = peer.mem
            mem.u32[mem.ring(1, PROD)] = (peer.prod[0] + value) % U32
        return attack

    def set_cons(value):
        def attack(peer):
            mem = peer.mem
            mem.u32[mem.ring(0, CONS)] = (peer.cons[0] + value) % U32
            # It is looked at when the ring seems full.
            while not peer.was_cut_off():
                peer.send([make_frame(0)])
        return attack

    def set_desc(word):
        def attack(peer):
            mem = peer.mem
            mem.u64[mem.desc(1, peer.prod[0])] = word
            mem.u32[mem.ring(1, PROD)] = (peer.prod[0] + 1) % U32
        return attack

    def among_good(word):
        def attack(peer):
            mem = peer.mem
            peer.send([make_frame(i) for i in range(10)])
            index = peer.prod[0]
            mem.u64[mem.desc(1, index)] = word
            peer.prod[0] = (index + 1) % U32
            mem.u32[mem.ring(1, PROD)] = peer.prod[0]
        return attack

    index = 'ring index out of range'
    length = 'frame longer than its slot'
    flag = 'unknown descriptor flag'
    with victim.stream() as stream, victim.peer() as peer:
        slot_size = peer.mem.slot_size
        n = 0
        for attack, text in (
                (set_prod(peer.mem.ring_size + 1), index),
                (set_prod(-1), index),
                (set_prod(1 << 31), index),
                (set_cons(peer.mem.ring_size + 1), index),
                (set_cons(-10), index),
                (set_cons(1 << 31), index),
                (set_desc(slot_size + 1), length),
                (set_desc(0xffffffff), length),
                (set_desc(0x80000000), length),
                (set_desc(60 | 1 << 32), flag),
                (set_desc(60 | 1 << 47), flag),
                (set_desc(60 | 1 << 48), flag),
                (set_desc(60 | 1 << 63), flag),
                (among_good(slot_size + 1), length)):
            logged = scene.log_count(CUT + text)
            attack(peer)
            wait_until(peer.was_cut_off, what='the cut-off')
            s.wait_link('v', False)
            n += 1
            check_equal(victim.cut_offs(), n, 'peer_cut_off')
            check_equal(scene.log_count(CUT + text), logged + 1,
                        'messages "%s"' % text)
            check_equal(scene.log_count(CUT), n, 'messages')
            status = scene.status('v')
            check_equal(status['peer_state'], 'cut off', 'peer_state')
            check_equal(status['peer_cut_reason'], text, 'peer_cut_reason')
            stream.check(20)
            victim.heal(peer)
            check('peer_cut_reason' not in scene.status('v'),
                  'peer_cut_reason is left')
        # The statistics column has it too.
        scene.wait_counter('v', 'peer_cut_off', n)
        check_equal(s.interface('a', 'link_resets'), 1, 'link_resets of a')


def test_harmless_words(lab):
    """What a peer may get wrong without harm: counters, its own description,
    short frames, the wake word, an early or late state."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream, victim.peer() as peer:
        mem = peer.mem
        for name in 'n_rxq', 'n_txq', 'pid', 'mtu', 'version', 'cut', 'ack':
            mem.set_side(1, name, 0xffffffff)
        for ring in 0, 1:
            for offset in PACKETS, PACKETS + 4, WAKE:
                mem.u32[mem.ring(ring, offset)] = 0xffffffff
        victim.check_works(peer)
        runts = s.statistics('v')['rx_errs']
        peer.send([b'', b'x' * 13, make_frame(1)])
        check_equal(peer.receive_all(1), [make_frame(1)], 'frames')
        check_equal(s.statistics('v')['rx_errs'], runts + 2, 'rx_errors')
        # What the switch says of itself is put right again.
        said = bytes(mem.bytes[128:256])
        mem.bytes[128:128 + 48] = b'\xa5' * 48
        mem.bytes[184:256] = b'\xa5' * 72

        def restored():
            now = bytes(mem.bytes[128:256])
            # Not padding and heartbeat.
            return (now[:44] == said[:44] and now[56:62] == said[56:62]
                    and now[64:] == said[64:])
        wait_until(restored, what='the side of the switch to be restored')
        victim.check_works(peer)
        check_equal(victim.cut_offs(), 0, 'peer_cut_off')
        # A peer that claims any number of queues.
        for n in 0, 0xffffffff:
            peer.n_rxq = peer.n_txq = n
            victim.heal(peer)
        stream.check()


def test_header(lab):
    """An overwritten header is restored, and its peer cut off."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream, victim.peer() as peer:
        mem = peer.mem
        before = bytes(mem.bytes[:128])
        for start, end in (0, 8), (16, 24), (44, 80), (0, 128):
            n = scene.counter('v', 'header_repaired')
            mem.bytes[start:end] = os.urandom(end - start)
            wait_until(peer.was_cut_off, what='the cut-off')
            wait_until(lambda: bytes(mem.bytes[:128]) == before,
                       what='the header to be restored')
            s.wait_link('v', False)
            check_equal(scene.status('v')['peer_cut_reason'],
                        'header was overwritten', 'peer_cut_reason')
            check_equal(scene.counter('v', 'header_repaired'), n + 1,
                        'header_repaired')
            victim.heal(peer)
            stream.check(20)


def test_scribble(lab):
    """Random words all over the memory, for seconds; attached or not."""
    seed = int(os.environ.get('NFV_SEED', random.randrange(1 << 30)))
    print('NFV_SEED=%d' % seed)
    rng = random.Random(seed)
    victim = Victim(lab, n_rxq=2)
    s = victim.switch
    lab.expect_log(r'v: peer \(pid \d+\) speaks version')
    with open(victim.path, 'rb') as f:
        header = f.read(128)

    def sound():
        with open(victim.path, 'rb') as f:
            return f.read(128) == header
    with victim.stream() as stream:
        for _ in range(8):
            wait_until(sound, what='the header to be restored')
            with Peer(victim.path) as peer:
                mem = peer.mem
                words = len(mem.u32)
                head = mem.slots_offset // 4
                for i in range(300):
                    for _ in range(50):
                        mem.u32[rng.randrange(head if i & 1 else words)] \
                            = rng.getrandbits(32)
                    # Else it would soon be over.
                    mem.set_side(1, 'epoch', rng.getrandbits(32))
                    mem.set_side(1, 'state', rng.randrange(6))
                    if i % 50 == 0:
                        stream.check(5)
            stream.check(20)
            check(s.daemon.running(), 'ovs-vswitchd ended')
        wait_until(sound, what='the header to be restored')
        with victim.peer() as peer:
            victim.check_works(peer)
        stream.check()
        check_equal(s.interface('a', 'link_resets'), 1, 'link_resets of a')


def _truncate(lab, size):
    victim = Victim(lab)
    addresses = victim.scene.addresses('v')
    scene, s = victim.scene, victim.switch
    lab.expect_log(r'v: \S+ was truncated, making it anew; its peer has to '
                   r'attach again', must=True)
    with victim.stream() as stream:
        for round_ in range(1, 4):
            peer = victim.peer()
            inode = os.stat(victim.path).st_ino
            # Frames on the way make the datapath touch the memory.
            peer.send([make_frame(i) for i in range(1000)])
            os.truncate(victim.path, size)
            # From here on, the old memory must not be touched.
            wait_until(lambda: os.path.exists(victim.path)
                       and os.stat(victim.path).st_ino != inode,
                       what='new memory')
            peer.close(False)
            stream.check()
            victim.heal()
            check_equal(scene.log_count('v: .* was truncated'), round_,
                        'messages')
            check_equal(victim.cut_offs(), round_, 'peer_cut_off')
            check_equal(victim.scene.addresses('v'), addresses, 'addresses')
        check_equal(scene.files(), ['ovs-a', 'ovs-b', 'ovs-v'], 'files')


def test_truncate(lab):
    """The file cut to nothing under the switch."""
    _truncate(lab, 0)


def test_truncate_to_header(lab):
    """The file cut to its header under the switch."""
    _truncate(lab, 4096)


def test_truncate_idle(lab):
    """The file cut with no peer attached, found by looking at it."""
    victim = Victim(lab)
    lab.expect_log(r'v: \S+ was truncated', must=True)
    with victim.stream() as stream:
        inode = os.stat(victim.path).st_ino
        os.truncate(victim.path, 0)
        wait_until(lambda: os.stat(victim.path).st_ino != inode,
                   what='new memory')
        victim.heal()
        stream.check()


def test_remove(lab):
    """The file removed, renamed or replaced: the attached peer keeps its link,
    and the next one finds memory."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream:
        for how in 'removed', 'replaced':
            with victim.peer() as peer:
                lab.expect_log(r'v: \S+ was %s by somebody else; it will be '
                               r'made anew when no peer is attached' % how,
                               must=True)
                if how == 'removed':
                    os.unlink(victim.path)
                else:
                    os.rename(victim.path, victim.path + '.old')
                    with open(victim.path, 'wb') as f:
                        f.write(b'rubbish')
                    lab.expect_log('v: could not make memory anew, trying '
                                   'again in 5 seconds .*not dpdkr memory')
                scene.wait_log(r'v: \S+ was %s by somebody else' % how)
                victim.check_works(peer)
                stream.check()
            if how == 'replaced':
                scene.wait_log('v: could not make memory anew')
                with open(victim.path, 'rb') as f:
                    check_equal(f.read(), b'rubbish', 'file of somebody else')
                os.unlink(victim.path)
                os.unlink(victim.path + '.old')
            wait_until(lambda: os.path.exists(victim.path),
                       what='new memory')
            victim.heal()
            check_equal(scene.log_count('was %s by' % how), 1, 'messages')
        stream.check()


def test_epoch_flood(lab):
    """A peer that attaches anew without end fills neither the log nor the
    time of the switch."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream, victim.peer() as peer:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for _ in range(1000):
                peer.mem.set_side(1, 'epoch', random.getrandbits(32))
                peer.mem.set_side(1, 'state', random.randrange(5))
            stream.check(1)
        lines = scene.log_count(r'dpdkr.*\|v: peer')
        # 60 at once and 60 a minute, of each kind.
        check(lines <= 200, '%d lines in the log', lines)
        stream.check()
        victim.heal(peer)
        # It still answers at once.
        start = time.monotonic()
        s.appctl('version')
        check(time.monotonic() - start < 2, 'slow answer')


def test_flapping(lab):
    """A peer that comes and goes without end has that announced sixty times
    and then once a second, and its link is right when it stops."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream:
        start = time.monotonic()
        attached = 0
        with Peer(victim.path, attach=False) as peer:
            while time.monotonic() < start + 8:
                peer.attach()
                # Taken when the link is up.
                peer.send([make_frame(0)])
                peer.flush()
                attached += 1
                peer.detach()
            peer.attach()
            s.wait_link('v')
            seconds = time.monotonic() - start
            resets = s.interface('v', 'link_resets')
            print('attached %d times in %.1f s, link_resets %d'
                  % (attached, seconds, resets))
            check(resets <= 60 + seconds, '%d link_resets in %.1f s', resets,
                  seconds)
            check(2 * attached > resets + 20, 'there was no flood')
            check_equal(s.interface('a', 'link_resets'), 1, 'link_resets of a')
            victim.check_works(peer)
            stream.check()
        s.wait_link('v', False)


def test_stopped_peer(lab):
    """A peer that is stopped with its ring full: frames to it are dropped and
    counted, nobody waits for it, and it goes on when it is continued."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    scene.cross(('a', 'b'))
    s.ofctl('add-flow', 'br0', 'in_port=a,actions=output:b,output:v')
    s.ofctl('add-flow', 'br0', 'in_port=v,actions=drop')
    tool = scene.tool('recv', '--timeout=60', victim.path)
    s.wait_link('v')
    with victim.stream() as stream:
        stream.check()
        tool.send_signal(signal.SIGSTOP)
        scene.wait_counter('v', 'tx_ring_full_drops', 0)
        wait_until(lambda: scene.counter('v', 'tx_ring_full_drops') > 1000,
                   what='tx_ring_full_drops')
        stream.check(2000)
        check_equal(s.interface('v', 'link_state'), 'up', 'link')
        tool.send_signal(signal.SIGCONT)
        before = s.statistics('v')['tx_pkts']
        wait_until(lambda: s.statistics('v')['tx_pkts'] > before + 1000,
                   what='frames to v')
        stream.check()
    tool.finish(success=False)
    check_equal(victim.cut_offs(), 0, 'peer_cut_off')


def _with_tool(lab, mode, *log, cuts=2):
    """The attacks of the test tool, through the real client library, which
    attaches again after each cut-off."""
    lab.expect_log(*log)
    victim = Victim(lab, n_rxq=2)
    scene, s = victim.scene, victim.switch
    with victim.stream() as stream:
        tool = scene.tool('hostile', '--duration=4', victim.path, mode)
        wait_until(lambda: victim.cut_offs() >= cuts,
                   what='%d cut-offs' % cuts)
        while tool.running():
            stream.check(20)
        # It may have died by its own attack.
        tool.stop()
        stream.check()
        check_equal(s.interface('a', 'link_resets'), 1, 'link_resets of a')
        victim.heal()
    return victim


def test_tool_scribble(lab):
    """dpdkr-traffic hostile scribble"""
    victim = _with_tool(lab, 'scribble',
                        r'v: peer \(pid \d+\) speaks version', cuts=0)
    check(victim.cut_offs()
          or victim.scene.counter('v', 'header_repaired')
          or victim.scene.counter('v', 'peer_attached') > 2,
          'the switch noticed nothing')


def test_tool_bad_index(lab):
    """dpdkr-traffic hostile bad-index"""
    _with_tool(lab, 'bad-index')


def test_tool_bad_length(lab):
    """dpdkr-traffic hostile bad-length"""
    _with_tool(lab, 'bad-length')


def test_tool_bad_flags(lab):
    """dpdkr-traffic hostile bad-flags"""
    _with_tool(lab, 'bad-flags')


def test_tool_truncate(lab):
    """dpdkr-traffic hostile truncate"""
    _with_tool(lab, 'truncate', 'v: .* was truncated', cuts=1)


def test_tool_unlink(lab):
    """dpdkr-traffic hostile unlink"""
    log = 'v: .* was removed by somebody else'
    lab.expect_log(log, must=True)
    _with_tool(lab, 'unlink', log, cuts=0)


def test_tool_header(lab):
    """dpdkr-traffic hostile header"""
    victim = _with_tool(lab, 'header', cuts=0)
    check(victim.scene.counter('v', 'header_repaired') > 10,
          'the header was not overwritten')


def test_tool_epoch_flood(lab):
    """dpdkr-traffic hostile epoch-flood"""
    victim = _with_tool(lab, 'epoch-flood', cuts=0)
    # Two without a flood.
    check(victim.scene.counter('v', 'peer_attached') > 5,
          'there was no flood')


@options(driver=True, programs=['dpdk-testpmd'])
def test_testpmd_cut_off(lab):
    """A testpmd whose port is cut off, since somebody else scribbled over its
    memory, attaches again by itself and goes on."""
    victim = Victim(lab)
    scene, s = victim.scene, victim.switch
    s.ofctl('del-flows', 'br0')
    other = scene.add('w')
    scene.cross(('a', 'b'), ('w', 'v'))
    pmd = scene.testpmd('pmd', [victim.path])
    pmd.command('set fwd io')
    pmd.command('start')
    s.wait_link('v')
    with victim.stream() as stream, Peer(other) as w:
        s.wait_link('w')
        for attack in range(1, 4):
            mem = Peer(victim.path, attach=False)
            mem.mem.u32[mem.mem.ring(1, PROD)] = random.getrandbits(32)
            mem.close(False)
            wait_until(lambda: victim.cut_offs() >= attack,
                       what='the cut-off')
            s.wait_link('v')
            frames = []

            def echoed():
                w.send([make_frame(attack)])
                frames.extend(w.receive())
                return make_frame(attack) in frames
            wait_until(echoed, what='frames from testpmd')
            stream.check()
        check(pmd.running(), 'testpmd ended')
