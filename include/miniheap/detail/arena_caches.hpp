// SPDX-License-Identifier: BSL-1.0
/// \file
/// The thread caches of one arena: how a thread finds its own, and how they come and go.
#pragma once

#include <miniheap/detail/thread_registry.hpp>
#include <miniheap/stats.hpp>

#include <new>

namespace miniheap::detail {

/// The arena outlives its caches' last slot: this is destroyed first. Lists and `key_` change under the registry's
/// lock. Every call of every thread reads `key_`, so it lies in no cache line with what the arena changes.
template <class Arena>
class alignas(cache_line_bytes) arena_caches {
 public:
  explicit arena_caches(Arena& arena) noexcept : arena_{arena} {
    const registry_guard guard{registry_};
    change_key();
    const std::uintptr_t place = address_of(&registry_.caches_of_caller().current[key_ % thread_caches::places]);
    const std::uintptr_t of_thread = address_of(__builtin_thread_pointer());
    __atomic_store_n(&place_bytes_, static_cast<std::intptr_t>(place - of_thread), __ATOMIC_RELEASE);
  }
  arena_caches(const arena_caches&) = delete;
  arena_caches& operator=(const arena_caches&) = delete;
  ~arena_caches() {
    {
      const registry_guard guard{registry_};
      for (thread_cache* cache = first_; cache != nullptr; cache = cache->of_arena.next) cache->flush(arena_);
    }
    drop();
  }

  [[nodiscard]] cache_registry& registry() const noexcept { return registry_; }

  /// Where the calling thread's cache is found while the place `is_current`: not so before `attach`, and not after the
  /// key has changed. Also not in memory that is all zero, where these caches are not constructed yet: the place is
  /// then where the thread's memory begins, which is with its own address (x86-64 psABI), and the key is zero. Whoever
  /// sees the place sees the key, too.
  [[nodiscard, gnu::always_inline]] thread_caches::place& my_place() const noexcept {
    std::intptr_t place = __atomic_load_n(&place_bytes_, __ATOMIC_ACQUIRE);
    // Each time anew, as a coroutine or a fiber may go on in another thread: what the compiler knows of threads it
    // takes to be the same throughout a function.
    asm("add %%fs:0, %0" : "+r"(place) : : "cc");
    return *reinterpret_cast<thread_caches::place*>(place);
  }
  [[nodiscard, gnu::always_inline]] bool is_current(const thread_caches::place& mine) const noexcept {
    return mine.key == __atomic_load_n(&key_, __ATOMIC_RELAXED);
  }

  /// The calling thread's cache, made where it has none; nullptr: the thread is about to end, or there is no memory.
  thread_cache* attach() noexcept {
    if (const thread_caches::place& mine = my_place(); is_current(mine)) return mine.cache;
    thread_caches& mine = registry_.caches_of_caller();
    if (mine.has_ended) return nullptr;
    thread_cache* cache = nullptr;
    bool is_first = false;
    {
      const registry_guard guard{registry_};
      is_first = mine.all == nullptr;
      cache = find_registered();
      if (cache == nullptr) cache = make(mine);
      if (cache == nullptr) return nullptr;
      if (cache->key != key_) cache->flush(arena_);  // it was called back
      cache->key = key_;
      my_place() = {key_, cache};
    }
    if (is_first && !registry_.watch(mine)) {
      const registry_guard guard{registry_};
      leave(*cache);
      my_place() = {};
      return nullptr;
    }
    return cache;
  }

  /// The calling thread's cache, or nullptr.
  [[nodiscard]] thread_cache* find() const noexcept {
    if (const thread_caches::place& mine = my_place(); is_current(mine)) return mine.cache;
    const registry_guard guard{registry_};
    return find_registered();
  }

  /// Each thread gives its stock back at its next call that needs a cache.
  void call_back() noexcept {
    const registry_guard guard{registry_};
    change_key();
  }

  /// Forgets what is in stock: the arena is about to go, or to be as new. No thread is inside a call.
  void drop() noexcept {
    {
      const registry_guard guard{registry_};
      change_key();
      while (first_ != nullptr) unlink(*first_);
    }
    give_back_spares();
  }

  /// The calling thread is the only one now: the caches of the others are spare. What they had in stock is lost, as it
  /// may have been in the middle of a change.
  void after_fork_in_child() noexcept {
    const registry_guard guard{registry_};
    const thread_cache* const mine = find_registered();
    for (thread_cache* cache = first_; cache != nullptr;) {
      thread_cache* const gone = cache;
      cache = cache->of_arena.next;
      if (gone == mine) continue;
      gone->of_arena.remove(&thread_cache::of_arena);
      gone->~thread_cache();
      add_spare(gone);
    }
  }

  void give_back_spares() noexcept {
    const registry_guard guard{registry_};
    void* rest = spares_;
    spares_ = nullptr;
    while (rest != nullptr) {
      void* const spare = rest;
      rest = *static_cast<void**>(spare);
      if (!arena_.unmap_metadata(spare, cache_bytes)) add_spare(spare);
    }
  }

  /// Corrects what the arena, to which all that is in stock is live, says. Under the registry's lock.
  void subtract_from(arena_stats& stats) const noexcept {
    std::size_t slots = 0;
    for (const thread_cache* cache = first_; cache != nullptr; cache = cache->of_arena.next) {
      stats.cache_bytes += cache->bytes();
      slots += cache->slots();
    }
    // Other threads go on meanwhile: what was taken from the arena since its statistics were made is not in them.
    if (stats.cache_bytes > stats.live_bytes) stats.cache_bytes = stats.live_bytes;
    stats.live_bytes -= stats.cache_bytes;
    stats.allocations -= slots < stats.allocations ? slots : stats.allocations;
  }

 private:
  /// A cache, the arrays of its stock, and what else there is.
  static constexpr bool has_quarantine = Arena::config.checks == beneath_hardened;
  static constexpr std::size_t quarantine_at = align_up(sizeof(thread_cache) + stock_array_bytes, alignof(quarantine));
  static constexpr std::size_t cache_bytes =
      align_up(quarantine_at + (has_quarantine ? sizeof(quarantine) : 0), page_bytes);
  static_assert(sizeof(thread_cache) % sizeof(void*) == 0, "the arrays lie right behind");

  thread_cache* find_registered() const noexcept {
    thread_cache* cache = registry_.caches_of_caller().all;
    while (cache != nullptr && cache->owner != this) cache = cache->of_thread.next;
    return cache;
  }

  thread_cache* make(thread_caches& mine) noexcept {
    void* memory = spares_;
    if (memory != nullptr) {
      spares_ = *static_cast<void**>(memory);
    } else {
      memory = arena_.map_metadata(cache_bytes);
      if (memory == nullptr) return nullptr;
    }
    auto** const arrays = reinterpret_cast<void**>(static_cast<std::byte*>(memory) + sizeof(thread_cache));
    quarantine* waiting = nullptr;
    if constexpr (has_quarantine) waiting = ::new (static_cast<std::byte*>(memory) + quarantine_at) quarantine;
    auto& cache = *::new (memory) thread_cache{this, leave, arrays, least_used_lane(), waiting};
    cache.key = key_;
    cache.of_thread.insert(mine.all, cache, &thread_cache::of_thread);
    cache.of_arena.insert(first_, cache, &thread_cache::of_arena);
    return &cache;
  }

  /// So threads that come one after the other go on where the ones before them left off. O(threads).
  std::uint32_t least_used_lane() const noexcept {
    std::uint32_t threads[thread_lanes] = {};
    for (const thread_cache* cache = first_; cache != nullptr; cache = cache->of_arena.next)
      ++threads[cache->stock.lane()];
    std::uint32_t least = 0;
    for (std::uint32_t lane = 1; lane < thread_lanes; ++lane) {
      if (threads[lane] < threads[least]) least = lane;
    }
    return least;
  }

  static void leave(thread_cache& cache) noexcept {
    auto& self = *static_cast<arena_caches*>(cache.owner);
    cache.flush(self.arena_);
    self.unlink(cache);
  }

  /// Takes a cache out of the lists and keeps its memory for the next thread.
  void unlink(thread_cache& cache) noexcept {
    cache.of_thread.remove(&thread_cache::of_thread);
    cache.of_arena.remove(&thread_cache::of_arena);
    cache.~thread_cache();
    add_spare(&cache);
  }

  void add_spare(void* memory) noexcept { spares_ = ::new (memory) void*(spares_); }

  void change_key() noexcept { __atomic_store_n(&key_, registry_.next_key(), __ATOMIC_RELAXED); }

  Arena& arena_;
  cache_registry& registry_ = shared_cache_registry;
  std::uint64_t key_ = 0;          // never used before; other threads compare theirs with it
  std::intptr_t place_bytes_ = 0;  // from where a thread's memory begins to the place in its `current`
  thread_cache* first_ = nullptr;  // a list
  void* spares_ = nullptr;         // memory for caches, a list
};

}  // namespace miniheap::detail
