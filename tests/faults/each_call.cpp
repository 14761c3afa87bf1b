// SPDX-License-Identifier: BSL-1.0
// Each call to the page source fails, at every place where an arena calls it: once, twice in succession, and with all
// that come after it.
#include "catch.hpp"
#include "environment.hpp"
#include "faults/combinations.hpp"
#include "faults/workload.hpp"

#include <algorithm>
#include <iostream>
#include <string>

using namespace miniheap;
using faults::verb;

namespace {

constexpr std::uint64_t for_good = UINT64_MAX;

/// A fault point is a call of one workload that fails in one of three ways.
struct tally {
  std::uint64_t points = 0;
  std::uint64_t survived = 0;
  std::size_t leaked_bytes = 0;
  std::string broken;  // of the first few

  void add(const tally& other) {
    points += other.points;
    survived += other.survived;
    leaked_bytes += other.leaked_bytes;
    broken += other.broken;
  }
};

/// Where each fault takes long, only one point in so many is tried.
std::uint64_t stride() { return std::max<std::uint64_t>(1, 10'000'000 / wanted_operations()); }

/// What the workload reaches when no call fails. The test is worth nothing if that is not everything.
void require_all_reached(const faults::traits& kind, std::size_t miniheap_bytes,
                         const std::vector<faults::call>& calls) {
  const auto any_of = [&](verb what, auto is_sought) {
    return std::any_of(calls.begin(), calls.end(),
                       [&](const faults::call& c) { return c.what == what && is_sought(c.bytes); });
  };
  const auto any = [](std::size_t) { return true; };
  const auto is = [](std::size_t wanted) { return [=](std::size_t bytes) { return bytes == wanted; }; };
  const auto is_for_records = [&](std::size_t bytes) {
    return bytes != miniheap_bytes && bytes % faults::large_bytes != 0;
  };
  CHECK(any_of(verb::map, is(miniheap_bytes)));
  CHECK(any_of(verb::unmap, is(miniheap_bytes)));
  CHECK(any_of(verb::map, is(faults::large_bytes)));
  CHECK(any_of(verb::map, is_for_records));
  CHECK(any_of(verb::unmap, is_for_records));
  CHECK(any_of(verb::unmap, [](std::size_t bytes) { return bytes > faults::large_bytes; }));
  CHECK((any_of(verb::purge, any) || any_of(verb::purge_row, any)));
  CHECK(any_of(verb::purge_row, any) <= kind.purges_rows);
  CHECK(any_of(verb::remap, is(2 * faults::large_bytes)) == kind.remaps);
  CHECK(any_of(verb::populate, any) == kind.is_hinted);
  CHECK(any_of(verb::prefer_huge_pages, any) == (kind.is_hinted && kind.has_huge_pages));
  CHECK(any_of(verb::prefer_small_pages, any) == (kind.is_hinted && kind.has_huge_pages));
}

/// The calls when none fails.
std::vector<faults::call> calls_without_failure(const faults::combination& combination, int miniheaps) {
  const auto arena = combination.make();
  faults::workload work{*arena};
  work.run(miniheaps);
  work.end();
  REQUIRE(work.refusals() == 0);
  REQUIRE(arena->source_mapped_bytes() == 0);
  REQUIRE(arena->calls() == arena->recorded().size());
  require_all_reached(arena->kind(), arena->config().miniheap_bytes, arena->recorded());
  return arena->recorded();
}

/// The arena is as good as new afterwards.
void survive(faults::faulty_arena& arena, int miniheaps, std::uint64_t n, std::uint64_t times) {
  faults::workload work{arena};
  arena.fail_at(n, times);
  work.run(miniheaps);
  model::expect(work.refusals() <= times, "a call that fails costs one request");
  work.end();
  arena.never_fail();
  work.end();
  model::expect(arena.source_mapped_bytes() == 0, "all memory goes back");
}

tally fail_each(const faults::combination& combination, int miniheaps, bool (*is_chosen)(const faults::call&)) {
  const std::vector<faults::call> calls = calls_without_failure(combination, miniheaps);
  tally all;
  for (std::size_t n = 1; n <= calls.size(); ++n) {
    if (!is_chosen(calls[n - 1])) continue;
    for (const std::uint64_t times : {std::uint64_t{1}, std::uint64_t{2}, for_good}) {
      if ((n + times) % stride() != 0) continue;
      ++all.points;
      const auto arena = combination.make();
      try {
        survive(*arena, miniheaps, n, times);
        ++all.survived;
      } catch (const std::exception& e) {
        all.leaked_bytes += arena->source_mapped_bytes();
        if (all.points - all.survived > 3) continue;
        all.broken += std::string{e.what()} + ": " + combination.name + ", call " + std::to_string(n) + " of " +
                      std::to_string(calls.size()) + ", " + std::to_string(times) + " times, verb " +
                      std::to_string(static_cast<int>(calls[n - 1].what)) + "\n";
      }
    }
  }
  std::cout << all.survived << " of " << all.points << ": " << combination.name << std::endl;
  return all;
}

bool any(const faults::call&) { return true; }

bool is_for_records(const faults::call& c) {
  return (c.what == verb::map || c.what == verb::unmap) && c.bytes != 64 * KiB && c.bytes % faults::large_bytes != 0;
}

}  // namespace

TEST_CASE("faults: any call to the page source may fail, once, twice, or for good", "[faults]") {
  tally all;
  for (const faults::combination& combination : faults::all_combinations()) all.add(fail_each(combination, 12, any));
  // The index grows twice, and descriptors take several mappings.
  all.add(fail_each(faults::single_threaded().front(), 270, is_for_records));
  std::cout << all.survived << " of " << all.points << " page-source fault points survived, " << all.leaked_bytes
            << " bytes leaked" << std::endl;
  INFO(all.broken);
  CHECK(all.points * stride() >= 10'000);
  CHECK(all.survived == all.points);
  CHECK(all.leaked_bytes == 0);
}
