// SPDX-License-Identifier: BSL-1.0
/// \file
/// An arena and the stocks of its threads: what goes from the one to the others, and from them to the program and back.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/detail/arena_caches.hpp>
#include <miniheap/detail/custody.hpp>

namespace miniheap::detail {

template <class Arena>
class stocked_arena {
 public:
  stocked_arena(const stocked_arena&) = delete;
  stocked_arena& operator=(const stocked_arena&) = delete;

  /// A slot of the size class that is in stock, or nullptr.
  [[nodiscard, gnu::always_inline]] void* try_take(std::uint32_t size_class) noexcept {
    const place& mine = caches_.my_place();
    return caches_.is_current(mine) ? mine.cache->stock.try_take(size_class) : nullptr;
  }

  /// What is free to a hardened layer goes to stock, or back, when it has waited long enough.
  void deallocate_later(void* p, std::uint32_t stock_class) noexcept {
    const place& mine = caches_.my_place();
    thread_cache* const cache = caches_.is_current(mine) ? mine.cache : caches_.attach();
    if (cache == nullptr) return arena_.deallocate_batch(stock_class, &p, 1);
    cache->waiting->add(p, stock_class, config.quarantine_bytes, [this, cache](void* gone, std::uint32_t c) noexcept {
      if (!cache->stock.try_put(c, gone)) [[unlikely]]
        deallocate_more(c, gone);
    });
  }

  /// Whether the calling thread has a stock to work with. False also for memory that is all zero, with no arena yet.
  [[nodiscard, gnu::always_inline]] bool has_stock() const noexcept { return caches_.is_current(caches_.my_place()); }

  /// Gives the stock of the calling thread back to the arena.
  void flush() const noexcept {
    if (thread_cache* const cache = caches_.find()) cache->flush(arena_);
  }

  /// The arena itself, for layers.
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  [[nodiscard]] const Arena& arena() const noexcept { return arena_; }

 protected:
  using place = thread_caches::place;
  static constexpr arena_config config = Arena::config;
  using custody = detail::custody<config.checks>;
  using tools = memory_tools;

  template <class... Arguments>
  explicit stocked_arena(Arguments&&... arguments) : arena_{static_cast<Arguments&&>(arguments)...} {}
  ~stocked_arena() = default;

  /// What a stock is filled from, and gives to: the arena, and what it hands out is in stock from then on.
  struct fill_source {
    const stocked_arena& self;

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
    return std::has_single_bit(alignment) ? Arena::stock_class(bytes, alignment) : stock_classes;
  }

  static bool serves(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    return stock_class(bytes, alignment) == c;
  }

  [[gnu::always_inline]] void put(std::uint32_t c, void* p) noexcept {
    if (c == stock_classes || !try_put(c, p)) [[unlikely]]
      deallocate_more(c, p);
  }

  /// False: the stock is full, or not there, or that is a double free.
  [[gnu::always_inline]] bool try_put(std::uint32_t c, void* p) noexcept {
    const place& mine = caches_.my_place();
    return caches_.is_current(mine) && try_put(mine.cache->stock, c, p);
  }

  /// False: the stock is full, or that is a double free.
  [[gnu::always_inline]] bool try_put(detail::stock& stock, std::size_t c, void* p) noexcept {
    if (!stock.try_put(c, p, [&] { return !who_has().is_in_stock(p); })) [[unlikely]]
      return false;
    to_stock(p, static_cast<std::uint32_t>(c));
    return true;
  }

  [[nodiscard, gnu::always_inline]] custody who_has() const noexcept { return custody{this}; }

  [[gnu::always_inline]] static void* to_program(void* p, std::uint32_t c, std::size_t bytes) noexcept {
    custody::to_program(p);
    if (custody::is_told) tools::allocated(p, at_least_one(bytes), bytes_of_stock_class(c));
    return p;
  }

  /// By the program.
  [[gnu::always_inline]] void to_stock(void* p, std::uint32_t c) const noexcept {
    who_has().to_stock(p);
    if (custody::is_told) tools::freed(p, bytes_of_stock_class(c));
  }

  /// Whether what has a stock class is in some thread's stock.
  [[nodiscard, gnu::always_inline]] bool is_in_stock(std::uint32_t c, const void* p) const noexcept {
    return c != stock_classes && who_has().is_in_stock(p);
  }

  /// What the limits of all bins of a stock may add up to.
  [[nodiscard]] std::size_t budget_bytes() const noexcept {
    if (config.thread_cache_bytes == 0 || config.thread_cache_share == 0) return config.thread_cache_bytes;
    return larger(config.thread_cache_bytes, arena_.recent_in_use_bytes() / config.thread_cache_share);
  }

  [[noreturn, gnu::noinline, gnu::cold]] void stop_double_free(std::uint32_t c, const void* p) const noexcept {
    arena_.stop(faults::double_free, p, bytes_of_stock_class(c));
  }

  [[gnu::noinline]] void* allocate_more(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    if (c != stock_classes) {
      if (thread_cache* const cache = caches_.attach()) {
        void* p = cache->stock.try_take(c);
        fill_source arena{*this};
        if (p == nullptr) p = cache->stock.refill(arena, c, budget_bytes());
        if (p != nullptr) return to_program(p, c, bytes);
      }
    }
    void* p = allocate_in_arena(c, bytes, alignment);
    if (p == nullptr) {
      flush();  // what is in stock may be what is missing
      p = allocate_in_arena(c, bytes, alignment);
    }
    return p;
  }

  /// For the program. What has a stock class comes as stocks are filled: nothing stays claimed.
  void* allocate_in_arena(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    void* p = nullptr;
    if (c != stock_classes) return arena_.allocate_batch(c, &p, 1) != 0 ? to_program(p, c, bytes) : nullptr;
    p = arena_.try_allocate(bytes, alignment);
    if (p != nullptr) custody::to_program(p);
    return p;
  }

  [[gnu::noinline]] void deallocate_more(std::uint32_t c, void* p) noexcept {
    if (c == stock_classes) return arena_.deallocate(p);
    if (who_has().is_in_stock(p)) stop_double_free(c, p);
    to_stock(p, c);
    if (thread_cache* const cache = caches_.attach()) {
      fill_source arena{*this};
      cache->stock.overflow(arena, c, p, budget_bytes());
    } else {
      arena_.deallocate_batch(c, &p, 1);
    }
  }

  [[gnu::noinline]] void deallocate_more(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    arena_.deallocate(p, bytes, alignment);
  }

  /// As far as that takes no copy.
  void* resize_in_arena(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    const bool is_watched = custody::is_told && tools::are_watching();
    const std::size_t old_bytes = is_watched ? arena_.usable_size(p) : 0;
    void* const q = arena_.try_resize(p, bytes, alignment);
    if (is_watched && q != nullptr) tools::moved(p, old_bytes, q, at_least_one(bytes), arena_.usable_size(q));
    return q;
  }

  /// A slot stays, or floats: what is allocated for it lies where the arena wants it, and it goes back there.
  [[gnu::noinline]] void* reallocate_in_arena(std::uint32_t c, void* p, std::size_t bytes,
                                              std::size_t alignment) noexcept {
    if (void* const q = resize_in_arena(p, bytes, alignment)) return q;
    const std::uint32_t wanted = stock_class(bytes, alignment);
    void* q = allocate_in_arena(wanted, bytes, alignment);
    if (q == nullptr) {
      flush();
      q = allocate_in_arena(wanted, bytes, alignment);
    }
    if (q == nullptr) return nullptr;
    const std::size_t old_bytes = bytes_of_stock_class(c);
    if (custody::is_told) tools::resized(p, old_bytes, old_bytes);
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    to_stock(p, c);  // where a second free would find it
    arena_.deallocate_batch(c, &p, 1);
    return q;
  }

  mutable Arena arena_;  // a flush changes nothing that can be told from outside
  mutable arena_caches<Arena> caches_{arena_};
};

}  // namespace miniheap::detail
