// SPDX-License-Identifier: BSL-1.0
// A page source that writes its calls down, so that a test can say which ones it has reached, and one of which any call
// may fail.
#pragma once

#include <miniheap/policy/source_wrappers.hpp>

#include <vector>

namespace faults {

using miniheap::page_row;

enum class verb { map, unmap, purge, purge_row, remap, populate, prefer_huge_pages, prefer_small_pages };

struct call {
  verb what;
  std::size_t bytes;  // of a row, its own; when remapped, the new ones
};

/// Takes what `Source` takes.
template <miniheap::page_source Source>
class recording_source {
 public:
  static constexpr bool maps_zeroed = miniheap::maps_zeroed<Source>;

  explicit recording_source(Source source) : inner_{static_cast<Source&&>(source)} {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    calls_.push_back({verb::map, bytes});
    return inner_.map(bytes, alignment);
  }
  bool unmap(void* p, std::size_t bytes) noexcept {
    calls_.push_back({verb::unmap, bytes});
    return inner_.unmap(p, bytes);
  }
  bool purge(void* p, std::size_t bytes) noexcept {
    calls_.push_back({verb::purge, bytes});
    return inner_.purge(p, bytes);
  }
  std::size_t purge_rows(const page_row* rows,
                         std::size_t count) noexcept requires miniheap::row_purging_page_source<Source> {
    for (std::size_t n = 0; n < count; ++n) calls_.push_back({verb::purge_row, rows[n].bytes});
    return inner_.purge_rows(rows, count);
  }
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes,
              std::size_t alignment) noexcept requires miniheap::remapping_page_source<Source> {
    calls_.push_back({verb::remap, new_bytes});
    return inner_.remap(p, old_bytes, new_bytes, alignment);
  }
  void populate(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    calls_.push_back({verb::populate, bytes});
    inner_.populate(p, bytes);
  }
  void prefer_huge_pages(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    calls_.push_back({verb::prefer_huge_pages, bytes});
    inner_.prefer_huge_pages(p, bytes);
  }
  void prefer_small_pages(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    calls_.push_back({verb::prefer_small_pages, bytes});
    inner_.prefer_small_pages(p, bytes);
  }

  [[nodiscard]] const std::vector<call>& calls() const noexcept { return calls_; }

 private:
  Source inner_;
  std::vector<call> calls_;
};

/// As `failing_source`; rows of pages and hints count as calls, too. What fails of several rows is a row and those
/// behind it; where a hint fails, nothing is done.
template <miniheap::page_source Source>
class failing_everywhere : public miniheap::failing_source<Source> {
 public:
  explicit failing_everywhere(Source source) : miniheap::failing_source<Source>{static_cast<Source&&>(source)} {}

  std::size_t purge_rows(const page_row* rows,
                         std::size_t count) noexcept requires miniheap::row_purging_page_source<Source> {
    std::size_t taken = 0;
    while (taken < count && !this->fails()) ++taken;
    return taken == 0 ? 0 : this->inner_.purge_rows(rows, taken);
  }
  void populate(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    if (!this->fails()) this->inner_.populate(p, bytes);
  }
  void prefer_huge_pages(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    if (!this->fails()) this->inner_.prefer_huge_pages(p, bytes);
  }
  void prefer_small_pages(void* p, std::size_t bytes) noexcept requires miniheap::hinted_page_source<Source> {
    if (!this->fails()) this->inner_.prefer_small_pages(p, bytes);
  }
};

}  // namespace faults
