// SPDX-License-Identifier: BSL-1.0
#include <miniheap/inspect.hpp>

#include "catch.hpp"

#include <miniheap/arena.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace miniheap;

namespace {

constexpr arena_config tiny{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB};
using tiny_arena = miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, tiny>;

/// Three small in one slab, one small in a slab of several pages, a medium, and two large ones.
struct filled_arena {
  explicit filled_arena(const char* name = "filled") : arena{name} {
    for (int n = 0; n < 3; ++n) small.push_back(arena.allocate(48));
    small.push_back(arena.allocate(7000));
    medium = arena.allocate(9000);
    large = {arena.allocate(100000), arena.allocate(40000)};
  }
  tiny_arena arena;
  std::vector<void*> small;
  void* medium = nullptr;
  std::vector<void*> large;
};

std::string dump_of(const tiny_arena& arena, dump_format format) {
  std::string text;
  arena.dump([&](std::string_view piece) { text += piece; }, format);
  return text;
}

std::size_t count_of(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// A reader of JSON that accepts what is well-formed, and remembers the numbers by their keys.
class json_reader {
 public:
  explicit json_reader(std::string_view text) : rest_{text} {}

  bool read() { return value("") && (space(), rest_.empty()); }
  std::map<std::string, std::size_t> numbers;

 private:
  void space() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
  }
  bool take(char c) {
    space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool text(std::string& into) {
    if (!take('"')) return false;
    while (!rest_.empty() && rest_.front() != '"') {
      if (static_cast<unsigned char>(rest_.front()) < ' ' || rest_.front() == '\\') return false;
      into += rest_.front();
      rest_.remove_prefix(1);
    }
    return take('"');
  }
  bool number(const std::string& key) {
    std::size_t n = 0;
    const std::size_t before = rest_.size();
    for (; !rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front())) != 0; rest_.remove_prefix(1)) {
      n = n * 10 + static_cast<std::size_t>(rest_.front() - '0');
    }
    numbers[key] = n;
    return rest_.size() != before;
  }
  bool members(char end) {
    if (take(end)) return true;
    do {
      std::string key;
      if (end == '}' && !(text(key) && take(':'))) return false;
      if (!value(key)) return false;
    } while (take(','));
    return take(end);
  }
  bool value(const std::string& key) {
    if (take('{')) return members('}');
    if (take('[')) return members(']');
    space();
    std::string ignored;
    return !rest_.empty() && (rest_.front() == '"' ? text(ignored) : number(key));
  }

  std::string_view rest_;
};

}  // namespace

TEST_CASE("inspect: a walk visits each kind of thing with what is known of it", "[inspect]") {
  filled_arena filled;
  std::map<const void*, std::size_t> allocations;
  std::map<const void*, std::size_t> mappings;
  std::vector<span_info> spans;
  std::vector<miniheap_info> miniheaps;
  filled.arena.walk([&](const allocation_info& a) { allocations[a.address] = a.bytes; });
  filled.arena.walk([&](const mapping_info& m) { mappings[m.address] = m.bytes; });
  filled.arena.walk([&](const span_info& s) { spans.push_back(s); });
  filled.arena.walk([&](const miniheap_info& m) { miniheaps.push_back(m); });

  std::map<const void*, std::size_t> expected{{filled.small[0], 48},
                                              {filled.small[1], 48},
                                              {filled.small[2], 48},
                                              {filled.small[3], 7168},
                                              {filled.medium, 12288}};
  CHECK(allocations == expected);
  expected = {{filled.large[0], 102400}, {filled.large[1], 40960}};
  CHECK(mappings == expected);

  REQUIRE(miniheaps.size() == 1);
  CHECK(miniheaps[0].bytes == 64 * KiB);
  CHECK(miniheaps[0].used_pages + miniheaps[0].free_pages == 15);
  CHECK(miniheaps[0].level > 0);
  std::map<span_info::use, int> kinds;
  std::size_t longest = 0;
  for (const span_info& s : spans) {
    ++kinds[s.kind];
    if (s.kind == span_info::use::free) longest = std::max(longest, s.bytes);
    if (s.kind == span_info::use::slab && s.slot_bytes == 48) {
      CHECK(s.bytes == 4096);
      CHECK(s.slots == 85);
      CHECK(s.free_slots == 82);
    }
    if (s.kind != span_info::use::slab) CHECK((s.slots == 0 && s.free_slots == 0 && s.slot_bytes == 0));
  }
  CHECK(kinds[span_info::use::slab] == 2);
  CHECK(kinds[span_info::use::medium] == 1);
  CHECK(kinds[span_info::use::free] >= 1);
  CHECK(miniheaps[0].longest_free_pages * 4096 == longest);
}

TEST_CASE("inspect: a walk goes from miniheap to span to allocation, mappings come last", "[inspect]") {
  filled_arena filled;
  struct {
    std::string order;
    void operator()(const miniheap_info&) { order += 'h'; }
    void operator()(const span_info& s) { order += s.kind == span_info::use::free ? 'f' : 's'; }
    void operator()(const allocation_info&) { order += 'a'; }
    void operator()(const mapping_info&) { order += 'm'; }
  } visitor;
  filled.arena.walk(visitor);
  INFO(visitor.order);
  CHECK(visitor.order.front() == 'h');
  CHECK(visitor.order.substr(visitor.order.size() - 2) == "mm");
  CHECK(count_of(visitor.order, "saaa") == 1);
  CHECK(count_of(visitor.order, "sa") == 3);
  CHECK(count_of(visitor.order, "fa") == 0);
}

TEST_CASE("inspect: statistics", "[inspect]") {
  filled_arena filled;
  const arena_stats s = filled.arena.stats();
  CHECK(s.miniheaps == 1);
  CHECK(s.empty_miniheaps == 0);
  CHECK(s.mappings == 2);
  CHECK(s.allocations == 7);
  CHECK(s.live_bytes == 3 * 48 + 7168 + 12288 + 102400 + 40960);
  CHECK(s.head_bytes == 4096);
  CHECK(s.slab_waste_bytes >= 4096 - 85 * 48);
  CHECK(s.metadata_bytes > 0);
  CHECK(s.mapped_bytes == 64 * KiB + 102400 + 40960 + s.metadata_bytes);
  CHECK(s.peak_mapped_bytes == s.mapped_bytes);
  filled.arena.deallocate(filled.large[0]);
  CHECK(filled.arena.stats().peak_mapped_bytes == s.mapped_bytes);
  CHECK(filled.arena.stats().mapped_bytes == s.mapped_bytes - 102400 + 64 * KiB);  // so much may be in reserve
}

TEST_CASE("inspect: what the page source would not take is clean in the statistics, which add up", "[inspect]") {
  miniheap_arena<failing_source<>, no_lock, first_fit, fullest_first,
                 arena_config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0}>
      arena{"refused"};
  void* const p = arena.allocate(1 * MiB);
  arena.source().fail_at(1);
  arena.deallocate(p);  // it is purged instead
  const arena_stats s = arena.stats();
  CHECK(s.clean_page_bytes == 1 * MiB);
  CHECK(s.dirty_page_bytes == 0);
  CHECK(s.mapped_bytes == s.clean_page_bytes + s.metadata_bytes);
  CHECK(s.resident_estimate() == s.metadata_bytes);
}

TEST_CASE("inspect: a slot that is parked, or claimed, is free to who looks", "[inspect]") {
  tiny_arena arena{"parked"};
  void* slots[6];  // four make a slab
  for (void*& p : slots) p = arena.allocate(1024);
  arena.deallocate(slots[1]);  // of a full slab: it is parked there
  CHECK(arena.stats().allocations == 5);
  CHECK(arena.stats().live_bytes == 5 * 1024);
  CHECK(arena.stats().free_slot_bytes == 3 * 1024);
  std::vector<const void*> seen;
  arena.walk([&](const allocation_info& info) { seen.push_back(info.address); });
  CHECK(seen.size() == 5);
  CHECK(std::count(seen.begin(), seen.end(), slots[1]) == 0);
  CHECK(arena.allocate(1024) != slots[1]);  // what is claimed goes first
}

TEST_CASE("inspect: the text has the statistics and a picture of each miniheap", "[inspect]") {
  filled_arena filled;
  const std::string text = dump_of(filled.arena, dump_format::text);
  INFO(text);
  CHECK(count_of(text, "'filled'") == 1);
  CHECK(count_of(text, "live_bytes") == 1);
  CHECK(count_of(text, std::to_string(filled.arena.stats().live_bytes)) >= 1);
  CHECK(count_of(text, "large") == 2);
  CHECK(count_of(text, "|") == 2);
  CHECK(text.back() == '\n');
  const std::string picture = text.substr(text.find('|') + 1, text.rfind('|') - text.find('|') - 1);
  CHECK(picture.size() == 16);  // pages
  CHECK(picture.front() == 'H');
  CHECK(static_cast<std::size_t>(std::count(picture.begin(), picture.end(), ' ')) * 4096 ==
        filled.arena.stats().dirty_page_bytes + filled.arena.stats().clean_page_bytes);
  CHECK(count_of(picture, "@@@") == 1);  // the medium allocation
}

TEST_CASE("inspect: the JSON is well-formed and has the same numbers", "[inspect]") {
  const std::string long_name(300, 'n');
  for (const char* const name : {"plain", "with \"quotes\" and \\ and \n", "", long_name.c_str()}) {
    filled_arena filled{name};
    const std::string text = dump_of(filled.arena, dump_format::json);
    INFO(text);
    json_reader json{text};
    REQUIRE(json.read());
    const arena_stats s = filled.arena.stats();
    CHECK(json.numbers["mapped_bytes"] == s.mapped_bytes);
    CHECK(json.numbers["allocations"] == s.allocations);
    CHECK(json.numbers["metadata_bytes"] == s.metadata_bytes);
    CHECK(json.numbers["used_pages"] > 0);
    CHECK(count_of(text, "\"map\":\"H") == 1);
  }
  tiny_arena empty;
  const std::string text = dump_of(empty, dump_format::json);
  INFO(text);
  CHECK(json_reader{text}.read());
}

TEST_CASE("inspect: the text ends its lines whatever the arena's name is", "[inspect]") {
  const std::string long_name(300, 'n');
  const tiny_arena arena{long_name.c_str()};
  const std::string text = dump_of(arena, dump_format::text);
  INFO(text);
  CHECK(text.find("n'\n") != std::string::npos);
}
