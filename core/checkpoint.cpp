// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/checkpoint.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <system_error>

#include "firesteel/core/checkpoint_format.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kKeptCheckpoints = 2;
/// A job that was killed, and is replaced at once, may need a while until its last process is gone.
constexpr auto kLockPatience = std::chrono::seconds(5);

Index value_count(const StatePart& part) { return static_cast<Index>(part.bytes.size()) / part.value_bytes; }

std::string in_directory(const std::string& directory, const std::string& name) {
  return (std::filesystem::path(directory) / name).string();
}

std::unique_ptr<DirectoryLock> lock_directory(Communicator& comm, const std::string& directory) {
  return comm.collectively([&]() -> std::unique_ptr<DirectoryLock> {
    if (comm.rank() != 0) return nullptr;
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure)
      throw Error(ErrorCode::cannot_create,
                  directory + ": cannot make the checkpoint directory: " + failure.message());
    check_can_create(in_directory(directory, checkpoint_name(0)));
    return std::make_unique<DirectoryLock>(directory, kLockPatience);
  });
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parameter_texts(
    const std::vector<ParameterInfo>& parameters) {
  constexpr std::size_t kLongestText = 200;
  std::vector<std::pair<std::string, std::string>> texts;
  for (const auto& parameter : parameters) {
    if (parameter.name == "max_iter") continue;
    std::string value = parameter.value;
    if (parameter.type == ParameterInfo::Type::matrix && !value.empty()) {
      char content[24];
      std::snprintf(content, sizeof content, "%016llx", static_cast<unsigned long long>(parameter.content));
      value += std::string(" of content ") + content + " (" + option_name(parameter.name) + "-file)";
    }
    if (value.size() > kLongestText) value = value.substr(0, kLongestText) + "...";
    texts.emplace_back(parameter.name, std::move(value));
  }
  return texts;
}

/// A write under way: what this rank puts where, and how it went. All memory is there before it begins.
struct CheckpointWriter::Write {
  std::unique_ptr<SharedAtomicFile> file;
  CheckpointHeader header;
  std::vector<StatePart> parts;
  std::vector<Index> first;             ///< global position of this rank's first value of each part
  std::vector<std::int64_t> checksums;  ///< of this rank's values of each part
  bool publishing = false;              ///< the second stage: the values of all ranks are written
  std::atomic<bool> idle{false};
  std::exception_ptr failure;
};

void open_checkpoint_directory(const Context& context, const std::string& directory) {
  const auto probe = lock_directory(context.comm(), directory);
}

CheckpointWriter::CheckpointWriter(const Context& context, CheckpointOptions options,
                                   CheckpointIdentity identity)
    : context_(context),
      options_(std::move(options)),
      identity_(std::move(identity)),
      lock_(lock_directory(context_.comm(), options_.directory)),
      last_(std::chrono::steady_clock::now()) {}

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::resumed_after(Index iteration) { kept_.push_back(checkpoint_name(iteration)); }

bool CheckpointWriter::due(Index iteration) const {
  if (context_.rank() != 0) return false;
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - last_;
  if (options_.seconds > 0 && since.count() >= options_.seconds) return true;
  return options_.every > 0 && iteration % options_.every == 0;
}

bool CheckpointWriter::writing() const { return write_ && !write_->idle.load(std::memory_order_acquire); }

/// Fixes where each part stands. Offsets follow a header whose length depends on their digits: fixed by a
/// round number above it.
void CheckpointWriter::lay_out(Write& write, const std::vector<Index>& totals) {
  auto& entries = write.header.parts;
  for (std::size_t i = 0; i < write.parts.size(); ++i) {
    const StatePart& part = write.parts[i];
    entries.push_back({part.name, part.partitioned, part.value_bytes, totals[i], 0, 0});
  }
  constexpr Index kDigits = 64;  // more than an offset and a checksum that are still 0
  Index offset = (static_cast<Index>(encode_header(write.header).size()) +
                  kDigits * static_cast<Index>(entries.size()) + 4095) /
                 4096 * 4096;
  for (auto& entry : entries) {
    entry.offset = offset;
    offset += (entry.count * entry.value_bytes + 63) / 64 * 64;
  }
}

void CheckpointWriter::begin(Index iteration, std::vector<StatePart> parts) {
  Communicator& comm = context_.comm();
  std::vector<Index> totals;
  auto write = comm.collectively([&] {
    auto made = std::make_unique<Write>();
    made->header.identity = identity_;
    made->header.iteration = iteration;
    made->parts = std::move(parts);
    made->first.resize(made->parts.size(), 0);
    made->checksums.resize(made->parts.size(), 0);
    for (const auto& part : made->parts)
      totals.push_back(part.partitioned || comm.rank() == 0 ? value_count(part) : 0);
    return made;
  });
  for (std::size_t i = 0; i < write->parts.size(); ++i)
    if (write->parts[i].partitioned) write->first[i] = comm.exclusive_scan(totals[i]);
  comm.allreduce_sum(totals);
  const auto path = comm.collectively([&] {
    lay_out(*write, totals);
    return in_directory(options_.directory, checkpoint_name(iteration));
  });
  write->file = std::make_unique<SharedAtomicFile>(comm, path);
  write_ = std::move(write);
  comm.collectively([&] { in_background(&CheckpointWriter::write_values); });
}

/// Runs a stage in the helper thread; where none is to be had, here and now.
void CheckpointWriter::in_background(void (CheckpointWriter::*stage)()) {
  const auto guarded = [this, stage] {
    try {
      (this->*stage)();
    } catch (...) {
      write_->failure = std::current_exception();
    }
    write_->idle.store(true, std::memory_order_release);
  };
  write_->idle.store(false, std::memory_order_relaxed);
  try {
    thread_ = std::thread(guarded);
  } catch (const std::system_error&) {
    guarded();
  }
}

void CheckpointWriter::write_values() {
  for (std::size_t i = 0; i < write_->parts.size(); ++i) {
    const StatePart& part = write_->parts[i];
    if (!part.partitioned && context_.rank() != 0) continue;
    const Index first = write_->first[i];
    write_->file->write_at(write_->header.parts[i].offset + first * part.value_bytes, part.bytes);
    write_->checksums[i] = static_cast<std::int64_t>(position_checksum(part.bytes, part.value_bytes, first));
  }
  write_->file->finish();
}

/// Rank 0: the header, the name, and the end of the checkpoint before the last.
void CheckpointWriter::publish() {
  const std::string header = encode_header(write_->header);
  write_->file->write_at(0, std::as_bytes(std::span(header)));
  write_->file->appear();
  kept_.push_back(checkpoint_name(write_->header.iteration));
  if (kept_.size() > kKeptCheckpoints) kept_.erase(kept_.begin());
  remove_others();
}

void CheckpointWriter::remove_others() {
  for (const auto& name : list_checkpoints(options_.directory)) {
    if (std::find(kept_.begin(), kept_.end(), name) != kept_.end()) continue;
    std::error_code ignored;  // an old checkpoint that stays does no harm
    std::filesystem::remove(std::filesystem::path(options_.directory) / name, ignored);
  }
}

void CheckpointWriter::advance() {
  Communicator& comm = context_.comm();
  if (thread_.joinable()) thread_.join();
  std::exception_ptr failure = write_->failure;
  if (failure) write_.reset();
  comm.agree(failure);
  if (write_->publishing) {
    buffers_ = std::move(write_->parts);
    saved_ = write_->header.iteration;
    write_.reset();
    last_ = std::chrono::steady_clock::now();
    return;
  }
  write_->publishing = true;
  comm.allreduce_sum(write_->checksums);
  for (std::size_t i = 0; i < write_->checksums.size(); ++i)
    write_->header.parts[i].checksum = static_cast<std::uint64_t>(write_->checksums[i]);
  comm.collectively([&] {
    if (comm.rank() == 0) in_background(&CheckpointWriter::publish);
  });
}

void CheckpointWriter::complete() {
  while (pending()) advance();
}

// States as parts.

template <class T>
void StateCopier::copy(std::string_view name, bool partitioned, const T* values, std::size_t count) {
  if (count_ == parts_.size()) parts_.emplace_back();
  StatePart& part = parts_[count_++];
  part.name = name;
  part.partitioned = partitioned;
  part.value_bytes = sizeof(T);
  part.bytes.resize(count * sizeof(T));
  if (count > 0) std::memcpy(part.bytes.data(), values, part.bytes.size());
}

void StateCopier::replicated(std::string_view name, std::vector<double>& values) {
  copy(name, false, values.data(), values.size());
}
void StateCopier::replicated(std::string_view name, double& value) { copy(name, false, &value, 1); }
void StateCopier::replicated(std::string_view name, Index& value) { copy(name, false, &value, 1); }
void StateCopier::partitioned(std::string_view name, std::vector<double>& values, Index) {
  copy(name, true, values.data(), values.size());
}
void StateCopier::partitioned(std::string_view name, std::vector<std::int32_t>& values, Index) {
  copy(name, true, values.data(), values.size());
}

const StatePart& StateRestorer::next(std::string_view name) {
  if (next_ >= parts_.size() || parts_[next_].name != name)
    throw bad_input("the checkpoint has no '" + std::string(name) +
                    "' where the learner has it: it is of another version");
  return parts_[next_++];
}

namespace {
template <class T>
void check_finite(const StatePart& part, T value) {
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(value))
      throw bad_input("the checkpoint's '" + part.name + "' holds " + number_text(value) +
                      ", expected finite numbers");
}

template <class T>
void restore_vector(const StatePart& part, std::vector<T>& values) {
  if (part.bytes.size() != values.size() * sizeof(T))
    throw bad_input("the checkpoint's '" + part.name + "' has " +
                    std::to_string(part.bytes.size() / sizeof(T)) + " values, expected " +
                    std::to_string(values.size()) + ", which these data need");
  if (!values.empty()) std::memcpy(values.data(), part.bytes.data(), part.bytes.size());
  for (const T value : values) check_finite(part, value);
}
template <class T>
void restore_scalar(const StatePart& part, T& value) {
  if (part.bytes.size() != sizeof(T))
    throw bad_input("the checkpoint's '" + part.name + "' is not one value");
  std::memcpy(&value, part.bytes.data(), sizeof(T));
  check_finite(part, value);
}
}  // namespace

void StateRestorer::history(std::string_view name, std::vector<double>& values, Index unit,
                            Index most_groups) {
  const StatePart& part = next(name);
  const auto count = static_cast<Index>(part.bytes.size() / sizeof(double));
  if (unit < 1 ? count > 0 : count % unit != 0 || count / unit > most_groups)
    throw bad_input("the checkpoint's '" + part.name + "' has " + std::to_string(count) +
                    " values, expected at most " + std::to_string(most_groups) + " times " +
                    std::to_string(unit));
  values.resize(static_cast<std::size_t>(count));
  restore_vector(part, values);
}

void StateRestorer::replicated(std::string_view name, std::vector<double>& values) {
  restore_vector(next(name), values);
}
void StateRestorer::replicated(std::string_view name, double& value) { restore_scalar(next(name), value); }
void StateRestorer::replicated(std::string_view name, Index& value) { restore_scalar(next(name), value); }
void StateRestorer::partitioned(std::string_view name, std::vector<double>& values, Index) {
  restore_vector(next(name), values);
}
void StateRestorer::partitioned(std::string_view name, std::vector<std::int32_t>& values, Index) {
  restore_vector(next(name), values);
}

}  // namespace firesteel
