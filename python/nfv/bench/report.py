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


def summarize(runs, sides, keys, pairs=(), ratio_keys=None):
    """Returns what there is to say of 'runs' that differ in side and round
    only: for each of 'sides' the spread of each of 'keys', what was lost and
    the share of its core that a thread had at least; for each of 'pairs', (a
    name, a side, its reference), the spread of their ratios."""
    summary = {'sides': {}, 'ratios': {}}
    for side in sides:
        own = [run for run in runs if run['side'] == side]
        summary['sides'][side] = {key: spread([run[key] for run in own])
                                  for key in keys}
        if 'lost' in own[0]:
            summary['sides'][side]['lost'] = sum(run['lost'] for run in own)
        if 'core_share' in own[0]:
            summary['sides'][side]['core_share'] = min(run['core_share']
                                                       for run in own)
    for name, side, reference in pairs:
        summary['ratios'][name] = {
            key: spread(pair_ratios(runs, side, reference, key))
            for key in ratio_keys or keys}
    return summary


def by_value(runs, what, values, *args, **kwargs):
    """Summarizes 'runs' for each of 'values' of 'what'."""
    return [{what: value, **summarize([run for run in runs
                                       if run[what] == value],
                                      *args, **kwargs)} for value in values]


def target(what, got, wanted, sound=True):
    """Says whether 'got' is at least as much as was 'wanted'."""
    return {'what': what, 'wanted': wanted, 'got': got,
            'reached': got >= wanted and sound}


def panel(summary, what, key):
    """Returns the spread of 'key' by side and value of 'what', for
    bench.plot."""
    return {side: {entry[what]: tuple(entry['sides'][side][key][which]
                                      for which in ('min', 'median', 'max'))
                   for entry in summary} for side in summary[0]['sides']}


def cells(found, form='%.2f'):
    """Returns a spread as two cells of a table, the median and the range."""
    return [form % found['median'],
            (form + '-' + form) % (found['min'], found['max'])]


def share(part):
    return '%.0f %%' % (100 * part)


def lost(n):
    return '%d%s' % (n, ' (!)' if n else '')


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
