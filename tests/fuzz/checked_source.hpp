// SPDX-License-Identifier: BSL-1.0
// A page source that knows what the arena has of it, stops an arena that asks for what is not its own, fails where the
// input says so, and leaves rubbish wherever contents are not promised.
#pragma once

#include <miniheap/policy/source_wrappers.hpp>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

namespace fuzz {

/// What a page source has given, and which of its calls fail.
class source_record {
 public:
  explicit source_record(std::size_t limit_bytes) noexcept : limit_bytes_{limit_bytes} {}

  /// Call n from now fails where bit n is set, n below 32; with `again` those after it, too, in the same way.
  void fail(std::uint32_t calls, bool again) noexcept { fails_ = calls, again_ = again ? calls : 0, place_ = 0; }
  void never_fail() noexcept { fail(0, false); }

  /// How many calls failed, on purpose or because there was no more.
  [[nodiscard]] std::size_t refusals() const noexcept { return refusals_; }
  [[nodiscard]] bool is_empty() const noexcept { return mapped_.empty(); }

  /// Whether this call fails.
  bool refuses() noexcept {
    errno = E2BIG;  // as system calls leave it
    if (place_++ == 32) fails_ = again_, place_ = 1;
    const bool is_refused = (fails_ & 1u) != 0;
    fails_ >>= 1;
    return is_refused && refuse();
  }
  bool refuse() noexcept { return ++refusals_ != 0; }

  bool has_room(std::size_t bytes) noexcept { return bytes <= limit_bytes_ - mapped_bytes_ || !refuse(); }

  void add(const void* p, std::size_t bytes) {
    std::uintptr_t begin = address(p);
    std::uintptr_t end = begin + bytes;
    mapped_bytes_ += bytes;
    const auto after = mapped_.lower_bound(begin);
    if (after != mapped_.begin() && std::prev(after)->second == begin) begin = std::prev(after)->first;
    if (after != mapped_.end() && after->first == end) {
      end = after->second;
      mapped_.erase(after);
    }
    mapped_[begin] = end;
  }

  void remove(const void* p, std::size_t bytes) {
    const auto it = std::prev(mapped_.upper_bound(address(p)));
    const std::uintptr_t old_begin = it->first;
    const std::uintptr_t old_end = it->second;
    mapped_.erase(it);
    if (old_begin != address(p)) mapped_[old_begin] = address(p);
    if (old_end != address(p) + bytes) mapped_[address(p) + bytes] = old_end;
    mapped_bytes_ -= bytes;
  }

  /// Stops unless these are whole pages that the arena has.
  void expect_mapped(const char* verb, const void* p, std::size_t bytes) const {
    const auto after = mapped_.upper_bound(address(p));
    if (bytes != 0 && (address(p) | bytes) % 4096 == 0 && after != mapped_.begin() &&
        address(p) + bytes <= std::prev(after)->second)
      return;
    stop(verb, p, bytes);
  }

  [[noreturn]] static void stop(const char* verb, const void* p, std::size_t bytes) {
    std::fprintf(stderr, "broken promise: %s of what is not the arena's: %p, %zu bytes\n", verb, p, bytes);
    std::abort();
  }

 private:
  static std::uintptr_t address(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

  std::map<std::uintptr_t, std::uintptr_t> mapped_;  // begin and end; neighbours are joined
  std::size_t mapped_bytes_ = 0;
  std::size_t limit_bytes_;
  std::size_t refusals_ = 0;
  std::uint32_t fails_ = 0;
  std::uint32_t again_ = 0;
  std::uint32_t place_ = 0;
};

template <class Source>
class checked_source : public miniheap::detail::source_wrapper<Source> {
 public:
  checked_source(Source source, source_record& record) noexcept
      : miniheap::detail::source_wrapper<Source>{source}, record_{&record} {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes == 0 || bytes % 4096 != 0 || !std::has_single_bit(alignment) || alignment < 4096)
      record_->stop("map", nullptr, bytes);
    if (record_->refuses() || !record_->has_room(bytes)) return nullptr;
    void* const p = this->inner_.map(bytes, alignment);
    if (p == nullptr) return record_->refuse(), nullptr;
    record_->add(p, bytes);
    if (!checked_source::maps_zeroed) spoil(p, bytes);
    return p;
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    record_->expect_mapped("unmap", p, bytes);
    if (record_->refuses()) return false;
    if (!checked_source::maps_zeroed) spoil(p, bytes);
    if (!this->inner_.unmap(p, bytes)) return !record_->refuse();
    record_->remove(p, bytes);
    return true;
  }

  bool purge(void* p, std::size_t bytes) noexcept {
    record_->expect_mapped("purge", p, bytes);
    if (record_->refuses() || !this->inner_.purge(p, bytes)) return false;
    if (!checked_source::maps_zeroed) spoil(p, bytes);
    return true;
  }

  /// Some of the rows, and the first of them that fails is the end.
  std::size_t purge_rows(const miniheap::page_row* rows,
                         std::size_t count) noexcept requires miniheap::row_purging_page_source<Source> {
    std::size_t done = 0;
    while (done < count && purge(rows[done].memory, rows[done].bytes)) ++done;
    return done;
  }

  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes,
              std::size_t alignment) noexcept requires miniheap::remapping_page_source<Source> {
    record_->expect_mapped("remap", p, old_bytes);
    if (record_->refuses() || (new_bytes > old_bytes && !record_->has_room(new_bytes - old_bytes))) return nullptr;
    void* const q = this->inner_.remap(p, old_bytes, new_bytes, alignment);
    if (q == nullptr) return record_->refuse(), nullptr;
    record_->remove(p, old_bytes);
    record_->add(q, new_bytes);
    return q;
  }

 private:
  static void spoil(void* p, std::size_t bytes) noexcept { std::memset(p, 0xa5, bytes); }

  source_record* record_;
};

}  // namespace fuzz
