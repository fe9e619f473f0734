// SPDX-License-Identifier: Apache-2.0
// Matrix Market text to rows and ratings, read in one piece and in many.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "mtx"};
  const std::uint8_t how = choices.byte();
  options.single_precision = (how & 1) != 0;
  if ((how & 2) != 0) options.weight = "0";
  if ((how & 4) != 0) options.keep = {"-1"};
  options.label = choices.one_of<const char*>({"label", "-1", "f1"});
  options.missing = choices.one_of<const char*>({"error", "drop", "mean"});
  options.label_use = ReadOptions::Label::optional;
  const std::size_t piece_bytes = 4 + choices.byte() % 80;
  const auto text = choices.rest();
  // A header may claim rows that are empty: what they cost is known beforehand, and not looked for here.
  if (text.size() > 200 || text.find("00000") != std::string_view::npos) return 0;
  file.write(text);
  if ((how & 8) != 0)
    fuzz::read_ratings_both_ways(options, piece_bytes);
  else
    fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
