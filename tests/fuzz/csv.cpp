// SPDX-License-Identifier: Apache-2.0
// CSV text to rows: every dialect, read in one piece and in many.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "csv"};
  const std::uint8_t flags = choices.byte();
  options.header = (flags & 1) == 0;
  options.single_precision = (flags & 2) != 0;
  options.class_labels = (flags & 4) != 0;
  if ((flags & 8) != 0) options.weight = (flags & 1) != 0 ? "1" : "w";
  if ((flags & 16) != 0) options.keep = {"0"};
  if ((flags & 32) != 0) options.features = {"0-1"};
  if ((flags & 64) != 0) options.exclude = {"-1"};
  options.delimiter = choices.one_of<const char*>({"", "tab", "space", ";", "|", "0", "."});
  options.missing = choices.one_of<const char*>({"error", "drop", "mean"});
  options.label = choices.one_of<const char*>({"label", "0", "-1", "1"});
  options.label_use = choices.one_of<ReadOptions::Label>(
      {ReadOptions::Label::required, ReadOptions::Label::optional, ReadOptions::Label::ignored});
  const std::size_t piece_bytes = 4 + choices.byte() % 80;
  file.write(choices.rest());
  fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
