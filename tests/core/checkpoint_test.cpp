// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/checkpoint.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "firesteel/core/checkpoint_format.hpp"
#include "firesteel/core/fit_loop.hpp"

namespace firesteel {
namespace {

namespace fs = std::filesystem;

constexpr Index kRows = 500;
constexpr Index kIterations = 12;

/// A learner made for the test: every iteration mixes a replicated vector, a counter and one value a row, so
/// that a part forgotten or put back wrongly changes the end.
struct Mixer {
  Index max_iter = kIterations;
  double rate = 0.5;

  void describe(ParameterVisitor& visitor) {
    visitor.integer("max_iter", max_iter, at_least(0), "iterations");
    visitor.real("rate", rate, between(0, 1), "how much of a row's value is kept");
  }
};

struct MixerState {
  std::vector<double> mixture{1, 2, 3};
  Index counter = 0;
  double momentum = 0.25;
  std::vector<double> values;
  std::vector<std::int32_t> labels;

  void describe(StateVisitor& visitor) {
    visitor.history("mixture", mixture, 1, 3 + 2 * kIterations);
    visitor.replicated("counter", counter);
    visitor.replicated("momentum", momentum);
    visitor.partitioned("values", values, 1);
    visitor.partitioned("labels", labels, 1);
  }
};

struct MixerResult {
  MixerState state;
  FitSummary summary;
};

RowBlocks make_rows(const Context& context, double offset = 0) {
  std::vector<double> values;
  const Index first = kRows * context.rank() / context.size();
  const Index end = kRows * (context.rank() + 1) / context.size();
  for (Index row = first; row < end; ++row) values.push_back(static_cast<double>(row) + offset);
  return pack_rows(context, {.values = values, .columns = 1});
}

/// Throws in iteration `fail_at`, as a crash would end it.
MixerResult fit(const RowBlocks& data, const Mixer& mixer, Index fail_at = -1) {
  const auto rows = static_cast<std::size_t>(data.local_rows());
  const Index first = data.partition.first_row(data.context.rank());
  MixerResult result;
  result.state.values.resize(rows);
  result.state.labels.assign(rows, 1);
  const auto step = [&](MixerState& state, Index iteration) -> Step {
    if (iteration == fail_at) throw Error(ErrorCode::internal, "killed", {}, true);
    ++state.counter;
    usleep(1000);  // time for the helper thread to write now and then
    for (std::size_t i = 0; i < rows; ++i) {
      const Index row = first + static_cast<Index>(i);
      state.labels[i] = static_cast<std::int32_t>((state.labels[i] * 3 + row) % 7);
      state.values[i] = mixer.rate * state.values[i] + static_cast<double>(state.labels[i]);
    }
    std::int64_t labels = 0;
    for (const auto label : state.labels) labels += label;
    labels = data.context.comm().sum(labels);
    state.momentum = 0.5 * state.momentum + 1e-3 * static_cast<double>(labels);
    state.mixture.push_back(state.momentum + static_cast<double>(state.counter));
    return {.objective = state.momentum, .gradient_norm = state.mixture.back()};
  };
  result.summary = run_fit_loop(data, "mixer", mixer, 7.0, result.state, step);
  return result;
}

/// Asks to stop after so many iterations.
class StoppingMonitor : public Monitor {
 public:
  explicit StoppingMonitor(Index iterations) : left_(iterations) {}
  void iteration(const IterationReport&) override { --left_; }
  bool stop_requested() override { return left_ <= 0; }

 private:
  Index left_;
};

/// Rank 0 wants the memory of all ranks after every second iteration.
class WatchingMonitor : public Monitor {
 public:
  explicit WatchingMonitor(int rank) : rank_(rank) {}
  bool memory_wanted() override { return rank_ == 0 && ++asked_ % 2 == 0; }
  void memory(std::span<const ProcessMemory> ranks) override {
    heard.emplace_back(ranks.begin(), ranks.end());
  }
  std::vector<std::vector<ProcessMemory>> heard;

 private:
  int rank_;
  int asked_ = 0;
};

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
    Context world;
    directory_ = world.comm().broadcast_text(
        (fs::temp_directory_path() / ("firesteel-checkpoint-" + std::to_string(getpid()))).string(), 0);
    world.comm().barrier();
  }
  ~CheckpointTest() override {
    Context world;
    world.comm().barrier();
    if (world.rank() == 0) fs::remove_all(directory_);
    world.comm().barrier();
  }

  Context context(MPI_Comm comm, bool resume) const {
    return Context(comm, {.checkpoint = {.directory = directory_, .every = 1, .resume = resume}});
  }

  /// Goes on for so many iterations, saves and stops.
  void run_and_save(Index iterations) const {
    const Context stopping(MPI_COMM_WORLD,
                           {.monitor = std::make_shared<StoppingMonitor>(iterations),
                            .checkpoint = {.directory = directory_, .every = 100, .resume = true}});
    try {
      fit(make_rows(stopping), Mixer{});
      ADD_FAILURE() << "did not stop";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::stopped);
    }
    stopping.comm().barrier();
  }

  static void expect_same(const MixerResult& resumed, const MixerResult& whole, const Context& context) {
    EXPECT_EQ(resumed.state.mixture, whole.state.mixture);
    EXPECT_EQ(resumed.state.counter, whole.state.counter);
    EXPECT_EQ(resumed.state.momentum, whole.state.momentum);
    EXPECT_EQ(context.comm().allgatherv(std::span<const double>(resumed.state.values)), whole.state.values);
    EXPECT_EQ(context.comm().allgatherv(std::span<const std::int32_t>(resumed.state.labels)),
              whole.state.labels);
    EXPECT_EQ(resumed.summary.objective_history, whole.summary.objective_history);
    EXPECT_EQ(resumed.summary.gradient_norm, whole.summary.gradient_norm);
    EXPECT_EQ(resumed.summary.iterations, whole.summary.iterations);
  }

  std::string newest() const {
    return (fs::path(directory_) / list_checkpoints(directory_).front()).string();
  }

  std::string directory_;
};

MixerResult fit_whole_alone() { return fit(make_rows(Context(MPI_COMM_SELF)), Mixer{}); }

TEST(HashBytes, every_byte_of_short_and_long_inputs_counts_and_so_does_its_place) {
  for (const std::size_t count : {1u, 7u, 8u, 63u, 255u, 256u, 257u, 1000u}) {
    std::vector<unsigned char> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(i * 37);
    const auto whole = hash_bytes(5, bytes.data(), count);
    EXPECT_NE(whole, hash_bytes(6, bytes.data(), count));
    for (std::size_t i = 0; i < count; ++i) {
      bytes[i] ^= 0x10;
      EXPECT_NE(whole, hash_bytes(5, bytes.data(), count)) << i << " of " << count;
      bytes[i] ^= 0x10;
    }
    if (count >= 128) {
      std::rotate(bytes.begin(), bytes.begin() + 64,
                  bytes.end());  // lanes keep their words, in another order
      EXPECT_NE(whole, hash_bytes(5, bytes.data(), count));
    }
  }
}

TEST_F(CheckpointTest, a_fit_ended_in_any_iteration_goes_on_to_the_same_end) {
  const MixerResult whole = fit_whole_alone();
  for (Index fail_at = 1; fail_at <= kIterations; ++fail_at) {
    const Context first = context(MPI_COMM_WORLD, false);
    EXPECT_THROW(fit(make_rows(first), Mixer{}, fail_at), Error);
    first.comm().barrier();
    const Context second = context(MPI_COMM_WORLD, true);
    expect_same(fit(make_rows(second), Mixer{}), whole, second);
    second.comm().barrier();
    if (second.rank() == 0) fs::remove_all(directory_);
    second.comm().barrier();
  }
}

TEST_F(CheckpointTest, goes_on_with_another_number_of_ranks) {
  const MixerResult whole = fit_whole_alone();
  run_and_save(8);
  const Context world;
  if (world.rank() == 0) {
    const Context alone = context(MPI_COMM_SELF, true);
    expect_same(fit(make_rows(alone), Mixer{}), whole, alone);
  }
  world.comm().barrier();
}

TEST_F(CheckpointTest, keeps_the_last_two_and_passes_over_a_corrupted_one) {
  const MixerResult whole = fit_whole_alone();
  for (int save = 0; save < 3; ++save) run_and_save(3);
  const Context world;
  ASSERT_EQ(list_checkpoints(directory_).size(), 2U);
  world.comm().barrier();
  if (world.rank() == 0) {
    // One byte of the last part: only a checksum can tell.
    std::fstream file(newest(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x7f');
  }
  world.comm().barrier();
  const Context again = context(MPI_COMM_WORLD, true);
  expect_same(fit(make_rows(again), Mixer{}), whole, again);
}

TEST_F(CheckpointTest, a_truncated_file_of_any_length_is_passed_over) {
  const Context alone(MPI_COMM_SELF);
  if (Context world; world.rank() == 0) {
    const Context saving = context(MPI_COMM_SELF, false);
    fit(make_rows(saving), Mixer{.max_iter = 1});  // the end of a fit waits for what is being written
    const std::string path = newest();
    const auto size = fs::file_size(path);
    const CheckpointIdentity identity{"mixer", "", ""};
    for (std::uintmax_t length = size - 1; length > 0; length -= std::min<std::uintmax_t>(length, 97)) {
      fs::resize_file(path, length);
      EXPECT_FALSE(read_checkpoint(alone, directory_, identity, {})) << length;
    }
  }
}

TEST_F(CheckpointTest, a_fit_started_afresh_keeps_its_own_two_and_no_others) {
  run_and_save(9);
  const Context fresh = context(MPI_COMM_WORLD, false);
  fit(make_rows(fresh), Mixer{.max_iter = 3});
  fresh.comm().barrier();
  const auto names = list_checkpoints(directory_);
  ASSERT_FALSE(names.empty());
  EXPECT_LE(names.size(), 2U);
  for (const auto& name : names) EXPECT_LE(name, checkpoint_name(3));
}

TEST_F(CheckpointTest, a_header_without_parameter_values_is_read_and_refused_without_them) {
  // As written before the values were stored.
  const CheckpointIdentity old{"mixer", "another digest", "data"};
  const std::string bytes = encode_header({old, 4, {{"part", false, 8, 0, 4096, 0}}});
  const auto header = decode_header(std::as_bytes(std::span(bytes)), 4096);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->identity.parameters, "another digest");
  EXPECT_TRUE(header->identity.parameter_texts.empty());
  if (Context world; world.rank() == 0) {
    fs::create_directories(directory_);
    std::ofstream file(fs::path(directory_) / checkpoint_name(4), std::ios::binary);
    file << bytes << std::string(4096 - bytes.size(), '\0');
    file.close();
    const CheckpointIdentity wanted{"mixer", "a digest", "data", {{"rate", "0.5"}}};
    try {
      read_checkpoint(Context(MPI_COMM_SELF), directory_, wanted, {});
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("other parameters: give the same"), std::string::npos)
          << error.what();
    }
  }
}

/// The header's text with another in place of `from`, and its checksum right again.
std::optional<CheckpointHeader> forged(const std::string& bytes, const std::string& from,
                                       const std::string& to) {
  std::string text = bytes.substr(kCheckpointPrefixBytes, bytes.size() - kCheckpointPrefixBytes - 8);
  const auto at = text.find(from);
  if (at == std::string::npos) return {};
  text.replace(at, from.size(), to);
  const auto length = static_cast<Index>(text.size());
  const std::uint64_t checksum = hash_bytes(0, text.data(), text.size());
  std::string made(kCheckpointMagic, 8);
  made.append(reinterpret_cast<const char*>(&length), sizeof length) += text;
  made.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return decode_header(std::as_bytes(std::span(made)), 4096 + 80);
}

TEST_F(CheckpointTest, a_header_that_claims_what_cannot_be_is_no_header) {
  const CheckpointIdentity identity{"mixer", "digest", "data"};
  const std::string bytes =
      encode_header({identity, 4, {{"first", false, 8, 5, 4096, 1}, {"second", false, 8, 5, 4136, 1}}});
  EXPECT_TRUE(forged(bytes, "mixer", "other"));
  const auto expect_refused = [&](const std::string& from, const std::string& to) {
    ASSERT_TRUE(forged(bytes, from, from)) << from;
    EXPECT_FALSE(forged(bytes, from, to)) << to;
  };
  expect_refused("\"iteration\":4", "\"iteration\":1e300");
  expect_refused("\"iteration\":4", "\"iteration\":18446744073709551615");
  expect_refused("\"count\":5", "\"count\":-1e19");
  expect_refused("\"offset\":4096", "\"offset\":4096.5");
  expect_refused("\"checksum\":1", "\"checksum\":-1");
  // Each part fits, but a million of them on the same bytes would not.
  expect_refused("\"offset\":4136", "\"offset\":4096");
}

TEST_F(CheckpointTest, parts_of_another_kind_length_or_value_are_refused) {
  MixerState state;
  state.values = {1, 2};
  state.labels = {3, 4};
  auto parts = copy_state(state);
  const auto expect_refused = [&](std::size_t part, const auto& values, const std::string& reason) {
    auto changed = parts;
    const auto bytes = std::as_bytes(std::span(values));
    changed[part].bytes.assign(bytes.begin(), bytes.end());
    MixerState other = state;
    try {
      restore_state(other, changed);
      ADD_FAILURE() << "did not throw: " << reason;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input);
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    }
  };
  const double nan = std::nan("");
  expect_refused(0, std::vector<double>(100, 1.0), "'mixture' has 100 values, expected at most 27 times 1");
  expect_refused(0, std::vector<double>{1, nan}, "'mixture' holds nan, expected finite numbers");
  expect_refused(2, std::vector<double>{nan}, "'momentum' holds nan");
  expect_refused(3, std::vector<double>{1}, "'values' has 1 values, expected 2");
  expect_refused(3, std::vector<double>{1, -HUGE_VAL}, "'values' holds -inf");
  expect_refused(4, std::vector<std::int32_t>{1, 2, 3}, "'labels' has 3 values, expected 2");
}

TEST_F(CheckpointTest, a_replicated_part_for_a_partitioned_one_is_passed_over) {
  if (Context world; world.rank() > 0) return;
  const Context alone(MPI_COMM_SELF);
  MixerState state;
  const auto parts = copy_state(state);
  CheckpointIdentity identity{"mixer", "digest", "data"};
  const auto write = [&](bool swapped) {
    CheckpointHeader header{identity, 4, {}};
    for (const auto& part : parts)
      header.parts.push_back({part.name, part.partitioned != swapped, part.value_bytes,
                              static_cast<Index>(part.bytes.size()) / part.value_bytes, 0, 0});
    std::string data;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      header.parts[i].offset = 4096 + static_cast<Index>(data.size());
      header.parts[i].checksum = position_checksum(parts[i].bytes, parts[i].value_bytes, 0);
      data.append(reinterpret_cast<const char*>(parts[i].bytes.data()), parts[i].bytes.size());
    }
    std::string bytes = encode_header(header);
    bytes.resize(4096);
    fs::create_directories(directory_);
    std::ofstream(fs::path(directory_) / checkpoint_name(4), std::ios::binary) << bytes << data;
  };
  write(false);
  EXPECT_TRUE(read_checkpoint(alone, directory_, identity, parts));
  write(true);
  EXPECT_FALSE(read_checkpoint(alone, directory_, identity, parts));
}

TEST_F(CheckpointTest, refuses_other_data_and_other_parameters_but_not_more_iterations) {
  run_and_save(4);
  const Context again = context(MPI_COMM_WORLD, true);
  const auto expect_refused = [&](const RowBlocks& data, const Mixer& mixer, const std::string& reason) {
    try {
      fit(data, mixer);
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input);
      EXPECT_TRUE(error.agreed());
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    }
  };
  expect_refused(make_rows(again, 1.0), Mixer{}, "other data");
  expect_refused(make_rows(again), Mixer{.rate = 0.25}, "other parameters: rate was 0.5, is now 0.25");
  const auto longer = fit(make_rows(again), Mixer{.max_iter = kIterations + 5});
  EXPECT_EQ(longer.summary.iterations, kIterations + 5);
}

TEST_F(CheckpointTest, an_empty_directory_starts_afresh) {
  const Context world = context(MPI_COMM_WORLD, true);
  expect_same(fit(make_rows(world), Mixer{}), fit_whole_alone(), world);
}

TEST_F(CheckpointTest, a_directory_that_cannot_be_made_is_one_error) {
  const Context world(MPI_COMM_WORLD, {.checkpoint = {.directory = "/proc/no/such"}});
  try {
    fit(make_rows(world), Mixer{});
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cannot_create);
    EXPECT_TRUE(error.agreed());
  }
}

TEST_F(CheckpointTest, a_request_to_stop_saves_and_can_be_resumed) {
  run_and_save(3);
  EXPECT_EQ(list_checkpoints(directory_), std::vector<std::string>{checkpoint_name(3)});
  const Context again = context(MPI_COMM_WORLD, true);
  again.comm().barrier();
  expect_same(fit(make_rows(again), Mixer{}), fit_whole_alone(), again);
}

TEST_F(CheckpointTest, the_memory_of_all_ranks_is_exchanged_where_rank_0_wants_it) {
  const Context world;
  const auto monitor = std::make_shared<WatchingMonitor>(world.rank());
  const Context context(MPI_COMM_WORLD, {.monitor = monitor});
  const auto result = fit(make_rows(context), Mixer{});
  const Index steps = result.summary.iterations;
  ASSERT_EQ(static_cast<Index>(monitor->heard.size()), steps / 2);
  ASSERT_GT(steps, 1);
  for (const auto& ranks : monitor->heard) {
    ASSERT_EQ(static_cast<int>(ranks.size()), world.size());
    for (const auto& memory : ranks) EXPECT_GE(memory.peak, memory.current);
  }
  // The entry of this rank is its own: its peak never falls.
  const auto mine = static_cast<std::size_t>(world.rank());
  EXPECT_LE(monitor->heard.back()[mine].peak, process_memory().peak);
  EXPECT_GT(monitor->heard.back()[mine].current, 0);
}

}  // namespace
}  // namespace firesteel
