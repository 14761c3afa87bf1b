// SPDX-License-Identifier: BSL-1.0
#include "model/shadow.hpp"

#include <algorithm>

namespace model {
namespace {

// Small allocations are filled, larger ones at both ends: what goes wrong in the middle goes wrong at an end too.
constexpr std::size_t filled_bytes = 256;
constexpr std::size_t end_bytes = 48;

std::byte pattern_at(std::uint64_t pattern, std::size_t i) noexcept {
  return static_cast<std::byte>(pattern * 0x9e37u + i * 151u + (i >> 8) * 7u + 1u);
}

/// Calls `use(begin, end)` for each range of bytes that has a pattern.
template <class Use>
void for_each_filled(const allocation& a, Use use) {
  if (a.usable_bytes <= filled_bytes) return use(std::size_t{0}, a.usable_bytes);
  use(std::size_t{0}, end_bytes);
  use(a.usable_bytes - end_bytes, a.usable_bytes);
}

}  // namespace

void shadow::fill_bytes(std::byte* p, const allocation& a) noexcept {
  for_each_filled(a, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) p[i] = pattern_at(a.pattern, i);
  });
}

void shadow::verify_bytes(const std::byte* p, const allocation& a, std::size_t bytes) {
  for_each_filled(a, [&](std::size_t begin, std::size_t end) {
    bool is_same = true;
    for (std::size_t i = begin; i < std::min(end, bytes); ++i) is_same = is_same && p[i] == pattern_at(a.pattern, i);
    expect(is_same, "an allocation keeps its bytes");
  });
}

void shadow::add(void* p, std::size_t bytes, std::size_t alignment) {
  allocation a{bytes, alignment, arena_.usable_size(p), ++patterns_, order_.size()};
  expect(address(p) % alignment == 0, "an allocation is aligned as asked for");
  expect(bytes >= 16 || address(p) % 16 == 0, "any slot is aligned to 16");
  expect(a.usable_bytes >= bytes && a.usable_bytes != 0, "an allocation has the bytes asked for");
  const auto after = live_.lower_bound(address(p));
  expect(after == live_.end() || address(p) + a.usable_bytes <= after->first, "an allocation ends before the next");
  if (after != live_.begin()) {
    const auto before = std::prev(after);
    expect(before->first + before->second.usable_bytes <= address(p), "an allocation starts behind the one before");
  }
  fill_bytes(static_cast<std::byte*>(p), a);
  live_.emplace_hint(after, address(p), a);
  order_.push_back(static_cast<std::byte*>(p));
  live_bytes_ += a.usable_bytes;
}

void shadow::forget(const std::byte* p) {
  const auto it = live_.find(address(p));
  live_bytes_ -= it->second.usable_bytes;
  std::byte* const last = order_.back();
  order_[it->second.place] = last;
  live_.at(address(last)).place = it->second.place;
  order_.pop_back();
  live_.erase(it);
}

void shadow::remove(const std::byte* p) {
  verify(p);
  forget(p);
}

void shadow::move(const std::byte* p, void* q, std::size_t bytes, std::size_t alignment) {
  const allocation old = (*this)[p];
  verify_bytes(static_cast<const std::byte*>(q), old, std::min(old.usable_bytes, bytes));
  forget(p);
  add(q, bytes, alignment);
}

void shadow::clear() {
  live_.clear();
  order_.clear();
  live_bytes_ = 0;
}

void shadow::compare_stats() const {
  const miniheap::arena_stats s = arena_.stats();
  expect(s.allocations == size(), "live allocations are counted");
  const bool is_sealed = arena_.config().checks == miniheap::check_level::hardened;  // and a few bytes longer
  expect(is_sealed ? s.live_bytes >= live_bytes_ : s.live_bytes == live_bytes_, "live bytes are counted");
  expect(s.mapped_bytes == s.live_bytes + s.free_slot_bytes + s.slab_waste_bytes + s.dirty_page_bytes +
                               s.clean_page_bytes + s.head_bytes + s.cache_bytes + s.metadata_bytes,
         "the bytes of the statistics add up");
  expect(s.mapped_bytes == arena_.source_mapped_bytes(), "what the source has mapped is counted");
  expect(s.mapped_bytes <= s.peak_mapped_bytes, "the peak is the most");
  expect(s.empty_miniheaps <= s.miniheaps, "empty miniheaps are miniheaps");
}

void shadow::compare_check() const {
  if (const miniheap::check_result result = arena_.check(); !result) throw broken_promise{result.broken};
}

void shadow::compare_walk() const {
  const tested_arena::walked seen = arena_.walk();
  expect(seen.allocations.size() + seen.mappings.size() == size(), "a walk visits as many allocations as there are");
  const auto is_live = [&](const void* p, std::size_t bytes) {
    const auto it = live_.find(address(p));
    return it != live_.end() && it->second.usable_bytes == bytes;
  };
  for (const auto& a : seen.allocations) expect(is_live(a.address, a.bytes), "a walk visits live allocations");
  for (const auto& m : seen.mappings) expect(is_live(m.address, m.bytes), "a walk visits live mappings");

  const miniheap::arena_stats s = arena_.stats();
  std::size_t span_bytes = 0;
  for (const auto& span : seen.spans) span_bytes += span.bytes;
  std::size_t page_map_bytes = 0;
  std::size_t empty = 0;
  for (const auto& m : seen.miniheaps) {
    expect(m.bytes == arena_.config().miniheap_bytes, "a miniheap has the size of the configuration");
    expect(address(m.address) % m.bytes == 0, "a miniheap is aligned to its size");
    expect((m.level == 0) == (m.used_pages == 0), "the level tells whether a miniheap is empty");
    page_map_bytes += m.bytes - (m.used_pages + m.free_pages) * 4096;
    empty += m.used_pages == 0 ? 1 : 0;
  }
  expect(seen.miniheaps.size() == s.miniheaps && empty == s.empty_miniheaps, "a walk visits all miniheaps");
  expect(page_map_bytes == s.head_bytes, "what is no page for the program is head");
  expect(span_bytes + page_map_bytes == s.miniheaps * arena_.config().miniheap_bytes, "spans leave no holes");
}

}  // namespace model
