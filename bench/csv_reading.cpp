// SPDX-License-Identifier: Apache-2.0
// How fast text becomes tiles: bytes of text per CPU second, both sweeps and the first touch of the tiles
// included; the best and the median of the repeats. A format is what printf makes of a number: 6f is %.6f,
// 17g is %.17g; libsvm6g is LIBSVM text of that format, every entry present.
//
// Run: csv_reading ROWS COLUMNS DIRECTORY [FORMAT...]      for example  csv_reading 400000 50 /dev/shm 6f
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "firesteel/core/philox.hpp"
#include "firesteel/io/read_options.hpp"

namespace {

constexpr std::size_t kRepeats = 7;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Table {
  long rows;
  long columns;
  std::string format;
  bool libsvm;
};

void write_table(const std::string& path, const Table& table) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) std::exit(73);
  const std::string number = "%." + table.format;
  for (long column = 0; column < table.columns && !table.libsvm; ++column)
    std::fprintf(file, "%sx%ld", column == 0 ? "" : ",", column);
  if (!table.libsvm) std::fputc('\n', file);
  for (long row = 0; row < table.rows; ++row) {
    if (table.libsvm) std::fprintf(file, "%ld", row % 2);
    for (long column = 0; column < table.columns; ++column) {
      if (table.libsvm)
        std::fprintf(file, " %ld:", column + 1);
      else if (column > 0)
        std::fputc(',', file);
      std::fprintf(file, number.c_str(),
                   10 * firesteel::philox_uniform(1, static_cast<std::uint64_t>(column),
                                                  static_cast<std::uint64_t>(row)) -
                       5);
    }
    std::fputc('\n', file);
  }
  std::fclose(file);
}

void measure(const firesteel::Context& context, const Table& table, const std::string& directory) {
  const std::string path = directory + "/firesteel_csv_reading" + (table.libsvm ? ".libsvm" : ".csv");
  if (context.rank() == 0) write_table(path, table);
  context.comm().barrier();
  firesteel::ReadOptions options;
  options.inputs = {path};
  options.label_use = firesteel::ReadOptions::Label::optional;
  const auto bytes = static_cast<double>(std::filesystem::file_size(path));
  std::vector<double> speeds;
  for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
    const double before = cpu_seconds();
    const auto input = firesteel::read_rows(context, options);
    const auto microseconds =
        context.comm().sum(static_cast<firesteel::Index>(1e6 * (cpu_seconds() - before)));
    speeds.push_back(bytes / static_cast<double>(microseconds));
  }
  std::sort(speeds.begin(), speeds.end());
  if (context.rank() == 0) {
    std::printf(
        "{\"format\": \"%s%s\", \"rows\": %ld, \"columns\": %ld, \"megabytes\": %.1f, "
        "\"megabytes_per_cpu_second\": %.0f, \"median\": %.0f}\n",
        table.libsvm ? "libsvm" : "", table.format.c_str(), table.rows, table.columns, bytes * 1e-6,
        speeds.back(), speeds[kRepeats / 2]);
    std::fflush(stdout);
  }
  context.comm().barrier();
  if (context.rank() == 0) std::filesystem::remove(path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 64;
  const firesteel::Context context({.threads = 1});
  std::vector<std::string> formats(argv + 4, argv + argc);
  if (formats.empty()) formats = {"4g", "6g", "9g", "17g", "4f", "6f", "libsvm4g", "libsvm6f", "libsvm17g"};
  for (const auto& format : formats) {
    const bool libsvm = format.starts_with("libsvm");
    measure(context, {std::atol(argv[1]), std::atol(argv[2]), libsvm ? format.substr(6) : format, libsvm},
            argv[3]);
  }
}
