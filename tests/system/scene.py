# SPDX-License-Identifier: Apache-2.0
"""What many system tests begin with: a switch with a bridge and some dpdkr
ports."""

import contextlib
import json
import os
import re
import signal

from nfv.lab import Process, run, wait_until
from nfv.peer import Memory, Peer, Stream
from nfv.testing import check, check_equal


class Scene:
    """A switch with bridge br0 and dpdkr ports: paths[NAME] is where the
    memory of a port is.

    The threads of the datapath run on core 1, which leaves core 0 to
    functions, and yield it when there is nothing to do, unless 'busy'.

    All packets go through the switch, unless 'p2p': what a test says of ports
    would else be said of direct links, which have tests of their own."""

    def __init__(self, lab, ports=(), name='ovs', other_config=(), busy=False,
                 p2p=False, **kwargs):
        self.lab = lab
        self.p2p = p2p
        self.switch = lab.switch(name, **kwargs)
        self.paths = {}
        self.other_config = ['pmd-cpu-mask=0x2', *other_config]
        if not busy:
            self.other_config.append('pmd-maxsleep=200')
        self.switch.start(self.other_config)
        self.add_bridge('br0')
        for port in ports:
            self.add(port)

    def add_bridge(self, bridge, *settings):
        if not self.p2p:
            settings = ('other_config:p2p=false', *settings)
        self.switch.vsctl('add-br', bridge, '--', 'set', 'Bridge', bridge,
                          'datapath_type=netdev', *settings)

    def add(self, port, *options, bridge='br0'):
        self.paths[port] = self.switch.add_dpdkr(bridge, port, *options)
        return self.paths[port]

    def add_bad(self, port, *options):
        """Adds a dpdkr port that must not work; returns the message."""
        self.lab.expect_log(r'%s: could not (configure dpdkr|set config|add '
                            r'network device)' % re.escape(port),
                            r'could not add network device %s '
                            % re.escape(port))
        self.switch.vsctl('add-port', 'br0', port, '--', 'set', 'Interface',
                          port, 'type=dpdkr', *options)
        error = self.error(port)
        check(error, '%s %s is accepted', port, ' '.join(options))
        check_equal(self.switch.interface(port, 'ofport'), -1,
                    'ofport of ' + port)
        return error

    def error(self, port):
        """Returns column error, '' if there is none."""
        return self.switch.interface(port, 'error') or ''

    def delete(self, port):
        self.switch.vsctl('del-port', port)
        self.paths.pop(port, None)

    def set(self, port, *settings):
        self.switch.vsctl('set', 'Interface', port, *settings)

    def cross(self, *pairs, bridge='br0'):
        """Replaces the flows by those that join each two ports of 'pairs', in
        both directions."""
        self.switch.ofctl('del-flows', bridge)
        for a, b in pairs:
            for x, y in ((a, b), (b, a)):
                self.switch.ofctl('add-flow', bridge, 'in_port=%s,'
                                  'actions=output:%s' % (quote(x), quote(y)))

    @contextlib.contextmanager
    def stream(self, a, b):
        """Frames from port 'a' to port 'b', to which the flows must lead."""
        with Peer(self.paths[a]) as sender, Peer(self.paths[b]) as receiver:
            self.switch.wait_link(a)
            self.switch.wait_link(b)
            with Stream(sender, receiver) as stream:
                yield stream

    def status(self, port):
        return self.switch.interface(port, 'status')

    def addresses(self, port):
        """Returns the address of the port and the one proposed to the
        peer."""
        mem = Memory(self.paths[port])
        peer = mem.mac().hex(':')
        mem.close()
        return self.switch.interface(port, 'mac_in_use'), peer

    def counters(self, port):
        """Column statistics, which is up to 5 seconds old."""
        return self.switch.interface(port, 'statistics')

    def wait_counter(self, port, counter, value, timeout=20):
        wait_until(lambda: self.counters(port)[counter] == value, timeout,
                   'statistics:%s of %s to be %d' % (counter, port, value))

    def counter(self, port, counter):
        """One of the counters that only ports of type dpdkr have, as it is
        now."""
        text = self.switch.ofctl('-O', 'OpenFlow14', 'dump-ports',
                                 self.switch.vsctl('iface-to-br', port), port)
        return int(re.search(r'\b%s=(\d+)' % counter, text).group(1))

    def tool(self, *args, **kwargs):
        """Starts tests/dpdkr-traffic."""
        return Tool(self.lab, *args, **kwargs)

    def testpmd(self, name, paths, vdev='', args=(), **kwargs):
        """Starts a testpmd with a driver for each of 'paths', on core 0, that
        is going to forward from the first to the second and so on."""
        devices = ['--vdev=net_dpdkr%d,path=%s%s' % (i, path, vdev)
                   for i, path in enumerate(paths)]
        kwargs.setdefault('lcores', '0@0,1@0')
        return self.lab.testpmd(name, devices, args=args, **kwargs)

    def functions(self, *pairs, commands=(), name='functions', **kwargs):
        """Starts one testpmd that plays as many functions as there are
        'pairs' of ports, and waits for their links."""
        paths = [self.paths[port] for pair in pairs for port in pair]
        pmd = self.testpmd(name, paths, **kwargs)
        for command in [*commands, 'start']:
            pmd.command(command)
        for pair in pairs:
            for port in pair:
                self.switch.wait_link(port)
        return pmd

    def log_count(self, pattern):
        return len(re.findall(pattern, self.switch.vlog()))

    def wait_log(self, pattern, timeout=20):
        """Waits until 'pattern' is in the log; returns how often it is."""
        return wait_until(lambda: self.log_count(pattern), timeout,
                          '"%s" in the log' % pattern)

    def files(self):
        """Returns the names of the files in the directory of memories."""
        return sorted(os.listdir(self.switch.mem_dir))


class Tool(Process):
    """tests/dpdkr-traffic, on core 0 unless 'cores' says otherwise."""

    number = 0

    def __init__(self, lab, *args, cores='0'):
        Tool.number += 1
        super().__init__(lab, 'traffic-%d-%s' % (Tool.number, args[0]),
                         ['taskset', '-c', cores,
                          lab.tree + '/tests/dpdkr-traffic',
                          *map(str, args)])

    def result(self, timeout=60, success=True):
        """Waits for the end; returns what the tool found out."""
        status = self.wait(timeout)
        text = self.log()
        self.stop()
        found = re.findall(r'^\{.*\}$', text, re.MULTILINE)
        check(found, '%s: exit status %d\n%s', self.name, status, text)
        if success:
            check(not status, '%s: exit status %d\n%s', self.name, status,
                  text)
        return json.loads(found[-1])

    def finish(self, success=True):
        """Ends the tool in good order and returns its result."""
        if self.running():
            self.send_signal(signal.SIGTERM)
        return self.result(20, success)


def check_intact(result, count=0):
    """Nothing of what a Tool has sent and received was lost, changed, doubled
    or overtaken."""
    for what in 'lost', 'reordered', 'duplicated', 'corrupted', 'other':
        check_equal(result[what], 0, what)
    check_equal(result['received'], result['sent'], 'received')
    check(result['sent'] > 0, 'nothing was sent')
    if count:
        check_equal(result['sent'], count, 'sent')
    check_equal(result['rx_bytes'], result['tx_bytes'], 'bytes')


def quote(port):
    """Returns the name of a port as ovs-ofctl wants it."""
    return port if port.isalnum() else '"%s"' % port


@contextlib.contextmanager
def mounted(lab, name, *options, fs='tmpfs'):
    """A file system of the lab's own.  Yields where it is mounted."""
    path = os.path.join(lab.dir, name)
    os.makedirs(path)
    run(['mount', '-t', fs, *options, 'none', path])
    lab.cleanups.append(lambda: os.path.ismount(path)
                        and run(['umount', '-l', path]))
    yield path
