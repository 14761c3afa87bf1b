// SPDX-License-Identifier: BSL-1.0
/// \file
/// The page source of an arena together with the arena's account of it, and pools of records for what describes memory.
#pragma once

#include <miniheap/detail/memory_tools.hpp>
#include <miniheap/detail/units.hpp>
#include <miniheap/fault.hpp>
#include <miniheap/policy/concepts.hpp>

#include <new>

namespace miniheap::detail {

/// A mark of the calling thread: the address of a variable of its own. 0 is no thread's.
inline const void* this_thread() noexcept {
  static thread_local constinit char mark = 0;
  return &mark;
}

/// While it lives, the thread is inside code of the user's (a page source, a visitor), which must not call the arena.
class callback_guard {
 public:
  explicit callback_guard(const void*& thread) noexcept : thread_{thread}, outer_{thread} { set(this_thread()); }
  ~callback_guard() { set(outer_); }
  callback_guard(const callback_guard&) = delete;
  callback_guard& operator=(const callback_guard&) = delete;

 private:
  // Other threads read it without the lock, only to compare it with themselves.
  void set(const void* thread) noexcept { __atomic_store_n(&thread_, thread, __ATOMIC_RELAXED); }

  const void*& thread_;
  const void* outer_;
};

/// Every call to the page source goes through here.
template <page_source Source>
class page_supply {
 public:
  static constexpr bool remaps = remapping_page_source<Source>;

  explicit page_supply(Source source) : source_{static_cast<Source&&>(source)} {}

  [[nodiscard]] Source& source() noexcept { return source_; }
  [[nodiscard]] const Source& source() const noexcept { return source_; }
  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return mapped_bytes_; }
  [[nodiscard]] std::size_t peak_bytes() const noexcept { return peak_bytes_; }
  /// Bytes that were unmapped or purged, less those that were mapped. Two values of it tell what went back in between.
  [[nodiscard]] std::size_t given_back_bytes() const noexcept { return purged_bytes_ - mapped_bytes_; }

  /// Stops the program if the calling thread is inside user code that this arena called.
  [[gnu::always_inline]] void stop_callback(const arena_identity& identity) const noexcept {
    if (__atomic_load_n(&callback_thread_, __ATOMIC_RELAXED) != nullptr) [[unlikely]]
      stop_if_this_thread(identity);
  }

  [[nodiscard]] callback_guard enter_callback() const noexcept { return callback_guard{callback_thread_}; }

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    const callback_guard guard = enter_callback();
    void* const p = source_.map(bytes, alignment);
    if (p != nullptr) account(0, bytes);
    return p;
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    const callback_guard guard = enter_callback();
    memory_tools::gone(p, bytes);
    if (!source_.unmap(p, bytes)) {
      if constexpr (protecting_page_source<Source>) source_.unprotect(p, bytes);  // what stays is to be used again
      return false;
    }
    account(bytes, 0);
    return true;
  }

  bool purge(void* p, std::size_t bytes) noexcept {
    const callback_guard guard = enter_callback();
    memory_tools::gone(p, bytes);  // it may write there
    const bool is_purged = source_.purge(p, bytes);
    note_unused(p, bytes);
    if (is_purged) purged_bytes_ += bytes;
    return is_purged;
  }

  /// The same of many rows of pages, in few calls where the source can do that. Calls `refused(row)` for each that it
  /// would not take; one that `is_hopeless(row)` by then is not asked for.
  template <class IsHopeless, class Refused>
  void purge_rows(const page_row* rows, std::size_t count, IsHopeless is_hopeless, Refused refused) noexcept {
    std::size_t done = 0;
    if constexpr (row_purging_page_source<Source>) {
      if (count > 1) {
        const callback_guard guard = enter_callback();
        for (std::size_t n = 0; n < count; ++n) memory_tools::gone(rows[n].memory, rows[n].bytes);
        done = source_.purge_rows(rows, count);
        for (std::size_t n = 0; n < count; ++n) note_unused(rows[n].memory, rows[n].bytes);
      }
      for (std::size_t n = 0; n < done; ++n) purged_bytes_ += rows[n].bytes;
    }
    for (; done < count; ++done) {
      if (is_hopeless(rows[done]) || !purge(rows[done].memory, rows[done].bytes)) refused(rows[done]);
    }
  }

  /// \name Hints; they do nothing where the source takes none.
  ///@{
  void populate(void* p, std::size_t bytes) noexcept {
    if constexpr (hinted_page_source<Source>) {
      const callback_guard guard = enter_callback();
      source_.populate(p, bytes);
    }
  }

  void prefer_huge_pages(void* p, std::size_t bytes) noexcept {
    if constexpr (hinted_page_source<Source>) {
      const callback_guard guard = enter_callback();
      source_.prefer_huge_pages(p, bytes);
    }
  }

  void prefer_small_pages(void* p, std::size_t bytes) noexcept {
    if constexpr (hinted_page_source<Source>) {
      const callback_guard guard = enter_callback();
      source_.prefer_small_pages(p, bytes);
    }
  }
  ///@}

  /// \name False also where the source cannot do that.
  ///@{
  bool protect(void* p, std::size_t bytes) noexcept {
    if constexpr (protecting_page_source<Source>) {
      const callback_guard guard = enter_callback();
      return source_.protect(p, bytes);
    } else {
      return false;
    }
  }

  bool unprotect(void* p, std::size_t bytes) noexcept {
    if constexpr (protecting_page_source<Source>) {
      const callback_guard guard = enter_callback();
      return source_.unprotect(p, bytes);
    } else {
      return false;
    }
  }
  ///@}

  /// The guard pages of a miniheap. Where the source will not do that, they are pages that nobody uses.
  template <class Geometry>
  void protect_guards(void* miniheap) noexcept {
    if constexpr (protecting_page_source<Source> && Geometry::is_guard(Geometry::head_pages - 1)) {
      for (std::uint32_t page = 0; page < Geometry::pages; ++page) {
        if (Geometry::is_guard(page)) protect(static_cast<std::byte*>(miniheap) + page * page_bytes, page_bytes);
      }
    }
  }

  /// nullptr also where the source cannot remap.
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    if constexpr (remapping_page_source<Source>) {
      const callback_guard guard = enter_callback();
      memory_tools::gone(p, old_bytes);
      void* const q = source_.remap(p, old_bytes, new_bytes, alignment);
      if (q == nullptr) return nullptr;
      memory_tools::gone(q, new_bytes);
      account(old_bytes, new_bytes);
      return q;
    } else {
      return nullptr;
    }
  }

  /// Tools learn that memory is free, where an arena will tell them what is allocated.
  void note_unused(const void* p, std::size_t bytes) const noexcept {
    if (tells_tools) memory_tools::unused(p, bytes);
  }
  bool tells_tools = false;

 private:
  [[gnu::cold, gnu::noinline]] void stop_if_this_thread(const arena_identity& identity) const noexcept {
    if (__atomic_load_n(&callback_thread_, __ATOMIC_RELAXED) == this_thread())
      identity.stop(faults::reentrant, nullptr);
  }

  void account(std::size_t minus_bytes, std::size_t plus_bytes) noexcept {
    mapped_bytes_ = mapped_bytes_ - minus_bytes + plus_bytes;
    if (mapped_bytes_ > peak_bytes_) peak_bytes_ = mapped_bytes_;
  }

  [[no_unique_address]] Source source_;
  std::size_t mapped_bytes_ = 0;
  std::size_t peak_bytes_ = 0;
  std::size_t purged_bytes_ = 0;
  mutable const void* callback_thread_ = nullptr;
};

/// Room for records of one type in mappings of their own, where no allocation of the program is near. Mappings are kept
/// until `release`.
template <class Record>
class record_pool {
 public:
  record_pool() = default;
  record_pool(const record_pool&) = delete;
  record_pool& operator=(const record_pool&) = delete;

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return mappings_ * mapping_bytes; }

  /// Room for one record, or nullptr. O(1).
  template <class Supply>
  void* take(Supply& supply) noexcept {
    if (free_ == nullptr && !grow(supply)) return nullptr;
    slot* const taken = free_;
    free_ = taken->next;
    return taken;
  }

  /// Takes back the room of a record that has been destroyed. O(1).
  void give(void* room) noexcept { free_ = ::new (room) slot{free_}; }

  /// Gives all mappings back; no record may be alive in them. What cannot go back stays for use. O(mappings).
  template <class Supply>
  void release(Supply& supply) noexcept {
    mapping* rest = first_;
    first_ = nullptr;
    free_ = nullptr;
    mappings_ = 0;
    while (rest != nullptr) {
      mapping* const gone = rest;
      rest = gone->next;
      if (!supply.unmap(gone, mapping_bytes)) add(gone);
    }
  }

 private:
  struct slot {
    slot* next;
  };
  struct mapping {
    mapping* next;
  };

  static constexpr std::size_t record_bytes = align_up(sizeof(Record), alignof(std::max_align_t));
  static constexpr std::size_t first_offset = align_up(sizeof(mapping), alignof(std::max_align_t));
  static constexpr std::size_t mapping_bytes = align_up(first_offset + 8 * record_bytes, 4 * page_bytes);
  static_assert(alignof(Record) <= alignof(std::max_align_t));

  template <class Supply>
  bool grow(Supply& supply) noexcept {
    void* const memory = supply.map(mapping_bytes, page_bytes);
    if (memory == nullptr) return false;
    add(memory);
    return true;
  }

  void add(void* memory) noexcept {
    first_ = ::new (memory) mapping{first_};
    ++mappings_;
    auto* const bytes = static_cast<std::byte*>(memory);
    for (std::size_t at = first_offset; at + record_bytes <= mapping_bytes; at += record_bytes) give(bytes + at);
  }

  slot* free_ = nullptr;
  mapping* first_ = nullptr;
  std::size_t mappings_ = 0;
};

/// The same with room for the first record in itself, so that what needs only one needs no mapping.
template <class Record>
class record_pool_with_first {
 public:
  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return more_.mapped_bytes(); }

  template <class Supply>
  void* take(Supply& supply) noexcept {
    if (is_first_taken_) return more_.take(supply);
    is_first_taken_ = true;
    return first_;
  }

  void give(void* room) noexcept {
    if (room != first_) return more_.give(room);
    is_first_taken_ = false;
  }

  template <class Supply>
  void release(Supply& supply) noexcept {
    more_.release(supply);
  }

 private:
  record_pool<Record> more_;
  bool is_first_taken_ = false;
  alignas(Record) std::byte first_[sizeof(Record)];
};

}  // namespace miniheap::detail
