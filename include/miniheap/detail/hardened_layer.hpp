// SPDX-License-Identifier: BSL-1.0
/// \file
/// The layer that makes an arena a hardened one (`check_level::hardened`). It asks for a little more than the program
/// does, seals what lies behind the program's bytes, and verifies that when an allocation comes back. Free memory is
/// zero, which is verified when it is handed out again; before that it waits in a quarantine. Large allocations have a
/// page behind them that nobody can access, and allocations of no bytes lie in such pages.
#pragma once

#include <miniheap/detail/empty_allocations.hpp>
#include <miniheap/fault.hpp>
#include <miniheap/detail/quarantine.hpp>
#include <miniheap/detail/seal.hpp>
#include <miniheap/detail/size_class.hpp>
#include <miniheap/inspect.hpp>
#include <miniheap/policy/lock.hpp>

#include <new>
#include <utility>

namespace miniheap::detail {

/// `Inner` is an arena that leaves contents alone (`beneath_hardened`), or a thread cache in front of one.
template <class Inner, arena_config Config>
class hardened_layer {
  /// Threads that have a stock each have a quarantine each, too.
  static constexpr bool waits_in_cache = requires(Inner& inner, void* p) { inner.deallocate_later(p, 0u); };

 public:
  using source_type = typename Inner::source_type;
  using beneath = Inner;
  static constexpr arena_config config = Config;

  template <class... Arguments>
  explicit hardened_layer(Arguments&&... arguments) requires std::constructible_from<Inner, Arguments...>
      : inner_{static_cast<Arguments&&>(arguments)...} {}

  hardened_layer(const hardened_layer&) = delete;
  hardened_layer& operator=(const hardened_layer&) = delete;
  ~hardened_layer() {
    give_quarantine();
    give_empty_pages();
  }

  /// \name As the arena's. Usable is exactly what was asked for.
  ///@{
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = try_allocate(bytes, alignment);
    if (p == nullptr) throw std::bad_alloc{};
    return p;
  }

  [[nodiscard]] void* try_allocate(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (!std::has_single_bit(alignment) || bytes > PTRDIFF_MAX) return nullptr;
    if (bytes == 0) {
      if (void* const p = take_empty(alignment)) return p;
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
    return hand_out(p, shapes[c].slot_bytes, bytes, default_alignment, false);
  }

  template <class... Size>
  [[nodiscard, gnu::always_inline]] bool try_deallocate_quickly(void* p, Size... bytes) noexcept requires waits_in_cache {
    const std::uint32_t c = arena().slot_class_of(p);
    if (c == stock_classes) [[unlikely]]
      return false;
    const sealed_size asked = seals().open(p, shapes[c].slot_bytes);
    if (!asked || !((asked.bytes == bytes) && ...)) [[unlikely]]
      return false;
    if (sizeof...(Size) != 0 && asked.alignment != default_alignment) [[unlikely]]
      return false;
    give(p, {shapes[c].slot_bytes, c});
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
    if (empty_.contains(p)) return give_empty(p);
    const place at = place_of(p);
    verify(p, at);
    give(p, at);
  }

  void deallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return;
    if (empty_.contains(p)) {
      if (bytes != 0) arena().stop(faults::wrong_size, p, bytes);
      return give_empty(p);
    }
    const place at = place_of(p);
    const sealed_size asked = verify(p, at);
    if (asked.bytes != bytes) arena().stop(faults::wrong_size, p, bytes);
    if (asked.alignment != larger(alignment, default_alignment)) arena().stop(faults::wrong_alignment, p, alignment);
    give(p, at);
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
      if (reseal(p, at, old_bytes, bytes, alignment)) return p;
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
    adjust(stats);
    return stats;
  }

  std::size_t trim(std::size_t target_bytes = 0) noexcept {
    give_quarantine();
    return inner_.trim(target_bytes);
  }

  void release() noexcept {
    waiting_ = {};
    last_apart_ = nullptr;
    give_empty_pages();
    inner_.release();
  }

  /// What waits in the quarantine is none of the allocations: it goes back to the arena first.
  template <class Visitor>
  void walk(Visitor&& visitor) const {
    give_quarantine();
    inner_.walk(sealed_visitor<std::remove_reference_t<Visitor>>{*this, visitor});
  }

  /// Also that free memory is zero and nothing was written behind an allocation. No other thread is inside a call.
  [[nodiscard]] check_result check() const noexcept {
    contents_visitor contents{*this, {}};
    arena().walk(contents);  // what is in stock and in quarantine included
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

 private:
  static constexpr bool is_zeroed = maps_zeroed<source_type>;
  static constexpr std::size_t max_stock_bytes = max_stock_pages * page_bytes;
  /// Of more than this, it is cheaper to drop the pages than to write zeros.
  static constexpr std::size_t most_wiped_bytes = 32 * MiB;
  static constexpr std::size_t most_waiting_bytes = 1 * MiB;

  /// Where an allocation lies: its bytes up to the seal's end, and whether an inaccessible page follows.
  struct place {
    std::size_t usable_bytes;
    std::uint32_t stock_class;  // `stock_classes` for none

    [[nodiscard]] bool has_guard() const noexcept { return usable_bytes > max_stock_bytes; }
  };


  static constexpr bool locks = !std::is_same_v<typename Inner::set_lock, no_lock::set_lock>;
  using mutex = std::conditional_t<locks, futex_mutex, no_lock::null_mutex>;

  [[nodiscard]] auto& arena() const noexcept {
    if constexpr (requires { inner_.arena(); }) {
      return inner_.arena();
    } else {
      return inner_;
    }
  }

  [[nodiscard]] sealer seals() const noexcept { return sealer{secret_}; }

  /// \name Taking.
  ///@{
  void* take(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t sealed_bytes = bytes + sealer::seal_bytes;
    void* p = nullptr;
    std::size_t usable_bytes = 0;
    bool is_fresh = false;
    if (c != stock_classes) [[likely]] {
      p = inner_.try_allocate(sealed_bytes, alignment);
      usable_bytes = bytes_of_stock_class(c);
    } else {
      usable_bytes = align_up(sealed_bytes, page_bytes);
      const bool has_guard = usable_bytes > max_stock_bytes;
      p = arena().try_allocate_fresh(usable_bytes + (has_guard ? page_bytes : 0), alignment, is_fresh);
      if (p != nullptr && has_guard) arena().protect(at_offset(p, usable_bytes), page_bytes);
    }
    if (p == nullptr) return nullptr;
    return hand_out(p, usable_bytes, bytes, larger(alignment, default_alignment), is_fresh);
  }

  [[gnu::always_inline]] void* hand_out(void* p, std::size_t usable_bytes, std::size_t bytes, std::size_t alignment,
                                        bool is_fresh) const noexcept {
    if constexpr (is_zeroed) {
      if (usable_bytes >= page_bytes && !is_fresh) [[unlikely]]
        touch(p, usable_bytes);
      if (!is_fresh && !is_zero(p, usable_bytes)) [[unlikely]]
        arena().stop(faults::write_after_free, p, usable_bytes);
    } else {
      std::memset(p, 0, usable_bytes);
    }
    seals().close(p, usable_bytes, bytes, alignment);
    return p;
  }

  /// Pages that are not there yet are written first: a page that is only read would be faulted in twice.
  [[gnu::noinline]] static void touch(void* p, std::size_t usable_bytes) noexcept {
    for (std::size_t at = 0; at < usable_bytes; at += page_bytes) {
      __atomic_fetch_or(static_cast<unsigned char*>(at_offset(p, at)), 0, __ATOMIC_RELAXED);
    }
  }

  void* take_empty(std::size_t alignment) noexcept {
    return empty_.take(alignment, [this](std::size_t bytes) noexcept {
      void* const p = arena().map_metadata(bytes);
      if (p == nullptr || arena().protect(p, bytes)) return p;
      arena().unmap_metadata(p, bytes);
      return static_cast<void*>(nullptr);
    });
  }
  ///@}

  /// \name Giving.
  ///@{
  /// A fault where there is no allocation.
  [[nodiscard]] place place_of(const void* p) const noexcept {
    const std::uint32_t c = arena().stock_class_of(p);
    if (c != stock_classes) [[likely]]
      return {bytes_of_stock_class(c), c};
    return {without_guard(inner_.usable_size(p)), c};
  }

  /// What was asked for; a fault where `p` is free, or what lies behind it was written over.
  sealed_size verify(const void* p, const place& at) const noexcept {
    const sealed_size asked = seals().open(p, at.usable_bytes);
    if (!asked) [[unlikely]]
      stop_broken(p, at);
    return asked;
  }

  [[noreturn, gnu::cold, gnu::noinline]] void stop_broken(const void* p, const place& at) const noexcept {
    const bool is_free = is_zero(p, at.usable_bytes);
    arena().stop(is_free ? faults::double_free : fault_at(p, at.usable_bytes), p, at.usable_bytes);
  }

  /// What happened to memory that is neither sealed nor zero. No seal is zero.
  static const char* fault_at(const void* p, std::size_t usable_bytes) noexcept {
    return sealer::is_open(p, usable_bytes) ? faults::write_after_free : faults::overflow;
  }

  /// What was verified.
  [[gnu::always_inline]] void give(void* p, const place& at) noexcept {
    if (at.stock_class == stock_classes) [[unlikely]]
      return give_apart(p, at);
    std::memset(p, 0, at.usable_bytes);
    if constexpr (waits_in_cache) {
      inner_.deallocate_later(p, at.stock_class);
    } else {
      const guard locked{mutex_};
      waiting_.add(p, at.stock_class, Config.quarantine_bytes, give_one());
    }
  }

  auto give_one() const noexcept {
    return [this](void* gone, std::uint32_t c) noexcept { arena().deallocate_batch(c, &gone, 1); };
  }

  /// The last one of those that are not too long waits, too.
  [[gnu::noinline]] void give_apart(void* p, const place& at) noexcept {
    const bool is_dropped = is_zeroed && at.usable_bytes > most_wiped_bytes && arena().purge(p, at.usable_bytes);
    if (!is_dropped) std::memset(p, 0, at.usable_bytes);
    if (at.usable_bytes > most_waiting_bytes) return give_apart(p);
    mutex_.lock();
    void* const gone = std::exchange(last_apart_, p);
    mutex_.unlock();
    if (gone != nullptr) give_apart(gone);
  }

  /// Whether there was one.
  bool give_last_apart() const noexcept {
    mutex_.lock();
    void* const gone = std::exchange(last_apart_, nullptr);
    mutex_.unlock();
    if (gone != nullptr) give_apart(gone);
    return gone != nullptr;
  }

  /// A guard that cannot be made accessible again stays where it is, with what it guards.
  void give_apart(void* p) const noexcept {
    const std::size_t bytes = inner_.usable_size(p);
    const std::size_t usable_bytes = without_guard(bytes);
    if (is_zeroed && usable_bytes <= most_waiting_bytes && !is_zero(p, usable_bytes)) [[unlikely]]
      arena().stop(faults::write_after_free, p, usable_bytes);
    if (usable_bytes == bytes || unprotect(at_offset(p, usable_bytes))) inner_.deallocate(p);
  }

  /// Also where it was not possible to protect it.
  [[nodiscard]] bool unprotect(void* guard_page) const noexcept {
    return !protecting_page_source<source_type> || arena().unprotect(guard_page, page_bytes);
  }

  void give_empty(const void* p) noexcept {
    if (!empty_.give(p)) arena().stop(is_slot_start(p) ? faults::double_free : faults::interior, p, 0);
  }

  void stop_unless_empty(const void* p) const noexcept {
    if (!empty_.is_live(p)) arena().stop(is_slot_start(p) ? faults::double_free : faults::interior, p, 0);
  }

  static bool is_slot_start(const void* p) noexcept { return address_of(p) % default_alignment == 0; }

  void give_empty_pages() noexcept {
    empty_.release([this](void* p, std::size_t bytes) noexcept { return arena().unmap_metadata(p, bytes); });
  }

  /// Whether there was anything.
  bool give_quarantine() const noexcept {
    const bool any = give_last_apart();
    if constexpr (waits_in_cache) {
      inner_.flush();
      return true;
    } else {
      const guard locked{mutex_};
      const bool any_slots = waiting_.slots() != 0;
      waiting_.flush(give_one());
      return any || any_slots;
    }
  }
  ///@}

  /// Makes the allocation another size where it is; false: it had better move.
  bool reseal(void* p, const place& at, std::size_t old_bytes, std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes == 0 || (address_of(p) & (alignment - 1)) != 0) return false;
    const std::uint32_t c = arena().stock_class(bytes + sealer::seal_bytes, alignment);
    const std::size_t wanted_bytes =
        c != stock_classes ? bytes_of_stock_class(c) : align_up(bytes + sealer::seal_bytes, page_bytes);
    if (wanted_bytes != at.usable_bytes) return false;
    // What the program gets or gives is zero, the old seal with it.
    std::memset(at_offset(p, smaller(old_bytes, bytes)), 0, at.usable_bytes - smaller(old_bytes, bytes));
    seals().close(p, at.usable_bytes, bytes, larger(alignment, default_alignment));
    return true;
  }

  static void* at_offset(void* p, std::size_t bytes) noexcept { return static_cast<std::byte*>(p) + bytes; }

  static constexpr std::size_t without_guard(std::size_t bytes) noexcept {
    return bytes > max_stock_bytes ? bytes - page_bytes : bytes;
  }

  void adjust(arena_stats& stats) const noexcept {
    stats.allocations += empty_.count();
    if (void* const p = __atomic_load_n(&last_apart_, __ATOMIC_RELAXED)) {
      const std::size_t bytes = inner_.usable_size(p);
      --stats.allocations;
      stats.live_bytes -= bytes;
      stats.cache_bytes += bytes;
    }
    if constexpr (!waits_in_cache) {
      const guard locked{mutex_};
      stats.allocations -= waiting_.slots();
      stats.live_bytes -= waiting_.bytes();
      stats.cache_bytes += waiting_.bytes();
    }
  }

  /// Shows the program's bytes, and only what is sealed.
  template <class Visitor>
  struct sealed_visitor {
    const hardened_layer& self;
    Visitor& visitor;

    void operator()(const miniheap_info& info) const { visit(visitor, info); }
    void operator()(const span_info& info) const { visit(visitor, info); }
    void operator()(const allocation_info& info) const {
      const sealed_size asked = self.seals().open(info.address, without_guard(info.bytes));
      if (asked) visit(visitor, allocation_info{info.address, asked.bytes});
    }
    void operator()(const mapping_info& info) const {
      const sealed_size asked = self.seals().open(info.address, without_guard(info.bytes));
      if (asked) visit(visitor, mapping_info{info.address, asked.bytes});
    }
  };

  /// Verifies what allocations hold behind their ends, and that slots without one are zero.
  struct contents_visitor {
    const hardened_layer& self;
    check_result result;
    const std::byte* next = nullptr;  // in the slab that is visited: the first byte that was not looked at
    const std::byte* end = nullptr;

    void operator()(const miniheap_info& /*info*/) { end_slab(); }
    void operator()(const span_info& info) {
      end_slab();
      const auto* const memory = static_cast<const std::byte*>(info.address);
      if (info.kind == span_info::use::slab) next = memory;
      if (info.kind == span_info::use::free) next = memory + info.bytes - default_alignment;  // in front of what is used
      end = memory + info.bytes;
    }
    void operator()(const allocation_info& info) {
      const auto* const p = static_cast<const std::byte*>(info.address);
      if (next != nullptr && next <= p) {
        look_at_free(p);
        next = p + info.bytes;
      }
      look_at(info.address, info.bytes);
    }
    void operator()(const mapping_info& info) {
      end_slab();
      look_at(info.address, info.bytes);
    }

   private:
    void look_at(const void* p, std::size_t bytes) {
      bytes = without_guard(bytes);
      if (self.seals().open(p, bytes) || is_zero(p, bytes)) return;  // what is not sealed is in stock
      result = {fault_at(p, bytes), p};
    }
    void look_at_free(const std::byte* until) {
      if (is_zeroed && next != until && !is_zero(next, static_cast<std::size_t>(until - next))) result = {faults::write_after_free, next};
    }
    void end_slab() {
      if (next != nullptr) look_at_free(end);
      next = nullptr;
    }
  };

  using guard = mutex_guard<mutex>;

  mutable Inner inner_;
  std::uint64_t secret_ = process_secret() ^ scatter(address_of(this));
  empty_allocations<mutex> empty_;
  [[no_unique_address]] mutable mutex mutex_;  // of the quarantine
  mutable quarantine waiting_;                 // not where `waits_in_cache`
  mutable void* last_apart_ = nullptr;         // with no stock class: in quarantine
};

}  // namespace miniheap::detail
