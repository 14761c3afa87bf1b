// SPDX-License-Identifier: BSL-1.0
// A malloc is called on the smallest stacks that there are, and what it has to do then must fit.
#include <miniheap/thread_cache.hpp>

#include "catch.hpp"

#include <pthread.h>

#include <array>
#include <climits>

using namespace miniheap;

namespace {

#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 256 * KiB;  // each variable has a place of its own, and sanitizers need more
#else
constexpr std::size_t stack_bytes = 16 * KiB;  // PTHREAD_STACK_MIN
#endif

miniheap_server_arena small_stack_arena{"small stack"};
std::array<void*, 3000> spans;

/// Gives back and faults in again what lies between other things, again and again.
void* churn(void*) {
  volatile char own[4 * KiB];  // of the program
  own[0] = 1;
  for (int round = 0; round < 20; ++round) {
    for (std::size_t n = 0; n < spans.size(); ++n) spans[n] = small_stack_arena.allocate(4 * KiB * (1 + n % 7));
    for (std::size_t n = 0; n < spans.size(); n += 2) small_stack_arena.deallocate(spans[n]);
    for (std::size_t n = 1; n < spans.size(); n += 2) small_stack_arena.deallocate(spans[n]);
  }
  return own[0] == 1 ? &small_stack_arena : nullptr;
}

}  // namespace

TEST_CASE("threads: the smallest stack is enough", "[threads]") {
  pthread_attr_t attributes;
  REQUIRE(::pthread_attr_init(&attributes) == 0);
  REQUIRE(::pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  pthread_t thread{};
  REQUIRE(::pthread_create(&thread, &attributes, churn, nullptr) == 0);
  void* result = nullptr;
  CHECK(::pthread_join(thread, &result) == 0);
  CHECK(result != nullptr);
  ::pthread_attr_destroy(&attributes);
}
