// SPDX-License-Identifier: BSL-1.0
// Allocates when nothing is set up yet and when all is over: while the program is relocated, in the first constructor,
// in destructors and exit functions. What is allocated in one is freed in another.
#include "expect.hpp"

using namespace preload_tests;

namespace {

// Plain static storage: it must not be initialised after it was used.
filled from_resolver;
filled from_constructor;
filled from_exit_function;

int one() { return 1; }

extern "C" int (*resolve_early())() {
  from_resolver = filled::make(300, 1);
  std::free(std::malloc(100000));
  return one;
}

[[gnu::constructor(101)]] void construct() {
  from_constructor = filled::make(400, 2);
  from_resolver.resize(5000);
}

void at_exit() {
  from_exit_function = filled::make(3000000, 3);
  from_constructor.resize(40);
}

struct object {
  object() : memory{filled::make(100, 4)} {}
  ~object() {
    memory.resize(100000);
    memory.end();
    from_resolver.end();
  }
  object(const object&) = delete;
  object& operator=(const object&) = delete;
  filled memory;
} global;

[[gnu::destructor(101)]] void destruct() {
  from_exit_function.end();
  from_constructor.end();
  filled last = filled::make(10, 5);
  last.resize(1000);
  last.end();
  const char done[] = "done\n";
  expect(::write(STDOUT_FILENO, done, sizeof done - 1) > 0, "the last destructor speaks");
}

}  // namespace

extern "C" int early() __attribute__((ifunc("resolve_early")));

int main() {
  expect_replaced();
  expect(early() == 1, "the resolver ran");
  expect(from_resolver.p != nullptr, "the resolver allocated");
  std::atexit(at_exit);
}
