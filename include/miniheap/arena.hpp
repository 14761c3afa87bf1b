// SPDX-License-Identifier: BSL-1.0
/// \file
/// The arena: what a program creates, allocates from, and asks.
#pragma once

#include <miniheap/detail/concurrent_core.hpp>
#include <miniheap/fwd.hpp>
#include <miniheap/inspect.hpp>
#include <miniheap/policy/buffer_source.hpp>
#include <miniheap/policy/fit.hpp>
#include <miniheap/policy/lock.hpp>
#include <miniheap/policy/selection.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include <new>
#include <type_traits>

namespace miniheap {

/// Owns miniheaps and ranges, and gives them back: but for a reserve, an empty miniheap and a large allocation when it
/// is freed, everything in `release()` and in the destructor.
///
/// Thread safety is the lock policy's; with the default, any thread may call anything. Complexities are given for `n`
/// miniheaps or large allocations; page source calls come on top. An alignment is a power of two; a pointer given back
/// is one that this arena gave and that has not been given back yet, else the program stops with a message
/// (`arena_config::checks`), or the behaviour is undefined where checks are off.
///
/// An arena stays where it is: allocators hold its address, and its first descriptor lies inside it. Hold it in a
/// `std::optional` or a `std::unique_ptr` where its lifetime must move. The destructor gives everything back, running
/// no destructors of what is in it; with `arena_config::report_leaks` it reports what was alive.
template <page_source PageSource = mmap_source, lock_policy LockPolicy = coarse_lock<>,
          fit_policy FitPolicy = first_fit, selection_policy SelectionPolicy = fullest_first,
          arena_config Config = arena_config{}>
class miniheap_arena {
  using core = detail::core_for<PageSource, LockPolicy, FitPolicy, SelectionPolicy, Config>;
  static constexpr bool is_fine_grained = detail::locks_miniheaps<LockPolicy>;  // then the engine locks for itself

 public:
  using source_type = PageSource;
  static constexpr arena_config config = Config;

  /// `name` is kept by address; it is what messages call the arena. Nothing is mapped yet.
  template <std::default_initializable Source = PageSource>
  explicit miniheap_arena(const char* name = "unnamed") : core_{Source{}, name} {}

  /// With a page source that has a state of its own, moved in.
  explicit miniheap_arena(PageSource source, const char* name = "unnamed")
      : core_{static_cast<PageSource&&>(source), name} {}

  miniheap_arena(const miniheap_arena&) = delete;
  miniheap_arena& operator=(const miniheap_arena&) = delete;

  ~miniheap_arena() {
    if constexpr (Config.report_leaks) report_leaks();
  }

  /// At least `bytes` bytes at a multiple of `alignment`; for 0 bytes, an address of its own. Throws `std::bad_alloc`
  /// when there is no memory, when the size cannot be, and when the alignment is no power of two; then nothing has
  /// changed. O(1) mostly; O(log n) when a slab is used up.
  [[nodiscard, gnu::always_inline]] void* allocate(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = try_allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      throw_bad_alloc();
    return p;
  }

  /// As `allocate`, with nullptr instead of an exception.
  [[nodiscard, gnu::always_inline]] void* try_allocate(std::size_t bytes,
                                                       std::size_t alignment = default_alignment) noexcept {
    if (!std::has_single_bit(alignment)) [[unlikely]]
      return nullptr;
    if constexpr (is_fine_grained) return core_.allocate(lock_, bytes, alignment);
    const entry_guard guard = enter_fast();
    return core_.allocate(bytes, alignment);
  }

  /// As `try_allocate`, and the first `bytes` bytes are zero. Memory that comes fresh from the system is not written.
  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (!std::has_single_bit(alignment)) return nullptr;
    void* p = nullptr;
    bool is_zeroed = false;
    if (is_fine_grained && detail::is_small(bytes, alignment)) {
      p = try_allocate(bytes, alignment);
    } else {
      const entry_guard guard = enter();
      p = core_.allocate(bytes, alignment);
      is_zeroed = core_.is_last_zeroed(bytes, alignment);
    }
    return p == nullptr || is_zeroed ? p : std::memset(p, 0, bytes);
  }

  /// As `allocate`, and tells how many bytes may be used: all of the slot, or of the last page.
  [[nodiscard]] sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = allocate(bytes, alignment);
    if (detail::is_small(bytes, alignment)) {
      return {p, detail::shapes[detail::size_class(detail::aligned_request(bytes, alignment))].slot_bytes};
    }
    return {p, detail::align_up(detail::at_least_one(bytes), detail::page_bytes)};
  }

  /// Gives an allocation back; nullptr is none. O(1) mostly; O(log n) when that makes a difference to the miniheap.
  [[gnu::always_inline]] void deallocate(void* p) noexcept {
    if (p == nullptr) return;
    if constexpr (is_fine_grained) return core_.deallocate(lock_, p);
    const entry_guard guard = enter_fast();
    core_.deallocate(p);
  }

  /// The same, a little faster. `bytes` is anything from what was asked for to what may be used, `alignment` what was
  /// asked for.
  [[gnu::always_inline]] void deallocate(void* p, std::size_t bytes,
                                         std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return;
    if constexpr (is_fine_grained) return core_.deallocate(lock_, p, bytes, alignment);
    const entry_guard guard = enter_fast();
    core_.deallocate(p, bytes, alignment);
  }

  /// Makes an allocation `bytes` bytes long, there or elsewhere, and returns where it is; contents are kept up to the
  /// smaller of both sizes. nullptr for `p` is as `allocate`. A small allocation that lies in a sparse miniheap
  /// or slab moves to a fuller one even where it could stay. A medium one grows and shrinks in place where it can; a
  /// large one is remapped, not copied. Throws as `allocate` does; then `p` is as it was.
  [[nodiscard]] void* reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const q = try_reallocate(p, bytes, alignment);
    if (q == nullptr) throw_bad_alloc();
    return q;
  }

  /// As `reallocate`, with nullptr instead of an exception.
  [[nodiscard]] void* try_reallocate(void* p, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return try_allocate(bytes, alignment);
    if (!std::has_single_bit(alignment)) return nullptr;
    if constexpr (is_fine_grained) return core_.reallocate(lock_, p, bytes, alignment);
    const entry_guard guard = enter();
    return core_.reallocate(p, bytes, alignment);
  }

  /// Whether `p` points into the pages of a miniheap or into a large allocation of this arena. Any pointer may be asked
  /// about. O(log n).
  [[nodiscard]] bool owns(const void* p) const noexcept {
    const auto guard = enter_shared();
    return core_.owns(p);
  }

  /// How many bytes of a live allocation may be used; 0 for nullptr. O(1), large: O(log n).
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    if (p == nullptr) return 0;
    if constexpr (is_fine_grained) return core_.usable_size(lock_, p);
    const entry_guard guard = enter();
    return core_.usable_size(p);
  }

  /// What the arena has from its page source, bytes. O(1).
  [[nodiscard]] std::size_t mapped_bytes() const noexcept {
    const auto guard = enter_shared();
    return core_.supply().mapped_bytes();
  }

  /// Where the memory is, in bytes. O(spans).
  [[nodiscard]] arena_stats stats() const noexcept {
    const entry_guard guard = enter();
    return detail::stats_of(core_);
  }

  /// Gives back what the reserve has above `target_bytes`: idle ranges, empty miniheaps, dirty pages of the sparsest
  /// miniheaps. Returns how many bytes were unmapped or dropped. O(miniheaps that give something).
  std::size_t trim(std::size_t target_bytes = 0) noexcept {
    const entry_guard guard = enter();
    return core_.trim(target_bytes);
  }

  /// Gives everything back at once and leaves the arena as new. No destructors run; pointers into it are dead.
  void release() noexcept {
    const entry_guard guard = enter();
    core_.release();
  }

  /// Calls `visitor` with a `const miniheap_info&` for each miniheap, followed by a `const span_info&` for each of its
  /// spans, each followed by a `const allocation_info&` for each live allocation in it; at last with a `const
  /// mapping_info&` for each large allocation. Only those that `visitor` can be called with. It must not call the
  /// arena, and is stopped where it does; without a lock, where that would change more than a slot.
  template <class Visitor>
  void walk(Visitor&& visitor) const {
    const entry_guard guard = enter();
    const auto callback = core_.supply().enter_callback();
    detail::walk(core_, visitor);
  }

  /// Verifies every invariant. O(pages + n log n).
  [[nodiscard]] check_result check() const noexcept {
    const entry_guard guard = enter();
    return core_.check();
  }

  /// Calls `sink` with pieces of text: the statistics and a picture of each miniheap, or both as JSON. Allocates
  /// nothing; `sink` must not call the arena. A layer that knows better lets `adjust` correct the `arena_stats&`.
  template <std::invocable<std::string_view> Sink, std::invocable<arena_stats&> Adjust = detail::leave_as_it_is>
  void dump(Sink&& sink, dump_format format = dump_format::text, Adjust&& adjust = {}) const {
    const entry_guard guard = enter();
    const auto callback = core_.supply().enter_callback();
    detail::dump(core_, sink, format, adjust);
  }

  /// As `dump`, but false, and nothing is written, where the arena is busy: for signal handlers.
  template <std::invocable<std::string_view> Sink, std::invocable<arena_stats&> Adjust = detail::leave_as_it_is>
  bool try_dump(Sink&& sink, dump_format format = dump_format::text, Adjust&& adjust = {}) const {
    if (!lock_.try_lock()) return false;
    const struct unlocker {
      set_lock& lock;
      ~unlocker() { lock.unlock(); }
    } at_end{lock_};
    const auto callback = core_.supply().enter_callback();
    detail::dump(core_, sink, format, adjust);
    return true;
  }

  /// Nobody else is in the arena between `lock` and `unlock`: for a fork, which copies an arena as it is. The calling
  /// thread does not use the arena meanwhile; after the fork parent and child both unlock it.
  void lock() const noexcept {
    detail::note_wanted<set_lock>(core_.identity(), detail::lock_rank::set);
    lock_.lock();
  }
  void unlock() const noexcept {
    lock_.unlock();
    detail::note_released<set_lock>(core_.identity(), detail::lock_rank::set);
  }

  /// \name For a layer that keeps allocations in stock (<miniheap/thread_cache.hpp>), by **stock class**: the size
  /// class of a small allocation, or the length of a medium one; `detail::stock_classes` stands for none.
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
  [[nodiscard, gnu::always_inline]] std::uint32_t slot_class_of(const void* p) const noexcept {
    return core_.slot_class_of(p);
  }

  /// Whether that is `stock_class`; for one that the compiler knows, a little faster.
  [[nodiscard, gnu::always_inline]] bool has_stock_class(const void* p, std::uint32_t stock_class) const noexcept {
    return core_.has_stock_class(p, stock_class);
  }

  /// Stops the program, as the arena does when it finds a fault itself.
  [[noreturn]] void stop(const char* fault, const void* p, std::size_t bytes) const noexcept {
    core_.identity().stop(fault, p, bytes);
  }

  /// Up to `want` allocations of a stock class into `batch`; at least one, or 0 where there is no memory. Threads of
  /// different lanes get slots that do not lie side by side, as far as that costs little memory. O(want) mostly.
  [[nodiscard]] std::uint32_t allocate_batch(std::uint32_t stock_class, void** batch, std::uint32_t want,
                                             std::uint32_t lane = 0) noexcept {
    if constexpr (is_fine_grained) return core_.allocate_batch(lock_, stock_class, batch, want, lane);
    const entry_guard guard = enter();
    return core_.allocate_batch(stock_class, batch, want, lane);
  }

  /// Takes allocations of a stock class back. O(count) mostly.
  void deallocate_batch(std::uint32_t stock_class, void* const* batch, std::uint32_t count) noexcept {
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

  /// The page source. Its calls are made under the arena's lock; look at it while nobody else uses the arena.
  [[nodiscard]] PageSource& source() noexcept { return core_.supply().source(); }
  [[nodiscard]] const PageSource& source() const noexcept { return core_.supply().source(); }

  [[nodiscard]] const char* name() const noexcept { return core_.identity().name; }

 private:
  using set_lock = typename LockPolicy::set_lock;
  using entry_guard = detail::lock_guard<set_lock>;

  /// Holds the lock of the set of miniheaps, and sees to it that no callback comes back in.
  [[nodiscard]] entry_guard enter() const noexcept {
    if constexpr (core::checked) core_.supply().stop_callback(core_.identity());
    return entry_guard{lock_, core_.identity(), detail::lock_rank::set};
  }

  /// The same for what changes nothing.
  [[nodiscard]] detail::shared_guard<set_lock> enter_shared() const noexcept {
    if constexpr (core::checked) core_.supply().stop_callback(core_.identity());
    return detail::shared_guard<set_lock>{lock_, core_.identity()};
  }

  /// The same as `enter` for what has to be fast. A lock would stop a callback for ever, so it is looked for first;
  /// without a lock the engine looks for it where more than a slot changes.
  [[nodiscard, gnu::always_inline]] entry_guard enter_fast() const noexcept {
    if constexpr (core::checked && !std::is_same_v<set_lock, no_lock::set_lock>) {
      core_.supply().stop_callback(core_.identity());
    }
    return entry_guard{lock_, core_.identity(), detail::lock_rank::set};
  }

  [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }

  void report_leaks() const noexcept {
    const arena_stats now = stats();
    if (now.allocations == 0) return;
    detail::text_line line = detail::about_arena(name(), this);
    line << now.allocations << " allocations (" << now.live_bytes << " bytes) alive at destruction";
    detail::write_line(line);
  }

  core core_;
  [[no_unique_address]] mutable set_lock lock_;
};

}  // namespace miniheap
