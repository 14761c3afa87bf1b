// SPDX-License-Identifier: BSL-1.0
/// \file
/// Which thread has a cache of which arena. There is one registry a process, however many shared objects the program is
/// made of: its few variables have default visibility. Nothing here allocates, and nothing needs a constructor to run.
///
/// Locks: the registry before an arena.
#pragma once

#include <miniheap/detail/stock.hpp>
#include <miniheap/policy/lock.hpp>

#include <pthread.h>

namespace miniheap::detail {

/// A node of a list whose head is a plain pointer. O(1).
template <class Node>
struct cache_link {
  Node* next = nullptr;
  Node** at = nullptr;  // the pointer that points here; nullptr: in no list

  void insert(Node*& head, Node& self, cache_link Node::*link) noexcept {
    next = head;
    at = &head;
    if (next != nullptr) (next->*link).at = &next;
    head = &self;
  }

  void remove(cache_link Node::*link) noexcept {
    *at = next;
    if (next != nullptr) (next->*link).at = at;
    *this = {};
  }
};

/// What one thread has in stock of one arena. It is in the lists of both, under the registry's lock.
struct thread_cache {
  thread_cache(void* of_whom, void (*flush_for_good)(thread_cache&) noexcept, void** arrays) noexcept
      : owner{of_whom}, leave{flush_for_good}, stock{arrays} {}

  cache_link<thread_cache> of_thread;
  cache_link<thread_cache> of_arena;
  void* owner;                            // the arena_caches
  void (*leave)(thread_cache&) noexcept;  // the thread ends: everything goes back to the arena, and so does the cache
  std::uint64_t key = 0;                  // the arena's when the stock was last known to be wanted
  detail::stock stock;
};

/// What a thread knows of its caches. An arena has a place in `current`, shared with others; a key is never used again,
/// so what was left there by an arena that is gone does no harm.
struct thread_caches {
  struct place {
    std::uint64_t key;
    thread_cache* cache;
  };
  static constexpr std::uint32_t places = 4;

  place current[places];
  thread_cache* all;  // under the registry's lock
  bool has_ended;     // its caches are gone; it makes no new ones
};

#define MINIHEAP_SHARED_BY_ALL_OBJECTS [[gnu::visibility("default")]]
MINIHEAP_SHARED_BY_ALL_OBJECTS inline thread_local constinit thread_caches caches_of_this_thread
    [[gnu::tls_model("initial-exec")]] = {};
MINIHEAP_SHARED_BY_ALL_OBJECTS inline constinit futex_mutex cache_registry_lock;
MINIHEAP_SHARED_BY_ALL_OBJECTS inline constinit std::uint64_t last_cache_key = 0;  // under the lock
MINIHEAP_SHARED_BY_ALL_OBJECTS inline constinit pthread_key_t cache_thread_key = 0;
MINIHEAP_SHARED_BY_ALL_OBJECTS inline constinit bool has_cache_thread_key = false;  // under the lock
#undef MINIHEAP_SHARED_BY_ALL_OBJECTS

/// While it lives nobody else makes, finds or removes a cache.
class registry_guard {
 public:
  registry_guard() noexcept { cache_registry_lock.lock(); }
  ~registry_guard() { cache_registry_lock.unlock(); }
  registry_guard(const registry_guard&) = delete;
  registry_guard& operator=(const registry_guard&) = delete;
};

/// Under the registry's lock.
inline std::uint64_t next_cache_key() noexcept { return ++last_cache_key; }

inline void leave_all_caches(void*) noexcept {
  const registry_guard guard;
  thread_caches& mine = caches_of_this_thread;
  mine.has_ended = true;
  for (thread_caches::place& place : mine.current) place = {};
  while (mine.all != nullptr) mine.all->leave(*mine.all);
}

/// Sees to it that `leave_all_caches` is called when the calling thread ends. False: it will not be, as the process is
/// out of keys or memory.
inline bool watch_this_thread() noexcept {
  {
    const registry_guard guard;
    if (!has_cache_thread_key) has_cache_thread_key = ::pthread_key_create(&cache_thread_key, leave_all_caches) == 0;
    if (!has_cache_thread_key) return false;
  }
  return ::pthread_setspecific(cache_thread_key, &caches_of_this_thread) == 0;  // which may allocate
}

}  // namespace miniheap::detail
