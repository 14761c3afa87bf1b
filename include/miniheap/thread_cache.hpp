// SPDX-License-Identifier: BSL-1.0
/// \file
/// A thread cache in front of an arena: each thread keeps a stock of free slots, so that most calls take no lock.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/detail/arena_caches.hpp>
#include <miniheap/detail/custody.hpp>

namespace miniheap {

/// A layer with an arena's interface, for arenas that many threads use. Small allocations come from a stock of slots
/// that the calling thread keeps for itself and that is filled from the arena, and emptied into it, in batches; medium
/// and large ones go to the arena. A stock grows with use, up to `arena_config::thread_cache_bytes` or a share of what
/// is in use; what was not used for a while goes back, and all of it does when the thread ends, on `trim()` and on
/// `release()`.
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
  using set_lock = typename Arena::set_lock;
  static constexpr arena_config config = Arena::config;

  /// What `Arena` is constructed with. Nothing is mapped yet.
  template <class... Arguments>
  explicit thread_cached(Arguments&&... arguments) requires std::constructible_from<Arena, Arguments...>
      : arena_{static_cast<Arguments&&>(arguments)...} {}

  thread_cached(const thread_cached&) = delete;
  thread_cached& operator=(const thread_cached&) = delete;

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
      const place& mine = caches_.my_place();
      void* const p = caches_.is_current(mine) ? mine.cache->stock.try_take(c) : nullptr;
      if (p != nullptr) [[likely]]
        return to_program(p);
    }
    return allocate_more(c, bytes, alignment);
  }

  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (stock_class(bytes, alignment) == detail::stock_classes) {
      if (void* const p = arena_.try_allocate_zeroed(bytes, alignment)) return p;
      flush();
      return arena_.try_allocate_zeroed(bytes, alignment);
    }
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
    void* const p = try_take(detail::size_class(bytes));
    return p == nullptr ? nullptr : to_program(p);
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
    if (!std::has_single_bit(alignment)) return nullptr;
    const std::uint32_t c = arena_.stock_class_of(p);
    if (is_in_stock(c, p)) [[unlikely]]
      stop_double_free(c, p);
    const bool is_slot = detail::is_slot_class(c);
    const bool floats = is_slot && (serves(c, bytes, alignment) || arena_.was_sparse());
    if (floats) return reallocate_in_arena(p, bytes, alignment);
    // Where there is no allocation at `p`, the arena stops here.
    const std::size_t old_bytes = c == detail::stock_classes ? arena_.usable_size(p) : detail::bytes_of_stock_class(c);
    if (!is_slot && bytes > detail::max_small_bytes) {
      if (void* const q = arena_.try_resize(p, bytes, alignment)) return q;
    }
    void* const q = try_allocate(bytes, alignment);  // a copy is made without the arena's lock
    if (q == nullptr)
      return is_slot ? nullptr : arena_.try_resize(p, bytes, alignment);  // the stock went back meanwhile
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(p);
    return q;
  }

  [[nodiscard]] bool owns(const void* p) const noexcept { return arena_.owns(p); }

  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    const std::uint32_t c = arena_.stock_class_of(p);
    if (is_in_stock(c, p)) [[unlikely]]
      stop_double_free(c, p);
    return c == detail::stock_classes ? arena_.usable_size(p) : detail::bytes_of_stock_class(c);
  }

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return arena_.mapped_bytes(); }

  [[nodiscard]] arena_stats stats() const noexcept {
    const detail::registry_guard guard{caches_.registry()};
    arena_stats stats = arena_.stats();
    caches_.subtract_from(stats);
    return stats;
  }

  /// As the arena's. The stocks of other threads go back at their next call.
  std::size_t trim(std::size_t target_bytes = 0) noexcept {
    caches_.call_back();
    const std::size_t before_bytes = arena_.given_back_bytes();
    flush();
    caches_.give_back_spares();
    const std::size_t flushed_bytes = arena_.given_back_bytes() - before_bytes;  // unless others map at the same time
    return arena_.trim(target_bytes) + (flushed_bytes <= PTRDIFF_MAX ? flushed_bytes : 0);
  }

  void release() noexcept {
    caches_.drop();
    arena_.release();
  }

  template <class Visitor>
  void walk(Visitor&& visitor) const {
    flush();
    arena_.walk(visitor);
  }

  [[nodiscard]] check_result check() const noexcept {
    if (detail::thread_cache* const cache = caches_.find()) {
      if (const char* const broken = cache->stock.check()) return {broken, cache};
    }
    flush();
    return arena_.check();
  }

  template <std::invocable<std::string_view> Sink>
  void dump(Sink&& sink, dump_format format = dump_format::text) const {
    const detail::registry_guard guard{caches_.registry()};
    arena_.dump(sink, format, [&](arena_stats& stats) { caches_.subtract_from(stats); });
  }

  template <std::invocable<std::string_view> Sink>
  bool try_dump(Sink&& sink, dump_format format = dump_format::text) const {
    if (!caches_.registry().try_lock()) return false;
    const detail::registry_guard guard{caches_.registry(), detail::registry_guard::is_held::yes};
    return arena_.try_dump(sink, format, [&](arena_stats& stats) { caches_.subtract_from(stats); });
  }

  void lock() const noexcept {
    caches_.registry().lock();
    arena_.lock();
  }
  void unlock() const noexcept {
    arena_.unlock();
    caches_.registry().unlock();
  }

  [[nodiscard]] source_type& source() noexcept { return arena_.source(); }
  [[nodiscard]] const source_type& source() const noexcept { return arena_.source(); }
  [[nodiscard]] const char* name() const noexcept { return arena_.name(); }
  ///@}

  /// A slot of the size class that is in stock, or nullptr.
  [[nodiscard, gnu::always_inline]] void* try_take(std::uint32_t size_class) noexcept {
    const place& mine = caches_.my_place();
    return caches_.is_current(mine) ? mine.cache->stock.try_take(size_class) : nullptr;
  }

  /// What is free to a hardened layer goes to stock, or back, when it has waited long enough.
  void deallocate_later(void* p, std::uint32_t stock_class) noexcept {
    const place& mine = caches_.my_place();
    detail::thread_cache* const cache = caches_.is_current(mine) ? mine.cache : caches_.attach();
    if (cache == nullptr) return arena_.deallocate_batch(stock_class, &p, 1);
    cache->waiting->add(p, stock_class, config.quarantine_bytes, [this, cache](void* gone, std::uint32_t c) noexcept {
      if (cache->stock.is_full(c)) [[unlikely]]
        return deallocate_more(c, gone);
      cache->stock.put(c, gone);
    });
  }

  /// The arena itself, for layers.
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  [[nodiscard]] const Arena& arena() const noexcept { return arena_; }

  /// To be called in the child of a fork of a process with threads, before anything else, `unlock` included. What other
  /// threads had in stock is lost to the child.
  void after_fork_in_child() noexcept { caches_.after_fork_in_child(); }

  /// Gives the stock of the calling thread back to the arena.
  void flush() const noexcept {
    if (detail::thread_cache* const cache = caches_.find()) cache->flush(arena_);
  }

 private:
  using place = detail::thread_caches::place;
  using custody = detail::custody<config.checks>;

  /// What a stock is filled from, and gives to: the arena, and what it hands out is in stock from then on.
  struct stocked_arena {
    const thread_cached& self;

    std::uint32_t allocate_batch(std::uint32_t c, void** batch, std::uint32_t want, std::uint32_t lane) noexcept {
      const std::uint32_t count = self.arena_.allocate_batch(c, batch, want, lane);
      if constexpr (custody::is_watched) {
        for (std::uint32_t i = 0; i < count; ++i) self.who_has().to_stock(batch[i]);
      }
      return count;
    }
    void deallocate_batch(std::uint32_t c, void* const* batch, std::uint32_t count) noexcept {
      self.arena_.deallocate_batch(c, batch, count);
    }
    [[nodiscard]] bool was_sparse() const noexcept { return self.arena_.was_sparse(); }
  };

  [[gnu::always_inline]] static std::uint32_t stock_class(std::size_t bytes, std::size_t alignment) noexcept {
    return std::has_single_bit(alignment) ? Arena::stock_class(bytes, alignment) : detail::stock_classes;
  }

  static bool serves(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    return stock_class(bytes, alignment) == c;
  }

  [[gnu::always_inline]] void put(std::uint32_t c, void* p) noexcept {
    if (c == detail::stock_classes || !try_put(c, p)) [[unlikely]]
      deallocate_more(c, p);
  }

  /// False: the stock is full, or not there, or that is a double free.
  [[gnu::always_inline]] bool try_put(std::uint32_t c, void* p) noexcept {
    const place& mine = caches_.my_place();
    if (!caches_.is_current(mine) || mine.cache->stock.is_full(c)) [[unlikely]]
      return false;
    if (who_has().is_in_stock(p)) [[unlikely]]
      return false;
    mine.cache->stock.put(c, p);
    who_has().to_stock(p);
    return true;
  }

  [[nodiscard, gnu::always_inline]] custody who_has() const noexcept { return custody{this}; }

  [[gnu::always_inline]] static void* to_program(void* p) noexcept {
    custody::to_program(p);
    return p;
  }

  /// Whether what has a stock class is in some thread's stock.
  [[nodiscard, gnu::always_inline]] bool is_in_stock(std::uint32_t c, const void* p) const noexcept {
    return c != detail::stock_classes && who_has().is_in_stock(p);
  }

  /// What the limits of all bins of a stock may add up to.
  [[nodiscard]] std::size_t budget_bytes() const noexcept {
    if (config.thread_cache_bytes == 0 || config.thread_cache_share == 0) return config.thread_cache_bytes;
    return detail::larger(config.thread_cache_bytes, arena_.recent_in_use_bytes() / config.thread_cache_share);
  }

  [[noreturn, gnu::noinline, gnu::cold]] void stop_double_free(std::uint32_t c, const void* p) const noexcept {
    arena_.stop(detail::faults::double_free, p, detail::bytes_of_stock_class(c));
  }

  [[gnu::noinline]] void* allocate_more(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    void* p = nullptr;
    if (c != detail::stock_classes) {
      if (detail::thread_cache* const cache = caches_.attach()) {
        p = cache->stock.try_take(c);
        stocked_arena arena{*this};
        if (p == nullptr) p = cache->stock.refill(arena, c, budget_bytes());
      }
    }
    if (p == nullptr) p = arena_.try_allocate(bytes, alignment);
    if (p == nullptr) {
      flush();  // what is in stock may be what is missing
      p = arena_.try_allocate(bytes, alignment);
    }
    return p == nullptr ? nullptr : to_program(p);
  }

  [[gnu::noinline]] void deallocate_more(std::uint32_t c, void* p) noexcept {
    if (c == detail::stock_classes) return arena_.deallocate(p);
    if (who_has().is_in_stock(p)) stop_double_free(c, p);
    who_has().to_stock(p);
    if (detail::thread_cache* const cache = caches_.attach()) {
      stocked_arena arena{*this};
      cache->stock.overflow(arena, c, p, budget_bytes());
    } else {
      arena_.deallocate_batch(c, &p, 1);
    }
  }

  [[gnu::noinline]] void deallocate_more(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    arena_.deallocate(p, bytes, alignment);
  }

  [[gnu::noinline]] void* reallocate_in_arena(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    void* q = arena_.try_reallocate(p, bytes, alignment);
    if (q == nullptr) {
      flush();
      q = arena_.try_reallocate(p, bytes, alignment);
    }
    const bool has_old_word = q == p || bytes >= 16;  // what was copied took the place of the mark
    return q == nullptr || has_old_word ? q : to_program(q);
  }

  [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }

  mutable Arena arena_;  // a flush changes nothing that can be told from outside
  mutable detail::arena_caches<Arena> caches_{arena_};
};

/// In front of a hardened arena: its layer lies above the thread cache, so that what a thread has in stock is verified,
/// too.
template <class Arena>
requires(Arena::config.checks == check_level::hardened) class thread_cached<Arena>
    : public detail::hardened_layer<thread_cached<typename Arena::beneath>, Arena::config> {
 public:
  using thread_cached::hardened_layer::hardened_layer;
};

/// The default for servers: as `miniheap_arena<>`, with a thread cache in front.
using miniheap_server_arena = thread_cached<miniheap_arena<>>;

}  // namespace miniheap
