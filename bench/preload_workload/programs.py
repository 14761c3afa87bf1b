# SPDX-License-Identifier: BSL-1.0
"""The workloads: programs of our own, and programs that everybody uses."""

import dataclasses
import pathlib
import shutil
import sys

from comparison.measuring import Failed
from preload_workload import inputs
from preload_workload.redis_load import RedisLoad


@dataclasses.dataclass(frozen=True)
class Own:
    """A program beside this file."""

    name: str
    title: str
    program: str
    arguments: tuple = ()
    threaded: bool = False

    def prepare(self, place):
        pass

    def run(self, place, allocator):
        program = place.build / "bench" / f"preload_{self.program}"
        return place.child([program, place.percent, *self.arguments], allocator.environment()).finish()


class Shell:
    """A program that hardly allocates: what the library itself costs."""

    name, title, threaded = "shell", "sh -c :", False

    def prepare(self, place):
        pass

    def run(self, place, allocator):
        return place.child(["sh", "-c", ":"], allocator.environment()).finish()


class Compile:
    name, title, threaded = "compile", "g++ -O1 of templates, maps and regular expressions", False

    def prepare(self, place):
        (place.folder / "input.cpp").write_text(inputs.cpp_source(place.percent))

    def run(self, place, allocator):
        command = ["g++", "-std=c++20", "-O1", "-c", "-o", "input.o", "input.cpp"]
        return place.child(command, allocator.environment()).finish()


class Python:
    """With malloc below all objects, instead of Python's own pools."""

    name, title, threaded = "python", "a Python script: dicts, lists, strings, JSON", False

    def prepare(self, place):
        (place.folder / "script.py").write_text(inputs.PYTHON_SCRIPT)

    def run(self, place, allocator):
        # Not what a version manager calls python3: that may be a script, which would run under the allocator too.
        system = pathlib.Path("/usr/bin/python3")
        program = system if system.exists() else pathlib.Path(sys.executable).resolve()
        command = [program, "-S", "script.py", place.percent]
        settings = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
        sample = place.child(command, allocator.environment(), settings).finish()
        if "records" not in sample.reported:
            raise Failed("the script printed nothing")
        return sample


class Sqlite:
    name, title, threaded = "sqlite", "sqlite3: bulk load in memory, index, query, update, delete", False

    def prepare(self, place):
        (place.folder / "load.sql").write_text(inputs.sql(place.percent))

    def run(self, place, allocator):
        sample = place.child(["sqlite3", "-batch", ":memory:", ".read load.sql"], allocator.environment()).finish()
        if sample.reported.get("integrity_errors") != 0:
            raise Failed("the database is not sound")
        return sample


PAIRS = [Own("pair", "malloc and free of one small object", "pair")]
IDLE = [Own("idle", "eight threads build up a load, free it, and stay", "idle", threaded=True)]
SHELL = [Shell()]
SCALING = [
    Own("churn_1", "random replacement among objects of a thread: 1 thread", "churn", (1,)),
    Own("churn_2", "the same: 2 threads", "churn", (2,), threaded=True),
    Own("producer_single", "one thread allocates, another frees: messages one by one", "producer_consumer", (1,), True),
    Own("producer_batch", "the same: in batches of 256", "producer_consumer", (256,), True),
]
WORKLOADS = [
    *SCALING,
    Own("ring", "4 threads: each frees what another allocated", "ring", threaded=True),
    Own("bursts", "1,000 to 100,000 objects allocated, then freed", "bursts"),
    Own("long_lived", "a large live set of 16 bytes to 64 KiB, replaced and grown at random", "long_lived"),
    Own("large_buffers", "buffers of 128 KiB to 8 MiB allocated, touched, freed", "large_buffers"),
    Own("cache_thrash", "2 threads write to small objects of their own", "false_sharing", (0,), True),
    Own("cache_scratch", "the same after freeing objects that lay side by side", "false_sharing", (1,), True),
    Compile(),
    RedisLoad(),
    Python(),
    Sqlite(),
]
TOOLS = {"compile": ["g++"], "redis": ["redis-server", "redis-benchmark"], "sqlite": ["sqlite3"]}


def missing_tools(workload):
    return [tool for tool in TOOLS.get(workload.name, []) if shutil.which(tool) is None]
