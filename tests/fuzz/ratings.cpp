// SPDX-License-Identifier: Apache-2.0
// CSV text to ratings: ids as whole numbers and as texts.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "csv"};
  const std::uint8_t flags = choices.byte();
  options.header = (flags & 1) == 0;
  if ((flags & 2) != 0) options.user = "0";
  if ((flags & 4) != 0) options.item = "1";
  if ((flags & 8) != 0) options.rating = "-1";
  if ((flags & 16) != 0) options.keep = {"-1"};
  if ((flags & 32) != 0) options.label_use = ReadOptions::Label::ignored;
  options.delimiter = choices.one_of<const char*>({"", "tab", "space", ":"});
  const std::size_t piece_bytes = 4 + choices.byte() % 80;
  file.write(choices.rest());
  fuzz::read_ratings_both_ways(options, piece_bytes);
  return 0;
}
