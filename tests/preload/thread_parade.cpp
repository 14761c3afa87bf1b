// SPDX-License-Identifier: BSL-1.0
// Ten thousand threads, or as many as the argument says, come, allocate, leave some of it to others, and go: the
// process does not grow.
#include <fcntl.h>
#include <cstdio>
#include <thread>

#include "expect.hpp"

using namespace preload_tests;

namespace {

constexpr int at_once = 8;
constexpr int before_the_first_look = 400;
constexpr long most_kib = 1'000;
constexpr int pieces = 60;

filled left_behind[at_once][pieces];

void live(int n) {
  filled* const mine = left_behind[n % at_once];
  for (const filled* f = mine; f != mine + pieces; ++f) {
    if (f->p != nullptr) f->end();  // of a thread that is gone
  }
  for (int i = 0; i < pieces; ++i) {
    const auto bytes = static_cast<std::size_t>(i % 20 == 0 ? 20'000 : 16 + (i * 37 + n) % 1'000);
    mine[i] = filled::make(bytes, static_cast<unsigned char>(n + i));
  }
  for (int i = 0; i < pieces; i += 2) {
    mine[i].end();
    mine[i].p = nullptr;
  }
}

/// As the kernel adds it up when it is asked; its running count may be off by some hundred KiB.
long resident_kib() {
  static char text[4096];
  const int file = ::open("/proc/self/smaps_rollup", O_RDONLY);
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  expect(length > 0, "the kernel tells how large a process is");
  text[length] = '\0';
  const char* const line = std::strstr(text, "\nRss:");
  expect(line != nullptr, "the kernel tells how much is resident");
  return std::strtol(line + 5, nullptr, 10);
}

}  // namespace

int main(int count, char** arguments) {
  expect_replaced();
  const int threads = count > 1 ? std::atoi(arguments[1]) : 10'000;
  long first_kib = 0;
  for (int n = 0; n < threads; n += at_once) {
    if (n == before_the_first_look) first_kib = resident_kib();
    std::thread all[at_once];
    for (int i = 0; i < at_once; ++i) all[i] = std::thread{live, n + i};
    for (std::thread& thread : all) thread.join();
  }
  const long growth_kib = resident_kib() - first_kib;
  std::printf("figure: %d threads came and went, the process grew by %ld KiB\n", threads, growth_kib);
  std::fflush(stdout);
  expect(growth_kib < most_kib, "threads that are gone leave no memory behind");
}
