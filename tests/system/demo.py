# SPDX-License-Identifier: Apache-2.0
"""The demo (utilities/nfv-demo), as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys

from nfv import lab as lab_module
from nfv import testing

DEMO = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__)))), 'utilities', 'nfv-demo')
SHORT = ['--time', '1', '--size', '8', '--pings', '20', '--udp-rate', '10']

PROGRAMS = ['ping', 'iperf3', 'dpdk-testpmd', 'ip']


def start(lab, *args, **kwargs):
    return subprocess.Popen([DEMO, '--build', lab.build, *args],
                            stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **kwargs)


def leftovers():
    """Returns what labs leave where they could leave something."""
    found = set()
    for directory in ('/run', '/dev/shm', '/var/run/dpdk', '/run/netns'):
        if os.path.isdir(directory):
            found |= {os.path.join(directory, name)
                      for name in os.listdir(directory)
                      if name.startswith('nfv-')}
    return found


def lab_of(lab, demo):
    """Returns the name of the lab that the process 'demo', which is not
    'lab', runs, from the command lines of its children, or None."""
    children = subprocess.run(['pgrep', '-P', str(demo.pid), '-a'],
                              stdout=subprocess.PIPE, text=True,
                              check=False).stdout
    for word in children.split():
        for part in word.split('/'):
            match = re.match('nfv-[^-]{8}', part)
            if match and match.group() != lab.name and 'demo' not in part:
                return match.group()
    return None


def check_gone(name):
    testing.check(name, 'the demo made no lab')
    left = sorted(p for p in leftovers() if name in p)
    testing.check(not left, 'left behind: %s', left)
    p = subprocess.run(['pgrep', '-f', '-a', name], stdout=subprocess.PIPE,
                       text=True, check=False)
    testing.check_equal(p.stdout, '', 'processes left behind')


def check_direct(report):
    """The direct link came and went when it should, and was counted."""
    states = {}
    for row in report['live']:
        states[row['phase']] = row['states']
    wanted = {'by the switch': ('switch', 'switch'),
              'direct': ('direct', 'direct'),
              'a rule for f1-out': ('switch', 'direct'),
              'direct again': ('direct', 'direct')}
    testing.check_equal(list(states), list(wanted))
    for phase, (a, b) in wanted.items():
        testing.check_equal(states[phase], {'f1-out': a, 'f2-in': b}, phase)
    sums = report['sums']
    testing.check_equal(sums['matched'], sums['switched'] + sums['direct'])
    for name, row in report['ports'].items():
        testing.check((row['direct'] > 8000000 / 1500 / 2)
                      == (name in ('f1-out', 'f2-in')), '%s: %s', name, row)
        testing.check_equal(row['matched'], row['received'], name)
    testing.check_equal([hop['denied'] for hop in report['hops']['to server']],
                        [0, 0, 10, 0, 0])


@testing.options(timeout=300, asan=False, driver=True, programs=PROGRAMS)
def test_demo(lab):
    """Everything works, the counters add up, the JSON says the same."""
    path = os.path.join(lab.dir, 'demo.json')
    p = start(lab, '--json', path, *SHORT)
    name = lab_module.wait_until(lambda: lab_of(lab, p), 60,
                                 'the lab of the demo')
    out, err = p.communicate()
    testing.check_equal(p.returncode, 0, 'exit status, of\n%s%s' % (out, err))
    check_gone(name)
    for line in out.splitlines():
        testing.check(len(line) < 80 or 'http' in line, 'long line: %s', line)
    with open(path, encoding='utf-8') as f:
        report = json.load(f)
    testing.check_equal(report['ok'], True)
    testing.check_equal(report['trouble'], [])
    for r in report['paths'].values():
        testing.check_equal(r['ping_lost'], 0)
        testing.check(r['http_ok'], 'checksum')
        testing.check_equal(r['http_bytes'], 8000000)
    testing.check_equal(list(report['paths']),
                        ['no functions', '2 functions', '2 functions, direct'])
    check_direct(report)
    # The download alone takes as many packets as this, through each port of
    # both functions.
    for name in ('f1-in', 'f1-out', 'f2-in', 'f2-out'):
        counts = report['ports'][name]
        testing.check(counts['received'] + counts['sent'] > 8000000 / 1500,
                      '%s: %s', name, counts)
    testing.check('All of it worked' in out, 'no verdict in\n%s', out)


@testing.options(timeout=120, asan=False, driver=True, programs=PROGRAMS)
def test_demo_interrupted(lab):
    """Ctrl-C in the middle leaves nothing behind."""
    p = start(lab, *SHORT, start_new_session=True)
    name = lab_module.wait_until(lambda: lab_of(lab, p), 60,
                                 'the lab of the demo')
    text = ''
    while 'two functions' not in text:
        line = p.stdout.readline()
        if not line:
            raise testing.Failure('the demo ended:\n' + p.stderr.read())
        text += line
    # As the terminal does: to the whole process group.
    os.killpg(p.pid, signal.SIGINT)
    out, err = p.communicate(timeout=60)
    testing.check_equal(p.returncode, 128 + signal.SIGINT,
                        'exit status, of\n%s%s%s' % (text, out, err))
    testing.check('interrupted' in err and 'Traceback' not in err,
                  'wrong message: %s%s', out, err)
    check_gone(name)


@testing.options(asan=False, driver=True, programs=['setpriv', *PROGRAMS])
def test_demo_refuses(lab):
    """It says what is missing where it cannot run, and makes nothing."""
    def refused(text, *command):
        p = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=30, check=False)
        testing.check_equal(p.returncode, 2, 'exit status: ' + p.stderr)
        testing.check(text in p.stderr and 'Traceback' not in p.stderr,
                      'no "%s" in: %s', text, p.stderr)

    demo = [sys.executable, DEMO]
    here = [*demo, '--build', lab.build]
    refused('make', *demo, '--build', lab.dir)
    refused('two processors', 'taskset', '-c', str(min(os.sched_getaffinity(
        0))), *here)
    refused('not among', *here, '--cores', '0,4095')
    refused('is not a positive number', *here, '--time', '0')
    refused('MB of space', *here, '--size', '999999')
    # A user, where that user can read this file at all.
    if not subprocess.run(['setpriv', '--reuid=65534', '--clear-groups',
                           'test', '-r', DEMO], check=False).returncode:
        refused('root', 'setpriv', '--reuid=65534', '--clear-groups', *here)
