// SPDX-License-Identifier: Apache-2.0
// Compressed CSV, any bytes: read in one piece and in many.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "csv"};
  options.label_use = ReadOptions::Label::optional;
  const std::size_t piece_bytes = 256 + choices.byte();
  file.write(choices.rest());
  fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
