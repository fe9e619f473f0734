// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_init.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel::detail {

namespace {

// What a draw is for: the second key of Philox.
constexpr std::uint64_t kKeyPurpose = 0x6b6d65616e730001;
constexpr std::uint64_t kPlusPlusPurpose = 0x6b6d65616e730002;
constexpr std::uint64_t kRoundPurpose = 0x6b6d65616e730100;  // + the round

constexpr double kOversampling = 2;
constexpr Index kCandidateLloydSteps = 30;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct KeyedRow {
  std::uint64_t key;
  Index row;  ///< global
  // NOLINTNEXTLINE(modernize-use-nullptr): a false report of clang-tidy 14 on defaulted comparisons
  friend auto operator<=>(const KeyedRow&, const KeyedRow&) = default;
};

double squared_distance(const double* a, const double* b, Index columns, double scale) {
  double sum = 0;
  for (Index j = 0; j < columns; ++j) {
    const double difference = (a[j] - b[j]) * scale;
    sum += difference * difference;
  }
  return sum;
}

/// The candidates so far, replicated, and for each local row its distance to them and the nearest.
class Candidates {
 public:
  /// Collective.
  Candidates(const KMeansPoints& points, std::uint64_t seed) : points_(points), seed_(seed) {
    points.context().comm().collectively([&] {
      weights_.assign(at(points.local_rows()), 1.0);
      if (points.weighted()) std::copy_n(points.rows().weights.begin(), weights_.size(), weights_.begin());
      distances_.assign(at(points.local_rows()), kInfinity);
      nearest_.assign(at(points.local_rows()), 0);
    });
  }

  Index count() const { return static_cast<Index>(values_.size()) / points_.columns(); }
  const std::vector<double>& values() const { return values_; }

  /// Adds up to `wanted` rows that differ from all candidates and from each other, by smallest key. False if
  /// there was none. Collective.
  bool add_smallest_keys(Index wanted);
  /// One round of k-means||. Collective.
  void add_sample(Index wanted, Index round);
  /// Σ w of the rows nearest to each candidate. Collective.
  std::vector<double> loads();

 private:
  /// The values of each rank's chosen rows, in rank order. Collective.
  std::vector<double> gather(const std::vector<Index>& local_rows) const;
  /// Adds rows that differ from all candidates, repeats among them left out.
  void append(const std::vector<double>& values);
  /// Brings the distances up to date with the candidates. Collective.
  void measure();
  /// The rows of a tile against the candidates of `search`, numbered from `first` on.
  void measure_tile(const CentreSearch& search, Index t, std::int32_t first);
  double potential() const;

  const KMeansPoints& points_;
  std::uint64_t seed_;
  std::vector<double> weights_;
  std::vector<double> values_;
  std::size_t measured_ = 0;       ///< of values_
  std::vector<double> distances_;  ///< squared, in units; infinite before the first candidate
  std::vector<std::int32_t> nearest_;
};

std::vector<double> Candidates::gather(const std::vector<Index>& local_rows) const {
  Communicator& comm = points_.context().comm();
  const Index columns = points_.columns();
  const auto own = comm.collectively([&] {
    std::vector<double> values(local_rows.size() * at(columns));
    for (std::size_t i = 0; i < local_rows.size(); ++i)
      points_.copy_row(local_rows[i], std::span(values).subspan(i * at(columns), at(columns)));
    return values;
  });
  return comm.allgatherv(std::span<const double>(own));
}

void Candidates::append(const std::vector<double>& values) {
  std::set<std::vector<double>> seen;
  for (auto row = values.begin(); row != values.end(); row += points_.columns())
    if (seen.insert({row, row + points_.columns()}).second)
      values_.insert(values_.end(), row, row + points_.columns());
}

void Candidates::measure() {
  if (measured_ == values_.size()) return;
  const auto first = static_cast<std::int32_t>(measured_ / at(points_.columns()));
  const auto added = std::span<const double>(values_).subspan(measured_);
  measured_ = values_.size();
  const Context& context = points_.context();
  context.comm().collectively([&] {
    const auto search = points_.search(added);
    points_.for_each_block([&](Index block, int) {
      for (Index t = points_.first_tile(block); t < points_.end_tile(block); ++t)
        measure_tile(*search, t, first);
    });
  });
}

void Candidates::measure_tile(const CentreSearch& search, Index t, std::int32_t first) {
  std::array<std::int32_t, kTileRows> labels;
  std::array<double, kTileRows> distances;
  search.nearest(t, 1, labels.data());
  search.distances(t, labels.data(), distances.data());
  const Index rows = std::min(kTileRows, points_.local_rows() - t * kTileRows);
  for (Index r = 0; r < rows; ++r) {
    const auto i = at(t * kTileRows + r);
    if (distances[at(r)] >= distances_[i]) continue;
    distances_[i] = distances[at(r)];
    nearest_[i] = first + labels[at(r)];
  }
}

bool Candidates::add_smallest_keys(Index wanted) {
  measure();
  Communicator& comm = points_.context().comm();
  const auto keyed = comm.collectively([&] {
    std::vector<KeyedRow> own;
    for (Index r = 0; r < points_.local_rows(); ++r) {
      const Index row = points_.first_row() + r;
      if (weights_[at(r)] > 0 && distances_[at(r)] > 0)
        own.push_back({philox_bits(seed_, kKeyPurpose, static_cast<std::uint64_t>(row)), row});
    }
    const auto kept = std::min<std::size_t>(own.size(), at(wanted));
    std::partial_sort(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(kept), own.end());
    own.resize(kept);
    return own;
  });
  auto chosen = comm.allgatherv(std::span<const KeyedRow>(keyed));
  if (chosen.empty()) return false;
  std::sort(chosen.begin(), chosen.end());
  chosen.resize(std::min(chosen.size(), at(wanted)));
  // Values arrive in row order; they are wanted in the order of the keys, without repeats.
  std::vector<KeyedRow> by_row = chosen;
  std::sort(by_row.begin(), by_row.end(), [](auto& a, auto& b) { return a.row < b.row; });
  std::vector<Index> own;
  for (const auto& choice : by_row) {
    const Index r = choice.row - points_.first_row();
    if (r >= 0 && r < points_.local_rows()) own.push_back(r);
  }
  const auto gathered = gather(own);
  std::vector<double> values;
  for (const auto& choice : chosen) {
    const auto place = std::lower_bound(by_row.begin(), by_row.end(), choice,
                                        [](auto& a, auto& b) { return a.row < b.row; });
    const auto begin = gathered.begin() + (place - by_row.begin()) * points_.columns();
    values.insert(values.end(), begin, begin + points_.columns());
  }
  append(values);
  return true;
}

double Candidates::potential() const {
  CanonicalSum sum(points_.context().comm(), points_.rows().partition, 1, points_.context().threads());
  const auto total = sum([&](Index block, std::span<double> out) {
    out[0] = 0;
    const Index end = std::min(points_.end_tile(block) * kTileRows, points_.local_rows());
    for (Index r = points_.first_tile(block) * kTileRows; r < end; ++r)
      out[0] += weights_[at(r)] * distances_[at(r)];
  });
  return total[0];
}

void Candidates::add_sample(Index wanted, Index round) {
  measure();
  const double phi = potential();
  if (!(phi > 0)) return;
  const double factor = kOversampling * static_cast<double>(wanted);
  const auto accepted = points_.context().comm().collectively([&] {
    std::vector<Index> rows;
    for (Index r = 0; r < points_.local_rows(); ++r) {
      const auto row = static_cast<std::uint64_t>(points_.first_row() + r);
      const double u = philox_uniform(seed_, kRoundPurpose + static_cast<std::uint64_t>(round), row);
      if (u * phi < factor * (weights_[at(r)] * distances_[at(r)])) rows.push_back(r);
    }
    return rows;
  });
  append(gather(accepted));
}

std::vector<double> Candidates::loads() {
  measure();
  CanonicalSum sum(points_.context().comm(), points_.rows().partition, count(), points_.context().threads());
  const auto total = sum([&](Index block, std::span<double> out) {
    std::fill(out.begin(), out.end(), 0.0);
    const Index end = std::min(points_.end_tile(block) * kTileRows, points_.local_rows());
    for (Index r = points_.first_tile(block) * kTileRows; r < end; ++r)
      out[at(nearest_[at(r)])] += weights_[at(r)];
  });
  return {total.begin(), total.end()};
}

/// Weighted k-means on the candidates, in memory of every rank alike.
class CandidateClustering {
 public:
  CandidateClustering(const Candidates& candidates, std::vector<double> loads, const KMeansPoints& points,
                      bool unit_length)
      : values_(candidates.values()),
        loads_(std::move(loads)),
        columns_(points.columns()),
        scale_(1 / points.unit()),
        unit_length_(unit_length) {}

  std::vector<double> run(Index count, std::uint64_t seed) {
    choose(count, seed);
    for (Index step = 0; step < kCandidateLloydSteps && improve(); ++step) {
    }
    return centres_;
  }

 private:
  std::size_t candidates() const { return loads_.size(); }
  const double* value(std::size_t i) const { return values_.data() + i * at(columns_); }

  /// k-means++: each next centre with probability proportional to load·d².
  void choose(Index count, std::uint64_t seed) {
    std::vector<double> distances(candidates(), 1.0);
    for (Index chosen = 0; chosen < count; ++chosen) {
      double total = 0;
      for (std::size_t i = 0; i < candidates(); ++i) total += loads_[i] * distances[i];
      if (!(total > 0)) return;
      const double target =
          philox_uniform(seed, kPlusPlusPurpose, static_cast<std::uint64_t>(chosen)) * total;
      const std::size_t choice = draw(distances, target);
      centres_.insert(centres_.end(), value(choice), value(choice) + columns_);
      for (std::size_t i = 0; i < candidates(); ++i) {
        const double distance = squared_distance(value(i), value(choice), columns_, scale_);
        distances[i] = chosen == 0 ? distance : std::min(distances[i], distance);
      }
    }
  }
  /// The first candidate at which the running sum passes `target`; the last with any share, after rounding.
  std::size_t draw(const std::vector<double>& distances, double target) const {
    double sum = 0;
    std::size_t last = 0;
    for (std::size_t i = 0; i < candidates(); ++i) {
      const double share = loads_[i] * distances[i];
      if (!(share > 0)) continue;
      last = i;
      sum += share;
      if (sum > target) return i;
    }
    return last;
  }
  /// One Lloyd step; false when no label changed.
  bool improve() {
    const auto count = centres_.size() / at(columns_);
    bool changed = false;
    labels_.resize(candidates(), count);
    std::vector<double> sums(centres_.size(), 0.0);
    std::vector<double> weights(count, 0.0);
    for (std::size_t i = 0; i < candidates(); ++i) {
      const std::size_t label = nearest(value(i), count);
      changed = changed || label != labels_[i];
      labels_[i] = label;
      weights[label] += loads_[i];
      for (std::size_t j = 0; j < at(columns_); ++j)
        sums[label * at(columns_) + j] += loads_[i] * (value(i)[j] - centres_[label * at(columns_) + j]);
    }
    if (!changed) return false;
    for (std::size_t c = 0; c < count; ++c)
      if (weights[c] > 0) update(c, std::span(sums).subspan(c * at(columns_), at(columns_)), weights[c]);
    return true;
  }
  void update(std::size_t c, std::span<double> sum, double weight) {
    const auto centre = std::span(centres_).subspan(c * at(columns_), at(columns_));
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] = centre[j] + sum[j] / weight;
    if (!unit_length_ || scale_to_unit_length(sum)) std::copy(sum.begin(), sum.end(), centre.begin());
  }
  std::size_t nearest(const double* row, std::size_t count) const {
    std::size_t best = 0;
    double smallest = kInfinity;
    for (std::size_t c = 0; c < count; ++c) {
      const double distance = squared_distance(row, centres_.data() + c * at(columns_), columns_, scale_);
      if (distance < smallest) {
        smallest = distance;
        best = c;
      }
    }
    return best;
  }

  const std::vector<double>& values_;
  std::vector<double> loads_;
  Index columns_;
  double scale_;
  bool unit_length_;
  std::vector<double> centres_;
  std::vector<std::size_t> labels_;
};

}  // namespace

bool scale_to_unit_length(std::span<double> vector) {
  double largest = 0;
  for (const double value : vector) largest = std::max(largest, std::abs(value));
  if (!(largest > 0)) return false;
  double sum = 0;
  for (const double value : vector) sum += (value / largest) * (value / largest);
  const double length = std::sqrt(sum);
  for (double& value : vector) value = value / largest / length;
  return true;
}

std::vector<double> random_centres(const KMeansPoints& points, Index count, std::uint64_t seed) {
  Candidates candidates(points, seed);
  while (candidates.count() < count && candidates.add_smallest_keys(count - candidates.count())) {
  }
  return candidates.values();
}

std::vector<double> parallel_centres(const KMeansPoints& points, Index count, Index steps, std::uint64_t seed,
                                     bool unit_length) {
  Candidates candidates(points, seed);
  candidates.add_smallest_keys(1);
  for (Index round = 0; round < steps; ++round) candidates.add_sample(count, round);
  while (candidates.count() < count && candidates.add_smallest_keys(count - candidates.count())) {
  }
  if (candidates.count() <= count) return candidates.values();
  return CandidateClustering(candidates, candidates.loads(), points, unit_length).run(count, seed);
}

}  // namespace firesteel::detail
