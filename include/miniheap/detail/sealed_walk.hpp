// SPDX-License-Identifier: BSL-1.0
/// \file
/// Walks through a hardened arena: what the program has, and what the memory holds.
#pragma once

#include <miniheap/detail/seal.hpp>
#include <miniheap/fault.hpp>
#include <miniheap/inspect.hpp>

namespace miniheap::detail {

/// Shows the program's bytes, and only what is sealed.
template <class Sealed, class Visitor>
struct sealed_visitor {
  const Sealed& self;
  Visitor& visitor;

  void operator()(const miniheap_info& info) const { visit(visitor, info); }
  void operator()(const span_info& info) const { visit(visitor, info); }
  void operator()(const allocation_info& info) const {
    const sealed_size asked = self.seals().open(info.address, Sealed::without_guard(info.bytes));
    if (asked) visit(visitor, allocation_info{info.address, asked.bytes});
  }
  void operator()(const mapping_info& info) const {
    const sealed_size asked = self.seals().open(info.address, Sealed::without_guard(info.bytes));
    if (asked) visit(visitor, mapping_info{info.address, asked.bytes});
  }
};

/// Verifies what allocations hold behind their ends, and that slots without one are zero.
template <class Sealed>
struct contents_visitor {
  const Sealed& self;
  check_result result;
  const std::byte* next = nullptr;  // in the slab that is visited: the first byte that was not looked at
  const std::byte* end = nullptr;

  void operator()(const miniheap_info& /*info*/) { end_slab(); }
  void operator()(const span_info& info) {
    end_slab();
    const auto* const memory = static_cast<const std::byte*>(info.address);
    if (info.kind == span_info::use::slab) next = memory;
    if (info.kind == span_info::use::free) next = memory + info.bytes - default_alignment;  // in front of what is used
    end = memory + info.bytes;
  }
  void operator()(const allocation_info& info) {
    const auto* const p = static_cast<const std::byte*>(info.address);
    if (next != nullptr && next <= p) {
      look_at_free(p);
      next = p + info.bytes;
    }
    look_at(info.address, info.bytes);
  }
  void operator()(const mapping_info& info) {
    end_slab();
    look_at(info.address, info.bytes);
  }

  void end_slab() {
    if (next != nullptr) look_at_free(end);
    next = nullptr;
  }

 private:
  void look_at(const void* p, std::size_t bytes) {
    bytes = Sealed::without_guard(bytes);
    const sealed_size asked = self.seals().open(p, bytes);
    if (asked && sealer::is_clean_behind(p, bytes, asked.bytes)) return;
    if (!asked && (!self.is_free_memory_zero() || is_zero(p, bytes))) return;  // what is not sealed is in stock
    result = {Sealed::fault_at(p, bytes), p};
  }
  void look_at_free(const std::byte* until) {
    if (self.is_free_memory_zero() && next != until && !is_zero(next, static_cast<std::size_t>(until - next)))
      result = {faults::write_after_free, next};
  }
};

}  // namespace miniheap::detail
