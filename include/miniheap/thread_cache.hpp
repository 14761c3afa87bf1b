// SPDX-License-Identifier: BSL-1.0
/// \file
/// A thread cache in front of an arena: each thread keeps a stock of free slots, so that most calls take no lock.
#pragma once

#include <miniheap/detail/stocked_arena.hpp>

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
/// not count them as live. A wrong free is stopped as the arena does it; what is in any stock bears a mark
/// (custody.hpp) that tells a second free, unless the program wrote over it.
template <class Arena>
class thread_cached : private detail::stocked_arena<Arena> {
  using base = detail::stocked_arena<Arena>;
  using base::allocate_more;
  using base::arena_;
  using base::caches_;
  using base::deallocate_more;
  using base::is_in_stock;
  using base::put;
  using base::reallocate_in_arena;
  using base::serves;
  using base::stock_class;
  using base::stop_double_free;
  using base::to_program;
  using base::try_put;
  using typename base::custody;
  using typename base::tools;

 public:
  using source_type = typename Arena::source_type;
  using set_lock = typename Arena::set_lock;
  static constexpr arena_config config = Arena::config;

  /// What `Arena` is constructed with. Nothing is mapped yet.
  template <class... Arguments>
  explicit thread_cached(Arguments&&... arguments) requires std::constructible_from<Arena, Arguments...>
      : base{static_cast<Arguments&&>(arguments)...} {}

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
      void* const p = this->try_take(c);
      if (p != nullptr) [[likely]]
        return to_program(p, c, bytes);
    }
    return allocate_more(c, bytes, alignment);
  }

  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (stock_class(bytes, alignment) == detail::stock_classes) {
      void* p = arena_.try_allocate_zeroed(bytes, alignment);
      if (p == nullptr) {
        this->flush();
        p = arena_.try_allocate_zeroed(bytes, alignment);
      }
      if (p != nullptr && bytes < 2 * sizeof(std::uint64_t)) custody::to_program(p);  // else the mark is a zero
      return p;
    }
    void* const p = try_allocate(bytes, alignment);
    return p == nullptr ? nullptr : std::memset(p, 0, bytes);
  }

  [[nodiscard]] sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment = default_alignment) {
    const std::uint32_t c = stock_class(bytes, alignment);
    if (c == detail::stock_classes) {
      const sized_pointer room = arena_.allocate_at_least(bytes, alignment);
      custody::to_program(room.ptr);
      return room;
    }
    const std::size_t usable_bytes = detail::bytes_of_stock_class(c);
    void* const p = allocate(bytes, alignment);
    if (custody::is_told) tools::resized(p, usable_bytes, usable_bytes);
    return {p, usable_bytes};
  }

  [[gnu::always_inline]] void deallocate(void* p) noexcept { put(arena_.stock_class_of(p), p); }

  /// \name What takes no call but a look into the stock, for a malloc that has to be short. nullptr, false: it takes
  /// more, and nothing was done. Small allocations only, at the default alignment.
  ///@{
  [[nodiscard, gnu::always_inline]] void* try_allocate_quickly(std::size_t bytes) noexcept {
    if (bytes > detail::max_small_bytes) [[unlikely]]
      return nullptr;
    const std::uint32_t c = detail::size_class(bytes);
    void* const p = this->try_take(c);
    return p == nullptr ? nullptr : to_program(p, c, bytes);
  }

  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p) noexcept {
    const auto& mine = caches_.my_place();
    if (!caches_.is_current(mine)) [[unlikely]]
      return false;
    const std::size_t c = arena_.slot_class_of(p);
    return c != detail::stock_classes && try_put(mine.cache->stock, c, p);
  }

  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p, std::size_t bytes) noexcept {
    if (bytes > detail::max_small_bytes) [[unlikely]]
      return false;
    const auto& mine = caches_.my_place();
    if (!caches_.is_current(mine)) [[unlikely]]
      return false;
    const std::size_t c = detail::size_class(bytes);
    return arena_.slot_class_of(p) == c && try_put(mine.cache->stock, c, p);
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
    if (floats) return reallocate_in_arena(c, p, bytes, alignment);
    // Where there is no allocation at `p`, the arena stops here.
    const std::size_t old_bytes = c == detail::stock_classes ? arena_.usable_size(p) : detail::bytes_of_stock_class(c);
    if (!is_slot && bytes > detail::max_small_bytes) {
      if (void* const q = this->resize_in_arena(p, bytes, alignment)) return q;
    }
    void* const q = try_allocate(bytes, alignment);  // a copy is made without the arena's lock
    if (q == nullptr)
      return is_slot ? nullptr : this->resize_in_arena(p, bytes, alignment);  // the stock went back meanwhile
    if (custody::is_told) tools::resized(p, old_bytes, old_bytes);
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(p);
    return q;
  }

  [[nodiscard]] bool owns(const void* p) const noexcept { return arena_.owns(p); }

  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    const std::uint32_t c = arena_.stock_class_of(p);
    if (is_in_stock(c, p)) [[unlikely]]
      stop_double_free(c, p);
    if (c == detail::stock_classes) return arena_.usable_size(p);
    const std::size_t bytes = detail::bytes_of_stock_class(c);
    if (custody::is_told) tools::resized(p, bytes, bytes);
    return bytes;
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
    this->flush();
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
    this->flush();
    arena_.walk(visitor);
  }

  [[nodiscard]] check_result check() const noexcept {
    if (detail::thread_cache* const cache = caches_.find()) {
      if (const char* const broken = cache->stock.check()) return {broken, cache};
    }
    this->flush();
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

  /// To be called in the child of a fork of a process with threads, before anything else, `unlock` included. What other
  /// threads had in stock is lost to the child.
  void after_fork_in_child() noexcept { caches_.after_fork_in_child(); }

  using base::arena;
  using base::deallocate_later;
  using base::flush;
  using base::has_stock;
  using base::try_take;

 private:
  [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }
};

/// In front of a hardened arena: its layer lies above the thread cache, so that what a thread has in stock is verified,
/// too.
template <class Arena>
  requires(Arena::config.checks == check_level::hardened)
class thread_cached<Arena> : public detail::hardened_layer<thread_cached<typename Arena::beneath>, Arena::config> {
 public:
  using thread_cached::hardened_layer::hardened_layer;
};

/// The default for servers: as `miniheap_arena<>`, with a thread cache in front.
using miniheap_server_arena = thread_cached<miniheap_arena<>>;

/// The same where nothing is verified, and where memory errors have to be found, or must not be of use to anybody.
using miniheap_unchecked_arena = thread_cached<
    miniheap_arena<mmap_source, coarse_lock<>, first_fit, fullest_first, arena_config{.checks = check_level::none}>>;
using miniheap_hardened_arena = thread_cached<miniheap_arena<mmap_source, coarse_lock<>, first_fit, fullest_first,
                                                             arena_config{.checks = check_level::hardened}>>;

}  // namespace miniheap
