#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Between the corpus in the repo, a text file with an input in base64 a line, and the fuzzer's, a file each.

tests/fuzz/corpus.py unpack CORPUS DIRECTORY     writes each input as a file named after its contents
tests/fuzz/corpus.py pack DIRECTORY CORPUS       replaces the inputs, but for those that a comment stands before
tests/fuzz/corpus.py keep INPUT CORPUS COMMENT   adds one with a comment: the input that showed a bug
tests/fuzz/corpus.py show CORPUS LINE INPUT      writes the input of one line to a file
"""
import base64
import hashlib
import pathlib
import sys

LICENCE = "# SPDX-License-Identifier: BSL-1.0"


def read(file):
    """The inputs with a comment before them, as pairs, and those without, as they stand in the file."""
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


def encode(contents):
    return base64.b64encode(contents).decode("ascii")


def main(verb, *words):
    if verb == "unpack":
        file, directory = words
        kept, plain = read(file)
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        for text in plain + [text for _, text in kept]:
            contents = base64.b64decode(text)
            pathlib.Path(directory, hashlib.sha1(contents).hexdigest()).write_bytes(contents)
    elif verb == "pack":
        directory, file = words
        kept = read(file)[0] if pathlib.Path(file).exists() else []
        inputs = {encode(path.read_bytes()) for path in pathlib.Path(directory).iterdir()}
        write(file, kept, inputs - {""} - {text for _, text in kept})
    elif verb == "keep":
        name, file, comment = words
        kept, plain = read(file)
        text = encode(pathlib.Path(name).read_bytes())
        write(file, [*kept, ("# " + comment, text)], [line for line in plain if line != text])
    elif verb == "show":
        file, number, name = words
        lines = pathlib.Path(file).read_text("ascii").split("\n")
        pathlib.Path(name).write_bytes(base64.b64decode(lines[int(number) - 1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
