// SPDX-License-Identifier: BSL-1.0
/// \file
/// What an arena lets layers do that programs do not need, and the lock that everything in it is done under.
#pragma once

#include <miniheap/detail/concurrent_core.hpp>

#include <type_traits>

namespace miniheap::detail {

template <page_source PageSource, lock_policy LockPolicy, fit_policy FitPolicy, selection_policy SelectionPolicy,
          arena_config Config>
class layered_arena {
 protected:
  using core = core_for<PageSource, LockPolicy, FitPolicy, SelectionPolicy, Config>;
  static constexpr bool is_fine_grained = locks_miniheaps<LockPolicy>;  // then the engine locks for itself

 public:
  using set_lock = typename LockPolicy::set_lock;

  layered_arena(const layered_arena&) = delete;
  layered_arena& operator=(const layered_arena&) = delete;

  /// \name For one that keeps allocations in stock (<miniheap/thread_cache.hpp>), by **stock class**: the size class of
  /// a small allocation, or the length of a medium one; `detail::stock_classes` stands for none.
  ///@{
  /// The stock class that serves a request. `alignment` is a power of two. O(1).
  [[nodiscard, gnu::always_inline]] static constexpr std::uint32_t stock_class(std::size_t bytes,
                                                                               std::size_t alignment) noexcept {
    return core::stock_class(bytes, alignment);
  }

  /// The stock class of the live allocation at `p`; none also where a search would have to tell, and for what is no
  /// allocation, most free slots included. Takes no lock. O(1).
  [[nodiscard, gnu::always_inline]] std::uint32_t stock_class_of(const void* p) const noexcept {
    return core_.stock_class_of(p);
  }

  /// The same for small allocations only.
  [[nodiscard, gnu::always_inline]] std::size_t slot_class_of(const void* p) const noexcept {
    return core_.slot_class_of(p);
  }

  /// Whether that is `stock_class`; for one that the compiler knows, a little faster.
  [[nodiscard, gnu::always_inline]] bool has_stock_class(const void* p, std::uint32_t stock_class) const noexcept {
    return core_.has_stock_class(p, stock_class);
  }

  /// Up to `want` allocations of a stock class into `batch`; at least one, or 0 where there is no memory. Threads of
  /// different lanes get slots that do not lie side by side, as far as that costs little memory. O(want) mostly.
  [[nodiscard]] std::uint32_t allocate_batch(std::uint32_t stock_class, void** batch, std::uint32_t want,
                                             std::uint32_t lane = 0) noexcept {
    const std::uint32_t count = allocate_batch_unwatched(stock_class, batch, want, lane);
    if constexpr (is_told) {
      const std::size_t bytes = bytes_of_stock_class(stock_class);
      for (std::uint32_t i = 0; i < count; ++i) memory_tools::allocated(batch[i], bytes, bytes);
    }
    return count;
  }

  /// Takes allocations of a stock class back. O(count) mostly.
  void deallocate_batch(std::uint32_t stock_class, void* const* batch, std::uint32_t count) noexcept {
    if constexpr (is_told) {
      for (std::uint32_t i = 0; i < count; ++i) memory_tools::freed(batch[i], bytes_of_stock_class(stock_class));
    }
    if constexpr (is_fine_grained) return core_.deallocate_batch(lock_, stock_class, batch, count);
    const entry_guard guard = enter();
    core_.deallocate_batch(stock_class, batch, count);
  }

  /// As `try_reallocate` of a live allocation as far as that takes no copy: a large one may move, others stay where
  /// they are. nullptr: `p` is as it was. `alignment` is a power of two.
  [[nodiscard]] void* try_resize(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    const entry_guard guard = enter();
    return core_.resize(p, bytes, alignment);
  }

  /// Bytes that went back since the arena was made, less those that it mapped. The difference of two values tells what
  /// went back in between. O(1).
  [[nodiscard]] std::size_t given_back_bytes() const noexcept {
    const auto guard = enter_shared();
    return core_.supply().given_back_bytes();
  }

  /// Bytes of used pages and of large allocations, as of a moment ago. Takes no lock. O(1).
  [[nodiscard]] std::size_t recent_in_use_bytes() const noexcept { return core_.recent_in_use_bytes(); }

  /// Whether most used pages were of slabs with free slots, as of a moment ago. A layer does well then to hand
  /// allocations on through the arena, which fills up the fullest miniheaps. Takes no lock. O(1).
  [[nodiscard]] bool was_sparse() const noexcept { return core_.was_sparse(); }

  /// Memory for the layer's own records, accounted as metadata; nullptr: there is none.
  [[nodiscard]] void* map_metadata(std::size_t bytes) noexcept {
    const entry_guard guard = enter();
    return core_.map_metadata(bytes);
  }

  /// False: the page source will not take it, and it stays mapped.
  bool unmap_metadata(void* p, std::size_t bytes) noexcept {
    const entry_guard guard = enter();
    return core_.unmap_metadata(p, bytes);
  }
  ///@}

  /// \name For one that looks after contents (detail/hardened_layer.hpp).
  ///@{
  /// As `miniheap_arena::try_allocate`, and tells how many bytes, at the end of the last page, the page source has
  /// filled with zeros. `alignment` is a power of two.
  [[nodiscard]] void* try_allocate_fresh(std::size_t bytes, std::size_t alignment, std::size_t& zeroed_bytes) noexcept {
    zeroed_bytes = 0;
    if constexpr (is_fine_grained) {
      if (is_small(bytes, alignment)) return core_.allocate(lock_, bytes, alignment);
    }
    const entry_guard guard = enter();
    void* const p = core_.allocate(bytes, alignment);
    if (p != nullptr) zeroed_bytes = core_.last_zeroed_bytes(bytes, alignment);
    return p;
  }

  /// Whether the live allocation at `p` is a range of its own.
  [[nodiscard]] bool is_large(const void* p) const noexcept {
    const auto guard = enter_shared();
    return core_.is_large(p);
  }

  /// Stops the program if the calling thread is inside code of the user's that this arena called.
  void stop_callback() const noexcept { core_.supply().stop_callback(core_.identity()); }

  /// As a page source's.
  bool purge(void* p, std::size_t bytes) noexcept {
    const entry_guard guard = enter();
    return core_.supply().purge(p, bytes);
  }

  /// False also where the page source cannot do that.
  bool protect(void* p, std::size_t bytes) noexcept {
    const entry_guard guard = enter();
    return core_.supply().protect(p, bytes);
  }
  bool unprotect(void* p, std::size_t bytes) noexcept {
    const entry_guard guard = enter();
    return core_.supply().unprotect(p, bytes);
  }

  /// Stops the program, as the arena does when it finds a fault itself.
  [[noreturn]] void stop(const char* fault, const void* p, std::size_t bytes) const noexcept {
    if (core_.is_in_recent_miniheap(p)) core_.identity().stop_in_miniheap(fault, p, bytes);
    core_.identity().stop(fault, p, bytes);
  }
  ///@}

 protected:
  using entry_guard = lock_guard<set_lock>;

  template <class... Arguments>
  explicit layered_arena(Arguments&&... arguments) : core_{static_cast<Arguments&&>(arguments)...} {
    core_.supply().tells_tools = Config.checks != beneath_hardened;
  }
  ~layered_arena() = default;

  /// Holds the lock of the set of miniheaps, and sees to it that no callback comes back in.
  [[nodiscard]] entry_guard enter() const noexcept {
    if constexpr (core::checked) core_.supply().stop_callback(core_.identity());
    return entry_guard{lock_, core_.identity(), lock_rank::set};
  }

  /// The same for what changes nothing.
  [[nodiscard]] shared_guard<set_lock> enter_shared() const noexcept {
    if constexpr (core::checked) core_.supply().stop_callback(core_.identity());
    return shared_guard<set_lock>{lock_, core_.identity()};
  }

  /// The same as `enter` for what has to be fast. A lock would stop a callback for ever, so it is looked for first;
  /// without a lock the engine looks for it where more than a slot changes.
  [[nodiscard, gnu::always_inline]] entry_guard enter_fast() const noexcept {
    if constexpr (core::checked && !std::is_same_v<set_lock, no_lock::set_lock>) {
      core_.supply().stop_callback(core_.identity());
    }
    return entry_guard{lock_, core_.identity(), lock_rank::set};
  }

  /// Valgrind hears of it when the program gets it.
  static constexpr bool is_told = memory_tools::are_built_in && Config.checks != beneath_hardened;

  std::uint32_t allocate_batch_unwatched(std::uint32_t stock_class, void** batch, std::uint32_t want,
                                         std::uint32_t lane) noexcept {
    if constexpr (is_fine_grained) return core_.allocate_batch(lock_, stock_class, batch, want, lane);
    const entry_guard guard = enter();
    return core_.allocate_batch(stock_class, batch, want, lane);
  }

  core core_;
  [[no_unique_address]] mutable set_lock lock_;
};

}  // namespace miniheap::detail
