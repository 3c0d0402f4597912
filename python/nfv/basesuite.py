# SPDX-License-Identifier: Apache-2.0
"""Runs groups of Open vSwitch's own test suite."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

RESULT = re.compile(r'\s*(\d+): (.*?)\s+(ok|FAILED|skipped|expected failure|'
                    r'UNEXPECTED PASS)\b(.*)$')
PATH = ('utilities', 'vswitchd', 'ovsdb', 'vtep', 'tests', 'ipsec')


def _make(tree, *args):
    """Runs make in 'tree', as a make of its own."""
    env = {k: v for k, v in os.environ.items()
           if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')}
    p = subprocess.run(['make', '-C', tree, 'V=0', *args], env=env, text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, errors='replace')
    if p.returncode:
        print(p.stdout[-4000:])
        raise subprocess.CalledProcessError(p.returncode, p.args)


def _end_daemons(work):
    """Ends what a group that failed has left running: daemons whose current
    directory is in 'work'."""
    work = os.path.realpath(work) + '/'
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if (os.readlink('/proc/%s/cwd' % pid) + '/').startswith(
                    work + 'tests/testsuite.dir/'):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass


class Group:
    def __init__(self, number, file, line, title):
        self.number = number
        self.file = file
        self.line = line
        self.title = title
        # Titles occur several times; no two groups share file, line, title.
        self.key = (file, line, title)

    def slug(self):
        """A name of one word."""
        return '%d-%s' % (self.number, re.sub(r'[^A-Za-z0-9.+]+', '-',
                                              self.title).strip('-'))


class Suite:
    """The suite of a base that was built in its source directory."""

    def __init__(self, tree):
        self.tree = os.path.abspath(tree)
        self.testsuite = os.path.join(self.tree, 'tests', 'testsuite')

    def prepare(self):
        """Makes what only tests need, keys and certificates above all."""
        _make(self.tree, 'check', 'TESTSUITEFLAGS=--version')

    def groups(self):
        """Returns all groups, by number."""
        text = subprocess.run(
            ['sh', self.testsuite, '--list'], cwd=self.tree, check=True,
            stdout=subprocess.PIPE, text=True).stdout
        groups = {}
        for line in text.splitlines():
            m = re.match(r'\s*(\d+): (\S+\.at):(\d+)\s+(.*?)\s*$', line)
            if m:
                number = int(m.group(1))
                groups[number] = Group(number, m.group(2), int(m.group(3)),
                                       m.group(4))
        return groups

    def run(self, numbers, work, jobs, shown=None):
        """Runs the groups 'numbers' in the new directory 'work', which the
        caller removes.  Returns {number: result}.  Calls 'shown', if given,
        with each line of output."""
        self._lay_out(work)
        path = ':'.join(os.path.join(self.tree, d) for d in PATH)
        args = ['sh', self.testsuite, '-C', os.path.join(work, 'tests'),
                'AUTOTEST_PATH=' + path, '-j%d' % jobs, *_ranges(numbers)]
        results = {}
        env = {k: v for k, v in os.environ.items()
               if k not in ('MAKEFLAGS', 'MFLAGS', 'PYTHONPATH')}
        with subprocess.Popen(args, cwd=work, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=env,
                              errors='replace',
                              start_new_session=True) as process:
            try:
                for line in process.stdout:
                    m = RESULT.match(line)
                    if m:
                        results[int(m.group(1))] = m.group(3)
                    if shown:
                        shown(line.rstrip('\n'))
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                raise
            finally:
                _end_daemons(work)
        return results

    def _lay_out(self, work):
        """Makes 'work' look like the tree, with a directory for the results
        that is not the tree's, so that two can run at a time."""
        os.makedirs(os.path.join(work, 'tests'))
        for name in os.listdir(self.tree):
            if name != 'tests':
                os.symlink(os.path.join(self.tree, name),
                           os.path.join(work, name))
        tests = os.path.join(self.tree, 'tests')
        for name in os.listdir(tests):
            if not name.startswith('testsuite.'):
                os.symlink(os.path.join(tests, name),
                           os.path.join(work, 'tests', name))


def log_of(work, number):
    """Returns the log of a group that failed."""
    path = os.path.join(work, 'tests', 'testsuite.dir', '%d' % number,
                        'testsuite.log')
    for name in (path, path.replace('/%d/' % number, '/%04d/' % number)):
        if os.path.exists(name):
            with open(name, errors='replace') as f:
                return f.read()
    return ''


def new_work(build):
    """Makes a name for the 'work' of Suite.run()."""
    return os.path.join(tempfile.mkdtemp(prefix='base-suite-', dir=build),
                        'work')


def remove_work(work):
    shutil.rmtree(os.path.dirname(work), ignore_errors=True)


def _ranges(numbers):
    """Shortens a list of numbers to what the suite takes as arguments."""
    result = []
    for n in sorted(numbers):
        if result and result[-1][1] == n - 1:
            result[-1][1] = n
        else:
            result.append([n, n])
    return ['%d' % a if a == b else '%d-%d' % (a, b) for a, b in result]


def build_unpatched(build):
    """Returns the tree of the base as it is, built with the arguments that
    the tree of 'build' was configured with, in 'build'/unpatched."""
    tree = os.path.join(build, 'unpatched')
    if not os.path.exists(tree):
        new = tree + '.new'
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(os.path.join(build, 'pristine'), new, symlinks=True)
        os.rename(new, tree)
    if not os.path.exists(os.path.join(tree, 'config.status')):
        with open(os.path.join(build, 'configure-tree')) as f:
            script = f.read().replace('/tree"', '/unpatched"')
        # Where the script is, it is to find the directory.
        name = os.path.join(build, 'configure-unpatched')
        with open(name, 'w') as f:
            f.write(script)
        os.chmod(name, 0o755)
        subprocess.run([name], check=True, stdout=subprocess.DEVNULL)
    _make(tree, '-j%d' % os.cpu_count())
    return tree
