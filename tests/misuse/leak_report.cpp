// SPDX-License-Identifier: BSL-1.0
// Allocations that are alive when their arena is destroyed.
#include <string>

#include <miniheap/thread_cache.hpp>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

using miniheap::arena_config;

struct reporting_arena
    : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                               arena_config{.miniheap_bytes = 64 * KiB, .report_leaks = true}> {
  using miniheap_arena::miniheap_arena;
};

}  // namespace

TEST_CASE("what is alive at destruction is reported in one line", "[misuse]") {
  const auto how = in_child([](culprit& named) {
    reporting_arena arena{"leaky"};
    named.arena = &arena;
    void* const freed = arena.allocate(100);
    for (const std::size_t bytes : {std::size_t{48}, std::size_t{48}, std::size_t{5000}, 100 * KiB}) {
      static_cast<void>(arena.allocate(bytes));
    }
    arena.deallocate(freed);
  });
  INFO(how.text);
  REQUIRE(how.signal == 0);
  REQUIRE(how.exit_code == 0);
  // 5000 bytes lie in a slot of 5120, 100 KiB in whole pages.
  const std::size_t bytes = 48 + 48 + 5120 + 100 * KiB;
  REQUIRE(how.text ==
          about(how, "leaky") + "4 allocations (" + std::to_string(bytes) + " bytes) alive at destruction\n");
}

TEST_CASE("nothing is said when nothing is alive", "[misuse]") {
  const auto how = in_child([](culprit&) {
    reporting_arena clean{"clean"};
    clean.deallocate(clean.allocate(100));
    reporting_arena released{"released"};
    static_cast<void>(released.allocate(100));
    released.release();
    const reporting_arena unused{"unused"};
  });
  REQUIRE(how.signal == 0);
  REQUIRE(how.text.empty());
}

TEST_CASE("nor where Config does not ask for it", "[misuse]") {
  const auto how = in_child([](culprit&) {
    tiny_arena arena{"quiet"};
    static_cast<void>(arena.allocate(100));
  });
  REQUIRE(how.signal == 0);
  REQUIRE(how.text.empty());
}

TEST_CASE("an arena without a name, and one with a very long name", "[misuse]") {
  require_fault(in_child([](culprit& named) {
                  tiny_arena arena;
                  int local = 0;
                  named = {&arena, &local};
                  arena.deallocate(unsuspected(&local));
                }),
                "unnamed", faults::foreign);

  // However long the name is, the fault and the pointer are still there.
  static const std::string long_name(1000, 'x');
  const auto how = in_child([](culprit& named) {
    tiny_arena arena{long_name.c_str()};
    int local = 0;
    named = {&arena, &local};
    arena.deallocate(unsuspected(&local));
  });
  INFO(how.text);
  REQUIRE(how.signal == SIGABRT);
  REQUIRE(how.text.find(std::string(faults::foreign) + ": " + hexadecimal(how.named.pointer)) != std::string::npos);
  REQUIRE(how.text.back() == '\n');
}

TEST_CASE("what threads have in stock at destruction is no leak", "[misuse]") {
  const auto how = in_child([](culprit& named) {
    miniheap::thread_cached<reporting_arena> arena{"cached"};
    named.arena = &arena;
    for (const std::size_t bytes : {16u, 100u, 5000u, 20000u}) arena.deallocate(arena.allocate(bytes));
  });
  INFO(how.text);
  REQUIRE(how.exit_code == 0);
  REQUIRE(how.text.empty());
}
