// SPDX-License-Identifier: BSL-1.0
/// \file
/// An arena whose allocations are sealed: how they are handed out, verified and taken back. See hardened_layer.hpp.
#pragma once

#include <miniheap/detail/empty_allocations.hpp>
#include <miniheap/detail/quarantine.hpp>
#include <miniheap/detail/seal.hpp>
#include <miniheap/detail/size_class.hpp>
#include <miniheap/fault.hpp>
#include <miniheap/policy/lock.hpp>
#include <miniheap/stats.hpp>

#include <utility>

namespace miniheap::detail {

template <class Inner, arena_config Config>
class sealed_arena {
 public:
  using source_type = typename Inner::source_type;
  static constexpr bool is_zeroed = maps_zeroed<source_type>;
  static constexpr std::size_t max_stock_bytes = max_stock_pages * page_bytes;
  static constexpr bool guards = Config.guard_every_pages != 0;  // what is longer than what stocks have

  sealed_arena(const sealed_arena&) = delete;
  sealed_arena& operator=(const sealed_arena&) = delete;

  /// \name For walks.
  ///@{
  [[nodiscard]] sealer seals() const noexcept { return sealer{secret_}; }

  /// Else it is wiped when it is handed out, and nobody knows what was written to it meanwhile.
  [[nodiscard]] bool is_free_memory_zero() const noexcept { return is_zeroed && !is_tainted_; }

  static constexpr std::size_t without_guard(std::size_t bytes) noexcept {
    return guards && bytes > max_stock_bytes ? bytes - page_bytes : bytes;
  }

  /// What happened to memory that is neither sealed nor zero. No seal is zero.
  static const char* fault_at(const void* p, std::size_t usable_bytes) noexcept {
    return sealer::is_open(p, usable_bytes) ? faults::write_after_free : faults::overflow;
  }
  ///@}

 protected:
  /// Threads that have a stock each have a quarantine each, too.
  static constexpr bool waits_in_cache = requires(Inner & inner, void* p) { inner.deallocate_later(p, 0u); };

  template <class... Arguments>
  explicit sealed_arena(Arguments&&... arguments) : inner_{static_cast<Arguments&&>(arguments)...} {}
  ~sealed_arena() {
    give_quarantine();
    give_empty_pages();
  }

  /// Of more than this, it is cheaper to drop the pages than to write zeros.
  static constexpr std::size_t most_wiped_bytes = 32 * MiB;
  static constexpr std::size_t most_waiting_bytes = 1 * MiB;

  /// In quarantine, with no stock class.
  struct apart {
    void* p = nullptr;
    std::size_t bytes = 0;
    bool is_large = false;
  };

  /// Where an allocation lies: its bytes up to the seal's end.
  struct place {
    std::size_t usable_bytes;
    std::uint32_t stock_class;  // `stock_classes` for none
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

  /// A lock of the layer's would stop a callback for ever.
  void stop_callback() const noexcept {
    if constexpr (!waits_in_cache) arena().stop_callback();
  }

  /// \name Taking.
  ///@{
  void* take(std::uint32_t c, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t sealed_bytes = bytes + sealer::seal_bytes;
    void* p = nullptr;
    std::size_t usable_bytes = 0;
    std::size_t fresh_bytes = 0;
    if (c != stock_classes) [[likely]] {
      p = inner_.try_allocate(sealed_bytes, alignment);
      usable_bytes = bytes_of_stock_class(c);
    } else {
      usable_bytes = align_up(sealed_bytes, page_bytes);
      const std::size_t guard_bytes = guards && usable_bytes > max_stock_bytes ? page_bytes : 0;
      p = arena().try_allocate_fresh(usable_bytes + guard_bytes, alignment, fresh_bytes);
      fresh_bytes -= smaller(fresh_bytes, guard_bytes);
      if (p != nullptr && guard_bytes != 0) arena().protect(at_offset(p, usable_bytes), page_bytes);
    }
    if (p == nullptr) return nullptr;
    return hand_out(p, usable_bytes, bytes, larger(alignment, default_alignment), fresh_bytes);
  }

  [[gnu::always_inline]] void* hand_out(void* p, std::size_t usable_bytes, std::size_t bytes, std::size_t alignment,
                                        std::size_t fresh_bytes) const noexcept {
    const std::size_t used_bytes = usable_bytes - fresh_bytes;
    if (is_free_memory_zero()) [[likely]] {
      if (used_bytes >= page_bytes) [[unlikely]]
        touch(p, used_bytes);
      if (used_bytes != 0 && !is_zero(p, used_bytes)) [[unlikely]]
        arena().stop(faults::write_after_free, p, usable_bytes);
    } else {
      std::memset(p, 0, used_bytes);
    }
    seals().close(p, usable_bytes, bytes, alignment);
    return p;
  }

  /// Pages that are not there yet are written first: a page that is only read would be faulted in twice.
  [[gnu::noinline]] static void touch(void* p, std::size_t usable_bytes) noexcept {
    for (std::size_t at = 0; at < usable_bytes; at += page_bytes) {
      asm volatile("lock orb $0, %0" : "+m"(*static_cast<unsigned char*>(at_offset(p, at))));  // one access, a write
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
    std::uint32_t c = arena().stock_class_of(p);
    if (c != stock_classes) [[likely]]
      return {bytes_of_stock_class(c), c};
    const std::size_t bytes = inner_.usable_size(p);
    c = arena().stock_class_of(p);  // of a miniheap that was not seen lately it is known now
    return {c != stock_classes ? bytes : without_guard(bytes), c};
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
    give_apart(exchange_last_apart({p, inner_.usable_size(p), arena().is_large(p)}).p);
  }

  /// Whether there was one.
  bool give_last_apart() const noexcept {
    void* const gone = exchange_last_apart({}).p;
    give_apart(gone);
    return gone != nullptr;
  }

  apart exchange_last_apart(const apart& next) const noexcept {
    const guard locked{mutex_};
    return std::exchange(last_apart_, next);
  }

  /// A guard that cannot be made accessible again stays where it is, with what it guards.
  void give_apart(void* p) const noexcept {
    if (p == nullptr) return;
    const std::size_t bytes = inner_.usable_size(p);
    const std::size_t usable_bytes = without_guard(bytes);
    if (usable_bytes <= most_waiting_bytes && !is_zero(p, usable_bytes)) [[unlikely]]
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

  void adjust(arena_stats& stats) const noexcept {
    stats.allocations += empty_.count();  // before the other lock: see hardened_layer::lock
    const guard locked{mutex_};
    const std::size_t entries = (last_apart_.p != nullptr ? 1 : 0) + (waits_in_cache ? 0 : waiting_.slots());
    std::size_t bytes = last_apart_.bytes + (waits_in_cache ? 0 : waiting_.bytes());
    // Other threads go on meanwhile: what was freed since the statistics were made is live in them, or not in them.
    bytes = smaller(bytes, stats.live_bytes);
    stats.allocations -= smaller(entries, stats.allocations);
    if (last_apart_.is_large && stats.mappings != 0) --stats.mappings;
    stats.live_bytes -= bytes;
    stats.cache_bytes += bytes;
  }

  using guard = mutex_guard<mutex>;

  mutable Inner inner_;
  std::uint64_t secret_ = process_secret() ^ scatter(address_of(this));
  empty_allocations<mutex> empty_;
  [[no_unique_address]] mutable mutex mutex_;  // of the quarantine
  mutable quarantine waiting_;                 // not where `waits_in_cache`
  mutable apart last_apart_;
  bool is_tainted_ = false;  // the page source has refused what was not wiped
};

}  // namespace miniheap::detail
