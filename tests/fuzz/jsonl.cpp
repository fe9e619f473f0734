// SPDX-License-Identifier: Apache-2.0
// JSON lines to rows and ratings, read in one piece and in many.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "jsonl"};
  const std::uint8_t how = choices.byte();
  options.single_precision = (how & 1) != 0;
  if ((how & 2) != 0) options.weight = "w";
  if ((how & 4) != 0) options.keep = {"0"};
  options.missing = choices.one_of<const char*>({"error", "drop", "mean"});
  options.label_use = ReadOptions::Label::optional;
  const std::size_t piece_bytes = 4 + choices.byte() % 80;
  file.write(choices.rest());
  if ((how & 8) != 0)
    fuzz::read_ratings_both_ways(options, piece_bytes);
  else
    fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
