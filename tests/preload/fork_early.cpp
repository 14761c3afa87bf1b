// SPDX-License-Identifier: BSL-1.0
// The fork handlers of a library that is initialised before anybody allocates, in a program without a C++ runtime
// (which allocates when it is initialised): they must not meet a locked arena.
#include <sys/wait.h>

#include "expect.hpp"

using namespace preload_tests;

extern "C" int fork_handlers();

int main() {
  ::alarm(20);
  expect_replaced();
  expect(fork_handlers() == 3, "fork handlers are there");
  for (int n = 0; n < 3; ++n) {
    const pid_t child = ::fork();
    expect(child >= 0, "a process can be forked");
    if (child == 0) {
      filled::make(5000, 1).end();
      ::_exit(EXIT_SUCCESS);
    }
    int status = -1;
    expect(::waitpid(child, &status, 0) == child && status == 0, "a child ends well");
  }
}
