// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/fit_loop.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/state_copies.hpp"

namespace firesteel {

namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What the loop itself must remember: part of every checkpoint.
struct LoopState {
  std::vector<double> objective_history;
  std::vector<double> gradient_norm;  // none or one

  void describe(StateVisitor& visitor) {
    visitor.history("loop/objective_history", objective_history, 1, std::numeric_limits<Index>::max());
    visitor.history("loop/gradient_norm", gradient_norm, 1, 1);
  }
};
constexpr std::size_t kLoopParts = 2;

/// One fit: the loop's own state, the learner's behind FitSteps, and the checkpoints of both.
class FitLoop {
 public:
  FitLoop(const Context& context, std::string_view name, Index max_iterations, FitSummary summary,
          const FitSteps& steps)
      : context_(context),
        name_(name),
        max_iterations_(max_iterations),
        steps_(steps),
        copies_(context.copies()),
        summary_(std::move(summary)) {}

  FitSummary run(double initial_objective) {
    loop_.objective_history.push_back(initial_objective);
    open_checkpoints();
    while (iteration_ < max_iterations_ && !finished_) one_step();
    context_.comm().activity().iteration = 0;
    if (writer_) writer_->complete();
    note_saved();
    if (!loop_.gradient_norm.empty()) summary_.gradient_norm = loop_.gradient_norm.front();
    summary_.iterations = iteration_;
    summary_.objective = loop_.objective_history.back();
    summary_.objective_history = std::move(loop_.objective_history);
    if (!finished_) {
      summary_.converged = false;
      summary_.stop_reason = "max_iter";
    }
    return std::move(summary_);
  }

 private:
  /// What the ranks agree on after a step.
  struct Agreement {
    bool stop = false;
    bool checkpoint_due = false;
    bool writing = false;
    bool copy_due = false;
  };

  void one_step() {
    const double start_s = now_s();
    const Index bytes_before = context_.comm().bytes_sent();
    context_.comm().activity().iteration = iteration_ + 1;
    const Step result = steps_.step(iteration_ + 1);
    check_finite(result.objective);
    loop_.gradient_norm.clear();
    if (result.gradient_norm) loop_.gradient_norm.push_back(*result.gradient_norm);
    if (result.counts) {
      ++iteration_;
      loop_.objective_history.push_back(result.objective);
      context_.monitor().iteration({name_, iteration_, max_iterations_, result.objective,
                                    result.gradient_norm, now_s() - start_s,
                                    context_.comm().bytes_sent() - bytes_before});
    }
    const Agreement agreed = agree();
    if (result.converged || result.stop) {
      summary_.converged = result.converged;
      summary_.stop_reason = result.stop_reason;
      finished_ = true;
      return;
    }
    if (agreed.copy_due && result.counts) keep_copy();
    if (writer_ && result.counts) write_checkpoint(agreed);
    if (agreed.stop) throw_stopped();
  }

  void check_finite(double objective) const {
    if (std::isfinite(objective)) return;
    throw Error(ErrorCode::bad_input,
                std::string(name_) + ": the objective is not finite after iteration " +
                    std::to_string(iteration_ + 1) + ": scale the data or use fewer extreme values",
                {}, true);
  }

  /// One allreduce that compares the state of the ranks and spreads requests.
  Agreement agree() const {
    Communicator& comm = context_.comm();
    const auto word = static_cast<std::int64_t>(steps_.hash() >> 1);
    std::array<std::int64_t, 7> words{word,
                                      -word,
                                      context_.monitor().stop_requested() ? 1 : 0,
                                      writer_ && writer_->due(iteration_) ? 1 : 0,
                                      writer_ && writer_->writing() ? 1 : 0,
                                      context_.monitor().memory_wanted() ? 1 : 0,
                                      copies_ != nullptr && copies_->due(comm) ? 1 : 0};
    comm.allreduce_max(std::span<std::int64_t>(words).first(copies_ != nullptr ? 7 : 6));
    if (words[0] != -words[1]) {
      const auto all = comm.allgather(word);
      const auto odd =
          std::find_if(all.begin(), all.end(), [&](std::int64_t other) { return other != all.front(); });
      throw Error(ErrorCode::internal,
                  "rank " + std::to_string(odd - all.begin()) +
                      " computed another model than rank 0: its hardware or libraries differ in arithmetic",
                  {}, true);
    }
    if (words[5] != 0) context_.monitor().memory(comm.allgather(process_memory()));
    return {words[2] != 0, words[3] != 0, words[4] != 0, words[6] != 0};
  }

  /// The loop's parts and the learner's, in the buffers of an earlier copy where there is one.
  std::vector<StatePart> copy_all(std::vector<StatePart> buffers = {}) {
    std::vector<StatePart> learners;
    for (std::size_t i = kLoopParts; i < buffers.size(); ++i) learners.push_back(std::move(buffers[i]));
    buffers.resize(std::min(buffers.size(), kLoopParts));
    auto parts = copy_state(loop_, std::move(buffers));
    for (auto& part : steps_.copy(std::move(learners))) parts.push_back(std::move(part));
    return parts;
  }

  void open_checkpoints() {
    const CheckpointOptions& options = context_.checkpoint();
    const bool saves = !options.directory.empty();
    if (!saves && copies_ == nullptr) return;
    identity_ = steps_.identity();
    if (saves)  // before reading: no other job may write there meanwhile
      writer_.emplace(context_, options, identity_);
    // Where ranks were lost the job has gone on as far as this point.
    const RecoveryPoint point = copies_ != nullptr ? copies_->point() : RecoveryPoint{};
    std::optional<Index> on_disk = point.on_disk;
    if (point.from_memory()) {
      restore_copy();
    } else if (saves && (options.resume || on_disk)) {
      resume(options.directory);
      if (iteration_ > 0) on_disk = iteration_;
    } else if (saves) {
      warn_of_others(options.directory);
    }
    context_.comm().collectively([&] {
      if (saves && on_disk) writer_->resumed_after(*on_disk);
    });
  }

  void warn_of_others(const std::string& directory) const {
    const auto other = context_.comm().collectively(
        [&] { return context_.rank() == 0 ? newest_checkpoint(directory) : std::nullopt; });
    if (other)
      context_.monitor().warning(other->path +
                                 " is of an earlier fit: this one was started without resuming and will "
                                 "remove it when it saves");
  }

  void resume(const std::string& directory) {
    const auto present = context_.comm().collectively([&] { return copy_all(); });
    const auto checkpoint = read_checkpoint(context_, directory, identity_, present);
    if (!checkpoint) {
      const bool some = context_.comm().collectively(
          [&] { return context_.rank() == 0 && newest_checkpoint(directory).has_value(); });
      context_.monitor().message((some ? "no whole checkpoint in " : "no checkpoint in ") + directory +
                                 ": starting afresh");
      return;
    }
    if (checkpoint->iteration > max_iterations_)
      throw Error(ErrorCode::bad_input,
                  "the checkpoint in " + directory + " is of iteration " +
                      std::to_string(checkpoint->iteration) +
                      ", beyond max_iter = " + std::to_string(max_iterations_) +
                      ": raise max_iter (--max-iter), or give another checkpoint directory",
                  {}, true);
    go_on_from(*checkpoint);
    context_.monitor().message("going on after iteration " + std::to_string(iteration_) + " from " +
                               directory);
  }

  void go_on_from(const Checkpoint& checkpoint) {
    context_.comm().collectively([&] {
      const auto middle = checkpoint.parts.begin() + static_cast<std::ptrdiff_t>(kLoopParts);
      restore_state(loop_, {checkpoint.parts.begin(), middle});
      steps_.restore({middle, checkpoint.parts.end()});
      if (static_cast<Index>(loop_.objective_history.size()) - 1 != checkpoint.iteration)
        throw bad_input("the checkpoint of iteration " + std::to_string(checkpoint.iteration) + " has " +
                        std::to_string(loop_.objective_history.size()) +
                        " objectives, expected one more than iterations");
    });
    steps_.restored();
    iteration_ = checkpoint.iteration;
  }

  void restore_copy() {
    const auto present = context_.comm().collectively([&] { return copy_all(); });
    go_on_from(copies_->restore(context_.comm(), identity_, present));
    context_.monitor().note("going on after iteration " + std::to_string(iteration_) +
                            " from the copies in memory");
  }

  void keep_copy() {
    auto parts = context_.comm().collectively([&] { return copy_all(); });
    copies_->keep(context_.comm(), identity_, iteration_, std::move(parts));
  }

  void note_saved() const {
    if (copies_ != nullptr && writer_ && writer_->saved()) copies_->saved_on_disk(*writer_->saved());
  }

  void write_checkpoint(const Agreement& agreed) {
    if (agreed.stop) writer_->complete();
    if (writer_->pending() && !agreed.writing) writer_->advance();
    note_saved();
    if (!writer_->pending() && (agreed.checkpoint_due || agreed.stop)) {
      auto parts = context_.comm().collectively([&] { return copy_all(writer_->take_buffers()); });
      writer_->begin(iteration_, std::move(parts));
    }
    if (agreed.stop) writer_->complete();
  }

  [[noreturn]] void throw_stopped() const {
    const std::string after = "stopped by request after iteration " + std::to_string(iteration_);
    throw Error(ErrorCode::stopped,
                writer_
                    ? after + ": --resume goes on from the checkpoint in " + context_.checkpoint().directory
                    : after + ": nothing was saved, because no --checkpoint directory was given",
                {}, true);
  }

  const Context& context_;
  std::string_view name_;
  Index max_iterations_;
  const FitSteps& steps_;
  StateCopies* copies_;  // null: none are kept
  LoopState loop_;
  Index iteration_ = 0;
  bool finished_ = false;
  FitSummary summary_;
  CheckpointIdentity identity_;
  std::optional<CheckpointWriter> writer_;
};

}  // namespace

namespace {
std::uint64_t hash_word(std::uint64_t hash, const unsigned char* byte) {
  std::uint64_t word = 0;
  std::memcpy(&word, byte, 8);
  hash = (hash ^ word) * 0x9E3779B97F4A7C15;
  return hash ^ (hash >> 32);
}
}  // namespace

std::uint64_t hash_bytes(std::uint64_t hash, const void* bytes, std::size_t count) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  // Long inputs in lanes, whose multiplications overlap: the speed of memory instead of that of one chain.
  constexpr std::size_t kLanes = 8;
  if (count >= 32 * kLanes) {
    std::array<std::uint64_t, kLanes> lanes{};
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = hash + lane;
    for (; count >= 8 * kLanes; byte += 8 * kLanes, count -= 8 * kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = hash_word(lanes[lane], byte + 8 * lane);
    for (const std::uint64_t lane : lanes) {
      hash = (hash ^ lane) * 0x9E3779B97F4A7C15;
      hash ^= hash >> 32;
    }
  }
  for (; count >= 8; byte += 8, count -= 8) hash = hash_word(hash, byte);
  for (; count > 0; --count, ++byte) hash = (hash ^ *byte) * 0x100000001b3;
  return hash;
}

FitSummary run_fit_steps(const Context& context, std::string_view name, Index max_iterations,
                         double initial_objective, FitSummary summary, const FitSteps& steps) {
  const FloatEnvironment environment;  // the caller's program may flush denormals
  return FitLoop(context, name, max_iterations, std::move(summary), steps).run(initial_objective);
}

FitSummary summary_of_data(const RowBlocks& data) {
  FitSummary summary;
  summary.rows = data.rows_used;
  summary.features = data.columns();
  summary.precision = data.single_precision() ? "single" : "double";
  summary.block_rows = data.partition.block_rows();
  return summary;
}

FitSummary summary_of_data(const Ratings& data) {
  FitSummary summary;
  summary.rows = data.rows;
  summary.precision = data.single_precision ? "single" : "double";
  return summary;
}

void summary_to_record(const FitSummary& summary, Record& record) {
  record.set("summary/iterations", summary.iterations);
  if (summary.converged) record.set("summary/converged", *summary.converged);
  record.set("summary/stop_reason", summary.stop_reason);
  record.set("summary/objective", summary.objective);
  if (summary.gradient_norm) record.set("summary/gradient_norm", *summary.gradient_norm);
  record.set("summary/rows", summary.rows);
  record.set("summary/features", summary.features);
  record.set("summary/precision", summary.precision);
  if (summary.block_rows > 0) record.set("summary/block_rows", summary.block_rows);
  record.set_vector("summary/objective_history", summary.objective_history);
}

FitSummary summary_from_record(const Record& record) {
  FitSummary summary;
  summary.iterations = record.get<std::int64_t>("summary/iterations");
  if (record.contains("summary/converged")) summary.converged = record.get<bool>("summary/converged");
  summary.stop_reason = record.get<std::string>("summary/stop_reason");
  summary.objective = record.get<double>("summary/objective");
  if (record.contains("summary/gradient_norm"))
    summary.gradient_norm = record.get<double>("summary/gradient_norm");
  summary.rows = record.get<std::int64_t>("summary/rows");
  summary.features = record.get<std::int64_t>("summary/features");
  if (record.contains("summary/precision")) summary.precision = record.get<std::string>("summary/precision");
  if (record.contains("summary/block_rows"))
    summary.block_rows = record.get<std::int64_t>("summary/block_rows");
  summary.objective_history = record.vector("summary/objective_history", -1).values;
  return summary;
}

}  // namespace firesteel
