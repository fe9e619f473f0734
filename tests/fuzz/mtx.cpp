// SPDX-License-Identifier: Apache-2.0
// Matrix Market text to rows and ratings, read in one piece and in many.
#include <algorithm>

#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

namespace {

/// A header may claim rows that are empty: what they cost is known beforehand, and not looked for here.
bool claims_many_rows(std::string_view text) {
  while (text.starts_with('%') || text.starts_with('\n') || text.starts_with('\r'))
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return std::min(text.find_first_not_of("0123456789"), text.size()) > 4;
}

}  // namespace

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
  if (claims_many_rows(text)) return 0;
  file.write(text);
  if ((how & 8) != 0)
    fuzz::read_ratings_both_ways(options, piece_bytes);
  else
    fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
