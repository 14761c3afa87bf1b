// SPDX-License-Identifier: BSL-1.0
/// \file
/// Page sources that wrap another one: count, limit, fail. They compose, the outermost being asked first:
/// `limited_source<counting_source<mmap_source>>`.
#pragma once

#include <miniheap/policy/page_source.hpp>

namespace miniheap {

/// What a `counting_source` has seen. Calls that failed are counted as calls; bytes are those of calls that succeeded.
struct source_counts {
  std::size_t map_calls = 0;
  std::size_t unmap_calls = 0;
  std::size_t purge_calls = 0;
  std::size_t remap_calls = 0;
  std::size_t mapped_bytes = 0;       ///< now
  std::size_t peak_mapped_bytes = 0;  ///< at most, ever
  std::size_t purged_bytes = 0;       ///< in all
};

namespace detail {

/// What the wrappers have in common: the source inside.
template <page_source Source>
class source_wrapper {
 public:
  static constexpr bool maps_zeroed = miniheap::maps_zeroed<Source>;

  source_wrapper() requires std::default_initializable<Source> : inner_{} {}
  explicit source_wrapper(Source source) : inner_{static_cast<Source&&>(source)} {}

  void populate(void* p, std::size_t bytes) noexcept requires hinted_page_source<Source> { inner_.populate(p, bytes); }
  void prefer_small_pages(void* p, std::size_t bytes) noexcept requires hinted_page_source<Source> {
    inner_.prefer_small_pages(p, bytes);
  }
  void prefer_huge_pages(void* p, std::size_t bytes) noexcept requires hinted_page_source<Source> {
    inner_.prefer_huge_pages(p, bytes);
  }

  bool protect(void* p, std::size_t bytes) noexcept requires protecting_page_source<Source> {
    return inner_.protect(p, bytes);
  }
  bool unprotect(void* p, std::size_t bytes) noexcept requires protecting_page_source<Source> {
    return inner_.unprotect(p, bytes);
  }

  [[nodiscard]] Source& inner() noexcept { return inner_; }
  [[nodiscard]] const Source& inner() const noexcept { return inner_; }

 protected:
  Source inner_;
};

}  // namespace detail

/// Counts calls and bytes.
template <page_source Source = mmap_source>
class counting_source : public detail::source_wrapper<Source> {
 public:
  counting_source() = default;
  explicit counting_source(Source source) : detail::source_wrapper<Source>{static_cast<Source&&>(source)} {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    ++counts_.map_calls;
    void* const p = this->inner_.map(bytes, alignment);
    if (p != nullptr) grow(bytes);
    return p;
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    ++counts_.unmap_calls;
    if (!this->inner_.unmap(p, bytes)) return false;
    counts_.mapped_bytes -= bytes;
    return true;
  }

  bool purge(void* p, std::size_t bytes) noexcept {
    ++counts_.purge_calls;
    if (!this->inner_.purge(p, bytes)) return false;
    counts_.purged_bytes += bytes;
    return true;
  }

  /// Each row counts as a call.
  std::size_t purge_rows(const page_row* rows, std::size_t count) noexcept requires row_purging_page_source<Source> {
    const std::size_t done = this->inner_.purge_rows(rows, count);
    counts_.purge_calls += done;
    for (std::size_t n = 0; n < done; ++n) counts_.purged_bytes += rows[n].bytes;
    return done;
  }

  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes,
              std::size_t alignment) noexcept requires remapping_page_source<Source> {
    ++counts_.remap_calls;
    void* const q = this->inner_.remap(p, old_bytes, new_bytes, alignment);
    if (q != nullptr) {
      counts_.mapped_bytes -= old_bytes;
      grow(new_bytes);
    }
    return q;
  }

  [[nodiscard]] const source_counts& counts() const noexcept { return counts_; }

 private:
  void grow(std::size_t bytes) noexcept {
    counts_.mapped_bytes += bytes;
    if (counts_.mapped_bytes > counts_.peak_mapped_bytes) counts_.peak_mapped_bytes = counts_.mapped_bytes;
  }

  source_counts counts_;
};

/// Refuses to map more than a number of bytes at a time: a cap for a container or a tenant.
template <page_source Source = mmap_source>
class limited_source : public detail::source_wrapper<Source> {
 public:
  explicit limited_source(std::size_t limit_bytes) requires std::default_initializable<Source>
      : free_bytes_{limit_bytes} {}
  limited_source(std::size_t limit_bytes, Source source)
      : detail::source_wrapper<Source>{static_cast<Source&&>(source)}, free_bytes_{limit_bytes} {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes > free_bytes_) return nullptr;
    void* const p = this->inner_.map(bytes, alignment);
    if (p != nullptr) free_bytes_ -= bytes;
    return p;
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    if (!this->inner_.unmap(p, bytes)) return false;
    free_bytes_ += bytes;
    return true;
  }

  bool purge(void* p, std::size_t bytes) noexcept { return this->inner_.purge(p, bytes); }

  std::size_t purge_rows(const page_row* rows, std::size_t count) noexcept requires row_purging_page_source<Source> {
    return this->inner_.purge_rows(rows, count);
  }

  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes,
              std::size_t alignment) noexcept requires remapping_page_source<Source> {
    if (new_bytes > old_bytes && new_bytes - old_bytes > free_bytes_) return nullptr;
    void* const q = this->inner_.remap(p, old_bytes, new_bytes, alignment);
    if (q != nullptr) free_bytes_ = free_bytes_ + old_bytes - new_bytes;
    return q;
  }

  /// How much may still be mapped.
  [[nodiscard]] std::size_t free_bytes() const noexcept { return free_bytes_; }

 private:
  std::size_t free_bytes_;
};

/// Fails on purpose, for tests of what happens then. It fails no call until it is told to. Rows of pages are purged one
/// by one, so that each of them may fail.
template <page_source Source = mmap_source>
class failing_source : public detail::source_wrapper<Source> {
 public:
  failing_source() = default;
  explicit failing_source(Source source) : detail::source_wrapper<Source>{static_cast<Source&&>(source)} {}

  /// The `n`-th call from now fails, and so do those after it, `times` in all; 1 is the next. All four verbs count.
  void fail_at(std::uint64_t n, std::uint64_t times = 1) noexcept {
    fail_from_ = calls_ + n;
    fail_times_ = times;
  }

  /// From now on each call fails with a probability of one in `n`.
  void fail_one_in(std::uint64_t n, std::uint64_t seed) noexcept {
    one_in_ = n;
    random_ = seed | 1;
  }

  void never_fail() noexcept { fail_times_ = one_in_ = 0; }

  /// How many calls there were.
  [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    return fails() ? nullptr : this->inner_.map(bytes, alignment);
  }

  bool unmap(void* p, std::size_t bytes) noexcept { return !fails() && this->inner_.unmap(p, bytes); }

  bool purge(void* p, std::size_t bytes) noexcept { return !fails() && this->inner_.purge(p, bytes); }

  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes,
              std::size_t alignment) noexcept requires remapping_page_source<Source> {
    return fails() ? nullptr : this->inner_.remap(p, old_bytes, new_bytes, alignment);
  }

 protected:
  /// Counts a call; whether it is one that fails.
  bool fails() noexcept {
    if (++calls_ >= fail_from_ && calls_ - fail_from_ < fail_times_) return true;
    if (one_in_ == 0) return false;
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator; the high bits are good
    return (random_ >> 33) % one_in_ == 0;
  }

 private:
  std::uint64_t calls_ = 0;
  std::uint64_t fail_from_ = 1;   // the first call is 1
  std::uint64_t fail_times_ = 0;  // 0: none
  std::uint64_t one_in_ = 0;      // 0: never
  std::uint64_t random_ = 1;
};

static_assert(remapping_page_source<counting_source<>> && hinted_page_source<counting_source<>> &&
              row_purging_page_source<counting_source<>>);
static_assert(remapping_page_source<limited_source<>> && row_purging_page_source<limited_source<>>);
static_assert(remapping_page_source<failing_source<>>);

}  // namespace miniheap
