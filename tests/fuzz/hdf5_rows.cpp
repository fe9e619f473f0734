// SPDX-License-Identifier: Apache-2.0
#include "hdf5_rows.hpp"

#include "rows.hpp"

namespace firesteel::fuzz {

void read_hdf5(std::uint8_t how, std::string_view bytes) {
  static const MemoryFile file(900);
  file.write(bytes);
  // Features, labels, weights, users, … may each be what a file of this size can be; packing them takes it
  // twice.
  const MemoryLimit limit("HDF5 data", 8 * (1100 * bytes.size() + (std::size_t{256} << 20)));
  ReadOptions options{.inputs = {file.path()}, .format = "hdf5"};
  const bool ratings = (how & 1) != 0;
  options.single_precision = (how & 2) != 0;
  if ((how & 4) != 0) options.weight = "weight";
  if ((how & 8) != 0) options.keep = {ratings ? "label" : "user"};
  static constexpr const char* kMissing[] = {"error", "drop", "mean"};
  options.missing = kMissing[(how >> 4) % 3];
  options.label_use = (how & 64) != 0 ? ReadOptions::Label::required : ReadOptions::Label::optional;
  const auto read = [&](const Context& context) {
    std::string text = outcome([&] {
      return ratings ? text_of(read_ratings(context, options)) : text_of(read_rows(context, options));
    });
    return text + take_warnings();
  };
  // With one rank the two are the same code on the same bytes.
  const std::string expected = read(alone());
  if (everyone().size() > 1) require_equal("HDF5 data on all ranks", expected, read(everyone()));
}

}  // namespace firesteel::fuzz
