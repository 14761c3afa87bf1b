// SPDX-License-Identifier: BSL-1.0
// Forks a hundred times, or as often as its argument says, while other threads allocate and fork handlers do. Each
// child allocates, from a new thread too, and exits; an alarm ends one that is stuck. There are several at the same
// time.
#include <sys/wait.h>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "expect.hpp"

using namespace preload_tests;

extern "C" int fork_handlers();

namespace {

constexpr int children_at_once = 8;
constexpr unsigned seconds_for_a_child = 60;
std::atomic<bool> is_over{false};

/// Some allocations of all sizes, replaced in turn.
class churn {
 public:
  explicit churn(unsigned seed) : random_{seed} {
    for (filled& f : all_) f = make();
  }
  ~churn() {
    for (const filled& f : all_) f.end();
  }
  churn(const churn&) = delete;
  churn& operator=(const churn&) = delete;

  void step() {
    filled& f = all_[next() % count];
    if (next() % 4 == 0) {
      f.resize(size());
    } else {
      f.end();
      f = make();
    }
  }

 private:
  static constexpr std::size_t count = 200;

  std::size_t next() { return (random_ = random_ * 1664525u + 1013904223u) >> 8; }
  std::size_t size() { return next() % 64 == 0 ? 200000 : 1 + next() % 3000; }
  filled make() { return filled::make(size(), static_cast<unsigned char>(next())); }

  unsigned random_;
  filled all_[count];
};

void work(unsigned seed, int steps) {
  churn memory{seed};
  for (int n = 0; n < steps; ++n) memory.step();
}

[[noreturn]] void be_child(churn& memory, int n) {
  ::alarm(seconds_for_a_child);
  for (int i = 0; i < 500; ++i) memory.step();
  std::thread{work, 77u, 500}.join();
  work(5, 500);
  if (n % 2 == 0) std::exit(EXIT_SUCCESS);  // with destructors and reports
  ::_exit(EXIT_SUCCESS);
}

void await_child() {
  int status = 0;
  expect(::wait(&status) > 0, "a child ends");
  expect(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM, "a child is not stuck");
  expect(status == 0, "a child ends well");
}

}  // namespace

int main(int count, char** arguments) {
  expect_replaced();
  expect(fork_handlers() == 3, "fork handlers are there");
  const int forks = count > 1 ? std::atoi(arguments[1]) : 100;
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 3; ++n) {
    threads.emplace_back([n] {
      churn memory{n};
      while (!is_over) memory.step();
    });
  }
  threads.emplace_back([] {
    while (!is_over) std::thread{work, 3u, 200}.join();
  });
  churn memory{99};
  for (int n = 0; n < forks; ++n) {
    for (int i = 0; i < 200; ++i) memory.step();
    const pid_t child = ::fork();
    expect(child >= 0, "a process can be forked");
    if (child == 0) be_child(memory, n);
    if (n >= children_at_once) await_child();
  }
  for (int n = 0; n < forks && n < children_at_once; ++n) await_child();
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("figure: %d forks under load, none hung\n", forks);
}
