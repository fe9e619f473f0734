// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/state_visitor.hpp"

namespace firesteel {

/// What a checkpoint belongs to: a fit goes on only from a checkpoint of the same identity.
struct CheckpointIdentity {
  std::string learner;
  std::string parameters;  ///< digest of all parameters but max_iter, which may be raised on resuming
  std::string data;        ///< fingerprint of the data, see fingerprint.hpp
};

/// One part of a learner's state, as bytes of this rank.
struct StatePart {
  std::string name;
  bool partitioned = false;
  Index value_bytes = 8;         ///< 8: double or Index; 4: int32
  std::vector<std::byte> bytes;  ///< replicated: all of it; partitioned: this rank's values
};

/// Copies the state out. Local.
template <class State>
std::vector<StatePart> copy_state(State& state);
/// Copies values back into a state whose partitioned parts have this rank's sizes already. Local.
template <class State>
void restore_state(State& state, const std::vector<StatePart>& parts);

/// Creates the directory where absent and checks that files can be made in it; leaves none behind.
/// Collective; throws cannot_create (73).
void open_checkpoint_directory(const Context& context, const std::string& directory);

/// Writes the state of a fit into a directory while the fit goes on. One file a checkpoint,
/// `iteration-0000012.fsc`, written by all ranks together under a temporary name (a helper thread each),
/// synced, renamed; the last two are kept. The file holds a header (identity, iteration, parts, a checksum of
/// each) and the parts as little-endian values in global order, so that any number of ranks can read it. The
/// directory must be one that all ranks share.
class CheckpointWriter {
 public:
  /// Creates the directory where absent. Collective; throws cannot_create (73).
  CheckpointWriter(const Context& context, CheckpointOptions options, CheckpointIdentity identity);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();

  /// Whether rank 0 wants a checkpoint after this iteration; false on other ranks. Local.
  bool due(Index iteration) const;
  /// Whether this rank's part of a write is still under way. Local.
  bool writing() const;
  /// A write was begun and not yet completed. The same on all ranks. Local.
  bool pending() const { return file_ != nullptr; }

  /// Takes a copy of the state and begins to write it. Collective; no write may be pending.
  void begin(Index iteration, std::vector<StatePart> parts);
  /// Waits for the write, makes the file appear, removes all but the last two. Collective; throws io_failed
  /// (74).
  void complete();

 private:
  struct Write;
  void write_parts();

  Context context_;
  CheckpointOptions options_;
  CheckpointIdentity identity_;
  std::unique_ptr<SharedAtomicFile> file_;
  std::unique_ptr<Write> write_;
  std::thread thread_;
  std::chrono::steady_clock::time_point last_;
};

/// A checkpoint read back.
struct Checkpoint {
  Index iteration = 0;
  std::vector<StatePart> parts;  ///< partitioned parts: this rank's values
};

/// Reads the newest checkpoint that is whole; a torn or corrupted one is passed over with a warning.
/// `local_counts` are the values that this rank holds of each partitioned part, in order. nullopt where the
/// directory has none. Collective. Throws bad_input (65) where the newest whole one is of another learner,
/// other parameters or other data.
std::optional<Checkpoint> read_checkpoint(const Context& context, const std::string& directory,
                                          const CheckpointIdentity& identity,
                                          const std::vector<StatePart>& present);

// Implementation of the templates.
class StateCopier final : public StateVisitor {
 public:
  std::vector<StatePart> parts;
  void replicated(std::string_view name, std::vector<double>& values) override;
  void replicated(std::string_view name, double& value) override;
  void replicated(std::string_view name, Index& value) override;
  void partitioned(std::string_view name, std::vector<double>& values, Index width) override;
  void partitioned(std::string_view name, std::vector<std::int32_t>& values, Index width) override;
};

class StateRestorer final : public StateVisitor {
 public:
  explicit StateRestorer(const std::vector<StatePart>& parts) : parts_(parts) {}
  void replicated(std::string_view name, std::vector<double>& values) override;
  void replicated(std::string_view name, double& value) override;
  void replicated(std::string_view name, Index& value) override;
  void partitioned(std::string_view name, std::vector<double>& values, Index width) override;
  void partitioned(std::string_view name, std::vector<std::int32_t>& values, Index width) override;

 private:
  const StatePart& next(std::string_view name);
  const std::vector<StatePart>& parts_;
  std::size_t next_ = 0;
};

template <class State>
std::vector<StatePart> copy_state(State& state) {
  StateCopier copier;
  state.describe(copier);
  return std::move(copier.parts);
}

template <class State>
void restore_state(State& state, const std::vector<StatePart>& parts) {
  StateRestorer restorer(parts);
  state.describe(restorer);
}

}  // namespace firesteel
