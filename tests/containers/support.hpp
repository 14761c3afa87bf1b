// SPDX-License-Identifier: BSL-1.0
// What the container tests share: arenas of several shapes behind one interface, elements that notice when memory goes
// wrong, and what must hold between any two stages.
#pragma once

#include <miniheap/miniheap.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <utility>

#include "catch.hpp"

namespace containers {

using miniheap::KiB;
using miniheap::MiB;

inline constexpr miniheap::arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 128 * KiB};

// Tiny miniheaps, so that some hundred elements already need several of them.
struct tiny_arena : miniheap::miniheap_arena<miniheap::counting_source<>, miniheap::no_lock, miniheap::first_fit,
                                             miniheap::fullest_first, tiny> {
  using miniheap_arena::miniheap_arena;
};
struct default_arena : miniheap::miniheap_arena<> {
  using miniheap_arena::miniheap_arena;
};
struct static_arena : tiny_arena {
  using tiny_arena::tiny_arena;
};

inline static_arena shared_arena{"static"};

/// REQUIRE for templates of which there are many instances: not expanded in each of them, which halves the time to
/// compile.
[[gnu::noinline]] inline void require(bool condition, const char* what) {
  INFO("expected: " << what);
  REQUIRE(condition);
}

[[gnu::noinline]] inline void require_valid(const miniheap::check_result& result, const miniheap::arena_stats& s) {
  INFO("broken: " << (result.broken == nullptr ? "nothing" : result.broken) << " at " << result.where);
  REQUIRE(static_cast<bool>(result));
  REQUIRE(s.mapped_bytes == s.live_bytes + s.free_slot_bytes + s.slab_waste_bytes + s.dirty_page_bytes +
                                s.clean_page_bytes + s.head_bytes + s.metadata_bytes);
}

/// All invariants of the arena hold, and its counters add up.
template <class Arena>
void require_valid(const Arena& arena) {
  require_valid(arena.check(), arena.stats());
}

/// ... and nothing is alive in it.
template <class Arena>
void require_empty(const Arena& arena) {
  require_valid(arena);
  const auto s = arena.stats();
  require(s.allocations == 0 && s.live_bytes == 0 && s.mappings == 0, "nothing is alive in the arena");
}

/// An arena of its own for each test, and allocators over it.
template <class Arena>
struct over {
  template <class T>
  using allocator = miniheap::miniheap_allocator<T, Arena>;

  template <class T>
  allocator<T> get() {
    return allocator<T>(arena);
  }

  Arena arena{"containers"};
};

/// The stateless allocator over one arena with static storage.
struct over_static {
  template <class T>
  using allocator = miniheap::miniheap_static_allocator<T, shared_arena>;

  template <class T>
  allocator<T> get() {
    return allocator<T>();
  }

  static_arena& arena = shared_arena;
};

using over_tiny = over<tiny_arena>;
using over_default = over<default_arena>;

/// An element that knows where it lives and how many of its kind do: a byte-wise move, a lost or doubled destructor and
/// memory given out twice all show.
class tracked {
 public:
  tracked(int value = 0) noexcept : value_(value), self_(this) { ++alive; }  // implicit, as a number is
  tracked(const tracked& other) noexcept : value_(other.value()), self_(this) { ++alive; }
  tracked& operator=(const tracked& other) noexcept {
    value();
    value_ = other.value();
    return *this;
  }
  ~tracked() {
    value();
    self_ = nullptr;
    --alive;
  }

  int value() const noexcept {
    if (self_ != this) broken();
    return value_;
  }

  friend bool operator==(const tracked& a, const tracked& b) noexcept { return a.value() == b.value(); }
  friend bool operator<(const tracked& a, const tracked& b) noexcept { return a.value() < b.value(); }

  static inline long alive = 0;

 private:
  // A destructor cannot report to Catch, and there are too many calls for its assertions.
  [[noreturn]] void broken() const noexcept {
    std::fprintf(stderr, "tracked element at %p was overwritten, or moved without its constructor\n",
                 static_cast<const void*>(this));
    std::abort();
  }

  int value_;
  const tracked* self_;
};

struct tracked_hash {
  std::size_t operator()(const tracked& t) const noexcept { return std::hash<int>{}(t.value()); }
};

/// Reproducible numbers; a constant seed on purpose.
class sequence_of_numbers {
 public:
  int below(int limit) noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    return static_cast<int>((state_ >> 33) % static_cast<std::uint64_t>(limit));
  }

 private:
  std::uint64_t state_ = 20260101;
};

/// What every container does in its life. `fill(container, n)` adds n elements, not the same ones for each n.
template <class Container, class Environment, class Fill>
void live_and_die(Environment& env, Fill fill) {
  using allocator = typename Container::allocator_type;
  const allocator from = env.template get<typename allocator::value_type>();
  const long alive_before = tracked::alive;
  {
    Container original(from);
    fill(original, 700);
    require_valid(env.arena);
    require(env.arena.stats().allocations > 0, "elements are in the arena");

    Container copy(original);
    require(copy == original, "a copy is equal");
    require(copy.get_allocator() == original.get_allocator(), "a copy is in the same arena");
    Container copy_with_allocator(original, from);
    require(copy_with_allocator == original, "a copy with an allocator is equal");
    require_valid(env.arena);

    const auto before_moves = env.arena.stats().live_bytes;
    Container moved(std::move(copy));
    require(moved == original, "what was moved is equal");
    Container moved_with_allocator(std::move(copy_with_allocator), from);
    require(moved_with_allocator == original, "what was moved with an allocator is equal");
    // A move between equal allocators copies no element. (A moved-from deque or list may allocate an empty frame.)
    require(env.arena.stats().live_bytes <= before_moves + 4 * KiB, "a move copies no element");
    require_valid(env.arena);

    Container target(from);
    fill(target, 90);
    target = original;
    require(target == original, "copy assignment");
    Container other(from);
    fill(other, 33);
    const Container small(other);
    target = std::move(other);
    require(target == small, "move assignment");
    require_valid(env.arena);

    using std::swap;
    swap(target, moved);
    require(target == original && moved == small, "swap");
    target.swap(moved);
    require(target == small && moved == original, "swap back");
    const Container& same = target;
    target = same;
    require(target == small, "self-assignment");

    target.clear();
    require(target.empty(), "clear");
    fill(target, 5);
    other.clear();
    fill(other, 5);
    require(other == target, "a cleared and a moved-from container serve on");
    require_valid(env.arena);
  }
  require(tracked::alive == alive_before, "each element was destroyed once");
  require_empty(env.arena);
}

}  // namespace containers
