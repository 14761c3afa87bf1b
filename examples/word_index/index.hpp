// SPDX-License-Identifier: BSL-1.0
// The index itself: a map of words to their positions. The map's nodes, the words' characters and the positions all
// come from the one allocator that the index is given; which one that is, the index does not know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace word_index {

struct position {
  std::uint32_t text;
  std::uint32_t line;
};

template <class T, class Allocator>
using rebound = typename std::allocator_traits<Allocator>::template rebind_alloc<T>;

template <class Allocator>
using word_of = std::basic_string<char, std::char_traits<char>, rebound<char, Allocator>>;

/// Compares words of any string type, so that a look-up makes no string.
struct by_text {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept { return a < b; }
};

template <class Allocator>
class index {
 public:
  using word = word_of<Allocator>;
  using positions = std::vector<position, rebound<position, Allocator>>;
  using entry = std::pair<const word, positions>;
  using entries = std::map<word, positions, by_text, rebound<entry, Allocator>>;

  explicit index(const Allocator& allocator) : allocator_(allocator), entries_(allocator) {}

  void add(std::string_view text, position where) {
    auto at = entries_.lower_bound(text);
    if (at == entries_.end() || std::string_view(at->first) != text) {
      at = entries_.emplace_hint(at, std::piecewise_construct, std::forward_as_tuple(text, allocator_),
                                 std::forward_as_tuple(allocator_));
    }
    at->second.push_back(where);
  }

  std::size_t words() const noexcept { return entries_.size(); }

 private:
  [[no_unique_address]] Allocator allocator_;
  entries entries_;
};

/// The last few things the service did: what a log, a cache or a session table is to a real one. Each record is
/// allocated among the index's own objects and outlives them, which is what pins memory.
template <class Allocator>
class history {
 public:
  history(std::size_t limit, const Allocator& allocator) : allocator_(allocator), limit_(limit), records_(allocator) {}

  void add(std::string_view what, position where) {
    if (limit_ == 0) return;
    if (records_.size() == limit_) records_.pop_front();
    records_.push_back(record{where, word_of<Allocator>("indexed the word '", allocator_)});
    records_.back().what.append(what).append("', which was the next of its text");
  }

  std::size_t records() const noexcept { return records_.size(); }

 private:
  struct record {
    position where;
    word_of<Allocator> what;
  };

  [[no_unique_address]] Allocator allocator_;
  std::size_t limit_;
  std::list<record, rebound<record, Allocator>> records_;
};

}  // namespace word_index
