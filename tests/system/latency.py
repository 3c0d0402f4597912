# SPDX-License-Identifier: Apache-2.0
"""The program that measures latency measures."""

import argparse

from nfv.bench import latency
from nfv.testing import check, check_equal, options


@options(timeout=120, driver=True, asan=False)
def test_direct(lab):
    """Chains of direct links, with both ends and the functions in one thread,
    which therefore loses nothing."""
    args = argparse.Namespace(lengths=[1, 3], size=64, seconds=0.1)
    found = latency.measure_chains(lab, latency.Direct(None), args)
    check_equal([length for length, _ in found], args.lengths)
    for length, got in found:
        print(length, got)
        for load in latency.LOADS:
            own = got[load]
            check_equal((own['lost'], own['refused']), (0, 0))
            check(own['sent'] > 0, 'nothing was sent with load %s', load)
            check(0 < own['min'] <= own['p50'] <= own['p99'] <= own['p99.9']
                  <= own['max'], 'load %s: %s', load, own)
        check(got['10']['rate'] < got['50']['rate'] < got['90']['rate']
              < got['loss_free_pps'], 'rates: %s', got)
