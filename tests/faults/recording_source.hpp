// SPDX-License-Identifier: BSL-1.0
// A page source that writes its calls down, so that a test can say which ones it has reached.
#pragma once

#include <miniheap/policy/page_source.hpp>

#include <algorithm>
#include <vector>

namespace faults {

enum class verb { map, unmap, purge, grow, shrink };

struct call {
  verb what;
  std::size_t bytes;
};

class recording_source {
 public:
  static constexpr bool maps_zeroed = true;

  explicit recording_source(std::vector<call>& calls) noexcept : calls_{&calls} {}

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    calls_->push_back({verb::map, bytes});
    return inner_.map(bytes, alignment);
  }
  bool unmap(void* p, std::size_t bytes) noexcept {
    calls_->push_back({verb::unmap, bytes});
    return inner_.unmap(p, bytes);
  }
  bool purge(void* p, std::size_t bytes) noexcept {
    calls_->push_back({verb::purge, bytes});
    return inner_.purge(p, bytes);
  }
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    calls_->push_back({old_bytes < new_bytes ? verb::grow : verb::shrink, new_bytes});
    return inner_.remap(p, old_bytes, new_bytes, alignment);
  }

 private:
  std::vector<call>* calls_;
  miniheap::mmap_source inner_;
};

inline bool has(const std::vector<call>& calls, verb what, std::size_t bytes) {
  return std::any_of(calls.begin(), calls.end(), [&](const call& c) { return c.what == what && c.bytes == bytes; });
}

}  // namespace faults
