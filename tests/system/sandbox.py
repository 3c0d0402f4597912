# SPDX-License-Identifier: Apache-2.0
"""The sandbox (utilities/nfv-sandbox), with commands on standard input and on
a terminal."""

import os
import pty
import re
import signal
import subprocess
import time

from nfv import lab as lab_module
from nfv import testing

import demo

SANDBOX = os.path.join(os.path.dirname(demo.DEMO), 'nfv-sandbox')


def sandbox(lab, script, status=0):
    """Runs 'script' in a sandbox; returns what it printed.  Nothing may be
    left of it."""
    p = subprocess.run([SANDBOX, '--build', lab.build], text=True,
                       input='echo lab=$OVS_RUNDIR\n' + script,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=100, check=False)
    testing.check_equal(p.returncode, status, 'exit status, of\n' + p.stdout)
    match = re.search(r'lab=/run/(nfv-[^/\n]+)', p.stdout)
    testing.check(match, 'no OVS_RUNDIR in\n%s', p.stdout)
    demo.check_gone(match.group(1))
    return p.stdout


@testing.options(timeout=120)
def test_sandbox_commands(lab):
    """The switch's own commands need no options, and are this build's."""
    out = sandbox(lab, '''
        ovs-vsctl add-port br0 p1 -- set Interface p1 type=dpdkr
        ovs-vsctl show
        ovs-appctl version
        ovs-appctl -t ovsdb-server version
        ovs-ofctl show br0
        ovsdb-client list-dbs
        type -p ovs-vsctl
        for d in ${MANPATH//:/ }; do ls $d/man8/ovs-vsctl.8; done
        exit 7
    ''', 7)
    for text in ('Port p1', 'type: dpdkr', 'ovs-vswitchd (Open vSwitch)',
                 'ovsdb-server (Open vSwitch)', '1(p1)', 'Open_vSwitch\n',
                 '/bin/ovs-vsctl\n', 'man8/ovs-vsctl.8'):
        testing.check(text in out, 'no "%s" in\n%s', text, out)


@testing.options(timeout=200, driver=True, programs=demo.PROGRAMS)
def test_sandbox_banner(lab):
    """What the banner tells one to try works, word for word."""
    with open(SANDBOX, encoding='utf-8') as f:
        source = f.read()
    banner = source[source.index("BANNER = '''"):]
    lines = [line for line in banner.split("'''")[1].format(version='')
             .splitlines() if line.startswith('    ')]
    testing.check(len(lines) > 8, 'no commands in the banner')
    out = sandbox(lab, 'set -e\n' + '\n'.join(lines) + '\n')
    testing.check_equal(out.count(' 3 received, 0% packet loss'), 2,
                        'pings in\n' + out)
    # Three echo packets each way went through the functions, and an ARP
    # request perhaps.
    counts = re.findall(r'^f[12] .* (p[1-4]) +received (\d+) +sent (\d+)',
                        out, re.M)
    testing.check_equal([c[0] for c in counts], ['p1', 'p2', 'p3', 'p4'], out)
    for port, received, sent in counts:
        testing.check(int(received) >= 3 and int(sent) >= 3,
                      '%s in\n%s', port, out)
    states = re.findall(r'^  p2: (to p3 \[direct\]|none, not all)', out, re.M)
    testing.check_equal(states, ['to p3 [direct]', 'none, not all'], out)


@testing.options(timeout=120, driver=True, programs=demo.PROGRAMS)
def test_sandbox_refuses(lab):
    """Its commands say what is wrong, and the sandbox goes on."""
    out = sandbox(lab, '''
        start-function f1 p1 p2; echo status=$?
        start-function f1; echo status=$?
        on h1 true; echo status=$?
        add-host h1 10.0.0.1; echo status=$?
        add-host h1 10.0.0.1/24; echo status=$?
        add-host h1 10.0.0.1/24; echo status=$?
        on h1 sh -c 'exit 9'; echo status=$?
        on h1 sleep 1000 &
        stop-function f1; echo status=$?
    ''')
    testing.check_equal(re.findall(r'status=(\d+)', out),
                        ['1', '1', '1', '1', '0', '1', '9', '1'], out)
    for text in ('p1: no such dpdkr port', 'usage: start-function',
                 'h1: no such host', '10.0.0.1: an address is like',
                 'h1: there is such a host', 'f1: no such function'):
        testing.check(text in out, 'no "%s" in\n%s', text, out)


def foreground(fd):
    """Returns the name of the program that has the terminal 'fd'."""
    try:
        with open('/proc/%d/comm' % os.tcgetpgrp(fd), encoding='utf-8') as f:
            return f.read().strip()
    except OSError:
        return None


@testing.options(timeout=120)
def test_sandbox_terminal(lab):
    """On a terminal: a banner, a prompt; Ctrl-C harms nobody; a hang-up ends
    all of it."""
    pid, fd = pty.fork()
    if not pid:
        os.environ['TERM'] = 'dumb'
        os.execv(SANDBOX, [SANDBOX, '--build', lab.build])
    seen = ''

    def expect(pattern):
        nonlocal seen
        deadline = time.monotonic() + 60
        while True:
            match = re.search(pattern, seen)
            if match:
                seen = seen[match.end():]
                return match
            testing.check(time.monotonic() < deadline, 'no "%s" in: %s',
                          pattern, seen)
            if lab_module.poll_readable(fd, 1):
                try:
                    seen += os.read(fd, 65536).decode(errors='replace')
                except OSError as e:
                    raise testing.Failure('ended: ' + seen) from e

    try:
        expect(r'A private Open vSwitch .* is running')
        expect(r'\[sandbox\] ')
        os.write(fd, b'echo dir=$OVS_RUNDIR\n')
        name = expect(r'dir=/run/(nfv-[^/\r]+)').group(1)
        os.write(fd, b'sleep 1000\n')
        lab_module.wait_until(lambda: foreground(fd) == 'sleep',
                              what='sleep on the terminal')
        os.write(fd, b'\x03')
        expect(r'\[sandbox\] ')
        os.write(fd, b'ovs-appctl version; help\n')
        expect(r'ovs-vswitchd \(Open vSwitch\)')
        expect(r'Try:')
        os.kill(pid, signal.SIGHUP)
        lab_module.wait_until(
            lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG
                              | os.WNOWAIT), 60, 'the end of the sandbox')
        demo.check_gone(name)
    finally:
        os.kill(pid, signal.SIGTERM)
        os.close(fd)
        os.waitpid(pid, 0)
