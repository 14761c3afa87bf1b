// SPDX-License-Identifier: BSL-1.0
// Compiled with AddressSanitizer, an arena needs no special build: what is free in it, and what lies behind an
// allocation, is reported as such.
#include <miniheap/detail/memory_tools.hpp>
#include <miniheap/thread_cache.hpp>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

struct cached_arena : miniheap::thread_cached<default_arena> {
  using thread_cached::thread_cached;
};

}  // namespace

TEMPLATE_TEST_CASE("tools: AddressSanitizer reports what is done to free memory", "[misuse]", tiny_arena, default_arena,
                   cached_arena) {
#if defined(MINIHEAP_HAS_ASAN)
  const auto is_reported = [](auto deed) {
    const ending how = in_child([&](culprit&) {
      TestType arena{"watched"};
      deed(arena, static_cast<char*>(arena.allocate(100)));
    });
    return how.text.find("use-after-poison") != std::string::npos;
  };
  CHECK(is_reported([](TestType& arena, char* p) {
    arena.deallocate(p);
    *unsuspected(p) = 1;
  }));
  CHECK(is_reported([](TestType&, char* p) { unsuspected(p)[100] = 1; }));
  CHECK(is_reported([](TestType& arena, char*) {
    auto* const large = static_cast<char*>(arena.allocate(100'000));
    arena.deallocate(large);
    unsuspected(large)[50'000] = 1;
  }));
  CHECK_FALSE(is_reported([](TestType& arena, char* p) {
    p[99] = 1;
    auto* const q = static_cast<char*>(arena.reallocate(p, 50'000));
    q[49'999] = 1;
    unsuspected(q)[arena.usable_size(q) - 1] = 1;  // who asks may use it
    arena.deallocate(q);
  }));
#else
  CHECK_FALSE(miniheap::detail::memory_tools::are_built_in);
#endif
}
