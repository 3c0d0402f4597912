# SPDX-License-Identifier: Apache-2.0
"""What was measured on, and with what."""

import os
import re
import subprocess
import time

from nfv.lab import LabError


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ''


def _output(*args):
    try:
        return subprocess.run(args, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True,
                              stdin=subprocess.DEVNULL).stdout.strip()
    except OSError:
        return ''


def describe():
    """Returns what the machine is, as a dictionary."""
    lscpu = dict(re.findall(r'^([^:]+):\s*(.*)$', _output('lscpu'), re.M))
    os_release = dict(re.findall(r'^(\w+)="?(.*?)"?$',
                                 _read('/etc/os-release'), re.M))
    uname = os.uname()
    return {
        'cpu': lscpu.get('Model name', uname.machine),
        'cpu_family_model_stepping': '/'.join(
            lscpu.get(key, '?') for key in ('CPU family', 'Model',
                                            'Stepping')),
        'cores': os.cpu_count(),
        'caches': {key.replace(' cache', ''): value
                   for key, value in lscpu.items() if 'cache' in key},
        'numa_nodes': int(lscpu.get('NUMA node(s)', 1)),
        'hypervisor': lscpu.get('Hypervisor vendor', 'none'),
        'memory_mb': int(re.search(r'MemTotal:\s*(\d+)',
                                   _read('/proc/meminfo')).group(1)) // 1024,
        'kernel': '%s %s' % (uname.release, uname.version),
        'os': os_release.get('PRETTY_NAME', 'unknown'),
    }


def package_version(package):
    """Returns the version of an installed Debian package, or None."""
    return _output('dpkg-query', '-W', '-f', '${Version}', package) or None


def source_version(directory):
    """Returns the commit of the working tree 'directory', with "-dirty"
    behind it if it has changes that are not committed."""
    return _output('git', '-C', directory, 'describe', '--always', '--dirty',
                   '--abbrev=12') or 'no git repository'


class BusyThreads:
    """The threads that poll while something is measured, and are to have
    their cores to themselves."""

    def __init__(self, *processes):
        """'processes' are pairs of a process id and a regular expression for
        the names of its threads."""
        self.threads = []
        for pid, name in processes:
            found = [int(tid) for tid in os.listdir('/proc/%d/task' % pid)
                     if re.match(name, _read('/proc/%d/task/%s/comm'
                                             % (pid, tid)))]
            if not found:
                raise LabError('process %d has no thread "%s"' % (pid, name))
            self.threads += [(pid, tid) for tid in found]

    def prefer(self, preferred=True, priority=1):
        """Lets them run before all else but those with a higher 'priority', or
        no longer.  (The kernel leaves a
        few percent of each second to the rest.)  Niceness would not do: with
        sched_autogroup_enabled it counts only inside a session."""
        for _, tid in self.threads:
            policy, param = ((os.SCHED_FIFO, priority) if preferred
                             else (os.SCHED_OTHER, 0))
            try:
                os.sched_setscheduler(tid, policy, os.sched_param(param))
            except ProcessLookupError:
                pass            # It has ended.

    def favour(self, favoured=True):
        """Gives them as large a share of their cores as there is without
        real-time priority, whose threads Linux stops for 50 ms of each second.
        That is for what cannot bear such stops."""
        for pid, tid in self.threads:
            try:
                # Of the session; does not exist without sched_autogroup.
                with open('/proc/%d/autogroup' % pid, 'w') as f:
                    f.write('-20' if favoured else '0')
            except OSError:
                pass
            try:
                os.setpriority(os.PRIO_PROCESS, tid, -20 if favoured else 0)
            except ProcessLookupError:
                pass            # It has ended.

    def _sample(self):
        return [[int(word) for word in
                 _read('/proc/%d/task/%d/schedstat' % thread).split()[:2]]
                for thread in self.threads]

    def start(self):
        self.before = self._sample()

    def stop(self):
        """Returns how much of the time since start() the thread ran that ran
        least, of the time that it could have run.  Less than 1 means that
        something else had the core meanwhile."""
        share = 1.0
        for now, before in zip(self._sample(), self.before):
            ran, waited = now[0] - before[0], now[1] - before[1]
            if ran + waited:
                share = min(share, ran / (ran + waited))
        return share


def timestamp():
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
