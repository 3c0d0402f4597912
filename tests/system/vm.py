# SPDX-License-Identifier: Apache-2.0
"""dpdkr ports of a virtual machine: ivshmem devices, a stock kernel with no
driver for them, an unmodified dpdk-testpmd with our driver."""

import json
import os
import re

from nfv import testing
from nfv.lab import run, wait_until
from nfv.vm import Vm


@testing.options(timeout=420, asan=False,
                 programs=['qemu-system-x86_64', 'busybox', 'cpio'])
def test_guest_forwards(lab):
    """A function in a VM, between two ports: numbered frames come through it
    complete and in order, counters add up, and the switch notices when the
    guest leaves its ports, comes back, and is destroyed."""
    s = lab.switch()
    s.start()
    s.vsctl('add-br', 'br0', '--', 'set', 'Bridge', 'br0',
            'datapath_type=netdev', 'fail_mode=secure')
    paths = {name: s.add_dpdkr('br0', name)
             for name in ('in', 'vm0', 'vm1', 'out')}
    for a, b in ('in', 'vm0'), ('vm1', 'out'):
        s.ofctl('add-flow', 'br0', 'in_port=%s,actions=output:%s' % (a, b))
        s.ofctl('add-flow', 'br0', 'in_port=%s,actions=output:%s' % (b, a))
    for path in paths.values():
        size = os.stat(path).st_size
        testing.check(size & (size - 1) == 0, '%s has %d bytes, which no BAR '
                      'can have', path, size)

    vm = Vm(lab, 'vm', [paths['vm0'], paths['vm1']])
    vm.start_testpmd()
    for port in 'vm0', 'vm1':
        s.wait_link(port)
    testing.check_equal(s.interface('vm0', 'status')['peer_mode'], 'polling',
                        'mode of the guest')
    vm.testpmd('start')

    n = 20000
    result = json.loads(run([
        lab.tree + '/tests/dpdkr-traffic', '--quiet', '--count=%d' % n,
        '--window=64', '--timeout=20', '--flows=16', 'pair',
        paths['in'], paths['out']], timeout=240))
    for key in 'lost', 'reordered', 'duplicated', 'corrupted':
        testing.check_equal(result[key], 0, key)
    testing.check_equal(result['received'], n, 'frames received')
    # More frames than counted are the tool's probes of the path.
    sent = s.statistics('vm0')['tx_pkts']
    testing.check(n <= sent < n + 100, 'vm0 was sent %d frames', sent)
    testing.check_equal(s.statistics('vm1')['rx_pkts'], sent,
                        'frames out of the guest')
    stats = vm.testpmd('show port stats all')
    testing.check_equal(
        [int(x) for x in re.findall(r'(?:RX|TX)-packets: (\d+)', stats)],
        [sent, 0, 0, sent], 'what the guest counted')

    # The guest gives its ports up in good order, and takes them again.
    vm.testpmd('stop')
    vm.testpmd('port stop all')
    s.wait_link('vm0', up=False)
    vm.testpmd('port start all')
    s.wait_link('vm0')

    # A switch that restarts finds the guest again, with nothing to be done
    # there.
    s.kill_daemon()
    s.start()
    s.wait_link('vm0')
    s.wait_link('vm1')

    # A guest that is no more does not say so.
    vm.kill()
    s.wait_link('vm0', up=False)
    s.wait_link('vm1', up=False)
    wait_until(lambda: s.interface('vm0', 'status')['peer_state'] == 'none',
               what='end of the peer')
