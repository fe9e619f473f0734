// SPDX-License-Identifier: Apache-2.0
// A model file as Firesteel writes it, then changed by HDF5 itself, so that every structure in it is right
// but not what it should be.
#include <unistd.h>

#include <filesystem>

#include "firesteel/core/error.hpp"
#include "firesteel/io/model_file.hpp"
#include "hdf5_file.hpp"

using namespace firesteel;

namespace {

Record record_of(fuzz::Choices& choices) {
  Record record;
  record.set("learner", std::string(choices.below(9), 'l'));
  const std::size_t entries = choices.below(6);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::string name =
        (choices.flag() ? "parameters/" : "") + std::string(1, static_cast<char>('a' + i));
    const auto rows = static_cast<Index>(choices.below(4));
    switch (choices.below(7)) {
      case 0:
        record.set(name, static_cast<std::int64_t>(choices.number()));
        break;
      case 1:
        record.set(name, choices.flag());
        break;
      case 2:
        record.set(name, static_cast<double>(choices.byte()) / 3);
        break;
      case 3:
        record.set(name, RecordArray<std::int64_t>{
                             {rows}, std::vector<std::int64_t>(static_cast<std::size_t>(rows), 7)});
        break;
      case 4: {
        std::vector<std::string> texts(static_cast<std::size_t>(rows));
        for (auto& text : texts) text = std::string(4, static_cast<char>('a' + choices.below(26)));
        record.set(name, RecordArray<std::string>{{rows}, std::move(texts)});
        break;
      }
      default:
        record.set_matrix(name, rows, 2, std::vector<double>(static_cast<std::size_t>(2 * rows), 0.5));
    }
  }
  return record;
}

std::string read(const std::string& path) {
  return fuzz::outcome([&] {
    const fuzz::MemoryLimit limit("a model file",
                                  2 * std::filesystem::file_size(path) + (std::size_t{4} << 20));
    return read_model(fuzz::everyone(), path).sha256();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr const char* kNames[] = {
      "a", "b", "c", "parameters", "parameters/a", "sha256", "firesteel_format", "x", "learner"};
  static const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static const std::string path = fuzz::everyone().comm().broadcast_text(
      (std::filesystem::exists("/dev/shm") ? std::filesystem::path("/dev/shm")
                                           : std::filesystem::temp_directory_path()) /
          ("firesteel_fuzz_" + std::to_string(::getpid()) + ".h5"),
      0);
  fuzz::Choices choices(data, silent ? size : 0);
  const Record record = record_of(choices);
  fuzz::outcome([&] {
    write_model(fuzz::everyone(), record, path);
    return std::string();
  });
  fuzz::require_equal("a model read back", record.sha256(), read(path));
  if (fuzz::everyone().rank() == 0) {
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    fuzz::add_objects(file, choices, kNames);
    H5Fclose(file);
  }
  fuzz::everyone().comm().barrier();
  const std::string changed = read(path);
  if (!changed.starts_with("error 65")) fuzz::require_equal("a changed model", record.sha256(), changed);
  if (fuzz::everyone().rank() == 0) std::filesystem::remove(path);
  return 0;
}
