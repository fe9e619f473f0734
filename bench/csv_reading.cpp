// SPDX-License-Identifier: Apache-2.0
// How fast text becomes tiles: bytes of CSV per CPU second, both sweeps and the first touch of the tiles
// included.
//
// Run: csv_reading ROWS COLUMNS DIGITS DIRECTORY      for example  csv_reading 1000000 28 9 /dev/shm
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "firesteel/core/philox.hpp"
#include "firesteel/io/read_options.hpp"

namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void write_table(const std::string& path, long rows, long columns, int digits) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) std::exit(73);
  for (long column = 0; column < columns; ++column)
    std::fprintf(file, "%sx%ld", column == 0 ? "" : ",", column);
  for (long row = 0; row < rows; ++row)
    for (long column = 0; column < columns; ++column)
      std::fprintf(file, "%c%.*g", column == 0 ? '\n' : ',', digits,
                   10 * firesteel::philox_uniform(1, static_cast<std::uint64_t>(column),
                                                  static_cast<std::uint64_t>(row)) -
                       5);
  std::fputc('\n', file);
  std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 64;
  firesteel::Context context;
  const std::string path = std::string(argv[4]) + "/firesteel_csv_reading.csv";
  if (context.rank() == 0) write_table(path, std::atol(argv[1]), std::atol(argv[2]), std::atoi(argv[3]));
  context.comm().barrier();
  firesteel::ReadOptions options;
  options.inputs = {path};
  options.label_use = firesteel::ReadOptions::Label::optional;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const double before = cpu_seconds();
    const auto input = firesteel::read_rows(context, options);
    auto microseconds = static_cast<firesteel::Index>(1e6 * (cpu_seconds() - before));
    microseconds = context.comm().sum(microseconds);
    const auto bytes = static_cast<double>(std::filesystem::file_size(path));
    if (context.rank() == 0)
      std::printf(
          "{\"rows\": %lld, \"megabytes\": %.1f, \"cpu_seconds\": %.3f, \"megabytes_per_cpu_second\": "
          "%.0f}\n",
          static_cast<long long>(input.rows.partition.rows()), bytes * 1e-6,
          static_cast<double>(microseconds) * 1e-6, bytes / static_cast<double>(microseconds));
  }
  context.comm().barrier();
  if (context.rank() == 0) std::filesystem::remove(path);
}
