# SPDX-License-Identifier: Apache-2.0
"""Writes logistic_sklearn.hpp: optima of scikit-learn on data that the test makes again by the same formula.

scikit-learn minimises C·Σ log-loss + penalty on raw coefficients, so C = 1/(λ·n) and --no-standardization.
"""
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

ROWS, COLUMNS = 240, 5
i, j = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
x = ((i * i * 7919 + i * 104729 * (j + 1) + i * j * j * 31) % 1009) / 1009.0 * (j + 1) - 0.5
noise = ((np.arange(ROWS) * 48271) % 2003) / 2003.0
binary = (x @ np.array([1.0, -0.8, 0.5, 0.0, 0.3]) + 2 * (noise - 0.5) > 0.4).astype(int)
three = (np.floor((x @ np.array([0.7, 0.4, -0.5, 0.2, 0.1]) + 3 * noise)) % 3).astype(int)
weights = 0.5 + (np.arange(ROWS) % 4)

CASES = [  # name, labels, weights, reg_param, elastic_net_param
    ("ridge", binary, None, 0.01, 0.0),
    ("weighted_ridge", binary, weights, 0.05, 0.0),
    ("lasso", binary, None, 0.02, 1.0),
    ("elastic_net", binary, None, 0.05, 0.4),
    ("classes_ridge", three, None, 0.01, 0.0),
    ("classes_elastic_net", three, None, 0.01, 0.5),
]


def fit(labels, w, reg_param, alpha):
    total = ROWS if w is None else w.sum()
    model = LogisticRegression(C=1 / (reg_param * total), l1_ratio=alpha, max_iter=10**6, tol=1e-13,
                               solver="saga" if alpha > 0 else "newton-cg", random_state=0)
    model.fit(x, labels, sample_weight=w)
    margins = model.decision_function(x)
    weight = np.ones(ROWS) if w is None else w
    if margins.ndim == 1:
        losses = np.logaddexp(0, -(2 * labels - 1) * margins)
    else:
        losses = np.logaddexp.reduce(margins, axis=1) - margins[np.arange(ROWS), labels]
    penalty = alpha * np.abs(model.coef_).sum() + (1 - alpha) / 2 * (model.coef_**2).sum()
    return model, (weight * losses).sum() / total + reg_param * penalty


lines = [f"""// SPDX-License-Identifier: Apache-2.0
// Made by logistic_sklearn.py with scikit-learn {sklearn.__version__}.
#pragma once

#include <vector>

namespace firesteel::reference {{

struct LogisticCase {{
  const char* name;
  bool three_classes;
  bool weighted;
  double reg_param;
  double elastic_net_param;
  double objective;
  std::vector<double> coefficients;
  std::vector<double> intercept;
}};

inline const std::vector<LogisticCase> kLogisticCases{{"""]
for name, labels, w, reg_param, alpha in CASES:
    model, objective = fit(labels, w, reg_param, alpha)
    numbers = lambda values: "{" + ", ".join(repr(float(v)) for v in np.ravel(values)) + "}"
    lines.append(f'    {{"{name}", {str(labels is three).lower()}, {str(w is not None).lower()}, {reg_param}, {alpha}, '
                 f"{float(objective)!r}, {numbers(model.coef_)}, {numbers(model.intercept_)}}},")
lines.append("};\n\n}  // namespace firesteel::reference\n")
pathlib.Path(__file__).with_suffix(".hpp").write_text("\n".join(lines))
