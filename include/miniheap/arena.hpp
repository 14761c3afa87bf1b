// SPDX-License-Identifier: BSL-1.0
/// \file
/// The arena: what a program creates, allocates from, and asks.
#pragma once

#include <miniheap/detail/hardened_layer.hpp>
#include <miniheap/detail/layered_arena.hpp>
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
class miniheap_arena : public detail::layered_arena<PageSource, LockPolicy, FitPolicy, SelectionPolicy, Config> {
  using base = detail::layered_arena<PageSource, LockPolicy, FitPolicy, SelectionPolicy, Config>;
  using base::core_;
  using base::enter;
  using base::enter_fast;
  using base::enter_shared;
  using base::is_fine_grained;
  using base::lock_;
  using typename base::entry_guard;

 public:
  using source_type = PageSource;
  using typename base::set_lock;
  static constexpr arena_config config = Config;

  /// `name` is kept by address; it is what messages call the arena. Nothing is mapped yet.
  template <std::default_initializable Source = PageSource>
  explicit miniheap_arena(const char* name = "unnamed") : base{Source{}, name} {}

  /// With a page source that has a state of its own, moved in.
  explicit miniheap_arena(PageSource source, const char* name = "unnamed")
      : base{static_cast<PageSource&&>(source), name} {}

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
    void* const p = allocate_unwatched(bytes, alignment);
    if (is_watched && p != nullptr) tools::allocated(p, detail::at_least_one(bytes), usable_bytes(bytes, alignment));
    return p;
  }

  /// As `try_allocate`, and the first `bytes` bytes are zero. Memory that comes fresh from the system is not written.
  [[nodiscard]] void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
    if (!std::has_single_bit(alignment)) return nullptr;
    std::size_t zeroed_bytes = 0;
    void* const p = this->try_allocate_fresh(bytes, alignment, zeroed_bytes);
    if (p == nullptr) return nullptr;
    const std::size_t usable = usable_bytes(bytes, alignment);
    if (is_watched) tools::allocated(p, detail::at_least_one(bytes), usable);
    if (is_watched && zeroed_bytes != 0) tools::zeroed(p, bytes);
    return std::memset(p, 0, detail::smaller(bytes, usable - zeroed_bytes));
  }

  /// As `allocate`, and tells how many bytes may be used: all of the slot, or of the last page.
  [[nodiscard]] sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment = default_alignment) {
    void* const p = allocate(bytes, alignment);
    const std::size_t usable = usable_bytes(bytes, alignment);
    if (is_watched) tools::resized(p, usable, usable);
    return {p, usable};
  }

  /// Gives an allocation back; nullptr is none. O(1) mostly; O(log n) when that makes a difference to the miniheap.
  [[gnu::always_inline]] void deallocate(void* p) noexcept {
    if (p == nullptr) return;
    note_freed(p);
    if constexpr (is_fine_grained) return core_.deallocate(lock_, p);
    const entry_guard guard = enter_fast();
    core_.deallocate(p);
  }

  /// The same, a little faster. `bytes` is anything from what was asked for to what may be used, `alignment` what was
  /// asked for.
  [[gnu::always_inline]] void deallocate(void* p, std::size_t bytes,
                                         std::size_t alignment = default_alignment) noexcept {
    if (p == nullptr) return;
    note_freed(p);
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
    if (is_watched && tools::are_watching()) return reallocate_watched(p, bytes, alignment);
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
    const std::size_t bytes = usable_size_unwatched(p);
    if (is_watched) tools::resized(p, bytes, bytes);  // who asks is going to use it
    return bytes;
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

  /// The page source. Its calls are made under the arena's lock; look at it while nobody else uses the arena.
  [[nodiscard]] PageSource& source() noexcept { return core_.supply().source(); }
  [[nodiscard]] const PageSource& source() const noexcept { return core_.supply().source(); }

  [[nodiscard]] const char* name() const noexcept { return core_.identity().name; }

 private:
  using tools = detail::memory_tools;
  static constexpr bool is_watched = Config.checks != detail::beneath_hardened;

  [[nodiscard, gnu::always_inline]] void* allocate_unwatched(std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (is_fine_grained) return core_.allocate(lock_, bytes, alignment);
    const entry_guard guard = enter_fast();
    return core_.allocate(bytes, alignment);
  }

  [[nodiscard]] std::size_t usable_size_unwatched(const void* p) const noexcept {
    if constexpr (is_fine_grained) return core_.usable_size(lock_, p);
    const entry_guard guard = enter();
    return core_.usable_size(p);
  }

  /// Before it is freed: afterwards it may be anybody's. Stops a callback where freeing does.
  [[gnu::always_inline]] void note_freed(const void* p) const noexcept {
    if (is_watched && tools::are_watching()) tools::freed(p, usable_size_to_free(p));
  }
  [[gnu::noinline]] std::size_t usable_size_to_free(const void* p) const noexcept {
    if constexpr (is_fine_grained) return core_.usable_size(lock_, p);
    const entry_guard guard = enter_fast();
    return core_.usable_size(p);
  }

  /// Tools see an allocation stay, or another one.
  [[gnu::noinline]] void* reallocate_watched(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t old_bytes = usable_size_unwatched(p);
    void* q = this->try_resize(p, bytes, alignment);
    if (q != nullptr) {
      tools::moved(p, old_bytes, q, detail::at_least_one(bytes), usable_size_unwatched(q));
      return q;
    }
    q = try_allocate(bytes, alignment);
    if (q == nullptr) return nullptr;
    tools::resized(p, old_bytes, old_bytes);
    std::memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    deallocate(p);
    return q;
  }

  static constexpr std::size_t usable_bytes(std::size_t bytes, std::size_t alignment) noexcept {
    if (!detail::is_small(bytes, alignment)) return detail::align_up(detail::at_least_one(bytes), detail::page_bytes);
    return detail::shapes[detail::size_class(detail::aligned_request(bytes, alignment))].slot_bytes;
  }

  [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }

  void report_leaks() const noexcept {
    const arena_stats now = stats();
    if (now.allocations == 0) return;
    detail::text_line line = detail::about_arena(name(), this);
    line << now.allocations << " allocations (" << now.live_bytes << " bytes) alive at destruction";
    detail::write_line(line);
  }
};

/// A hardened arena: the same, but that each allocation is verified when it is given back, and free memory when it is
/// used again. Usable is exactly what was asked for, which a sized free must say.
template <page_source PageSource, lock_policy LockPolicy, fit_policy FitPolicy, selection_policy SelectionPolicy,
          arena_config Config>
  requires(Config.checks == check_level::hardened)
class miniheap_arena<PageSource, LockPolicy, FitPolicy, SelectionPolicy, Config>
    : public detail::hardened_layer<
          miniheap_arena<PageSource, LockPolicy, FitPolicy, SelectionPolicy, detail::beneath(Config)>, Config> {
 public:
  using miniheap_arena::hardened_layer::hardened_layer;
};

}  // namespace miniheap
