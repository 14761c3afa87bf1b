// SPDX-License-Identifier: BSL-1.0
/// \file
/// A `std::pmr::memory_resource` over an arena.
#pragma once

#include <miniheap/arena.hpp>

#include <memory_resource>

namespace miniheap {

/// Allocates from an arena that outlives it. Equal to another if both allocate from the same arena.
template <class Arena = miniheap_arena<>>
class miniheap_resource final : public std::pmr::memory_resource {
 public:
  explicit miniheap_resource(Arena& arena) noexcept : arena_{&arena} {}

  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return arena_->allocate(bytes, alignment); }

  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    arena_->deallocate(p, bytes, alignment);
  }

  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    const auto* const same = dynamic_cast<const miniheap_resource*>(&other);
    return same != nullptr && same->arena_ == arena_;
  }

  Arena* arena_;
};

}  // namespace miniheap
