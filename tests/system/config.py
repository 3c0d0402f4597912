# SPDX-License-Identifier: Apache-2.0
"""The configuration of dpdkr ports: what works, and what is said when it does
not."""

import os
import re
import stat
import time

from nfv.lab import LabError, run, wait_until
from nfv.peer import Peer, Stream, VERSION, make_frame
from nfv.testing import check, check_equal

from scene import Scene, mounted


def test_one_command(lab):
    """A port from ovs-vsctl add-port with type=dpdkr alone."""
    scene = Scene(lab)
    s = scene.switch
    s.vsctl('add-port', 'br0', 'dpdkr0', '--', 'set', 'Interface', 'dpdkr0',
            'type=dpdkr')
    check_equal(scene.error('dpdkr0'), '', 'error')
    check_equal(s.interface('dpdkr0', 'link_state'), 'down', 'link_state')
    check_equal(s.interface('dpdkr0', 'admin_state'), 'up', 'admin_state')
    path = s.mem_dir + '/ovs-dpdkr0'
    check_equal(scene.status('dpdkr0')['path'], path, 'status:path')
    check_equal(scene.status('dpdkr0')['peer_state'], 'none',
                'status:peer_state')
    check_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, 'mode')
    # Without OVS_DPDKR_DIR it is /dev/shm, but that is not the lab's own.
    with Peer(path) as peer:
        s.wait_link('dpdkr0')
        check_equal(peer.mem.port_name(), 'dpdkr0', 'name in the memory')
        s.ofctl('add-flow', 'br0', 'actions=in_port')
        peer.send([make_frame(7)])
        check_equal(peer.receive_all(1), [make_frame(7)], 'frame')


def test_default_directory(lab):
    """Without OVS_DPDKR_DIR, the memory is in /dev/shm."""
    s = lab.switch()
    del s.env['OVS_DPDKR_DIR']
    s.start(['pmd-maxsleep=200'])
    s.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
            'datapath_type=netdev')
    name = lab.name[-14:]
    path = s.add_dpdkr('br0', name)
    try:
        check_equal(path, '/dev/shm/ovs-' + name, 'status:path')
        check(os.path.exists(path), 'no %s', path)
        s.vsctl('del-port', name)
        check(not os.path.exists(path), '%s is left', path)
    finally:
        if os.path.exists(path):
            os.unlink(path)


def test_odd_names(lab):
    """Any name of a port makes a file name of its own."""
    scene = Scene(lab)
    # '/' and ' ' in the name of a port are refused by the base.
    names = ['a.b', 'a_b-c', '%41', 'A', 'x' * 15, 'y' * 63, 'p:1', 'p@x',
             '..', '~', '*', 'q"q', '\u00e9\u4e2d']
    for name in names:
        scene.switch.vsctl('add-port', 'br0', name, '--', 'set',
                           'Interface', name, 'type=dpdkr')
    paths = set()
    for name in names:
        check_equal(scene.switch.interface(name, 'error'), [],
                    'error of ' + name)
        path = scene.switch.interface(name, 'status')['path']
        check_equal(os.path.dirname(path), scene.switch.mem_dir,
                    'directory for ' + name)
        check(re.fullmatch(r'[A-Za-z0-9._%-]+', os.path.basename(path)),
              'path %s', path)
        paths.add(path)
    check_equal(len(paths), len(names), 'number of paths')
    check_equal(len(scene.files()), len(names), 'number of files')
    for name in names:
        scene.switch.vsctl('del-port', name)
    check_equal(scene.files(), [], 'files')


def test_options(lab):
    """Each option does what it says."""
    scene = Scene(lab)
    s = scene.switch

    # n_rxq, ring_size, slot_size.
    path = scene.add('p1', 'options:n_rxq=4', 'options:ring_size=64',
                     'options:slot_size=4000')
    status = scene.status('p1')
    for key, value in (('n_queues', '4'), ('ring_size', '64'),
                       ('slot_size', '4032'), ('driver_name', 'dpdkr'),
                       ('abi_version', '1.1')):
        check_equal(status[key], value, 'status:' + key)
    with Peer(path) as peer:
        check_equal((peer.mem.n_queues, peer.mem.ring_size,
                     peer.mem.slot_size), (4, 64, 4032), 'geometry')
    check(os.stat(path).st_size >= int(status['memory_bytes']) >= 4 * 64
          * 2 * 4032, 'status:memory_bytes is %s', status['memory_bytes'])

    # path and dir.
    directory = lab.dir + '/elsewhere'
    os.mkdir(directory)
    check_equal(scene.add('p2', 'options:dir=' + directory),
                directory + '/ovs-p2', 'path with dir')
    check_equal(scene.add('p3', 'options:path=' + directory + '/file'),
                directory + '/file', 'path with path')

    # owner and mode, also of a port that is there.
    path = scene.add('p4', 'options:owner=nobody:daemon',
                     'options:mode=0660')

    def access():
        st = os.stat(path)
        return st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)
    nobody, daemon = 65534, 1
    check_equal(access(), (nobody, daemon, 0o660), 'owner, group, mode')
    with Peer(path):
        s.wait_link('p4')
        inode = os.stat(path).st_ino
        scene.set('p4', 'options:owner=%d' % daemon, 'options:mode=0606')
        check_equal(access(), (daemon, daemon, 0o606), 'owner, group, mode')
        scene.set('p4', 'options:owner=:0')
        check_equal(access(), (daemon, 0, 0o606), 'owner, group, mode')
        check_equal(os.stat(path).st_ino, inode, 'file')
        check_equal(scene.status('p4')['peer_state'], 'attached', 'peer')

    # All of them are shown.
    shown = re.search(r'\bp4 .*\(dpdkr: (.*)\)', s.appctl('dpif/show')).group(1)
    check_equal(shown.split(', '), [
        'hugepages=false', 'mode=0606', 'n_rxq=1', 'owner=:0', 'path=' + path,
        'ring_size=1024', 'slot_size=2048'], 'options in dpif/show')

    # The smallest and the largest.
    scene.add('p5', 'options:ring_size=64', 'options:slot_size=1536')
    scene.add('p6', 'options:n_rxq=64', 'options:ring_size=64',
              'options:slot_size=16384')
    scene.add('p7', 'options:ring_size=32768')

    for port in list(scene.paths):
        path = scene.paths[port]
        scene.delete(port)
        check(not os.path.exists(path), '%s is left by del-port', path)


def test_wrong_options(lab):
    """A wrong option has its message in column error, disturbs nobody, and
    the port works once it is put right."""
    scene = Scene(lab, ['a', 'b'])
    s = scene.switch
    scene.cross(('a', 'b'))
    cases = [
        ('n_rxq=0', 'option n_rxq=0 is not a number from 1 to 64'),
        ('n_rxq=65', 'option n_rxq=65 is not a number from 1 to 64'),
        ('n_rxq=many', 'option n_rxq=many is not a number from 1 to 64'),
        ('ring_size=1000', 'option ring_size=1000 is not a power of two'),
        ('ring_size=32', 'option ring_size=32 is not a number from 64 to '
         '32768'),
        ('ring_size=65536', 'option ring_size=65536 is not a number from 64 '
         'to 32768'),
        ('slot_size=-1', 'option slot_size=-1 is not a number from 256 to '
         '16384'),
        ('slot_size=512', 'option slot_size=512 is too small for MTU 1500, '
         'which takes 1522 bytes'),
        ('path=relative', 'option path=relative is not an absolute path'),
        ('dir=relative', 'option dir=relative is not an absolute path'),
        ('path=/a options:dir=/b', 'options path=/a and dir=/b exclude each '
         'other'),
        ('mode=0999', 'option mode=0999 is not an octal file mode from 0600 '
         'to 0777'),
        ('mode=0444', 'option mode=0444 is not an octal file mode from 0600 '
         'to 0777'),
        ('owner=no-such-user', 'option owner=no-such-user names no user '
         '"no-such-user"'),
        ('owner=root:no-such-group', 'option owner=root:no-such-group names '
         'no group "no-such-group"'),
        ('owner=:', 'option owner=: is not USER[:GROUP] or :GROUP'),
        ('hugepages=maybe', 'option hugepages=maybe is neither true nor '
         'false'),
        ('path=/nonexistent/file', '/nonexistent/file: could not create (No '
         'such file or directory)'),
        ('dir=/proc', '/proc/ovs-bad: could not create (No such file or '
         'directory)'),
        ('path=' + lab.dir, lab.dir + ': could not open (Is a directory)'),
    ]
    with scene.stream('a', 'b') as stream:
        for case, text in cases:
            error = scene.add_bad('bad', *('options:' + case).split())
            check(text in error, '%s: error is "%s"', case, error)
            check(error.startswith('bad: '), 'error is "%s"', error)
            check('bad: could not configure dpdkr port (%s)' % text
                  in s.vlog(), 'no "%s" in the log', text)
            check_equal(scene.files(), ['ovs-a', 'ovs-b'], 'files')
            # Put right, it works.
            s.vsctl('clear', 'Interface', 'bad', 'options')
            check_equal(scene.error('bad'), '', 'error')
            check_equal(scene.status('bad')['peer_state'], 'none', 'peer')

            # Made wrong while it works, it goes, as a port of any type does,
            # and comes back when it is put right.
            if 'path=' not in case and 'dir=' not in case:
                s.vsctl('set', 'Interface', 'bad', 'options:' + case)
                check(text in scene.error('bad'), '%s: error is "%s"', case,
                      scene.error('bad'))
                s.vsctl('clear', 'Interface', 'bad', 'options')
                check_equal(scene.error('bad'), '', 'error')
            scene.delete('bad')
            stream.check(20)
        check_equal(s.interface('a', 'link_resets'), 1, 'link_resets')


def test_unknown_option(lab):
    """An unknown option is named in the log and does no harm."""
    scene = Scene(lab)
    lab.expect_log(r"p1: unknown dpdkr option 'ring-size'", must=True)
    scene.add('p1', 'options:ring-size=64')
    # Once for each change of the options, not of anything else.
    scene.set('p1', 'mtu_request=9000')
    wait_until(lambda: scene.switch.interface('p1', 'mtu') == 9000,
               what='MTU of 9000')
    check_equal(scene.log_count('unknown dpdkr option'), 1, 'messages')
    scene.set('p1', 'options:n_rxq=2')
    check_equal(scene.log_count('unknown dpdkr option'), 2, 'messages')


def test_no_space(lab):
    """A full file system has its message; no reader of the file system finds
    half a memory; with space, the port works."""
    scene = Scene(lab, ['a', 'b'])
    s = scene.switch
    scene.cross(('a', 'b'))
    with mounted(lab, 'small', '-o', 'size=1m') as small, \
            scene.stream('a', 'b') as stream:
        error = scene.add_bad('bad', 'options:dir=' + small)
        check(re.search(r'small/ovs-bad: could not allocate \d+ bytes \(No '
                        r'space left on device\)', error),
              'error is "%s"', error)
        check_equal(os.listdir(small), [], 'files')
        stream.check()
        # The daemon tries again with the next change of the database.
        run(['mount', '-o', 'remount,size=64m', small])
        s.vsctl('set', 'Interface', 'bad', 'options:ring_size=512')
        check_equal(scene.error('bad'), '', 'error')
        with Peer(small + '/ovs-bad'):
            s.wait_link('bad')
        # A port that works goes on without a larger MTU.
        run(['mount', '-o', 'remount,size=8m', small])
        lab.expect_log(r'bad: could not change MTU to 9000 \(.*: could not '
                       r'allocate \d+ bytes \(No space left on device\)\)',
                       must=True)
        lab.expect_log('failed to set MTU for network device bad')
        with Peer(small + '/ovs-bad') as peer:
            s.wait_link('bad')
            scene.set('bad', 'mtu_request=9000')
            scene.wait_log('bad: could not change MTU to 9000')
            check_equal(s.interface('bad', 'mtu'), 1500, 'MTU')
            check_equal(s.interface('bad', 'link_state'), 'up', 'link')
            check_equal(s.interface('bad', 'link_resets'), 3, 'link_resets')
            check_equal(peer.mem.side(0, 'mtu'), 1500, 'MTU in the memory')
            run(['mount', '-o', 'remount,size=64m', small])
            s.vsctl('set', 'Open_vSwitch', '.', 'external_ids:x=y')
            wait_until(lambda: s.interface('bad', 'mtu') == 9000,
                       what='MTU of 9000')
        check_equal(os.listdir(small), ['ovs-bad'], 'files')
        stream.check()
        scene.delete('bad')


def test_read_only(lab):
    """A directory that cannot be written to."""
    scene = Scene(lab)
    with mounted(lab, 'ro') as ro:
        run(['mount', '-o', 'remount,ro', ro])
        error = scene.add_bad('bad', 'options:dir=' + ro)
        check(ro + '/ovs-bad: could not create (Read-only file system)'
              in error, 'error is "%s"', error)
        run(['mount', '-o', 'remount,rw', ro])
        scene.set('bad', 'options:ring_size=128')
        check_equal(scene.error('bad'), '', 'error')
        scene.delete('bad')
        check_equal(os.listdir(ro), [], 'files')


def test_path_in_use(lab):
    """One path is one port's, in one switch and in two."""
    scene = Scene(lab, ['a', 'b'])
    s = scene.switch
    scene.cross(('a', 'b'))
    other = Scene(lab, name='other')
    with scene.stream('a', 'b') as stream:
        path = scene.paths['a']
        inode = os.stat(path).st_ino
        error = scene.add_bad('bad', 'options:path=' + path)
        check(path + ': already used by port a' in error, 'error is "%s"',
              error)
        error = other.add_bad('thief', 'options:path=' + path)
        check(path + ': already used by another process' in error,
              'error is "%s"', error)
        stream.check()

        # Neither takes the file with it when it goes.
        other.delete('thief')
        scene.delete('bad')
        check_equal(os.stat(path).st_ino, inode, 'file')
        stream.check()
        # What the other has can be had when it is free.
        other.add_bad('thief', 'options:path=' + path)
    scene.delete('a')
    other.set('thief', 'options:ring_size=256')
    check_equal(other.error('thief'), '', 'error')
    check_equal(other.status('thief')['path'], path, 'path')


def test_foreign_file(lab):
    """What is at the path and is not ours is left alone."""
    scene = Scene(lab, ['a', 'b'])
    scene.cross(('a', 'b'))
    place = lab.dir + '/place'
    os.mkdir(place)
    path = place + '/file'
    precious = place + '/precious'
    with open(precious, 'wb') as f:
        f.write(b'important' * 1000)
    someones = place + '/someones'
    with open(someones, 'wb') as f:
        f.write(b'important' * 1000)
    os.chown(someones, 65534, 65534)
    os.mkfifo(place + '/fifo')
    os.symlink(precious, place + '/link')
    os.symlink(place + '/nothing', place + '/dangling')
    open(place + '/empty', 'w').close()
    before = _snapshot(place)
    with scene.stream('a', 'b') as stream:
        for name, text in (
                ('precious', 'exists and is not dpdkr memory; remove it or '
                 'choose another path'),
                ('empty', 'exists and is not dpdkr memory; remove it or '
                 'choose another path'),
                ('someones', 'exists and belongs to somebody else; remove it '
                 'or choose another path'),
                ('fifo', 'exists and is not a regular file; remove it or '
                 'choose another path'),
                ('link', 'is a symbolic link, not dpdkr memory; remove it or '
                 'choose another path'),
                ('dangling', 'is a symbolic link, not dpdkr memory; remove it '
                 'or choose another path')):
            path = place + '/' + name
            error = scene.add_bad('bad', 'options:path=' + path)
            check('%s: %s' % (path, text) in error, '%s: error is "%s"', name,
                  error)
            scene.delete('bad')
            check_equal(_snapshot(place), before, 'files')
            stream.check(20)
    path = place + '/precious'
    scene.add_bad('bad', 'options:path=' + path)
    os.unlink(path)
    scene.set('bad', 'options:ring_size=128')
    check_equal(scene.error('bad'), '', 'error')


def _snapshot(directory):
    files = {}
    for name in os.listdir(directory):
        path = directory + '/' + name
        st = os.lstat(path)
        content = None
        if stat.S_ISREG(st.st_mode):
            with open(path, 'rb') as f:
                content = f.read()
        files[name] = (st.st_mode, st.st_uid, st.st_ino, content)
    return files


def test_peer_version(lab):
    """A peer of another major version is refused, and said so once; others
    are not."""
    scene = Scene(lab, ['a', 'b', 'p'])
    s = scene.switch
    scene.cross(('a', 'b'))
    lab.expect_log(r'p: peer \(pid %d\) speaks version 2\.7 of the memory '
                   r'format, not 1\.1: refusing it' % os.getpid(), must=True)
    with scene.stream('a', 'b') as stream:
        with Peer(scene.paths['p'], version=2 << 16 | 7,
                  attach=False) as peer:
            peer.start_attaching()
            scene.wait_log('speaks version 2.7')
            check_equal(scene.counter('p', 'peer_refused'), 1, 'peer_refused')
            check(not peer.acknowledged(), 'it is acknowledged')
            check_equal(scene.status('p')['peer_state'], 'refused', 'peer')
            check_equal(s.interface('p', 'link_state'), 'down', 'link')
            stream.check()
            check_equal(scene.log_count('speaks version 2.7'), 1, 'messages')
            # The same program, updated.  A newer minor version is fine.
            peer.version = VERSION | 3
            peer.attach()
            s.wait_link('p')


def test_mtu(lab):
    """MTUs up to 9000 and back make the memory anew, and a wrong one is
    refused."""
    scene = Scene(lab, ['a', 'b', 'p'])
    s = scene.switch
    s.ofctl('del-flows', 'br0')
    for x, y in (('a', 'b'), ('b', 'a'), ('p', 'in_port')):
        s.ofctl('add-flow', 'br0', 'in_port=%s,actions=%s' % (x, y))
    path = scene.paths['p']
    addresses = scene.addresses('p')
    with scene.stream('a', 'b') as stream:
        with Peer(path) as peer:
            s.wait_link('p')
            old = peer.mem.id
            _check_sizes(scene, 'p', peer, 1500)

            scene.set('p', 'mtu_request=9000')
            wait_until(lambda: s.interface('p', 'mtu') == 9000,
                       what='MTU of 9000')
            # The old memory says that it is over.
            wait_until(lambda: peer.mem.side(0, 'state') == 4,
                       what='the old memory to be retired')
        with Peer(path) as peer:
            s.wait_link('p')
            check(peer.mem.id != old, 'the memory is the same')
            check_equal(scene.addresses('p'), addresses, 'addresses')
            check_equal(peer.mem.side(0, 'mtu'), 9000, 'MTU in the memory')
            _check_sizes(scene, 'p', peer, 9000)
            inode = os.stat(path).st_ino

            # What fits the memory needs no new one.
            scene.set('p', 'mtu_request=2000')
            wait_until(lambda: s.interface('p', 'mtu') == 2000,
                       what='MTU of 2000')
            check_equal(os.stat(path).st_ino, inode, 'file')
            check_equal(peer.mem.side(0, 'mtu'), 2000, 'MTU in the memory')
            _check_sizes(scene, 'p', peer, 2000)

            # Too large a one is refused and changes nothing.
            lab.expect_log(r'p: unsupported MTU 30000, must be 68 to \d+',
                           r'failed to set MTU for network device p')
            scene.set('p', 'mtu_request=30000')
            scene.wait_log(r'p: unsupported MTU 30000')
            check_equal(s.interface('p', 'mtu'), 2000, 'MTU')
            _check_sizes(scene, 'p', peer, 2000)
            check_equal(s.interface('p', 'link_state'), 'up', 'link')

        # Below the MTU and above it with an explicit slot size.
        scene.set('p', 'mtu_request=1500', 'options:slot_size=2048')
        with Peer(path) as peer:
            s.wait_link('p')
            check_equal(peer.mem.slot_size, 2048, 'slot size')
            _check_sizes(scene, 'p', peer, 1500)
            lab.expect_log(r'p: unsupported MTU 9000 \(option slot_size=2048 '
                           r'is too small for MTU 9000, which takes 9022 '
                           r'bytes\)')
            scene.set('p', 'mtu_request=9000')
            scene.wait_log(r'p: unsupported MTU 9000')
            check_equal(s.interface('p', 'mtu'), 1500, 'MTU')
            _check_sizes(scene, 'p', peer, 1500)
        stream.check()


def test_mtu_at_once(lab):
    """A port is added with its MTU."""
    scene = Scene(lab)
    s = scene.switch
    path = scene.add('p', 'mtu_request=9000')
    check_equal(s.interface('p', 'mtu'), 9000, 'MTU')
    s.ofctl('add-flow', 'br0', 'actions=in_port')
    with Peer(path) as peer:
        s.wait_link('p')
        check_equal(peer.mem.side(0, 'mtu'), 9000, 'MTU in the memory')
        _check_sizes(scene, 'p', peer, 9000)
    check_equal(scene.files(), ['ovs-p'], 'files')


def _check_sizes(scene, port, peer, mtu):
    """Checks that 'port', which returns what it gets, passes frames of up to
    'mtu' and two VLAN tags but no longer ones."""
    largest = mtu + 22
    errors = scene.switch.statistics(port)['rx_errs']
    sizes = [60, 14, largest, mtu + 14, largest - 1]
    long = [largest + 1] if largest + 1 <= peer.mem.slot_size else []
    frames = [make_frame(i, size) if size > 24 else make_frame(0)[:size]
              for i, size in enumerate(sizes + long)]
    # The last one to show that the one before it is not late.
    last = make_frame(99)
    peer.send_all(frames + [last])
    got = peer.receive_all(len(sizes) + 1)
    check_equal([len(f) for f in got], sizes + [60], 'sizes')
    check_equal(got, frames[:len(sizes)] + [last], 'frames')
    check_equal(scene.switch.statistics(port)['rx_errs'],
                errors + len(long), 'rx_errors')


def test_queues_change(lab):
    """A change of n_rxq makes the memory anew and spares the other ports."""
    scene = Scene(lab, ['a', 'b', 'p'])
    s = scene.switch
    s.ofctl('del-flows', 'br0')
    for x, y in (('a', 'b'), ('b', 'a'), ('p', 'in_port')):
        s.ofctl('add-flow', 'br0', 'in_port=%s,actions=%s' % (x, y))
    with scene.stream('a', 'b') as stream:
        for n in 1, 4, 2, 1:
            scene.set('p', 'options:n_rxq=%d' % n)
            wait_until(lambda: scene.status('p')['n_queues'] == str(n),
                       what='%d queues' % n)
            with Peer(scene.paths['p']) as peer:
                s.wait_link('p')
                check_equal(peer.mem.n_queues, n, 'queues')
                for q in range(n):
                    peer.send([make_frame(q)], q)
                got = set()

                def all_got():
                    for q in range(n):
                        got.update(peer.receive(q))
                    return len(got) == n
                wait_until(all_got, what='frames of all queues')
            shown = s.appctl('dpif-netdev/pmd-rxq-show')
            check_equal(len(re.findall(r'port: p ', shown)), n,
                        'queues in pmd-rxq-show')
        stream.check()
        check_equal(s.interface('a', 'link_resets'), 1, 'link_resets of a')
        check_equal(len(scene.files()), 3, 'files')


def test_state_columns(lab):
    """Columns status, statistics, mac_in_use, link_state, link_resets, mtu
    and the same by OpenFlow."""
    scene = Scene(lab, ['p', 'q'])
    s = scene.switch
    scene.cross(('p', 'q'))
    mac = s.interface('p', 'mac_in_use')
    check(re.fullmatch('[0-9a-f][26ae](:[0-9a-f]{2}){5}', mac),
          'mac_in_use is %s', mac)
    check(mac != s.interface('q', 'mac_in_use'), 'one mac_in_use for two')
    check_equal(s.interface('p', 'mtu'), 1500, 'mtu')
    check_equal(s.interface('p', 'link_resets'), 0, 'link_resets')
    check_equal(scene.status('p')['peer_state'], 'none', 'peer_state')
    with Peer(scene.paths['p']) as p:
        s.wait_link('p')
        check_equal(s.interface('p', 'link_resets'), 1, 'link_resets')
        status = scene.status('p')
        for key, value in (('peer_state', 'attached'),
                           ('peer_pid', str(os.getpid())),
                           ('peer_mode', 'polling'), ('peer_rx_queues', '1'),
                           ('peer_tx_queues', '1'), ('numa_id', '0')):
            check_equal(status[key], value, 'status:' + key)
        # The address proposed to the peer is another one than the port's.
        check(p.mem.mac().hex(':') != mac, 'both ends have address %s', mac)
        check('LINK_DOWN' not in s.ofctl('show', 'br0').split('(p)')[1]
              .split('(q)')[0].split('LOCAL')[0], 'OpenFlow has the link down')

        p.send_all([make_frame(i, 100) for i in range(50)])
        p.send_all([b'short'])
        p.flush()
        scene.wait_counter('p', 'rx_packets', 50)
        counters = scene.counters('p')
        for key, value in (('rx_bytes', 5000), ('rx_errors', 1),
                           ('rx_runt_errors', 1), ('rx_dropped', 0),
                           ('tx_packets', 0), ('peer_attached', 1),
                           ('peer_cut_off', 0), ('peer_refused', 0)):
            check_equal(counters[key], value, 'statistics:' + key)
        scene.wait_counter('q', 'tx_dropped', 50)
        check_equal(scene.counters('q')['tx_no_peer_drops'], 50,
                    'tx_no_peer_drops')

        # A ring that nobody empties.
        with Peer(scene.paths['q']) as q:
            s.wait_link('q')
            p.send_all([make_frame(i, 100) for i in range(1500)])
            scene.wait_counter('q', 'tx_ring_full_drops', 476)
            check_equal(scene.counters('q')['tx_packets'], 1024,
                        'tx_packets')
            check_equal(len(q.receive_all(1024)), 1024, 'frames')
    s.wait_link('p', False)
    check_equal(s.interface('p', 'link_resets'), 2, 'link_resets')
    check_equal(scene.status('p')['peer_state'], 'none', 'peer_state')

    # The addresses stay over a restart, and when the memory is made anew.
    addresses = scene.addresses('p')
    check_equal(addresses[0], mac, 'mac_in_use')
    s.stop_daemon()
    s.start()
    check_equal(scene.addresses('p'), addresses, 'addresses')
    scene.set('p', 'options:ring_size=128')
    check_equal(scene.status('p')['ring_size'], '128', 'status:ring_size')
    check_equal(scene.addresses('p'), addresses, 'addresses')
    s.stop_daemon()
    s.vsctl('--no-wait', 'set', 'Interface', 'p', 'options:ring_size=256')
    s.start()
    check_equal(scene.status('p')['ring_size'], '256', 'status:ring_size')
    check_equal(scene.addresses('p'), addresses, 'addresses')


def test_admin_state(lab):
    """Down and up by OpenFlow."""
    scene = Scene(lab, ['a', 'b'])
    s = scene.switch
    scene.cross(('a', 'b'))
    with Peer(scene.paths['a']) as a, Peer(scene.paths['b']) as b:
        s.wait_link('a')
        s.wait_link('b')
        a.send([make_frame(0)])
        check_equal(b.receive_all(1), [make_frame(0)], 'frame')
        s.ofctl('mod-port', 'br0', 'a', 'down')
        s.wait_link('a', False)
        check_equal(s.interface('a', 'admin_state'), 'down', 'admin_state')
        check_equal(scene.status('a')['peer_state'], 'port is down', 'peer')
        check_equal(a.mem.side(0, 'state'), 3, 'state that the peer sees')
        check_equal(s.interface('b', 'link_state'), 'up', 'link of b')
        # Frames stay with the peer, in either direction.
        a.send([make_frame(1)])
        b.send([make_frame(2)])
        b.flush()
        s.statistics('b')
        check_equal(a.unread_by_switch(), 1, 'frames left')
        check_equal(a.receive(), [], 'frames for a')
        s.ofctl('mod-port', 'br0', 'a', 'up')
        s.wait_link('a')
        check_equal(b.receive_all(1), [make_frame(1)], 'frame')


def test_rxq_affinity(lab):
    """Queues go to the threads that pmd-rxq-affinity names, and rebalancing
    works; traffic goes on."""
    scene = Scene(lab, other_config=[
        'pmd-cpu-mask=0x3', 'pmd-rxq-assign=group', 'pmd-rxq-isolate=false'])
    s = scene.switch
    scene.add('a', 'options:n_rxq=4')
    scene.add('b', 'options:n_rxq=4')
    scene.cross(('a', 'b'))
    # One queue is enough for the receiver.
    with Peer(scene.paths['a']) as a, Peer(scene.paths['b'], n_rxq=1) as b:
        s.wait_link('a')
        s.wait_link('b')
        with Stream(a, b) as stream:
            stream.check()
            check_equal(_rxqs(s, 'a'), {0: None, 1: None, 2: None, 3: None},
                        'queues', )
            scene.set('a', 'other_config:pmd-rxq-affinity="0:1,1:0,2:1,3:0"')
            wait_until(lambda: _rxqs(s, 'a', True)
                       == {0: 1, 1: 0, 2: 1, 3: 0}, what='affinity')
            stream.check()
            s.vsctl('remove', 'Interface', 'a', 'other_config',
                    'pmd-rxq-affinity')
            s.appctl('dpif-netdev/pmd-rxq-rebalance')
            stream.check()
            cores = set(_rxqs(s, 'a', True).values()) \
                | set(_rxqs(s, 'b', True).values())
            check_equal(cores, {0, 1}, 'cores')
            s.vsctl('set', 'Open_vSwitch', '.', 'other_config:pmd-auto-lb='
                    'true', 'other_config:pmd-cpu-mask=0x2')
            wait_until(lambda: set(_rxqs(s, 'a', True).values()) == {1},
                       what='one core')
            stream.check()
    for port in 'a', 'b':
        for kind in 'rx_drop', 'rx_errs', 'tx_drop':
            check_equal(s.statistics(port)[kind], 0, kind)


def _rxqs(switch, port, cores=False):
    """Returns the queues of 'port', with the number of the core of each."""
    queues = {}
    core = None
    for line in switch.appctl('dpif-netdev/pmd-rxq-show').splitlines():
        m = re.match(r'pmd thread numa_id \d+ core_id (\d+):', line)
        if m:
            core = int(m.group(1))
        m = re.match(r'\s+port: (\S+)\s+queue-id:\s+(\d+)\s+\(enabled\)', line)
        if m and m.group(1) == port:
            queues[int(m.group(2))] = core if cores else None
    return queues


def _offer(sender, receiver, n, size):
    """Sends 'n' frames of 'size' bytes; returns how many arrive, once all of
    them have been dealt with."""
    got = 0
    sent = 0
    deadline = time.monotonic() + 20
    while sent < n or sender.unread_by_switch():
        # So little that the receiver's ring has room for all of it.
        if sender.unread_by_switch() < 256:
            sent += sender.send([make_frame(i, size)
                                 for i in range(sent, min(n, sent + 64))])
        got += len(receiver.receive())
        if time.monotonic() > deadline:
            raise LabError('%d of %d frames sent' % (sent, n))
    return got


def test_policing(lab):
    """Ingress policing by bits and by packets, and QoS egress-policer, really
    limit, and count what they drop."""
    scene = Scene(lab, ['a', 'b'])
    s = scene.switch
    scene.cross(('a', 'b'))
    with Peer(scene.paths['a']) as a, Peer(scene.paths['b']) as b:
        s.wait_link('a')
        s.wait_link('b')
        n, size = 4000, 1014

        def measure():
            """Returns how many frames passed, and how long it took."""
            start = time.monotonic()
            before = s.statistics('b')['tx_pkts']
            _offer(a, b, n, size)
            took = time.monotonic() - start
            b.receive()
            return s.statistics('b')['tx_pkts'] - before, took

        passed, _ = measure()
        check_equal(passed, n, 'frames that pass without a limit')

        # 1000 bytes each count, 8 kbit.  The burst passes, and then what the
        # time allows.
        scene.set('a', 'ingress_policing_rate=8000',
                  'ingress_policing_burst=800')
        passed, took = measure()
        check(100 <= passed <= 100 + took * 1000 + 1,
              'policing: %d pass in %.3f s', passed, took)
        drops = n - passed
        check_equal(scene.counter('a', 'rx_policer_drops'), drops,
                    'rx_policer_drops')
        stats = s.statistics('a')
        check_equal(stats['rx_drop'], drops, 'rx_dropped')
        check_equal(stats['rx_pkts'], n + passed, 'rx_packets')

        scene.set('a', 'ingress_policing_rate=0',
                  'ingress_policing_kpkts_rate=1',
                  'ingress_policing_kpkts_burst=1')
        passed, took = measure()
        check(1000 <= passed <= 1000 + took * 1000 + 1,
              'policing of packets: %d pass in %.3f s', passed, took)
        scene.set('a', 'ingress_policing_kpkts_rate=0')
        passed, _ = measure()
        check_equal(passed, n, 'frames that pass without a limit')

        drops = s.statistics('b')['tx_drop']
        s.vsctl('set', 'port', 'b', 'qos=@q', '--', '--id=@q', 'create',
                'qos', 'type=egress-policer', 'other-config:cir=1000000',
                'other-config:cbs=100000')
        passed, took = measure()
        check(100 <= passed <= 100 + took * 1000 + 1,
              'egress-policer: %d pass in %.3f s', passed, took)
        check_equal(scene.counter('b', 'tx_qos_drops'), n - passed,
                    'tx_qos_drops')
        check_equal(s.statistics('b')['tx_drop'], drops + n - passed,
                    'tx_dropped')
        check('egress-policer' in s.appctl('qos/show', 'b'), 'no qos/show')
        s.vsctl('clear', 'port', 'b', 'qos')
        passed, _ = measure()
        check_equal(passed, n, 'frames that pass without a limit')


def test_huge_pages(lab):
    """hugepages=true puts the memory on a hugetlbfs."""
    mount = lab.huge_pages(8)
    scene = Scene(lab)
    s = scene.switch
    path = scene.add('p', 'options:hugepages=true', 'options:dir=' + mount)
    s.ofctl('add-flow', 'br0', 'actions=in_port')
    st = os.statvfs(path)
    check_equal(st.f_bsize, 2 << 20, 'block size')
    check_equal(os.stat(path).st_size % (2 << 20), 0, 'size of the file')
    with Peer(path) as peer:
        s.wait_link('p')
        peer.send([make_frame(3)])
        check_equal(peer.receive_all(1), [make_frame(3)], 'frame')

        # Configured anew while the switch is away: the peer is told.
        s.stop_daemon()
        s.vsctl('--no-wait', 'set', 'Interface', 'p', 'options:ring_size=128')
        s.start()
        check_equal(scene.status('p')['ring_size'], '128', 'status:ring_size')
        check_equal(peer.mem.side(0, 'state'), 4, 'state of the old memory')
    with Peer(path):
        s.wait_link('p')
    error = scene.add_bad('bad', 'options:hugepages=true', 'options:dir='
                          + s.mem_dir)
    check('is not on a hugetlbfs' in error, 'error is "%s"', error)
    scene.delete('bad')
    error = scene.add_bad('bad', 'options:hugepages=true',
                          'options:dir=' + mount, 'options:ring_size=32768',
                          'options:slot_size=16384', 'options:n_rxq=32')
    check('of huge pages (No space left on device)' in error
          or 'of huge pages (Cannot allocate memory)' in error,
          'error is "%s"', error)
    scene.delete('bad')
    scene.delete('p')
    check_equal(os.listdir(mount), [], 'files')
    # Memory that is there already, of ordinary pages, will not do.
    lab.expect_log(r'q: could not (configure dpdkr|set config)')
    scene.add('q')
    scene.set('q', 'options:hugepages=true', 'options:dir=' + s.mem_dir)
    wait_until(lambda: 'is not on a hugetlbfs' in scene.error('q'),
               what='error of q')
