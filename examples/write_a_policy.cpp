// SPDX-License-Identifier: BSL-1.0
// Two policies of one's own: a page source through which several arenas share one budget of bytes, and a selection
// policy that fills the oldest miniheap first. A policy is a few functions; its concept says which.
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <list>
#include <new>

#include <miniheap/miniheap.hpp>

using miniheap::KiB;
using miniheap::MiB;

/// What all tenants together may have mapped. Arenas of different threads share it, hence the atomic.
class byte_budget {
 public:
  explicit byte_budget(std::size_t bytes) noexcept : free_bytes_(bytes) {}

  bool take(std::size_t bytes) noexcept {
    std::size_t seen = free_bytes_.load();
    while (seen >= bytes) {
      if (free_bytes_.compare_exchange_weak(seen, seen - bytes)) return true;
    }
    return false;
  }

  void give_back(std::size_t bytes) noexcept { free_bytes_.fetch_add(bytes); }
  std::size_t free_bytes() const noexcept { return free_bytes_.load(); }

 private:
  std::atomic<std::size_t> free_bytes_;
};

/// A page source is three functions that never throw. This one asks the budget first, then the operating system.
class budgeted_source {
 public:
  explicit budgeted_source(byte_budget& budget) noexcept : budget_(&budget) {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    if (!budget_->take(bytes)) return nullptr;  // the arena's caller gets std::bad_alloc
    void* const pages = system_.map(bytes, alignment);
    if (pages == nullptr) budget_->give_back(bytes);
    return pages;
  }

  bool unmap(void* pages, std::size_t bytes) noexcept {
    if (!system_.unmap(pages, bytes)) return false;
    budget_->give_back(bytes);
    return true;
  }

  bool purge(void* pages, std::size_t bytes) noexcept { return system_.purge(pages, bytes); }

 private:
  byte_budget* budget_;
  miniheap::mmap_source system_;
};

/// A selection policy is one order: an allocation that fits into both miniheaps goes to the one that is `before`.
struct oldest_first {
  static constexpr bool before(const miniheap::occupancy& a, const miniheap::occupancy& b) noexcept {
    return a.sequence < b.sequence;
  }
};

// Say so where the policy is written: then a mistake is reported here, and not from the depths of the arena.
static_assert(miniheap::page_source<budgeted_source>);
static_assert(miniheap::selection_policy<oldest_first>);

struct tenant_arena
    : miniheap::miniheap_arena<budgeted_source, miniheap::no_lock, miniheap::first_fit, oldest_first,
                               miniheap::arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}> {
  using miniheap_arena::miniheap_arena;
};

using messages = std::list<long, miniheap::miniheap_allocator<long, tenant_arena>>;

/// Sends until the budget is used up; returns how many messages went through.
std::size_t send(messages& queue) {
  std::size_t sent = 0;
  try {
    for (;; ++sent) queue.push_back(static_cast<long>(sent));
  } catch (const std::bad_alloc&) {
  }
  return sent;
}

int main() {
  byte_budget budget{1 * MiB};
  tenant_arena red_arena{budgeted_source{budget}, "red"};
  tenant_arena blue_arena{budgeted_source{budget}, "blue"};
  messages red{red_arena};
  messages blue{blue_arena};

  const auto print = [&](const char* what, std::size_t sent) {
    std::printf("%-28s %6zu sent; red has %4zu KiB, blue %4zu KiB, the budget %4zu KiB\n", what, sent,
                red_arena.stats().mapped_bytes / KiB, blue_arena.stats().mapped_bytes / KiB, budget.free_bytes() / KiB);
  };
  print("at the start:", 0);
  print("red takes all there is:", send(red));
  print("nothing is left for blue:", send(blue));
  red.clear();  // empty miniheaps go back at once, as the reserve is 0
  print("red is done:", 0);
  print("now it is blue's turn:", send(blue));
}
