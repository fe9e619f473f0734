// SPDX-License-Identifier: Apache-2.0
// A classifier from C++: read a CSV file, fit, look at the summary, keep the model.
// Run:
//   build/release/examples/logistic_regression datasets/iris/iris.csv build/iris-model-1.h5
//   mpirun -n 2 build/release/examples/logistic_regression datasets/iris/iris.csv build/iris-model-2.h5
// Prints: 8 iterations, objective 0.1026097898232205, gradient
#include <cmath>
#include <cstdio>
#include <string>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 3) throw fs::bad_parameter("usage: logistic_regression CSV MODEL");
    const auto rows = fs::read_rows(context, {.inputs = {argv[1]}, .label = "species"}).rows;
    const auto model = fs::LogisticRegression{.reg_param = 1e-3}.fit(rows);
    const auto metrics = model.evaluate(rows);
    if (context.rank() == 0) {
      std::printf("%ld iterations, objective %.17g, %s\n", static_cast<long>(model.summary.iterations),
                  model.summary.objective, model.summary.stop_reason.c_str());
      for (const auto& [name, value] : metrics)
        if (!std::isnan(value))
          std::printf("%s %.6g\n", name.c_str(), value);  // some are of two classes only
    }
    // `firesteel score` can use this file too.
    fs::write_model(context, fs::model_to_record("logistic", model), argv[2]);
    const auto back =
        fs::model_from_record<fs::LogisticRegressionModel>("logistic", fs::read_model(context, argv[2]));
    if (back.coefficients.values != model.coefficients.values)
      throw fs::internal_error("the model has changed");
  } catch (const fs::Error& error) {
    if (context.rank() == 0) std::fprintf(stderr, "logistic_regression: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
