# SPDX-License-Identifier: Apache-2.0
"""Plots, drawn by gnuplot."""

import subprocess

from nfv.lab import LabError

COLOURS = ('#2a6f97', '#e07a2f', '#6a994e', '#8d5a97')


def _quote(text):
    return "'%s'" % str(text).replace("'", "''")


def bars(path, panels, groups, names):
    """Draws an SVG file 'path' of 'panels' side by side.  A panel is a title,
    a label of its y axis, and values[name][group] = (low, median, high) for
    each of 'names', which share a group of bars for each of 'groups'."""
    script = [
        'set terminal svg size %d,420 font "sans,12" background "white"'
        % (520 * len(panels)),
        'set output ' + _quote(path),
        'set multiplot layout 1,%d' % len(panels),
        'set style data histograms',
        'set style histogram errorbars gap 1 lw 1',
        'set style fill solid',
        'set boxwidth 0.9',
        'set yrange [0:*]',
        'set grid ytics',
        'set key above',
    ]
    for i, (title, label, values) in enumerate(panels):
        for j, name in enumerate(names):
            script.append('$p%dn%d << EOD' % (i, j))
            for group in groups:
                low, median, high = values[name][group]
                script.append('"%s" %g %g %g' % (group, median, low, high))
            script.append('EOD')
        script.append('set title ' + _quote(title))
        script.append('set ylabel ' + _quote(label))
        script.append('plot ' + ', '.join(
            '$p%dn%d using 2:3:4:xtic(1) title %s linecolor rgb "%s"'
            % (i, j, _quote(name), COLOURS[j % len(COLOURS)])
            for j, name in enumerate(names)))
    p = subprocess.run(['gnuplot'], input='\n'.join(script) + '\n', text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        raise LabError('gnuplot: ' + p.stdout)
