// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/state_visitor.hpp"

namespace firesteel {

/// What a checkpoint belongs to: a fit goes on only from a checkpoint of the same identity.
struct CheckpointIdentity {
  std::string learner;
  std::string parameters;  ///< digest of all parameters but max_iter, which may be raised on resuming
  std::string data;        ///< fingerprint of the data, see fingerprint.hpp
  /// The same parameters, name and value for people: to say which differ. A file of an earlier version has
  /// none.
  std::vector<std::pair<std::string, std::string>> parameter_texts = {};
};
/// Names and values of a learner's parameters, without max_iter; long lists are cut short. Local.
std::vector<std::pair<std::string, std::string>> parameter_texts(
    const std::vector<ParameterInfo>& parameters);

/// One part of a learner's state, as bytes of this rank.
struct StatePart {
  std::string name;
  bool partitioned = false;
  Index value_bytes = 8;         ///< 8: double or Index; 4: int32
  std::vector<std::byte> bytes;  ///< replicated: all of it; partitioned: this rank's values
};

/// Copies the state out, into `buffers` of an earlier copy where given. Local.
template <class State>
std::vector<StatePart> copy_state(State& state, std::vector<StatePart> buffers = {});
/// Copies values back into a state whose parts have their sizes already, but for histories. A checkpoint's
/// sums guard against accidents, not against forgery: throws bad_input where a part has another length than
/// the state or holds a number that is not finite. Local.
template <class State>
void restore_state(State& state, const std::vector<StatePart>& parts);

/// Creates the directory where absent and checks that files can be made in it and that no other job writes
/// there; leaves nothing behind. Collective; throws cannot_create (73).
void open_checkpoint_directory(const Context& context, const std::string& directory);

/// A checkpoint as a directory shows it.
struct SavedCheckpoint {
  std::string path;
  Index iteration = 0;
  std::int64_t time_ns = 0;  ///< of its last change

  friend bool operator==(const SavedCheckpoint&, const SavedCheckpoint&) = default;
};
/// The checkpoint that was saved last, whatever its iteration; nothing where the directory has none or cannot
/// be read. Does not look inside. Local.
std::optional<SavedCheckpoint> newest_checkpoint(const std::string& directory);

/// Writes the state of a fit into a directory while the fit goes on. One file a checkpoint,
/// `iteration-0000012.fsc`, written by all ranks together under a temporary name (a helper thread each),
/// synced, renamed; the last two of this fit are kept, the one it went on from among them, and all
/// others of the directory removed. The file holds a header (identity, iteration, parts, a checksum of
/// each) and the parts as little-endian values in global order, so that any number of ranks can read it. The
/// directory must be one that all ranks share; it is kept locked, so that two jobs do not mix their files.
///
/// A write has two stages, each in the helper threads: every rank's values, then, once all are on the disk,
/// rank 0's header and the renaming. The fit waits for neither: advance() takes a write from one stage to the
/// next when the fit loop learns that all ranks are idle.
class CheckpointWriter {
 public:
  /// Creates the directory where absent and locks it. Collective; throws cannot_create (73).
  CheckpointWriter(const Context& context, CheckpointOptions options, CheckpointIdentity identity);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();

  /// The fit goes on after this iteration, whose checkpoint is one of the last two until there are newer
  /// ones. Local.
  void resumed_after(Index iteration);

  /// Whether rank 0 wants a checkpoint after this iteration; false on other ranks. Local.
  bool due(Index iteration) const;
  /// Whether this rank's helper thread is at work. Local.
  bool writing() const;
  /// A write was begun and has not come to its end. The same on all ranks. Local.
  bool pending() const { return write_ != nullptr; }

  /// Takes the state's parts and begins to write them. Collective; no write may be pending.
  void begin(Index iteration, std::vector<StatePart> parts);
  /// Waits for the stage under way and begins the next, if there is one. Collective, a write must be pending;
  /// throws io_failed (74).
  void advance();
  /// Waits until the write is done, if one is pending. Collective; throws io_failed (74).
  void complete();
  /// The iteration of the last checkpoint that was completed here; the same on all ranks. Local.
  std::optional<Index> saved() const { return saved_; }
  /// The buffers of the last write, for the next copy of the state. Local.
  std::vector<StatePart> take_buffers() { return std::move(buffers_); }

 private:
  struct Write;
  void in_background(void (CheckpointWriter::*stage)());
  void write_values();
  void publish();
  void lay_out(Write& write, const std::vector<Index>& totals);
  void remove_others();

  Context context_;
  CheckpointOptions options_;
  CheckpointIdentity identity_;
  std::unique_ptr<DirectoryLock> lock_;  // rank 0
  std::vector<std::string> kept_;        ///< names, oldest first; rank 0
  std::unique_ptr<Write> write_;
  std::vector<StatePart> buffers_;
  std::optional<Index> saved_;
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
  explicit StateCopier(std::vector<StatePart> buffers) : parts_(std::move(buffers)) {}
  std::vector<StatePart> take() {
    parts_.resize(count_);
    return std::move(parts_);
  }
  void replicated(std::string_view name, std::vector<double>& values) override;
  void replicated(std::string_view name, double& value) override;
  void replicated(std::string_view name, Index& value) override;
  void partitioned(std::string_view name, std::vector<double>& values, Index width) override;
  void partitioned(std::string_view name, std::vector<std::int32_t>& values, Index width) override;

 private:
  template <class T>
  void copy(std::string_view name, bool partitioned, const T* values, std::size_t count);
  std::vector<StatePart> parts_;
  std::size_t count_ = 0;
};

class StateRestorer final : public StateVisitor {
 public:
  explicit StateRestorer(const std::vector<StatePart>& parts) : parts_(parts) {}
  void history(std::string_view name, std::vector<double>& values, Index unit, Index most_groups) override;
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
std::vector<StatePart> copy_state(State& state, std::vector<StatePart> buffers) {
  StateCopier copier(std::move(buffers));
  state.describe(copier);
  return copier.take();
}

template <class State>
void restore_state(State& state, const std::vector<StatePart>& parts) {
  StateRestorer restorer(parts);
  state.describe(restorer);
}

}  // namespace firesteel
