// SPDX-License-Identifier: BSL-1.0
/// \file
/// What an arena tells of itself: the walk, the statistics that rest on it, and both as text and JSON.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/core.hpp>
#include <miniheap/detail/text.hpp>
#include <miniheap/stats.hpp>

#include <type_traits>

namespace miniheap {

/// How `dump` writes.
enum class dump_format { text, json };

}  // namespace miniheap

namespace miniheap::detail {

/// Does nothing to the statistics.
struct leave_as_it_is {
  void operator()(arena_stats&) const noexcept {}
};

template <class Visitor, class Info>
void visit(Visitor& visitor, const Info& info) {
  if constexpr (std::is_invocable_v<Visitor&, const Info&>) visitor(info);
}

/// The span whose first entry is `first`, as a walk visits it.
template <class Core>
span_info describe_span(const Core& core, const page_entry& first, bool is_free) noexcept {
  span_info info;
  info.address = Core::shape::memory_of(&first);
  info.bytes = first.pages * page_bytes;
  if (is_free) return info;
  if (first.kind == page_kind::medium) {
    info.kind = span_info::use::medium;
    return info;
  }
  info.kind = span_info::use::slab;
  info.slot_bytes = shapes[class_of_slab(first.kind)].slot_bytes;
  info.slots = first.slots;
  for (std::uint32_t w = 0; w < slot_words; ++w) {
    info.free_slots += static_cast<std::size_t>(std::popcount(core.small().free_word(first, w)));
  }
  if (is_counted(first)) info.free_bytes = static_cast<std::size_t>(std::popcount(first.unused)) * page_bytes;
  return info;
}

template <class Core, class Visitor>
void visit_allocations(const Core& core, Visitor& visitor, const page_entry& first, const span_info& span) {
  if (span.kind == span_info::use::medium) return visit(visitor, allocation_info{span.address, span.bytes});
  const auto* const memory = static_cast<const std::byte*>(span.address);
  for (std::uint32_t slot = 0; slot < span.slots; ++slot) {
    if (core.small().is_free(first, slot)) continue;
    visit(visitor, allocation_info{memory + slot * span.slot_bytes, span.slot_bytes});
  }
}

/// See `miniheap_arena::walk`.
template <class Core, class Visitor>
void walk(const Core& core, Visitor& visitor) {
  using shape = typename Core::shape;
  core.miniheaps().for_each([&](const typename Core::descriptor& m) {
    visit(visitor, miniheap_info{m.map(), shape::miniheap_bytes, m.used_pages(), shape::usable_pages - m.used_pages(),
                                 m.spans().longest_pages(), m.key().level});
    m.for_each_span([&](const page_entry& first, bool is_free) {
      const span_info span = describe_span(core, first, is_free);
      visit(visitor, span);
      if constexpr (std::is_invocable_v<Visitor&, const allocation_info&>) {
        if (!is_free) visit_allocations(core, visitor, first, span);
      }
    });
  });
  core.large().for_each([&](const mapping_info& mapping) { visit(visitor, mapping); });
}

/// Bytes of a span that are live.
inline std::size_t live_bytes_of(const span_info& span) noexcept {
  switch (span.kind) {
    case span_info::use::free:
      return 0;
    case span_info::use::medium:
      return span.bytes;
    case span_info::use::slab:
      break;
  }
  return (span.slots - span.free_slots) * span.slot_bytes;
}

/// Adds the spans of a walk up.
struct stats_visitor {
  arena_stats& stats;

  /// `rest_bytes` of it are neither live nor pages that count as free.
  void add_slab(const span_info& span, std::size_t rest_bytes) const noexcept {
    const std::size_t waste_bytes = smaller(rest_bytes, span.bytes - span.slots * span.slot_bytes);
    stats.slab_waste_bytes += waste_bytes;
    stats.free_slot_bytes += rest_bytes - waste_bytes;
    stats.clean_page_bytes += span.free_bytes;  // those that are dirty are subtracted later
  }

  void operator()(const span_info& span) const noexcept {
    stats.live_bytes += live_bytes_of(span);
    switch (span.kind) {
      case span_info::use::free:
        stats.clean_page_bytes += span.bytes;
        break;
      case span_info::use::medium:
        ++stats.allocations;
        break;
      case span_info::use::slab:
        stats.allocations += span.slots - span.free_slots;
        add_slab(span, span.bytes - live_bytes_of(span) - span.free_bytes);
    }
  }
};

template <class Core>
arena_stats stats_of(const Core& core) noexcept {
  arena_stats stats;
  stats.miniheaps = core.miniheaps().size();
  stats.empty_miniheaps = core.miniheaps().empty_count();
  stats.mappings = core.large().count();
  stats.allocations = stats.mappings;
  stats.peak_mapped_bytes = core.supply().peak_bytes();
  stats.mapped_bytes = core.supply().mapped_bytes();
  stats.live_bytes = core.large().live_bytes();
  stats.reserve_bytes = core.reserve_bytes();
  stats.reserve_limit_bytes = core.reserve_limit_bytes();
  stats.dirty_page_bytes = core.large().dirty_bytes();
  stats.clean_page_bytes = core.large().free_bytes() - stats.dirty_page_bytes;
  stats.head_bytes = stats.miniheaps * (Core::shape::pages - Core::shape::usable_pages) * page_bytes;
  stats.metadata_bytes = core.metadata_bytes();
  stats_visitor visitor{stats};
  walk(core, visitor);
  core.miniheaps().for_each([&](const typename Core::descriptor& m) {
    stats.dirty_page_bytes += m.dirty_pages() * page_bytes;
    stats.clean_page_bytes -= m.dirty_pages() * page_bytes;
  });
  return stats;
}

/// One miniheap as a line of characters: each stands for as many pages, from ' ' for free ones to '@' for full ones.
template <class Shape>
class occupancy_line {
 public:
  static constexpr std::uint32_t cells = 64 < Shape::pages ? 64 : Shape::pages;
  static constexpr std::uint32_t pages_per_cell = Shape::pages / cells;

  void add(const span_info& span) noexcept {
    if (span.kind == span_info::use::free) return;
    const std::size_t pages = span.bytes / page_bytes;
    const std::size_t first = Shape::offset_of(address_of(span.address)) / page_bytes;
    const std::size_t live = live_bytes_of(span);
    live_bytes_ += live;
    for (std::size_t page = first; page < first + pages; ++page) {
      used_[page / pages_per_cell] = true;
      bytes_[page / pages_per_cell] += live / pages;
    }
  }

  void write(text_line& line) const noexcept {
    constexpr std::string_view shades = ".:-=+*%#@";
    for (std::uint32_t cell = 0; cell < cells; ++cell) {
      const bool is_head = (cell + 1) * pages_per_cell <= Shape::head_pages;
      const std::size_t shade = bytes_[cell] * (shades.size() - 1) / (pages_per_cell * page_bytes);
      line.fill(is_head ? 'H' : used_[cell] ? shades[shade] : ' ', 1);
    }
  }

  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }

 private:
  std::size_t live_bytes_ = 0;
  std::array<std::size_t, cells> bytes_{};
  std::array<bool, cells> used_{};
};

/// The statistics as pairs of a name and a number, in one order for all formats.
template <class Put>
void for_each_statistic(const arena_stats& s, Put put) {
  put("miniheaps", s.miniheaps);
  put("empty_miniheaps", s.empty_miniheaps);
  put("mappings", s.mappings);
  put("allocations", s.allocations);
  put("reserve_bytes", s.reserve_bytes);
  put("reserve_limit_bytes", s.reserve_limit_bytes);
  put("peak_mapped_bytes", s.peak_mapped_bytes);
  put("mapped_bytes", s.mapped_bytes);
  put("live_bytes", s.live_bytes);
  put("free_slot_bytes", s.free_slot_bytes);
  put("slab_waste_bytes", s.slab_waste_bytes);
  put("dirty_page_bytes", s.dirty_page_bytes);
  put("clean_page_bytes", s.clean_page_bytes);
  put("head_bytes", s.head_bytes);
  put("cache_bytes", s.cache_bytes);
  put("metadata_bytes", s.metadata_bytes);
}

/// Calls `put(descriptor, occupancy_line)` for each miniheap.
template <class Core, class Put>
void for_each_picture(const Core& core, Put put) {
  using shape = typename Core::shape;
  core.miniheaps().for_each([&](const typename Core::descriptor& m) {
    occupancy_line<shape> picture;
    m.for_each_span([&](const page_entry& first, bool is_free) { picture.add(describe_span(core, first, is_free)); });
    put(m, picture);
  });
}

template <class Core, class Sink>
void dump_text(const Core& core, Sink& sink, const arena_stats& stats) {
  using shape = typename Core::shape;
  const auto emit = [&](text_line& line) { sink((line << "\n").view()); };
  text_line title;
  emit(title << "arena '" << shortened(core.identity().name) << "'");
  for_each_statistic(stats, [&](std::string_view name, std::size_t n) {
    text_line line;
    emit((line << "  ").left(name, 20).right(n, 16));
  });
  text_line legend;
  legend << "  each character is " << occupancy_line<shape>::pages_per_cell * page_bytes / KiB;
  emit(legend << " KiB: H head, ' ' free, then .:-=+*%#@ from used to full");
  for_each_picture(core, [&](const auto& m, const auto& picture) {
    text_line line;
    line << "  " << static_cast<const void*>(m.map());
    line.right(picture.live_bytes() / KiB, 8) << " KiB live |";
    picture.write(line);
    emit(line << "|");
  });
  core.large().for_each([&](const mapping_info& mapping) {
    text_line line;
    line << "  " << mapping.address;
    emit(line.right(mapping.bytes / KiB, 8) << " KiB large");
  });
}

/// A JSON string may hold neither quotes, backslashes nor control characters as they are.
inline void put_json_text(text_line& line, std::string_view text) noexcept {
  line << "\"";
  for (const char c : text) line.fill(c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? '_' : c, 1);
  line << "\"";
}

template <class Core, class Sink>
void dump_json(const Core& core, Sink& sink, const arena_stats& stats) {
  const char* separator = "";
  const auto emit = [&](const text_line& line) { sink(line.view()); };
  text_line title;
  title << "{\"arena\":";
  put_json_text(title, shortened(core.identity().name));
  emit(title << ",\"stats\":{");
  for_each_statistic(stats, [&](std::string_view name, std::size_t n) {
    text_line line;
    emit(line << separator << "\"" << name << "\":" << n);
    separator = ",";
  });
  sink(std::string_view{"},\"miniheaps\":["});
  separator = "\n";
  for_each_picture(core, [&](const auto& m, const auto& picture) {
    text_line line;
    line << separator << "{\"address\":\"" << static_cast<const void*>(m.map())
         << "\",\"used_pages\":" << m.used_pages();
    line << ",\"level\":" << std::size_t{m.key().level} << ",\"live_bytes\":" << picture.live_bytes() << ",\"map\":\"";
    picture.write(line);
    emit(line << "\"}");
    separator = ",\n";
  });
  sink(std::string_view{"],\"mappings\":["});
  separator = "\n";
  core.large().for_each([&](const mapping_info& mapping) {
    text_line line;
    emit(line << separator << "{\"address\":\"" << mapping.address << "\",\"bytes\":" << mapping.bytes << "}");
    separator = ",\n";
  });
  sink(std::string_view{"]}\n"});
}

/// See `miniheap_arena::dump`. `adjust` may change the statistics.
template <class Core, class Sink, class Adjust>
void dump(const Core& core, Sink& sink, dump_format format, Adjust& adjust) {
  arena_stats stats = stats_of(core);
  adjust(stats);
  if (format == dump_format::json) {
    dump_json(core, sink, stats);
  } else {
    dump_text(core, sink, stats);
  }
}

}  // namespace miniheap::detail
