// SPDX-License-Identifier: Apache-2.0
// A well-formed HDF5 data file with contents that no writer of data would make.
#include "hdf5_file.hpp"
#include "hdf5_rows.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr const char* kNames[] = {
      "features",      "features",         "label",           "weight", "user",         "item", "rating",
      "features/data", "features/indices", "features/indptr", "shape",  "feature_names"};
  static const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  fuzz::Choices choices(data, silent ? size : 0);
  const std::uint8_t how = choices.byte();
  fuzz::read_hdf5(how, fuzz::make_file(choices, kNames));
  return 0;
}
