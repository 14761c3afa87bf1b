// SPDX-License-Identifier: BSL-1.0
/// \file
/// A thread cache in front of an arena: each thread keeps a stock of free slots, so that most calls take no lock.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/detail/thread_registry.hpp>

namespace miniheap {

/// A layer with an arena's interface, for arenas that many threads use. Small allocations come from a stock of slots
/// that the calling thread keeps for itself and that is filled from the arena, and emptied into it, in batches; medium
/// and large ones go to the arena. A stock grows with use, up to `arena_config::thread_cache_bytes`; what was not used
/// for a while goes back, and all of it does when the thread ends, on `trim()` and on `release()`.
///
/// Any thread may call anything, as often as it likes, and may outlive the arena; the arena may outlive its threads.
/// Only the destructor and `release()` need that no other thread is inside a call.
///
/// To the arena a slot in stock is in use: `walk()` shows the stocks of other threads as allocations, `stats()` does
/// not count them as live. A wrong free is stopped as the arena does it, though some only when the slot goes back to
/// it.
template <class Arena>
class thread_cached {
 public:
  using source_type = typename Arena::source_type;
  static constexpr arena_config config = Arena::config;

  /// What `Arena` is constructed with. Nothing is mapped yet.
  template <class... Arguments>
  explicit thread_cached(Arguments&&... arguments) requires std::constructible_from<Arena, Arguments...>
      : arena_{static_cast<Arguments&&>(arguments)...} {
    const detail::registry_guard guard;
    key_ = detail::next_cache_key();
    place_ = static_cast<std::uint32_t>(key_ % detail::thread_caches::places);
  }

  thread_cached(const thread_cached&) = delete;
  thread_cached& operator=(const thread_cached&) = delete;

  ~thread_cached() { drop_caches(); }

  /// \name As the arena's.
  ///@{
  [[nodiscard, gnu::always_inline]] void* allocate(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = try_allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      throw_bad_alloc();
    return p;
  }

  [[nodiscard, gnu::always_inline]] void* try_allocate(std::size_t bytes,
                                                       std::size_t alignment = default_alignment) noexcept {
    const std::uint32_t c = stock_class(bytes, alignment);
    if (c != detail::stock_classes) [[likely]] {
      const place& mine = my_place();
      if (is_current(mine) && !mine.cache->stock.is_empty(c)) [[likely]]
        return mine.cache->stock.take(c);
    }
    return allocate_more(c, bytes, alignment);
  }

  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (stock_class(bytes, alignment) == detail::stock_classes) return arena_.try_allocate_zeroed(bytes, alignment);
    void* const p = try_allocate(bytes, alignment);
    return p == nullptr ? nullptr : std::memset(p, 0, bytes);
  }

  [[nodiscard]] sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment = default_alignment) {
    const std::uint32_t c = stock_class(bytes, alignment);
    if (c == detail::stock_classes) return arena_.allocate_at_least(bytes, alignment);
    return {allocate(bytes, alignment), detail::bytes_of_stock_class(c)};
  }

  [[gnu::always_inline]] void deallocate(void* p) noexcept { put(arena_.stock_class_of(p), p); }

  /// \name What takes no call but a look into the stock, for a malloc that has to be short. nullptr, false: it takes
  /// more, and nothing was done. Small allocations only, at the default alignment.
  ///@{
  [[nodiscard, gnu::always_inline]] void* try_allocate_quickly(std::size_t bytes) noexcept {
    if (bytes > detail::max_small_bytes) [[unlikely]]
      return nullptr;
    const std::uint32_t c = detail::size_class(bytes);
    const place& mine = my_place();
    return is_current(mine) && !mine.cache->stock.is_empty(c) ? mine.cache->stock.take(c) : nullptr;
  }

  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p) noexcept {
    const std::uint32_t c = arena_.slot_class_of(p);
    return c != detail::stock_classes && try_put(c, p);
  }

  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p, std::size_t bytes) noexcept {
    if (bytes > detail::max_small_bytes) [[unlikely]]
      return false;
    const std::uint32_t c = detail::size_class(bytes);
    return arena_.slot_class_of(p) == c && try_put(c, p);
  }
  ///@}

  [[gnu::always_inline]] void deallocate(void* p, std::size_t bytes,
                                         std::size_t alignment = default_alignment) noexcept {
    const std::uint32_t c = stock_class(bytes, alignment);
    if (c == detail::stock_classes || !arena_.has_stock_class(p, c)) [[unlikely]]
      return deallocate_more(p, bytes, alignment);
    put(c, p);
  }

  [[nodiscard]] void* reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const q = try_reallocate(p, bytes, alignment);
    if (q == nullptr) throw_bad_alloc();
    return q;
  }

  [[nodiscard]] void* try_reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return try_allocate(bytes, alignment);
    const std::uint32_t c = arena_.stock_class_of(p);
    const bool stays = std::has_single_bit(alignment) && (c == detail::stock_classes || serves(c, bytes, alignment));
    if (stays || !std::has_single_bit(alignment)) return reallocate_in_arena(p, bytes, alignment);
    void* const q = try_allocate(bytes, alignment);
    if (q == nullptr) return nullptr;
    const std::size_t old_bytes = detail::bytes_of_stock_class(c);
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(p);
    return q;
  }

  [[nodiscard]] bool owns(const void* p) const noexcept { return arena_.owns(p); }

  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    const std::uint32_t c = arena_.stock_class_of(p);
    return c == detail::stock_classes ? arena_.usable_size(p) : detail::bytes_of_stock_class(c);
  }

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return arena_.mapped_bytes(); }

  [[nodiscard]] arena_stats stats() const noexcept {
    const detail::registry_guard guard;
    arena_stats stats = arena_.stats();
    subtract_stocks(stats);
    return stats;
  }

  /// As the arena's. The stocks of other threads go back at their next call.
  std::size_t trim() noexcept {
    {
      const detail::registry_guard guard;
      change_key();
    }
    const std::size_t before_bytes = arena_.mapped_bytes();
    flush();
    give_back_spares();
    const std::size_t unmapped_bytes = before_bytes - arena_.mapped_bytes();  // unless others map at the same time
    return arena_.trim() + (unmapped_bytes <= before_bytes ? unmapped_bytes : 0);
  }

  void release() noexcept {
    drop_caches();
    arena_.release();
  }

  template <class Visitor>
  void walk(Visitor&& visitor) const {
    flush();
    arena_.walk(visitor);
  }

  [[nodiscard]] check_result check() const noexcept {
    if (detail::thread_cache* const cache = find_cache()) {
      if (const char* const broken = cache->stock.check()) return {broken, cache};
    }
    flush();
    return arena_.check();
  }

  template <std::invocable<std::string_view> Sink>
  void dump(Sink&& sink, dump_format format = dump_format::text) const {
    const detail::registry_guard guard;
    arena_.dump(sink, format, [&](arena_stats& stats) { subtract_stocks(stats); });
  }

  template <std::invocable<std::string_view> Sink>
  bool try_dump(Sink&& sink, dump_format format = dump_format::text) const {
    if (!detail::cache_registry_lock.try_lock()) return false;
    const bool is_written = arena_.try_dump(sink, format, [&](arena_stats& stats) { subtract_stocks(stats); });
    detail::cache_registry_lock.unlock();
    return is_written;
  }

  void lock() const noexcept {
    detail::cache_registry_lock.lock();
    arena_.lock();
  }
  void unlock() const noexcept {
    arena_.unlock();
    detail::cache_registry_lock.unlock();
  }

  [[nodiscard]] source_type& source() noexcept { return arena_.source(); }
  [[nodiscard]] const source_type& source() const noexcept { return arena_.source(); }
  [[nodiscard]] const char* name() const noexcept { return arena_.name(); }
  ///@}

  /// Gives the stock of the calling thread back to the arena.
  void flush() const noexcept {
    if (detail::thread_cache* const cache = find_cache()) cache->stock.flush(arena_);
  }

 private:
  static constexpr bool is_checked = config.checks != check_level::none;

  [[gnu::always_inline]] static std::uint32_t stock_class(std::size_t bytes, std::size_t alignment) noexcept {
    return std::has_single_bit(alignment) ? Arena::stock_class(bytes, alignment) : detail::stock_classes;
  }

  static bool serves(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    return stock_class(bytes, alignment) == c;
  }

  /// Where the calling thread's cache is found; not so before `attach`, and after the key has changed.
  using place = detail::thread_caches::place;
  [[nodiscard, gnu::always_inline]] const place& my_place() const noexcept {
    return detail::caches_of_this_thread.current[place_];
  }
  [[nodiscard, gnu::always_inline]] bool is_current(const place& mine) const noexcept {
    return mine.key == __atomic_load_n(&key_, __ATOMIC_RELAXED);
  }

  [[gnu::always_inline]] void put(std::uint32_t c, void* p) noexcept {
    if (c == detail::stock_classes || !try_put(c, p)) [[unlikely]]
      deallocate_more(c, p);
  }

  /// False: the stock is full, or not there, or that is a double free.
  [[gnu::always_inline]] bool try_put(std::uint32_t c, void* p) noexcept {
    const place& mine = my_place();
    if (!is_current(mine) || mine.cache->stock.is_full(c)) [[unlikely]]
      return false;
    if (is_checked && mine.cache->stock.was_put_last(c, p)) [[unlikely]]
      return false;
    mine.cache->stock.put(c, p);
    return true;
  }

  /// The arena knows how to complain.
  [[gnu::noinline, gnu::cold]] void free_twice(detail::thread_cache& cache, std::uint32_t c, void* p) noexcept {
    cache.stock.flush(arena_);
    arena_.deallocate_batch(c, &p, 1);
  }

  [[gnu::noinline]] void* allocate_more(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    if (c != detail::stock_classes) {
      if (detail::thread_cache* const cache = attach()) {
        if (!cache->stock.is_empty(c)) return cache->stock.take(c);
        if (void* const p = cache->stock.refill(arena_, c, config.thread_cache_bytes)) return p;
      }
    }
    if (void* const p = arena_.try_allocate(bytes, alignment)) return p;
    flush();  // what is in stock may be what is missing
    return arena_.try_allocate(bytes, alignment);
  }

  [[gnu::noinline]] void deallocate_more(std::uint32_t c, void* p) noexcept {
    if (c == detail::stock_classes) return arena_.deallocate(p);
    if (detail::thread_cache* const cache = attach()) {
      if (is_checked && !cache->stock.is_full(c) && cache->stock.was_put_last(c, p)) return free_twice(*cache, c, p);
      cache->stock.overflow(arena_, c, p, config.thread_cache_bytes);
    } else {
      arena_.deallocate_batch(c, &p, 1);
    }
  }

  [[gnu::noinline]] void deallocate_more(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    arena_.deallocate(p, bytes, alignment);
  }

  [[gnu::noinline]] void* reallocate_in_arena(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if (void* const q = arena_.try_reallocate(p, bytes, alignment)) return q;
    flush();
    return arena_.try_reallocate(p, bytes, alignment);
  }

  /// \name Caches come and go.
  ///@{
  static constexpr std::size_t cache_bytes = detail::align_up(
      detail::align_up(sizeof(detail::thread_cache), sizeof(void*)) + detail::stock_array_bytes, detail::page_bytes);

  /// The calling thread's cache, made where it has none; nullptr: the thread is about to end, or there is no memory.
  detail::thread_cache* attach() noexcept {
    detail::thread_caches& mine = detail::caches_of_this_thread;
    if (mine.has_ended) return nullptr;
    detail::thread_cache* cache = nullptr;
    bool is_first = false;
    {
      const detail::registry_guard guard;
      is_first = mine.all == nullptr;
      cache = find_in_registry();
      if (cache == nullptr) cache = make_cache(mine);
      if (cache == nullptr) return nullptr;
      // Since the key has changed the stock is not wanted.
      if (cache->key != key_) cache->stock.flush(arena_);
      cache->key = key_;
      mine.current[place_] = {key_, cache};
    }
    if (is_first && !detail::watch_this_thread()) {
      const detail::registry_guard guard;
      leave(*cache);
      mine.current[place_] = {};
      return nullptr;
    }
    return cache;
  }

  /// The same where there is one. The calling thread's list changes under the lock only, even by others.
  detail::thread_cache* find_cache() const noexcept {
    if (const place& mine = my_place(); is_current(mine)) return mine.cache;
    const detail::registry_guard guard;
    return find_in_registry();
  }

  detail::thread_cache* find_in_registry() const noexcept {
    detail::thread_cache* cache = detail::caches_of_this_thread.all;
    while (cache != nullptr && cache->arena != this) cache = cache->of_thread.next;
    return cache;
  }

  detail::thread_cache* make_cache(detail::thread_caches& mine) noexcept {
    void* memory = spares_;
    if (memory != nullptr) {
      spares_ = *static_cast<void**>(memory);
    } else {
      memory = arena_.map_metadata(cache_bytes);
      if (memory == nullptr) return nullptr;
    }
    auto** const arrays = reinterpret_cast<void**>(static_cast<std::byte*>(memory) +
                                                   detail::align_up(sizeof(detail::thread_cache), sizeof(void*)));
    auto& cache = *::new (memory) detail::thread_cache{this, leave, arrays};
    cache.key = key_;
    cache.of_thread.insert(mine.all, cache, &detail::thread_cache::of_thread);
    cache.of_arena.insert(caches_, cache, &detail::thread_cache::of_arena);
    return &cache;
  }

  static void leave(detail::thread_cache& cache) noexcept {
    auto& self = *static_cast<thread_cached*>(cache.arena);
    cache.stock.flush(self.arena_);
    self.unlink(cache);
  }

  /// Takes a cache out of the lists and keeps its memory for the next thread.
  void unlink(detail::thread_cache& cache) noexcept {
    cache.of_thread.remove(&detail::thread_cache::of_thread);
    cache.of_arena.remove(&detail::thread_cache::of_arena);
    cache.~thread_cache();
    spares_ = ::new (static_cast<void*>(&cache)) void* {spares_};
  }

  /// Forgets what is in stock: the arena is about to go, or to be as new.
  void drop_caches() noexcept {
    {
      const detail::registry_guard guard;
      change_key();
      while (caches_ != nullptr) unlink(*caches_);
    }
    give_back_spares();
  }

  void give_back_spares() noexcept {
    const detail::registry_guard guard;
    void* rest = spares_;
    spares_ = nullptr;
    while (rest != nullptr) {
      void* const spare = rest;
      rest = *static_cast<void**>(spare);
      if (!arena_.unmap_metadata(spare, cache_bytes)) spares_ = ::new (spare) void* {spares_};
    }
  }

  void change_key() noexcept { __atomic_store_n(&key_, detail::next_cache_key(), __ATOMIC_RELAXED); }

  void subtract_stocks(arena_stats& stats) const noexcept {
    for (const detail::thread_cache* cache = caches_; cache != nullptr; cache = cache->of_arena.next) {
      stats.cache_bytes += cache->stock.bytes();
      stats.allocations -= cache->stock.slots();
    }
    stats.live_bytes -= stats.cache_bytes;
  }
  ///@}

  [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }

  mutable Arena arena_;                     // a flush changes nothing that can be told from outside
  std::uint64_t key_ = 0;                   // written under the registry's lock
  std::uint32_t place_ = 0;                 // in each thread's `current`
  detail::thread_cache* caches_ = nullptr;  // under the registry's lock
  void* spares_ = nullptr;                  // memory for caches, a list; under the registry's lock
};

/// The default for servers: as `miniheap_arena<>`, with a thread cache in front.
using miniheap_server_arena = thread_cached<miniheap_arena<>>;

}  // namespace miniheap
