# SPDX-License-Identifier: BSL-1.0
"""Writes a history for git fast-import: N commits on two branches, with merges, renames and files of all sizes."""
import random
import sys


def data(text):
    return f"data {len(text.encode())}\n{text}\n"


def commit(branch, number, message, lines, parents=""):
    who = f"Author {number % 7} <author{number % 7}@example.org> {1600000000 + number * 600} +0000"
    print(f"commit refs/heads/{branch}\nmark :{number}\nauthor {who}\ncommitter {who}\n{data(message)}{parents}", end="")
    print("".join(lines))


def main():
    chance = random.Random(5)
    words = [f"{chance.getrandbits(40):x}" for _ in range(3000)]
    files = {f"src/file_{i}.txt": [chance.choice(words) for _ in range(chance.randrange(5, 900))] for i in range(120)}

    def change(name):
        lines = files[name]
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(lines) + 1)
            lines[at : at + chance.randrange(3)] = [" ".join(chance.choices(words, k=chance.randrange(9)))]
        return f"M 100644 inline {name}\n" + data("\n".join(lines) + "\n")

    commits = int(sys.argv[1])
    commit("main", 1, "first", [change(name) for name in files])
    side = 0
    for number in range(2, commits + 1):
        changes = [change(name) for name in chance.sample(sorted(files), 6)]
        if number % 25 == 0:
            old = chance.choice(sorted(files))
            new = f"lib/renamed_{number}.txt" if old != "src/file_0.txt" else old
            if new != old:
                files[new] = files.pop(old)
                changes.append(f"R {old} {new}\n")
        if number % 40 == 20:
            side = number
            commit("side", number, f"side {number}", changes, f"from :{number - 1}\n")
        elif side and number % 40 == 30:
            commit("main", number, f"merge {number}", changes, f"from :{number - 1}\nmerge :{side}\n")
        else:
            base = number - 1 if number - 1 != side else number - 2
            commit("main", number, f"change {number}\n\n{chance.choice(words)}", changes, f"from :{base}\n")
    commit("dropped", commits + 1, "nobody needs this", [change(name) for name in sorted(files)[:40]], f"from :{commits}\n")
    print("tag v1\nfrom :1\ntagger Author 0 <author0@example.org> 1600000000 +0000\n" + data("the first"), end="")
    print("done")


if __name__ == "__main__":
    main()
