# SPDX-License-Identifier: Apache-2.0
"""The distribution's Open vSwitch with DPDK, out of its packages.

They are unpacked rather than installed: an installed one would start a
service, and this one must not touch the host's switch.
"""

import glob
import os
import shutil
import subprocess

from nfv.lab import LabError, run

PACKAGES = ('openvswitch-switch-dpdk', 'openvswitch-switch',
            'openvswitch-common')


def unpack(directory):
    """Downloads and unpacks the packages below 'directory', unless that was
    done before.  Returns the paths of the programs by their names, and the
    versions of the packages."""
    root = os.path.join(directory, 'root')
    if not os.path.exists(root):
        _unpack(directory, root)

    programs = {
        'ovsdb-server': 'usr/sbin/ovsdb-server',
        'ovsdb-tool': 'usr/bin/ovsdb-tool',
        'ovs-vswitchd': 'usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk',
        'ovs-vsctl': 'usr/bin/ovs-vsctl',
        'ovs-ofctl': 'usr/bin/ovs-ofctl',
        'ovs-appctl': 'usr/bin/ovs-appctl',
        'schema': 'usr/share/openvswitch/vswitch.ovsschema',
    }
    programs = {name: os.path.join(root, path)
                for name, path in programs.items()}
    libraries = run(['ldd', programs['ovs-vswitchd']])
    if 'not found' in libraries:
        raise LabError('the packaged ovs-vswitchd misses libraries:\n'
                       + libraries)
    versions = {}
    for deb in sorted(glob.glob(directory + '/*.deb')):
        name, version = run(['dpkg-deb', '--show', deb]).split()
        versions[name] = version
    return programs, versions


def _unpack(directory, root):
    shutil.rmtree(directory, True)
    os.makedirs(directory)
    try:
        # The user is the one that apt-get may write as.
        run(['apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download',
             *PACKAGES], cwd=directory, timeout=300)
    except (LabError, subprocess.TimeoutExpired) as e:
        raise LabError('cannot download %s ("apt-get update" may help):\n%s'
                       % (', '.join(PACKAGES), e))
    for deb in glob.glob(directory + '/*.deb'):
        run(['dpkg-deb', '-x', deb, root + '.new'])
    os.rename(root + '.new', root)
