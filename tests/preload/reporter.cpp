// SPDX-License-Identifier: BSL-1.0
// Holds some memory, gets signals if an argument says so, closes stderr as many programs do, and ends.
#include <sys/time.h>
#include <csignal>

#include "expect.hpp"

using namespace preload_tests;

namespace {

volatile std::sig_atomic_t mine = 0;

void count_mine(int) { mine = mine + 1; }

/// A signal that is to be reported on comes every 300 microseconds, for a second at most, while memory comes and goes.
void storm() {
  constexpr int rounds = 300000;
  itimerval timer{{0, 300}, {0, 300}};
  expect(::setitimer(ITIMER_REAL, &timer, nullptr) == 0, "there is a timer");
  for (int n = 0; n < rounds; ++n) {
    filled all[5];
    for (std::size_t i = 0; i < 5; ++i) all[i] = filled::make(1 + (i * 7919 + static_cast<std::size_t>(n)) % 20000, 6);
    for (const filled& f : all) std::free(f.p);
  }
  timer = {};
  expect(::setitimer(ITIMER_REAL, &timer, nullptr) == 0, "a timer can be stopped");
}

}  // namespace

int main(int count, char** arguments) {
  expect_replaced();
  const auto has = [&](const char* word) { return count > 1 && std::strcmp(arguments[1], word) == 0; };
  void* const small = std::malloc(1000);
  void* const large = std::malloc(5000000);
  expect(small != nullptr && large != nullptr, "there is memory");
  if (has("own-handler")) std::signal(SIGUSR1, count_mine);
  if (has("signal") || has("own-handler")) ::raise(SIGUSR1);
  if (has("storm")) storm();
  expect(mine == (has("own-handler") ? 1 : 0), "a handler of the program's own wins");
  ::close(STDERR_FILENO);
}
