# SPDX-License-Identifier: BSL-1.0
"""A Redis server that redis-benchmark keeps busy; what the server took is measured, not the client."""

import subprocess
import time

from comparison.allocators import clean_environment
from comparison.measuring import Failed


class RedisLoad:
    name, title, threaded = "redis", "redis-server below redis-benchmark, pipelined", True

    # On a socket in the folder, so that no port can be taken. Nothing is saved: a fork would be measured too.
    SERVER = ["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no",
              "--jemalloc-bg-thread", "no", "--daemonize", "no"]
    # Values of two sizes, and every kind of container; the second load replaces what the first one stored.
    LOADS = [("100", "set,get,incr,lpush,rpop,sadd,hset,zadd"), ("600", "set,get,lpush,lpop,hset")]

    def prepare(self, place):
        pass

    def run(self, place, allocator):
        (place.folder / "redis.sock").unlink(missing_ok=True)
        server = place.child(self.SERVER, allocator.environment())
        try:
            self.wait_until_up(place, server)
            for size, tests in self.LOADS:
                requests = 150_000 * place.percent // 100 + 1
                self.client(place, "redis-benchmark", "-q", "-P", "32", "-c", "20", "-n", str(requests), "-r", "100000",
                            "-d", size, "-t", tests)
            if int(self.client(place, "redis-cli", "dbsize")) < 100:
                raise Failed("redis-server stored next to nothing")
            self.client(place, "redis-cli", "shutdown", "nosave")
            return server.finish(30)
        finally:
            server.stop()

    def wait_until_up(self, place, server):
        for _ in range(500):
            if server.process.poll() is not None:
                server.finish()
            try:
                if self.client(place, "redis-cli", "ping").strip() == "PONG":
                    return
            except Failed:
                pass
            time.sleep(0.02)
        raise Failed("redis-server does not answer")

    @staticmethod
    def client(place, program, *arguments):
        done = subprocess.run([program, "-s", "redis.sock", *arguments], cwd=place.folder, env=clean_environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Failed(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout
