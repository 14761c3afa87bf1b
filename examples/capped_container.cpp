// SPDX-License-Identifier: BSL-1.0
// A container with policies of its own: one thread, tiny miniheaps, and a cap on what it may take from the system.
#include <cstdio>
#include <functional>
#include <map>
#include <new>
#include <utility>

#include <miniheap/miniheap.hpp>

using miniheap::KiB;
using miniheap::MiB;

// What is named differs from the defaults: a misspelt name does not compile.
struct session_arena
    : miniheap::miniheap_arena<miniheap::limited_source<>,      // maps no more than it is told
                               miniheap::no_lock,               // only one thread comes here
                               miniheap::best_fit,              // the shortest free span that fits
                               miniheap::lowest_address_first,  // the miniheap at the lowest address
                               miniheap::arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}> {
  using miniheap_arena::miniheap_arena;
};

struct session {
  char user[48];
  long last_seen;
};

using sessions =
    std::map<long, session, std::less<>, miniheap::miniheap_allocator<std::pair<const long, session>, session_arena>>;

/// Logs users in until there are `limit` or the arena has no more; returns how many there are.
std::size_t log_in(sessions& table, long first, long limit) {
  try {
    for (long id = first; id < first + limit; ++id) {
      session& one = table[id];
      std::snprintf(one.user, sizeof one.user, "user %ld", id);
      one.last_seen = id;
    }
  } catch (const std::bad_alloc&) {
    std::puts("  the cap is reached: std::bad_alloc, and the table is as it was before that one insertion");
  }
  return table.size();
}

void print(const char* what, const sessions& table, const session_arena& arena) {
  const auto stats = arena.stats();
  std::printf("%-22s %6zu sessions, %5zu KiB live, %5zu KiB mapped in %2zu miniheaps\n", what, table.size(),
              stats.live_bytes / KiB, stats.mapped_bytes / KiB, stats.miniheaps);
}

int main() {
  session_arena arena{miniheap::limited_source<>{1 * MiB}, "sessions"};
  sessions table{arena};
  print("empty", table, arena);

  const std::size_t most = log_in(table, 0, 1'000'000);
  print("at the cap", table, arena);

  // The older half logs out. What was theirs serves the next ones: the same cap, the same number of sessions.
  table.erase(table.begin(), table.lower_bound(static_cast<long>(most / 2)));
  print("half of them gone", table, arena);
  log_in(table, 1'000'000, 1'000'000);
  print("at the cap again", table, arena);

  table.clear();
  print("all gone", table, arena);
}
