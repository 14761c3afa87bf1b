// SPDX-License-Identifier: BSL-1.0
/// \file
/// Which thread has a cache of which arena. There is one registry a process, however many shared objects the program is
/// made of: its few variables have default visibility. Nothing here allocates, and nothing needs a constructor to run.
///
/// Locks: the registry before an arena. So page sources and visitors use no arena with a thread cache.
#pragma once

#include <miniheap/detail/page_supply.hpp>
#include <miniheap/detail/quarantine.hpp>
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
  thread_cache(void* of_whom, void (*flush_for_good)(thread_cache&) noexcept, void** arrays, std::uint32_t lane,
               quarantine* freed) noexcept
      : owner{of_whom}, leave{flush_for_good}, waiting{freed}, stock{arrays, lane} {}

  /// Gives everything back to the arena.
  template <class Arena>
  void flush(Arena& arena) noexcept {
    if (waiting != nullptr) waiting->flush([&](void* p, std::uint32_t c) { arena.deallocate_batch(c, &p, 1); });
    stock.flush(arena);
  }

  [[nodiscard]] std::size_t slots() const noexcept {
    return stock.slots() + (waiting != nullptr ? waiting->slots() : 0);
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return stock.bytes() + (waiting != nullptr ? waiting->bytes() : 0);
  }

  cache_link<thread_cache> of_thread;
  cache_link<thread_cache> of_arena;
  void* owner;                            // the arena_caches
  void (*leave)(thread_cache&) noexcept;  // the thread ends: everything goes back to the arena, and so does the cache
  std::uint64_t key = 0;                  // the arena's when the stock was last known to be wanted
  quarantine* waiting;                    // of a hardened arena; else nullptr
  detail::stock stock;
};

class cache_registry;

/// What a thread knows of its caches. An arena has a place in `current`, shared with others; a key is never used again,
/// so what was left there by an arena that is gone does no harm.
struct thread_caches {
  struct place {
    std::uint64_t key;
    thread_cache* cache;
  };
  static constexpr std::uint32_t places = 16;

  place current[places];
  thread_cache* all;         // under the registry's lock
  cache_registry* registry;  // nullptr until the thread has a cache
  bool has_ended;            // its caches are gone; it makes no new ones
};

/// Who holds its lock may take it again: a callback may use another arena. While it is held nobody else makes, finds or
/// removes a cache.
class cache_registry {
 public:
  constexpr explicit cache_registry(thread_caches& (*of_caller)() noexcept) noexcept : caches_of_caller{of_caller} {}

  void lock() noexcept {
    if (!is_mine()) mutex_.lock();
    take();
  }
  bool try_lock() noexcept {
    if (!is_mine() && !mutex_.try_lock()) return false;
    take();
    return true;
  }
  void unlock() noexcept {
    if (--depth_ != 0) return;
    __atomic_store_n(&holder_, nullptr, __ATOMIC_RELAXED);
    mutex_.unlock();
  }

  /// Under the lock. Where a program has a registry more than once (a plug-in of a program that exports no symbols),
  /// keys begin far apart.
  std::uint64_t next_key() noexcept {
    if (last_key_ == 0) last_key_ = address_of(this) * 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
    return ++last_key_;
  }

  /// Sees to it that the calling thread's caches are left when it ends. False: it will not be, as the process is out of
  /// keys or memory.
  bool watch(thread_caches& mine) noexcept {
    lock();
    mine.registry = this;
    if (!has_thread_key_) has_thread_key_ = ::pthread_key_create(&thread_key_, leave_all) == 0;
    const bool has_key = has_thread_key_;
    unlock();
    return has_key && ::pthread_setspecific(thread_key_, &mine) == 0;  // which may allocate
  }

  thread_caches& (*const caches_of_caller)() noexcept;

 private:
  [[nodiscard]] bool is_mine() const noexcept { return __atomic_load_n(&holder_, __ATOMIC_RELAXED) == this_thread(); }
  void take() noexcept {
    __atomic_store_n(&holder_, this_thread(), __ATOMIC_RELAXED);
    ++depth_;
  }

  static void leave_all(void* of_thread) noexcept {
    auto& mine = *static_cast<thread_caches*>(of_thread);
    mine.registry->lock();
    mine.has_ended = true;
    for (thread_caches::place& place : mine.current) place = {};
    while (mine.all != nullptr) mine.all->leave(*mine.all);
    mine.registry->unlock();
  }

  futex_mutex mutex_;
  const void* holder_ = nullptr;  // a thread's mark; changed by the thread that has the mutex
  unsigned depth_ = 0;
  std::uint64_t last_key_ = 0;
  pthread_key_t thread_key_ = 0;
  bool has_thread_key_ = false;
};

// In static thread-local storage: it lies at the same distance from where a thread's memory begins in each thread,
// which is how arenas find it (arena_caches.hpp).
#define MINIHEAP_SHARED_BY_ALL_OBJECTS [[gnu::visibility("default")]]
MINIHEAP_SHARED_BY_ALL_OBJECTS inline thread_local constinit thread_caches caches_of_this_thread
    [[gnu::tls_model("initial-exec")]] = {};
inline thread_caches& find_caches_of_this_thread() noexcept { return caches_of_this_thread; }
MINIHEAP_SHARED_BY_ALL_OBJECTS inline constinit cache_registry shared_cache_registry{find_caches_of_this_thread};
#undef MINIHEAP_SHARED_BY_ALL_OBJECTS

class registry_guard {
 public:
  enum class is_held { no, yes };

  explicit registry_guard(cache_registry& registry, is_held held = is_held::no) noexcept : registry_{registry} {
    if (held == is_held::no) registry_.lock();
  }
  ~registry_guard() { registry_.unlock(); }
  registry_guard(const registry_guard&) = delete;
  registry_guard& operator=(const registry_guard&) = delete;

 private:
  cache_registry& registry_;
};

}  // namespace miniheap::detail
