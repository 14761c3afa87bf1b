// SPDX-License-Identifier: BSL-1.0
/// \file
/// Large allocations: each is a range of whole pages that no miniheap has. Ranges lie as the page source mapped them,
/// often side by side.
///
/// What was freed is idle, and part of the arena's reserve; the next allocations are cut from it. What the page source
/// will not take back waits, purged.
///
/// In huge pages a byte costs a small part of what it costs to fault it in otherwise. So where they are asked for, what
/// is mapped starts with one, and ends with one if the rest is not too much, which is idle behind the allocation.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/page_ranges.hpp>
#include <miniheap/stats.hpp>

namespace miniheap::detail {

inline constexpr std::size_t huge_page_bytes = 2 * MiB;

class large_allocations {
 public:
  /// Room for `bytes`, rounded up to pages. nullptr: nothing has changed. Where no idle range is long enough, the
  /// longest one grows; for huge pages all is mapped, and up to `most_rest_bytes` more. O(log n) and the page source's
  /// time.
  template <class Supply>
  void* allocate(Supply& supply, std::size_t bytes, std::size_t alignment, bool in_huge_pages = false,
                 std::size_t most_rest_bytes = 0) noexcept {
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    alignment = larger(alignment, page_bytes);
    last_fresh_bytes_ = 0;
    page_range* taken = take_idle(supply, whole_bytes, alignment);
    if (taken == nullptr && !in_huge_pages) taken = grow_idle(supply, whole_bytes, alignment);
    if (taken == nullptr && in_huge_pages) taken = map_in_huge_pages(supply, whole_bytes, alignment, most_rest_bytes);
    if (taken == nullptr) taken = map(supply, whole_bytes, alignment, in_huge_pages);
    if (taken == nullptr) return nullptr;
    ranges_.note_least_dirty();
    taken->alignment = alignment;
    live_bytes_ += whole_bytes;
    ++count_;
    return taken->memory();
  }

  /// How much of what `allocate` or `resize` gave last is yet to be faulted in.
  [[nodiscard]] std::size_t last_fresh_bytes() const noexcept { return last_fresh_bytes_; }

  /// Usable bytes of the large allocation that starts at `address`, or 0. O(log n).
  [[nodiscard]] std::size_t bytes_at(std::uintptr_t address) const noexcept {
    const page_range* const r = ranges_.last_at_or_below(address);
    return r == nullptr || r->is_idle() || r->address != address ? 0 : r->bytes;
  }

  /// Whether the address lies in a large allocation. O(log n).
  [[nodiscard]] bool contains(std::uintptr_t address) const noexcept {
    const page_range* const r = ranges_.last_at_or_below(address);
    return r != nullptr && !r->is_idle() && address < r->end();
  }

  /// Frees the large allocation that starts at `address`; its pages are idle then. O(log n).
  void deallocate(std::uintptr_t address) noexcept { deallocate(*ranges_.last_at_or_below(address)); }

  /// Grows or shrinks, perhaps to another place; where the allocation is now, or nullptr and nothing has changed. Never
  /// copies. What it shrinks by goes back at once; what is mapped is to be in huge pages if that is said. O(log n) and
  /// the page source's time.
  template <class Supply>
  void* resize(Supply& supply, std::uintptr_t address, std::size_t bytes, std::size_t alignment,
               bool in_huge_pages = false) noexcept {
    page_range& changed = *ranges_.last_at_or_below(address);
    const std::size_t whole_bytes = align_up(bytes, page_bytes);
    const std::size_t old_bytes = changed.bytes;
    alignment = larger(alignment, changed.alignment);
    last_fresh_bytes_ = 0;
    if (whole_bytes < old_bytes) {
      if (!shrink(supply, changed, whole_bytes)) return nullptr;
    } else if (whole_bytes > old_bytes && !grow(changed, whole_bytes) &&
               !remap(supply, changed, whole_bytes, alignment, in_huge_pages)) {
      return nullptr;
    }
    ranges_.note_least_dirty();
    live_bytes_ = live_bytes_ - old_bytes + whole_bytes;
    changed.alignment = alignment;
    return changed.memory();
  }

  /// Gives back until no more than `limit_bytes` are dirty: the shortest idle ranges first, of the last one only as
  /// much as is needed. A range that the page source refuses is purged; one of them is tried again in each call. O(what
  /// goes, and where something was refused, all that is idle).
  template <class Supply>
  void settle(Supply& supply, std::size_t limit_bytes) noexcept {
    bool is_refused = false;
    page_range* longer = nullptr;
    for (page_range* r = ranges_.shortest_idle(); r != nullptr; r = longer) {
      const bool is_refused_left = !is_refused && free_bytes() != dirty_bytes();
      if (dirty_bytes() <= limit_bytes && !is_refused_left) break;
      longer = ranges_.next_longer_idle(*r);
      if (r->is_clean) {
        is_refused = is_refused || !give_back(supply, *r, r->bytes);
      } else if (dirty_bytes() > limit_bytes) {
        give_back(supply, *r, smaller(r->bytes, align_up(dirty_bytes() - limit_bytes, page_bytes)));
      }
    }
    ranges_.note_least_dirty();
  }

  /// Gives all back that is free, and gives the metadata back when there is nothing to describe.
  template <class Supply>
  void trim(Supply& supply) noexcept {
    page_range* longer = nullptr;
    for (page_range* r = ranges_.shortest_idle(); r != nullptr; r = longer) {
      longer = ranges_.next_longer_idle(*r);
      give_back(supply, *r, r->bytes);
    }
    ranges_.note_least_dirty();
    ranges_.release(supply);
  }

  /// Frees every large allocation and gives all back.
  template <class Supply>
  void release(Supply& supply) noexcept {
    for (page_range* r = ranges_.first(); r != nullptr; r = ranges_.next(*r)) {
      if (!r->is_idle()) r = &deallocate(*r);
    }
    trim(supply);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  /// Bytes that are mapped and idle.
  [[nodiscard]] std::size_t free_bytes() const noexcept { return ranges_.idle_bytes(); }
  /// Those of them that were not purged.
  [[nodiscard]] std::size_t dirty_bytes() const noexcept { return ranges_.dirty_bytes(); }
  /// The least that they were since the last call.
  [[nodiscard]] std::size_t take_least_dirty_bytes() noexcept { return ranges_.take_least_dirty_bytes(); }
  [[nodiscard]] std::size_t metadata_bytes() const noexcept { return ranges_.metadata_bytes(); }

  /// Calls `visit(const mapping_info&)` for each, in address order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const page_range& r : ranges_) {
      if (!r.is_idle()) visit(mapping_info{r.memory(), r.bytes});
    }
  }

  [[nodiscard]] check_result check() const noexcept {
    if (const check_result result = ranges_.check(); !result) return result;
    std::size_t count = 0;
    std::size_t live_bytes = 0;
    for (const page_range& r : ranges_) {
      if (r.is_idle()) continue;
      if ((r.address & (r.alignment - 1)) != 0) return {"a large allocation is aligned", r.memory()};
      ++count;
      live_bytes += r.bytes;
    }
    if (count != count_ || live_bytes != live_bytes_) return {"large allocations are counted", this};
    return {};
  }

 private:
  /// Moving fewer to where there is room for more costs more than new pages do.
  static constexpr std::size_t least_moved_bytes = 64 * KiB;

  page_range& deallocate(page_range& gone) noexcept {
    live_bytes_ -= gone.bytes;
    --count_;
    return ranges_.make_idle(gone);
  }

  template <class Supply>
  page_range* map(Supply& supply, std::size_t whole_bytes, std::size_t alignment, bool in_huge_pages) noexcept {
    if (!ranges_.reserve(supply, 1)) return nullptr;
    void* const p = supply.map(whole_bytes, alignment);
    if (p == nullptr) return nullptr;
    if (in_huge_pages) supply.prefer_huge_pages(p, whole_bytes);
    last_fresh_bytes_ = whole_bytes;
    return ranges_.add(supply, address_of(p), whole_bytes);
  }

  /// The same in huge pages. nullptr: there are not as many addresses, but perhaps what `map` takes.
  template <class Supply>
  page_range* map_in_huge_pages(Supply& supply, std::size_t whole_bytes, std::size_t alignment,
                                std::size_t most_rest_bytes) noexcept {
    const std::size_t rest_bytes = align_up(whole_bytes, huge_page_bytes) - whole_bytes;
    const bool has_rest = rest_bytes != 0 && rest_bytes <= most_rest_bytes && ranges_.reserve(supply, 2);
    alignment = larger(alignment, huge_page_bytes);
    page_range* const mapped = has_rest ? map(supply, whole_bytes + rest_bytes, alignment, true) : nullptr;
    if (mapped == nullptr) return map(supply, whole_bytes, alignment, true);
    mapped->bytes = last_fresh_bytes_ = whole_bytes;
    mapped->alignment = alignment;
    page_range* const rest = ranges_.add(supply, mapped->end(), rest_bytes);
    supply.note_unused(rest->memory(), rest_bytes);
    ranges_.make_idle(*rest);
    return mapped;
  }

  /// A part of an idle range that is long enough. O(log n).
  template <class Supply>
  page_range* take_idle(Supply& supply, std::size_t whole_bytes, std::size_t alignment) noexcept {
    const auto before_bytes = [&](const page_range& r) { return align_up(r.address, alignment) - r.address; };
    page_range* found = ranges_.lowest_idle(whole_bytes, alignment);
    if (found == nullptr) found = ranges_.lowest_idle(whole_bytes + alignment, page_bytes);  // which surely fits
    if (found == nullptr) return nullptr;
    const std::size_t before = before_bytes(*found);
    if (!ranges_.cut(supply, *found, before + whole_bytes)) return nullptr;
    page_range* taken = found;
    if (before != 0) {
      if (!ranges_.cut(supply, *found, before)) {
        rejoin(*found);
        return nullptr;
      }
      taken = ranges_.next(*found);
    }
    if (taken->is_clean) last_fresh_bytes_ = whole_bytes;
    ranges_.take_idle(*taken);
    return taken;
  }

  /// An idle range was cut in vain.
  void rejoin(page_range& r) noexcept {
    const bool is_clean = r.is_clean;
    ranges_.take_idle(r);
    ranges_.make_idle(r, is_clean);
  }

  /// The longest idle range, if it is too short, made as long as needed: its pages need no page faults any more. O(log
  /// n) and the page source's time.
  template <class Supply>
  page_range* grow_idle(Supply& supply, std::size_t whole_bytes, std::size_t alignment) noexcept {
    if (!Supply::remaps) return nullptr;
    page_range* const longest = ranges_.longest_idle();
    if (longest == nullptr || longest->bytes < least_moved_bytes || longest->bytes >= whole_bytes ||
        longest->is_clean || (longest->address & (alignment - 1)) != 0) {
      return nullptr;
    }
    ranges_.take_idle(*longest);
    if (remap(supply, *longest, whole_bytes, alignment, false)) return longest;
    ranges_.make_idle(*longest);
    return nullptr;
  }

  /// Makes a range longer that is not idle. The kernel moves nothing of which a part is to be in huge pages and another
  /// is not; so all of it is, before.
  template <class Supply>
  bool remap(Supply& supply, page_range& r, std::size_t whole_bytes, std::size_t alignment,
             bool in_huge_pages) noexcept {
    if (!Supply::remaps) return false;
    if (in_huge_pages) supply.prefer_huge_pages(r.memory(), r.bytes);
    void* const p = supply.remap(r.memory(), r.bytes, whole_bytes, alignment);
    if (p == nullptr) return false;
    if (in_huge_pages && p != r.memory()) supply.prefer_huge_pages(p, whole_bytes);  // if it was copied after all
    last_fresh_bytes_ = whole_bytes - r.bytes;
    ranges_.move(r, address_of(p), whole_bytes);
    return true;
  }

  /// The same with idle pages right behind it, if there are as many.
  bool grow(page_range& r, std::size_t whole_bytes) noexcept {
    page_range* const behind = ranges_.next(r);
    const std::size_t more_bytes = whole_bytes - r.bytes;
    if (behind == nullptr || !behind->is_idle() || behind->address != r.end() || behind->bytes < more_bytes) {
      return false;
    }
    const bool is_clean = behind->is_clean;
    if (is_clean) last_fresh_bytes_ = more_bytes;
    ranges_.take_idle(*behind);
    r.bytes = whole_bytes;
    if (behind->bytes == more_bytes) {
      ranges_.erase(*behind);
    } else {
      ranges_.move(*behind, behind->address + more_bytes, behind->bytes - more_bytes);
      ranges_.make_idle(*behind, is_clean);
    }
    return true;
  }

  /// Gives the end of an allocation back; what the page source refuses is idle. False: no memory for its record.
  template <class Supply>
  bool shrink(Supply& supply, page_range& r, std::size_t whole_bytes) noexcept {
    const std::size_t less_bytes = r.bytes - whole_bytes;
    const std::uintptr_t end = r.address + whole_bytes;
    if (!supply.unmap(reinterpret_cast<void*>(end), less_bytes)) {
      page_range* const rest = ranges_.add(supply, end, less_bytes);
      if (rest == nullptr) return false;
      ranges_.make_idle(*rest);
    }
    r.bytes = whole_bytes;
    return true;
  }

  /// Gives the last `bytes` of an idle range back, of a purged one all. False: the page source will not take them, and
  /// all of it stays. It loses its contents, so that at least the memory goes back.
  template <class Supply>
  bool give_back(Supply& supply, page_range& r, std::size_t bytes) noexcept {
    if (!supply.unmap(reinterpret_cast<void*>(r.end() - bytes), bytes)) {
      if (!r.is_clean && supply.purge(r.memory(), r.bytes)) ranges_.make_clean(r);
      return false;
    }
    ranges_.take_idle(r);
    if (bytes == r.bytes) {
      ranges_.erase(r);
    } else {
      r.bytes -= bytes;
      ranges_.make_idle(r);
    }
    return true;
  }

  page_ranges ranges_;
  std::size_t live_bytes_ = 0;
  std::size_t last_fresh_bytes_ = 0;
  std::size_t count_ = 0;
};

}  // namespace miniheap::detail
