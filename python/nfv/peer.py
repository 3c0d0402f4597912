# SPDX-License-Identifier: Apache-2.0
"""A peer of a dpdkr port, written from the description of the memory in
include/dpdkr/abi.h and sharing no code with the others.

It is slow, and does exactly what a test tells it to, right or wrong: every
word of the memory is within reach as 'u32', 'u64' and 'bytes'.
"""

import errno
import fcntl
import mmap
import os
import struct
import threading
import time

from nfv.lab import LabError, wait_until

MAGIC = 0x726b64706473564f
VERSION = 1 << 16
LOCK_OFFSET = 1 << 40
SIDE_A, SIDE_B = 0, 1
DOWN, ATTACHING, UP, ADMIN_DOWN, RETIRED = range(5)
F_HEARTBEAT, F_SLEEPS = 1, 2

# Offsets in the header, and in one of its sides.
HEADER = {'magic': 0, 'version': 8, 'header_size': 12, 'total_size': 16,
          'id': 24, 'kind': 40, 'n_queues': 44, 'ring_size': 48,
          'slot_size': 52, 'slot_stride': 56, 'ring_bytes': 60,
          'rings_offset': 64, 'slots_offset': 72}
SIDE_OFFSET, SIDE_BYTES = 128, 128
SIDE = {name: 4 * i for i, name in enumerate([
    'state', 'epoch', 'ack', 'cut', 'cut_reason', 'version', 'flags', 'n_rxq',
    'n_txq', 'pid', 'mtu'])}
SIDE_MAC, SIDE_NAME = 56, 64

# Offsets in a ring.
PROD, PACKETS, BYTES, CONS, WAKE, DESCS = 0, 8, 16, 128, 256, 512

U32 = 1 << 32


def lock_side_b(fd):
    """Takes the lock of side B for as long as 'fd' is open."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK,
                struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET,
                            LOCK_OFFSET + SIDE_B, 1, 0))


class Memory:
    """The memory of a port."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.fstat(self.fd).st_size
        self.map = mmap.mmap(self.fd, self.size)
        self.bytes = memoryview(self.map)
        self.u32 = self.bytes.cast('I')
        self.u64 = self.bytes.cast('Q')
        if self.u64[0] != MAGIC:
            raise LabError('%s: not a dpdkr memory' % path)
        self.n_queues = self.header('n_queues')
        self.ring_size = self.header('ring_size')
        self.slot_size = self.header('slot_size')
        self.slot_stride = self.header('slot_stride')
        self.ring_bytes = self.header('ring_bytes')
        self.rings_offset = self.header('rings_offset', 8)
        self.slots_offset = self.header('slots_offset', 8)
        self.id = bytes(self.bytes[HEADER['id']:HEADER['id'] + 16])

    def header(self, name, size=4):
        offset = HEADER[name]
        return self.u32[offset // 4] if size == 4 else self.u64[offset // 8]

    def side(self, side, name):
        return self.u32[(SIDE_OFFSET + SIDE_BYTES * side + SIDE[name]) // 4]

    def set_side(self, side, name, value):
        self.u32[(SIDE_OFFSET + SIDE_BYTES * side + SIDE[name]) // 4] = value

    def mac(self):
        """The address that the switch proposes to its peer."""
        offset = SIDE_OFFSET + SIDE_MAC
        return bytes(self.bytes[offset:offset + 6])

    def port_name(self):
        offset = SIDE_OFFSET + SIDE_NAME
        return bytes(self.bytes[offset:offset + 64]).split(b'\0')[0].decode()

    def ring(self, ring, offset):
        """Index in 'u32' of a word of a ring."""
        return (self.rings_offset + ring * self.ring_bytes + offset) // 4

    def desc(self, ring, index):
        """Index in 'u64' of a descriptor."""
        return (self.rings_offset + ring * self.ring_bytes + DESCS) // 8 \
            + index % self.ring_size

    def slot(self, ring, index):
        """Offset of a slot."""
        return (self.slots_offset + (ring * self.ring_size
                                     + index % self.ring_size)
                * self.slot_stride)

    def close(self):
        for view in self.u32, self.u64, self.bytes:
            view.release()
        self.map.close()
        os.close(self.fd)


class Peer:
    """Side B of a port.  A context manager."""

    def __init__(self, path, n_rxq=None, n_txq=None, version=VERSION,
                 flags=0, attach=True):
        self.path = path
        self.n_rxq, self.n_txq = n_rxq, n_txq
        self.version, self.flags = version, flags
        self.mem = Memory(path)
        self.locked = False
        if attach:
            try:
                self.attach()
            except BaseException:
                self.close(False)
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def attach(self, timeout=20):
        """Attaches, or attaches anew, and waits for the switch."""
        self.start_attaching()
        wait_until(self.acknowledged, timeout, 'the switch to answer the peer '
                   'of ' + self.path)
        self.finish_attaching()

    def start_attaching(self):
        mem = self.mem
        if not self.locked:
            try:
                lock_side_b(mem.fd)
            except OSError as e:
                if e.errno in (errno.EAGAIN, errno.EACCES):
                    raise LabError('%s: another peer is attached' % self.path)
                raise
            self.locked = True
        for name, value in (('version', self.version), ('flags', self.flags),
                            ('n_rxq', self.n_rxq or mem.n_queues),
                            ('n_txq', self.n_txq or mem.n_queues),
                            ('pid', os.getpid()), ('state', ATTACHING)):
            mem.set_side(SIDE_B, name, value)
        self.epoch = (mem.side(SIDE_B, 'epoch') + 1) % U32 or 1
        mem.set_side(SIDE_B, 'epoch', self.epoch)

    def acknowledged(self):
        return self.mem.side(SIDE_A, 'ack') == self.epoch

    def finish_attaching(self):
        mem = self.mem
        self.cons = []
        self.prod = []
        for q in range(mem.n_queues):
            prod = mem.u32[mem.ring(2 * q, PROD)]
            self.cons.append(prod)
            mem.u32[mem.ring(2 * q, CONS)] = prod
            prod = mem.u32[mem.ring(2 * q + 1, PROD)]
            cons = mem.u32[mem.ring(2 * q + 1, CONS)]
            if (prod - cons) % U32 > mem.ring_size:
                prod = cons
            self.prod.append(prod)
            mem.u32[mem.ring(2 * q + 1, PROD)] = prod
        mem.set_side(SIDE_B, 'state', UP)

    def detach(self):
        self.mem.set_side(SIDE_B, 'state', DOWN)

    def was_cut_off(self):
        return self.mem.side(SIDE_A, 'cut') == self.epoch

    def send(self, frames, queue=0):
        """Puts as many of 'frames' (bytes) into the port as there is room
        for.  Returns how many."""
        mem, ring = self.mem, 2 * queue + 1
        prod = self.prod[queue]
        room = (mem.ring_size
                - (prod - mem.u32[mem.ring(ring, CONS)]) % U32)
        n = 0
        for frame in frames[:max(0, room)]:
            slot = mem.slot(ring, prod)
            mem.bytes[slot:slot + len(frame)] = frame
            mem.u64[mem.desc(ring, prod)] = len(frame)
            prod = (prod + 1) % U32
            n += 1
        self.prod[queue] = prod
        mem.u32[mem.ring(ring, PROD)] = prod
        return n

    def send_all(self, frames, queue=0, timeout=20):
        deadline = time.monotonic() + timeout
        sent = 0
        while sent < len(frames):
            n = self.send(frames[sent:sent + 256], queue)
            sent += n
            if not n:
                if time.monotonic() > deadline:
                    raise LabError('%s: no room for %d s'
                                   % (self.path, timeout))
                time.sleep(0.001)

    def unread_by_switch(self, queue=0):
        """Frames sent that the switch has not taken yet."""
        mem = self.mem
        return (self.prod[queue]
                - mem.u32[mem.ring(2 * queue + 1, CONS)]) % U32

    def flush(self, queue=0, timeout=20):
        wait_until(lambda: not self.unread_by_switch(queue), timeout,
                   'the switch to read from ' + self.path)

    def receive(self, queue=0, limit=1024):
        """Returns the frames (bytes) that wait, at most 'limit'."""
        mem, ring = self.mem, 2 * queue
        cons = self.cons[queue]
        n = min(limit, (mem.u32[mem.ring(ring, PROD)] - cons) % U32)
        frames = []
        for _ in range(n):
            slot = mem.slot(ring, cons)
            length = mem.u64[mem.desc(ring, cons)]
            frames.append(bytes(mem.bytes[slot:slot + length]))
            cons = (cons + 1) % U32
        self.cons[queue] = cons
        mem.u32[mem.ring(ring, CONS)] = cons
        return frames

    def receive_all(self, n, queue=0, timeout=20):
        """Returns 'n' frames, or raises LabError."""
        frames = []

        def enough():
            frames.extend(self.receive(queue))
            return len(frames) >= n
        wait_until(enough, timeout, '%d frames from %s' % (n, self.path))
        return frames

    def close(self, detach=True):
        """'detach' must be false when the memory cannot be written to, as
        behind the end of a file."""
        if detach and self.locked:
            self.detach()
        self.mem.close()


BROADCAST = b'\xff' * 6


def make_frame(number=0, size=60, dst=b'\x02\0\0\0\0\x02',
               src=b'\x02\0\0\0\0\x01', ethertype=0x88b5):
    """Returns an Ethernet frame with a number in it."""
    frame = dst + src + struct.pack('!HQ', ethertype, number)
    return frame + bytes(size - len(frame))


def frame_number(frame):
    return struct.unpack_from('!Q', frame, 14)[0]


class Stream(threading.Thread):
    """Numbered frames from one peer to another, always some and never more
    than 'window' on the way, by which to see that a pair of ports works while
    something else happens.  A context manager."""

    def __init__(self, sender, receiver, window=32, size=60):
        super().__init__(daemon=True)
        self.sender, self.receiver = sender, receiver
        self.window, self.size = window, size
        self.sent = self.received = 0
        self.wrong = 0
        self.longest_gap = 0.0
        self.error = None
        self._stopping = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self.join()

    def run(self):
        try:
            last = time.monotonic()
            while not self._stopping.wait(0.001):
                room = self.window - (self.sent - self.received)
                self.sent += self.sender.send(
                    [make_frame(self.sent + i, self.size)
                     for i in range(room)])
                for frame in self.receiver.receive():
                    if (frame_number(frame) != self.received
                            or len(frame) != self.size):
                        self.wrong += 1
                    self.received += 1
                    now = time.monotonic()
                    self.longest_gap = max(self.longest_gap, now - last)
                    last = now
        except Exception as e:      # Shown by check().
            self.error = e

    def check(self, more=200, timeout=20):
        """Waits for 'more' frames to pass and checks that all was well up to
        now."""
        target = self.received + more
        wait_until(lambda: self.received >= target or self.error, timeout,
                   '%d frames from %s to %s (%d sent, %d received)'
                   % (more, self.sender.path, self.receiver.path, self.sent,
                      self.received))
        if self.error:
            raise self.error
        if self.wrong:
            raise LabError('%d frames from %s to %s are not what they have to '
                           'be' % (self.wrong, self.sender.path,
                                   self.receiver.path))
