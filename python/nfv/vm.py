# SPDX-License-Identifier: Apache-2.0
"""Small virtual machines, made from the distribution's packages.

The guest is Debian's cloud kernel with an initramfs that holds busybox, an
unmodified dpdk-testpmd, the few DPDK plug-ins that it needs and our driver.
It is driven over its serial line.  Nothing in it is ours but the driver.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys

from nfv.lab import LabError, Process, run, wait_until

# DPDK plug-ins for the guest, besides what dpdk-testpmd links with.
PLUGINS = ('librte_bus_pci', 'librte_bus_vdev', 'librte_mempool_ring',
           'librte_net_virtio')

INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/hugepages /dev/shm /run /tmp /var
ln -s /run /var/run
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t hugetlbfs none /dev/hugepages
ln -sf /proc/mounts /etc/mtab
export PS1='guest# ' HOME=/ TERM=dumb
stty -echo cols 500 < /dev/ttyS0
exec setsid cttyhack sh -i
'''
PROMPT = 'guest# '


def _download(directory, package):
    """Downloads and unpacks 'package'; installs nothing."""
    target = os.path.join(directory, package)
    if not os.path.exists(target):
        tmp = target + '.part'
        shutil.rmtree(tmp, True)
        os.makedirs(tmp)
        # apt drops its rights to a user that may not write everywhere.
        run(['apt-get', 'download', '-o', 'APT::Sandbox::User=root', package],
            cwd=tmp, timeout=600)
        deb = glob.glob(tmp + '/*.deb')[0]
        run(['dpkg-deb', '-x', deb, tmp])
        os.unlink(deb)
        os.rename(tmp, target)
    return target


def _kernel(directory):
    """Returns the path of a kernel image out of the distribution's package."""
    out = run(['apt-cache', 'depends', 'linux-image-cloud-amd64'])
    m = re.search(r'Depends: (linux-image-\S+)', out)
    if not m:
        raise LabError('no package linux-image-cloud-amd64 to be had:\n' + out)
    return glob.glob(_download(directory, m.group(1)) + '/boot/vmlinuz-*')[0]


def _libraries(path):
    """Returns the shared libraries that 'path' needs, as 'ldd' finds them."""
    libs = set()
    for line in run(['ldd', path]).splitlines():
        m = re.search(r'(?:=> )?(/\S+) \(0x', line)
        if m:
            libs.add(m.group(1))
    return libs


def build_guest(build, driver):
    """Returns the paths of kernel and initramfs of a guest with 'driver' in
    it; they are kept in 'build' as long as nothing that is in them changes."""
    directory = os.path.join(build, 'guest')
    os.makedirs(directory, exist_ok=True)
    kernel = _kernel(directory)

    testpmd = shutil.which('dpdk-testpmd')
    busybox = shutil.which('busybox')
    plugin_dir = glob.glob('/usr/lib/*/dpdk/pmds-*')[0]
    plugins = [os.path.join(plugin_dir, name + '.so') for name in PLUGINS]

    digest = hashlib.sha256(INIT.encode())
    for path in [testpmd, busybox, driver, *plugins]:
        with open(path, 'rb') as f:
            digest.update(f.read())
    initramfs = os.path.join(directory, digest.hexdigest()[:16] + '.cpio.gz')
    if os.path.exists(initramfs):
        return kernel, initramfs

    root = os.path.join(directory, 'root.%d' % os.getpid())
    shutil.rmtree(root, True)
    try:
        for d in ('bin', 'proc', 'sys', 'dev', 'etc', 'drivers', 'plugins'):
            os.makedirs(os.path.join(root, d))
        shutil.copy(busybox, root + '/bin/busybox')
        os.symlink('busybox', root + '/bin/sh')
        shutil.copy(testpmd, root + '/bin/dpdk-testpmd')
        shutil.copy(driver, root + '/drivers/librte_net_dpdkr.so')
        with open(root + '/init', 'w') as f:
            f.write(INIT)
        os.chmod(root + '/init', 0o755)

        libs = set()
        for path in [testpmd, driver, *plugins]:
            libs |= _libraries(path)
        for lib in libs:
            target = root + lib
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.exists(target):
                shutil.copy(os.path.realpath(lib), target)
        # EAL opens plug-ins by path.  One that testpmd links with, too, must
        # be the same file, or it would be initialized twice.
        present = {os.path.basename(lib): lib for lib in libs}
        for plugin in plugins:
            real = os.path.realpath(plugin)
            name = os.path.basename(plugin)
            linked = [lib for base, lib in present.items()
                      if base.startswith(name)]
            if not linked:
                shutil.copy(real, os.path.join(root, 'plugins', name))
        names = subprocess.run(['find', '.'], cwd=root, check=True,
                               stdout=subprocess.PIPE).stdout
        archive = subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet'],
                                 cwd=root, input=names, check=True,
                                 stdout=subprocess.PIPE).stdout
        packed = subprocess.run(['gzip', '-1'], input=archive, check=True,
                                stdout=subprocess.PIPE).stdout
        tmp = initramfs + '.%d' % os.getpid()
        with open(tmp, 'wb') as f:
            f.write(packed)
        os.rename(tmp, initramfs)
    finally:
        shutil.rmtree(root, True)
    return kernel, initramfs


class Vm(Process):
    """A guest with dpdkr ports, booted and at its prompt."""

    def __init__(self, lab, name, ports, memory=768, huge_pages=96, cpus=1,
                 extra=()):
        """'ports' are paths of dpdkr memories, each of which becomes an
        ivshmem device.

        Software emulation: on many machines that offer KVM to their own
        guests a stock kernel hangs, and for what is tested here it does not
        matter how fast the guest is."""
        kernel, initramfs = build_guest(lab.build, lab.driver())
        self.serial_path = os.path.join(lab.dir, name + '.serial')
        self.qmp_path = os.path.join(lab.dir, name + '.qmp')
        devices = []
        for i, path in enumerate(ports):
            devices += [
                '-object', 'memory-backend-file,id=mem%d,share=on,'
                'mem-path=%s,size=%d' % (i, path, os.stat(path).st_size),
                '-device', 'ivshmem-plain,memdev=mem%d,id=port%d' % (i, i)]
        super().__init__(lab, name, [
            'qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-M', 'pc',
            '-cpu', 'max', '-m', str(memory), '-smp', str(cpus),
            '-display', 'none', '-no-reboot', '-nodefaults',
            '-kernel', kernel, '-initrd', initramfs,
            '-append', 'console=ttyS0 quiet panic=-1 hugepages=%d'
            % huge_pages,
            '-chardev', 'socket,id=serial,path=%s,server=on,wait=off'
            % self.serial_path, '-serial', 'chardev:serial',
            '-qmp', 'unix:%s,server=on,wait=off' % self.qmp_path,
            *devices, *extra])
        self.serial = socket.socket(socket.AF_UNIX)
        self.serial.setblocking(False)
        self.output = ''
        self.position = 0

        def connected():
            if not self.running():
                raise LabError('QEMU ended:\n' + self.log())
            try:
                self.serial.connect(self.serial_path)
                return True
            except OSError:
                return False
        wait_until(connected, 20, 'serial line of ' + name)
        self.wait_for(PROMPT, 120)

    def _read(self):
        try:
            while True:
                data = self.serial.recv(65536)
                if not data:
                    return
                self.output += data.decode(errors='replace').replace('\r', '')
        except BlockingIOError:
            return

    def wait_for(self, text, timeout=60):
        """Waits for 'text' on the serial line, returns what came before."""
        def seen():
            self._read()
            at = self.output.find(text, self.position)
            if at < 0 and PROMPT in self.output[self.position:]:
                raise LabError('back at the prompt of the shell')
            if at >= 0:
                out = self.output[self.position:at]
                self.position = at + len(text)
                return (out,)
            if not self.running():
                raise LabError('%s ended:\n%s%s'
                               % (self.name, self.log(), self.output[-2000:]))
        try:
            return wait_until(seen, timeout, repr(text))[0]
        except LabError as e:
            raise LabError('%s: %s\n%s' % (self.name, e, self.output[-3000:]))

    def send(self, text):
        self.serial.sendall((text + '\n').encode())

    def command(self, text, timeout=60, prompt=PROMPT):
        """Runs a command in the guest, returns what it printed."""
        self.send(text)
        return self.wait_for(prompt, timeout)

    def start_testpmd(self, *args, timeout=120):
        """Starts testpmd with our driver in the guest, up to its prompt."""
        plugins = ''.join(
            ' -d ' + p for p in
            ['/drivers/librte_net_dpdkr.so',
             *self.command('ls /plugins/*').split()])
        return self.command('dpdk-testpmd --lcores 0@0,1@0 -m 64'
                            ' --no-telemetry' + plugins
                            + ' -- -i --total-num-mbufs=2048 '
                            + ' '.join(args), timeout, 'testpmd> ')

    def testpmd(self, text, timeout=60):
        return self.command(text, timeout, 'testpmd> ')

    def qmp(self, command, **arguments):
        """Runs one QMP command, returns its result."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.qmp_path)
            f = s.makefile('rw')
            f.readline()
            for request in ({'execute': 'qmp_capabilities'},
                            {'execute': command, 'arguments': arguments}):
                f.write(json.dumps(request) + '\n')
                f.flush()
                while True:
                    reply = json.loads(f.readline())
                    if 'event' not in reply:
                        break
                if 'error' in reply:
                    raise LabError('QMP %s: %s'
                                   % (command, reply['error']['desc']))
            return reply['return']

    def stop(self, *args, **kwargs):
        self.serial.close()
        return super().stop(*args, **kwargs)


if __name__ == '__main__':
    print('\n'.join(build_guest(*sys.argv[1:])))
