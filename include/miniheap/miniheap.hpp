// SPDX-License-Identifier: BSL-1.0
/// \file
/// The library in one include: the arena, its policies, and the allocators for containers. A `std::pmr` resource is in
/// <miniheap/resource.hpp>.
#pragma once

#include <miniheap/allocator.hpp>
#include <miniheap/arena.hpp>
