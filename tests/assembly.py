#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the build system: configure, assembly, hooks, packages.

    tests/assembly.py [--build BUILD] [TEST...]

Nearly all tests work on a base of a few small files, made up here, with a
repository made up here, so they are quick; those named base_* look at the
real base and at our own hooks, in BUILD.  Prints "ok NAME", "not ok NAME" or
"skip NAME # REASON" for each test, behind its output.
"""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CONFIGURE_AC = '''\
AC_INIT(openvswitch, %s, nobody@example.com)
AC_OUTPUT
'''

C_FILE = '''\
#include <config.h>

struct thing {
    int weight OVS_GUARDED;
};

static int
weigh(struct thing *thing)
    OVS_REQUIRES(thing->mutex)
{
    if (thing) {
        return measure(thing->weight);
    }
    return 0;
}

int
other(ATOMIC(int) *n)
{
    for (int i = 0; i < 3; i++) {
        count(n);
    }
    return weigh(NULL);
}
'''

COCCI = '''\
// A sample.
//
// file: lib/thing.c
// matches: %d
@@
expression e;
@@
- measure(e)
+ nfv_measure(e)
'''


class Skip(Exception):
    pass


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


def read(path):
    with open(path) as f:
        return f.read()


def run(*command, ok=True, env=None, cwd=None):
    """Runs a command and returns what it prints; fails unless its success is
    as 'ok' says."""
    p = subprocess.run(command, stdin=subprocess.DEVNULL, cwd=cwd, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False, env=dict(os.environ, **(env or {})))
    print('$ %s\n%s[status %d]' % (' '.join(command), p.stdout,
                                   p.returncode))
    if (p.returncode == 0) != ok:
        raise AssertionError('%s: status %d'
                             % (os.path.basename(command[0]), p.returncode))
    return p.stdout


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


class Scene:
    """A made-up base and a made-up repository, which lies over it."""

    def __init__(self, directory):
        self.dir = directory
        self.repo = os.path.join(directory, 'repo')
        self.build = os.path.join(self.repo, '_build')
        self.tree = os.path.join(self.build, 'tree')
        self.base = os.path.join(directory, 'base.tar.gz')
        self.base_files = {
            'configure.ac': CONFIGURE_AC % '3.1.0',
            'Makefile.am': 'EXTRA_DIST =\n',
            'lib/thing.c': C_FILE,
            'lib/other.c': 'int x;\n',
        }
        self.pack()
        write(self.path('VERSION'), '7.5\n')
        write(self.path('hooks/macros.h'),
              read(os.path.join(TOP, 'hooks', 'macros.h')))
        write(self.path('lib/ours.c'), 'int ours;\n')
        write(self.path('drivers/deep/er.c'), 'int deeper;\n')
        write(self.path('build-aux/not-in-tree'), '')
        write(self.path('.gitignore'), '')

    def pack(self):
        """Makes the base's tarball from self.base_files."""
        work = os.path.join(self.dir, 'openvswitch')
        for name, text in self.base_files.items():
            write(os.path.join(work, name), text)
        with tarfile.open(self.base, 'w:gz') as tar:
            tar.add(work, 'openvswitch')
        shutil.rmtree(work)

    def path(self, name):
        return os.path.join(self.repo, name)

    def hook(self, name, text):
        write(self.path('hooks/' + name), text)

    def assemble(self, ok=True, *args):
        return run(os.path.join(TOP, 'build-aux', 'assemble'),
                   '--base', self.base, '--build', self.build,
                   '--repo', self.repo, *args, ok=ok)

    def in_tree(self, name):
        return read(os.path.join(self.tree, name))

    def stamps(self):
        """When each file of the tree was last changed."""
        result = {}
        for directory, _, files in os.walk(self.tree):
            for name in files:
                path = os.path.join(directory, name)
                st = os.lstat(path)
                result[os.path.relpath(path, self.tree)] = (
                    st.st_mtime_ns, st.st_ino)
        return result


def changed(old, new):
    return sorted(name for name in set(old) | set(new)
                  if old.get(name) != new.get(name))


def test_links(s):
    """Our files are links, the base's are copies, the rest stays outside."""
    s.assemble()
    link = os.path.join(s.tree, 'lib/ours.c')
    expect(os.path.islink(link), 'lib/ours.c is no link')
    expect(read(link) == 'int ours;\n', 'lib/ours.c links elsewhere')
    expect(os.path.islink(os.path.join(s.tree, 'drivers/deep/er.c')),
           'drivers/deep/er.c is missing')
    expect(not os.path.islink(os.path.join(s.tree, 'lib/other.c')),
           'lib/other.c is no copy')
    for name in ('VERSION', 'build-aux/not-in-tree', '.gitignore', 'hooks'):
        expect(not os.path.lexists(os.path.join(s.tree, name)),
               '%s is in the tree' % name)


def test_git(s):
    """In a git checkout, ignored files stay outside; untracked ones do not,
    nor do files that git lists but that are gone."""
    if not shutil.which('git'):
        raise Skip('no git')
    write(s.path('.gitignore'), '*.junk\n/_build*/\n')
    write(s.path('lib/some.junk'), '')
    write(s.path('lib/gone.c'), '')
    run('git', 'init', '-q', s.repo)
    run('git', '-C', s.repo, 'add', 'lib/gone.c')
    os.unlink(s.path('lib/gone.c'))
    s.assemble()
    expect(sorted(os.listdir(os.path.join(s.tree, 'lib')))
           == ['other.c', 'ours.c', 'thing.c'], 'wrong files in lib')


def test_incremental(s):
    """A second assembly touches nothing; an added or removed file only
    itself."""
    s.hook('a.edit', '# file: Makefile.am\n# matches: 1\nend:\nafter:\n| x\n')
    s.assemble()
    before = s.stamps()
    expect(s.assemble() == '', 'says something about nothing')
    expect(changed(before, s.stamps()) == [], 'touches files')
    write(s.path('lib/new.c'), 'int new;\n')
    os.unlink(s.path('drivers/deep/er.c'))
    out = s.assemble()
    expect('adding lib/new.c' in out, 'does not tell of lib/new.c')
    expect('removing drivers/deep/er.c' in out, 'does not tell of er.c')
    expect(changed(before, s.stamps())
           == ['drivers/deep/er.c', 'lib/new.c', 'nfv-files.mk'],
           'touches other files')
    expect(not os.path.exists(os.path.join(s.tree, 'drivers')),
           'leaves an empty directory')


def test_clash(s):
    """A file of ours may not hide one of the base."""
    write(s.path('lib/other.c'), 'int mine;\n')
    out = s.assemble(ok=False)
    expect('lib/other.c' in out, 'does not name the file')


def test_new_base(s):
    """Another base starts afresh."""
    s.assemble()
    s.base_files['lib/other.c'] = 'int y;\n'
    s.base_files['lib/more.c'] = 'int z;\n'
    s.pack()
    os.utime(s.base, (time.time() + 10, time.time() + 10))
    s.assemble()
    expect(s.in_tree('lib/other.c') == 'int y;\n', 'the old base')
    expect(s.in_tree('lib/ours.c') == 'int ours;\n', 'no link')


def test_interrupted(s):
    """An assembly that ended half-way is taken up again."""
    s.assemble()
    shutil.rmtree(s.tree)
    os.makedirs(s.tree + '.new/rest')
    os.unlink(os.path.join(s.build, 'assembly.json'))
    s.assemble()
    expect(s.in_tree('lib/other.c') == 'int x;\n', 'no base')
    expect(s.in_tree('lib/ours.c') == 'int ours;\n', 'no link')
    expect(not os.path.exists(os.path.join(s.tree, 'rest')), 'the old rest')


def test_driver_headers(s):
    """Driver headers come into the tree, and into the tarball's list."""
    headers = os.path.join(s.dir, 'headers')
    write(os.path.join(headers, 'ethdev_driver.h'), 'int driver;\n')
    s.assemble(True, '--driver-headers', headers)
    expect(s.in_tree('third-party/dpdk-driver/ethdev_driver.h')
           == 'int driver;\n', 'no header')
    expect('EXTRA_DIST += third-party/dpdk-driver/ethdev_driver.h'
           in s.in_tree('nfv-files.mk'),
           'not for the tarball')
    before = s.stamps()
    s.assemble(True, '--driver-headers', headers)
    expect(changed(before, s.stamps()) == [], 'touches them again')
    s.assemble()
    expect(not os.path.exists(os.path.join(
        s.tree, 'third-party/dpdk-driver/ethdev_driver.h')), 'stays')


def test_edit(s):
    """Each place and action of *.edit."""
    s.hook('1.edit', '# Why.\n# file: lib/other.c\n# matches: 1\n\n'
           'find: (int) x\nreplace:\n| long \\1 x\n')
    s.hook('2.edit', '# file: lib/other.c\n# matches: 1\n'
           'find: long\nbefore:\n| /* before\n|  @NFV_VERSION@ */\n')
    s.hook('3.edit', '# file: lib/other.c\n# matches: 1\n'
           'find: x;$\nafter:\n|\n| /* after */\n')
    s.hook('4.edit', '# file: lib/other.c\n# matches: 1\n'
           'find: /. after\nafter-file: lib/ours.c\n')
    s.hook('5.edit', '# file: lib/other.c\n# matches: 1\n'
           'end:\nafter:\n| /* end */\n')
    s.assemble()
    expect(s.in_tree('lib/other.c') ==
           '/* before\n 7.5 */\nlong int x;\n\n/* after */\nint ours;\n'
           '/* end */\n', s.in_tree('lib/other.c'))
    # A file that a hook inserts is one that it depends on.
    before = s.stamps()
    write(s.path('lib/ours.c'), 'int changed;\n')
    s.assemble()
    expect('int changed;' in s.in_tree('lib/other.c'), 'not applied again')
    expect(changed(before, s.stamps()) == ['lib/other.c'],
           'touches other files')
    # Always on a pristine copy.
    expect(s.in_tree('lib/other.c').count('/* end */') == 1, 'twice')


def test_edit_count(s):
    """An edit that matches more or less often than it says fails."""
    edit = ('# file: configure.ac\n# matches: %d\nfind: ^AC_\n'
            'before:\n| x\n')
    s.hook('some.edit', edit % 2)
    s.assemble()
    for n in (1, 3):
        s.hook('some.edit', edit % n)
        out = s.assemble(ok=False)
        expect('hooks/some.edit' in out and 'configure.ac' in out
               and '2 places' in out, 'does not say what is wrong')


def test_hook_removed(s):
    """A hook that is gone is undone."""
    s.hook('a.edit', '# file: Makefile.am\n# matches: 1\nend:\nafter:\n| x\n')
    s.assemble()
    os.unlink(s.path('hooks/a.edit'))
    s.assemble()
    expect(s.in_tree('Makefile.am') == s.base_files['Makefile.am'],
           'not undone')


def test_hook_errors(s):
    """Hooks that make no sense are told so by name."""
    good = '# file: Makefile.am\n# matches: 1\n'
    for text, complaint in (
            ('# matches: 1\nend:\nafter:\n| x\n', '"file:"'),
            ('# file: Makefile.am\nend:\nafter:\n| x\n', '"matches:"'),
            ('# file: Makefile.am\n# matches: no\nend:\nafter:\n', 'no'),
            ('# file: Makefile.am\n# matches: 0\nend:\nafter:\n', '0'),
            (good + 'after:\n| x\n', 'place'),
            (good + 'end:\n', 'action'),
            (good + 'end:\nreplace:\n| x\n', 'after'),
            (good + 'find: (\nafter:\n| x\n', 'a.edit'),
            (good + 'find: x\nfind: y\nafter:\n| x\n', 'more than one'),
            (good + 'nonsense\n', 'nonsense'),
            (good + 'end:\nafter-file: lib/none.c\n', 'lib/none.c'),
            (good.replace('Makefile', 'Fakefile') + 'end:\nafter:\n| x\n',
             'Fakefile.am')):
        s.hook('a.edit', text)
        out = s.assemble(ok=False)
        expect('hooks/a.edit' in out and complaint in out
               and 'Traceback' not in out, 'unclear: ' + out)


def need_spatch():
    if not shutil.which('spatch'):
        raise Skip('no spatch')


def test_cocci(s):
    """A semantic patch that matches as often as it says, inside a function
    with annotations that are no C, and inside an if."""
    need_spatch()
    s.hook('some.cocci', COCCI % 1)
    s.assemble()
    expect('return nfv_measure(thing->weight);' in s.in_tree('lib/thing.c'),
           s.in_tree('lib/thing.c'))
    before = s.stamps()
    s.assemble()
    expect(changed(before, s.stamps()) == [], 'applied again')


def test_cocci_count(s):
    """A semantic patch that matches once and says 2, or matches nowhere."""
    need_spatch()
    s.hook('some.cocci', COCCI % 2)
    out = s.assemble(ok=False)
    expect('hooks/some.cocci' in out and 'lib/thing.c' in out
           and '1 place ' in out, 'does not say what is wrong')
    s.hook('some.cocci', (COCCI % 1).replace('measure', 'nothing'))
    out = s.assemble(ok=False)
    expect('hooks/some.cocci' in out and '0 places' in out,
           'does not say what is wrong')


def test_cocci_no_file(s):
    """A semantic patch for a file that the base has not."""
    need_spatch()
    s.hook('some.cocci', (COCCI % 1).replace('lib/thing.c', 'lib/none.c'))
    out = s.assemble(ok=False)
    expect('hooks/some.cocci' in out and 'lib/none.c' in out,
           'does not say what is wrong')


def test_cocci_syntax(s):
    """A semantic patch that spatch does not understand."""
    need_spatch()
    s.hook('some.cocci', '// file: lib/thing.c\n// matches: 1\n@@\n- (\n')
    out = s.assemble(ok=False)
    expect('hooks/some.cocci' in out, 'does not say what is wrong')


def test_cocci_missing(s):
    """Without spatch, the message says which package has it."""
    s.hook('some.cocci', COCCI % 1)
    out = s.assemble(False, '--spatch', '/nonexistent/spatch')
    expect('coccinelle' in out and 'hooks/some.cocci' in out, 'unclear')


def configure(s, ok, *args):
    """Runs our configure, in a directory of its own."""
    if not os.path.exists(os.path.join(TOP, 'configure')):
        raise Skip('no configure')
    directory = os.path.join(s.dir, 'conf')
    os.makedirs(directory, exist_ok=True)
    return run(os.path.join(TOP, 'configure'), *args, ok=ok, cwd=directory)


def test_configure_base(s):
    """What configure says about bases that are not 3.1.0."""
    def base(version):
        s.base_files['configure.ac'] = CONFIGURE_AC % version
        s.pack()
        return '--with-ovs-source=' + s.base

    expect('WARNING' not in configure(s, True, base('3.1.0')), 'warns')
    expect('not with 3.1.9' in configure(s, True, base('3.1.9')),
           'does not warn')
    expect('3.2.0' in configure(s, False, base('3.2.0')), 'does not say why')
    out = configure(s, False, '--with-ovs-source=/nonexistent/x.tar.gz')
    expect('openvswitch-source' in out, 'does not name the package')
    write(os.path.join(s.dir, 'x.tar.gz'), 'no tarball')
    out = configure(s, False, '--with-ovs-source=%s/x.tar.gz' % s.dir)
    expect('not a tarball' in out, 'does not say why')


def test_configure_arguments(s):
    """Arguments reach the tree's configure as they were."""
    configure(s, True, '--with-ovs-source=' + s.base, '--prefix=/a b',
              "--with-odd=it's $HOME \\ \"x\"", 'CFLAGS=-O1 -DX="y z"',
              '--enable-Werror', '--with-dpdk-source=/x', '--without-dpdk')
    directory = os.path.join(s.dir, 'conf')
    write(os.path.join(directory, 'tree/configure'),
          '#!/bin/sh\nfor a; do echo "<$a>"; done\n', 0o755)
    out = run(os.path.join(directory, 'configure-tree'))
    for wanted in ('<--prefix=/a b>', "<--with-odd=it's $HOME \\ \"x\">",
                   '<CFLAGS=-O1 -DX="y z">', '<--enable-Werror>',
                   '<--with-dpdk=no>'):
        expect(wanted in out, 'no ' + wanted)
    for other in ('ovs-source', 'dpdk-source'):
        expect(other not in out, other)
    expect(out.count('CFLAGS') == 1, 'CFLAGS twice')


def test_configure_cflags(s):
    """The default flags, those of --enable-asan, and a warning."""
    base = '--with-ovs-source=' + s.base
    tree = os.path.join(s.dir, 'conf', 'configure-tree')
    configure(s, True, base)
    expect('-O2 -g' in read(tree) and 'march' not in read(tree)
           and 'fsanitize' not in read(tree), read(tree))
    configure(s, True, base, '--enable-asan')
    expect('-fsanitize=address,undefined' in read(tree), read(tree))
    env = read(os.path.join(s.dir, 'conf', 'build.env'))
    expect(re.search('^ASAN=yes$', env, re.M), env)
    expect(re.search('^LIBASAN=/.*asan', env, re.M), env)
    out = configure(s, True, base, 'CFLAGS=-O2 -march=native')
    expect('WARNING' in out, 'does not warn')


def fakes(s, **scripts):
    """Returns an environment in which commands are our own scripts."""
    directory = os.path.join(s.dir, 'bin')
    for name, text in scripts.items():
        write(os.path.join(directory, name.replace('_', '-')),
              '#!/bin/sh\n' + text, 0o755)
    return {'PATH': directory + ':' + os.environ['PATH']}


def test_packages(s):
    """What is missing is named, and only root may get it."""
    command = os.path.join(TOP, 'build-aux', 'install-packages')
    groups = [line.split()[:2]
              for line in read(os.path.join(TOP, 'build-aux',
                                            'packages')).splitlines()
              if line.strip() and not line.startswith('#')]
    build = [p for g, p in groups if g == 'build' and p[0] != '+']
    installed = [p for p in build if p not in ('automake', 'pkg-config')]
    listing = ''.join('installed %s, \n' % p for p in installed)
    listing += 'installed pkgconf, pkg-config (= 1.8), x\n'
    listing += 'not-installed automake, \n'
    env = fakes(s, dpkg_query='cat <<E\n%sE\n' % listing, id='echo 1000\n',
                apt_get='echo called; exit 1\n')
    out = run(command, 'build', ok=False, env=env)
    expect('no-install-recommends automake\n' in out
           and 'called' not in out, 'wrong packages')
    env = fakes(s, dpkg_query='cat <<E\n%sinstalled automake, \nE\n'
                % listing)
    expect(run(command, 'build', env=env) == '', 'says something')
    run(command, 'nonsense', ok=False, env=env)


def test_packages_policy(s):
    """While packages are installed no service may start, and afterwards the
    machine has its own policy-rc.d again, however that ends."""
    if os.geteuid():
        raise Skip('needs root')
    sbin = s.path('sbin')
    policy = os.path.join(sbin, 'policy-rc.d')
    os.makedirs(sbin)
    command = ['unshare', '-m', 'sh', '-ec', 'mount --bind "$1" /usr/sbin; '
               'mount -t tmpfs none /run; shift; exec "$@"', 'sh', sbin,
               os.path.join(TOP, 'build-aux', 'install-packages'), 'build']

    def install(apt_get, ok, before, after):
        for name, text in before.items():
            write(os.path.join(sbin, name), text, 0o755)
        env = fakes(s, dpkg_query='exit 0\n', id='echo 0\n',
                    apt_get='/usr/sbin/policy-rc.d && exit 1\n'
                    'test $? = 101 || exit 1\n'
                    'echo called >> %s\n%s\n' % (s.path('calls'), apt_get))
        run(*command, ok=ok, env=env)
        expect(os.path.exists(s.path('calls')), 'no service was forbidden')
        os.unlink(s.path('calls'))
        found = {name: read(os.path.join(sbin, name))
                 for name in os.listdir(sbin)}
        expect(found == after, 'left: %s' % found)
        for name in found:
            os.unlink(os.path.join(sbin, name))

    own = {'policy-rc.d': '#!/bin/sh\nexit 104\n'}
    for before in own, {}:
        install('exit 0', True, before, before)
        install('exit 1', False, before, before)
        install('kill $PPID', False, before, before)
        install('kill -HUP $PPID', False, before, before)
    # An earlier run was killed, at one point or another.
    saved = {'policy-rc.d.ovs-nfv-saved': own['policy-rc.d']}
    install('exit 0', True, saved, own)
    install('exit 0', True,
            dict(saved, **{'policy-rc.d': '#!/bin/sh\nexit 101\n'}), own)
    # And a link that leads nowhere is as good as any.
    os.symlink('/nowhere', policy)
    env = fakes(s, dpkg_query='exit 0\n', id='echo 0\n', apt_get='exit 0\n')
    run(*command, env=env)
    expect(os.readlink(policy) == '/nowhere', 'the link is gone')


def test_dpdk_headers(s):
    """Driver headers from a DPDK source, as a directory and as a tarball."""
    command = os.path.join(TOP, 'build-aux', 'dpdk-driver-headers')
    source = os.path.join(s.dir, 'dpdk')
    out = os.path.join(s.dir, 'out')
    names = re.findall(r'^ +(\S+\.h)$', read(command), re.M)
    expect(len(names) > 5, 'no headers in %s?' % command)
    for name in names:
        write(os.path.join(source, name), 'int in_%s;\n'
              % re.sub(r'\W', '_', name))
    write(os.path.join(source, 'VERSION'), '22.11.0\n')
    run(command, '--source=' + source, out)
    expect('ethdev_driver' in read(os.path.join(out, 'ethdev_driver.h')),
           'no header')
    tarball = os.path.join(s.dir, 'dpdk.tar.gz')
    with tarfile.open(tarball, 'w:gz') as tar:
        tar.add(source, 'dpdk-22.11')
    shutil.rmtree(out)
    run(command, '--source=' + tarball, out)
    expect('ethdev_driver' in read(os.path.join(out, 'ethdev_driver.h')),
           'no header')
    before = os.stat(out).st_mtime_ns
    run(command, '--source=' + tarball, out)
    expect(os.stat(out).st_mtime_ns == before, 'taken again')
    os.unlink(os.path.join(source, names[0]))
    complaint = run(command, '--source=' + source, out + '2', ok=False)
    expect(names[0] in complaint, 'does not say what is missing')


def make(s, *args, **kwargs):
    """Runs our GNUmakefile on a build directory whose Makefile only says what
    it is asked for."""
    write(s.path('GNUmakefile'), read(os.path.join(TOP, 'GNUmakefile')))
    for name in 'configure.ac', 'configure', '_build/config.status':
        write(s.path(name), '')
    write(s.path('build-aux/install-packages'), '#!/bin/sh\n', 0o755)
    write(s.path('_build/Makefile'),
          'install check-unit check-ours:\n'
          '\t@echo start $@ "<$(DESTDIR)>"; sleep 0.3; echo end $@\n')
    return run('make', '-C', s.repo, *args, env={'MAKEFLAGS': ''}, **kwargs)


def test_make_destdir(s):
    """A relative DESTDIR is relative to where make is called."""
    expect('<%s>' % os.path.realpath(s.path('inst'))
           in make(s, 'install', 'DESTDIR=inst'), 'wrong DESTDIR')
    expect('</abs>' in make(s, 'install', 'DESTDIR=/abs'), 'wrong DESTDIR')
    expect('<>' in make(s, 'install'), 'a DESTDIR')


def test_make_serial(s):
    """Targets do not work in the build directory at the same time."""
    out = make(s, '-j4', 'check-unit', 'check-ours')
    expect(re.findall(r'^(start|end) (\S+)', out, re.M)
           == [('start', 'check-unit'), ('end', 'check-unit'),
               ('start', 'check-ours'), ('end', 'check-ours')],
           'not one after the other')


def test_make_blank(s):
    """A path with a blank, which libtool cannot do with, has a message."""
    s.repo = os.path.join(s.dir, 'a blank')
    out = make(s, 'install', ok=False)
    expect('a directory without blanks' in out, 'no message')


def test_run_status(s):
    """tests/run is content when tests passed and none failed: not with those
    that were all skipped, nor with none."""
    loader = importlib.machinery.SourceFileLoader(
        'tests_run', os.path.join(TOP, 'tests', 'run'))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    for results, status in (('', 1), ('s', 1), ('ss', 1), ('f', 1), ('p', 0),
                            ('ps', 0), ('pf', 1), ('fs', 1), ('pfs', 1)):
        report = module.Report(s.dir)
        for i, result in enumerate(results):
            report.add('x/%d' % i, {'s': 'skip', 'f': 'not ok',
                                    'p': 'ok'}[result], 0, '', 'reason')
        expect(report.finish() == status, 'status of "%s"' % results)


def test_base_hooks(s):
    """Our own hooks apply to the real base."""
    pristine = os.path.join(s.real, 'pristine') if s.real else None
    if not pristine or not os.path.exists(pristine):
        raise Skip('no --build')
    out = run(os.path.join(TOP, 'build-aux', 'apply_hooks.py'),
              '--base', pristine)
    version = read(os.path.join(TOP, 'VERSION')).strip()
    expect('+nfv%s,' % version in out, 'the version is not ours')


def test_base_version(s):
    """What is built has our version, in every place that tells it."""
    if not s.real:
        raise Skip('no --build')
    tree = os.path.join(s.real, 'tree')
    version = '+nfv' + read(os.path.join(TOP, 'VERSION')).strip()
    for program in ('vswitchd/ovs-vswitchd', 'ovsdb/ovsdb-server',
                    'utilities/ovs-vsctl', 'utilities/ovs-testcontroller'):
        out = run(os.path.join(tree, program), '--version',
                  env=dict(s.sanitizer))
        expect(version in out, program)
    for name in ('python/ovs/version.py', 'package.m4', 'config.h'):
        expect(version in read(os.path.join(tree, name)), name)
    expect(version in read(os.path.join(tree, 'vswitchd/ovs-vswitchd.8')),
           'ovs-vswitchd.8')


def test_base_manual(s):
    """ovs-vswitchd.conf.db(5) tells of dpdkr interfaces."""
    if not s.real:
        raise Skip('no --build')
    page = read(os.path.join(s.real, 'tree/vswitchd/ovs-vswitchd.conf.db.5'))
    expect('dpdkr' in page, 'no dpdkr')


def main():
    parser = argparse.ArgumentParser(description='Tests the build system.')
    parser.add_argument('--build', help='a build directory')
    parser.add_argument('test', nargs='*')
    args = parser.parse_args()
    tests = {name[len('test_'):]: function
             for name, function in globals().items()
             if name.startswith('test_')}
    unknown = set(args.test) - set(tests)
    if unknown:
        sys.exit('assembly.py: no test %s' % ', '.join(sorted(unknown)))
    failed = False
    for name, function in tests.items():
        if args.test and name not in args.test:
            continue
        with tempfile.TemporaryDirectory(prefix='assembly.') as directory:
            scene = Scene(directory)
            scene.real = args.build and os.path.abspath(args.build)
            scene.sanitizer = {'ASAN_OPTIONS': 'detect_leaks=0'}
            print('%s: %s' % (name, ' '.join(function.__doc__.split())))
            with contextlib.redirect_stderr(sys.stdout):
                try:
                    function(scene)
                    result = 'ok ' + name
                except Skip as e:
                    result = 'skip %s # %s' % (name, e)
                except Exception:
                    traceback.print_exc()
                    result = 'not ok ' + name
                    failed = True
            print(result, flush=True)
    sys.exit(failed)


if __name__ == '__main__':
    main()
