#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Applies the hooks of hooks/ to files of the base.

A hook is one file that changes one file of the base in one way.  There are
two kinds, told apart by their names:

  *.cocci   a semantic patch for C, applied by Coccinelle's spatch.
  *.edit    an edit of anything else, in the small language below.

Both begin with a block of comment lines ("//" in a .cocci, "#" in an .edit)
that holds, besides the reason for the hook in free text, these two lines:

  file: PATH      the file of the base to change.
  matches: N      how many places must change: no more, no fewer.

A hook that changes another number of places than it says is an error, since
then the base is not what the author of the hook had before him.  For a
semantic patch a place is a run of adjacent changed lines.

The body of an .edit is one statement that says where,

  find: REGEX             each match of a Python regular expression, in which
                          ^ and $ match at every line
  end:                    the end of the file

and one that says what.  Its text stands on the following lines, each behind
"| ":

  replace:                put the text in place of the match; \\1 and so on
                          stand for the groups of the expression
  before:                 put the text before the line where the match starts
  after:                  put the text after the line where the match ends
  before-file: PATH       likewise, with the text of a file of this repository
  after-file: PATH

In texts (but not in files) @NFV_VERSION@ stands for the fork's version.

The hooks of one file are applied in the order of their names, each to the
result of those before it, and always to a pristine copy.

usage: apply_hooks.py --base DIR [--repo DIR] [HOOK...]
Prints what the hooks change in the pristine base in DIR as a diff.
"""
import argparse
import difflib
import hashlib
import os
import re
import subprocess
import sys
import tempfile


class HookError(Exception):
    pass


class Hook:
    """One hook, read from a file.

    'name' is its path below the repository, 'target' the file of the base
    that it changes, 'matches' the number of places, 'inputs' the files that
    the result depends on besides the pristine one."""

    def __init__(self, repo, path):
        self.name = os.path.relpath(path, repo)
        self.path = path
        self.repo = repo
        self.inputs = [path]
        with open(path, encoding='utf-8') as f:
            lines = f.read().splitlines()
        mark = '//' if path.endswith('.cocci') else '#'
        header = {}
        self.body_start = 0
        for line in lines:
            if line and not line.startswith(mark):
                break
            self.body_start += 1
            m = re.match(re.escape(mark) + r'\s*(file|matches):\s*(\S+)\s*$',
                         line)
            if m:
                if m.group(1) in header:
                    raise HookError('%s: says "%s:" twice'
                                    % (self.name, m.group(1)))
                header[m.group(1)] = m.group(2)
        for key in ('file', 'matches'):
            if key not in header:
                raise HookError('%s: its header lacks "%s:"'
                                % (self.name, key))
        self.target = header['file']
        try:
            self.matches = int(header['matches'])
        except ValueError:
            self.matches = 0
        if self.matches < 1:
            raise HookError('%s: "matches: %s" is not a number of places'
                            % (self.name, header['matches']))
        self.body = lines[self.body_start:]

    def run(self, text):
        """Returns what this hook makes of 'text', and in how many places."""
        raise NotImplementedError

    def apply(self, text):
        """Like run(), but checks the number of places."""
        result, n = self.run(text)
        if n != self.matches:
            raise HookError(
                '%s: changes %d place%s of %s, but says "matches: %d"'
                % (self.name, n, '' if n == 1 else 's', self.target,
                   self.matches))
        return result


class Edit(Hook):
    """A hook in the language of *.edit files."""

    WHERE = ('find', 'end')
    WHAT = ('replace', 'before', 'after', 'before-file', 'after-file')

    def __init__(self, repo, path, version):
        super().__init__(repo, path)
        where = what = None
        block = []
        for line in self.body:
            if line.startswith('|'):
                if what is None:
                    raise HookError('%s: text before "replace:", "before:" '
                                    'or "after:"' % self.name)
                block.append(line[2:] if line.startswith('| ') else line[1:])
                continue
            if not line.strip() or line.startswith('#'):
                continue
            key, colon, value = line.partition(':')
            value = value.strip()
            if not colon or key not in self.WHERE + self.WHAT:
                raise HookError('%s: can\'t understand "%s"'
                                % (self.name, line))
            if key in self.WHERE:
                if where is not None:
                    raise HookError('%s: has more than one place'
                                    % self.name)
                where = (key, value)
            else:
                if what is not None:
                    raise HookError('%s: has more than one action'
                                    % self.name)
                what = (key, value)
        if where is None or what is None:
            raise HookError('%s: needs a place (%s) and an action (%s)'
                            % (self.name, ', '.join(self.WHERE),
                               ', '.join(self.WHAT)))
        self.where, self.regex = where
        self.what = what[0]
        if self.what.endswith('-file'):
            source = os.path.join(repo, what[1])
            self.inputs.append(source)
            try:
                with open(source, encoding='utf-8') as f:
                    self.text = f.read()
            except OSError as e:
                raise HookError('%s: %s: %s'
                                % (self.name, what[1], e.strerror)) from e
            self.what = self.what[:-len('-file')]
        else:
            self.text = ''.join(line + '\n' for line in block)
            self.text = self.text.replace('@NFV_VERSION@', version)

    def run(self, text):
        if self.where == 'end':
            if self.what != 'after':
                raise HookError('%s: "end:" goes with "after:" only'
                                % self.name)
            return text + self.text, 1
        try:
            found = list(re.finditer(self.regex, text, re.MULTILINE))
        except re.error as e:
            raise HookError('%s: %s' % (self.name, e)) from e
        out = []
        pos = 0
        for m in found:
            start, end = m.span()
            if self.what == 'replace':
                insert = m.expand(self.text.rstrip('\n'))
            elif self.what == 'before':
                start = end = text.rfind('\n', 0, start) + 1
                insert = self.text
            else:
                start = end = (text.find('\n', end) + 1) or len(text)
                insert = self.text
            out += [text[pos:start], insert]
            pos = end
        out.append(text[pos:])
        return ''.join(out), len(found)


class SemanticPatch(Hook):
    """A hook for spatch."""

    def __init__(self, repo, path, spatch):
        super().__init__(repo, path)
        self.spatch = spatch
        self.macros = os.path.join(repo, 'hooks', 'macros.h')
        self.inputs.append(self.macros)

    def run(self, text):
        with tempfile.TemporaryDirectory(prefix='hook.') as tmp:
            source = os.path.join(tmp, os.path.basename(self.target))
            with open(source, 'w', encoding='utf-8') as f:
                f.write(text)
            command = [self.spatch, '--very-quiet', '--no-show-diff',
                       '--no-includes', '--macro-file', self.macros,
                       '--sp-file', self.path, '--in-place', source]
            try:
                p = subprocess.run(command, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, cwd=tmp,
                                   stderr=subprocess.STDOUT, check=False)
            except OSError as e:
                raise HookError('%s: %s: %s (package coccinelle)'
                                % (self.name, self.spatch,
                                   e.strerror)) from e
            if p.returncode:
                raise HookError('%s: spatch failed on %s:\n%s'
                                % (self.name, self.target,
                                   p.stdout.decode(errors='replace')))
            with open(source, encoding='utf-8') as f:
                changed = f.read()
        return changed, places(text, changed)


def places(old, new):
    """How many runs of adjacent lines differ between two texts."""
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0)
    return sum(line.startswith('@@ ') for line in diff)


def load(repo, spatch='spatch', paths=None):
    """Reads the hooks in 'repo' (or those of 'paths') in order of name."""
    with open(os.path.join(repo, 'VERSION'), encoding='utf-8') as f:
        version = f.read().strip()
    if paths is None:
        directory = os.path.join(repo, 'hooks')
        paths = [os.path.join(directory, name)
                 for name in sorted(os.listdir(directory))]
    hooks = []
    for path in paths:
        if path.endswith('.cocci'):
            hooks.append(SemanticPatch(repo, path, spatch))
        elif path.endswith('.edit'):
            hooks.append(Edit(repo, path, version))
    return hooks


def by_target(hooks):
    """Groups hooks by the file that they change."""
    targets = {}
    for hook in hooks:
        targets.setdefault(hook.target, []).append(hook)
    return targets


def pristine_text(base, hooks):
    """The text in 'base' of the file that 'hooks', not empty, change."""
    try:
        with open(os.path.join(base, hooks[0].target),
                  encoding='utf-8') as f:
            return f.read()
    except OSError as e:
        raise HookError('%s: %s, which it changes: %s'
                        % (hooks[0].name, hooks[0].target,
                           e.strerror)) from e


def digest(base, hooks, version):
    """Names the result of 'hooks' without working it out."""
    h = hashlib.sha256(version.encode())
    for path in [os.path.abspath(__file__),
                 os.path.join(base, hooks[0].target)]:
        h.update(file_digest(path))
    for hook in hooks:
        for path in hook.inputs:
            h.update(path.encode() + file_digest(path))
    return h.hexdigest()


def file_digest(path):
    try:
        with open(path, 'rb') as f:
            return hashlib.sha256(f.read()).digest()
    except OSError:
        return b'missing'


def main():
    parser = argparse.ArgumentParser(
        description='Prints what hooks change in the base, as a diff.')
    parser.add_argument('--base', required=True,
                        help='directory with the pristine base')
    parser.add_argument('--repo', help='directory with hooks/ and VERSION')
    parser.add_argument('--spatch', default='spatch')
    parser.add_argument('hook', nargs='*')
    args = parser.parse_args()
    repo = args.repo or os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))
    try:
        hooks = load(repo, args.spatch, args.hook or None)
        for target, group in sorted(by_target(hooks).items()):
            old = new = pristine_text(args.base, group)
            for hook in group:
                new = hook.apply(new)
            sys.stdout.writelines(difflib.unified_diff(
                old.splitlines(True), new.splitlines(True),
                'a/' + target, 'b/' + target))
    except HookError as e:
        sys.exit('apply_hooks: %s' % e)


if __name__ == '__main__':
    main()
