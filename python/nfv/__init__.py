# SPDX-License-Identifier: Apache-2.0
"""Running private switches, functions and networks for demo, tests and
benchmarks."""
