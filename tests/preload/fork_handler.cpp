// SPDX-License-Identifier: BSL-1.0
// A shared object that fork_storm.cpp is linked with: its fork handlers are registered before main and allocate.
#include <pthread.h>

#include "expect.hpp"

namespace {

void allocate() {
  preload_tests::filled memory = preload_tests::filled::make(100, 8);
  memory.resize(70000);
  memory.end();
}

[[gnu::constructor]] void construct() {
  preload_tests::expect(::pthread_atfork(allocate, allocate, allocate) == 0, "handlers can be registered");
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int fork_handlers() { return 3; }
