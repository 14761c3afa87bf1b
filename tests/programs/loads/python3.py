# SPDX-License-Identifier: BSL-1.0
"""Allocates as Python programs do; one line for each section, which depends on every byte that the section computed."""
import ast
import bisect
import collections
import concurrent.futures
import decimal
import gc
import hashlib
import io
import json
import math
import multiprocessing
import pathlib
import pickle
import queue
import random
import re
import threading
import weakref
import zlib

WORDS = [hashlib.sha1(str(i).encode()).hexdigest()[: 3 + i % 17] for i in range(20000)]


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def dictionaries():
    chance = random.Random(1)
    table = {}
    for step in range(400000):
        key = WORDS[chance.randrange(20000)] + str(chance.randrange(8))
        if step % 3 == 2:
            table.pop(key, None)
        else:
            table[key] = (step, key * (1 + step % 5))
    return sorted(table.items())[:500], len(table)


def documents():
    chance = random.Random(2)

    def tree(depth):
        if depth == 0:
            return chance.choice([None, chance.random(), chance.choice(WORDS), chance.getrandbits(70)])
        return {chance.choice(WORDS): tree(depth - 1) if chance.random() < 0.8 else [tree(0)] * 3 for _ in range(9)}

    value = tree(5)
    text = json.dumps(value, sort_keys=True)
    assert json.loads(text) == value and pickle.loads(pickle.dumps(value)) == value
    return text


def strings():
    text = " ".join(WORDS * 6)
    counts = collections.Counter(re.findall(r"[a-f]+\d", text))
    swapped = re.sub(r"(\w)(\w+)", lambda found: found[2] + found[1], text)
    parts = sorted(swapped.split(), key=lambda word: (len(word), word[::-1]))
    return counts.most_common(100), "".join(parts), swapped.upper().count("A")


def numbers():
    decimal.getcontext().prec = 400
    root = sum(decimal.Decimal(i).sqrt() for i in range(1, 1500))
    return math.factorial(6000) % (10**500 + 961), str(root), pow(7, 10**60, 10**80 + 129)


def growing():
    chance = random.Random(3)
    buffers = [bytearray() for _ in range(40)]
    for step in range(60000):  # realloc, up and down
        buffer = buffers[chance.randrange(40)]
        buffer += bytes([step & 255]) * chance.randrange(400)
        if len(buffer) > 200000:
            del buffer[chance.randrange(50) :]
    memory = io.BytesIO()
    for buffer in buffers:
        memory.write(zlib.compress(buffer))
    ordered = []
    for _ in range(30000):
        bisect.insort(ordered, chance.random())
    return [zlib.crc32(buffer) for buffer in buffers], memory.tell(), ordered[::1000]


def compiling():
    seen = []
    library = pathlib.Path(ast.__file__).parent
    for name in ("argparse", "ast", "datetime", "inspect", "typing", "unittest/mock", "zipfile", "_pydecimal"):
        for source in sorted(library.glob(name + ".py")):
            tree = ast.parse(source.read_text())
            code = compile(tree, name, "exec", optimize=0)
            seen.append((name, sum(1 for _ in ast.walk(tree)), len(ast.unparse(tree)), len(code.co_consts)))
    return seen


class Node:
    def __init__(self, name, parent):
        self.name, self.parent, self.children = name, parent, []
        if parent:
            parent.children.append(self)


def cycles():
    gone = []
    for round_number in range(8):
        root = Node("root", None)
        level = [root]
        for depth in range(7):
            level = [Node(f"{node.name}.{i}", node) for node in level for i in range(4)]
        weakref.finalize(root, gone.append, round_number)
        names = sum(len(node.name) for node in level)
        del root, level
        gc.collect()
    return gone, names


def threads():
    work, results = queue.Queue(64), {}

    def producer(number):
        chance = random.Random(number)
        for step in range(1500):
            work.put((number, step, bytes(chance.randrange(256) for _ in range(chance.randrange(300)))))
        work.put(None)

    def consumer():
        while (item := work.get()) is not None:
            number, step, data = item
            results[number, step] = zlib.crc32(zlib.decompress(zlib.compress(data * 40)))

    everyone = [threading.Thread(target=producer, args=(number,)) for number in range(3)]
    everyone += [threading.Thread(target=consumer) for _ in range(3)]
    for thread in everyone:
        thread.start()
    for thread in everyone:
        thread.join()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(lambda word: hashlib.sha256(word.encode() * 5000).hexdigest(), WORDS[:600]))
    return sorted(results.items()), hashes


def in_child(seed):
    chance = random.Random(seed)
    return digest(sorted(chance.choice(WORDS) * 3 for _ in range(20000)))


def forking():
    stop = threading.Event()

    def allocate():  # while the other thread forks
        while not stop.is_set():
            [word * 7 for word in WORDS[:1000]]

    threads = [threading.Thread(target=allocate) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with multiprocessing.get_context("fork").Pool(4) as pool:
            return pool.map(in_child, range(16))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    for section in (dictionaries, documents, strings, numbers, growing, compiling, cycles, threads, forking):
        print(section.__name__, digest(section()), flush=True)
    print("end", len(WORDS))
