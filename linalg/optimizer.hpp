// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "firesteel/core/fit_loop.hpp"
#include "firesteel/linalg/objective.hpp"

namespace firesteel {

/// Where an optimiser stands between two iterations.
struct OptimizerState {
  std::vector<double> point;
  std::vector<double> gradient;  ///< of the smooth part
  double value = 0;              ///< whole objective
  double initial_value = 0;
  std::vector<double> recent_values;  ///< at most eleven, the newest last
  // L-BFGS: pair i since the start is in place i mod kMemory of each.
  Index pairs = 0;
  std::vector<std::vector<double>> steps;
  std::vector<std::vector<double>> gradient_changes;
  std::vector<double> curvatures;  ///< step · gradient change
  double initial_scale = 1;        ///< of the newest pair: curvature / ‖gradient change‖²

  void describe(StateVisitor& visitor, const VectorSpace& space);
};

/// One way from a point to a better one, over and over. With f the objective, f₀ its value at the start and p
/// the (pseudo-)gradient, it stops by
///   "gradient"     ‖p‖₂ ≤ tol·f
///   "objective"    f(10 iterations ago) − f ≤ tol·f, or f ≤ tol·f₀
///   "precision"    f can be told apart no more: it fell by less than the noise of its values (single
///                  precision; Objective::value_noise) over ten iterations, or Newton's method promised less,
///                  or there is no better point and less was promised
///   "line_search"  no better point in double precision (not counted as converged)
/// The first two are MLlib's criteria (Breeze's), the second relative to the present f and over ten
/// iterations, so that slow convergence is not taken for its end.
/// Vectors are replicated or sliced, as the objective's space() has them; dots are in a fixed order, so the
/// path depends on the objective alone. Each optimiser's step() is one iteration of run_fit_loop.
class Optimizer {
 public:
  /// l1: weight of |x_j|, one a local coordinate; none: there are no absolute values. All ranks or none pass
  /// it.
  Optimizer(Objective& objective, std::optional<std::vector<double>> l1, double tol)
      : objective_(objective), absolute_(l1.has_value()), tol_(tol) {
    if (l1) l1_ = std::move(*l1);
  }
  virtual ~Optimizer() = default;

  /// Evaluates the start and makes it the current point. initial_value: f₀, where that is not f here.
  /// Collective.
  OptimizerState start(std::vector<double> point, std::optional<double> initial_value = {});
  /// Makes the point of a state that was set from outside the current one. Collective; one pass.
  void go_on_from(const OptimizerState& state);
  /// Collective.
  Step step(OptimizerState& state);
  /// Norm of the gradient, or of the subgradient of least norm where there are absolute values.
  double gradient_norm(const OptimizerState& state) const;
  void describe(StateVisitor& visitor, OptimizerState& state) const {
    state.describe(visitor, objective_.space());
  }

 protected:
  struct Trial {
    std::vector<double> point;
    std::vector<double> gradient;
    double value = 0;
    bool found = false;
    double predicted = 0;   ///< decrease that the quadratic model promised for the full step
    bool by_model = false;  ///< the model was the Hessian's: near the optimum its promise is exact
  };
  /// Sets up the parts of a fresh state that advance() needs.
  virtual void prepare(OptimizerState&) const {}
  /// Throws bad_input where a state that was read back is not one that remember() makes. Local.
  virtual void check_restored(const OptimizerState&) const {}
  /// True where the iteration from `state`, or the next one, searches a line or wants a Hessian as a rule.
  virtual bool expects_line(const OptimizerState&) const { return true; }
  /// The next point; found = false where none is better.
  virtual Trial advance(const OptimizerState& state) = 0;
  virtual void remember(OptimizerState&, const Trial&) {}

  /// Evaluates state.point + direction; where that fails the Wolfe conditions searches the line and evaluates
  /// where that leads: one pass over the data or two.
  Trial search_line(const OptimizerState& state, std::span<const double> direction, double slope_ratio);
  double absolute_part(std::span<const double> point) const;
  /// True where a value is lower by enough of `decrease` (negative), what the slope promises, or no higher
  /// than noise may make it.
  bool is_accepted(const OptimizerState& state, double value, double decrease) const;
  /// True where `decrease` is lost in the noise of single-precision values. Values of double precision are
  /// trusted to the end: there gradients decide.
  bool lost_in_noise(double decrease, double value) const;
  std::vector<double> pseudo_gradient(const OptimizerState& state) const;

  /// A vector whose values may be anything, of memory that was given back; so an iteration takes none.
  std::vector<double> take_vector(std::size_t size) const;
  void give_back(std::vector<double> vector) const { spare_->push_back(std::move(vector)); }
  /// Optimisers that work in turn share what they give back.
  void share_vectors(const Optimizer& other) { spare_ = other.spare_; }

  Objective& objective_;
  bool absolute_;
  std::vector<double> l1_;
  double tol_;

 private:
  std::shared_ptr<std::vector<std::vector<double>>> spare_ =
      std::make_shared<std::vector<std::vector<double>>>();
};

/// Limited-memory BFGS with ten pairs; with absolute values its orthant-wise form. Keeps about 28 vectors; an
/// iteration reads and writes about 80 and needs 23 sums.
/// With a metric M, a positive definite matrix near the Hessian (its Cholesky factor, replicated vectors
/// only), M⁻¹ takes the place of the scaled identity that the pairs correct; so does the objective's own
/// metric, scaled, where it has one and there are no absolute values. Sources: Liu & Nocedal 1989,
/// doi:10.1007/BF01589116; Andrew & Gao 2007, doi:10.1145/1273496.1273501.
class LbfgsOptimizer final : public Optimizer {
 public:
  LbfgsOptimizer(Objective& objective, std::optional<std::vector<double>> l1, double tol,
                 std::vector<double> metric_factor = {})
      : Optimizer(objective, std::move(l1), tol), metric_factor_(std::move(metric_factor)) {}

 protected:
  void prepare(OptimizerState& state) const override;
  void check_restored(const OptimizerState& state) const override;
  bool expects_line(const OptimizerState& state) const override {
    return state.pairs == 0 && !absolute_ && metric_factor_.empty();
  }
  Trial advance(const OptimizerState& state) override;
  void remember(OptimizerState& state, const Trial& trial) override;

 private:
  friend class LbfgsNewtonOptimizer;
  std::vector<double> direction(const OptimizerState& state, std::span<const double> gradient) const;
  double scale_in_metric(const OptimizerState& state) const;
  bool uses_metric() const { return metric_factor_.empty() && !absolute_ && objective_.has_metric(); }
  Trial search_orthant(const OptimizerState& state, std::span<const double> pseudo, std::span<double> step,
                       double first_step);

  std::vector<double> metric_factor_;  ///< empty: no metric
};

/// Newton's method: the quadratic model at the current point is minimised exactly by Cholesky, with absolute
/// values by cyclic coordinate descent on the model (proximal Newton). Quadratic convergence; size² doubles a
/// rank and the Hessian each iteration. Sources: Nocedal & Wright 2006, chapter 3; Lee, Sun, Saunders 2014,
/// doi:10.1137/130921428; Friedman, Hastie, Tibshirani 2010, doi:10.18637/jss.v033.i01.
class NewtonOptimizer final : public Optimizer {
 public:
  using Optimizer::Optimizer;

  /// The Cholesky factor of the last step's Hessian, which no later step has; empty before the first. Only
  /// without absolute values.
  std::vector<double> take_factor() { return std::move(matrix_); }

 protected:
  Trial advance(const OptimizerState& state) override;

 private:
  friend class LbfgsNewtonOptimizer;
  std::vector<double> matrix_;  ///< the Hessian, or its factor
  Trial backtrack(const OptimizerState& state, std::span<const double> direction);
};

/// L-BFGS while it has stored fewer than ten pairs, then Newton's method to the end, and Newton's also where
/// L-BFGS finds no better point. Where columns are nearly independent the first is there within ten passes;
/// where they are not, the second needs a few iterations from where the first has come. Which of the two is
/// at work follows from OptimizerState::pairs, so that a resumed fit goes the same way.
class LbfgsNewtonOptimizer final : public Optimizer {
 public:
  LbfgsNewtonOptimizer(Objective& objective, std::optional<std::vector<double>> l1, double tol,
                       std::vector<double> metric_factor = {})
      : Optimizer(objective, l1, tol),
        lbfgs_(objective, l1, tol, std::move(metric_factor)),
        newton_(objective, std::move(l1), tol) {
    lbfgs_.share_vectors(*this);
    newton_.share_vectors(*this);
  }

 protected:
  void prepare(OptimizerState& state) const override { lbfgs_.prepare(state); }
  void check_restored(const OptimizerState& state) const override { lbfgs_.check_restored(state); }
  bool expects_line(const OptimizerState& state) const override {
    return state.pairs + 1 >= kLbfgsPairs || lbfgs_.expects_line(state);
  }
  Trial advance(const OptimizerState& state) override;
  void remember(OptimizerState& state, const Trial& trial) override;

 private:
  static constexpr Index kLbfgsPairs = 10;
  static bool past_lbfgs(const OptimizerState& state);

  LbfgsOptimizer lbfgs_;
  NewtonOptimizer newton_;
};

}  // namespace firesteel
