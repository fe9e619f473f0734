// SPDX-License-Identifier: Apache-2.0
// An HDF5 data file, any bytes.
#include "hdf5_rows.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(data, size);
  const std::uint8_t how = choices.byte();
  fuzz::read_hdf5(how, choices.rest());
  return 0;
}
