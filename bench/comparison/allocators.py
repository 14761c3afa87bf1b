# SPDX-License-Identifier: BSL-1.0
"""The allocators that are compared, and the environment that puts each of them into a program."""

import dataclasses
import os
import pathlib
import re
import subprocess


@dataclasses.dataclass(frozen=True)
class Allocator:
    key: str
    library: str  # what is preloaded: a path, or a name that the dynamic linker finds
    package: str  # of Debian
    kind: str = "peer"  # ours, peer, or other: a peer whose time sets no goal
    variables: tuple = ()

    def environment(self):
        return {"LD_PRELOAD": self.library, **dict(self.variables)}


# glibc is preloaded too, which changes nothing but for programs that are linked with another malloc: redis-server of
# Debian is, with jemalloc.
PEERS = [
    Allocator("glibc", "libc.so.6", "libc6", "other"),
    Allocator("glibc_thp", "libc.so.6", "libc6", variables=(("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),)),
    Allocator("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    Allocator("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    Allocator("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    Allocator("tbbmalloc", "libtbbmalloc_proxy.so.2", "libtbbmalloc2", "other"),
]
OURS = "miniheap"


def clean_environment():
    """Nothing of whoever started the benchmark: no variable of his may set up an allocator."""
    kept = {name: os.environ[name] for name in ("HOME", "USER", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def mapped_files(allocator):
    """The files that a program started under the allocator has in its address space."""
    environment = {**clean_environment(), **allocator.environment()}
    maps = subprocess.run(["cat", "/proc/self/maps"], env=environment, capture_output=True, text=True)
    return {fields[5] for line in maps.stdout.splitlines() if len(fields := line.split(maxsplit=5)) == 6}


def why_not(allocator):
    """What stands against measuring it, as a sentence; empty if nothing does. A preload that is not in the program
    would measure glibc under another name."""
    files = mapped_files(allocator)
    name = pathlib.Path(allocator.library).name
    if not any(pathlib.Path(file).name.startswith(name) for file in files):
        return f"{allocator.library} cannot be preloaded (package {allocator.package})"
    for variable, value in allocator.variables:
        if variable == "GLIBC_TUNABLES" and not tunable_works(value, files):
            return f"this glibc does not know {value}"
    return ""


def tunable_works(setting, files):
    linker = next((file for file in files if pathlib.Path(file).name.startswith("ld-")), None)
    if linker is None:
        return False
    environment = {**clean_environment(), "GLIBC_TUNABLES": setting}
    listed = subprocess.run([linker, "--list-tunables"], env=environment, capture_output=True, text=True).stdout
    name, value = setting.split("=")
    found = re.search(rf"^{re.escape(name)}: (\w+)", listed, re.MULTILINE)
    return found is not None and int(found[1], 0) == int(value, 0)


def version(allocator):
    if allocator.kind == "ours":
        return allocator.library
    found = subprocess.run(["dpkg-query", "-W", "-f=${Version}", allocator.package], capture_output=True, text=True)
    return f"{allocator.package} {found.stdout}" if found.returncode == 0 else allocator.library


def choose(peers, library, is_wanted):
    """Of the peers, and of ours if there is a library: those to measure, and a sentence for each that cannot be."""
    known = list(peers)
    if library:
        known.append(Allocator(OURS, str(pathlib.Path(library).resolve()), "none, built here", "ours"))
    chosen, skipped = [], []
    for allocator in filter(is_wanted, known):
        if reason := why_not(allocator):
            skipped.append(f"{allocator.key}: {reason}: not measured")
        else:
            chosen.append(allocator)
    return chosen, skipped


def levels(lines):
    """Ours at each level of checks: "LEVEL PATH", one a line."""
    return [Allocator(level, path, "none, built here", "ours") for level, path in map(str.split, lines.splitlines())]


def lack_ours(chosen, library, pattern):
    """Is ours wanted, and cannot be measured?"""
    return bool(library and re.search(pattern, OURS)) and OURS not in [contender.key for contender in chosen]
