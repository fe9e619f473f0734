// SPDX-License-Identifier: Apache-2.0
// Seconds, CPU seconds and peak memory of a logistic regression on random sparse rows of very many columns.
// One JSON row on stdout. Run, alone or under mpirun:
//   wide_logistic [rows] [columns] [non-zeros a row] [λ·rows] [tol] [most iterations] [directory]
// With a directory rank 0 leaves the rows there as raw arrays (indices.i32, values.f64, labels.f64), for
// others to fit.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"

namespace {

using namespace firesteel;

double argument(int argc, char** argv, int position, double otherwise) {
  return argc > position ? std::strtod(argv[position], nullptr) : otherwise;
}

struct Usage {
  double cpu_s = 0;
  double peak_mb = 0;
};
Usage usage() {
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return {seconds(own.ru_utime) + seconds(own.ru_stime), static_cast<double>(own.ru_maxrss) / 1024};
}

/// Weight of a column in the model that labels come from: a fifth of the columns matter.
double true_weight(std::uint64_t column) {
  return column % 5 == 0 ? 4 * (philox_uniform(7, 1, column) - 0.5) : 0.0;
}

RowBlocks random_rows(const Context& context, Index rows, Index columns, Index non_zeros) {
  RowBlocks data{.context = context};
  data.partition = BlockPartition::even(rows, choose_block_rows(columns, 8, true), context.size());
  data.rows_used = rows;
  data.has_labels = true;
  SparseRows<double> sparse;
  sparse.columns_count = columns;
  const Index first = data.partition.first_row(context.rank());
  const auto expected = static_cast<std::size_t>(data.local_rows() * non_zeros);
  sparse.indices.reserve(expected);
  sparse.values.reserve(expected);
  std::vector<double> labels;
  std::vector<std::int32_t> chosen;
  for (Index row = first; row < first + data.local_rows(); ++row) {
    const auto key = static_cast<std::uint64_t>(row);
    chosen.clear();
    for (Index k = 0; k < non_zeros; ++k)
      chosen.push_back(static_cast<std::int32_t>(philox_uniform(1, static_cast<std::uint64_t>(k), key) *
                                                 static_cast<double>(columns)));
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    double z = 0;
    for (const std::int32_t column : chosen) {
      const auto j = static_cast<std::uint64_t>(column);
      sparse.indices.push_back(column);
      sparse.values.push_back(0.5 + philox_uniform(2, j, key));
      z += true_weight(j) * sparse.values.back();
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
    labels.push_back(philox_uniform(3, 0, key) < 1 / (1 + std::exp(-z)) ? 1 : 0);
  }
  data.features = std::move(sparse);
  data.labels = std::move(labels);
  return data;
}

template <class T>
void save(const std::string& path, std::span<const T> values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

void save_rows(const RowBlocks& data, const std::string& directory) {
  const auto& rows = std::get<SparseRows<double>>(data.features);
  save(directory + "/row_begin.i64", std::span<const Index>(rows.row_begin));
  save(directory + "/indices.i32", std::span<const std::int32_t>(rows.indices));
  save(directory + "/values.f64", std::span<const double>(rows.values));
  save(directory + "/labels.f64", std::span<const double>(std::get<std::vector<double>>(data.labels)));
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) {
  const auto rows = static_cast<Index>(argument(argc, argv, 1, 1'000'000));
  const auto columns = static_cast<Index>(argument(argc, argv, 2, 1'000'000));
  const auto non_zeros = static_cast<Index>(argument(argc, argv, 3, 50));
  Context context;
  const RowBlocks data = random_rows(context, rows, columns, non_zeros);
  if (argc > 7 && context.size() == 1) save_rows(data, argv[7]);
  const Usage read = usage();
  const LogisticRegression learner{.reg_param = argument(argc, argv, 4, 1) / static_cast<double>(rows),
                                   .max_iter = static_cast<Index>(argument(argc, argv, 6, 200)),
                                   .tol = argument(argc, argv, 5, 1e-6),
                                   .standardization = false,
                                   .solver = "lbfgs"};
  const double start = seconds_now();
  const auto model = learner.fit(data);
  const double seconds = seconds_now() - start;
  const Usage fitted = usage();
  const auto peaks = context.comm().allgather(fitted.peak_mb);
  if (argc > 7 && context.rank() == 0)
    save(std::string(argv[7]) + "/coefficients.f64", std::span<const double>(model.coefficients.values));
  if (context.rank() != 0) return 0;
  std::printf(
      "{\"rows\":%lld,\"columns\":%lld,\"ranks\":%d,\"threads\":%d,\"iterations\":%lld,\"stop\":\"%s\","
      "\"objective\":%.15g,\"gradient_norm\":%.3g,\"seconds\":%.2f,\"cpu_seconds\":%.2f,\"data_mb\":%.0f,"
      "\"intercept\":%.17g,\"peak_mb\":[",
      static_cast<long long>(rows), static_cast<long long>(columns), context.size(), context.threads(),
      static_cast<long long>(model.summary.iterations), model.summary.stop_reason.c_str(),
      model.summary.objective, *model.summary.gradient_norm, seconds, fitted.cpu_s - read.cpu_s, read.peak_mb,
      model.intercept.front());
  for (std::size_t r = 0; r < peaks.size(); ++r) std::printf("%s%.0f", r == 0 ? "" : ",", peaks[r]);
  std::printf("]}\n");
}
