// SPDX-License-Identifier: BSL-1.0
// Plays the files that are named on the command line, each an input, to a target: where there is no libFuzzer.
#include <cstdint>
#include <cstdio>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  for (int n = 1; n < argc; ++n) {
    std::FILE* const file = std::fopen(argv[n], "rb");
    if (file == nullptr) {
      std::perror(argv[n]);
      return 1;
    }
    std::vector<std::uint8_t> input(64 * 1024);
    input.resize(std::fread(input.data(), 1, input.size(), file));
    std::fclose(file);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%d inputs\n", argc - 1);
}
