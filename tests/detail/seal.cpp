// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/seal.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <vector>

using namespace miniheap::detail;

namespace {

/// Memory of an allocation, zero, and a sealer.
struct sealed {
  explicit sealed(std::size_t bytes) : memory(bytes) {}

  void close(std::size_t bytes, std::size_t alignment = 16) {
    seals.close(memory.data(), memory.size(), bytes, alignment);
  }
  [[nodiscard]] sealed_size open() const { return seals.open(memory.data(), memory.size()); }

  sealer seals{0x123456789abcdef};
  std::vector<unsigned char> memory;
};

}  // namespace

TEST_CASE("seal: says what was asked for, whatever the size", "[seal]") {
  for (const std::size_t usable : {16u, 32u, 48u, 64u, 160u, 4096u, 8192u}) {
    for (std::size_t bytes = 0; bytes <= usable - sealer::seal_bytes; ++bytes) {
      sealed one{usable};
      std::fill_n(one.memory.begin(), bytes, std::uint8_t{0x5a});
      const std::size_t alignment = std::size_t{16} << bytes % 20;
      one.close(bytes, alignment);
      const sealed_size said = one.open();
      REQUIRE(said);
      REQUIRE(said.bytes == bytes);
      REQUIRE(said.alignment == alignment);
      REQUIRE(std::all_of(one.memory.begin(), one.memory.begin() + static_cast<std::ptrdiff_t>(bytes),
                          [](unsigned char byte) { return byte == 0x5a; }));
    }
  }
}

TEST_CASE("seal: any one byte written behind the end breaks it, as far as the fence goes", "[seal]") {
  for (const std::size_t usable : {16u, 32u, 64u, 112u}) {
    for (std::size_t bytes = 0; bytes <= usable - sealer::seal_bytes; ++bytes) {
      sealed one{usable};
      one.close(bytes);
      const std::vector<unsigned char> closed = one.memory;
      for (std::size_t at = bytes; at < usable; ++at) {
        const bool is_fence_or_seal = at < bytes + 16 || at >= usable - sealer::seal_bytes;
        if (!is_fence_or_seal) continue;
        for (const unsigned flipped : {0x01u, 0x80u, 0xffu, 0x10u}) {
          one.memory[at] = static_cast<unsigned char>(closed[at] ^ flipped);
          REQUIRE_FALSE(one.open());
        }
        one.memory[at] = closed[at];
      }
      REQUIRE(one.open());
    }
  }
}

TEST_CASE("seal: what follows the program's bytes is neither zero nor a character", "[seal]") {
  for (std::size_t secret = 0; secret < 1000; ++secret) {
    std::vector<unsigned char> memory(64);
    sealer{scatter(secret)}.close(memory.data(), memory.size(), 40, 16);
    REQUIRE(memory[40] >= 0x90);
    REQUIRE(memory[40] <= 0xcf);
  }
}

TEST_CASE("seal: no seal fits zero memory, another address, another size or another secret", "[seal]") {
  const sealed empty{64};
  CHECK_FALSE(empty.open());
  CHECK(sealer::is_open(empty.memory.data(), 64));
  sealed one{256};
  one.close(64 - sealer::seal_bytes);
  CHECK_FALSE(one.seals.open(one.memory.data(), 64));
  CHECK_FALSE(sealer::is_open(one.memory.data(), 256));
  CHECK_FALSE(sealer{1}.open(one.memory.data(), 256));
  std::vector<unsigned char> moved = one.memory;
  CHECK_FALSE(one.seals.open(moved.data(), moved.size()));
}

TEST_CASE("seal: is_zero sees every byte", "[seal]") {
  for (std::size_t bytes = 16; bytes <= 1024; bytes += 16) {
    std::vector<unsigned char> memory(bytes + 1);
    memory[bytes] = 1;
    REQUIRE(is_zero(memory.data(), bytes));
    for (std::size_t at = 0; at < bytes; ++at) {
      memory[at] = 0x80;
      REQUIRE_FALSE(is_zero(memory.data(), bytes));
      memory[at] = 0;
    }
  }
}
