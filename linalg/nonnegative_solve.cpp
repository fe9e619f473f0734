// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/nonnegative_solve.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace firesteel {

namespace {

constexpr double kGradientTolerance = 1e-13;  // of Σ|a_ij x_j| + |b_i|: below it a gradient is rounding
constexpr std::size_t kRoundsPerCoordinate = 10;

class ActiveSet {
 public:
  ActiveSet(std::span<const double> a, std::span<const double> b, std::span<double> x)
      : a_(a), b_(b), x_(x), n_(x.size()), solution_(n_), factor_(n_ * n_) {
    for (std::size_t i = 0; i < n_; ++i) {
      if (x_[i] > 0) support_.push_back(i);
      x_[i] = 0;
    }
  }

  void run() {
    if (!support_.empty()) make_feasible();
    for (std::size_t round = 0; round < kRoundsPerCoordinate * n_; ++round) {
      const std::size_t entering = steepest();
      if (entering == n_) return;
      support_.insert(std::lower_bound(support_.begin(), support_.end(), entering), entering);
      make_feasible();
    }
  }

 private:
  double a(std::size_t i, std::size_t j) const { return i >= j ? a_[i * n_ + j] : a_[j * n_ + i]; }

  /// The coordinate outside the support whose −gradient is largest and above rounding; n_ if none.
  std::size_t steepest() const {
    std::size_t best = n_;
    double best_value = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (std::binary_search(support_.begin(), support_.end(), i)) continue;
      double value = b_[i];
      double magnitude = std::fabs(b_[i]);
      for (const std::size_t j : support_) {
        value -= a(i, j) * x_[j];
        magnitude += std::fabs(a(i, j) * x_[j]);
      }
      if (value > kGradientTolerance * magnitude && value > best_value) {
        best = i;
        best_value = value;
      }
    }
    return best;
  }

  /// Moves x to the minimiser on the support, giving up coordinates that reach zero on the way.
  void make_feasible() {
    while (!support_.empty()) {
      solve_on_support();
      double step = 1;
      for (const std::size_t i : support_)
        if (solution_[i] <= 0) step = std::min(step, x_[i] / (x_[i] - solution_[i]));
      // Said so that a solution that is not a number ends here too, and is seen by the caller.
      if (std::none_of(support_.begin(), support_.end(), [&](std::size_t i) { return solution_[i] <= 0; })) {
        for (const std::size_t i : support_) x_[i] = solution_[i];
        return;
      }
      std::vector<std::size_t> kept;
      for (const std::size_t i : support_) {
        const bool falls = solution_[i] <= 0 && !(x_[i] / (x_[i] - solution_[i]) > step);
        x_[i] = falls ? 0 : std::max(0.0, x_[i] + step * (solution_[i] - x_[i]));
        if (!falls) kept.push_back(i);
      }
      support_ = std::move(kept);
    }
  }

  /// Cholesky on the rows and columns of the support, ascending.
  void solve_on_support() {
    const std::size_t m = support_.size();
    for (std::size_t i = 0; i < m; ++i) {
      double rhs = b_[support_[i]];
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = a(support_[i], support_[j]);
        for (std::size_t t = 0; t < j; ++t) sum -= factor_[i * n_ + t] * factor_[j * n_ + t];
        factor_[i * n_ + j] = i == j ? std::sqrt(sum) : sum / factor_[j * n_ + j];
      }
      for (std::size_t t = 0; t < i; ++t) rhs -= factor_[i * n_ + t] * solution_[support_[t]];
      solution_[support_[i]] = rhs / factor_[i * n_ + i];
    }
    for (std::size_t i = m; i-- > 0;) {
      double sum = solution_[support_[i]];
      for (std::size_t t = i + 1; t < m; ++t) sum -= factor_[t * n_ + i] * solution_[support_[t]];
      solution_[support_[i]] = sum / factor_[i * n_ + i];
    }
  }

  std::span<const double> a_;
  std::span<const double> b_;
  std::span<double> x_;
  std::size_t n_;
  std::vector<std::size_t> support_;  ///< ascending
  std::vector<double> solution_;
  std::vector<double> factor_;
};

}  // namespace

void solve_nonnegative(std::span<const double> a, std::span<const double> b, Index rank,
                       std::span<double> x) {
  ActiveSet(a, b, x.first(static_cast<std::size_t>(rank))).run();
}

}  // namespace firesteel
