// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

/// The generators with which Spark's suites make their data, so that published numbers can be checked.
namespace firesteel::reference {

/// java.util.Random as documented: 48-bit linear congruence, polar Gaussians with the second value kept.
class JavaRandom {
 public:
  explicit JavaRandom(std::int64_t seed) : state_((static_cast<std::uint64_t>(seed) ^ kFactor) & kMask) {}

  double next_double() {
    const std::uint64_t high = next(26);
    return static_cast<double>((high << 27) + next(27)) * 0x1p-53;
  }
  double next_gaussian() {
    if (has_second_) {
      has_second_ = false;
      return second_;
    }
    for (;;) {
      const double a = 2 * next_double() - 1;
      const double b = 2 * next_double() - 1;
      const double s = a * a + b * b;
      if (s >= 1 || s == 0) continue;
      const double factor = std::sqrt(-2 * std::log(s) / s);
      second_ = b * factor;
      has_second_ = true;
      return a * factor;
    }
  }

 private:
  static constexpr std::uint64_t kFactor = 0x5DEECE66D;
  static constexpr std::uint64_t kMask = (std::uint64_t{1} << 48) - 1;
  std::uint64_t next(int bits) {
    state_ = (state_ * kFactor + 0xB) & kMask;
    return state_ >> (48 - bits);
  }
  std::uint64_t state_;
  double second_ = 0;
  bool has_second_ = false;
};

/// MurmurHash3 (32 bit) of eight bytes.
inline std::uint32_t murmur3(const std::array<unsigned char, 8>& bytes, std::uint32_t seed) {
  const auto rotate = [](std::uint32_t x, int r) { return (x << r) | (x >> (32 - r)); };
  std::uint32_t hash = seed;
  for (std::size_t word = 0; word < 2; ++word) {
    std::uint32_t k = 0;
    for (std::size_t i = 0; i < 4; ++i) k |= static_cast<std::uint32_t>(bytes[4 * word + i]) << (8 * i);
    k = rotate(k * 0xcc9e2d51, 15) * 0x1b873593;
    hash = rotate(hash ^ k, 13) * 5 + 0xe6546b64;
  }
  hash ^= 8;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}

/// Spark's XORShiftRandom.
class XorShiftRandom {
 public:
  explicit XorShiftRandom(std::int64_t seed) {
    std::array<unsigned char, 8> bytes{};
    for (std::size_t i = 0; i < 8; ++i)
      bytes[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(seed) >> (56 - 8 * i));
    const std::uint32_t low = murmur3(bytes, 0x3c074a61);
    state_ = (std::uint64_t{murmur3(bytes, low)} << 32) | low;
  }
  double next_double() {
    const std::uint64_t high = next(26);
    return static_cast<double>((high << 27) + next(27)) * 0x1p-53;
  }

 private:
  std::uint64_t next(int bits) {
    state_ ^= state_ << 21;
    state_ ^= state_ >> 35;
    state_ ^= state_ << 4;
    return state_ & ((std::uint64_t{1} << bits) - 1);
  }
  std::uint64_t state_;
};

/// The column rand(seed) of a table of `rows` rows in `partitions` slices.
inline std::vector<double> spark_rand(std::int64_t rows, std::int64_t seed, std::int64_t partitions) {
  std::vector<double> values;
  for (std::int64_t p = 0; p < partitions; ++p) {
    XorShiftRandom random(seed + p);
    for (std::int64_t row = p * rows / partitions; row < (p + 1) * rows / partitions; ++row)
      values.push_back(random.next_double());
  }
  return values;
}

struct LogisticData {
  std::int64_t columns = 0;
  std::vector<double> values;  ///< row-major
  std::vector<double> labels;
};

/// generateMultinomialLogisticInput of Spark's LogisticRegressionSuite: all features first, then labels;
/// class 0 has margin 0, `weights` hold coefficients and intercept of the others.
inline LogisticData spark_logistic_data(std::span<const double> weights, std::span<const double> mean,
                                        std::span<const double> variance, std::int64_t rows,
                                        std::int64_t seed) {
  JavaRandom random(seed);
  LogisticData data;
  const std::size_t d = mean.size();
  const std::size_t classes = weights.size() / (d + 1) + 1;
  data.columns = static_cast<std::int64_t>(d);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::size_t j = 0; j < d; ++j)
      data.values.push_back(random.next_gaussian() * std::sqrt(variance[j]) + mean[j]);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* x = data.values.data() + row * data.columns;
    std::vector<double> p{1.0};
    for (std::size_t k = 1; k < classes; ++k) {
      const auto own = weights.subspan((k - 1) * (d + 1), d + 1);
      double z = own[d];
      for (std::size_t j = 0; j < d; ++j) z += own[j] * x[j];
      p.push_back(std::exp(z));
    }
    double sum = 0;
    for (const double value : p) sum += value;
    const double u = random.next_double();
    double cumulative = 0;
    std::size_t label = 0;
    for (; label + 1 < classes; ++label) {
      cumulative += p[label] / sum;
      if (u < cumulative) break;
    }
    data.labels.push_back(static_cast<double>(label));
  }
  return data;
}

}  // namespace firesteel::reference
