# SPDX-License-Identifier: Apache-2.0
"""From runs to what is said about them."""

import statistics


def spread(values):
    """Returns median and range of 'values'."""
    return {'median': statistics.median(values),
            'min': min(values), 'max': max(values)}


def pair_ratios(runs, side, reference, key):
    """Returns, for each round, what 'side' had of 'key' for each of what
    'reference' had."""
    value = {(run['round'], run['side']): run[key] for run in runs}
    return [value[n, side] / value[n, reference]
            for n in sorted({run['round'] for run in runs})]


def table(heads, rows):
    """Returns a table as text; the first column is flush left."""
    cells = [heads] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = []
    for row in cells:
        lines.append('  '.join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width)
               for cell, width in zip(row[1:], widths[1:])]).rstrip())
    lines.insert(1, '  '.join('-' * width for width in widths))
    return '\n'.join(lines)
