# SPDX-License-Identifier: Apache-2.0
"""Sides that are measured in turns: what scenarios that have them share.

A side is a class that is called with the Bench, has a name, and says in
'versions' which packages it uses.
"""

from nfv.lab import LabError


def numbers(text):
    return [int(n) for n in text.split(',')]


def names(text):
    return text.split(',')


def add_arguments(parser, sides, rounds, seconds):
    parser.add_argument('--sides', default=','.join(sides), type=names,
                        help='what is measured in turns: of %s '
                        '(default: %%(default)s)' % ', '.join(sides))
    parser.add_argument('--rounds', type=int, default=rounds, metavar='N',
                        help='times that each is measured '
                        '(default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=seconds, metavar='S',
                        help='length of one measurement '
                        '(default: %(default)s)')


def choose(sides, chosen, bench):
    """Returns the sides with the names 'chosen', made."""
    unknown = [name for name in chosen if name not in sides]
    if unknown:
        raise LabError('no such side: ' + ', '.join(unknown))
    return [sides[name](bench) for name in chosen]


def versions(sides):
    return dict(item for side in sides for item in side.versions.items())


def take(bench, sides, rounds, what, values, once, tell):
    """Has each of 'sides' measured by once(side, value) so many times for each
    of 'values' of 'what', one after the other.  Returns the runs: what once()
    returned, with "round", "side" and 'what'.  tell(run) is a run in a few
    words."""
    runs = []
    total = len(values) * rounds * len(sides)
    for value in values:
        for n in range(rounds):
            for side in sides:
                place = '%d/%d: %s %d, round %d, %s' % (
                    len(runs) + 1, total, what, value, n + 1, side.name)
                bench.progress(place)
                run = {what: value, 'round': n, 'side': side.name}
                run.update(once(side, value))
                runs.append(run)
                bench.progress('%s: %s' % (place, tell(run)), done=True)
    return runs
