// SPDX-License-Identifier: BSL-1.0
// Each call to the page source fails once, at every place where the arena calls it.
#include "catch.hpp"
#include "faults/recording_source.hpp"
#include "faults/workload.hpp"

#include <vector>

using namespace miniheap;
using faults::verb;

namespace {

template <fit_policy Fit, selection_policy Selection>
using failing_arena =
    miniheap_arena<failing_source<counting_source<faults::recording_source>>, no_lock, Fit, Selection, faults::config>;

template <class Arena>
struct tried {
  std::vector<faults::call> calls;
  Arena arena{typename Arena::source_type{counting_source{faults::recording_source{calls}}}};
  faults::workload<Arena> work{arena};

  std::size_t mapped_bytes() { return arena.source().inner().counts().mapped_bytes; }
};

/// The calls when none fails. The test is worth nothing if they are not of every kind.
template <class Arena>
std::vector<faults::call> calls_without_failure(int miniheaps) {
  tried<Arena> clean;
  clean.work.run(miniheaps);
  clean.work.end();
  REQUIRE(clean.work.refusals() == 0);
  REQUIRE(clean.mapped_bytes() == 0);
  const auto reached = [&](verb what, std::size_t bytes) { return faults::has(clean.calls, what, bytes); };
  CHECK(reached(verb::map, 64 * KiB));
  CHECK(reached(verb::unmap, 64 * KiB));
  CHECK(reached(verb::map, faults::large_bytes));
  CHECK(reached(verb::unmap, faults::large_bytes + 4 * KiB));  // what an allocation shrinks by
  CHECK(reached(verb::grow, 2 * faults::large_bytes));
  const auto any_of = [&](auto is_sought) { return std::any_of(clean.calls.begin(), clean.calls.end(), is_sought); };
  CHECK(any_of([](const faults::call& c) { return c.what == verb::unmap && c.bytes > 2 * faults::large_bytes; }));
  CHECK(any_of([](const faults::call& c) { return c.what == verb::purge; }));
  return clean.calls;
}

bool is_for_metadata(const faults::call& c) {
  return (c.what == verb::map || c.what == verb::unmap) && c.bytes != 64 * KiB && c.bytes % faults::large_bytes != 0;
}

template <class Arena>
void fail_each(int miniheaps, bool (*is_chosen)(const faults::call&)) {
  const std::vector<faults::call> calls = calls_without_failure<Arena>(miniheaps);
  std::size_t chosen = 0;
  for (std::size_t n = 0; n < calls.size(); ++n) {
    if (!is_chosen(calls[n])) continue;
    ++chosen;
    tried<Arena> one;
    one.arena.source().fail_at(n + 1);
    INFO("call " << n + 1 << " of " << calls.size() << " fails: verb " << static_cast<int>(calls[n].what) << ", "
                 << calls[n].bytes << " bytes");
    REQUIRE_NOTHROW(one.work.run(miniheaps));
    REQUIRE_NOTHROW(one.work.end());
    one.arena.source().never_fail();
    REQUIRE_NOTHROW(one.work.end());
    REQUIRE(one.mapped_bytes() == 0);
  }
  REQUIRE(chosen >= 8);
}

bool any(const faults::call&) { return true; }

}  // namespace

TEST_CASE("faults: any one call to the page source may fail", "[faults]") {
  fail_each<failing_arena<first_fit, fullest_first>>(12, any);
}

TEST_CASE("faults: any one call may fail under other policies", "[faults]") {
  fail_each<failing_arena<best_fit, emptiest_first>>(12, any);
}

TEST_CASE("faults: the index grows twice, descriptors take several mappings", "[faults]") {
  fail_each<failing_arena<first_fit, fullest_first>>(270, is_for_metadata);
}

TEST_CASE("faults: calls fail at random", "[faults]") {
  using arena = failing_arena<good_fit, newest_first>;
  for (std::uint64_t seed = 1; seed <= 45; ++seed) {
    tried<arena> one;
    one.arena.source().fail_one_in(seed % 3 == 0 ? 3 : 20, seed);
    INFO("seed " << seed);
    for (int round = 0; round < 3; ++round) {
      REQUIRE_NOTHROW(one.work.run(12));
      REQUIRE_NOTHROW(one.work.end());
    }
    one.arena.source().never_fail();
    REQUIRE_NOTHROW(one.work.run(12));
    REQUIRE_NOTHROW(one.work.end());
    REQUIRE(one.mapped_bytes() == 0);
  }
}
