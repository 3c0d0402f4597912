# SPDX-License-Identifier: Apache-2.0
"""The commands in Documentation/nfv do what they say.

A code block whose class begins with "run" holds commands behind "$ ", with
continuation lines, and their output, in which "..." stands for any lines.

    run                     are executed one after the other
    run-daemons             the same, in install.rst
    run-in-source           the same, in the source directory
    run-in-background       starts one program that goes on
    run-stop                interrupts it; the text is its output

All of one file is done by one test, in the order of the file.  What is
installed is, and below a directory of the lab: paths are replaced.
"""

import glob
import os
import re
import shutil
import signal
import subprocess

from nfv.lab import run, wait_until
from nfv.testing import Skip, check, options

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
DOCS = os.path.join(SOURCE, 'Documentation', 'nfv')
BLOCK = re.compile(r'^\.\. code-block:: \w+\n   :class: (run[\w-]*)\n\n'
                   r'((?:   .*\n|\n)+)', re.MULTILINE)

# What is installed for this: with the names of the Makefile.
INSTALL = ['install-libLTLIBRARIES', 'install-pmdLTLIBRARIES',
           'install-pkgconfigDATA', 'install-dpdkrincludeHEADERS']


def blocks(name):
    """Returns (class, lines) of all the blocks to be executed in a file."""
    with open(os.path.join(DOCS, name), encoding='utf-8') as f:
        text = f.read()
    found = [(kind, [line[3:] for line in body.rstrip('\n').split('\n')])
             for kind, body in BLOCK.findall(text)]
    check(len(found) == text.count(':class: run'),
          '%s: some block was not understood', name)
    return found


def steps(lines):
    """Yields (command, lines of output)."""
    command, output = None, []
    inside = False
    for line in lines:
        if line.startswith('$ '):
            if command:
                yield command, output
            command, output = line[2:], []
        elif inside or command.endswith('\\'):
            command += '\n' + line
        else:
            output.append(line)
        # An open quotation goes on in the next line.
        inside = command.count('"') % 2 == 1
    yield command, output


def matches(want, got):
    pattern = '\n'.join(want)
    pattern = re.escape(pattern).replace(r'\.\.\.', '(?s:.*)')
    return re.fullmatch(pattern, '\n'.join(got))


class Session:
    """What a reader of one file has before him."""

    def __init__(self, lab, switch=None):
        self.lab = lab
        self.dir = os.path.join(lab.dir, 'reader')
        self.root = os.path.join(lab.dir, 'root')
        os.makedirs(self.dir)
        self.replace = [('/usr/local', self.root + '/usr/local')]
        self.env = dict(os.environ)
        tree = lab.tree
        self.env['PATH'] = ':'.join([tree + '/utilities', tree + '/ovsdb',
                                     tree + '/vswitchd', '/usr/sbin',
                                     '/usr/bin', '/sbin', '/bin'])
        self.env['LC_ALL'] = 'C.UTF-8'
        # Where DPDK puts what it would share with other processes.
        self.env['RUNTIME_DIRECTORY'] = lab.dir
        if switch:
            self.env.update(switch.env)
            self.replace.append(('/dev/shm/ovs-', switch.mem_dir + '/ovs-'))
        self.background = None

    def install(self):
        with open(os.path.join(self.lab.tree, 'Makefile'),
                  encoding='utf-8') as f:
            makefile = f.read()
        prefix = re.search(r'^prefix = (.*)', makefile, re.MULTILINE).group(1)
        if prefix != '/usr/local':
            raise Skip('built for another prefix, ' + prefix)
        targets = [t for t in INSTALL if '\n%s:' % t in makefile]
        run(['make', '-s', '-C', self.lab.tree, 'DESTDIR=' + self.root,
             *targets], timeout=120)
        lib = self.root + '/usr/local/lib'
        self.env['PKG_CONFIG_PATH'] = lib + '/pkgconfig'
        self.env['PKG_CONFIG_SYSROOT_DIR'] = self.root
        self.env['LD_LIBRARY_PATH'] = lib

    def sh(self, command, cwd=None):
        for old, new in self.replace:
            command = command.replace(old, new)
        p = subprocess.run(['bash', '-c', command], cwd=cwd or self.dir,
                           env=self.env, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=120)
        output = p.stdout
        for old, new in reversed(self.replace):
            output = output.replace(new, old)
        return p.returncode, output.rstrip('\n').split('\n')

    def start(self, command):
        for old, new in self.replace:
            command = command.replace(old, new)
        read, write = os.pipe()
        self.stdin = os.fdopen(write, 'w')      # Stays open.
        self.background = self.lab.process(
            'background', ['env', '-C', self.dir, 'bash', '-c',
                           'exec ' + command], stdin=read, env=self.env)
        os.close(read)

    def stop(self):
        """Interrupts the program in the background, returns its output."""
        if not self.background:
            return []
        p, self.background = self.background, None
        p.send_signal(signal.SIGINT)
        p.wait(20)
        self.stdin.close()
        output = p.log().rstrip('\n').split('\n')
        p.stop()
        return output

    def run(self, name, only=None):
        for kind, lines in blocks(name):
            if only and kind not in only:
                continue
            print('--', name, kind)
            if kind == 'run-stop':
                got = self.stop()
                check(matches(lines, got), 'output is %s, not %s', got, lines)
                continue
            for command, want in steps(lines):
                print('$', command, flush=True)
                if kind == 'run-in-background':
                    self.stop()
                    self.start(command)
                    continue
                status, got = self.sh(
                    command, SOURCE if kind == 'run-in-source' else None)
                print('\n'.join(got), flush=True)
                check(not status, '%s: status %d', command, status)
                # A daemon says where its log is, with the time.
                check(matches(want, got) or not want
                      and (kind == 'run-daemons' or got == ['']),
                      '%s: output is not\n%s', command, '\n'.join(want))
        self.stop()


def session(lab):
    s = lab.switch()
    # Sleeping PMD threads leave the processor to the peers.
    s.start(['pmd-maxsleep=200'])
    # The name that ovs-appctl looks for, as the switch would choose it.
    with open(s.dir + '/ovs-vswitchd.pid', encoding='utf-8') as f:
        os.symlink('ovs-vswitchd.ctl',
                   '%s/ovs-vswitchd.%s.ctl' % (s.dir, f.read().strip()))
    reader = Session(lab, s)
    reader.install()
    return reader


@options(timeout=180, driver=True, asan=False)
def test_dpdkr(lab):
    """The quick start and what follows in dpdkr.rst."""
    lab.expect_log(r'option ring_size=1000', r'could not set configuration')
    session(lab).run('dpdkr.rst')


@options(timeout=180, driver=True, asan=False)
def test_direct_links(lab):
    """Links come and go as direct-links.rst says."""
    session(lab).run('direct-links.rst')


@options(timeout=120, asan=False)
def test_peer(lab):
    """The program in peer.rst is compiled and run."""
    reader = session(lab)
    shutil.copy(os.path.join(DOCS, 'count.c'), reader.dir)
    reader.run('peer.rst')


@options(timeout=60)
def test_hacking(lab):
    """The commands of hacking.rst."""
    reader = Session(lab)
    reader.replace.append(('_build/pristine', lab.build + '/pristine'))
    reader.run('hacking.rst')


def _daemons(lab):
    found = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            with open(path, 'rb') as f:
                if lab.dir.encode() in f.read():
                    found.append(path)
        except OSError:
            pass
    return found


@options(timeout=60)
def test_install(lab):
    """The daemons are started and stopped by hand as install.rst says."""
    reader = Session(lab)
    for name, path in (('DB', '/usr/local/etc/openvswitch'),
                       ('RUN', '/usr/local/var/run/openvswitch'),
                       ('LOG', '/usr/local/var/log/openvswitch')):
        directory = os.path.join(lab.dir, name.lower())
        reader.env['OVS_%sDIR' % name] = directory
        reader.replace.insert(0, (path, directory))
    reader.env['OVS_SYSCONFDIR'] = lab.dir + '/db'
    reader.replace.insert(0, ('/usr/local/share/openvswitch',
                              lab.tree + '/vswitchd'))
    try:
        reader.run('install.rst')
    finally:
        for path in glob.glob(lab.dir + '/run/*.pid'):
            with open(path, encoding='utf-8') as f:
                os.kill(int(f.read()), signal.SIGKILL)
        # "exit" has its answer before the daemon has ended.
        wait_until(lambda: not _daemons(lab), what='the daemons to end')
