// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/index.hpp"
#include "firesteel/linalg/vector_space.hpp"

namespace firesteel {

/// Relative noise of an objective summed in double: a rise below it says nothing, near the optimum only
/// gradients tell points apart.
inline constexpr double kDoubleNoise = 1e-12;

/// Value and slope of an objective at a point of a line.
struct LinePoint {
  double value = 0;
  double slope = 0;
};

/// What an optimiser minimises: a convex function f of a vector of space(), f = smooth part + Σ l1_j·|x_j|.
/// The optimisers below see the smooth part here and add the absolute values themselves. Members are
/// collective and return the same bytes on every rank; vectors are this rank's part of them.
class Objective {
 public:
  virtual ~Objective() = default;

  virtual const VectorSpace& space() const = 0;
  /// Smooth value at x and its gradient. One pass over the data.
  virtual double evaluate(std::span<const double> x, std::span<double> gradient) = 0;
  /// The point evaluated last becomes the current one: lines start there.
  virtual void accept() = 0;
  /// Smooth value and slope (by t) at current + t·(evaluated last − current). No pass over the features.
  virtual LinePoint along(double t) = 0;
  /// Whether a line is expected to start at, or to lead to, what is evaluated from here on, or a Hessian to
  /// be wanted there: what they need need not be kept otherwise. Results do not depend on it.
  virtual void expect_line(bool) {}
  /// Runs code without collective calls on every rank; one rank's error becomes that of all.
  virtual void collectively(FunctionRef<void()> local) = 0;
  /// Hessian of the smooth part at the current point, size x size, row-major, symmetric. Replicated vectors
  /// only.
  virtual void hessian(std::span<double> matrix) = 0;
  /// Whether there is a metric M, a positive definite matrix near the Hessian at the current point that costs
  /// little: the same answer throughout a fit.
  virtual bool has_metric() const { return false; }
  /// v ← M⁻¹·v. Local.
  virtual void solve_metric(std::span<double>) {}
  /// Relative noise of the values: what evaluate() and along() may be off, by rounding, of the function that
  /// the gradient belongs to. The same on all ranks, and throughout a fit.
  virtual double value_noise() const { return kDoubleNoise; }
};

}  // namespace firesteel
