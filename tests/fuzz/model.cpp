// SPDX-License-Identifier: Apache-2.0
// A model file, any bytes.
#include "firesteel/core/error.hpp"
#include "firesteel/io/model_file.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  file.write(choices.rest());
  fuzz::outcome([&] {
    const fuzz::MemoryLimit limit("a model file", 2 * size + (std::size_t{4} << 20));
    return read_model(fuzz::everyone(), file.path()).sha256();
  });
  return 0;
}
