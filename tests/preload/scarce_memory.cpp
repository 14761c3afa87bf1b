// SPDX-License-Identifier: BSL-1.0
// Threads that use up the address space, all of them at the same time, free some of it and go on. C gets nullptr and
// ENOMEM, C++ bad_alloc; what is alive keeps its bytes, and when it is freed there is memory again. Run it with a limit
// (ulimit -v).
#include <pthread.h>
#include <sys/resource.h>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <new>

#include "expect.hpp"

using namespace preload_tests;

namespace {

constexpr std::size_t MiB = std::size_t{1} << 20;
constexpr int hoarders = 4;
constexpr int rounds = 15;
std::atomic<int> finished{0};
std::atomic<long> refused_in_c{0};
std::atomic<long> refused_in_cpp{0};
std::atomic<int> late_threads{0};

/// A list of allocations, each with a head of its own, so that it needs no other memory.
class hoard {
 public:
  explicit hoard(unsigned seed) : random_{seed} {}
  ~hoard() { free_one_in(1); }
  hoard(const hoard&) = delete;
  hoard& operator=(const hoard&) = delete;

  /// Until there is no memory, several times.
  void fill(std::size_t least_bytes, std::size_t most_bytes) {
    for (int refused = 0; refused < 8;) {
      if (!add(least_bytes + next() % (most_bytes - least_bytes))) ++refused;
    }
    if (first_ != nullptr) grow_first();
  }

  void free_one_in(unsigned n) {
    for (piece** link = &first_; *link != nullptr;) {
      piece* const p = *link;
      verify(*p);
      if (next() % n != 0) {
        link = &p->next;
        continue;
      }
      *link = p->next;
      errno = 77;
      p->is_new ? ::operator delete(p) : std::free(p);
      expect(errno == 77, "free keeps errno");
    }
  }

 private:
  struct piece {
    piece* next;
    std::size_t bytes;
    bool is_new;
    unsigned char value;
  };
  static constexpr std::size_t end_bytes = 32;

  unsigned next() { return (random_ = random_ * 1664525u + 1013904223u) >> 8; }

  static unsigned char* end_of(piece& p) { return reinterpret_cast<unsigned char*>(&p) + p.bytes - end_bytes; }

  static void verify(piece& p) {
    for (std::size_t i = 0; i < end_bytes; ++i) expect(end_of(p)[i] == p.value, "an allocation keeps its bytes");
  }

  bool add(std::size_t bytes) {
    const bool is_new = next() % 2 == 0;
    void* const p = is_new ? allocate_in_cpp(bytes) : allocate_in_c(bytes);
    if (p == nullptr) return false;
    first_ = ::new (p) piece{first_, bytes, is_new, static_cast<unsigned char>(next())};
    std::memset(end_of(*first_), first_->value, end_bytes);
    return true;
  }

  void* allocate_in_c(std::size_t bytes) {
    errno = 0;
    void* p = nullptr;
    switch (next() % 3) {
      case 0:
        p = std::malloc(bytes);
        break;
      case 1:
        p = std::calloc(1, bytes);
        break;
      default:
        p = std::aligned_alloc(64, bytes);
    }
    if (p != nullptr) return p;
    expect(errno == ENOMEM, "the end of memory is ENOMEM");
    ++refused_in_c;
    return nullptr;
  }

  void* allocate_in_cpp(std::size_t bytes) {
    try {
      return next() % 2 == 0 ? ::operator new(bytes) : ::operator new(bytes, std::nothrow);
    } catch (const std::bad_alloc&) {
      ++refused_in_cpp;
      return nullptr;
    }
  }

  /// No allocation grows by so much; it stays what it was.
  void grow_first() {
    if (first_->is_new) return;
    errno = 0;
    expect(std::realloc(first_, 2048 * MiB) == nullptr && errno == ENOMEM, "the end of memory is ENOMEM in realloc");
    verify(*first_);
  }

  piece* first_ = nullptr;
  unsigned random_;
};

void* live(void* number) {
  hoard mine{static_cast<unsigned>(reinterpret_cast<std::size_t>(number))};
  for (int n = 0; n < rounds; ++n) {
    mine.fill(n % 3 == 0 ? 100 : n % 3 == 1 ? 5'000 : 100'000, n % 3 == 0 ? 3'000 : n % 3 == 1 ? 60'000 : 2 * MiB);
    mine.free_one_in(n % 5 == 4 ? 1 : 2);
  }
  ++finished;
  return nullptr;
}

/// Of a thread that begins when there is no memory, perhaps not even for its cache.
void* begin_late(void*) {
  for (std::size_t n = 0; n < 50; ++n) std::free(std::malloc(100 * n));
  ++late_threads;
  return nullptr;
}

bool start(pthread_t& thread, void* (*body)(void*), std::size_t number) {
  pthread_attr_t small;
  ::pthread_attr_init(&small);
  ::pthread_attr_setstacksize(&small, 256 * 1024);
  const int result = ::pthread_create(&thread, &small, body, reinterpret_cast<void*>(number));
  ::pthread_attr_destroy(&small);
  expect(result == 0 || result == EAGAIN || result == ENOMEM, "a thread starts, or there is no memory for it");
  return result == 0;
}

}  // namespace

int main() {
  expect_replaced();
  rlimit limit{};
  expect(::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < 2048 * MiB, "the address space has a limit");
  pthread_t threads[hoarders];
  for (std::size_t n = 0; n < hoarders; ++n) expect(start(threads[n], live, n + 1), "there is a thread");
  while (finished < hoarders) {
    pthread_t late{};
    if (start(late, begin_late, 0)) expect(::pthread_join(late, nullptr) == 0, "a thread ends");
    ::usleep(1000);
  }
  for (const pthread_t thread : threads) expect(::pthread_join(thread, nullptr) == 0, "a thread ends");
  expect(refused_in_c >= hoarders && refused_in_cpp >= hoarders, "memory did end");
  filled::make(limit.rlim_cur / 2, 7).end();
  std::printf("figure: %d threads met ENOMEM %ld times and bad_alloc %ld times; %d threads began meanwhile\n", hoarders,
              refused_in_c.load(), refused_in_cpp.load(), late_threads.load());
}
