// SPDX-License-Identifier: Apache-2.0
// Sorts records of 100 bytes by their first 10, as the sort benchmark (sortbenchmark.org) has them, and
// checks the result as its valsort does: keys ascend, and the sum of the records' checksums has not changed.
// `sort_records NUMBER` makes records of its own; `sort_records IN OUT` sorts a file of them into another.
// Run:
//   build/release/examples/sort_records 100000
//   mpirun -n 3 build/release/examples/sort_records 100000
// clang-format off
//   f=$(mktemp) && build/release/examples/sort_records 100000 $f && mpirun -n 2 build/release/examples/sort_records $f $f.s > $f.t && LC_ALL=C sort -c $f.s && rm $f $f.s && cat $f.t
// clang-format on
// Prints: 100000 records in order, none lost
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

constexpr std::size_t kKeyBytes = 10;
using Record = std::array<char, 100>;
constexpr auto kRecordBytes = static_cast<fs::Index>(sizeof(Record));

/// A line of text: ten letters at random, the record's number, a line break.
Record make_record(fs::Index row) {
  Record record{};
  const auto number = static_cast<std::uint64_t>(row);
  const std::uint64_t draws[2] = {fs::philox_bits(1, 1, number), fs::philox_bits(1, 2, number)};
  for (std::size_t i = 0; i < kKeyBytes; ++i)
    record[i] = static_cast<char>('A' + (draws[i / 5] >> (12 * (i % 5)) & 0xfff) % 26);
  std::snprintf(record.data() + kKeyBytes, record.size() - kKeyBytes, "%089ld", static_cast<long>(row));
  record.back() = '\n';
  return record;
}

std::array<unsigned char, kKeyBytes> key_of(const Record& record) {
  std::array<unsigned char, kKeyBytes> key{};
  std::memcpy(key.data(), record.data(), kKeyBytes);
  return key;
}

/// Does not depend on the order of records: sums of it are whole numbers.
std::uint64_t checksum(const Record& record) {
  const auto mixed = [](std::uint64_t hash, std::uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 32;
  };
  std::uint64_t hash = 14695981039346656037U;
  std::uint64_t word = 0;
  std::size_t i = 0;
  for (; i + sizeof word <= record.size(); i += sizeof word) {
    std::memcpy(&word, record.data() + i, sizeof word);
    hash = mixed(hash, word);
  }
  word = 0;
  std::memcpy(&word, record.data() + i, record.size() - i);
  return mixed(hash, word);
}

fs::FileDescriptor open_file(const std::string& path, int flags) {
  fs::FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, 0666));
  if (!file.open()) throw fs::Error(fs::ErrorCode::no_input, path + ": " + std::strerror(errno));
  return file;
}

/// Blocks of a file of records, read when they are asked for.
class RecordFile final : public fs::BlockSource<Record> {
 public:
  RecordFile(std::string path, fs::Index rows, fs::Index block_rows)
      : path_(std::move(path)), file_(open_file(path_, O_RDONLY)), rows_(rows), block_rows_(block_rows) {}

  void read(fs::Index, fs::RowCursor&, fs::BlockRows<Record>& rows) const override {
    rows.values.resize(static_cast<std::size_t>(std::min(block_rows_, rows_ - rows.first_row)));
    const std::size_t bytes = rows.values.size() * sizeof(Record);
    if (::pread(file_.get(), rows.values.data(), bytes, rows.first_row * kRecordBytes) !=
        static_cast<ssize_t>(bytes))
      throw fs::Error(fs::ErrorCode::io_failed, path_ + ": reading failed or it was cut");
  }

 private:
  std::string path_;
  fs::FileDescriptor file_;
  fs::Index rows_;
  fs::Index block_rows_;
};

fs::Dataset<Record> read_records(const fs::Context& context, const std::string& path) {
  const auto rows = context.comm().collectively([&] {
    std::error_code failure;
    const auto bytes = static_cast<fs::Index>(std::filesystem::file_size(path, failure));
    if (failure || bytes % kRecordBytes != 0)
      throw fs::bad_input(path + " is no file of records of 100 bytes");
    return bytes / kRecordBytes;
  });
  auto partition = fs::partition_rows(context, rows);
  auto source = context.comm().collectively(
      [&] { return std::make_shared<const RecordFile>(path, rows, partition->block_rows()); });
  return {context, std::move(partition), fs::ErasedPipeline<Record>{std::move(source)}};
}

/// Every rank writes its own records at their place.
template <class Records>
void write_records(const Records& records, const std::string& path) {
  const fs::Context& context = records.context();
  context.comm().collectively([&] {
    if (context.rank() == 0) open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  });
  context.comm().collectively([&] {
    const auto file = open_file(path, O_WRONLY);
    const fs::BlockPartition& partition = records.partition();
    const fs::Index first = partition.first_block(context.rank());
    fs::parallel_for(context.threads(), partition.end_block(context.rank()) - first, [&](fs::Index i, int) {
      std::vector<Record> rows;
      rows.reserve(static_cast<std::size_t>(partition.block_rows()));
      records.run_block(first + i, [&](const Record& record) { rows.push_back(record); });
      const std::size_t bytes = rows.size() * sizeof(Record);
      if (::pwrite(file.get(), rows.data(), bytes, partition.row_of_block(first + i) * kRecordBytes) !=
          static_cast<ssize_t>(bytes))
        throw fs::Error(fs::ErrorCode::io_failed, path + ": writing failed: " + std::strerror(errno));
    });
  });
}

/// Sorts and checks; writes to `path` unless that is empty.
template <class Records>
void sort(const Records& records, const std::string& path) {
  const auto plus = [](std::uint64_t a, std::uint64_t b) { return a + b; };
  const auto sorted = records.sort_by([](const Record& record) { return key_of(record); });
  const auto out_of_order = sorted.window(2, [](auto pair) { return key_of(pair[1]) < key_of(pair[0]); })
                                .filter([](bool wrong) { return wrong; })
                                .count();
  if (out_of_order > 0) throw fs::internal_error("records are out of order");
  if (sorted.map(checksum).reduce(0, plus) != records.map(checksum).reduce(0, plus))
    throw fs::internal_error("records were lost or changed");
  if (!path.empty()) write_records(sorted, path);
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    const fs::Index rows = argc >= 2 ? std::atol(argv[1]) : 0;
    if (argc == 3 && rows > 0) {  // makes a file of records
      write_records(fs::generate(context, rows, make_record), argv[2]);
      return 0;
    }
    if (argc != 3 && (argc != 2 || rows < 1))
      throw fs::bad_parameter(
          "usage: sort_records NUMBER, or sort_records IN OUT, or sort_records NUMBER FILE");
    if (argc == 3)
      sort(read_records(context, argv[1]), argv[2]);
    else
      sort(fs::generate(context, rows, make_record), "");
    const fs::Index sorted = argc == 2 ? rows : read_records(context, argv[2]).partition().rows();
    if (context.rank() == 0) std::printf("%ld records in order, none lost\n", static_cast<long>(sorted));
  } catch (const fs::Error& error) {
    // Every rank has the same error; one says it.
    if (context.rank() == 0) std::fprintf(stderr, "sort_records: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
