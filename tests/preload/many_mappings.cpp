// SPDX-License-Identifier: BSL-1.0
// The kernel bounds the number of mappings of a process (vm.max_map_count). At the bound and just below it programs get
// ENOMEM, what is alive keeps its bytes, and what could not go back goes back later.
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "expect.hpp"

using namespace preload_tests;

namespace {

constexpr std::size_t KiB = 1024;
constexpr std::size_t MiB = 1024 * KiB;
constexpr std::size_t page = 4096;
constexpr int few_steps = 800;
constexpr long enough_refusals = 100;
constexpr int most_rounds = 20;  // how many are refused in one depends on how the threads meet
std::atomic<long> refusals{0};

std::size_t number_in(const char* path, int place) {
  char text[200] = {};
  const int file = ::open(path, O_RDONLY);
  expect(file >= 0 && ::read(file, text, sizeof text - 1) > 0, "the kernel tells a number");
  ::close(file);
  char* rest = text;
  for (int n = 0; n < place; ++n) std::strtoul(rest, &rest, 10);
  return std::strtoul(rest, nullptr, 10);
}

std::size_t address_space_bytes() { return number_in("/proc/self/statm", 0) * page; }

/// Mappings that serve no purpose: every other page of a row can be written.
class splinters {
 public:
  explicit splinters(std::size_t most) : pages_{2 * most} {
    first_ = static_cast<char*>(
        ::mmap(nullptr, pages_ * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    expect(first_ != MAP_FAILED, "there is address space");
  }
  ~splinters() { expect(::munmap(first_, pages_ * page) == 0, "all of it goes in one call"); }
  splinters(const splinters&) = delete;
  splinters& operator=(const splinters&) = delete;

  /// Until the kernel takes no more.
  void add_all() {
    while (protect(count_, PROT_READ | PROT_WRITE)) ++count_;
    expect(errno == ENOMEM, "the number of mappings is bounded");
  }
  /// Each of them is two mappings.
  void take_away(std::size_t count) {
    for (; count != 0; --count) expect(protect(--count_, PROT_NONE), "mappings can be joined");
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  bool protect(std::size_t n, int how) { return ::mprotect(first_ + (2 * n + 1) * page, page, how) == 0; }

  char* first_;
  std::size_t pages_;
  std::size_t count_ = 0;
};

/// Allocations of all sizes, replaced in turn, where any request may be refused.
class churn {
 public:
  explicit churn(unsigned seed) : random_{seed} {}
  ~churn() {
    for (const filled& f : all_) end(f);
  }
  churn(const churn&) = delete;
  churn& operator=(const churn&) = delete;

  void step() {
    filled& f = all_[next() % count];
    if (f.p != nullptr && next() % 3 == 0) return resize(f, size());
    end(f);
    f = {};
    const std::size_t bytes = size();
    errno = 0;
    auto* const p = static_cast<unsigned char*>(next() % 2 == 0 ? std::malloc(bytes) : std::calloc(bytes, 1));
    if (p == nullptr) return refused();
    f = {p, bytes, static_cast<unsigned char>(next())};
    fill(f);
  }

 private:
  static constexpr std::size_t count = 300;
  static constexpr std::size_t end_bytes = 100;

  unsigned next() { return (random_ = random_ * 1664525u + 1013904223u) >> 8; }
  std::size_t size() {
    switch (next() % 8) {
      case 0:
        return 256 * KiB + next() % (2 * MiB);
      case 1:
        return 10 * KiB + next() % (240 * KiB);
      default:
        return 2 * end_bytes + next() % 8000;
    }
  }

  static void refused() {
    expect(errno == ENOMEM, "what cannot be had is ENOMEM");
    ++refusals;
  }
  static void fill(const filled& f) {
    std::memset(f.p, f.value, end_bytes);
    std::memset(f.p + f.bytes - end_bytes, f.value, end_bytes);
  }
  static void verify(const filled& f) {
    filled{f.p, end_bytes, f.value}.verify(end_bytes);
    filled{f.p + f.bytes - end_bytes, end_bytes, f.value}.verify(end_bytes);
  }
  static void end(const filled& f) {
    if (f.p == nullptr) return;
    verify(f);
    std::free(f.p);
  }
  static void resize(filled& f, std::size_t bytes) {
    verify(f);
    errno = 0;
    auto* const p = static_cast<unsigned char*>(std::realloc(f.p, bytes));
    if (p == nullptr) {
      refused();
      return verify(f);
    }
    filled{p, end_bytes, f.value}.verify(end_bytes);
    f = {p, bytes, f.value};
    fill(f);
  }

  filled all_[count]{};
  unsigned random_;
};

/// What is there while the program does `body`: two more threads that allocate, and large allocations enough for new
/// miniheaps to ask for huge pages, with a page of the program's between any two.
template <class Body>
void among_others(Body body) {
  constexpr int large = 1000;
  static void* allocations[large];
  static void* guards[large];
  for (int n = 0; n < large; ++n) {
    allocations[n] = std::malloc(300 * KiB);
    expect(allocations[n] != nullptr, "there is memory");
    guards[n] = ::mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(guards[n] != MAP_FAILED, "there is a mapping");
  }
  std::atomic<bool> is_over{false};
  const auto work = [&](unsigned seed) {
    churn memory{seed};
    while (!is_over) memory.step();
  };
  std::thread one{work, 1u};
  std::thread two{work, 2u};
  body();
  is_over = true;
  one.join();
  two.join();
  for (int n = 0; n < large; ++n) {
    std::free(allocations[n]);
    ::munmap(guards[n], page);
  }
}

}  // namespace

int main() {
  expect_replaced();
  const std::size_t most = number_in("/proc/sys/vm/max_map_count", 0);
  if (most > 2'000'000) return std::puts("figure: vm.max_map_count is too large to be reached") < 0 ? 1 : 0;
  among_others([] {
    churn memory{3};
    for (int n = 0; n < few_steps; ++n) memory.step();
  });
  expect(refusals == 0, "nothing is refused at first");
  ::malloc_trim(0);
  const std::size_t before_bytes = address_space_bytes();
  std::size_t splintered = 0;
  among_others([&] {
    splinters mappings{most};
    mappings.add_all();
    splintered = mappings.count();
    expect(2 * splintered > most / 2, "most mappings are splinters");
    churn memory{4};
    for (int round = 0; round < most_rounds && refusals <= enough_refusals; ++round) {
      for (std::size_t spare = 0; spare < 40; spare = spare * 3 / 2 + 1) {
        for (int n = 0; n < few_steps; ++n) memory.step();
        mappings.take_away(spare);
        for (int n = 0; n < few_steps; ++n) memory.step();
        mappings.add_all();
      }
    }
  });
  const long refused = refusals;
  expect(refused > enough_refusals, "requests were refused");
  {
    churn memory{5};
    for (int n = 0; n < few_steps; ++n) memory.step();
    filled::make(512 * MiB, 1).end();
  }
  expect(refusals == refused, "nothing is refused afterwards");
  ::malloc_trim(0);
  const struct mallinfo2 info = ::mallinfo2();
  const auto more_kib = (static_cast<long>(address_space_bytes()) - static_cast<long>(before_bytes)) / 1024;
  std::printf(
      "figure: %zu of %zu mappings were splinters, %ld requests refused; %ld KiB more address space than before\n",
      2 * splintered, most, refused, more_kib);
  std::fflush(stdout);
  expect(more_kib < 1024, "no addresses are lost");
  expect(info.hblks == 0 && info.hblkhd == 0, "large allocations go back afterwards");
  expect(info.arena <= 8 * MiB, "miniheaps go back afterwards");
}
