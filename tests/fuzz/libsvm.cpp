// SPDX-License-Identifier: Apache-2.0
// LIBSVM text to sparse rows, in training and at scoring.
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  static const FeatureSchema model_columns{};
  fuzz::Choices choices(data, size);
  ReadOptions options{.inputs = {file.path()}, .format = "libsvm"};
  const std::uint8_t flags = choices.byte();
  options.zero_based = (flags & 1) != 0;
  options.single_precision = (flags & 2) != 0;
  options.class_labels = (flags & 4) != 0;
  if ((flags & 8) != 0) options.num_features = 1 + (flags >> 4);
  if ((flags & 128) != 0) {
    options.expected = &model_columns;
    options.expected_features = 12;
  }
  options.missing = choices.one_of<const char*>({"error", "drop", "mean"});
  options.label_use = choices.one_of<ReadOptions::Label>(
      {ReadOptions::Label::required, ReadOptions::Label::optional, ReadOptions::Label::ignored});
  const std::size_t piece_bytes = 4 + choices.byte() % 80;
  file.write(choices.rest());
  fuzz::read_rows_both_ways(options, piece_bytes);
  return 0;
}
