# SPDX-License-Identifier: Apache-2.0
"""A laboratory: private switches, DPDK functions and network namespaces that
share nothing with the host's own, and of which nothing is left at the end.

A Lab is a context manager.  All that it makes has its process id in its name
or lies in its own directory, so that any number of labs run side by side.
Everything is undone when the context ends, whichever way, also by SIGTERM or
SIGINT; children die with us even if we are killed (PR_SET_PDEATHSIG).
"""

import ctypes
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time


class LabError(Exception):
    """Something did not work; the text says what, for people."""


def wait_until(condition, timeout=20, what='condition', interval=0.02):
    """Calls 'condition' until it returns something true, which is returned.
    Raises LabError, naming 'what', if that takes longer than 'timeout'
    seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError('timed out after %d s waiting for %s'
                           % (timeout, what))
        time.sleep(interval)


def run(args, check=True, timeout=60, **kwargs):
    """Runs 'args', returns what it printed."""
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       stdin=subprocess.DEVNULL, timeout=timeout, text=True,
                       errors='replace', **kwargs)
    if check and p.returncode:
        raise LabError('%s: exit status %d\n%s'
                       % (' '.join(args), p.returncode, p.stdout))
    return p.stdout


_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


def read_build_env(build):
    """Returns the settings that configure left in 'build'."""
    env = {}
    with open(os.path.join(build, 'build.env')) as f:
        for line in f:
            name, _, value = line.strip().partition('=')
            env[name] = value.strip('"\'')
    return env


class Process:
    """A child of the lab, its output in a file."""

    def __init__(self, lab, name, args, stdin=None, env=None):
        self.lab = lab
        self.name = name
        self.args = args
        self.log_path = os.path.join(lab.dir, name + '.log')
        self._log = open(self.log_path, 'ab')
        full_env = dict(os.environ, **lab.env)
        full_env.update(env or {})
        self.popen = subprocess.Popen(args, stdin=stdin or subprocess.DEVNULL,
                                      stdout=self._log, stderr=self._log,
                                      env=full_env, preexec_fn=_die_with_parent)
        lab.processes.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def send_signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=20):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError('%s (pid %d) does not end' % (self.name, self.pid))

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends the process, by force if it does not end by itself."""
        if self.running():
            self.popen.send_signal(signal.SIGCONT)
            self.popen.send_signal(number)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if self.popen.stdin:
            try:
                self.popen.stdin.close()
            except OSError:
                pass
        self._log.close()
        if self in self.lab.processes:
            self.lab.processes.remove(self)
        return self.popen.returncode

    def kill(self):
        return self.stop(signal.SIGKILL)


class Switch:
    """A private Open vSwitch: database, daemon and their sockets in a
    directory of the lab.

    The daemon runs in a network namespace, 'net', of its own, since the names
    of its network devices ("ovs-netdev", and one for each bridge) are always
    the same: no two switches can live in one.  Use
    Namespace.take(DEVICE, source=switch.net) for those that go elsewhere."""

    def __init__(self, lab, name='ovs', tree=None, programs=None):
        """'programs' maps the names of programs to their paths, for a switch
        that is not the one built in 'tree'."""
        self.lab = lab
        self.name = name
        self.net = lab.namespace('of-' + name)
        tree = tree or lab.tree
        self.programs = {
            'ovsdb-server': tree + '/ovsdb/ovsdb-server',
            'ovsdb-tool': tree + '/ovsdb/ovsdb-tool',
            'ovs-vswitchd': tree + '/vswitchd/ovs-vswitchd',
            'ovs-vsctl': tree + '/utilities/ovs-vsctl',
            'ovs-ofctl': tree + '/utilities/ovs-ofctl',
            'ovs-appctl': tree + '/utilities/ovs-appctl',
            'schema': tree + '/vswitchd/vswitch.ovsschema',
        }
        self.programs.update(programs or {})
        self.dir = os.path.join(lab.dir, name)
        self.mem_dir = os.path.join('/dev/shm', os.path.basename(lab.dir)
                                    + '-' + name)
        os.makedirs(self.dir)
        os.makedirs(self.mem_dir)
        lab.remove_later(self.mem_dir)
        self.env = {'OVS_RUNDIR': self.dir, 'OVS_LOGDIR': self.dir,
                    'OVS_DBDIR': self.dir, 'OVS_SYSCONFDIR': self.dir,
                    'OVS_DPDKR_DIR': self.mem_dir}
        self.db_sock = 'unix:' + self.dir + '/db.sock'
        self.db = self.daemon = None
        self.starts = 0

    def start_db(self):
        conf = self.dir + '/conf.db'
        if not os.path.exists(conf):
            run([self.programs['ovsdb-tool'], 'create', conf,
                 self.programs['schema']])
        self.db = Process(self.lab, self.name + '-ovsdb-server', [
            self.programs['ovsdb-server'], conf,
            '--remote=p' + self.db_sock,
            '--unixctl=' + self.dir + '/ovsdb-server.ctl',
            '--pidfile=' + self.dir + '/ovsdb-server.pid',
            '--log-file=' + self.dir + '/ovsdb-server.vlog',
            '-vconsole:off'], env=self.env)
        wait_until(lambda: os.path.exists(self.dir + '/db.sock'),
                   what='ovsdb-server')
        self.vsctl('--no-wait', 'init')

    def start(self, other_config=(), wait=True, prefix=(), env=None):
        """Starts database (unless it runs) and daemon.  'other_config' are
        "key=value" strings for the Open_vSwitch table."""
        if not self.db:
            self.start_db()
        for item in other_config:
            self.vsctl('--no-wait', 'set', 'Open_vSwitch', '.',
                       'other_config:' + item)
        daemon_env = dict(self.env)
        daemon_env.update(env or {})
        self.daemon = Process(self.lab, self.name + '-vswitchd', [
            'nsenter', '--net=/run/netns/' + self.net.name, *prefix,
            self.programs['ovs-vswitchd'],
            self.db_sock,
            '--unixctl=' + self.dir + '/ovs-vswitchd.ctl',
            '--pidfile=' + self.dir + '/ovs-vswitchd.pid',
            '--log-file=' + self.dir + '/ovs-vswitchd.vlog',
            '-vconsole:off', '-vsyslog:off'], env=daemon_env)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=60):
        def ready():
            if not self.daemon.running():
                raise LabError('ovs-vswitchd ended:\n' + self.daemon.log()
                               + self.vlog()[-3000:])
            p = subprocess.run([self.programs['ovs-appctl'], '-t',
                                self.dir + '/ovs-vswitchd.ctl', 'version'],
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            return not p.returncode
        wait_until(ready, timeout, 'ovs-vswitchd')
        # Any change of the database: vsctl returns when the daemon has
        # configured all the bridges.
        self.starts += 1
        self.vsctl('set', 'Open_vSwitch', '.',
                   'external_ids:lab-starts=%d' % self.starts)

    def stop_daemon(self, cleanup=False, timeout=30):
        """Ends ovs-vswitchd in good order, with its ports if 'cleanup'."""
        if self.daemon:
            if self.daemon.running():
                self.appctl('exit', *(['--cleanup'] if cleanup else []))
                self.daemon.wait(timeout)
            status = self.daemon.stop()
            self.daemon = None
            return status

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon = None

    def stop(self):
        if self.daemon:
            try:
                self.stop_daemon(cleanup=True)
            except (LabError, subprocess.TimeoutExpired):
                self.kill_daemon()
        if self.db:
            self.db.stop()
            self.db = None

    def vsctl(self, *args, check=True, timeout=60):
        return run([self.programs['ovs-vsctl'], '--db=' + self.db_sock,
                    '-vconsole:off', '--timeout=%d' % timeout, *args],
                   check=check,
                   timeout=timeout + 5,
                   env=dict(os.environ, **self.lab.env)).rstrip('\n')

    def ofctl(self, *args, check=True):
        return run([self.programs['ovs-ofctl'], '-vconsole:off', *args],
                   check=check,
                   env=dict(os.environ, **self.lab.env, **self.env))

    def appctl(self, *args, check=True):
        return run([self.programs['ovs-appctl'], '-t',
                    self.dir + '/ovs-vswitchd.ctl', *args], check=check,
                   env=dict(os.environ, **self.lab.env))

    def vlog(self):
        with open(self.dir + '/ovs-vswitchd.vlog', errors='replace') as f:
            return f.read()

    def interface(self, name, column):
        """Returns a column of the Interface 'name' as a Python value."""
        rows = json.loads(self.vsctl('--format=json', '--columns=' + column,
                                     'list', 'Interface', name))['data']
        return _from_ovsdb(rows[0][0])

    def add_dpdkr(self, bridge, name, *options):
        """Adds a dpdkr port ("options:..." and other column settings) and
        returns the path of its memory."""
        self.vsctl('add-port', bridge, name, '--', 'set', 'Interface', name,
                   'type=dpdkr', *options)
        error = self.interface(name, 'error')
        if error:
            raise LabError('%s: %s' % (name, error))
        return wait_until(lambda: self.interface(name, 'status').get('path'),
                          what='status of ' + name)

    def wait_link(self, name, up=True, timeout=20):
        want = 'up' if up else 'down'
        wait_until(lambda: self.interface(name, 'link_state') == want,
                   timeout, 'link of %s to be %s' % (name, want))

    def statistics(self, name):
        """Returns the statistics that the daemon has now (the database's are
        some seconds old), by their OpenFlow names."""
        text = self.ofctl('-O', 'OpenFlow14', 'dump-ports',
                          self.vsctl('iface-to-br', name), name)
        stats = {}
        for direction, line in re.findall(r'\b(rx|tx) (pkts=.*)', text):
            for key, value in re.findall(r'(\w+)=(\d+)', line):
                stats[direction + '_' + key] = int(value)
        return stats


def _from_ovsdb(value):
    if isinstance(value, list):
        if value[0] == 'map':
            return dict(value[1])
        if value[0] == 'set':
            return value[1][0] if len(value[1]) == 1 else value[1]
        return value[1]
    return value


class Testpmd(Process):
    """An unmodified dpdk-testpmd, driven through its prompt."""

    PROMPT = 'testpmd> '

    def __init__(self, lab, name, devices, eal=(), args=(), lcores='0,1',
                 huge_dir=None, program='dpdk-testpmd', mem=256, prefix=(),
                 driver=True):
        """'devices' are EAL options such as "--vdev=net_dpdkr0,path=...";
        'args' are options of testpmd itself; 'lcores' is EAL's --lcores.  Its
        'mem' megabytes come from 'huge_dir', a mount point of huge pages, if
        there is one.  It loads the dpdkr driver if 'driver'."""
        memory = ['-m', str(mem), *(['--huge-dir=' + huge_dir] if huge_dir
                                    else ['--no-huge'])]
        plugins = ['-d', lab.driver()] if driver else []
        # What a command prints has to be there before the next prompt is.
        command = [*prefix, 'stdbuf', '-oL', program, '--lcores=' + lcores,
                   '--no-pci', '--no-telemetry',
                   '--file-prefix=' + lab.name + '-' + name,
                   *memory, *plugins, *devices, *eal, '--', '-i',
                   '--total-num-mbufs=8192', *args]
        env = {}
        if lab.build_env.get('ASAN') == 'yes':
            env['LD_PRELOAD'] = lab.build_env['LIBASAN']
            env['ASAN_OPTIONS'] = 'detect_leaks=0'
        self.position = 0
        super().__init__(lab, name, command, stdin=subprocess.PIPE, env=env)
        lab.remove_later('/var/run/dpdk/' + lab.name + '-' + name)
        self.wait_prompt(60)

    def wait_prompt(self, timeout=20):
        def seen():
            text = self.log()
            at = text.find(self.PROMPT, self.position)
            if at >= 0:
                out = text[self.position:at]
                self.position = at + len(self.PROMPT)
                return out or '\n'
            if not self.running():
                raise LabError('%s ended with status %d:\n%s'
                               % (self.name, self.popen.returncode,
                                  text[-3000:]))
        return wait_until(seen, timeout, 'prompt of ' + self.name)

    def command(self, text, timeout=20):
        """Sends a command, returns what it printed."""
        self.popen.stdin.write((text + '\n').encode())
        self.popen.stdin.flush()
        return self.wait_prompt(timeout)

    def stop(self, number=signal.SIGTERM, timeout=15):
        if self.running() and number == signal.SIGTERM:
            try:
                self.popen.stdin.write(b'quit\n')
                self.popen.stdin.flush()
                self.popen.wait(timeout)
            except (OSError, subprocess.TimeoutExpired):
                pass
        return super().stop(number, timeout)


class Namespace:
    """A network namespace."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = lab.name + '-' + name
        run(['ip', 'netns', 'add', self.name])
        lab.cleanups.append(self.remove)
        run(['ip', '-n', self.name, 'link', 'set', 'lo', 'up'])

    def remove(self):
        run(['ip', 'netns', 'del', self.name], check=False)

    def prefix(self):
        return ['ip', 'netns', 'exec', self.name]

    def run(self, *args, check=True, timeout=60):
        return run([*self.prefix(), *args], check=check, timeout=timeout)

    def start(self, name, *args):
        return Process(self.lab, name, [*self.prefix(), *args])

    def take(self, device, address=None, mtu=None, source=None):
        """Moves a network device from namespace 'source', or from the host,
        into this one and sets it up."""
        where = ['-n', source.name] if source else []
        run(['ip', *where, 'link', 'set', device, 'netns', self.name])
        if mtu:
            self.run('ip', 'link', 'set', device, 'mtu', str(mtu))
        if address:
            self.run('ip', 'addr', 'add', address, 'dev', device)
        self.run('ip', 'link', 'set', device, 'up')


class Lab:
    """See the top of the file."""

    def __init__(self, build, keep=False):
        """'build' is the directory in which the fork was built.  With 'keep',
        the lab's directory with all logs stays."""
        self.build = os.path.abspath(build)
        self.tree = os.path.join(self.build, 'tree')
        self.build_env = read_build_env(self.build)
        self.keep = keep
        self.processes = []
        self.cleanups = []
        self.env = {}
        self._handlers = {}
        self._driver = None

    def __enter__(self):
        # /run rather than /tmp: EAL takes no driver from under a directory
        # that everybody may write to, and a socket's path must be short.
        self.dir = tempfile.mkdtemp(prefix='nfv-', dir='/run')
        self.name = os.path.basename(self.dir)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._interrupted)
        return self

    def _interrupted(self, number, _frame):
        raise SystemExit(128 + number)

    def __exit__(self, *_):
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        for p in list(self.processes):
            try:
                p.kill()
            except OSError:
                pass
        for undo in reversed(self.cleanups):
            try:
                undo()
            except (OSError, LabError) as e:
                print('could not clean up: %s' % e)
        if not self.keep:
            shutil.rmtree(self.dir, True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def driver(self):
        """Returns the path of the DPDK driver, where EAL accepts it."""
        if not self._driver:
            source = os.path.join(self.tree, 'drivers/net_dpdkr/.libs',
                                  'librte_net_dpdkr.so')
            self._driver = os.path.join(self.dir, 'librte_net_dpdkr.so')
            shutil.copy(os.path.realpath(source), self._driver)
        return self._driver

    def switch(self, name='ovs', **kwargs):
        return Switch(self, name, **kwargs)

    def testpmd(self, name, devices, **kwargs):
        return Testpmd(self, name, devices, **kwargs)

    def namespace(self, name):
        return Namespace(self, name)

    def process(self, name, args, **kwargs):
        return Process(self, name, args, **kwargs)

    def remove_later(self, path):
        """Removes a directory outside of the lab's own at the end."""
        self.cleanups.append(lambda: shutil.rmtree(path, True))

    def huge_pages(self, n):
        """Reserves 'n' huge pages of 2 MB more than there are, until the end,
        and mounts them.  Returns the mount point."""
        before, after = _add_huge_pages(n)
        self.cleanups.append(lambda: _add_huge_pages(before - after))
        if after - before < n:
            raise LabError('no %d huge pages to be had' % n)
        mount = os.path.join(self.dir, 'huge')
        os.makedirs(mount)
        run(['mount', '-t', 'hugetlbfs', 'none', mount])
        self.cleanups.append(lambda: run(['umount', mount], check=False))
        return mount


def _add_huge_pages(n):
    """Adds 'n', which may be negative, to the number of huge pages of the
    host, which other labs change as well.  Returns what it was before and
    is now."""
    path = '/proc/sys/vm/nr_hugepages'
    with open(path) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        before = int(f.read())
        with open(path, 'w') as w:
            w.write(str(before + n))
        f.seek(0)
        return before, int(f.read())


def poll_readable(fd, timeout):
    return bool(select.select([fd], [], [], timeout)[0])
