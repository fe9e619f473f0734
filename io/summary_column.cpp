// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/summary_column.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "firesteel/io/kth_smallest.hpp"

namespace firesteel::detail {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
/// Bits of a key that the sketch leaves out: sign, exponent and 7 bits of the mantissa stay, so that a bucket
/// is 2^-7 of its values wide and its middle within 2^-8.
constexpr int kDroppedBits = 45;

/// FNV-1a, mixed so that leading bits are as good as others (the finaliser of MurmurHash3).
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}

double middle_of(std::uint64_t bucket) {
  const std::uint64_t low = bucket << kDroppedBits;
  return number_of_key(low + (std::uint64_t{1} << (kDroppedBits - 1)));
}

/// √(Σ(x − mean)² / (n − 1)) from the exact sums of x and x²: their difference is taken in pairs of doubles,
/// so that it is right to 50 bits where mean / sd is below 2^27.
double deviation(const ExactSum& sum, const ExactSum& squares, Index n) {
  if (n < 2) return kNaN;
  const auto count = static_cast<double>(n);
  const auto s = sum.rounded();
  const auto q = squares.rounded();
  if (!std::isfinite(s.high) || !std::isfinite(q.high)) return kNaN;
  // n·Σx² − (Σx)², products and sums with their rounding errors.
  const double nq = count * q.high;
  const double nq_rest = std::fma(count, q.high, -nq) + count * q.low;
  const double ss = s.high * s.high;
  const double ss_rest = std::fma(s.high, s.high, -ss) + 2 * s.high * s.low;
  const double difference = nq - ss;
  const double back = difference + ss;
  const double rest = (nq - back) + (nq_rest - ss_rest);
  return std::sqrt(std::max(0.0, difference + rest) / count / (count - 1));
}

struct Places {
  Index below = 0;
  Index above = 0;
  double fraction = 0;
};

Places places_of(double probability, Index n) {
  const double position = probability * static_cast<double>(n - 1);
  const auto below = static_cast<Index>(std::floor(position));
  return {below, std::min(below + 1, n - 1), position - std::floor(position)};
}

double between(double low, double high, double fraction) {
  return fraction == 0 || low == high ? low : low + fraction * (high - low);
}

}  // namespace

void ValueCounts::add(std::string_view value, Index count) {
  const auto found = counts_.find(value);
  if (found != counts_.end()) {
    found->second += count;
    return;
  }
  if (level_ > 0 && std::countl_zero(hash_of(value)) < level_) return;
  counts_.emplace(value, count);
  shrink();
}

void ValueCounts::merge(const ValueCounts& other) {
  raise_to(other.level_);
  for (const auto& [value, count] : other.counts_) add(value, count);
}

void ValueCounts::raise_to(int level) {
  if (level <= level_) return;
  level_ = level;
  std::erase_if(counts_, [&](const auto& entry) { return std::countl_zero(hash_of(entry.first)) < level_; });
}

void ValueCounts::shrink() {
  while (static_cast<Index>(counts_.size()) > kMostDistinct && level_ < 64) raise_to(level_ + 1);
}

void ColumnState::add(double number) {
  if (values_++ == 0) min_ = max_ = number;
  min_ = std::min(min_, number);
  max_ = std::max(max_, number);
  zeros_ += number == 0 ? 1 : 0;
  sum_.add(number);
  squares_.add_square(number);
  const std::uint64_t key = ordered_key(number);
  if (exact_)
    keys_.push_back(key);
  else
    ++sketch_[key >> kDroppedBits];
}

void ColumnState::add(std::int64_t number) {
  add(static_cast<double>(number));
  counts_.add(std::to_string(number));
}

void ColumnState::add(std::string_view text) {
  const auto length = static_cast<Index>(text.size());
  shortest_ = values_ == 0 ? length : std::min(shortest_, length);
  longest_ = std::max(longest_, length);
  ++values_;
  counts_.add(text);
}

void ColumnState::add_zeros(Index count) {
  if (count <= 0) return;
  add(0.0);
  values_ += count - 1;
  zeros_ += count - 1;
  const std::uint64_t key = ordered_key(0.0);
  if (exact_)
    keys_.insert(keys_.end(), static_cast<std::size_t>(count - 1), key);
  else
    sketch_[key >> kDroppedBits] += count - 1;
}

void ColumnState::merge(ColumnState&& other) {
  missing_ += other.missing_;
  if (other.values_ == 0) return;
  if (values_ == 0) {
    const Index missing = missing_;
    *this = std::move(other);
    missing_ = missing;
    return;
  }
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  shortest_ = std::min(shortest_, other.shortest_);
  longest_ = std::max(longest_, other.longest_);
  values_ += other.values_;
  zeros_ += other.zeros_;
  sum_.add(other.sum_);
  squares_.add(other.squares_);
  keys_.insert(keys_.end(), other.keys_.begin(), other.keys_.end());
  other.keys_ = {};
  for (const auto& [bucket, count] : other.sketch_) sketch_[bucket] += count;
  counts_.merge(other.counts_);
}

namespace {

/// Adds up what the ranks counted: to the whole numbers of every column at once.
void add_quantiles(Communicator& comm, std::vector<ColumnSummary>& summaries,
                   const std::vector<std::size_t>& numbers, std::vector<std::vector<std::uint64_t>>& sorted) {
  std::vector<KthTarget> targets;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const Index n = summaries[numbers[i]].values;
    if (n == 0) continue;
    for (const double p : kSummaryQuantiles) {
      const Places places = places_of(p, n);
      targets.push_back({i, places.below});
      targets.push_back({i, places.above});
    }
  }
  const auto found = kth_smallest(comm, sorted, targets);
  std::size_t next = 0;
  for (const std::size_t column : numbers) {
    ColumnSummary& summary = summaries[column];
    for (const double p : kSummaryQuantiles) {
      if (summary.values == 0) {
        summary.quantiles.push_back(kNaN);
        continue;
      }
      const double low = number_of_key(found[next]);
      const double high = number_of_key(found[next + 1]);
      next += 2;
      summary.quantiles.push_back(between(low, high, places_of(p, summary.values).fraction));
    }
  }
}

/// Quantiles from the buckets of all ranks.
void add_sketched_quantiles(Communicator& comm, ColumnSummary& summary,
                            const std::map<std::uint64_t, Index>& own) {
  struct Bucket {
    std::uint64_t bucket;
    Index count;
  };
  std::vector<Bucket> mine;
  for (const auto& [bucket, count] : own) mine.push_back({bucket, count});
  std::map<std::uint64_t, Index> all;
  for (const Bucket& each : comm.allgatherv(std::span<const Bucket>(mine))) all[each.bucket] += each.count;
  const auto value_at = [&](Index place) {
    for (const auto& [bucket, count] : all) {
      if (place < count) return std::clamp(middle_of(bucket), summary.min, summary.max);
      place -= count;
    }
    return kNaN;
  };
  summary.exact_quantiles = false;
  for (const double p : kSummaryQuantiles) {
    const Places places = places_of(p, std::max<Index>(1, summary.values));
    summary.quantiles.push_back(
        summary.values == 0 ? kNaN
                            : between(value_at(places.below), value_at(places.above), places.fraction));
  }
}

/// The values that all ranks counted. Collective.
void add_counts(const Communicator&, ColumnSummary& summary, const ValueCounts& counts, Index top) {
  summary.exact_distinct = counts.level() == 0;
  summary.distinct = static_cast<Index>(counts.kept().size()) << counts.level();
  if (!summary.exact_distinct) return;
  for (const auto& [value, count] : counts.kept()) summary.top.push_back({value, count});
  const bool whole = summary.kind == TableKind::whole;
  std::stable_sort(summary.top.begin(), summary.top.end(), [&](const auto& a, const auto& b) {
    if (a.count != b.count) return a.count > b.count;
    return whole ? std::stoll(a.value) < std::stoll(b.value) : a.value < b.value;
  });
  if (static_cast<Index>(summary.top.size()) > top) summary.top.resize(static_cast<std::size_t>(top));
}

ValueCounts counts_of_all(Communicator& comm, const ValueCounts& own) {
  std::int64_t level = own.level();
  comm.allreduce_max(std::span(&level, 1));
  std::vector<std::string> values;
  std::vector<Index> counts;
  ValueCounts all;
  comm.collectively([&] {
    ValueCounts raised = own;
    raised.raise_to(static_cast<int>(level));
    for (const auto& [value, count] : raised.kept()) {
      values.push_back(value);
      counts.push_back(count);
    }
    all.raise_to(static_cast<int>(level));
  });
  const auto all_values = comm.allgather_texts(values);
  const auto all_counts = comm.allgatherv(std::span<const Index>(counts));
  comm.collectively([&] {
    for (std::size_t i = 0; i < all_values.size(); ++i) all.add(all_values[i], all_counts[i]);
  });
  return all;
}

}  // namespace

std::vector<ColumnSummary> finish_columns(Communicator& comm, const std::vector<TableColumn>& columns,
                                          std::vector<ColumnState>& states, Index top) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<ColumnSummary> summaries(columns.size());
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    ColumnSummary& summary = summaries[i];
    ColumnState& state = states[i];
    summary.name = columns[i].name;
    summary.kind = columns[i].kind;
    std::int64_t sums[] = {state.values_, state.missing_, state.zeros_};
    comm.allreduce_sum(std::span(sums));
    summary.values = sums[0];
    summary.missing = sums[1];
    summary.zeros = sums[2];
    const bool some = state.values_ > 0;
    if (summary.kind == TableKind::text) {
      std::int64_t lengths[] = {some ? -state.shortest_ : std::numeric_limits<std::int64_t>::min(),
                                state.longest_};
      comm.allreduce_max(std::span(lengths));
      summary.shortest = summary.values == 0 ? 0 : -lengths[0];
      summary.longest = lengths[1];
    } else {
      numbers.push_back(i);
      double ends[] = {some ? state.min_ : kInfinity, some ? -state.max_ : kInfinity};
      comm.allreduce_min(std::span(ends));
      summary.min = summary.values == 0 ? kNaN : ends[0];
      summary.max = summary.values == 0 ? kNaN : -ends[1];
      comm.allreduce_sum(state.sum_.digits());
      comm.allreduce_sum(state.squares_.digits());
      summary.mean =
          summary.values == 0 ? kNaN : state.sum_.rounded().high / static_cast<double>(summary.values);
      summary.sd = deviation(state.sum_, state.squares_, summary.values);
    }
    if (summary.kind != TableKind::real) add_counts(comm, summary, counts_of_all(comm, state.counts_), top);
  }
  const bool exact = numbers.empty() || states[numbers.front()].exact_;
  if (!exact) {
    for (const std::size_t i : numbers) add_sketched_quantiles(comm, summaries[i], states[i].sketch_);
    return summaries;
  }
  std::vector<std::vector<std::uint64_t>> sorted;
  comm.collectively([&] {
    for (const std::size_t i : numbers) {
      std::sort(states[i].keys_.begin(), states[i].keys_.end());
      sorted.push_back(std::move(states[i].keys_));
    }
  });
  add_quantiles(comm, summaries, numbers, sorted);
  return summaries;
}

}  // namespace firesteel::detail
