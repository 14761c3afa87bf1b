#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Between the corpus in the repo, a text file with an input in hexadecimal digits a line, and the fuzzer's, a file each.

tests/fuzz/corpus.py unpack FILE.hex DIRECTORY     writes each input as a file named after its contents
tests/fuzz/corpus.py pack DIRECTORY FILE.hex       replaces the inputs, but for those that a comment stands before
tests/fuzz/corpus.py keep INPUT FILE.hex COMMENT   adds one with a comment: the input that showed a bug
tests/fuzz/corpus.py show FILE.hex LINE INPUT      writes the input of one line to a file
"""
import hashlib
import pathlib
import sys

LICENCE = "# SPDX-License-Identifier: BSL-1.0"


def read(file):
    """The inputs with a comment before them, as pairs, and those without, as hexadecimal digits."""
    kept, plain, comment = [], [], None
    for line in pathlib.Path(file).read_text("ascii").split("\n")[1:]:
        if line.startswith("#"):
            comment = line
        elif line and comment:
            kept.append((comment, line))
            comment = None
        elif line:
            plain.append(line)
    return kept, plain


def write(file, kept, plain):
    lines = [LICENCE, *(line for pair in kept for line in pair), *sorted(set(plain), key=lambda line: (len(line), line))]
    pathlib.Path(file).write_text("\n".join(lines) + "\n", "ascii")


def main(verb, *words):
    if verb == "unpack":
        file, directory = words
        kept, plain = read(file)
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        for digits in plain + [digits for _, digits in kept]:
            contents = bytes.fromhex(digits)
            pathlib.Path(directory, hashlib.sha1(contents).hexdigest()).write_bytes(contents)
    elif verb == "pack":
        directory, file = words
        kept = read(file)[0] if pathlib.Path(file).exists() else []
        inputs = {path.read_bytes().hex() for path in pathlib.Path(directory).iterdir()}
        write(file, kept, inputs - {""} - {digits for _, digits in kept})
    elif verb == "keep":
        name, file, comment = words
        kept, plain = read(file)
        digits = pathlib.Path(name).read_bytes().hex()
        write(file, [*kept, ("# " + comment, digits)], [line for line in plain if line != digits])
    elif verb == "show":
        file, number, name = words
        pathlib.Path(name).write_bytes(bytes.fromhex(pathlib.Path(file).read_text("ascii").split("\n")[int(number) - 1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
