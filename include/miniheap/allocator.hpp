// SPDX-License-Identifier: BSL-1.0
/// \file
/// Allocators for the standard's containers.
#pragma once

#include <miniheap/arena.hpp>

#include <limits>
#include <type_traits>

namespace miniheap {

/// What `allocate_at_least` of an allocator returns: room for `count` objects at `ptr`.
template <class T>
struct allocation_result {
  T* ptr = nullptr;
  std::size_t count = 0;
};

namespace detail {

/// Whether T is large enough to be a container's node, which is allocated one at a time. Compilers do not always see
/// that the count is 1 where a container calls; asking for it lets them use what follows from the size of T.
template <class T>
inline constexpr bool is_node = sizeof(T) >= 16;

/// `count` objects of type T from an arena. Throws `std::bad_array_new_length` where that many bytes cannot be.
template <class T, class Arena>
[[nodiscard, gnu::always_inline]] inline T* allocate_objects(Arena& arena, std::size_t count) {
  if (is_node<T> && count == 1) [[likely]]
    return static_cast<T*>(arena.allocate(sizeof(T), alignof(T)));
  if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) [[unlikely]]
    throw std::bad_array_new_length{};
  return static_cast<T*>(arena.allocate(count * sizeof(T), alignof(T)));
}

/// Gives `count` objects of type T back.
template <class T, class Arena>
[[gnu::always_inline]] inline void deallocate_objects(Arena& arena, T* p, std::size_t count) noexcept {
  if (is_node<T> && count == 1) [[likely]]
    return arena.deallocate(p, sizeof(T), alignof(T));
  arena.deallocate(p, count * sizeof(T), alignof(T));
}

template <class T, class Arena>
[[nodiscard]] allocation_result<T> allocate_at_least_objects(Arena& arena, std::size_t count) {
  if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_array_new_length{};
  const sized_pointer room = arena.allocate_at_least(count * sizeof(T), alignof(T));
  return {static_cast<T*>(room.ptr), room.bytes / sizeof(T)};
}

}  // namespace detail

/// Allocates from an arena that outlives the container; holds its address. Two are equal if they allocate from the same
/// arena, for whatever type. It goes along on copy assignment, move assignment and swap, so that a container that is
/// assigned keeps its elements where they are, or takes the arena of the one it is assigned from; never are elements of
/// unequal arenas moved one by one in an assignment. A copy of a container allocates from the same arena.
template <class T, class Arena = miniheap_arena<>>
class miniheap_allocator {
 public:
  using value_type = T;
  using arena_type = Arena;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;

  /// Implicit, so that `std::vector<int, miniheap_allocator<int>> v{arena}` reads well.
  miniheap_allocator(Arena& arena) noexcept : arena_{&arena} {}  // NOLINT(google-explicit-constructor)

  template <class U>
  miniheap_allocator(const miniheap_allocator<U, Arena>& other) noexcept  // NOLINT(google-explicit-constructor)
      : arena_{&other.arena()} {}

  /// Room for `count` objects. Throws `std::bad_alloc`, `std::bad_array_new_length`.
  [[nodiscard, gnu::always_inline]] T* allocate(std::size_t count) {
    return detail::allocate_objects<T>(*arena_, count);
  }

  /// Room for `count` objects or more. Throws as `allocate`.
  [[nodiscard]] allocation_result<T> allocate_at_least(std::size_t count) {
    return detail::allocate_at_least_objects<T>(*arena_, count);
  }

  /// `count` is what was asked for, or anything up to what `allocate_at_least` gave.
  [[gnu::always_inline]] void deallocate(T* p, std::size_t count) noexcept {
    detail::deallocate_objects(*arena_, p, count);
  }

  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  template <class U>
  friend bool operator==(const miniheap_allocator& a, const miniheap_allocator<U, Arena>& b) noexcept {
    return &a.arena() == &b.arena();
  }

 private:
  Arena* arena_;
};

/// The same for an arena with static storage: an empty class, so that a container is no larger than with
/// `std::allocator`. The arena must be constructed before and destroyed after the containers that use it.
template <class T, auto& Arena>
class miniheap_static_allocator {
 public:
  using value_type = T;
  using arena_type = std::remove_reference_t<decltype(Arena)>;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::true_type;

  template <class U>
  struct rebind {
    using other = miniheap_static_allocator<U, Arena>;
  };

  miniheap_static_allocator() = default;

  template <class U>
  miniheap_static_allocator(const miniheap_static_allocator<U, Arena>&) noexcept {
  }  // NOLINT(google-explicit-constructor)

  /// Room for `count` objects. Throws `std::bad_alloc`, `std::bad_array_new_length`.
  [[nodiscard, gnu::always_inline]] T* allocate(std::size_t count) { return detail::allocate_objects<T>(Arena, count); }

  /// Room for `count` objects or more. Throws as `allocate`.
  [[nodiscard]] allocation_result<T> allocate_at_least(std::size_t count) {
    return detail::allocate_at_least_objects<T>(Arena, count);
  }

  /// `count` is what was asked for, or anything up to what `allocate_at_least` gave.
  [[gnu::always_inline]] void deallocate(T* p, std::size_t count) noexcept {
    detail::deallocate_objects(Arena, p, count);
  }

  [[nodiscard]] static arena_type& arena() noexcept { return Arena; }

  template <class U>
  friend bool operator==(const miniheap_static_allocator&, const miniheap_static_allocator<U, Arena>&) noexcept {
    return true;
  }
};

}  // namespace miniheap
