// SPDX-License-Identifier: BSL-1.0
// What the fuzzer calls of an arena beside what the model test does.
#pragma once

#include "fuzz/checked_source.hpp"
#include "model/tested_arena.hpp"

namespace fuzz {

class fuzzed_arena : public model::tested_arena {
 public:
  virtual void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment) = 0;
  virtual std::size_t trim_to(std::size_t target_bytes) = 0;

  /// Whether it is a layer that keeps allocations in stock or in quarantine, which a walk and a check give back.
  virtual bool has_stock() = 0;

  /// What a layer calls. An arena that is a layer itself has none of it.
  virtual void* try_resize(void* p, std::size_t bytes, std::size_t alignment) = 0;
  virtual std::uint32_t stock_class_of(const void* p) = 0;
  virtual std::uint32_t allocate_batch(std::uint32_t stock_class, void** batch, std::uint32_t want,
                                       std::uint32_t lane) = 0;
  virtual void deallocate_batch(std::uint32_t stock_class, void* const* batch, std::uint32_t count) = 0;

  /// What a malloc calls first. An arena without a stock does nothing.
  virtual void* try_allocate_quickly(std::size_t bytes) = 0;
  virtual bool try_deallocate_quickly(void* p) = 0;
};

template <class Arena>
class fuzzed : public model::tested<Arena, fuzzed_arena> {
  static constexpr bool is_quick = requires(Arena arena, void* p) { arena.try_deallocate_quickly(p); };
  static constexpr bool is_layer = !requires(Arena arena, void* p) { arena.stock_class_of(p); };

 public:
  using model::tested<Arena, fuzzed_arena>::tested;

  Arena& arena() noexcept { return this->arena_; }

  void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment) override {
    return this->arena_.try_allocate_zeroed(bytes, alignment);
  }
  std::size_t trim_to(std::size_t target_bytes) override { return this->arena_.trim(target_bytes); }
  bool has_stock() override { return is_layer; }

  void* try_resize(void* p, std::size_t bytes, std::size_t alignment) override {
    if constexpr (!is_layer) return this->arena_.try_resize(p, bytes, alignment);
    return nullptr;
  }
  std::uint32_t stock_class_of(const void* p) override {
    if constexpr (!is_layer) return this->arena_.stock_class_of(p);
    return miniheap::detail::stock_classes;
  }
  std::uint32_t allocate_batch(std::uint32_t stock_class, void** batch, std::uint32_t want,
                               std::uint32_t lane) override {
    if constexpr (!is_layer) return this->arena_.allocate_batch(stock_class, batch, want, lane);
    return 0;
  }
  void deallocate_batch(std::uint32_t stock_class, void* const* batch, std::uint32_t count) override {
    if constexpr (!is_layer) this->arena_.deallocate_batch(stock_class, batch, count);
  }

  void* try_allocate_quickly(std::size_t bytes) override {
    if constexpr (is_quick) return this->arena_.try_allocate_quickly(bytes);
    return nullptr;
  }
  bool try_deallocate_quickly(void* p) override {
    if constexpr (is_quick) return this->arena_.try_deallocate_quickly(p);
    return false;
  }
};

}  // namespace fuzz
