// SPDX-License-Identifier: BSL-1.0
// Any arena behind one interface, so that the model is compiled once and not once a combination of policies.
#pragma once

#include <miniheap/arena.hpp>

#include <vector>

namespace model {

class tested_arena {
 public:
  tested_arena() = default;
  tested_arena(const tested_arena&) = delete;
  tested_arena& operator=(const tested_arena&) = delete;
  virtual ~tested_arena() = default;

  virtual void* allocate(std::size_t bytes, std::size_t alignment) = 0;
  virtual void* try_allocate(std::size_t bytes, std::size_t alignment) = 0;
  virtual void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment) = 0;
  virtual miniheap::sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment) = 0;
  virtual void deallocate(void* p) = 0;
  virtual void deallocate(void* p, std::size_t bytes, std::size_t alignment) = 0;
  virtual void* reallocate(void* p, std::size_t bytes, std::size_t alignment) = 0;
  virtual void* try_reallocate(void* p, std::size_t bytes, std::size_t alignment) = 0;
  virtual bool owns(const void* p) = 0;
  virtual std::size_t usable_size(const void* p) = 0;
  virtual std::size_t trim() = 0;
  virtual void release() = 0;
  virtual miniheap::arena_stats stats() = 0;
  virtual miniheap::check_result check() = 0;

  /// What a walk visits.
  struct walked {
    std::vector<miniheap::miniheap_info> miniheaps;
    std::vector<miniheap::span_info> spans;
    std::vector<miniheap::allocation_info> allocations;
    std::vector<miniheap::mapping_info> mappings;
  };
  virtual walked walk() = 0;

  /// What the page source has counted.
  virtual std::size_t source_mapped_bytes() = 0;
  /// Below half of this the source does not fail.
  virtual std::size_t source_limit_bytes() = 0;
  virtual miniheap::arena_config config() = 0;

  /// Whether the source may refuse any call, so that not all goes back that should.
  virtual bool is_source_refusing() { return false; }
  virtual void let_source_refuse(bool /*any*/) {}
};

/// `Arena` has a `counting_source`, of so many bytes in all. `Interface` is `tested_arena`, or has more to override.
template <class Arena, class Interface = tested_arena>
class tested : public Interface {
 public:
  tested(typename Arena::source_type source, std::size_t source_limit_bytes)
      : arena_{static_cast<typename Arena::source_type&&>(source)}, source_limit_bytes_{source_limit_bytes} {}

  void* allocate(std::size_t bytes, std::size_t alignment) override { return arena_.allocate(bytes, alignment); }
  void* try_allocate(std::size_t bytes, std::size_t alignment) override {
    return arena_.try_allocate(bytes, alignment);
  }
  void* try_allocate_zeroed(std::size_t bytes, std::size_t alignment) override {
    return arena_.try_allocate_zeroed(bytes, alignment);
  }
  miniheap::sized_pointer allocate_at_least(std::size_t bytes, std::size_t alignment) override {
    return arena_.allocate_at_least(bytes, alignment);
  }
  void deallocate(void* p) override { arena_.deallocate(p); }
  void deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    arena_.deallocate(p, bytes, alignment);
  }
  void* reallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    return arena_.reallocate(p, bytes, alignment);
  }
  void* try_reallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    return arena_.try_reallocate(p, bytes, alignment);
  }
  bool owns(const void* p) override { return arena_.owns(p); }
  std::size_t usable_size(const void* p) override { return arena_.usable_size(p); }
  std::size_t trim() override { return arena_.trim(); }
  void release() override { arena_.release(); }
  miniheap::arena_stats stats() override { return arena_.stats(); }
  miniheap::check_result check() override { return arena_.check(); }
  std::size_t source_mapped_bytes() override { return arena_.source().counts().mapped_bytes; }
  std::size_t source_limit_bytes() override { return source_limit_bytes_; }
  miniheap::arena_config config() override { return Arena::config; }

  typename Interface::walked walk() override {
    typename Interface::walked seen;
    arena_.walk(collector{seen});
    return seen;
  }

 protected:
  Arena arena_;

 private:
  struct collector {
    typename Interface::walked& seen;
    void operator()(const miniheap::miniheap_info& info) const { seen.miniheaps.push_back(info); }
    void operator()(const miniheap::span_info& info) const { seen.spans.push_back(info); }
    void operator()(const miniheap::allocation_info& info) const { seen.allocations.push_back(info); }
    void operator()(const miniheap::mapping_info& info) const { seen.mappings.push_back(info); }
  };

  std::size_t source_limit_bytes_;
};

}  // namespace model
