# SPDX-License-Identifier: Apache-2.0
"""System tests: functions test_*(lab) in tests/system/*.py.

    from nfv import testing

    def test_something(lab):
        \"\"\"What it shows, in a line.\"\"\"
        switch = lab.switch()
        ...
        testing.check_equal(switch.statistics('p1')['rx_pkts'], 1)

    @testing.options(timeout=120, asan=False, programs=['runc'])
    def test_something_else(lab):
        lab.expect_log(r'netdev_dpdkr\\|WARN\\|p1: .* is on no hugetlbfs')
        ...

Each test gets a fresh Lab and runs in a process of its own.  It fails by any
exception; and, if it comes to its end, when

  - the log of a switch or database of the lab has a line of level WARN, ERR or
    EMER that neither lab.expect_log() nor the list below allows,
  - a pattern given to lab.expect_log(..., must=True) was not logged,
  - a switch that still runs then does not exit in good order with status 0,
  - a process wrote a report of a sanitizer,
  - a process, network namespace, mount, or file of the lab is left when the
    lab is closed.

A test that takes too long is ended, after the state of the lab (where the test
is, which processes run and wait where, the ends of their logs) was printed.
"""

import argparse
import glob
import importlib.util
import inspect
import os
import re
import shutil
import signal
import sys
import traceback

from . import lab as lab_module

EXIT_SKIPPED = 77
DEFAULT_TIMEOUT = 60

# What switches log without anything being wrong with what is tested.
ALLOWED_LOG = [
    # How the lab ends the database.
    r'\|fatal_signal\|WARN\|terminating with signal 15',
    # ovs-vsctl and others end without a farewell.
    r'\|(jsonrpc|reconnect)\|WARN\|unix#\d+: .*'
    r'(Connection reset by peer|Broken pipe)',
    # The machine is slow, or busy.
    r'\|timeval(\([^)]*\))?\|WARN\|',
    r'\|poll_loop\|.*wakeup due to',
    r'\|ovs_rcu.*\|WARN\|blocked \d+ ms waiting for',
    r'\|WARN\|Dropped \d+ log messages',
    # Frames on their way while a port is removed or not yet there.
    r'\|ofproto_dpif_(xlate|upcall)[^|]*\|WARN\|'
    r'(received packet on unknown port|xlate_key failed)',
    r'\|dpif_netdev\|.*CPU usage',
    # There is no kernel datapath here, and no need for one.
    r"Generic Netlink family '[a-z_]+' does not exist",
    r'\|dpif_netlink\|',
]

SANITIZER_REPORT = re.compile(
    r'(ERROR: (Address|Leak|Thread)Sanitizer|: runtime error: '
    r'|WARNING: ThreadSanitizer)')


def sanitizer_env(build_env):
    """Returns the environment variables that programs of a build with
    sanitizers are to have in tests."""
    if build_env.get('ASAN') != 'yes':
        return {}
    return {'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=1',
            'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}


class Skip(Exception):
    """Raise this with a reason: the test cannot run here."""


class Failure(AssertionError):
    """The test found something wrong."""


def check(condition, what='not true', *args):
    if not condition:
        raise Failure(what % args if args else what)


def check_equal(is_, should, what=''):
    if is_ != should:
        raise Failure('%s%r, should be %r'
                      % (what + ': ' if what else '', is_, should))


def options(timeout=DEFAULT_TIMEOUT, asan=True, programs=(), root=True,
            driver=False):
    """Decorates a test: 'timeout' in seconds (three times that in a build
    with sanitizers, where the test does not run at all unless 'asan'), the
    'programs' that must be installed, whether it needs 'root', and the DPDK
    'driver'."""
    def decorate(function):
        function.nfv_options = {
            'timeout': timeout, 'asan': asan, 'programs': tuple(programs),
            'root': root, 'driver': driver}
        return function
    return decorate


def options_of(function):
    return getattr(function, 'nfv_options', None) or options()(
        lambda lab: None).nfv_options


def collect(path):
    """Returns the tests of the file at 'path', in the order in which they
    stand there, as a list of (name, function)."""
    name = os.path.splitext(os.path.basename(path))[0]
    directory = os.path.dirname(os.path.abspath(path))
    if directory not in sys.path:
        sys.path.insert(0, directory)
    spec = importlib.util.spec_from_file_location(name.replace('-', '_'), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [(n, f) for n, f in vars(module).items()
             if n.startswith('test_') and inspect.isfunction(f)
             and f.__module__ == module.__name__]
    return sorted(tests, key=lambda t: t[1].__code__.co_firstlineno)


class TestLab(lab_module.Lab):
    """A Lab that knows what its switches may log and looks after them."""

    def __init__(self, build, keep=False):
        super().__init__(build, keep)
        self.switches = []
        self.allowed = [re.compile(p) for p in ALLOWED_LOG]
        self.required = []
        self.watched = []

    def switch(self, *args, **kwargs):
        switch = super().switch(*args, **kwargs)
        self.switches.append(switch)
        return switch

    def expect_log(self, *patterns, must=False):
        """Allows lines of the logs that one of 'patterns' is found in; with
        'must', there has to be one for each of them."""
        self.allowed += [re.compile(p) for p in patterns]
        if must:
            self.required += patterns

    def stop_switches(self):
        for switch in self.switches:
            daemon = switch.daemon
            if daemon and daemon.running():
                status = switch.stop_daemon(cleanup=True, timeout=60)
                check(not status, '%s: ovs-vswitchd exited with status %s',
                      switch.name, status)
            elif daemon:
                raise Failure('%s: ovs-vswitchd ended by itself with status %s'
                              % (switch.name, daemon.popen.returncode))
            switch.stop()

    def log_files(self):
        files = []
        for directory, _, names in os.walk(self.dir):
            files += [os.path.join(directory, n) for n in names
                      if n.endswith(('.log', '.vlog', '.txt'))]
        return sorted(files)

    def check_logs(self):
        """See the top of the file."""
        bad = []
        everything = []
        for path in self.log_files():
            with open(path, errors='replace') as f:
                text = f.read()
            everything.append(text)
            if SANITIZER_REPORT.search(text):
                bad.append('%s has a report of a sanitizer'
                           % os.path.basename(path))
            if not path.endswith('.vlog'):
                continue
            for line in text.splitlines():
                if (re.search(r'\|(WARN|ERR|EMER)\|', line)
                        and not any(p.search(line) for p in self.allowed)):
                    bad.append('%s: %s' % (os.path.basename(path), line))
        for pattern in self.required:
            if not any(re.search(pattern, text) for text in everything):
                bad.append('nothing was logged that matches %s' % pattern)
        check(not bad, 'in the logs:\n  %s', '\n  '.join(bad))

    def dump(self):
        """Prints the state of the lab."""
        for p in list(self.processes):
            print('--- process %s (pid %d): %s' % (
                p.name, p.pid, 'running' if p.running()
                else 'ended with status %s' % p.popen.returncode))
            if p.running():
                for task in sorted(glob.glob('/proc/%d/task/*' % p.pid)):
                    print('    %s' % _task_state(task))
        for path in self.log_files():
            with open(path, errors='replace') as f:
                lines = f.read().splitlines()
            # The report of a sanitizer is what somebody wants to see.
            at = next((i for i, line in enumerate(lines)
                       if SANITIZER_REPORT.search(line)), None)
            part = lines[-40:] if at is None else lines[at:at + 80]
            if part:
                print('--- %s%s' % (os.path.relpath(path, self.dir),
                                    ' (end)' if len(lines) > 40 else ''))
                print('\n'.join(part))
        sys.stdout.flush()

    def leftovers(self):
        """Returns what is left of a lab that was closed, as texts."""
        left = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            if int(pid) == os.getpid():
                continue
            try:
                with open('/proc/%s/cmdline' % pid, 'rb') as f:
                    command = f.read().replace(b'\0', b' ').decode(
                        errors='replace')
                with open('/proc/%s/stat' % pid) as f:
                    zombie = f.read().rpartition(')')[2].split()[0] == 'Z'
            except OSError:
                continue
            if self.name in command and not zombie:
                left.append('process %s: %s' % (pid, command))
        with open('/proc/self/mounts') as f:
            left += ['mount ' + line.split()[1] for line in f
                     if self.name in line]
        if not self.keep:
            left += glob.glob('/dev/shm/*%s*' % self.name)
            left += [self.dir] if os.path.exists(self.dir) else []
        left += glob.glob('/run/netns/*%s*' % self.name)
        left += glob.glob('/var/run/dpdk/*%s*' % self.name)
        return left


def _task_state(task):
    try:
        with open(task + '/comm') as f:
            name = f.read().strip()
        with open(task + '/stat') as f:
            state = f.read().rpartition(')')[2].split()[0]
        with open(task + '/wchan') as f:
            where = f.read().strip()
        return '%-16s %s %s' % (name, state, where)
    except OSError as e:
        return str(e)


class _TimedOut(BaseException):
    pass


def check_requirements(build_env, opts, tree):
    if build_env.get('ASAN') == 'yes' and not opts['asan']:
        raise Skip('not in a build with sanitizers')
    if opts['root'] and os.geteuid():
        raise Skip('needs root')
    for program in opts['programs']:
        if not shutil.which(program):
            raise Skip('%s is not installed' % program)
    if opts['driver'] and not os.path.exists(
            tree + '/drivers/.libs/librte_net_dpdkr.so') and not glob.glob(
                tree + '/drivers/*/.libs/librte_net_dpdkr.so'):
        raise Skip('the DPDK driver was not built')


def run_test(build, name, function, keep=False):
    """Runs one test in this process.  Returns None, or raises Skip or whatever
    went wrong."""
    opts = options_of(function)
    lab = TestLab(build, keep)
    asan = lab.build_env.get('ASAN') == 'yes'
    check_requirements(lab.build_env, opts, lab.tree)
    timeout = opts['timeout'] * (3 if asan else 1)

    def timed_out(_number, frame):
        print('--- %s takes more than %d s; it is here:' % (name, timeout))
        traceback.print_stack(frame, file=sys.stdout)
        raise _TimedOut()

    signal.signal(signal.SIGALRM, timed_out)
    with lab:
        try:
            signal.alarm(timeout)
            function(lab)
            lab.stop_switches()
            signal.alarm(0)
            lab.check_logs()
        except Skip:
            signal.alarm(0)
            raise
        except BaseException:
            signal.alarm(0)
            # First what happened, since the logs are long.
            traceback.print_exc(file=sys.stdout)
            lab.dump()
            raise
    left = lab.leftovers()
    check(not left, 'left behind:\n  %s', '\n  '.join(left))


def main():
    parser = argparse.ArgumentParser(description='Runs one system test.')
    parser.add_argument('--build', required=True)
    parser.add_argument('--keep', action='store_true',
                        help='leave the directory of the lab')
    parser.add_argument('file')
    parser.add_argument('test', help='name of a function in FILE')
    args = parser.parse_args()

    os.environ.update(sanitizer_env(lab_module.read_build_env(args.build)))
    function = dict(collect(args.file))[args.test]
    try:
        run_test(args.build, args.test, function, args.keep)
    except Skip as reason:
        print('skip: %s' % reason)
        return EXIT_SKIPPED
    except _TimedOut:
        print('FAILED: timed out')
        return 1
    except (Exception, SystemExit, KeyboardInterrupt) as e:
        print('FAILED: %s: %s' % (type(e).__name__, e))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
