// SPDX-License-Identifier: Apache-2.0
// A .npy or .npz file, any bytes.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "numpy"};
  const std::uint8_t how = choices.byte();
  const bool ratings = (how & 1) != 0;
  options.single_precision = (how & 2) != 0;
  if ((how & 4) != 0) options.weight = "weight";
  if ((how & 8) != 0) options.keep = {ratings ? "label" : "user"};
  options.label = choices.one_of<const char*>({"label", "-1", "0"});
  options.missing = choices.one_of<const char*>({"error", "drop", "mean"});
  options.label_use = (how & 16) != 0 ? ReadOptions::Label::required : ReadOptions::Label::optional;
  const auto bytes = choices.rest();
  file.write(bytes);
  // Deflate expands at most 1032 times, and halves become doubles.
  const fuzz::MemoryLimit limit("NumPy data", 16 * (1100 * bytes.size() + (std::size_t{1} << 20)));
  if (ratings)
    fuzz::read_ratings_both_ways(options, 64);
  else
    fuzz::read_rows_both_ways(options, 64);
  return 0;
}
