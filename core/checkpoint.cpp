// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/checkpoint.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "firesteel/core/checkpoint_format.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kKeptCheckpoints = 2;

Index value_count(const StatePart& part) { return static_cast<Index>(part.bytes.size()) / part.value_bytes; }

}  // namespace

/// A write under way: what this rank puts where, and how it went.
struct CheckpointWriter::Write {
  Index iteration = 0;
  std::string header;  ///< rank 0
  std::vector<StatePart> parts;
  std::vector<Index> offsets;  ///< of this rank's values of each part; −1: another rank writes them
  std::atomic<bool> done{false};
  std::exception_ptr failure;
};

void open_checkpoint_directory(const Context& context, const std::string& directory) {
  context.comm().collectively([&] {
    if (context.rank() != 0) return;
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure)
      throw Error(ErrorCode::cannot_create,
                  directory + ": cannot make the checkpoint directory: " + failure.message());
    check_can_create((std::filesystem::path(directory) / checkpoint_name(0)).string());
  });
}

CheckpointWriter::CheckpointWriter(const Context& context, CheckpointOptions options,
                                   CheckpointIdentity identity)
    : context_(context),
      options_(std::move(options)),
      identity_(std::move(identity)),
      last_(std::chrono::steady_clock::now()) {
  open_checkpoint_directory(context_, options_.directory);
}

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

bool CheckpointWriter::due(Index iteration) const {
  if (context_.rank() != 0) return false;
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - last_;
  if (options_.seconds > 0 && since.count() >= options_.seconds) return true;
  return options_.every > 0 && iteration % options_.every == 0;
}

bool CheckpointWriter::writing() const { return write_ && !write_->done.load(std::memory_order_acquire); }

void CheckpointWriter::begin(Index iteration, std::vector<StatePart> parts) {
  Communicator& comm = context_.comm();
  auto write = std::make_unique<Write>();
  CheckpointHeader header{identity_, iteration, {}};
  std::vector<Index> first(parts.size(), 0);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const StatePart& part = parts[i];
    const bool mine = part.partitioned || comm.rank() == 0;
    if (part.partitioned) first[i] = comm.exclusive_scan(value_count(part));
    std::int64_t words[2] = {
        mine ? value_count(part) : 0,
        mine ? static_cast<std::int64_t>(position_checksum(part.bytes, part.value_bytes, first[i])) : 0};
    comm.allreduce_sum(words);
    header.parts.push_back(
        {part.name, part.partitioned, part.value_bytes, words[0], 0, static_cast<std::uint64_t>(words[1])});
  }
  // Offsets follow a header whose length depends on their digits: fixed by a round number above it.
  const Index data_begin =
      (static_cast<Index>(encode_header(header).size()) + 64 * static_cast<Index>(parts.size()) + 4095) /
      4096 * 4096;
  Index offset = data_begin;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    header.parts[i].offset = offset;
    const bool mine = parts[i].partitioned || comm.rank() == 0;
    write->offsets.push_back(mine ? offset + first[i] * parts[i].value_bytes : -1);
    offset += (header.parts[i].count * parts[i].value_bytes + 63) / 64 * 64;
  }
  write->iteration = iteration;
  if (comm.rank() == 0) write->header = encode_header(header);
  write->parts = std::move(parts);
  const auto path = (std::filesystem::path(options_.directory) / checkpoint_name(iteration)).string();
  file_ = std::make_unique<SharedAtomicFile>(comm, path);
  write_ = std::move(write);
  thread_ = std::thread([this] { write_parts(); });
}

void CheckpointWriter::write_parts() {
  try {
    if (!write_->header.empty()) file_->write_at(0, std::as_bytes(std::span(write_->header)));
    for (std::size_t i = 0; i < write_->parts.size(); ++i)
      if (write_->offsets[i] >= 0) file_->write_at(write_->offsets[i], write_->parts[i].bytes);
    file_->sync();
  } catch (...) {
    write_->failure = std::current_exception();
  }
  write_->done.store(true, std::memory_order_release);
}

void CheckpointWriter::complete() {
  if (!pending()) return;
  thread_.join();
  const auto write = std::move(write_);
  const auto file = std::move(file_);
  last_ = std::chrono::steady_clock::now();
  context_.comm().agree(write->failure);
  file->commit();
  if (context_.rank() != 0) return;
  const auto names = list_checkpoints(options_.directory);
  for (std::size_t i = kKeptCheckpoints; i < names.size(); ++i) {
    std::error_code ignored;  // an old checkpoint that stays does no harm
    std::filesystem::remove(std::filesystem::path(options_.directory) / names[i], ignored);
  }
}

// States as parts.

namespace {
template <class T>
StatePart copy_part(std::string_view name, bool partitioned, const T* values, std::size_t count) {
  StatePart part{std::string(name), partitioned, sizeof(T), std::vector<std::byte>(count * sizeof(T))};
  if (count > 0) std::memcpy(part.bytes.data(), values, part.bytes.size());
  return part;
}
}  // namespace

void StateCopier::replicated(std::string_view name, std::vector<double>& values) {
  parts.push_back(copy_part(name, false, values.data(), values.size()));
}
void StateCopier::replicated(std::string_view name, double& value) {
  parts.push_back(copy_part(name, false, &value, 1));
}
void StateCopier::replicated(std::string_view name, Index& value) {
  parts.push_back(copy_part(name, false, &value, 1));
}
void StateCopier::partitioned(std::string_view name, std::vector<double>& values, Index) {
  parts.push_back(copy_part(name, true, values.data(), values.size()));
}
void StateCopier::partitioned(std::string_view name, std::vector<std::int32_t>& values, Index) {
  parts.push_back(copy_part(name, true, values.data(), values.size()));
}

const StatePart& StateRestorer::next(std::string_view name) {
  if (next_ >= parts_.size() || parts_[next_].name != name)
    throw bad_input("the checkpoint has no '" + std::string(name) +
                    "' where the learner has it: it is of another version");
  return parts_[next_++];
}

namespace {
template <class T>
void restore_vector(const StatePart& part, std::vector<T>& values, bool resize) {
  const std::size_t count = part.bytes.size() / sizeof(T);
  if (!resize && count != values.size())
    throw bad_input("the checkpoint's '" + part.name + "' has another length than these data need");
  values.resize(count);
  if (count > 0) std::memcpy(values.data(), part.bytes.data(), part.bytes.size());
}
template <class T>
void restore_scalar(const StatePart& part, T& value) {
  if (part.bytes.size() != sizeof(T))
    throw bad_input("the checkpoint's '" + part.name + "' is not one value");
  std::memcpy(&value, part.bytes.data(), sizeof(T));
}
}  // namespace

void StateRestorer::replicated(std::string_view name, std::vector<double>& values) {
  restore_vector(next(name), values, true);
}
void StateRestorer::replicated(std::string_view name, double& value) { restore_scalar(next(name), value); }
void StateRestorer::replicated(std::string_view name, Index& value) { restore_scalar(next(name), value); }
void StateRestorer::partitioned(std::string_view name, std::vector<double>& values, Index) {
  restore_vector(next(name), values, false);
}
void StateRestorer::partitioned(std::string_view name, std::vector<std::int32_t>& values, Index) {
  restore_vector(next(name), values, false);
}

}  // namespace firesteel
