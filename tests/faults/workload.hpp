// SPDX-License-Identifier: BSL-1.0
// A workload that makes an arena call its page source from everywhere it does, and that goes on when a call fails.
#pragma once

#include "faults/faulty_arena.hpp"
#include "model/shadow.hpp"

namespace faults {

using miniheap::KiB;

inline constexpr std::size_t medium_bytes = 32 * KiB;  // two do not fit into a miniheap
inline constexpr std::size_t large_bytes = 96 * KiB;

/// Whatever fails: a call that cannot be served returns nullptr or throws `bad_alloc`, and nothing that is alive
/// changes.
class workload {
 public:
  explicit workload(faulty_arena& arena) : arena_{arena}, shadow_{arena} {}

  /// Calls the page source for: miniheaps, descriptors, the index, large allocations and their records, thread caches,
  /// purging, populating and remapping; and gives all of it back. Throws `model::broken_promise`.
  void run(int miniheaps);

  /// Gives everything back; a second time, as the first may have failed.
  void end();

  /// How many requests were not served.
  [[nodiscard]] std::uint64_t refusals() const noexcept { return refusals_; }

 private:
  enum class group { all, small, large };

  void* try_any(std::size_t bytes, std::size_t alignment);
  void allocate(std::size_t bytes, std::size_t alignment = 16);
  void refused();
  void resize(group which, std::size_t bytes);
  void free_every(std::size_t n, group which = group::all);
  void trim();
  void verify();
  void verify_contents();
  void in_another_thread();
  [[nodiscard]] bool is_in(group which, const std::byte* p) const;

  faulty_arena& arena_;
  model::shadow shadow_;
  unsigned count_ = 0;
  std::uint64_t refusals_ = 0;
};

}  // namespace faults
