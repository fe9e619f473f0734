// SPDX-License-Identifier: Apache-2.0
// Sorts records of 100 bytes, 10 of them a random key, as the sort benchmark (sortbenchmark.org) has them,
// and checks the result as its valsort does: keys ascend, and the sum of the records' checksums has not
// changed. Run:
//   build/release/examples/sort_records 100000
//   mpirun -n 3 build/release/examples/sort_records 100000
// Prints: 100000 records in order, none lost
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

constexpr std::size_t kKeyBytes = 10;
using Record = std::array<char, 100>;

Record make_record(fs::Index row) {
  Record record{};
  const auto number = static_cast<std::uint64_t>(row);
  const std::uint64_t draws[2] = {fs::philox_bits(1, 1, number), fs::philox_bits(1, 2, number)};
  std::memcpy(record.data(), draws, kKeyBytes);
  std::snprintf(record.data() + kKeyBytes, record.size() - kKeyBytes, "%089ld", static_cast<long>(row));
  return record;
}

std::string_view key_of(const Record& record) { return {record.data(), kKeyBytes}; }

/// Does not depend on the order of records: sums of it are whole numbers.
std::uint64_t checksum(const Record& record) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char c : record) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    const fs::Index rows = argc == 2 ? std::atol(argv[1]) : 0;
    if (rows < 1) throw fs::bad_parameter("usage: sort_records NUMBER");
    const auto plus = [](std::uint64_t a, std::uint64_t b) { return a + b; };
    const auto records = fs::generate(context, rows, make_record);
    const auto sorted = records.sort_by([](const Record& record) {
      std::array<unsigned char, kKeyBytes> key{};
      std::memcpy(key.data(), record.data(), kKeyBytes);
      return key;
    });
    const auto out_of_order = sorted.window(2, [](auto pair) { return key_of(pair[1]) < key_of(pair[0]); })
                                  .filter([](bool wrong) { return wrong; })
                                  .count();
    if (out_of_order > 0) throw fs::internal_error("records are out of order");
    if (sorted.map(checksum).reduce(0, plus) != records.map(checksum).reduce(0, plus))
      throw fs::internal_error("records were lost or changed");
    if (context.rank() == 0) std::printf("%ld records in order, none lost\n", static_cast<long>(rows));
  } catch (const fs::Error& error) {
    // Every rank has the same error; one says it.
    if (context.rank() == 0) std::fprintf(stderr, "sort_records: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
