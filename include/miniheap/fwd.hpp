// SPDX-License-Identifier: BSL-1.0
/// \file
/// Forward declarations. The default policies are named in arena.hpp, so `miniheap_arena<>` needs that; a header of
/// yours that wants no more than a name declares a struct of its own, derived from an arena elsewhere.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/policy/concepts.hpp>

namespace miniheap {

template <page_source PageSource, lock_policy LockPolicy, fit_policy FitPolicy, selection_policy SelectionPolicy,
          arena_config Config>
class miniheap_arena;

template <class T, class Arena>
class miniheap_allocator;
template <class T, auto& Arena>
class miniheap_static_allocator;
template <class Arena>
class miniheap_resource;

}  // namespace miniheap
