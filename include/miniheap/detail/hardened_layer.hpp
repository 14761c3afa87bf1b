// SPDX-License-Identifier: BSL-1.0
/// \file
/// The layer that makes an arena a hardened one (`check_level::hardened`). It asks for a little more than the program
/// does, seals what lies behind the program's bytes, and verifies that when an allocation comes back. Free memory is
/// zero, which is verified when it is handed out again; before that it waits in a quarantine. Large allocations have a
/// page behind them that nobody can access, and allocations of no bytes lie in such pages.
#pragma once

#include <miniheap/detail/sealed_arena.hpp>
#include <miniheap/detail/sealed_walk.hpp>

#include <new>

namespace miniheap::detail {

/// `Inner` is an arena that leaves contents alone (`beneath_hardened`), or a thread cache in front of one.
template <class Inner, arena_config Config>
class hardened_layer : private sealed_arena<Inner, Config> {
  using base = sealed_arena<Inner, Config>;
  using base::arena;
  using base::empty_;
  using base::give_quarantine;
  using base::hand_out;
  using base::inner_;
  using base::mutex_;
  using base::place_of;
  using base::seals;
  using base::stop_callback;
  using base::stop_unless_empty;
  using base::take;
  using base::verify;
  using base::waits_in_cache;
  using typename base::place;

 public:
  using source_type = typename Inner::source_type;
  using beneath = Inner;
  static constexpr arena_config config = Config;

  template <class... Arguments>
  explicit hardened_layer(Arguments&&... arguments) requires std::constructible_from<Inner, Arguments...>
      : base{static_cast<Arguments&&>(arguments)...} {}

  hardened_layer(const hardened_layer&) = delete;
  hardened_layer& operator=(const hardened_layer&) = delete;

  /// \name As the arena's. Usable is exactly what was asked for.
  ///@{
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = try_allocate(bytes, alignment);
    if (p == nullptr) throw std::bad_alloc{};
    return p;
  }

  [[nodiscard]] void* try_allocate(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (!std::has_single_bit(alignment) || bytes > PTRDIFF_MAX) return nullptr;
    stop_callback();
    if (bytes == 0) {
      if (void* const p = this->take_empty(alignment)) return p;
    }
    const std::uint32_t c = arena().stock_class(bytes + sealer::seal_bytes, alignment);
    void* p = take(c, bytes, alignment);
    if (p == nullptr && give_quarantine()) p = take(c, bytes, alignment);
    return p;
  }

  /// \name As a thread cache's.
  ///@{
  [[nodiscard, gnu::always_inline]] void* try_allocate_quickly(std::size_t bytes) noexcept requires waits_in_cache {
    if (bytes - 1 >= max_small_bytes - sealer::seal_bytes) [[unlikely]]
      return nullptr;
    const std::uint32_t c = size_class(bytes + sealer::seal_bytes);
    void* const p = inner_.try_take(c);
    if (p == nullptr) [[unlikely]]
      return nullptr;
    return hand_out(p, shapes[c].slot_bytes, bytes, default_alignment, 0);
  }

  template <class... Size>
  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p,
                                                                Size... bytes) noexcept requires waits_in_cache {
    if (!inner_.has_stock()) [[unlikely]]
      return false;
    const auto c = static_cast<std::uint32_t>(arena().slot_class_of(p));
    if (c == stock_classes) [[unlikely]]
      return false;
    const sealed_size asked = seals().open(p, shapes[c].slot_bytes);
    if (!asked || !((asked.bytes == bytes) && ...)) [[unlikely]]
      return false;
    if (sizeof...(Size) != 0 && asked.alignment != default_alignment) [[unlikely]]
      return false;
    this->give(p, {shapes[c].slot_bytes, c});
    return true;
  }
  ///@}

  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    return try_allocate(bytes, alignment);
  }

  [[nodiscard]] sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment = default_alignment) {
    return {allocate(bytes, alignment), bytes};
  }

  void deallocate(void* p) noexcept {
    if (p == nullptr) return;
    stop_callback();
    if (empty_.contains(p)) return this->give_empty(p);
    const place at = place_of(p);
    verify(p, at);
    this->give(p, at);
  }

  void deallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return;
    stop_callback();
    if (empty_.contains(p)) {
      if (bytes != 0) arena().stop(faults::wrong_size, p, bytes);
      return this->give_empty(p);
    }
    const place at = place_of(p);
    const sealed_size asked = verify(p, at);
    if (asked.bytes != bytes) arena().stop(faults::wrong_size, p, bytes);
    if (asked.alignment != larger(alignment, default_alignment)) arena().stop(faults::wrong_alignment, p, alignment);
    this->give(p, at);
  }

  [[nodiscard]] void* reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const q = try_reallocate(p, bytes, alignment);
    if (q == nullptr) throw std::bad_alloc{};
    return q;
  }

  [[nodiscard]] void* try_reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return try_allocate(bytes, alignment);
    if (!std::has_single_bit(alignment) || bytes > PTRDIFF_MAX) return nullptr;
    std::size_t old_bytes = 0;
    if (empty_.contains(p)) {
      stop_unless_empty(p);
    } else {
      const place at = place_of(p);
      old_bytes = verify(p, at).bytes;
      if (this->reseal(p, at, old_bytes, bytes, alignment)) return p;
    }
    void* const q = try_allocate(bytes, alignment);
    if (q == nullptr) return nullptr;
    if (smaller(old_bytes, bytes) != 0) std::memcpy(q, p, smaller(old_bytes, bytes));
    deallocate(p);
    return q;
  }

  [[nodiscard]] bool owns(const void* p) const noexcept { return empty_.contains(p) || inner_.owns(p); }

  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    if (p == nullptr) return 0;
    if (!empty_.contains(p)) return verify(p, place_of(p)).bytes;
    stop_unless_empty(p);
    return 0;
  }

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return inner_.mapped_bytes(); }

  [[nodiscard]] arena_stats stats() const noexcept {
    arena_stats stats = inner_.stats();
    this->adjust(stats);
    return stats;
  }

  std::size_t trim(std::size_t target_bytes = 0) noexcept {
    const std::size_t before_bytes = arena().given_back_bytes();
    give_quarantine();
    const std::size_t flushed_bytes = arena().given_back_bytes() - before_bytes;  // unless others map meanwhile
    return inner_.trim(target_bytes) + (flushed_bytes <= PTRDIFF_MAX ? flushed_bytes : 0);
  }

  void release() noexcept {
    this->waiting_ = {};
    this->last_apart_ = {};
    this->give_empty_pages();
    inner_.release();
    this->is_tainted_ = arena().mapped_bytes() != 0;  // what was refused is full of what was there
  }

  /// What waits in the quarantine is none of the allocations: it goes back to the arena first.
  template <class Visitor>
  void walk(Visitor&& visitor) const {
    give_quarantine();
    inner_.walk(sealed_visitor<base, std::remove_reference_t<Visitor>>{*this, visitor});
  }

  /// Also that free memory is zero and nothing was written behind an allocation. No other thread is inside a call.
  [[nodiscard]] check_result check() const noexcept {
    contents_visitor<base> contents{*this, {}};
    arena().walk(contents);  // what is in stock and in quarantine included
    contents.end_slab();
    return contents.result ? inner_.check() : contents.result;
  }

  template <std::invocable<std::string_view> Sink>
  void dump(Sink&& sink, dump_format format = dump_format::text) const {
    inner_.dump(sink, format);
  }
  template <std::invocable<std::string_view> Sink>
  bool try_dump(Sink&& sink, dump_format format = dump_format::text) const {
    return inner_.try_dump(sink, format);
  }

  /// The order of all locks: nobody takes one of them while holding one that stands below.
  void lock() const noexcept {
    empty_.lock();
    mutex_.lock();
    inner_.lock();
  }
  void unlock() const noexcept {
    inner_.unlock();
    mutex_.unlock();
    empty_.unlock();
  }
  void after_fork_in_child() noexcept requires requires(Inner& inner) { inner.after_fork_in_child(); }
  { inner_.after_fork_in_child(); }
  void flush() const noexcept requires requires(const Inner& inner) { inner.flush(); }
  {
    give_quarantine();
    inner_.flush();
  }

  [[nodiscard]] source_type& source() noexcept { return inner_.source(); }
  [[nodiscard]] const source_type& source() const noexcept { return inner_.source(); }
  [[nodiscard]] const char* name() const noexcept { return inner_.name(); }
  /// Stops the program where an invariant does not hold, as a wrong call does.
  void stop(const char* fault, const void* p, std::size_t bytes = 0) const noexcept { arena().stop(fault, p, bytes); }
  ///@}
};

}  // namespace miniheap::detail
