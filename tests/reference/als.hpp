// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

namespace firesteel::reference {

/// ALS over a list of ratings in plain loops, one thread: for each entity the full sum over all others, Gauss
/// elimination with pivoting, or many sweeps of coordinate descent where factors are held non-negative.
struct AlsProblem {
  std::vector<std::int64_t> users, items;  ///< one a rating, as positions from 0
  std::vector<double> ratings;
  std::size_t rank = 2;
  double reg_param = 0.1;
  bool implicit_prefs = false;
  double alpha = 1;
  bool nonnegative = false;
};
using Rows = std::vector<std::vector<double>>;

inline std::vector<double> solve(Rows a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t p = 0; p < n; ++p) {
    std::size_t best = p;
    for (std::size_t i = p; i < n; ++i)
      if (std::fabs(a[i][p]) > std::fabs(a[best][p])) best = i;
    std::swap(a[p], a[best]);
    std::swap(b[p], b[best]);
    for (std::size_t i = p + 1; i < n; ++i) {
      const double m = a[i][p] / a[p][p];
      for (std::size_t j = p; j < n; ++j) a[i][j] -= m * a[p][j];
      b[i] -= m * b[p];
    }
  }
  for (std::size_t p = n; p-- > 0;) {
    for (std::size_t j = p + 1; j < n; ++j) b[p] -= a[p][j] * b[j];
    b[p] /= a[p][p];
  }
  return b;
}

inline std::vector<double> descend(const Rows& a, const std::vector<double>& b) {
  std::vector<double> x(b.size(), 0.0);
  for (int sweep = 0; sweep < 20000; ++sweep)
    for (std::size_t i = 0; i < b.size(); ++i) {
      double g = b[i];
      for (std::size_t j = 0; j < b.size(); ++j) g -= j == i ? 0 : a[i][j] * x[j];
      x[i] = std::max(0.0, g / a[i][i]);
    }
  return x;
}

/// The factors of the entities `own` given those of `other`.
inline Rows half_step(const AlsProblem& p, const std::vector<std::int64_t>& own,
                      const std::vector<std::int64_t>& other, const Rows& factors, std::size_t count) {
  Rows result;
  for (std::size_t e = 0; e < count; ++e) {
    Rows a(p.rank, std::vector<double>(p.rank, 0.0));
    std::vector<double> b(p.rank, 0.0);
    double n = 0;
    const auto add = [&](const std::vector<double>& y, double weight, double target) {
      for (std::size_t i = 0; i < p.rank; ++i) {
        for (std::size_t j = 0; j < p.rank; ++j) a[i][j] += weight * y[i] * y[j];
        b[i] += target * y[i];
      }
    };
    if (p.implicit_prefs)
      for (const auto& y : factors) add(y, 1, 0);
    for (std::size_t r = 0; r < p.ratings.size(); ++r) {
      if (own[r] != static_cast<std::int64_t>(e)) continue;
      const double c1 = p.alpha * std::fabs(p.ratings[r]);
      const bool liked = p.ratings[r] > 0;
      if (p.implicit_prefs)
        add(factors[static_cast<std::size_t>(other[r])], c1, liked ? 1 + c1 : 0);
      else
        add(factors[static_cast<std::size_t>(other[r])], 1, p.ratings[r]);
      n += !p.implicit_prefs || liked ? 1 : 0;
    }
    for (std::size_t i = 0; i < p.rank; ++i) a[i][i] += p.reg_param * n;
    result.push_back(p.nonnegative ? descend(a, b) : solve(a, b));
  }
  return result;
}

inline double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

/// The objective by its definition; in the implicit case over all pairs, which must be distinct.
inline double objective(const AlsProblem& p, const Rows& u, const Rows& v) {
  double sum = 0;
  std::map<std::pair<std::int64_t, std::int64_t>, double> rated;
  for (std::size_t r = 0; r < p.ratings.size(); ++r) {
    const auto& x = u[static_cast<std::size_t>(p.users[r])];
    const auto& y = v[static_cast<std::size_t>(p.items[r])];
    if (!p.implicit_prefs) sum += std::pow(p.ratings[r] - dot(x, y), 2);
    if (!p.implicit_prefs || p.ratings[r] > 0) sum += p.reg_param * (dot(x, x) + dot(y, y));
    rated[{p.users[r], p.items[r]}] = p.ratings[r];
  }
  for (std::size_t i = 0; p.implicit_prefs && i < u.size(); ++i)
    for (std::size_t j = 0; j < v.size(); ++j) {
      const auto entry = rated.find({static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)});
      const double r = entry == rated.end() ? 0 : entry->second;
      sum += (1 + p.alpha * std::fabs(r)) * std::pow((r > 0 ? 1 : 0) - dot(u[i], v[j]), 2);
    }
  return sum;
}

}  // namespace firesteel::reference
